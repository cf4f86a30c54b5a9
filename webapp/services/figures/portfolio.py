"""« Portefeuille actuel » : clients by their present commercial, whoever signed their contracts."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select

from webapp import tenancy
from webapp.extensions import db
from webapp.models.tallies import ClientTally
from webapp.services.clients.selection import WITHOUT_COMMERCIAL, ClientsView
from webapp.services.contracts.selection import OfTeam
from webapp.services.figures.scope import Scope


@dataclass(frozen=True)
class ClientsNumber:
    """How many clients, and the view of those behind the number."""

    clients: int
    view: ClientsView


Portfolios = Mapping[UUID | None, int]
"""Numbers of clients by their present commercial; None is nobody."""


def count_portfolios(*, lacks_contact: bool = False) -> Portfolios:
    """The clients of everybody; only those without e-mail and telephone, if so asked."""
    statement = select(ClientTally.commercial_id, func.sum(ClientTally.clients)).group_by(ClientTally.commercial_id)
    statement = statement.where(ClientTally.organisation_id == tenancy.current_organisation_id())
    if lacks_contact:
        statement = statement.where(ClientTally.lacks_contact)
    return {commercial_id: int(clients) for commercial_id, clients in db.session.execute(statement) if clients}


def portfolio(commercial_id: UUID | None, portfolios: Portfolios) -> ClientsNumber:
    """The clients of one commercial, or of nobody."""
    view = ClientsView(commercial=commercial_id or WITHOUT_COMMERCIAL)
    return ClientsNumber(portfolios.get(commercial_id, 0), view)


def portfolios_in(scope: Scope, portfolios: Portfolios, *, lacks_contact: bool = False) -> list[ClientsNumber]:
    """The clients in scope, by what a list can show at once: all, or a team, or a commercial."""
    if scope.is_all:
        return [ClientsNumber(sum(portfolios.values()), ClientsView(lacks_contact=lacks_contact))]
    numbers = []
    for seller in scope.sellers:
        if isinstance(seller, OfTeam):
            view = ClientsView(team=seller.id, lacks_contact=lacks_contact)
            clients = sum(portfolios.get(each, 0) for each, team_id in scope.members.items() if team_id == seller.id)
        else:
            view = ClientsView(commercial=seller, lacks_contact=lacks_contact)
            clients = portfolios.get(seller, 0) if isinstance(seller, UUID) else 0
        numbers.append(ClientsNumber(clients, view))
    return numbers
