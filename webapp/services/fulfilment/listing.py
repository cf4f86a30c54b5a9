"""What the pages show of batches: those that fill up, those of the past, and the lines of one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import joinedload

from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.charges import Charge
from webapp.models.clients import Client
from webapp.models.fulfilment import (
    BatchStatus,
    BatchTotal,
    FulfilmentBatch,
    FulfilmentBatchLine,
    LineFlag,
    LineStatus,
    TotalKind,
)
from webapp.models.organisations import Company
from webapp.services import keyset
from webapp.services.clients.search import found_by
from webapp.services.fulfilment.batches import find_batch
from webapp.services.fulfilment.deciding import read_reference
from webapp.services.keyset import Position
from webapp.services.preferences.cut_offs import list_cut_offs
from webapp.tenancy import current_organisation_id

PAGE_SIZE = 50
BY_LOCK, BY_NUMBER, BY_ID = "-locked_at", "consignment_no", "id"
UNNUMBERED = frozenset({LineStatus.SET_ASIDE, LineStatus.CARRIED_OVER, LineStatus.WITHDRAWN})
"""States in which a line of a locked batch may have no consignment."""


class OpenBatch(NamedTuple):
    """What fills up for a company: its open batch, if it has one, with how many lines wait and are held.

    ``makes_batches`` is whether what is charged from now on joins one.
    """

    company: Company
    batch: FulfilmentBatch | None
    waiting: int
    held: int
    makes_batches: bool


class PastBatch(NamedTuple):
    """A locked batch: how many lines and consignments leave or left with it, and how many lines are set aside."""

    batch: FulfilmentBatch
    lines: int
    parcels: int
    set_aside: int


@dataclass(frozen=True, kw_only=True)
class LinesView:
    """Which lines of a batch are shown: ``search`` is a consignment's reference, or words over clients."""

    batch_id: UUID
    search: str = ""
    status: LineStatus | None = None
    flag: LineFlag | None = None
    cursor: str | None = None

    @property
    def is_narrowed(self) -> bool:
        """Whether a search or a filter leaves something out."""
        return replace(self, cursor=None) != LinesView(batch_id=self.batch_id)


def list_open() -> list[OpenBatch]:
    """Each company that makes batches, or has an open one, the default company first."""
    open_ones = select(FulfilmentBatch).where(FulfilmentBatch.status == BatchStatus.OPEN)
    found = {
        batch.company_id: batch for batch in db.session.scalars(open_ones.options(joinedload(FulfilmentBatch.company)))
    }
    counts = _count_pending([batch.id for batch in found.values()])
    listed = []
    for company, cut_off in list_cut_offs():
        batch = found.get(company.id)
        if batch is not None or cut_off.is_active:
            waiting, held = counts.get(batch.id, (0, 0)) if batch else (0, 0)
            listed.append(OpenBatch(company, batch, waiting, held, cut_off.is_active))
    return listed


def _count_pending(batch_ids: Sequence[UUID]) -> dict[UUID, tuple[int, int]]:
    held = func.count(FulfilmentBatchLine.held_reason)
    rows = db.session.execute(
        select(FulfilmentBatchLine.batch_id, func.count() - held, held)
        .where(
            FulfilmentBatchLine.organisation_id == current_organisation_id(),
            FulfilmentBatchLine.batch_id.in_(batch_ids),
            FulfilmentBatchLine.status == LineStatus.PENDING,
        )
        .group_by(FulfilmentBatchLine.batch_id)
    )
    return {row[0]: (row[1], row[2]) for row in rows}


def list_past(cursor: str | None = None, *, size: int = PAGE_SIZE) -> keyset.Page[PastBatch]:
    """The locked batches, the latest lock first."""
    statement = (
        select(FulfilmentBatch)
        .where(FulfilmentBatch.locked_at.is_not(None))
        .options(joinedload(FulfilmentBatch.company))
    )

    def read(start: Position | None) -> Sequence[FulfilmentBatch]:
        order = [FulfilmentBatch.locked_at, FulfilmentBatch.id]
        return db.session.scalars(keyset.cut(statement, order, start, is_descending=True, size=size)).all()

    start = keyset.decode(cursor, sort=BY_LOCK, kind=datetime)
    page = keyset.page(read, start, place=_since_lock, sort=BY_LOCK, size=size)
    sums, aside = _sum_totals([each.id for each in page.rows]), _count_aside([each.id for each in page.rows])
    return page.map(
        lambda each: PastBatch(
            each,
            sums.get((each.id, TotalKind.PICKING), 0) + aside.get(each.id, 0),
            sums.get((each.id, TotalKind.BOX), 0),
            aside.get(each.id, 0),
        )
    )


def select_all_past() -> Select[*tuple[Any, ...]]:
    """Every locked batch in its order, joined with its company: an export adds the columns."""
    return (
        select(FulfilmentBatch.id)
        .join(Company, linked(Company, FulfilmentBatch.company_id))
        .where(FulfilmentBatch.locked_at.is_not(None))
        .order_by(FulfilmentBatch.locked_at.desc(), FulfilmentBatch.id.desc())
    )


def _since_lock(batch: FulfilmentBatch) -> tuple[datetime, UUID]:
    if batch.locked_at is None:
        raise AssertionError("a locked batch was locked at some instant")
    return batch.locked_at, batch.id


def _sum_totals(batch_ids: Sequence[UUID]) -> dict[tuple[UUID, TotalKind], int]:
    rows = db.session.execute(
        select(BatchTotal.batch_id, BatchTotal.kind, func.sum(BatchTotal.count))
        .where(BatchTotal.organisation_id == current_organisation_id(), BatchTotal.batch_id.in_(batch_ids))
        .group_by(BatchTotal.batch_id, BatchTotal.kind)
    )
    return {(row[0], row[1]): row[2] for row in rows}


def _count_aside(batch_ids: Sequence[UUID]) -> dict[UUID, int]:
    rows = db.session.execute(
        select(FulfilmentBatchLine.batch_id, func.count())
        .where(
            FulfilmentBatchLine.organisation_id == current_organisation_id(),
            FulfilmentBatchLine.batch_id.in_(batch_ids),
            FulfilmentBatchLine.status == LineStatus.SET_ASIDE,
        )
        .group_by(FulfilmentBatchLine.batch_id)
    )
    return {row[0]: row[1] for row in rows}


def show_batch(batch_id: UUID) -> FulfilmentBatch:
    """A batch with its company and who locked it. Raises NotFoundError."""
    options = joinedload(FulfilmentBatch.company), joinedload(FulfilmentBatch.locked_by)
    statement = select(FulfilmentBatch).where(FulfilmentBatch.id == batch_id).options(*options)
    found = db.session.scalar(statement.execution_options(populate_existing=True))
    return found if found is not None else find_batch(batch_id)


def list_lines(view: LinesView, batch: FulfilmentBatch, *, size: int = PAGE_SIZE) -> keyset.Page[FulfilmentBatchLine]:
    """The lines of the view, by consignment once there are such, each with its client and charge."""
    by_number, conditions = _is_by_number(view, batch), _conditions(view, batch)
    statement = (
        select(FulfilmentBatchLine)
        .where(*conditions)
        .options(joinedload(FulfilmentBatchLine.client), joinedload(FulfilmentBatchLine.charge))
    )
    order: list[Any] = (
        [FulfilmentBatchLine.consignment_no, FulfilmentBatchLine.id] if by_number else [FulfilmentBatchLine.id]
    )
    sort = BY_NUMBER if by_number else BY_ID

    def read(start: Position | None) -> Sequence[FulfilmentBatchLine]:
        return db.session.scalars(keyset.cut(statement, order, start, is_descending=False, size=size)).all()

    start = keyset.decode(view.cursor, sort=sort, kind=int)
    return keyset.page(read, start, place=lambda each: (each.consignment_no or 0, each.id), sort=sort, size=size)


def select_all_lines(view: LinesView) -> Select[*tuple[Any, ...]]:
    """Every line of a view in its order, joined with batch, charge and client: an export adds the columns."""
    batch = find_batch(view.batch_id)
    first = [FulfilmentBatchLine.consignment_no] if _is_by_number(view, batch) else []
    return _with_names().where(*_conditions(view, batch)).order_by(*first, FulfilmentBatchLine.id)


def _with_names() -> Select[*tuple[Any, ...]]:
    return (
        select(FulfilmentBatchLine.id)
        .join(FulfilmentBatch, linked(FulfilmentBatch, FulfilmentBatchLine.batch_id))
        .join(Charge, linked(Charge, FulfilmentBatchLine.charge_id))
        .join(Client, linked(Client, FulfilmentBatchLine.client_id))
    )


def _is_by_number(view: LinesView, batch: FulfilmentBatch) -> bool:
    return batch.status is not BatchStatus.OPEN and view.status not in UNNUMBERED


def _conditions(view: LinesView, batch: FulfilmentBatch) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [FulfilmentBatchLine.batch_id == view.batch_id]
    if _is_by_number(view, batch):
        conditions.append(FulfilmentBatchLine.consignment_no.is_not(None))
    if view.status is not None:
        conditions.append(FulfilmentBatchLine.status == view.status)
    if view.flag is not None:
        conditions.append(FulfilmentBatchLine.flag == view.flag)
    reference = read_reference(view.search)
    if reference is not None:
        number = reference.consignment_no if reference.batch_number == batch.number else -1
        conditions.append(FulfilmentBatchLine.consignment_no == number)
    elif matches := found_by(view.search):
        ours = Client.organisation_id == current_organisation_id()
        conditions.append(FulfilmentBatchLine.client_id.in_(select(Client.id).where(ours, *matches)))
    return conditions


def list_attention(
    batch_id: UUID, cursor: str | None = None, *, size: int = PAGE_SIZE
) -> keyset.Page[FulfilmentBatchLine]:
    """Lines that wait for a person: set aside, or flagged and not decided about."""
    statement = (
        select(FulfilmentBatchLine)
        .where(FulfilmentBatchLine.batch_id == batch_id, needs_person())
        .options(joinedload(FulfilmentBatchLine.client), joinedload(FulfilmentBatchLine.charge))
    )

    def read(start: Position | None) -> Sequence[FulfilmentBatchLine]:
        page = keyset.cut(statement, [FulfilmentBatchLine.id], start, is_descending=False, size=size)
        return db.session.scalars(page).all()

    start = keyset.decode(cursor, sort=BY_ID, kind=int)
    return keyset.page(read, start, place=lambda each: (0, each.id), sort=BY_ID, size=size)


def select_all_attention(batch_id: UUID) -> Select[*tuple[Any, ...]]:
    """Every one of them in that order, joined with batch, charge and client: an export adds the columns."""
    wanted = FulfilmentBatchLine.batch_id == batch_id, needs_person()
    return _with_names().where(*wanted).order_by(FulfilmentBatchLine.id)


def needs_person() -> ColumnElement[bool]:
    """Whether a line of a locked batch waits for a person."""
    undecided = and_(
        FulfilmentBatchLine.flag.is_not(None),
        FulfilmentBatchLine.ships_anyway_at.is_(None),
        FulfilmentBatchLine.status.in_((LineStatus.TO_PREPARE, LineStatus.PREPARED)),
    )
    return or_(FulfilmentBatchLine.status == LineStatus.SET_ASIDE, undecided)


def count_attention(batch_id: UUID) -> int:
    """How many lines of a batch wait for a person."""
    statement = select(func.count()).where(
        FulfilmentBatchLine.organisation_id == current_organisation_id(),
        FulfilmentBatchLine.batch_id == batch_id,
        needs_person(),
    )
    return db.session.execute(statement).scalar_one()


class Late(NamedTuple):
    """Lines that came too late for a lock: how many, and the number and id of the other batch."""

    lines: int
    number: int
    batch_id: UUID


def find_late(batch: FulfilmentBatch) -> tuple[Late | None, Late | None]:
    """What should have gone with this batch and is in the next one, and what is here and should have gone before."""
    rows = db.session.execute(
        select(FulfilmentBatch.number, FulfilmentBatch.id, func.count(FulfilmentBatchLine.id))
        .outerjoin(
            FulfilmentBatchLine,
            and_(linked(FulfilmentBatch, FulfilmentBatchLine.batch_id), FulfilmentBatchLine.is_late),
        )
        .where(
            FulfilmentBatch.organisation_id == current_organisation_id(),
            FulfilmentBatch.company_id == batch.company_id,
            FulfilmentBatch.number.between(batch.number - 1, batch.number + 1),
        )
        .group_by(FulfilmentBatch.number, FulfilmentBatch.id)
    )
    found = {row[0]: Late(row[2], row[0], row[1]) for row in rows}
    here, before, after = (found.get(batch.number + step) for step in (0, -1, 1))
    missed = after if after is not None and after.lines else None
    came_late = Late(here.lines, before.number, before.batch_id) if here and here.lines and before else None
    return missed, came_late
