"""Lists of charges: by state, and those that need a person. Keyset pages, newest due first; longest waiting first."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, bindparam, func, literal_column, select
from sqlalchemy.orm import joinedload, selectinload

from webapp import tenancy
from webapp.extensions import db
from webapp.models.base import linked, read_code
from webapp.models.charges import Attention, Charge, ChargeStatus, Refund
from webapp.models.clients import Client
from webapp.models.organisations import Company
from webapp.models.payments import Payment
from webapp.models.subscriptions import Collector
from webapp.services import keyset, list_columns
from webapp.services.clients.search import found_by
from webapp.services.keyset import Position
from webapp.services.list_columns import ListColumn

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
    """Which charges are shown: ``search`` is for a number (of a charge or of its refund), or for words over clients.

    ``cursor`` is where the page starts.
    """

    search: str = ""
    status: ChargeStatus | None = None
    collected_by: Collector | None = None
    client_id: UUID | None = None
    subscription_id: UUID | None = None
    due_from: date | None = None
    due_until: date | None = None
    cursor: str | None = None

    @property
    def is_narrowed(self) -> bool:
        """Whether a search or a filter leaves something out."""
        return replace(self, cursor=None) != ChargesView()


def list_charges(view: ChargesView, *, size: int = PAGE_SIZE) -> keyset.Page[Charge]:
    """The charges of the view, the latest due first, each with its client and its attempts."""
    statement = _LISTED.where(*_conditions(view))
    if view.status is not None:
        statement = statement.where(Charge.status == view.status)

    def read(start: Position | None) -> Sequence[Charge]:
        page = keyset.cut(statement, [Charge.due_on, Charge.id], start, is_descending=True, size=size)
        return db.session.scalars(page).all()

    start = keyset.decode(view.cursor, sort=BY_DUE_DATE, kind=date)
    return keyset.page(read, start, place=lambda each: (each.due_on, each.id), sort=BY_DUE_DATE, size=size)


def select_all(view: ChargesView) -> Select[*tuple[Any, ...]]:
    """Every charge of a view in its order, joined with clients and companies: an export adds the columns."""
    statement = _joined().where(*_conditions(view))
    if view.status is not None:
        statement = statement.where(Charge.status == view.status)
    return statement.order_by(Charge.due_on.desc(), Charge.id.desc())


def read_cells(ids: Sequence[UUID], columns: Sequence[ListColumn]) -> dict[UUID, dict[str, Any]]:
    """What columns that are not in each row hold of the rows of a page, by row and key."""
    return list_columns.read_cells(select_all(ChargesView()), Charge.id, ids, columns)


def select_needing_person(attention: Attention | None) -> Select[*tuple[Any, ...]]:
    """The same of those that need a person, the longest waiting first."""
    statement = _joined().where(Charge.attention.is_not(None))
    if attention is not None:
        statement = statement.where(Charge.attention == attention)
    return statement.order_by(Charge.attention_at, Charge.id)


def _joined() -> Select[*tuple[Any, ...]]:
    return (
        select(Charge.id)
        .join(Client, linked(Client, Charge.client_id))
        .join(Company, linked(Company, Charge.company_id))
    )


def _conditions(view: ChargesView) -> list[ColumnElement[bool]]:
    """What a charge of the view must meet, whatever its state."""
    conditions = _matches(view.search)
    if view.collected_by is not None:
        # Written out, so that the index of the shops' charges serves.
        conditions.append(Charge.collected_by == literal_column(f"'{view.collected_by.value}'"))
    if view.client_id is not None:
        conditions.append(Charge.client_id == view.client_id)
    if view.subscription_id is not None:
        conditions.append(Charge.subscription_id == view.subscription_id)
    if view.due_from is not None:
        conditions.append(Charge.due_on >= view.due_from)
    if view.due_until is not None:
        conditions.append(Charge.due_on <= view.due_until)
    return conditions


def _matches(search: str) -> list[ColumnElement[bool]]:
    """What a charge must meet to be what was searched for."""
    ours = tenancy.current_organisation_id()
    code = read_code(search)
    if code and code.letter == Charge.LETTER:
        return [Charge.number == code.number]
    if code and code.letter == Refund.LETTER:
        refund = select(Refund.charge_id).where(Refund.organisation_id == ours, Refund.number == code.number)
        return [Charge.id.in_(refund)]
    if not (matches := found_by(search)):
        return []
    return [Charge.client_id.in_(select(Client.id).where(Client.organisation_id == ours, *matches))]


def list_latest_of_client(client_id: UUID, *, size: int) -> Sequence[Charge]:
    """The client's charges, the latest due first, each with its attempts."""
    return db.session.scalars(_LATEST_OF_CLIENT, {"client_id": client_id, "size": size}).all()


def list_movements(charge: Charge) -> Sequence[Payment]:
    """What its shop says of its money, the first first; of our own charges, attempts tell it."""
    if not charge.is_of_shop:
        return []
    statement = select(Payment).where(Payment.charge_id == charge.id)
    return db.session.scalars(statement.order_by(Payment.happened_at, Payment.id)).all()


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


def count_by_status(view: ChargesView) -> dict[ChargeStatus, int]:
    """How many charges of the view stand where, whichever state it shows."""
    statement = (
        select(Charge.status, func.count().label("number"))
        .where(Charge.organisation_id == tenancy.current_organisation_id(), *_conditions(view))
        .group_by(Charge.status)
    )
    return {row.status: row.number for row in db.session.execute(statement)}
