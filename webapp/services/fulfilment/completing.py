"""« Terminer »: nothing of a dispatched batch is left to do."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select

from webapp import french
from webapp.clock import PARIS
from webapp.extensions import db
from webapp.models.fulfilment import BatchStatus, FulfilmentBatch, FulfilmentBatchLine, LineStatus
from webapp.models.identity import User
from webapp.services.fulfilment import batches
from webapp.services.fulfilment.dispatching import NotReadyError
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction

SETTLED = (LineStatus.SHIPPED, LineStatus.SET_ASIDE, LineStatus.CARRIED_OVER, LineStatus.WITHDRAWN)


def complete(batch_id: UUID, *, by: User, at: datetime) -> FulfilmentBatch:
    """Close a dispatched batch. Raises NotFoundError, BatchStateError, NotReadyError where lines have not left."""
    with transaction():
        batch = batches.lock_batch(batch_id)
        if batch.completed_at is not None:
            who = f" par {batch.completed_by.full_name}" if batch.completed_by else ""
            when = batch.completed_at.astimezone(PARIS)
            raise batches.BatchStateError(f"Déjà terminé{who} le {french.day(when.date())} à {when:%H:%M}.")
        if batch.status is not BatchStatus.DISPATCHED:
            raise batches.BatchStateError("Ce lot n’est pas encore expédié.")
        if left := count_left(batch_id):
            number = french.counted(left, "ligne n’est pas encore expédiée", "lignes ne sont pas encore expédiées")
            raise NotReadyError(f"{number}\u202f: remettez-les au transporteur ou annulez leur expédition.")
        batches.move(batch, BatchStatus.COMPLETED)
        batch.completed_at, batch.completed_by_id = at, by.id
    return batch


def count_left(batch_id: UUID) -> int:
    """How many lines of the batch have neither left nor been decided about."""
    statement = select(func.count()).where(
        FulfilmentBatchLine.organisation_id == current_organisation_id(),
        FulfilmentBatchLine.batch_id == batch_id,
        FulfilmentBatchLine.status.not_in(SETTLED),
    )
    return db.session.execute(statement).scalar_one()
