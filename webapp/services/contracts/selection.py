"""A view of contracts: the filters that a list shows and a number counts, so that the two can only agree."""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from webapp import tenancy
from webapp.extensions import db
from webapp.models.commercials import Commercial
from webapp.models.contracts import NEVER_ENDING, NEVER_SIGNED, Contract, ContractStatus
from webapp.models.tallies import ContractTally
from webapp.services import keyset
from webapp.services.clients.selection import SourceFilter

DAY = timedelta(days=1)

SIGNED_STATUSES = (ContractStatus.PENDING, ContractStatus.ACTIVE, ContractStatus.TERMINATED)
"""What counts as sold: every status but draft and canceled."""

SIGNED: Literal["signes"] = "signes"
NOBODY: Literal["sans-commercial"] = "sans-commercial"
NO_PRODUCT: Literal["sans-produit"] = "sans-produit"


@dataclass(frozen=True)
class OfTeam:
    """All commercials who are in a team now."""

    id: UUID


Seller = UUID | OfTeam | Literal["sans-commercial"]
"""Who a contract counts for: its commercial at signature, any of a team's, or nobody."""


class ContractSort(keyset.Order):
    """By signature, amount or end. Contracts without a date come last from the newest signature or the soonest end."""

    SIGNED = "signature"
    SIGNED_DESCENDING = "-signature"
    AMOUNT = "montant"
    AMOUNT_DESCENDING = "-montant"
    ENDS = "fin"
    ENDS_DESCENDING = "-fin"


@dataclass(frozen=True)
class ContractsView:
    """Contracts by search and filters (None, or nothing, lets all through), their order, and where the page starts.

    ``sold_by``: any of these. ``since`` and ``until`` bound the day of signature in Paris, both included, and so
    leave out contracts without one; ``is_undated`` keeps only these. ``ends_since`` and ``ends_until`` bound the
    day on which the contract ends. ``lacks_mandate``: to be debited, living, and without an active mandate.
    ``is_absent``: WinLeadPlus names it no longer.
    """

    search: str = ""
    status: ContractStatus | Literal["signes"] | None = None
    sold_by: tuple[Seller, ...] = ()
    company: UUID | None = None
    product: UUID | Literal["sans-produit"] | None = None
    source: SourceFilter | None = None
    since: date | None = None
    until: date | None = None
    is_undated: bool = False
    ends_since: date | None = None
    ends_until: date | None = None
    lacks_mandate: bool = False
    is_absent: bool = False
    sort: ContractSort = ContractSort.SIGNED_DESCENDING
    cursor: str = ""

    @property
    def is_narrowed(self) -> bool:
        """Whether a search or a filter leaves contracts out."""
        return replace(self, sort=ContractSort.SIGNED_DESCENDING, cursor="") != ContractsView()


Facts = type[Contract] | type[ContractTally]


def shared_conditions(view: ContractsView, of: Facts) -> list[ColumnElement[bool]]:
    """What a contract, or the tally of contracts, must meet, dates, products and search apart.

    Names the organisation: the session's criterion does not reach subqueries.
    """
    conditions: list[ColumnElement[bool]] = [of.organisation_id == tenancy.current_organisation_id()]
    if view.sold_by:
        conditions.append(_sold_by(view.sold_by, of.commercial_id))
    if view.status == SIGNED:
        conditions.append(of.status.in_(SIGNED_STATUSES))
    elif view.status:
        conditions.append(of.status == view.status)
    if view.company:
        conditions.append(of.company_id == view.company)
    if view.lacks_mandate:
        conditions.append(of.lacks_mandate.expression)
    return conditions


def row_conditions(view: ContractsView) -> list[ColumnElement[bool]]:
    """What a contract must meet, search apart."""
    conditions = shared_conditions(view, Contract)
    if view.product:
        wanted = [] if view.product == NO_PRODUCT else [view.product]
        holds = Contract.product_ids.contains(wanted) if wanted else Contract.product_ids == wanted
        conditions.append(holds)
    if view.source:
        conditions.append(Contract.source == view.source.stored)
    if view.is_absent:
        conditions.append(Contract.missing_since.is_not(None))
    return conditions + day_conditions(view) + _end_conditions(view)


def day_conditions(view: ContractsView) -> list[ColumnElement[bool]]:
    """What the day of signature must meet; by the sort key, whose indexes then serve dates and order alike."""
    if view.is_undated:
        return [Contract.signed_key == NEVER_SIGNED]
    if view.since or view.until:
        return _between(Contract.signed_key, view.since or NEVER_SIGNED + DAY, view.until)
    return []


def _end_conditions(view: ContractsView) -> list[ColumnElement[bool]]:
    if view.ends_since or view.ends_until:
        return _between(Contract.ends_key, view.ends_since, view.ends_until or NEVER_ENDING - DAY)
    return []


def _between(column: InstrumentedAttribute[date], since: date | None, until: date | None) -> list[ColumnElement[bool]]:
    return ([column >= since] if since else []) + ([column <= until] if until else [])


def _sold_by(sellers: tuple[Seller, ...], column: InstrumentedAttribute[UUID | None]) -> ColumnElement[bool]:
    """Teams are looked up first: their few commercials as plain values let the planner use an index."""
    team_ids = [seller.id for seller in sellers if isinstance(seller, OfTeam)]
    commercial_ids = {seller for seller in sellers if isinstance(seller, UUID)}
    if team_ids:
        commercial_ids |= set(db.session.scalars(select(Commercial.id).where(Commercial.team_id.in_(team_ids))))
    alternatives: list[ColumnElement[bool]] = [column.is_(None)] if NOBODY in sellers else []
    if len(commercial_ids) == 1:
        alternatives.append(column == next(iter(commercial_ids)))
    elif commercial_ids or not alternatives:
        alternatives.append(column.in_(sorted(commercial_ids)))
    return or_(*alternatives)
