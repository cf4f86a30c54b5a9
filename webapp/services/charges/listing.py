"""Lists of charges: by state, and those that need a person. Keyset pages, newest due first; longest waiting first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import bindparam, func, select
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


def list_charges(view: ChargesView, *, size: int = PAGE_SIZE) -> keyset.Page[Charge]:
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

    def read(start: Position | None) -> Sequence[Charge]:
        page = keyset.cut(statement, [Charge.due_on, Charge.id], start, is_descending=True, size=size)
        return db.session.scalars(page).all()

    start = keyset.decode(view.cursor, sort=BY_DUE_DATE, kind=date)
    return keyset.page(read, start, place=lambda each: (each.due_on, each.id), sort=BY_DUE_DATE, size=size)


def list_latest_of_client(client_id: UUID, *, size: int) -> Sequence[Charge]:
    """The client's charges, the latest due first, each with its attempts."""
    return db.session.scalars(_LATEST_OF_CLIENT, {"client_id": client_id, "size": size}).all()


def list_needing_person(
    *, attention: Attention | None = None, cursor: str | None = None, size: int = PAGE_SIZE
) -> keyset.Page[Charge]:
    """The charges that need a person, the longest waiting first, each with its client and its attempts."""
    statement = _LISTED.where(Charge.attention.is_not(None))
    if attention is not None:
        statement = statement.where(Charge.attention == attention)

    def read(start: Position | None) -> Sequence[Charge]:
        page = keyset.cut(statement, [Charge.attention_at, Charge.id], start, is_descending=False, size=size)
        return db.session.scalars(page).all()

    start = keyset.decode(cursor, sort=BY_WAITING, kind=datetime)
    return keyset.page(read, start, place=_since, sort=BY_WAITING, size=size)


def _since(charge: Charge) -> tuple[datetime, UUID]:
    if charge.attention_at is None:
        raise AssertionError("a charge that needs a person does so since some instant")
    return charge.attention_at, charge.id


def count_by_status() -> dict[ChargeStatus, int]:
    """How many charges of the current organisation stand where."""
    statement = (
        select(Charge.status, func.count().label("number"))
        .where(Charge.organisation_id == tenancy.current_organisation_id())
        .group_by(Charge.status)
    )
    return {row.status: row.number for row in db.session.execute(statement)}
