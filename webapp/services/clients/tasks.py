"""Tasks of all clients: those of a colleague, those that nobody has, and those that the product makes by itself."""

from collections.abc import Collection, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select, tuple_, update
from sqlalchemy.orm import joinedload

from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.clients import Client
from webapp.models.commercials import Commercial
from webapp.models.identity import User
from webapp.models.tasks import Task
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction

PAGE_SIZE = 50
TITLE_LENGTH = 500


class Whose(StrEnum):
    """Whose tasks are listed, as the address says it."""

    MINE = "miennes"
    NOBODY = "sans-responsable"
    ALL = "toutes"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {"miennes": "Les miennes", "sans-responsable": "Sans responsable", "toutes": "Toutes"}[self.value]


class NewTask(NamedTuple):
    """A task that the product makes for the commercial of a client; by its ``key`` it is settled."""

    client_id: UUID
    title: str
    due_on: date
    claim_id: UUID | None = None
    key: str | None = None


class TasksPage(NamedTuple):
    """Open tasks, each with its client and its user, and the one that the next page follows."""

    rows: Sequence[Task]
    next_after: UUID | None


def add_for_commercials(wanted: Sequence[NewTask], *, at: datetime) -> None:
    """Give each to the commercial of its client, in the caller's transaction; to nobody where there is none.

    What nobody has, managers see in « Tâches ».
    """
    owners = _find_owners({each.client_id for each in wanted}) if wanted else {}
    db.session.add_all(
        Task(
            client_id=each.client_id,
            title=each.title[:TITLE_LENGTH],
            due_on=each.due_on,
            claim_id=each.claim_id,
            key=each.key,
            user_id=owners.get(each.client_id),
            created_at=at,
        )
        for each in wanted
    )


def add_and_tell(wanted: Sequence[NewTask], *, at: datetime) -> None:
    """The same, told in each client's timeline."""
    add_for_commercials(wanted, at=at)
    db.session.add_all(
        TimelineEvent(
            client_id=each.client_id, kind=EventKind.TASK_ADDED, at=at, body=each.title, claim_id=each.claim_id
        )
        for each in wanted
    )


def settle(keys: Collection[str], *, by: UUID | None = None, at: datetime) -> None:
    """Tick off what the product made under these keys and is still to be done: there is nothing left to do about it."""
    with transaction():
        settled = (
            update(Task)
            .where(Task.organisation_id == current_organisation_id(), Task.key.in_(keys), Task.done_at.is_(None))
            .values(done_at=at)
            .returning(Task.client_id, Task.title, Task.claim_id)
        )
        db.session.add_all(
            TimelineEvent(
                client_id=client_id, kind=EventKind.TASK_DONE, at=at, user_id=by, body=title, claim_id=claim_id
            )
            for client_id, title, claim_id in db.session.execute(settled).all()
        )


def _find_owners(client_ids: Collection[UUID]) -> dict[UUID, UUID]:
    statement = (
        select(Client.id, Commercial.user_id)
        .join(Commercial, linked(Commercial, Client.commercial_id))
        .where(Client.id.in_(client_ids), Commercial.user_id.is_not(None))
    )
    return {client_id: user_id for client_id, user_id in db.session.execute(statement) if user_id is not None}


def list_open(whose: Whose, *, viewer: User, after: UUID | None = None, size: int = PAGE_SIZE) -> TasksPage:
    """What is still to be done, the soonest due first, from the first or after the task ``after``."""
    statement = select(Task).where(*_open(whose, viewer.id)).options(joinedload(Task.client), joinedload(Task.user))
    if after is not None:
        last = select(Task.due_on, Task.id).where(Task.id == after)
        statement = statement.where(tuple_(Task.due_on, Task.id) > last.scalar_subquery())
    rows = db.session.scalars(statement.order_by(Task.due_on, Task.id).limit(size + 1)).all()
    return TasksPage(rows[:size], rows[size - 1].id if len(rows) > size else None)


def select_all(whose: Whose, viewer_id: UUID) -> Select[*tuple[Any, ...]]:
    """Every task of the list in its order, joined with clients and users: an export adds the columns."""
    statement = (
        select(Task.id)
        .join(Client, linked(Client, Task.client_id))
        .outerjoin(User, linked(User, Task.user_id))
        .where(*_open(whose, viewer_id))
    )
    return statement.order_by(Task.due_on, Task.id)


def count_open(viewer: User) -> dict[Whose, int]:
    """How many are still to be done, by whose they are."""
    mine, nobody = (func.count().filter(*_open(whose, viewer.id)) for whose in (Whose.MINE, Whose.NOBODY))
    counts = select(mine, nobody, func.count()).select_from(Task).where(*_open(Whose.ALL, viewer.id))
    return dict(zip(Whose, db.session.execute(counts).one(), strict=True))


def _open(whose: Whose, viewer_id: UUID) -> list[ColumnElement[bool]]:
    conditions = [Task.organisation_id == current_organisation_id(), Task.done_at.is_(None)]
    if whose is Whose.MINE:
        conditions.append(Task.user_id == viewer_id)
    elif whose is Whose.NOBODY:
        conditions.append(Task.user_id.is_(None))
    return conditions
