"""A view of clients: the filters that a list shows and a number counts, so that the two can only agree."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from webapp.extensions import db
from webapp.models.clients import Client, ClientStatus, Source
from webapp.models.commercials import Commercial
from webapp.services import keyset
from webapp.services.clients.search import Term

Conditions = list[ColumnElement[bool]]

WITHOUT_COMMERCIAL: Final = "sans-commercial"


class SourceFilter(StrEnum):
    """Where clients come from, as the address says it."""

    CRM = "crm"
    WINLEADPLUS = "winleadplus"
    WOOCOMMERCE = "woocommerce"

    @property
    def label(self) -> str:
        """The word on the screen."""
        return {"crm": "CRM", "winleadplus": "WinLeadPlus", "woocommerce": "WooCommerce"}[self.value]

    @property
    def stored(self) -> Source | None:
        """What such clients carry; those made in the CRM carry nothing."""
        return {"winleadplus": Source.WINLEADPLUS, "woocommerce": Source.WOOCOMMERCE}.get(self.value)


class ClientSort(keyset.Order):
    """The orders of the list, as the address says them."""

    NAME = "nom"
    NAME_DESCENDING = "-nom"
    CITY = "ville"
    CITY_DESCENDING = "-ville"
    CHANGED = "modification"
    CHANGED_DESCENDING = "-modification"
    CONTRACTS = "contrats"
    CONTRACTS_DESCENDING = "-contrats"


@dataclass(frozen=True)
class ClientsView:
    """What the list shows: a search, filters (None lets all through), an order, and where the page starts.

    ``team``: of its present commercials. ``lacks_contact``: without e-mail and telephone.
    """

    search: str = ""
    source: SourceFilter | None = None
    status: ClientStatus | None = None
    commercial: UUID | Literal["sans-commercial"] | None = None
    team: UUID | None = None
    lacks_contact: bool = False
    sort: ClientSort = ClientSort.NAME
    cursor: str = ""

    @property
    def is_narrowed(self) -> bool:
        """Whether a search or a filter leaves clients out."""
        return replace(self, sort=ClientSort.NAME, cursor="") != ClientsView()


def conditions_of(view: ClientsView, terms: list[Term]) -> Conditions:
    """What a client must meet."""
    return [
        *(column == value for column, value in filters_of(view)),
        *([_in_team(view.team)] if view.team else []),
        *([Client.email.is_(None), Client.phone.is_(None)] if view.lacks_contact else []),
        *(or_(*(Client.search_text.like(pattern) for pattern in term)) for term in terms),
    ]


def _in_team(team_id: UUID) -> ColumnElement[bool]:
    """Its few commercials are looked up first: as plain values they let the planner use an index."""
    return Client.commercial_id.in_(
        db.session.scalars(select(Commercial.id).where(Commercial.team_id == team_id)).all()
    )


def filters_of(view: ClientsView) -> list[tuple[InstrumentedAttribute[Any], Any]]:
    """Columns and the value that each must have (None is NULL), the most telling filter first."""
    filters: list[tuple[InstrumentedAttribute[Any], Any]] = []
    if view.commercial:
        filters.append((Client.commercial_id, None if view.commercial == WITHOUT_COMMERCIAL else view.commercial))
    if view.source:
        filters.append((Client.source, view.source.stored))
    if view.status:
        filters.append((Client.status, view.status))
    return filters
