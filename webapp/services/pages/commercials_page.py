"""The list of commercials, with the figures that its reader may see."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from sqlalchemy import and_, select

from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.commercials import Commercial, Team
from webapp.services.contracts.counting import NONE, Axis, count_by
from webapp.services.figures.breakdowns import Number, signed_within
from webapp.services.figures.period import Period
from webapp.services.figures.portfolio import ClientsNumber, count_portfolios, portfolio
from webapp.services.figures.scope import Scope


@dataclass(frozen=True)
class CommercialRow:
    """A line of the list. Figures are None outside the reader's scope."""

    commercial: Commercial
    team: str | None
    signed: Number | None
    portfolio: ClientsNumber | None


def list_commercials(scope: Scope, period: Period) -> Iterator[CommercialRow]:
    """Everybody, by name; with figures of a period for those in ``scope``. A fixed number of statements."""
    view = signed_within(scope.view, period)
    figures, portfolios = count_by(view, Axis.COMMERCIAL), count_portfolios()
    in_team = and_(linked(Team, Commercial.team_id))
    people = select(Commercial, Team.name).outerjoin(Team, in_team).order_by(Commercial.name_key, Commercial.id)
    for commercial, team in db.session.execute(people):
        if scope.includes(commercial.id):
            signed = Number(figures.get(commercial.id, NONE), replace(view, sold_by=(commercial.id,)))
            yield CommercialRow(commercial, team, signed, portfolio(commercial.id, portfolios))
        else:
            yield CommercialRow(commercial, team, None, None)
