"""Lists of charges: by state, and those that need a person. Keyset pages, newest due first; longest waiting first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, func, select, tuple_
from sqlalchemy.orm import joinedload, selectinload

from webapp import tenancy
from webapp.extensions import db
from webapp.models.charges import Attention, Charge, ChargeStatus
from webapp.services import keyset
from webapp.services.keyset import Position

PAGE_SIZE = 50
_LISTED = select(Charge).options(joinedload(Charge.client), selectinload(Charge.attempts))
_LATEST_OF_CLIENT = (
    select(Charge)
    .where(Charge.client_id == bindparam("client_id"))
    .options(selectinload(Charge.attempts))
    .order_by(Charge.due_on.desc(), Charge.id.desc())
    .limit(bindparam("size"))
)
BY_DUE_DATE = "-due_on"
BY_WAITING = "attention_at"


@dataclass(frozen=True, kw_only=True)
class ChargesView:
    """Which charges are shown; ``cursor`` is where the page starts."""

    status: ChargeStatus | None = None
    client_id: UUID | None = None
    subscription_id: UUID | None = None
    due_from: date | None = None
    due_until: date | None = None
    cursor: str | None = None


class Page(NamedTuple):
    """One page, and the cursor of the next one where there is one."""

    charges: list[Charge]
    next_cursor: str | None


def list_charges(view: ChargesView, *, size: int = PAGE_SIZE) -> Page:
    """The charges of the view, the latest due first, each with its client and its attempts."""
    wanted = {
        Charge.status: view.status,
        Charge.client_id: view.client_id,
        Charge.subscription_id: view.subscription_id,
    }
    statement = _LISTED.where(*(column == value for column, value in wanted.items() if value is not None))
    if view.due_from is not None:
        statement = statement.where(Charge.due_on >= view.due_from)
    if view.due_until is not None:
        statement = statement.where(Charge.due_on <= view.due_until)
    start = keyset.decode(view.cursor, sort=BY_DUE_DATE, kind=date) if view.cursor else None
    if start is not None:
        statement = statement.where(tuple_(Charge.due_on, Charge.id) < (start.key, start.id))
    rows = list(db.session.scalars(statement.order_by(Charge.due_on.desc(), Charge.id.desc()).limit(size + 1)).unique())
    shown = rows[:size]
    has_more = len(rows) > size
    cursor = keyset.encode(Position(shown[-1].due_on, shown[-1].id), sort=BY_DUE_DATE) if has_more else None
    return Page(shown, cursor)


def list_latest_of_client(client_id: UUID, *, size: int) -> Sequence[Charge]:
    """The client's charges, the latest due first, each with its attempts."""
    return db.session.scalars(_LATEST_OF_CLIENT, {"client_id": client_id, "size": size}).all()


def list_needing_person(
    *, attention: Attention | None = None, cursor: str | None = None, size: int = PAGE_SIZE
) -> Page:
    """The charges that need a person, the longest waiting first, each with its client and its attempts."""
    statement = _LISTED.where(Charge.attention.is_not(None))
    if attention is not None:
        statement = statement.where(Charge.attention == attention)
    start = keyset.decode(cursor, sort=BY_WAITING, kind=datetime) if cursor else None
    if start is not None:
        statement = statement.where(tuple_(Charge.attention_at, Charge.id) > (start.key, start.id))
    rows = list(db.session.scalars(statement.order_by(Charge.attention_at, Charge.id).limit(size + 1)).unique())
    shown = rows[:size]
    if len(rows) <= size or shown[-1].attention_at is None:
        return Page(shown, None)
    return Page(shown, keyset.encode(Position(shown[-1].attention_at, shown[-1].id), sort=BY_WAITING))


def count_by_status() -> dict[ChargeStatus, int]:
    """How many charges of the current organisation stand where."""
    statement = (
        select(Charge.status, func.count().label("number"))
        .where(Charge.organisation_id == tenancy.current_organisation_id())
        .group_by(Charge.status)
    )
    return {row.status: row.number for row in db.session.execute(statement)}
