"""The claim files of an organisation, the latest declared first."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, or_, select

from webapp import clock, tenancy
from webapp.extensions import db
from webapp.models.base import linked, read_code
from webapp.models.claims import OPEN, WAITING, Claim, ClaimStatus, WaitsFor
from webapp.models.clients import Client, full_name_in_sql
from webapp.models.covers import Cover, CoverPeriod, CoverPlan, CoverPlanVersion, Trade
from webapp.services import keyset
from webapp.services.claims import reserves
from webapp.services.clients.search import found_by
from webapp.services.covers.listing import is_latest
from webapp.services.keyset import Position

PAGE_SIZE = 50
BY_DAY = "declared"
_REFERENCE = re.compile(r"\s*dep\s*-?\s*([0-9]{4})\s*-?\s*([0-9]{1,10})\s*", re.IGNORECASE | re.ASCII)


QUIET = timedelta(days=7)
"""How long an open file may stay without news."""


class FollowUp(StrEnum):
    """Open files that somebody should look at, as the address says it."""

    NO_NEWS = "sans-nouvelles"
    RESERVE = "provision"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {"sans-nouvelles": "Sans nouvelle depuis 7 jours", "provision": "Provision à revoir"}[self.value]

    def before(self, today: date) -> date:
        """What last happened before that day is long ago."""
        return today - QUIET if self is FollowUp.NO_NEWS else reserves.load().seen_before(today)


@dataclass(frozen=True, kw_only=True)
class ClaimsView:
    """Which files are shown; ``search`` is for words over clients, or a reference. Of plans, the cover's present one.

    ``declared_before`` is a day; that day does not count. ``follow_up`` is as of the day ``untouched_since``.
    ``commercial_ids`` are those whose clients' files are shown, where not everybody's are.
    """

    search: str = ""
    status: ClaimStatus | None = None
    trade: Trade | None = None
    plan_id: UUID | None = None
    waits_for: WaitsFor | None = None
    declared_before: date | None = None
    follow_up: FollowUp | None = None
    untouched_since: date | None = None
    commercial_ids: frozenset[UUID] | None = None
    cursor: str | None = None

    @property
    def is_narrowed(self) -> bool:
        """Whether a search or a filter leaves something out."""
        filters = (self.status, self.trade, self.plan_id, self.waits_for, self.declared_before, self.follow_up)
        return bool(self.search) or any(each is not None for each in (*filters, self.commercial_ids))


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
    if view.commercial_ids is not None:
        statement = statement.where(Client.commercial_id.in_(view.commercial_ids))
    reference = _REFERENCE.fullmatch(view.search)
    if reference:
        return statement.where(Claim.reference == f"DEP-{reference[1]}-{int(reference[2]):06d}")
    cover = read_code(view.search)
    if cover is not None and cover.letter == Cover.LETTER:
        return statement.where(Cover.number == cover.number)
    return statement.where(*found_by(view.search))


def _narrow(statement: Select[*tuple[Any, ...]], view: ClaimsView) -> Select[*tuple[Any, ...]]:
    if view.status:
        statement = statement.where(_has_status(view.status))
    if view.trade:
        statement = statement.where(Claim.trade == view.trade)
    if view.plan_id:
        statement = statement.where(CoverPlan.id == view.plan_id)
    if view.declared_before:
        statement = statement.where(Claim.declared_on < view.declared_before)
    if view.follow_up and view.untouched_since:
        statement = statement.where(_is_left(view.follow_up, view.untouched_since))
    if view.waits_for is WaitsFor.US:
        statement = statement.where(or_(Claim.status.in_(WAITING[WaitsFor.US]), Claim.doubt.is_not(None)))
    elif view.waits_for:
        statement = statement.where(Claim.status.in_(WAITING[view.waits_for]), Claim.doubt.is_(None))
    return statement


def _has_status(status: ClaimStatus) -> ColumnElement[bool]:
    """In a statement: the state; what is flagged as doubtful is to be reviewed, too, as its row says."""
    is_so = Claim.status == status
    return or_(is_so, Claim.doubt.is_not(None)) if status is ClaimStatus.TO_REVIEW else is_so


def _is_left(follow_up: FollowUp, since: date) -> ColumnElement[bool]:
    """In a statement: the file is open, and nothing of that kind happened to it since the day began."""
    last = Claim.changed_at if follow_up is FollowUp.NO_NEWS else func.coalesce(Claim.reserve_seen_at, Claim.created_at)
    return Claim.status.in_(OPEN) & (last < clock.start_of(since))


def count_to_follow(commercial_ids: Collection[UUID], *, today: date) -> dict[FollowUp, int]:
    """How many files of some commercials' clients somebody should look at."""
    statement = (
        select(*(func.count().filter(_is_left(each, each.before(today))) for each in FollowUp))
        .select_from(Claim)
        .join(Client, linked(Client, Claim.client_id))
        .where(Claim.organisation_id == tenancy.current_organisation_id(), Claim.status.in_(OPEN))
        .where(Client.commercial_id.in_(commercial_ids))
    )
    return dict(zip(FollowUp, db.session.execute(statement).one(), strict=True))
