"""The subscriptions page: which subscriptions, in what order, how many, and what they bring in a month."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from functools import partial
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, bindparam, func, literal, select

from webapp import tenancy
from webapp.extensions import db
from webapp.models.base import Code, linked, read_code
from webapp.models.clients import Client, full_name
from webapp.models.commercials import Commercial
from webapp.models.money import cents
from webapp.models.organisations import Company
from webapp.models.subscriptions import (
    RECURRING,
    Frequency,
    Subscription,
    SubscriptionLine,
    SubscriptionStatus,
    rhythm_label,
)
from webapp.services import keyset, list_columns
from webapp.services.clients.search import found_by
from webapp.services.list_columns import ListColumn
from webapp.services.subscriptions.scheduling import local_date

Statement = Select[*tuple[Any, ...]]
ResultRow = Row[*tuple[Any, ...]]

PAGE_SIZE = 50
WITHOUT_COMMERCIAL = "sans-commercial"
ANY_RECURRING: Final = "recurrents"
NEVER = datetime(9999, 12, 31, tzinfo=UTC)
"""The key, in a cursor, of those with nothing due: they come last."""


class SubscriptionSort(StrEnum):
    """The orders of the list, as the address says them."""

    NEWEST = "-creation"
    NEXT_CHARGE = "echeance"


@dataclass(frozen=True)
class SubscriptionsView:
    """What the list shows: a search over clients or for a number, filters (None lets all through), an order, a start.

    ``team``: of the clients' present commercials.
    """

    search: str = ""
    status: SubscriptionStatus | Literal["recurrents"] | None = None
    frequency: Frequency | None = None
    commercial: UUID | Literal["sans-commercial"] | None = None
    team: UUID | None = None
    company_id: UUID | None = None
    client_id: UUID | None = None
    contract_id: UUID | None = None
    sort: SubscriptionSort = SubscriptionSort.NEWEST
    cursor: str = ""

    @property
    def is_narrowed(self) -> bool:
        """Whether a search or a filter leaves something out."""
        return replace(self, sort=SubscriptionSort.NEWEST, cursor="") != SubscriptionsView()


_OF_CLIENT = linked(Client, Subscription.client_id)


class SubscriptionRow(NamedTuple):
    """A line of the list. ``lines`` is what it sells, ``amount`` before tax per cycle.

    ``expected_on`` is when its shop will ask for the next payment, where a shop collects it.
    """

    id: UUID
    code: str
    client_id: UUID
    client: str
    lines: str
    status: SubscriptionStatus
    rhythm: str
    amount: Decimal
    currency: str
    next_charge_on: date | None
    expected_on: date | None
    cancels_on: date | None


class SubscriptionTotals(NamedTuple):
    """How many subscriptions a view holds, and their monthly recurring revenue before tax, per currency.

    ``beside`` are the recurring ones in another rhythm of their shop's: counted, and not in the revenue.
    """

    number: int
    mrr: dict[str, Decimal]
    beside: int = 0


class SubscriptionList(NamedTuple):
    """A page of a view, and the totals of the whole view."""

    page: keyset.Page[SubscriptionRow]
    totals: SubscriptionTotals


def list_subscriptions(view: SubscriptionsView) -> SubscriptionList:
    """The subscriptions of a view. A cursor that is none, or was made for another order, gives the first page."""
    statement = _statement(_conditions(view))
    page = keyset.page(
        partial(_read_newest if view.sort is SubscriptionSort.NEWEST else _read_due, statement),
        keyset.decode(view.cursor, sort=view.sort, kind=datetime),
        place=lambda row: (row.next_charge_at or NEVER, row.id),
        sort=view.sort,
        size=PAGE_SIZE,
    )
    return SubscriptionList(page.map(_row), _totals(view))


def select_all(view: SubscriptionsView) -> Statement:
    """Every subscription of a view in its order, with client, commercial and company: an export adds the columns."""
    statement = (
        select(Subscription.id)
        .join(Client, linked(Client, Subscription.client_id))
        .join(Company, linked(Company, Subscription.company_id))
        .outerjoin(Commercial, linked(Commercial, Subscription.commercial_id))
        .where(*_own_conditions(view), *_client_conditions(view))
    )
    if view.sort is SubscriptionSort.NEWEST:
        return statement.order_by(Subscription.id.desc())
    return statement.order_by(Subscription.next_charge_at.asc().nulls_last(), Subscription.id)


def read_cells(ids: Sequence[UUID], columns: Sequence[ListColumn]) -> dict[UUID, dict[str, Any]]:
    """What columns that are not in each row hold of the rows of a page, by row and key."""
    return list_columns.read_cells(select_all(SubscriptionsView()), Subscription.id, ids, columns)


def count_subscriptions(view: SubscriptionsView) -> SubscriptionTotals:
    """How many subscriptions a view holds, wherever its page starts, and what they bring."""
    return _totals(view)


def list_of_client(client_id: UUID) -> list[SubscriptionRow]:
    """The client's subscriptions, the newest first, up to a page of them."""
    parameters = {"organisation_id": tenancy.current_organisation_id(), "client_id": client_id}
    return [_row(row) for row in db.session.execute(_OF_A_CLIENT, parameters)]


def _conditions(view: SubscriptionsView) -> list[ColumnElement[bool]]:
    """What a subscription, joined with its client, must meet."""
    return [*_own_conditions(view), *_OF_CLIENT, *_client_conditions(view)]


def _own_conditions(view: SubscriptionsView) -> list[ColumnElement[bool]]:
    conditions = [Subscription.organisation_id == tenancy.current_organisation_id()]
    if code := _read_code(view):
        conditions.append(Subscription.number == code.number)
    if view.status == ANY_RECURRING:
        conditions.append(Subscription.status.in_(RECURRING))
    for column, value in (
        (Subscription.status, view.status if view.status != ANY_RECURRING else None),
        (Subscription.frequency, view.frequency),
        (Subscription.company_id, view.company_id),
        (Subscription.client_id, view.client_id),
        (Subscription.contract_id, view.contract_id),
    ):
        if value is not None:
            conditions.append(column == value)
    if view.commercial == WITHOUT_COMMERCIAL:
        conditions.append(Subscription.commercial_id.is_(None))
    elif view.commercial is not None:
        conditions.append(Subscription.commercial_id == view.commercial)
    if view.team is not None:
        members = select(Commercial.id).where(
            Commercial.organisation_id == tenancy.current_organisation_id(), Commercial.team_id == view.team
        )
        conditions.append(Subscription.commercial_id.in_(members))
    return conditions


def _read_code(view: SubscriptionsView) -> Code | None:
    code = read_code(view.search)
    return code if code and code.letter == Subscription.LETTER else None


def _client_conditions(view: SubscriptionsView) -> list[ColumnElement[bool]]:
    return [] if _read_code(view) else found_by(view.search)


def _read_newest(statement: Statement, start: keyset.Position | None) -> Sequence[ResultRow]:
    page = keyset.cut(statement, [Subscription.id], start, is_descending=True, size=PAGE_SIZE)
    return db.session.execute(page).all()


def _read_due(statement: Statement, start: keyset.Position | None) -> Sequence[ResultRow]:
    """Those with a date walk the index of what is due; those without one follow, by id."""
    if start is not None and start.key == NEVER:
        return _read_without_date(statement, start, size=PAGE_SIZE)
    due = statement.where(Subscription.next_charge_at.is_not(None))
    order = [Subscription.next_charge_at, Subscription.id]
    dated = db.session.execute(keyset.cut(due, order, start, is_descending=False, size=PAGE_SIZE)).all()
    left = PAGE_SIZE - len(dated)
    return dated if left < 0 else [*dated, *_read_without_date(statement, None, size=left)]


def _read_without_date(statement: Statement, start: keyset.Position | None, *, size: int) -> Sequence[ResultRow]:
    without = statement.where(Subscription.next_charge_at.is_(None))
    return db.session.execute(keyset.cut(without, [Subscription.id], start, is_descending=False, size=size)).all()


def _statement(conditions: list[ColumnElement[bool]]) -> Statement:
    labels = (
        select(func.string_agg(SubscriptionLine.label, literal(", ")).label("labels"))
        .where(
            linked(Subscription, SubscriptionLine.subscription_id),
        )
        .correlate(Subscription)
        .scalar_subquery()
    )
    return select(
        Subscription.id,
        Subscription.number,
        Subscription.client_id,
        Client.last_name,
        Client.first_name,
        labels.label("labels"),
        Subscription.status,
        Subscription.frequency,
        Subscription.recurring_amount,
        Subscription.currency,
        Subscription.next_charge_on,
        Subscription.next_charge_at,
        Subscription.cancels_on,
        Subscription.expected_at,
        Subscription.timezone,
        Subscription.shop_period,
        Subscription.shop_interval,
    ).where(*conditions)


_OF_A_CLIENT = (
    _statement(
        [
            Subscription.organisation_id == bindparam("organisation_id"),
            Subscription.client_id == bindparam("client_id"),
            *_OF_CLIENT,
        ]
    )
    .order_by(Subscription.id.desc())
    .limit(PAGE_SIZE)
)


def _row(row: ResultRow) -> SubscriptionRow:
    return SubscriptionRow(
        id=row.id,
        code=f"{Subscription.LETTER}-{row.number}",
        client_id=row.client_id,
        client=full_name(row.last_name, row.first_name),
        lines=row.labels or "",
        status=row.status,
        rhythm=rhythm_label(row.frequency, row.shop_period, row.shop_interval),
        amount=row.recurring_amount,
        currency=row.currency,
        next_charge_on=row.next_charge_on,
        expected_on=local_date(row.expected_at, row.timezone) if row.expected_at else None,
        cancels_on=row.cancels_on,
    )


def _totals(view: SubscriptionsView) -> SubscriptionTotals:
    """Clients are joined only where they decide: a view may hold a million subscriptions."""
    of_client = _client_conditions(view)
    is_recurring = Subscription.status.in_(RECURRING)
    recurring = func.sum(Subscription.annual_amount).filter(is_recurring)
    beside = func.count().filter(is_recurring, Subscription.annual_amount.is_(None))
    rows = db.session.execute(
        select(
            Subscription.currency,
            func.count().label("number"),
            func.coalesce(recurring, 0).label("yearly"),
            beside.label("beside"),
        )
        .where(*_own_conditions(view), *(_OF_CLIENT if of_client else ()), *of_client)
        .group_by(Subscription.currency)
        .order_by(Subscription.currency)
    ).all()
    return SubscriptionTotals(
        sum(row.number for row in rows),
        {row.currency: cents(row.yearly / 12) for row in rows if row.yearly},
        sum(row.beside for row in rows),
    )
