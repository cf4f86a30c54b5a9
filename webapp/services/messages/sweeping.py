"""Looking for messages whose time has come, whose bell was not heard, or whose worker has died."""

from datetime import datetime

from sqlalchemy import ColumnElement, and_, select, update

from webapp import tenancy
from webapp.extensions import db
from webapp.models.messages import Channel, HeldReason, Message, MessageSender, MessageStatus
from webapp.services import each_organisation
from webapp.services.messages import recording, retaking, telling
from webapp.services.messages.writing import JOB
from webapp.transactions import transaction

BATCH = 500


def ring_due(*, at: datetime) -> int:
    """Ring for every organisation with messages to be sent; returns how many organisations."""
    due = select(Message.organisation_id).where(
        Message.status == MessageStatus.QUEUED, Message.sender_id.is_not(None), Message.not_before <= at
    )
    return each_organisation.ring(JOB, due, on="messages")


def sweep(*, at: datetime) -> int:
    """Take over what dead workers left, and hold what is of no use any more; returns how many messages."""
    abandoned = select(Message.organisation_id).where(Message.lease_until < at)
    outdated = select(Message.organisation_id).where(_is_outdated(at))
    return each_organisation.work(lambda: take_over(at=at) + _hold_outdated(at), abandoned, outdated)


def look_again(*, at: datetime) -> int:
    """Have what must arrive leave as soon as what kept it is gone; returns how many messages moved on."""
    held = select(Message.organisation_id).where(
        Message.status == MessageStatus.HELD,
        Message.held_reason.in_(retaking.MENDABLE),
        Message.kind.in_(retaking.MUST_ARRIVE),
    )
    with tenancy.across_organisations():
        organisations = db.session.scalars(held.distinct()).all()
    moved = 0
    for organisation_id in organisations:
        with tenancy.organisation(organisation_id):
            moved += retaking.look_again(at=at)
    return moved


def take_over(*, at: datetime) -> int:
    """What was never handed over waits again; of the rest nobody knows (see ``recording.lose``)."""
    taken = 0
    while batch := _take_over_batch(at):
        taken += batch
    return taken


def _take_over_batch(at: datetime) -> int:
    abandoned = (
        select(Message)
        .where(Message.status == MessageStatus.SENDING, Message.lease_until < at)
        .order_by(Message.id)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    with transaction():
        messages = db.session.scalars(abandoned).all()
        senders = {sender.id: sender for sender in db.session.scalars(select(MessageSender))} if messages else {}
        for message in messages:
            recording.lose(message, senders.get(message.sender_id) if message.sender_id else None, at=at)
    return len(messages)


def _hold_outdated(at: datetime) -> int:
    outdated = update(Message).where(_is_outdated(at))
    with transaction():
        held = db.session.scalars(
            outdated.values(status=MessageStatus.HELD, held_reason=HeldReason.TOO_LATE)
            .returning(Message.id)
            .execution_options(synchronize_session=False)
        ).all()
        telling.tell(held, at=at)
    return len(held)


def _is_outdated(at: datetime) -> ColumnElement[bool]:
    """A letter never is: it says what is true on the day on which it is printed."""
    return and_(Message.status == MessageStatus.QUEUED, Message.channel != Channel.LETTER, Message.expires_at <= at)
