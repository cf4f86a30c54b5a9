"""What people decide about messages that do not go on by themselves."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select

from webapp import clock, queue, tenancy
from webapp.errors import DomainError, NotFoundError
from webapp.extensions import db
from webapp.models.identity import User
from webapp.models.messages import (
    Channel,
    HeldReason,
    Message,
    MessageEvent,
    MessageEventKind,
    MessageKind,
    MessageStatus,
)
from webapp.services.messages import preparing, retaking, telling
from webapp.services.messages.drafts import Draft
from webapp.services.messages.writing import ring
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction

AT_ONCE = 500
"""How many held messages one transaction takes up again."""
PATIENCE, TURN = timedelta(seconds=5), timedelta(minutes=3)
"""How long a person waits for held messages to be taken up, and how long one job goes on with them."""
RELEASE_JOB = "jobs.messages.release_held"
CANCELED = "Annulé"
RELEASED = "Repris"
REPLACED = "Remplacé par un autre, qui dit ce qui vaut maintenant"
REWRITTEN = "Réécrite pour être imprimée"
CONSIDERED_SENT = "Considéré comme envoyé"
SENT_AGAIN = "Envoyé de nouveau"


class MessageStateError(DomainError):
    """The message is in a state in which this cannot be done."""


def cancel(message_id: UUID, *, at: datetime, by: User | None) -> Message:
    """It will not leave. Raises NotFoundError; MessageStateError where it has left, or is leaving."""
    with transaction():
        message = _lock(message_id)
        if message.status is MessageStatus.CANCELED:
            return message
        _move(
            message,
            MessageStatus.CANCELED,
            "Ce message est parti, ou part en ce moment\u202f: il ne peut plus être annulé.",
        )
        _tell(message, CANCELED, by=by, at=at)
        return message


def withdraw(subject_id: UUID, kinds: Collection[MessageKind], *, at: datetime) -> set[UUID]:
    """What these messages about something say is true no longer: cancel those that have not left; returns their ids.

    One that is leaving now, or did perhaps, does not leave again by itself.
    """
    about = select(Message).where(
        Message.subject_id == subject_id,
        Message.kind.in_(kinds),
        Message.status.in_((*_WAITING, MessageStatus.SENDING, MessageStatus.UNKNOWN)),
    )
    canceled = set()
    with transaction():
        for message in retaking.load(about.order_by(Message.id).with_for_update()):
            if message.status in _WAITING:
                _move(message, MessageStatus.CANCELED, "")
                _tell(message, CANCELED, by=None, at=at)
                canceled.add(message.id)
            else:
                message.expires_at = at
    return canceled


_WAITING = (MessageStatus.QUEUED, MessageStatus.HELD)


def consider_sent(message_id: UUID, *, at: datetime, by: User | None) -> Message:
    """It has left: somebody has seen so at the provider's. Raises NotFoundError, MessageStateError."""
    with transaction():
        message = _lock(message_id)
        if message.status is not MessageStatus.UNKNOWN:
            raise MessageStateError("Ce message n’est pas de sort inconnu.")
        _move(message, MessageStatus.SENT, "")
        message.sent_at, message.error = message.called_at or at, None
        _tell(message, CONSIDERED_SENT, by=by, at=at)
        telling.tell([message.id], at=at, by=by.id if by else None)
        return message


def send_again(message_id: UUID, *, at: datetime, by: User | None) -> Message:
    """Have it sent once more, to the client's present address; a held one is prepared anew.

    It is held again where something is still missing. Raises NotFoundError, MessageStateError.
    """
    with transaction():
        message = _lock(message_id)
        if not message.status.awaits_person:
            raise MessageStateError("Ce message n’attend pas de décision.")
        text = RELEASED if message.status is MessageStatus.HELD else SENT_AGAIN
        refused = message.status is not MessageStatus.HELD
        retaking.prepare_again([message], at=at)
        if refused and message.held_reason:
            raise MessageStateError(f"{message.held_reason.label} Corrigez, puis réessayez.")
        _tell(message, text, by=by, at=at)
        ring()
        return message


def rewrite_letter(message_id: UUID, draft: Draft, *, at: datetime, by: User | None) -> Message:
    """Have a letter that was not posted say what is true now; held where something is missing by now.

    Raises NotFoundError; MessageStateError for what is no letter, or does not wait for the post.
    """
    with transaction():
        letter = _lock(message_id)
        if letter.channel is not Channel.LETTER or letter.status is not MessageStatus.QUEUED:
            raise MessageStateError("Cette lettre n’attend plus d’être postée.")
        [row] = preparing.prepare([draft], ids=[letter.id], at=at)
        retaking.replace(letter, row)
        _tell(letter, REWRITTEN, by=by, at=at)
        telling.tell([letter.id] if letter.held_reason else [], at=at, by=by.id if by else None)
    return letter


def replace_outdated(subject_ids: Collection[UUID], kind: MessageKind, *, at: datetime) -> int:
    """Messages of the kind about these subjects came too late, and others are written in their place: cancel them."""
    outdated = select(Message).where(
        Message.kind == kind,
        Message.subject_id.in_(subject_ids),
        Message.status == MessageStatus.HELD,
        Message.held_reason == HeldReason.TOO_LATE,
    )
    with transaction():
        messages = retaking.load(outdated.order_by(Message.id).with_for_update())
        for message in messages:
            _move(message, MessageStatus.CANCELED, "")
            _tell(message, REPLACED, by=None, at=at)
    return len(messages)


class Released(NamedTuple):
    """How many messages left of those that were looked at; ``goes_on`` where a worker looks at the rest."""

    released: int
    looked_at: int
    goes_on: bool


def release_held(
    reason: HeldReason, *, at: datetime, by: User | None, after: UUID | None = None, patience: timedelta = PATIENCE
) -> Released:
    """Take up what is held for a reason, the oldest first, from after the message ``after`` on.

    What cannot be looked at within ``patience`` is left to a worker.
    """
    released = looked_at = 0
    end = clock.now() + patience
    while messages := _release_lot(reason, after, by=by, at=at):
        released += sum(message.status is MessageStatus.QUEUED for message in messages)
        looked_at += len(messages)
        after = messages[-1].id
        if clock.now() >= end:
            ids = (current_organisation_id(), reason.value, after, by.id if by else "")
            queue.enqueue_after_commit(RELEASE_JOB, *ids, on="messages")
            return Released(released, looked_at, goes_on=True)
    return Released(released, looked_at, goes_on=False)


def release_rest(organisation_id: UUID, reason: str, after: UUID, by_id: UUID | None) -> Released:
    """What ``release_held`` left to a worker; a turn of it, the rest after other jobs."""
    with tenancy.organisation(organisation_id):
        by = db.session.scalar(select(User).where(User.id == by_id)) if by_id else None
        return release_held(HeldReason(reason), at=clock.now(), by=by, after=after, patience=TURN)


def _release_lot(reason: HeldReason, after: UUID | None, *, by: User | None, at: datetime) -> Sequence[Message]:
    held = select(Message).where(Message.status == MessageStatus.HELD, Message.held_reason == reason)
    if after is not None:
        held = held.where(Message.id > after)
    with transaction():
        messages = retaking.load(held.order_by(Message.id).limit(AT_ONCE).with_for_update(skip_locked=True))
        retaking.prepare_again(messages, at=at)
        released = [message for message in messages if message.status is MessageStatus.QUEUED]
        for message in released:
            _tell(message, RELEASED, by=by, at=at)
        if released:
            ring()
    return messages


def _lock(message_id: UUID) -> Message:
    found = retaking.load(select(Message).where(Message.id == message_id).with_for_update())
    if not found:
        raise NotFoundError("Ce message n’existe pas ou plus.")
    return found[0]


def _move(message: Message, status: MessageStatus, refusal: str) -> None:
    if not message.can_become(status):
        raise MessageStateError(refusal)
    message.status, message.held_reason, message.resend_until = status, None, None


def _tell(message: Message, text: str, *, by: User | None, at: datetime) -> None:
    db.session.add(
        MessageEvent(
            message_id=message.id, at=at, kind=MessageEventKind.DECIDED, text=text, user_id=by.id if by else None
        )
    )
