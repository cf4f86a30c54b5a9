"""What people write down about a client: notes, calls, and tasks with a due date. All of it is in the timeline."""

import unicodedata
from collections.abc import Sequence
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID, uuid5

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import joinedload

from webapp import clock
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.identity import User
from webapp.models.tasks import Task
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.clients.editing import find_client
from webapp.services.contact import clean_text
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction

NOTE_LENGTH = 10_000
TASK_LENGTH = 500
OPEN_TASKS_SHOWN = 50
DONE_TASKS_SHOWN = 5
LAST_DUE_YEAR = 2199
_TASKS = select(Task).where(Task.client_id == bindparam("client_id")).options(joinedload(Task.user))
_OPEN_TASKS = _TASKS.where(Task.done_at.is_(None)).order_by(Task.due_on, Task.id).limit(OPEN_TASKS_SHOWN)
_DONE_TASKS = _TASKS.where(Task.done_at.is_not(None)).order_by(Task.done_at.desc(), Task.id).limit(DONE_TASKS_SHOWN)


class Genre(StrEnum):
    """What can be written down, as forms and addresses say it."""

    NOTE = "note"
    CALL = "appel"
    TASK = "tache"

    @property
    def label(self) -> str:
        """The word on the screen."""
        return {"note": "Note", "appel": "Appel", "tache": "Tâche"}[self.value]


def record(
    client_id: UUID,
    genre: Genre,
    written: str,
    *,
    due_on: date | None,
    by: User,
    at: datetime,
    claim_id: UUID | None = None,
    for_id: UUID | None = None,
    demand: UUID | None = None,
) -> None:
    """Write a note, a call or a task down. ``due_on``, a day in Paris, is for tasks alone, as is ``for_id``, who does
    it where that is not ``by``. ``claim_id``: it is about one of the client's claim files. A form brings the
    ``demand``: the same words sent twice with it are written down once.

    Raises NotFoundError; InvalidInputError, naming the field.
    """
    body = _checked_text(written, TASK_LENGTH if genre is Genre.TASK else NOTE_LENGTH)
    kind = {Genre.NOTE: EventKind.NOTE, Genre.CALL: EventKind.CALL, Genre.TASK: EventKind.TASK_ADDED}[genre]
    with transaction():
        client = find_client(client_id)
        due = _checked_due_date(due_on, today=at.astimezone(clock.PARIS).date()) if genre is Genre.TASK else None
        event_id = demand and _event_id(demand, client_id, claim_id, genre, due, for_id, body)
        if not _tell(client.id, kind, body, event_id=event_id, claim_id=claim_id, by=by, at=at) or due is None:
            return
        title = " ".join(body.split())
        db.session.add(
            Task(
                client_id=client.id,
                title=title,
                due_on=due,
                user_id=for_id or by.id,
                claim_id=claim_id,
                created_at=at,
            )
        )


def _event_id(demand: UUID, *said: object) -> UUID:
    """The same for the same words of one form. It begins as the demand does, with the time: ids are in its order."""
    return UUID(bytes=demand.bytes[:6] + uuid5(demand, "|".join(map(str, said))).bytes[6:])


def set_done(client_id: UUID, task_id: UUID, done: bool, *, by: User, at: datetime) -> Task:
    """Tick a task off, or open it again; asking twice changes nothing. Raises NotFoundError."""
    with transaction():
        wanted = select(Task).where(Task.id == task_id, Task.client_id == client_id)
        task = db.session.scalar(wanted.with_for_update().execution_options(populate_existing=True))
        if task is None:
            raise NotFoundError("Cette tâche n’existe pas ou plus.")
        if done is not (task.done_at is not None):
            task.done_at = at if done else None
            kind = EventKind.TASK_DONE if done else EventKind.TASK_REOPENED
            _tell(client_id, kind, task.title, claim_id=task.claim_id, by=by, at=at)
    return task


def list_open_tasks(client_id: UUID) -> Sequence[Task]:
    """What is still to be done, the soonest due first."""
    return db.session.scalars(_OPEN_TASKS, {"client_id": client_id}).all()


def list_done_tasks(client_id: UUID) -> Sequence[Task]:
    """What was done last, so that a tick by mistake can be taken back."""
    return db.session.scalars(_DONE_TASKS, {"client_id": client_id}).all()


def clean_lines(text: str) -> str:
    """``text`` fit for storage and screen, its line breaks kept; no more than one blank line in a row."""
    lines: list[str] = []
    for line in unicodedata.normalize("NFC", text).splitlines():
        cleaned = clean_text(line)
        if cleaned or (lines and lines[-1]):
            lines.append(cleaned)
    return "\n".join(lines).strip()


def _checked_text(written: str, length: int) -> str:
    body = clean_lines(written)
    if not body:
        raise InvalidInputError("Écrivez quelque chose.", field="body")
    if len(body) > length:
        most, there = (f"{number:,}".replace(",", "\u202f") for number in (length, len(body)))
        raise InvalidInputError(
            f"C’est trop long\u202f: {most} caractères au plus, et il y en a {there}.", field="body"
        )
    return body


def _checked_due_date(due_on: date | None, *, today: date) -> date:
    if due_on is None:
        raise InvalidInputError("Indiquez l’échéance de la tâche.", field="due_on")
    if due_on < today:
        raise InvalidInputError(
            "Cette échéance est passée\u202f: choisissez aujourd’hui ou un jour à venir.", field="due_on"
        )
    if due_on.year > LAST_DUE_YEAR:
        raise InvalidInputError("Cette échéance est trop lointaine.", field="due_on")
    return due_on


def _tell(
    client_id: UUID,
    kind: EventKind,
    body: str,
    *,
    claim_id: UUID | None,
    by: User,
    at: datetime,
    event_id: UUID | None = None,
) -> bool:
    """Whether it was not told before under this id; told twice at once, the second waits for the first."""
    told = insert(TimelineEvent).values(
        organisation_id=current_organisation_id(),
        id=event_id or new_id(),
        client_id=client_id,
        kind=kind,
        at=at,
        user_id=by.id,
        body=body,
        claim_id=claim_id,
    )
    return db.session.scalar(told.on_conflict_do_nothing().returning(TimelineEvent.id)) is not None
