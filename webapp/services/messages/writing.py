"""Writing messages: a row each, in the transaction of what causes it, once however often the cause comes by."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, String, any_, literal, select
from sqlalchemy.dialects.postgresql import insert

from webapp import queue, tenancy
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.messages import Message, MessageStatus
from webapp.services.messages import preparing, switches, telling
from webapp.services.messages.drafts import Attachment, Draft
from webapp.transactions import transaction

__all__ = ["JOB", "Attachment", "Draft", "write", "write_many"]

JOB = "jobs.messages.send"
AT_ONCE = 500
"""Drafts that are prepared and written together: memory stays flat however many there are."""


def write(draft: Draft, *, at: datetime, by: UUID | None = None) -> UUID | None:
    """Write one message, in the caller's transaction; None where it was written before, or its kind is switched off.

    It leaves by the queue after the commit. Nothing is lost: what cannot leave is held, with its reason.
    """
    return next(iter(_write([draft], at=at, by=by)), None)


def write_many(drafts: Sequence[Draft], *, at: datetime, by: UUID | None = None) -> int:
    """Write messages as ``write`` does; returns how many were not there before."""
    with transaction():
        return sum(len(_write(some, at=at, by=by)) for some in _in_lots(drafts))


def _in_lots(drafts: Sequence[Draft]) -> Iterator[Sequence[Draft]]:
    for start in range(0, len(drafts), AT_ONCE):
        yield drafts[start : start + AT_ONCE]


def _write(drafts: Sequence[Draft], *, at: datetime, by: UUID | None) -> list[UUID]:
    with transaction():
        fresh = leave_out(drafts)
        if not fresh:
            return []
        rows = [row | {"written_by_id": by} for row in preparing.prepare(fresh, at=at)]
        statement = insert(Message).on_conflict_do_nothing(index_elements=[Message.organisation_id, Message.dedupe_key])
        ids = set(db.session.scalars(statement.returning(Message.id), rows))
        leaving = [row for row in rows if row["id"] in ids and row["sender_id"] and row["not_before"] <= at]
        if any(row["status"] is MessageStatus.QUEUED for row in leaving):
            ring()
        telling.tell([row["id"] for row in rows if row["id"] in ids and row["held_reason"]], at=at, by=by)
        return [row["id"] for row in rows if row["id"] in ids]


def ring() -> None:
    """Have the organisation's messages sent once the transaction has committed."""
    queue.enqueue_once_after_commit(JOB, tenancy.current_organisation_id(), on="messages")


def leave_out(drafts: Sequence[Draft]) -> list[Draft]:
    """The drafts but for those that were written before, those of kinds that their company has switched off, and those
    to clients who were erased.
    """
    keys = literal([draft.key for draft in drafts], ARRAY(String()))
    known = set(db.session.scalars(select(Message.dedupe_key).where(Message.dedupe_key == any_(keys))))
    to = {draft.client_id for draft in drafts if draft.client_id}
    erased = set(db.session.scalars(select(Client.id).where(Client.id.in_(to), Client.erased_at.is_not(None))))
    off = switches.load_switched_off({draft.company_id for draft in drafts})
    fresh = {
        draft.key: draft
        for draft in drafts
        if draft.key not in known and (draft.company_id, draft.kind) not in off and draft.client_id not in erased
    }
    return list(fresh.values())
