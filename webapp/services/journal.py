"""The journal of the organisation: entries are added in the transaction of what they tell of, and never changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, case, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import joinedload

from webapp.extensions import db
from webapp.models import identity
from webapp.models.base import linked
from webapp.models.identity import User
from webapp.models.journal import JournalEntry, JournalKind
from webapp.services import keyset
from webapp.services.list_columns import ListColumn, ValueKind, labels_of, told_of_each
from webapp.transactions import transaction

PAGE_SIZE = 50
LATEST_FIRST = "-at"
Fact = str | int | bool | None


@dataclass(frozen=True, kw_only=True)
class JournalView:
    """Which entries are shown; ``cursor`` is where the page starts."""

    kind: JournalKind | None = None
    user_id: UUID | None = None
    cursor: str | None = None

    @property
    def is_narrowed(self) -> bool:
        """Whether a filter leaves something out."""
        return replace(self, cursor=None) != JournalView()


def note(kind: JournalKind, details: Mapping[str, Fact], *, by: User | None, at: datetime) -> None:
    """Add an entry, in the caller's transaction if there is one.

    ``details`` are facts by the French word that stands before them on the page, in the order of the page; those that
    are None are left out. They hold nobody's personal data: the journal outlives what was erased.
    """
    with transaction():
        facts = [[name, fact] for name, fact in details.items() if fact is not None]
        db.session.add(JournalEntry(kind=kind, details=facts, user_id=by.id if by else None, at=at))


def list_entries(view: JournalView, *, size: int = PAGE_SIZE) -> keyset.Page[JournalEntry]:
    """The entries of the view, each with its user, the latest first."""
    statement = select(JournalEntry).where(*_conditions(view)).options(joinedload(JournalEntry.user))

    def read(start: keyset.Position | None) -> Sequence[JournalEntry]:
        page = keyset.cut(statement, [JournalEntry.at, JournalEntry.id], start, is_descending=True, size=size)
        return db.session.scalars(page).all()

    start = keyset.decode(view.cursor, sort=LATEST_FIRST, kind=datetime)
    return keyset.page(read, start, place=lambda each: (each.at, each.id), sort=LATEST_FIRST, size=size)


def select_all(view: JournalView) -> Select[*tuple[Any, ...]]:
    """Every entry of a view in that order, joined with users: an export adds the columns."""
    statement = select(JournalEntry.id).outerjoin(User, linked(User, JournalEntry.user_id)).where(*_conditions(view))
    return statement.order_by(JournalEntry.at.desc(), JournalEntry.id.desc())


def _conditions(view: JournalView) -> list[ColumnElement[bool]]:
    of_kind = [] if view.kind is None else [JournalEntry.kind == view.kind]
    by_user = [] if view.user_id is None else [JournalEntry.user_id == view.user_id]
    return [*of_kind, *by_user]


def _worded(fact: ColumnElement[Any]) -> ColumnElement[Any]:
    value = fact.op("->>")(1)
    is_boolean = func.jsonb_typeof(fact.op("->")(1)) == "boolean"
    told = case((is_boolean, case((value == "true", "oui"), else_="non")), else_=value)
    return func.concat(fact.op("->>")(0), "\u202f: ", told)


_DETAILS = told_of_each(
    func.jsonb_array_elements(JournalEntry.details), JSONB, of=JournalEntry, word=_worded, between=" · "
)
COLUMNS = (
    ListColumn("quand", "Quand", JournalEntry.at, ValueKind.INSTANT),
    ListColumn("qui", "Qui", func.coalesce(identity.full_name_in_sql(), "Le CRM")),
    ListColumn("quoi", "Quoi", JournalEntry.kind, ValueKind.CHOICE, labels=labels_of(JournalKind)),
    ListColumn("details", "Détails", _DETAILS),
)
"""What an export of the journal holds of its entries."""


def list_people() -> list[tuple[UUID, str]]:
    """Who may have entries, by name: id and name of every user."""
    users = db.session.scalars(select(User).order_by(User.last_name, User.first_name, User.id))
    return [(user.id, user.full_name) for user in users]
