"""The life of an operation: planned, applied once, owned by one process at a time, always brought to an end.

An operation is a row before it is a job. Whoever works on it holds a lease, renewed with every chunk, and a fence; when
the lease runs out the sweep rings again, and another process goes on from ``position``, which every chunk committed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, and_, func, or_, select, update

from webapp import clock, tenancy
from webapp.errors import DomainError, NotFoundError
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.operations import WORKED_ON, Operation, OperationKind, OperationState
from webapp.queue import enqueue_after_commit
from webapp.transactions import transaction

log = structlog.get_logger()

JOB = "jobs.operations.carry_out"
LEASE = timedelta(seconds=45)
"""How long a silent process keeps an operation. Chunks renew it every few seconds."""
WAITING_LIMIT = timedelta(seconds=30)
"""How long an operation may wait for its first claim before the bell is rung again."""
MAX_ATTEMPTS = 4
"""An operation that ended this many processes is closed as failed."""
INTERRUPTED = "Cette opération a été interrompue plusieurs fois et a été arrêtée."
STOPPED = "Arrêtée à la demande\u202f: ce qui précède est appliqué, le reste ne l’est pas."


class LeaseLostError(DomainError):
    """Another process has taken the operation over; this one must stop without writing."""


class StoppedError(DomainError):
    """Somebody asked for the end; what was done stands."""


@dataclass
class Work:
    """The right to work on an operation, held as long as its fence is ``fence``; and where the work has come.

    ``operation`` is as it was claimed, with what ``save`` wrote since.
    """

    operation: Operation
    fence: int
    attempt: int
    at: Callable[[], datetime] = field(default=clock.now)

    def save(self, **progress: Any) -> None:
        """Write ``progress`` (columns of Operation) and, unless it ends the lease, prolong that; in the caller's
        transaction.

        Raises LeaseLostError or StoppedError, which undo the caller's transaction.
        """
        with transaction():
            stop = db.session.execute(
                update(Operation)
                .where(Operation.id == self.operation.id, Operation.fence == self.fence, Operation.state.in_(WORKED_ON))
                .values({"lease_until": self.at() + LEASE, **progress})
                .returning(Operation.stop_requested_at)
                .execution_options(synchronize_session=False)
            ).first()
            if stop is None:
                raise LeaseLostError("Cette opération a été reprise par un autre processus.")
            if stop.stop_requested_at is not None and "finished_at" not in progress:
                raise StoppedError(STOPPED)

    def end(self, state: OperationState, *, error: str | None = None, **progress: Any) -> None:
        """Bring what is being applied to its end, or a preparation to one without a plan. Raises LeaseLostError."""
        self.save(state=state, error=error, finished_at=self.at(), lease_until=None, **progress)

    def end_plan(self, **counts: Any) -> None:
        """The plan is written: a person looks at it now. Raises LeaseLostError."""
        self.save(
            state=OperationState.PLANNED, planned_at=self.at(), position=0, attempts=0, lease_until=None, **counts
        )


def start(
    kind: OperationKind,
    title: str,
    *,
    by: UUID | None,
    at: datetime,
    settings: dict[str, Any] | None = None,
    **columns: Any,
) -> UUID:
    """A new operation of the current organisation, whose plan a worker makes. Returns its id."""
    operation_id = new_id()
    with transaction():
        db.session.add(
            Operation(
                id=operation_id,
                kind=kind,
                title=title[:200],
                state=OperationState.PREPARING,
                settings=settings or {},
                by_id=by,
                created_at=at,
                **columns,
            )
        )
        db.session.flush()
        enqueue_after_commit(JOB, tenancy.current_organisation_id(), operation_id, on="operations")
    return operation_id


def find(operation_id: UUID) -> Operation:
    """The operation, as it stands. Raises NotFoundError."""
    wanted = select(Operation).where(Operation.id == operation_id).execution_options(populate_existing=True)
    operation = db.session.scalar(wanted)
    if operation is None:
        raise NotFoundError("Cette opération n’existe pas ou plus.")
    return operation


def lock(operation_id: UUID) -> Operation:
    """The operation, locked. Raises NotFoundError."""
    wanted = select(Operation).where(Operation.id == operation_id).with_for_update()
    operation = db.session.scalar(wanted.execution_options(populate_existing=True))
    if operation is None:
        raise NotFoundError("Cette opération n’existe pas ou plus.")
    return operation


def claim(operation_id: UUID, *, at: datetime) -> Work | None:
    """Take the operation, if nobody holds it: None where it has ended, is held, or was tried too often."""
    with transaction():
        operation = lock(operation_id)
        if operation.state not in WORKED_ON or (operation.lease_until is not None and operation.lease_until > at):
            return None
        if operation.attempts >= MAX_ATTEMPTS:
            operation.state, operation.error = OperationState.FAILED, INTERRUPTED
            operation.finished_at, operation.lease_until = at, None
            return None
        operation.fence += 1
        operation.attempts += 1
        operation.lease_until = at + LEASE
    operation = find(operation_id)
    db.session.expunge(operation)
    return Work(operation, operation.fence, operation.attempts)


def sweep(*, at: datetime) -> int:
    """Ring again for every operation, of any organisation, whose lease ran out or whose bell was never heard."""
    asked_at = func.coalesce(Operation.started_at, Operation.created_at)
    with tenancy.across_organisations():
        abandoned = db.session.execute(
            select(Operation.organisation_id, Operation.id).where(
                Operation.state.in_(WORKED_ON), _is_silent(at, asked_at)
            )
        ).all()
    for organisation_id, operation_id in abandoned:
        log.warning("operation_abandoned", operation_id=str(operation_id), organisation_id=str(organisation_id))
        enqueue_after_commit(JOB, organisation_id, operation_id, on="operations")
    return len(abandoned)


def _is_silent(at: datetime, asked_at: ColumnElement[datetime]) -> ColumnElement[bool]:
    return or_(Operation.lease_until < at, and_(Operation.lease_until.is_(None), asked_at < at - WAITING_LIMIT))
