"""A view of clients: the filters that a list shows and a number counts, so that the two can only agree."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, exists, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from webapp import clock, tenancy
from webapp.extensions import db
from webapp.models.banking import BankAccount, Mandate, MandateStatus
from webapp.models.base import linked
from webapp.models.clients import Client, ClientStatus, Source
from webapp.models.commercials import Commercial
from webapp.models.consents import ConsentPurpose, ConsentState, PresentConsent
from webapp.models.contracts import Contract, ContractStatus
from webapp.models.subscriptions import RECURRING, Subscription
from webapp.models.timeline import LastContact
from webapp.models.winleadplus import SyncMapping
from webapp.services import keyset
from webapp.services.clients.search import Term, found_by_terms

Conditions = list[ColumnElement[bool]]
Column = ColumnElement[Any] | InstrumentedAttribute[Any]
Holder = Literal["sans-commercial"] | UUID

WITHOUT_COMMERCIAL: Final = "sans-commercial"
LAST_CHARACTER = "\U0010ffff"


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


class Asset(StrEnum):
    """What a client may have or lack, as the address says it."""

    EMAIL = "email"
    PHONE = "telephone"
    IBAN = "iban"
    MANDATE = "mandat"
    CONTRACT = "contrat"
    SUBSCRIPTION = "abonnement"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return _ASSETS[self]


_ASSETS = {
    Asset.EMAIL: "E-mail",
    Asset.PHONE: "Téléphone",
    Asset.IBAN: "IBAN",
    Asset.MANDATE: "Mandat actif",
    Asset.CONTRACT: "Contrat actif",
    Asset.SUBSCRIPTION: "Abonnement actif",
}


class Days(NamedTuple):
    """Days in Paris, both included; an end that is None is open."""

    since: date | None = None
    until: date | None = None

    @property
    def are_limited(self) -> bool:
        """Whether they leave any instant out."""
        return self != Days()

    def hold(self, instant: Column) -> Conditions:
        """What an instant within them must meet."""
        return [
            *([instant >= clock.start_of(self.since)] if self.since else []),
            *([instant < clock.start_of(self.until + timedelta(days=1))] if self.until else []),
        ]


EVER = Days()


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
    CREATED = "creation"
    CREATED_DESCENDING = "-creation"


@dataclass(frozen=True)
class ClientsView:
    """What the list shows: a search, filters (None lets all through), an order, and where the page starts.

    ``team``: of its present commercials. ``lacks_contact``: without e-mail and telephone. ``archived``: those that were
    archived, in the place of the others. ``absent``: whom WinLeadPlus no longer names. ``among``: of any of these
    commercials, who are several; of a single one, ``commercial`` says it. ``place``: how the town, or from a digit on
    the postcode, begins. ``silent_since``: who was not in contact from that day on, or never.
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
    among: tuple[Holder, ...] = ()
    place: str = ""
    created: Days = EVER
    changed: Days = EVER
    contacted: Days = EVER
    silent_since: date | None = None
    having: frozenset[Asset] = frozenset()
    lacking: frozenset[Asset] = frozenset()
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
        *([_is_of(view.among)] if view.among else []),
        *([Client.email.is_(None), Client.phone.is_(None)] if view.lacks_contact else []),
        *([_stands(view.consent)] if view.consent else []),
        *([Client.id.in_(_absent())] if view.absent else []),
        *(_begins(view.place) if view.place else []),
        *view.created.hold(Client.created_at),
        *view.changed.hold(Client.changed_at),
        *([_in_contact(view.contacted)] if view.contacted.are_limited else []),
        *([~_in_contact(Days(view.silent_since))] if view.silent_since else []),
        *(_has(asset) for asset in sorted(view.having)),
        *(_lacks(asset) for asset in sorted(view.lacking)),
        *found_by_terms(terms),
    ]


def bounds_of(view: ClientsView) -> Iterator[Select[Any]]:
    """For each filter whose clients may lie anywhere in the order: rows that are as many as they are, or more.

    Each is counted in an index, without a client being read. A filter by the days that the list is sorted by needs
    none, nor one whose clients the planner's statistics count. Archived clients stand in no index of days.
    """
    if view.consent and view.consent.standing is not ConsentStanding.NOT_GIVEN:
        yield select(PresentConsent.client_id).where(*stands_to(view.consent))
    for days, instant, sort in (
        (view.created, Client.created_at, ClientSort.CREATED),
        (view.changed, Client.changed_at, ClientSort.CHANGED),
    ):
        if days.are_limited and view.sort.ascending is not sort and not view.archived:
            yield select(Client.id).where(Client.archived_at.is_(None), *days.hold(instant))
    if view.contacted.are_limited:
        yield select(LastContact.client_id).where(*view.contacted.hold(LastContact.at))
    for asset in sorted(view.having & _HELD.keys()):
        key, *held = _HELD[asset]
        yield select(key).where(*held)


def _in_team(team_id: UUID) -> ColumnElement[bool]:
    """Its few commercials are looked up first: as plain values they let the planner use an index."""
    return Client.commercial_id.in_(
        db.session.scalars(select(Commercial.id).where(Commercial.team_id == team_id)).all()
    )


def _absent() -> Select[UUID]:
    ours = SyncMapping.organisation_id == tenancy.current_organisation_id()
    return select(SyncMapping.client_id).where(ours, SyncMapping.missing_since.is_not(None))


def _is_of(holders: tuple[Holder, ...]) -> ColumnElement[bool]:
    known = Client.commercial_id.in_([each for each in holders if each != WITHOUT_COMMERCIAL])
    return or_(known, Client.commercial_id.is_(None)) if WITHOUT_COMMERCIAL in holders else known


def _begins(place: str) -> Conditions:
    """A range rather than a pattern for towns: what folding makes of the words may hold any character."""
    if place[0].isdigit():
        escaped = re.sub(r"([\\%_])", r"\\\1", place)
        return [Client.postcode.like(f"{escaped}%")]
    folded = func.fold(place)
    return [Client.city_key >= folded, Client.city_key < folded.concat(LAST_CHARACTER)]


def _in_contact(days: Days) -> ColumnElement[bool]:
    return exists().where(linked(Client, LastContact.client_id), *days.hold(LastContact.at))


# What tells that a client has it: the key of the client, and what else the row must meet.
_HELD: dict[Asset, tuple[InstrumentedAttribute[UUID], *tuple[ColumnElement[bool], ...]]] = {
    Asset.IBAN: (BankAccount.client_id, BankAccount.archived_at.is_(None)),
    Asset.MANDATE: (
        Mandate.client_id,
        Mandate.status == MandateStatus.ACTIVE,
        Mandate.account_archived_at.is_(None),
    ),
    Asset.CONTRACT: (Contract.client_id, Contract.status == ContractStatus.ACTIVE),
    Asset.SUBSCRIPTION: (Subscription.client_id, Subscription.status.in_(sorted(RECURRING))),
}


def _has(asset: Asset) -> ColumnElement[bool]:
    if asset is Asset.EMAIL:
        return Client.email.is_not(None)
    if asset is Asset.PHONE:
        return Client.phone.is_not(None)
    key, *held = _HELD[asset]
    return exists().where(linked(Client, key), *held)


def _lacks(asset: Asset) -> ColumnElement[bool]:
    """Of contracts, which nearly all have, one is looked for client by client: a limit keeps the planner from reading
    all of them into a hash for the few that a page needs.
    """
    if asset is not Asset.CONTRACT:
        return ~_has(asset)
    key, *held = _HELD[asset]
    found = select(key).where(*linked(Client, key), *held).limit(1).correlate(Client).scalar_subquery()
    return or_(Client.contracts_count == 0, found.is_(None))


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
