"""What people put on a claim file: notes, tasks for a colleague, documents. The client's timeline tells of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.claims import Claim
from webapp.models.documents import Document
from webapp.models.identity import User
from webapp.models.tasks import Task
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services import identity
from webapp.services.claims import recording
from webapp.services.claims.recording import ClaimStateError
from webapp.services.clients import activities, documents
from webapp.services.clients.activities import Genre
from webapp.transactions import transaction

SHOWN = 50


@dataclass(frozen=True)
class Notes:
    """What was put on a file: notes with the newest first, tasks with those to be done first, files."""

    notes: Sequence[TimelineEvent]
    tasks: Sequence[Task]
    documents: Sequence[Document]
    colleagues: Sequence[User]


def find_notes(claim: Claim) -> Notes:
    """What was put on the file; looked up by its client, of whom there is little."""
    notes = (
        select(TimelineEvent)
        .where(TimelineEvent.client_id == claim.client_id, TimelineEvent.claim_id == claim.id)
        .where(TimelineEvent.kind == EventKind.NOTE)
        .options(joinedload(TimelineEvent.user))
        .order_by(TimelineEvent.at.desc(), TimelineEvent.id.desc())
    )
    tasks = (
        select(Task)
        .where(Task.client_id == claim.client_id, Task.claim_id == claim.id)
        .options(joinedload(Task.user))
        .order_by(Task.done_at.is_not(None), Task.due_on, Task.id)
    )
    return Notes(
        notes=db.session.scalars(notes.limit(SHOWN)).all(),
        tasks=db.session.scalars(tasks.limit(SHOWN)).all(),
        documents=documents.list_of_claim(claim.id),
        colleagues=identity.list_colleagues(),
    )


def add_note(claim_id: UUID, words: str, *, demand: UUID | None = None, by: User, at: datetime) -> None:
    """Write a note down; the same with one ``demand``, once.

    Raises NotFoundError, ClaimStateError; InvalidInputError (field « body »).
    """
    with transaction():
        claim = _find(claim_id)
        activities.record(
            claim.client_id, Genre.NOTE, words, due_on=None, claim_id=claim_id, demand=demand, by=by, at=at
        )


def add_task(
    claim_id: UUID,
    title: str,
    *,
    due_on: date | None,
    for_id: UUID | None,
    demand: UUID | None = None,
    by: User,
    at: datetime,
) -> None:
    """Give a task to a colleague, or to oneself; the same with one ``demand``, once.

    Raises NotFoundError, ClaimStateError; InvalidInputError (fields « body », « due_on », « for_id »).
    """
    with transaction():
        claim = _find(claim_id)
        if for_id is not None and all(each.id != for_id for each in identity.list_colleagues()):
            raise InvalidInputError("Choisissez un collègue.", field="for_id")
        activities.record(
            claim.client_id,
            Genre.TASK,
            title,
            due_on=due_on,
            for_id=for_id,
            claim_id=claim_id,
            demand=demand,
            by=by,
            at=at,
        )


def set_done(claim_id: UUID, task_id: UUID, done: bool, *, by: User, at: datetime) -> None:
    """Tick a task of the file off, or open it again. Raises NotFoundError."""
    activities.set_done(recording.find_claim(claim_id).client_id, task_id, done, by=by, at=at)


def add_file(
    claim_id: UUID, name: str, content: bytes, *, valid_until: date | None = None, by: User, at: datetime
) -> Document:
    """Keep a photo, an invoice or a report with the file. Raises NotFoundError, ClaimStateError; InvalidInputError
    (fields « file », « valid_until »), QuotaError.
    """
    claim = _find(claim_id)
    return documents.add_document(
        claim.client_id, name, content, claim_id=claim_id, valid_until=valid_until, by=by, at=at
    )


def _find(claim_id: UUID) -> Claim:
    claim = recording.find_claim(claim_id)
    if claim.client.erased_at is not None:
        raise ClaimStateError("Les données de ce client sont effacées\u202f: rien ne s’ajoute à son dossier.")
    return claim
