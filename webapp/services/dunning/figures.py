"""Figures of what is unpaid: by age, what came back after which step, and how long the money takes (DSO).

Each number and the rows behind it come from the same where-clause.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from dateutil.relativedelta import relativedelta
from sqlalchemy import ColumnElement, Date, Numeric, Select, cast, func, literal_column, select, true

from webapp import tenancy
from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.clients import Client, full_name
from webapp.models.dunning import DunningClaim, DunningStep, StepAction
from webapp.models.invoices import Allocation, Invoice, InvoiceStatus
from webapp.services import keyset
from webapp.services.dunning import listing
from webapp.services.dunning.listing import Age, ClaimsView
from webapp.services.keyset import Position

MONTHS = 12
PAGE_SIZE = 50
PARIS = "Europe/Paris"
NOTHING = Decimal("0.00")


class Share(NamedTuple):
    """How many claims, and what they come to."""

    number: int
    amount: Decimal


def unpaid_by_age(*, commercial_ids: frozenset[UUID] | None, today: date) -> dict[Age, Share]:
    """What is owed now, by how many days it is unpaid."""
    view = ClaimsView(commercial_ids=commercial_ids)
    columns: list[ColumnElement[Any]] = []
    for age in Age:
        is_of_age = listing.is_aged(age, today)
        columns += [
            func.count().filter(is_of_age),
            func.coalesce(func.sum(DunningClaim.amount).filter(is_of_age), NOTHING),
        ]
    row = db.session.execute(
        select(*columns).select_from(DunningClaim).where(*listing.claims_of(view, today=today))
    ).one()
    return {age: Share(row[2 * place], row[2 * place + 1]) for place, age in enumerate(Age)}


def recovered_by_step(
    *, since: date, until: date, commercial_ids: frozenset[UUID] | None
) -> list[tuple[StepAction | None, Share]]:
    """What was paid from a day to another, by the last step that was carried out before; None: before any."""
    view = ClaimsView(is_recovered=True, since=since, until=until, commercial_ids=commercial_ids)
    rows = db.session.execute(
        select(DunningStep.action, func.count(), func.sum(DunningClaim.amount))
        .select_from(DunningClaim)
        .outerjoin(DunningStep, linked(DunningStep, DunningClaim.after_step_id))
        .where(*listing.claims_of(view, today=until))
        .group_by(DunningStep.action)
    )
    found = {row[0]: Share(row[1], row[2]) for row in rows}
    order: list[StepAction | None] = [None, *StepAction]
    return [(action, found[action]) for action in order if action in found]


@dataclass(frozen=True)
class Dso:
    """How many days of sales of a month were still to be paid at its end: receivables over revenue, both with tax."""

    month: date
    receivables: Decimal
    revenue: Decimal

    @property
    def end(self) -> date:
        """The last day of the month."""
        return self.month + relativedelta(months=1) - timedelta(days=1)

    @property
    def days(self) -> Decimal | None:
        """The days, None where nothing was sold."""
        return self.receivables / self.revenue * self.end.day if self.revenue > 0 else None


def dso_by_month(*, currency: str, commercial_ids: frozenset[UUID] | None, today: date) -> list[Dso]:
    """The last twelve months, the present one first."""
    this_month = today.replace(day=1)
    months = [this_month - relativedelta(months=back) for back in range(MONTHS)]
    issued, paid = _issued(currency, commercial_ids), _allocated(currency, commercial_ids)
    found = []
    for month in months:
        end = month + relativedelta(months=1)
        receivables = sum((amount for on, amount in issued.items() if on < end), NOTHING) - sum(
            (amount for on, amount in paid.items() if on < end), NOTHING
        )
        found.append(Dso(month, receivables, issued.get(month, NOTHING)))
    return found


def _month(day: ColumnElement[Any]) -> ColumnElement[date]:
    return cast(func.date_trunc("month", day), Date)


def _issued(currency: str, commercial_ids: frozenset[UUID] | None) -> dict[date, Decimal]:
    """Invoices less credit notes, by month of issue."""
    month = _month(cast(Invoice.issued_on, Date))
    statement = select(month.label("month"), func.sum(Invoice.total).label("amount"))
    statement = statement.where(*_numbered(currency), *_sold_by(commercial_ids)).group_by(month)
    return {row.month: row.amount for row in db.session.execute(statement)}


def _allocated(currency: str, commercial_ids: frozenset[UUID] | None) -> dict[date, Decimal]:
    """What was paid on invoices, by month."""
    month = _month(func.timezone(PARIS, Allocation.at))
    statement = (
        select(month.label("month"), func.sum(Allocation.amount).label("amount"))
        .join(Invoice, linked(Invoice, Allocation.invoice_id))
        .where(*_numbered(currency), *_sold_by(commercial_ids))
        .group_by(month)
    )
    return {row.month: row.amount for row in db.session.execute(statement)}


def _numbered(currency: str) -> list[ColumnElement[bool]]:
    ours = Invoice.organisation_id == tenancy.current_organisation_id()
    return [ours, Invoice.status != InvoiceStatus.DRAFT, Invoice.currency == currency]


def _sold_by(commercial_ids: frozenset[UUID] | None) -> list[ColumnElement[bool]]:
    if commercial_ids is None:
        return []
    clients = select(Client.id).where(
        Client.organisation_id == tenancy.current_organisation_id(), Client.commercial_id.in_(commercial_ids)
    )
    return [Invoice.client_id.in_(clients)]


class Receivable(NamedTuple):
    """An invoice or credit note, and how much of it counts: what was still to be paid of it, or its total."""

    id: UUID
    reference: str
    client: str
    issued_on: date
    amount: Decimal


@dataclass(frozen=True, kw_only=True)
class DocumentsView:
    """Of which month, in which currency, and sold by whom; ``cursor`` is where the page starts."""

    month: date
    currency: str
    commercial_ids: frozenset[UUID] | None
    cursor: str | None = None


COUNTED = literal_column("counted.amount", Numeric(14, 2))
"""In the statements of an export: how much of an invoice or credit note counts."""


def list_receivables(view: DocumentsView) -> keyset.Page[Receivable]:
    """What the receivables at the end of a month are made of: invoices and credit notes less what was paid on them."""
    return _list(_receivables(view), view.cursor)


def select_all_receivables(view: DocumentsView) -> Select[*tuple[Any, ...]]:
    """Every one of them in that order, joined with clients and with what counts: an export adds the columns."""
    return _select_all(_receivables(view))


def list_revenue(view: DocumentsView) -> keyset.Page[Receivable]:
    """What the revenue of a month is made of: the invoices and credit notes that were issued in it."""
    return _list(_revenue(view), view.cursor)


def select_all_revenue(view: DocumentsView) -> Select[*tuple[Any, ...]]:
    """Every one of them in that order, joined with clients and with what counts: an export adds the columns."""
    return _select_all(_revenue(view))


class _Counting(NamedTuple):
    """How much of an invoice or credit note counts, and which do."""

    amount: ColumnElement[Decimal]
    conditions: Sequence[ColumnElement[bool]]


def _receivables(view: DocumentsView) -> _Counting:
    end = view.month + relativedelta(months=1)
    paid = (
        select(func.coalesce(func.sum(Allocation.amount), 0))
        .where(
            Allocation.organisation_id == Invoice.organisation_id,
            Allocation.invoice_id == Invoice.id,
            cast(func.timezone(PARIS, Allocation.at), Date) < end,
        )
        .correlate(Invoice)
        .scalar_subquery()
    )
    conditions = [*_counted(view), Invoice.issued_on < end, Invoice.total != paid]
    return _Counting(Invoice.total - paid, conditions)


def _revenue(view: DocumentsView) -> _Counting:
    end = view.month + relativedelta(months=1)
    conditions = [*_counted(view), Invoice.issued_on >= view.month, Invoice.issued_on < end]
    return _Counting(Invoice.total.expression, conditions)


def _counted(view: DocumentsView) -> list[ColumnElement[bool]]:
    return [*_numbered(view.currency), *_sold_by(view.commercial_ids)]


def _select_all(counting: _Counting) -> Select[*tuple[Any, ...]]:
    counted = select(counting.amount.label("amount")).correlate(Invoice).lateral("counted")
    return (
        select(Invoice.id)
        .join(Client, linked(Client, Invoice.client_id))
        .join(counted, true())
        .where(*counting.conditions)
        .order_by(Invoice.issued_on, Invoice.id)
    )


def _list(counting: _Counting, cursor: str | None) -> keyset.Page[Receivable]:
    named = select(Invoice.id, Invoice.reference, Client.last_name, Client.first_name, Invoice.issued_on)
    statement = (
        named.add_columns(counting.amount.label("amount"))
        .join(Client, linked(Client, Invoice.client_id))
        .where(*counting.conditions)
    )

    def read(start: Position | None) -> Sequence[Any]:
        page = keyset.cut(statement, [Invoice.issued_on, Invoice.id], start, is_descending=False, size=PAGE_SIZE)
        return db.session.execute(page).all()

    start = keyset.decode(cursor, sort="emission", kind=date)
    page = keyset.page(read, start, place=lambda row: (row.issued_on, row.id), sort="emission", size=PAGE_SIZE)
    return page.map(
        lambda row: Receivable(
            row.id, row.reference, full_name(row.last_name, row.first_name), row.issued_on, row.amount
        )
    )
