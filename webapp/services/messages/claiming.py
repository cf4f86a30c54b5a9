"""Claiming: before a provider is asked to take a message, the asking is a row with a lease and a fence.

A lot is claimed in one transaction, by sender: no faster than its pace, not in its quiet hours, and nothing that may
not be sent any more.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.orm import undefer

from webapp import clock
from webapp.extensions import db
from webapp.gateways.messaging import LONGEST_SEND
from webapp.models.messages import HeldReason, Message, MessageKind, MessageSender, MessageStatus
from webapp.services import public_holidays
from webapp.services.consents import listing as consents
from webapp.services.messages import suppressing, telling
from webapp.services.messages.kinds import KINDS
from webapp.transactions import transaction

LOT = 50
LEASE = LONGEST_SEND + timedelta(minutes=4)
"""How long a silent worker keeps its lot: no call begins that might outlast it."""
PAUSE = timedelta(minutes=5)
"""How long a sender rests whose provider refuses the account, or does not answer; then one message is tried."""
MINUTE = timedelta(minutes=1)
KEY_EXPIRED = "Personne ne sait si ce message est parti\u202f: le prestataire n’a pas répondu à temps."


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The right to hand one message over once, and all that this needs. It holds while the fence is still ``fence``.

    ``attempts`` are those before this one; ``content`` has ``subject``, ``body`` and sometimes ``reply_to``.
    """

    message_id: UUID
    fence: int
    kind: MessageKind
    client_id: UUID | None
    attempts: int
    resend_until: datetime | None
    to: str = field(repr=False)
    content: dict[str, Any] = field(repr=False)
    files: Sequence[tuple[str, UUID]]


@dataclass(frozen=True, kw_only=True)
class Lot:
    """Messages of one sender that one worker may send until ``lease_until``."""

    sender: MessageSender
    claims: list[Claim]
    lease_until: datetime


def list_senders_due(*, at: datetime) -> Sequence[UUID]:
    """The active senders of the organisation that have something to send."""
    waiting = (
        select(Message.id)
        .where(
            Message.sender_id == MessageSender.id,
            Message.status == MessageStatus.QUEUED,
            Message.not_before <= at,
        )
        .exists()
    )
    return db.session.scalars(
        select(MessageSender.id).where(MessageSender.is_active, waiting).order_by(MessageSender.id)
    ).all()


def claim(sender_id: UUID, *, at: datetime) -> Lot | None:
    """Take the sender's next messages; None where there are none to be sent now."""
    with transaction():
        sender = _lock_sender(sender_id)
        if sender is None or (sender.error_at is not None and at < sender.error_at + PAUSE):
            return None
        room = min(LOT, _room(sender, at), 1 if sender.error_at else LOT)
        messages = _lock_due(sender, room, at) if room > 0 else []
        sent = _set_aside(messages, at=at)
        telling.tell([message.id for message in messages if message.status is MessageStatus.HELD], at=at)
        lot = Lot(sender=sender, claims=[_claim(message) for message in sent], lease_until=at + LEASE)
        for message in sent:
            message.lease_until = lot.lease_until
        db.session.flush()
        if sent:
            db.session.expunge(sender)
        return lot if messages else None


def _lock_sender(sender_id: UUID) -> MessageSender | None:
    """One worker at a time counts what a sender may still send."""
    wanted = select(MessageSender).where(MessageSender.id == sender_id, MessageSender.is_active)
    return db.session.scalar(
        wanted.options(undefer(MessageSender.credentials))
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )


def _room(sender: MessageSender, at: datetime) -> int:
    """How many may still leave: those of the last minute count, and those that are claimed."""
    counted = or_(Message.called_at > at - MINUTE, Message.status == MessageStatus.SENDING)
    used = db.session.scalar(select(func.count()).where(Message.sender_id == sender.id, counted)) or 0
    return sender.pace_per_minute - used


def _lock_due(sender: MessageSender, room: int, at: datetime) -> Sequence[Message]:
    due = select(Message).where(
        Message.sender_id == sender.id, Message.status == MessageStatus.QUEUED, Message.not_before <= at
    )
    if is_quiet(sender, at):
        due = due.where(Message.is_asked_for)
    return db.session.scalars(
        due.order_by(Message.not_before, Message.id)
        .limit(room)
        .options(undefer(Message.to), undefer(Message.content))
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    ).all()


def is_quiet(sender: MessageSender, at: datetime) -> bool:
    """Whether nobody is to be written to now who does not wait for it: at night, on Sundays and on holidays."""
    if sender.quiet_from is None or sender.quiet_until is None:
        return False
    local = at.astimezone(clock.PARIS)
    if local.weekday() == 6 or public_holidays.name_of(local.date()):
        return True
    begins, ends, now = sender.quiet_from, sender.quiet_until, local.time()
    return begins <= now < ends if begins <= ends else now >= begins or now < ends


def _set_aside(messages: Sequence[Message], *, at: datetime) -> list[Message]:
    """Hold what may not be sent any more; the rest is claimed, and returned."""
    held = _find_held(messages, at=at)
    claimed = []
    for message in messages:
        message.fence += 1
        message.called_at = None
        reason = held.get(message.id)
        if reason:
            message.status, message.held_reason = MessageStatus.HELD, reason
        elif message.resend_until and at + LONGEST_SEND > message.resend_until:
            message.status, message.error = MessageStatus.UNKNOWN, KEY_EXPIRED
        else:
            message.status = MessageStatus.SENDING
            claimed.append(message)
    return claimed


def _find_held(messages: Sequence[Message], *, at: datetime) -> dict[UUID, HeldReason]:
    """Those that may not be sent as things stand now, and why."""
    addresses = {message.id: message.to_in_clear() or "" for message in messages}
    suppressed = suppressing.find_suppressed(set(addresses.values())) if messages else set()
    against = _find_against(messages)
    held: dict[UUID, HeldReason] = {}
    for message in messages:
        if message.expires_at is not None and message.expires_at <= at:
            held[message.id] = HeldReason.TOO_LATE
        elif addresses[message.id] in suppressed:
            held[message.id] = HeldReason.SUPPRESSED
        elif message.id in against:
            held[message.id] = HeldReason.NO_CONSENT
    return held


def _find_against(messages: Sequence[Message]) -> set[UUID]:
    """Those whose client does not agree to them, or no longer does."""
    against: set[UUID] = set()
    for kind, channel in {(message.kind, message.channel) for message in messages}:
        purpose = KINDS[kind].purpose(channel)
        concerned = {
            message.id: message.client_id
            for message in messages
            if message.kind is kind and message.channel is channel and message.client_id
        }
        if purpose is not None and concerned:
            given = consents.has_given(set(concerned.values()), purpose)
            against |= {message_id for message_id, client_id in concerned.items() if client_id not in given}
    return against


def _claim(message: Message) -> Claim:
    return Claim(
        message_id=message.id,
        fence=message.fence,
        kind=message.kind,
        client_id=message.client_id,
        attempts=message.attempts,
        resend_until=message.resend_until,
        to=message.to_in_clear() or "",
        content=message.content_in_clear(),
        files=[(source, UUID(each)) for source, each in message.attachments.get("files", [])],
    )
