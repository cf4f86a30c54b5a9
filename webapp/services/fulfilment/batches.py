"""The batches of companies: the open one that lines join, and the way each goes.

Locks are taken in one order: charges, batches (older ones first), lines. Whoever changes a line holds its batch at
least ``FOR SHARE``; whoever moves a batch holds it ``FOR UPDATE``.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from webapp.errors import DomainError, NotFoundError
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.fulfilment import BatchStatus, FulfilmentBatch
from webapp.services.preferences.cut_offs import find_cut_off, next_cut_off
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction

MOST_RACES = 20
"""So often may somebody else lock the batch that was just found or made."""


class BatchStateError(DomainError):
    """The batch's state does not allow this."""


def find_batch(batch_id: UUID) -> FulfilmentBatch:
    """A batch. Raises NotFoundError."""
    return _found(db.session.scalar(select(FulfilmentBatch).where(FulfilmentBatch.id == batch_id)))


def lock_batch(batch_id: UUID) -> FulfilmentBatch:
    """A batch, to move it: locked until the transaction ends, as it stands now. Raises NotFoundError."""
    statement = select(FulfilmentBatch).where(FulfilmentBatch.id == batch_id).with_for_update()
    return _found(db.session.scalar(statement.execution_options(populate_existing=True)))


def share_batches(batch_ids: Iterable[UUID]) -> dict[UUID, FulfilmentBatch]:
    """Batches, to change their lines: none of them moves until the transaction ends."""
    statement = (
        select(FulfilmentBatch)
        .where(FulfilmentBatch.id.in_(set(batch_ids)))
        .order_by(FulfilmentBatch.company_id, FulfilmentBatch.number)
        .with_for_update(read=True)
        .execution_options(populate_existing=True)
    )
    return {batch.id: batch for batch in db.session.scalars(statement)}


def _found(batch: FulfilmentBatch | None) -> FulfilmentBatch:
    if batch is None:
        raise NotFoundError("Ce lot n’existe pas ou plus.")
    return batch


def move(batch: FulfilmentBatch, status: BatchStatus) -> None:
    """Bring a locked batch into ``status``. Raises BatchStateError where the table does not lead there."""
    if not batch.can_become(status):
        raise BatchStateError(f"Un lot «\u00a0{batch.status.label}\u00a0» ne permet pas cette action.")
    batch.status = status


def join_open(company_id: UUID, *, at: datetime) -> FulfilmentBatch:
    """The company's open batch, which is not locked until the transaction ends; made where there is none.

    Whoever comes while it is being locked waits, finds it open no more, and makes the next.
    """
    statement = (
        select(FulfilmentBatch)
        .where(FulfilmentBatch.company_id == company_id, FulfilmentBatch.status == BatchStatus.OPEN)
        .with_for_update(read=True)
        .execution_options(populate_existing=True)
    )
    for _ in range(MOST_RACES):
        batch = db.session.scalar(statement)
        if batch is not None:
            return batch
        _open_next(company_id, at=at)
    raise RuntimeError("the open batch is locked again and again")


def _open_next(company_id: UUID, *, at: datetime) -> None:
    """Make it, unless somebody else does at the same instant."""
    last = select(func.coalesce(func.max(FulfilmentBatch.number), 0)).where(FulfilmentBatch.company_id == company_id)
    db.session.execute(
        insert(FulfilmentBatch)
        .values(
            organisation_id=current_organisation_id(),
            id=new_id(),
            company_id=company_id,
            number=db.session.scalars(last).one() + 1,
            status=BatchStatus.OPEN,
            cutoff_at=next_lock(company_id, at=at),
            created_at=at,
        )
        .on_conflict_do_nothing()
    )


def next_lock(company_id: UUID, *, at: datetime) -> datetime | None:
    """When the company's open batch locks itself: at the first cut-off after ``at``. None where a person locks it."""
    cut_off = find_cut_off(company_id)
    if not cut_off.is_active or not cut_off.locks_itself:
        return None
    return next_cut_off(cut_off, at + timedelta(microseconds=1))


def restate_cut_off(company_id: UUID, *, at: datetime) -> None:
    """The company's cut-off was changed: its open batch follows."""
    with transaction():
        statement = select(FulfilmentBatch).where(
            FulfilmentBatch.company_id == company_id, FulfilmentBatch.status == BatchStatus.OPEN
        )
        batch = db.session.scalar(statement.with_for_update().execution_options(populate_existing=True))
        if batch is not None:
            batch.cutoff_at = next_lock(company_id, at=at)
