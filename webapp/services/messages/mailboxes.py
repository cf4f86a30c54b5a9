"""Reading the mailboxes of bounces, for senders whose provider has no webhooks.

How far a mailbox was read is kept in the transaction that keeps what a mail told: a reader that is killed, or overtaken
by another, reads no mail for nothing and none twice with effect.
"""

from contextlib import closing
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import structlog
from sqlalchemy import Update, select, update
from sqlalchemy.orm import undefer

from webapp import clock, queue, tenancy
from webapp.extensions import db
from webapp.gateways.messaging import bounces
from webapp.gateways.messaging.bounces import MailboxError, Position, Read
from webapp.models.messages import MessageSender
from webapp.services import each_organisation
from webapp.services.messages import hearing
from webapp.transactions import transaction

log = structlog.get_logger()

JOB = "jobs.messages.read_mailboxes"
AT_ONCE = 200
"""Mails that are read of one mailbox at a time; the rest is read the next time."""
TURN = timedelta(seconds=60)
"""How long one mailbox may take: others wait."""
UNREADABLE = "Boîte des rejets\u202f: {reason}"


class _Mailbox(NamedTuple):
    """A mailbox, and how far it was read; None: not yet."""

    sender_id: UUID
    company_id: UUID
    credentials: dict[str, str]
    position: Position | None
    opened_at: datetime


class _OvertakenError(Exception):
    """Somebody else has read on meanwhile, or the mailbox is another one now."""


def ring(*, at: datetime) -> int:
    """Ring for every organisation with mailboxes to be read; returns how many organisations."""
    reading = select(MessageSender.organisation_id).where(MessageSender.mailbox.is_not(None))
    return each_organisation.ring(JOB, reading, on="messages")


def read_all(organisation_id: UUID) -> int:
    """Read what is new in the organisation's mailboxes; returns how many mails. One that fails does not stop others."""
    queue.heard(JOB, organisation_id)
    with tenancy.organisation(organisation_id):
        return sum(_try_to_read(mailbox) for mailbox in _load_mailboxes())


def _load_mailboxes() -> list[_Mailbox]:
    """A sender that is switched off is read too: what it has sent comes back."""
    with transaction():  # ended before any server is asked
        senders = db.session.scalars(
            select(MessageSender)
            .where(MessageSender.mailbox.is_not(None))
            .options(undefer(MessageSender.mailbox))
            .order_by(MessageSender.id)
            .execution_options(populate_existing=True)
        )
        return [
            _Mailbox(sender.id, sender.company_id, sender.mailbox_in_clear(), _position(sender), sender.created_at)
            for sender in senders
        ]


def _position(sender: MessageSender) -> Position | None:
    if sender.mailbox_uid_validity is None or sender.mailbox_uid is None:
        return None
    return Position(sender.mailbox_uid_validity, sender.mailbox_uid)


def _try_to_read(mailbox: _Mailbox) -> int:
    """How many mails were read; a fault of ours is logged, and the mail is tried again the next time."""
    try:
        return _read(mailbox)
    except Exception:
        log.exception("mailbox_failed", sender_id=str(mailbox.sender_id))
        return 0


def _read(mailbox: _Mailbox) -> int:
    read, end, reason = 0, clock.now() + TURN, None
    before = mailbox.position
    since = mailbox.opened_at.astimezone(clock.PARIS).date()
    try:
        with closing(bounces.read_mailbox(mailbox.credentials, after=before, limit=AT_ONCE, since=since)) as mails:
            for mail in mails:
                _keep(mailbox, mail, before)
                before = mail.position
                read += 1
                if clock.now() >= end:
                    break
    except MailboxError as error:
        log.warning("mailbox_unreadable", sender_id=str(mailbox.sender_id))
        reason = UNREADABLE.format(reason=error)
    except _OvertakenError:
        return read
    _note(mailbox, before, reason)
    return read


def _keep(mailbox: _Mailbox, mail: Read, before: Position | None) -> None:
    """What the mail told, and that it was read. Raises _OvertakenError."""
    with transaction():
        hearing.hear_events(mailbox.company_id, mail.events, at=clock.now(), is_final=True)
        moved = _still(mailbox, before).values(
            mailbox_uid_validity=mail.position.uid_validity, mailbox_uid=mail.position.uid
        )
        if not db.session.execute(moved).rowcount:  # type: ignore[attr-defined]
            raise _OvertakenError


def _note(mailbox: _Mailbox, position: Position | None, reason: str | None) -> None:
    """Why it cannot be read, on the sender, for people. What the provider refuses the sender with stands before it."""
    with transaction():
        noted = _still(mailbox, position).where(
            MessageSender.error_at.is_(None), MessageSender.error.is_distinct_from(reason)
        )
        db.session.execute(noted.values(error=reason))


def _still(mailbox: _Mailbox, position: Position | None) -> Update:
    """The sender, if its mailbox was read as far as we know."""
    validity, uid = position or (None, None)
    changed = update(MessageSender).where(
        MessageSender.id == mailbox.sender_id,
        MessageSender.mailbox_uid_validity.is_not_distinct_from(validity),
        MessageSender.mailbox_uid.is_not_distinct_from(uid),
        MessageSender.mailbox.is_not(None),
    )
    return changed.execution_options(synchronize_session=False)
