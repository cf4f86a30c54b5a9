"""What a person decides of an operation: apply the plan, give it up, stop it."""

from datetime import datetime
from uuid import UUID

from webapp.errors import DomainError
from webapp.models.identity import User
from webapp.models.operations import OperationState
from webapp.queue import enqueue_after_commit
from webapp.services.operations.handlers import handler_of
from webapp.services.operations.runs import JOB, lock
from webapp.transactions import transaction


class WrongStateError(DomainError):
    """The operation is no longer where this could be decided."""


def apply(operation_id: UUID, *, by: User, at: datetime) -> None:
    """Have the plan applied; again, nothing more happens. Raises NotFoundError, WrongStateError, ForbiddenError."""
    with transaction():
        operation = lock(operation_id)
        handler_of(operation.kind).check_right(operation, by)
        if operation.state in (OperationState.RUNNING, OperationState.DONE, OperationState.PARTIAL):
            return
        if operation.state is not OperationState.PLANNED:
            raise WrongStateError("Cette opération ne peut plus être appliquée.")
        operation.state, operation.started_at = OperationState.RUNNING, at
        operation.position = operation.attempts = 0
        operation.lease_until = None
        enqueue_after_commit(JOB, operation.organisation_id, operation_id, on="operations")


def cancel(operation_id: UUID, *, by: User, at: datetime) -> None:
    """Give the plan up. Raises NotFoundError, WrongStateError, ForbiddenError."""
    with transaction():
        operation = lock(operation_id)
        handler_of(operation.kind).check_right(operation, by)
        if operation.state is OperationState.CANCELED:
            return
        if operation.state not in (OperationState.PREPARING, OperationState.PLANNED):
            raise WrongStateError("Cette opération est déjà appliquée.")
        operation.state, operation.finished_at, operation.lease_until = OperationState.CANCELED, at, None


def stop(operation_id: UUID, *, by: User, at: datetime) -> None:
    """Ask for the end of what is being applied, between two chunks. Raises as ``apply`` does."""
    with transaction():
        operation = lock(operation_id)
        handler_of(operation.kind).check_right(operation, by)
        if operation.is_finished:
            return
        if operation.state is not OperationState.RUNNING:
            raise WrongStateError("Cette opération n’est pas en cours.")
        operation.stop_requested_at = operation.stop_requested_at or at
