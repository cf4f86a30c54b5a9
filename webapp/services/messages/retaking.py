"""Taking messages up again: they are addressed, and filled in where they were not, as if they were written now."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import undefer

from webapp.extensions import db
from webapp.models.messages import HeldReason, Message, MessageStatus
from webapp.services.messages import drafts, preparing
from webapp.services.messages.kinds import KINDS
from webapp.services.messages.writing import ring
from webapp.transactions import transaction

BATCH = 500
MUST_ARRIVE = tuple(kind for kind, described in KINDS.items() if described.must_arrive)
MENDABLE = (HeldReason.NO_ADDRESS, HeldReason.SUPPRESSED, HeldReason.NO_SENDER)
"""What somebody may have put right since, in the client's record or in the settings."""
_REPLACED = frozenset("channel template_id sender_id status held_reason to to_index content not_before error".split())


def load(statement: Select[Message]) -> Sequence[Message]:
    """Messages with all that it takes to prepare them again."""
    return db.session.scalars(
        statement.options(undefer(Message.content), undefer(Message.to)).execution_options(populate_existing=True)
    ).all()


def prepare_again(messages: Sequence[Message], *, at: datetime, only_changed: bool = False) -> list[Message]:
    """Prepare messages anew, which are locked; returns those that this was done to.

    Words that had been filled in stay as they are. ``only_changed`` leaves those alone that are held as before.
    """
    sources = [drafts.restore(message) for message in messages]
    rows = preparing.prepare(sources, ids=[message.id for message in messages], at=at)
    done = []
    for message, draft, row in zip(messages, sources, rows, strict=True):
        if only_changed and row["held_reason"] is message.held_reason:
            continue
        replace(message, row if draft.words is None else row | {"template_id": message.template_id})
        message.resend_until, message.attempts = None, 0
        message.fence += 1
        done.append(message)
    return done


def replace(message: Message, row: Mapping[str, Any]) -> None:
    """Give a message what was prepared for it."""
    for column in _REPLACED:
        setattr(message, column, row[column])


def look_again(*, at: datetime) -> int:
    """Have what must arrive leave as soon as what kept it is gone, in the current organisation; how many moved on.

    A day that it names may have become untrue meanwhile: such a one is held as too late, and whoever wrote it writes
    another.
    """
    moved, after = 0, None
    while True:
        held = select(Message).where(
            Message.status == MessageStatus.HELD,
            Message.held_reason.in_(MENDABLE),
            Message.kind.in_(MUST_ARRIVE),
        )
        if after is not None:
            held = held.where(Message.id > after)
        with transaction():
            messages = load(held.order_by(Message.id).limit(BATCH).with_for_update(skip_locked=True))
            moved += len(prepare_again(messages, at=at, only_changed=True))
        if not messages:
            break
        after = messages[-1].id
    if moved:
        ring()
    return moved
