"""Documents that expire: a task for the client's commercial before the last day, a word in the timeline after it."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, case, null, select, update

from webapp import clock, french
from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.clients import Client
from webapp.models.documents import EXPIRES_SOON, Document
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services import each_organisation
from webapp.services.clients import tasks
from webapp.services.clients.tasks import NewTask
from webapp.transactions import transaction

AT_ONCE = 500
YEARS = range(1990, 2200)


def check(valid_until: date | None) -> None:
    """Raise InvalidInputError (field ``valid_until``) for a year that nobody means."""
    if valid_until is not None and valid_until.year not in YEARS:
        raise InvalidInputError("Vérifiez l’année de cette date.", field="valid_until")


def first_told_on(valid_until: date | None, *, at: datetime) -> date | None:
    """From which day the timetable tells of it; None where it does not expire, or has expired already."""
    if valid_until is None or valid_until < at.astimezone(clock.PARIS).date():
        return None
    return valid_until - EXPIRES_SOON


def key_of(document_id: UUID) -> str:
    """Under which key its task stands."""
    return f"document:{document_id}"


def tell_due(*, at: datetime) -> int:
    """Tell, in every organisation, of documents that expire soon or have expired; returns how many."""
    today = at.astimezone(clock.PARIS).date()
    due = select(Document.organisation_id).where(Document.tell_on <= today)
    return each_organisation.work_in_batches(lambda: _tell_some(today, at=at), due)


def _tell_some(today: date, *, at: datetime) -> int:
    """Tell of some documents, and say when each is told of next: killed anywhere, or run by two, each is told once."""
    with transaction():
        due = (
            select(Document.id, Document.client_id, Document.claim_id, Document.name)
            .add_columns(Document.valid_until, Document.tell_on)
            .join(Client, linked(Client, Document.client_id))
            .where(Document.tell_on <= today, Document.valid_until.is_not(None), Client.archived_at.is_(None))
            .order_by(Document.tell_on, Document.id)
            .limit(AT_ONCE)
            .with_for_update(of=Document)
        )
        rows = db.session.execute(due).all()
        tasks.add_and_tell([_task(row, today) for row in rows if row.tell_on <= row.valid_until], at=at)
        _tell_expired([row for row in rows if row.valid_until < today], at=at)
        next_told = case((Document.valid_until < today, null()), else_=Document.valid_until + timedelta(days=1))
        db.session.execute(
            update(Document)
            .where(Document.id.in_([row.id for row in rows]))
            .values(tell_on=next_told)
            .execution_options(synchronize_session=False)
        )
    return len(rows)


def _task(row: Row[*tuple[Any, ...]], today: date) -> NewTask:
    day = french.day(row.valid_until)
    state = f"expiré depuis le {day}" if row.valid_until < today else f"valable jusqu’au {day}"
    return NewTask(
        row.client_id,
        f"{row.name}, {state}\u202f: demandez au client le document à jour",
        max(row.valid_until, today),
        claim_id=row.claim_id,
        key=key_of(row.id),
    )


def _tell_expired(rows: Sequence[Row[*tuple[Any, ...]]], *, at: datetime) -> None:
    db.session.add_all(
        TimelineEvent(
            client_id=row.client_id, kind=EventKind.DOCUMENT_EXPIRED, at=at, body=row.name, claim_id=row.claim_id
        )
        for row in rows
    )
