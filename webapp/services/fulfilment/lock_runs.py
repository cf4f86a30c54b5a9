"""Locking as work: asked for by a person or due by the timetable, carried out by a worker, taken up again if it dies.

The batch's row says what is to be done; the lock itself is one transaction, so that doing it twice locks once.
"""

import time
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import and_, or_, select, update

from webapp import clock, tenancy
from webapp.extensions import db
from webapp.french import upcoming
from webapp.models.fulfilment import BatchStatus, BatchWork, FulfilmentBatch
from webapp.models.identity import User
from webapp.queue import enqueue_after_commit
from webapp.services import outbox
from webapp.services.fulfilment import batches, locking
from webapp.services.fulfilment.batches import BatchStateError
from webapp.services.fulfilment.locking import AlreadyLockedError, EmptyBatchError, Locked
from webapp.transactions import transaction

log = structlog.get_logger()

JOB = "jobs.fulfilment.lock"
GATHER = "webapp.services.fulfilment.gathering.gather"
LEASE = timedelta(seconds=45)
"""How long a silent process keeps a batch; waiting for events renews it."""
WAITING_LIMIT = timedelta(seconds=30)
"""How long work may wait for its first worker before the bell is rung again."""
PATIENCE = timedelta(minutes=2)
"""How long a lock waits for what happened before it and was not heard of yet."""
PAUSE_SECONDS = 0.2


def request(batch_id: UUID, *, by: User, at: datetime) -> FulfilmentBatch:
    """Ask a worker to lock the batch. Raises NotFoundError, AlreadyLockedError, EmptyBatchError, BatchStateError."""
    by_id = by.id
    with transaction():
        batch = batches.lock_batch(batch_id)
        locking.check_open(batch)
        if batch.work is not None and batch.work_at is not None:
            raise BatchStateError(f"Ce lot est déjà en cours de verrouillage, demandé {upcoming(batch.work_at, at)}.")
        locking.check_not_empty(batch, at=at)
        batch.work, batch.work_at, batch.work_by_id, batch.work_error = BatchWork.LOCK, at, by_id, None
        enqueue_after_commit(JOB, batch.organisation_id, batch.id, on="fulfilment")
    return batch


def is_silent(batch: FulfilmentBatch, *, at: datetime) -> bool:
    """Whether nobody has worked on a lock that was asked for, for so long that it will be taken up again."""
    if batch.work is None or batch.work_at is None:
        return False
    return batch.lease_until < at if batch.lease_until is not None else batch.work_at < at - WAITING_LIMIT


def carry_out(organisation_id: UUID, batch_id: UUID, *, patience: timedelta = PATIENCE) -> Locked | None:
    """Lock the batch if that was asked for, or is due; None where nothing was done. Safe to call at any time."""
    with tenancy.organisation(organisation_id), structlog.contextvars.bound_contextvars(batch_id=str(batch_id)):
        batch = _claim(batch_id, at=clock.now())
        if batch is None:
            return None
        _await_events(batch, patience)
        by = db.session.scalar(select(User).where(User.id == batch.work_by_id)) if batch.work_by_id else None
        try:
            return locking.lock(batch_id, by=by, at=clock.now())
        except AlreadyLockedError:
            return None
        except EmptyBatchError as refusal:
            _end_empty(batch_id, refusal.message, at=clock.now())
            return None


def _claim(batch_id: UUID, *, at: datetime) -> FulfilmentBatch | None:
    with transaction():
        batch = batches.lock_batch(batch_id)
        is_due = batch.cutoff_at is not None and batch.cutoff_at <= at
        is_held = batch.lease_until is not None and batch.lease_until > at
        if batch.status is not BatchStatus.OPEN or is_held or not (is_due or batch.work is BatchWork.LOCK):
            return None
        if batch.work is None:
            batch.work, batch.work_at = BatchWork.LOCK, at
        batch.lease_until = at + LEASE
        batch.fence += 1
        return batch


def _await_events(batch: FulfilmentBatch, patience: timedelta) -> None:
    """Hear of what happened before the lock. What is not heard of in time, or fails, comes with the next batch."""
    batch_id, company_id = batch.id, batch.company_id
    before = locking.in_time_before(batch, at=clock.now())
    outbox.hurry(GATHER, before=before, company_id=company_id, at=clock.now())
    deadline = time.monotonic() + patience.total_seconds()
    while outbox.count_earlier(GATHER, before=before, company_id=company_id):
        if time.monotonic() >= deadline:
            log.warning("batch_locked_early", batch_id=str(batch_id))
            return
        _renew(batch_id, at=clock.now())
        if not outbox.deliver_earlier(GATHER, before=before, company_id=company_id, at=clock.now()):
            time.sleep(PAUSE_SECONDS)  # another process has it in hand, or it failed a moment ago


def _renew(batch_id: UUID, *, at: datetime) -> None:
    with transaction():
        db.session.execute(
            update(FulfilmentBatch)
            .where(FulfilmentBatch.id == batch_id, FulfilmentBatch.lease_until < at + LEASE / 2)
            .values(lease_until=at + LEASE)
            .execution_options(synchronize_session=False)
        )


def _end_empty(batch_id: UUID, error: str, *, at: datetime) -> None:
    """An empty batch stays open: its cut-off moves on, and who asked for the lock is told."""
    with transaction():
        batch = batches.lock_batch(batch_id)
        batch.work_error = error if batch.work_by_id else None
        batch.work = batch.work_at = batch.work_by_id = batch.lease_until = None
        if batch.cutoff_at is not None and batch.cutoff_at <= at:
            batch.cutoff_at = batches.next_lock(batch.company_id, at=at)


def list_due(*, at: datetime) -> list[tuple[UUID, UUID]]:
    """The batches of all organisations whose cut-off has passed: organisation and batch, the longest due first."""
    statement = select(FulfilmentBatch.organisation_id, FulfilmentBatch.id).where(
        FulfilmentBatch.status == BatchStatus.OPEN, FulfilmentBatch.cutoff_at <= at
    )
    with tenancy.across_organisations():
        return [(row[0], row[1]) for row in db.session.execute(statement.order_by(FulfilmentBatch.cutoff_at))]


def ring_due(*, at: datetime) -> int:
    """Ring for every batch whose cut-off has passed; returns how many."""
    due = list_due(at=at)
    for organisation_id, batch_id in due:
        enqueue_after_commit(JOB, organisation_id, batch_id, on="fulfilment")
    return len(due)


def sweep(*, at: datetime) -> int:
    """Ring again for work whose bell was lost, or whose worker died; returns how many batches."""
    is_silent = or_(
        FulfilmentBatch.lease_until < at,
        and_(FulfilmentBatch.lease_until.is_(None), FulfilmentBatch.work_at < at - WAITING_LIMIT),
    )
    with tenancy.across_organisations():
        abandoned = db.session.execute(
            select(FulfilmentBatch.organisation_id, FulfilmentBatch.id).where(
                FulfilmentBatch.work == BatchWork.LOCK, is_silent
            )
        ).all()
    for organisation_id, batch_id in abandoned:
        log.warning("batch_work_abandoned", batch_id=str(batch_id))
        enqueue_after_commit(JOB, organisation_id, batch_id, on="fulfilment")
    return len(abandoned)
