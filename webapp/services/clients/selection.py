"""A view of clients: the filters that a list shows and a number counts, so that the two can only agree."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, exists, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from webapp import tenancy
from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.clients import Client, ClientStatus, Source
from webapp.models.commercials import Commercial
from webapp.models.consents import ConsentPurpose, ConsentState, PresentConsent
from webapp.models.winleadplus import SyncMapping
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


class ConsentStanding(StrEnum):
    """How clients stand to a purpose, as the address says it: those who never said anything have not given either."""

    GIVEN = "donne"
    NOT_GIVEN = "non-donne"
    OPPOSED = "retire"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {"donne": "donné", "non-donne": "non donné", "retire": "retiré ou refusé"}[self.value]


class ConsentFilter(NamedTuple):
    """Clients who stand so to a purpose."""

    purpose: ConsentPurpose
    standing: ConsentStanding

    @property
    def value(self) -> str:
        """As the address says it."""
        return f"{self.purpose.value}.{self.standing.value}"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return f"{self.purpose.label}\u202f: {self.standing.label}"

    @classmethod
    def of(cls, value: str) -> "ConsentFilter":
        """What an address says. Raises ValueError."""
        purpose, _, standing = value.partition(".")
        return cls(ConsentPurpose(purpose), ConsentStanding(standing))


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

    ``team``: of its present commercials. ``lacks_contact``: without e-mail and telephone. ``archived``: those that were
    archived, in the place of the others. ``absent``: whom WinLeadPlus no longer names.
    """

    search: str = ""
    source: SourceFilter | None = None
    status: ClientStatus | None = None
    commercial: UUID | Literal["sans-commercial"] | None = None
    team: UUID | None = None
    lacks_contact: bool = False
    consent: ConsentFilter | None = None
    archived: bool = False
    absent: bool = False
    sort: ClientSort = ClientSort.NAME
    cursor: str = ""

    @property
    def is_narrowed(self) -> bool:
        """Whether a search or a filter leaves clients out."""
        return replace(self, sort=ClientSort.NAME, cursor="") != ClientsView()


def conditions_of(view: ClientsView, terms: list[Term]) -> Conditions:
    """What a client must meet."""
    return [
        # First, and in the very words of the indexes, which hold the clients that are not archived.
        Client.archived_at.is_not(None) if view.archived else Client.archived_at.is_(None),
        *(column == value for column, value in filters_of(view)),
        *([_in_team(view.team)] if view.team else []),
        *([Client.email.is_(None), Client.phone.is_(None)] if view.lacks_contact else []),
        *([_stands(view.consent)] if view.consent else []),
        *([Client.id.in_(_absent())] if view.absent else []),
        *(or_(*(Client.search_text.like(pattern) for pattern in term)) for term in terms),
    ]


def _in_team(team_id: UUID) -> ColumnElement[bool]:
    """Its few commercials are looked up first: as plain values they let the planner use an index."""
    return Client.commercial_id.in_(
        db.session.scalars(select(Commercial.id).where(Commercial.team_id == team_id)).all()
    )


def _absent() -> Select[UUID]:
    ours = SyncMapping.organisation_id == tenancy.current_organisation_id()
    return select(SyncMapping.client_id).where(ours, SyncMapping.missing_since.is_not(None))


def _stands(consent: ConsentFilter) -> ColumnElement[bool]:
    found = exists().where(linked(Client, PresentConsent.client_id), *stands_to(consent))
    return ~found if consent.standing is ConsentStanding.NOT_GIVEN else found


def stands_to(consent: ConsentFilter) -> Conditions:
    """What a consent that holds must meet; of NOT_GIVEN, what none must meet."""
    given = consent.standing is not ConsentStanding.OPPOSED
    states = [ConsentState.GIVEN] if given else [ConsentState.WITHDRAWN, ConsentState.REFUSED]
    return [PresentConsent.purpose == consent.purpose, PresentConsent.state.in_(states)]


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
