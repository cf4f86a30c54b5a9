"""The merges of a client that can still be taken back."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.orm import aliased

from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.operations import UNDO_WITHIN, Operation, OperationKind, OperationState
from webapp.models.timeline import EventKind, TimelineEvent


def list_recent(client_id: UUID, *, at: datetime) -> Sequence[Operation]:
    """Merges into the client, the newest first, that nobody has taken back."""
    undo = aliased(Operation)
    return db.session.scalars(
        select(Operation)
        .join(TimelineEvent, linked(Operation, TimelineEvent.operation_id))
        .where(
            TimelineEvent.client_id == client_id,
            TimelineEvent.kind == EventKind.CLIENT_MERGED,
            TimelineEvent.at > at - UNDO_WITHIN,
            Operation.kind == OperationKind.MERGE,
            ~exists().where(undo.undoes_id == Operation.id, undo.state == OperationState.DONE),
        )
        .order_by(TimelineEvent.at.desc(), TimelineEvent.id.desc())
    ).all()
