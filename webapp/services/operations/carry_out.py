"""An operation from its claim to its end: a plan is prepared, or applied chunk by chunk."""

from uuid import UUID, uuid4

import psycopg
import structlog
from sqlalchemy.exc import InterfaceError, OperationalError

from webapp import clock, tenancy
from webapp.errors import DomainError
from webapp.extensions import db
from webapp.models.operations import Operation, OperationState
from webapp.services.operations import runs, writing
from webapp.services.operations.handlers import handler_of
from webapp.services.operations.runs import LeaseLostError, StoppedError, Work
from webapp.transactions import transaction

log = structlog.get_logger()

CHUNK = 2000
"""Items of a transaction: others wait for their rows no longer than a second."""


def carry_out(organisation_id: UUID, operation_id: UUID) -> None:
    """Work on the operation until its end, if nobody else does. Safe to call at any time, any number of times."""
    with tenancy.organisation(organisation_id), structlog.contextvars.bound_contextvars(operation_id=str(operation_id)):
        work = runs.claim(operation_id, at=clock.now())
        if work is None:
            return
        try:
            _work(work)
        except LeaseLostError:
            log.warning("operation_lease_lost", fence=work.fence)


def _work(work: Work) -> None:
    try:
        if work.operation.state is OperationState.PREPARING:
            handler_of(work.operation.kind).prepare(work)
        else:
            _apply(work)
    except LeaseLostError:
        raise
    except StoppedError as error:
        db.session.rollback()
        if work.operation.applied:
            work.end(OperationState.PARTIAL, error=error.message)
        else:
            work.end(OperationState.CANCELED)
    except DomainError as error:
        _fail(work, error.message)
    except (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError):
        raise  # the database is away: the sweep resumes once it is back
    except Exception:
        reference = uuid4().hex[:8]
        log.exception("operation_failed", reference=reference)
        _fail(work, f"Une erreur inattendue a arrêté cette opération (référence {reference}).")


def _fail(work: Work, reason: str) -> None:
    db.session.rollback()
    was_applied = work.operation.state is OperationState.RUNNING and work.operation.applied > 0
    work.end(OperationState.PARTIAL if was_applied else OperationState.FAILED, error=reason)


def _apply(work: Work) -> None:
    """Chunk after chunk, from where an earlier process has come."""
    operation = work.operation
    if apply := handler_of(operation.kind).apply:
        apply(work)
        return
    while operation.position < operation.total:
        with transaction():
            _apply_chunk(work, min(operation.position + CHUNK, operation.total))
    with transaction():
        handler_of(operation.kind).finish(work)
        is_whole = operation.left_out == operation.errors == operation.undecided == 0
        work.end(OperationState.DONE if is_whole else OperationState.PARTIAL)
    log.info("operation_finished", applied=operation.applied, left_out=operation.left_out)


def _apply_chunk(work: Work, upto: int) -> None:
    """The items up to ``upto``, and what it came to, in the caller's transaction."""
    operation = work.operation
    chunk = writing.Chunk(
        operation.organisation_id,
        operation.id,
        operation.position,
        upto,
        operation.by_id,
        work.at(),
        plan_begun_at=operation.created_at,
    )
    result = writing.apply(chunk)
    counts = {"applied": operation.applied + result.applied, "left_out": operation.left_out + result.left_out}
    work.save(position=upto, **counts)
    _note(operation, position=upto, **counts)


def _note(operation: Operation, **counts: int) -> None:
    for name, value in counts.items():
        setattr(operation, name, value)
