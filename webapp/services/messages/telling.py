"""The client's timeline tells of messages: each that left, that came back, or that is held.

One row for each of these, in the transaction that records it. A message that was handed over and then delivered has
left once.
"""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from webapp.extensions import db
from webapp.models.messages import HAS_LEFT, Message, MessageStatus
from webapp.models.timeline import EventKind, TimelineEvent

KINDS = dict.fromkeys(HAS_LEFT, EventKind.MESSAGE_SENT) | {
    MessageStatus.BOUNCED: EventKind.MESSAGE_NOT_DELIVERED,
    MessageStatus.FAILED: EventKind.MESSAGE_NOT_DELIVERED,
    MessageStatus.HELD: EventKind.MESSAGE_HELD,
}
"""What is told of a message that has come to a state; of the other states nothing."""


def is_news(old: MessageStatus, new: MessageStatus) -> bool:
    """Whether the timeline tells of this change."""
    return new in KINDS and KINDS.get(old) is not KINDS[new]


def tell(message_ids: Collection[UUID], *, at: datetime, by: UUID | None = None) -> None:
    """Tell the clients of these messages, as they stand now, in the caller's transaction; two statements for all.

    The caller has moved them just now, under their locks: who has not, tells nothing.
    """
    if not message_ids:
        return
    moved = select(Message.id, Message.client_id, Message.status, Message.held_reason, Message.error).where(
        Message.id.in_(message_ids), Message.client_id.is_not(None), Message.status.in_(KINDS)
    )
    db.session.add_all(
        TimelineEvent(
            client_id=row.client_id,
            message_id=row.id,
            kind=KINDS[row.status],
            at=at,
            user_id=by,
            body=row.held_reason.label if row.held_reason else row.error,
        )
        for row in db.session.execute(moved.order_by(Message.id))
    )
