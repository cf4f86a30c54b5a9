"""The claim files of an organisation, the latest declared first."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Select, or_, select

from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.claims import WAITING, Claim, ClaimStatus, WaitsFor
from webapp.models.clients import Client, full_name_in_sql
from webapp.models.covers import Cover, CoverPeriod, CoverPlan, CoverPlanVersion, Trade
from webapp.services import keyset
from webapp.services.clients.search import find_terms
from webapp.services.covers.listing import is_latest
from webapp.services.keyset import Position

PAGE_SIZE = 50
BY_DAY = "declared"
_REFERENCE = re.compile(r"\s*dep\s*-?\s*([0-9]{4})\s*-?\s*([0-9]{1,10})\s*", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, kw_only=True)
class ClaimsView:
    """Which files are shown; ``search`` is for words over clients, or a reference. Of plans, the cover's present one.

    ``declared_before`` is a day; that day does not count.
    """

    search: str = ""
    status: ClaimStatus | None = None
    trade: Trade | None = None
    plan_id: UUID | None = None
    waits_for: WaitsFor | None = None
    declared_before: date | None = None
    cursor: str | None = None

    @property
    def is_narrowed(self) -> bool:
        """Whether a search or a filter leaves something out."""
        filters = (self.status, self.trade, self.plan_id, self.waits_for, self.declared_before)
        return bool(self.search) or any(each is not None for each in filters)


class ClaimRow(NamedTuple):
    """A file of the list."""

    id: UUID
    reference: str
    client: str
    trade: Trade
    plan: str
    event_on: date
    declared_on: date
    status: ClaimStatus
    is_doubtful: bool
    asked: Decimal | None
    covered: Decimal


def list_claims(view: ClaimsView, *, size: int = PAGE_SIZE) -> keyset.Page[ClaimRow]:
    """The files of the view, the latest declared first."""
    statement = _select(view).with_only_columns(
        Claim.id,
        Claim.reference,
        full_name_in_sql(),
        Claim.trade,
        CoverPlan.label,
        Claim.event_on,
        Claim.declared_on,
        Claim.status,
        Claim.doubt.is_not(None),
        Claim.asked,
        Claim.covered,
    )

    def read(start: Position | None) -> Sequence[ClaimRow]:
        page = keyset.cut(statement, [Claim.declared_on, Claim.id], start, is_descending=True, size=size)
        return [ClaimRow._make(row) for row in db.session.execute(page)]

    start = keyset.decode(view.cursor, sort=BY_DAY, kind=date)
    return keyset.page(read, start, place=lambda row: (row.declared_on, row.id), sort=BY_DAY, size=size)


def select_all(view: ClaimsView) -> Select[*tuple[Any, ...]]:
    """Every file of a view in its order: an export adds the columns."""
    return _select(view).order_by(Claim.declared_on.desc(), Claim.id.desc())


def _select(view: ClaimsView) -> Select[*tuple[Any, ...]]:
    statement = (
        select(Claim.id)
        .join(Client, linked(Client, Claim.client_id))
        .join(Cover, linked(Cover, Claim.cover_id))
        .join(CoverPeriod, linked(Cover, CoverPeriod.cover_id) & is_latest(CoverPeriod))
        .join(CoverPlanVersion, linked(CoverPlanVersion, CoverPeriod.version_id))
        .join(CoverPlan, linked(CoverPlan, CoverPlanVersion.plan_id))
    )
    statement = _narrow(statement, view)
    reference = _REFERENCE.fullmatch(view.search)
    if reference:
        return statement.where(Claim.reference == f"DEP-{reference[1]}-{int(reference[2]):06d}")
    for term in find_terms(view.search):
        statement = statement.where(or_(*(Client.search_text.like(pattern) for pattern in term)))
    return statement


def _narrow(statement: Select[*tuple[Any, ...]], view: ClaimsView) -> Select[*tuple[Any, ...]]:
    if view.status:
        statement = statement.where(Claim.status == view.status)
    if view.trade:
        statement = statement.where(Claim.trade == view.trade)
    if view.plan_id:
        statement = statement.where(CoverPlan.id == view.plan_id)
    if view.declared_before:
        statement = statement.where(Claim.declared_on < view.declared_before)
    if view.waits_for is WaitsFor.US:
        statement = statement.where(or_(Claim.status.in_(WAITING[WaitsFor.US]), Claim.doubt.is_not(None)))
    elif view.waits_for:
        statement = statement.where(Claim.status.in_(WAITING[view.waits_for]), Claim.doubt.is_(None))
    return statement
