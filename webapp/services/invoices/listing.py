"""Reading invoices and credit notes: lists, one with its lines and payments, and what a client owes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, bindparam, func, select
from sqlalchemy.orm import joinedload, selectinload

from webapp import tenancy
from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.clients import Client, full_name
from webapp.models.invoices import Allocation, Invoice, InvoiceKind, InvoiceStatus, kind_of, label_of
from webapp.models.organisations import Company
from webapp.models.payments import Payment
from webapp.services import keyset, list_columns
from webapp.services.clients.search import found_by
from webapp.services.list_columns import ListColumn

PAGE_SIZE = 50
NOTHING = Decimal("0.00")
SEARCH_LENGTH = 200
_SERIES = "|".join(kind.series for kind in InvoiceKind)
_REFERENCE = re.compile(rf"({_SERIES})?[\s-]*0*([0-9]{{1,9}})", re.ASCII | re.IGNORECASE)

_STATEMENT = (
    select(
        Invoice.id,
        Invoice.reference,
        Invoice.corrects_id,
        Invoice.status,
        Invoice.client_id,
        Client.last_name,
        Client.first_name,
        Company.name,
        Invoice.issued_on,
        Invoice.due_on,
        Invoice.total,
        Invoice.paid,
        Invoice.credited,
        Invoice.currency,
    )
    .join(Client, linked(Client, Invoice.client_id))
    .join(Company, linked(Company, Invoice.company_id))
)
_LATEST_OF_CLIENT = (
    _STATEMENT.where(
        Invoice.organisation_id == bindparam("organisation_id"), Invoice.client_id == bindparam("client_id")
    )
    .order_by(Invoice.id.desc())
    .limit(bindparam("size"))
)
_IS_INVOICE = Invoice.corrects_id.is_(None)
_INVOICED = (
    select(
        Invoice.currency,
        func.coalesce(func.sum(Invoice.total).filter(_IS_INVOICE), NOTHING).label("invoiced"),
        func.coalesce(-func.sum(Invoice.total).filter(~_IS_INVOICE), NOTHING).label("credited"),
        func.coalesce(
            func.sum(Invoice.total - Invoice.paid - Invoice.credited).filter(
                _IS_INVOICE, Invoice.status != InvoiceStatus.PAID
            ),
            NOTHING,
        ).label("owed"),
    )
    .where(Invoice.client_id == bindparam("client_id"))
    .group_by(Invoice.currency)
)
_RECEIVED = (
    select(
        Payment.currency,
        func.coalesce(func.sum(Payment.amount).filter(Payment.shop_id.is_(None)), NOTHING),
        func.coalesce(func.sum(Payment.amount).filter(Payment.shop_id.is_not(None)), NOTHING),
    )
    .where(Payment.client_id == bindparam("client_id"))
    .group_by(Payment.currency)
)


@dataclass(frozen=True)
class InvoicesView:
    """What the list shows; None lets all through. ``search`` is a client's name or e-mail, or an invoice's number.

    The latest come first: by due date where those of a status are asked for, else in the order in which they were made.
    """

    search: str = ""
    kind: InvoiceKind | None = None
    status: InvoiceStatus | None = None
    client_id: UUID | None = None
    company_id: UUID | None = None
    cursor: str = ""

    @property
    def sort(self) -> str:
        """The order's name, which cursors carry."""
        return "-echeance" if self.is_by_due_date else "-creation"

    @property
    def is_by_due_date(self) -> bool:
        """Whether the latest due come first; a draft is not due yet."""
        return self.status not in (None, InvoiceStatus.DRAFT)


class InvoiceRow(NamedTuple):
    """A line of the list. ``balance`` is what remains to be paid; a draft has no ``reference`` and ``issued_on``."""

    id: UUID
    reference: str | None
    kind: InvoiceKind
    status: InvoiceStatus
    client_id: UUID
    client: str
    company: str
    issued_on: date | None
    due_on: date | None
    total: Decimal
    balance: Decimal
    currency: str

    @property
    def status_label(self) -> str:
        """The words on the screen."""
        return label_of(self.kind, self.status)


def list_invoices(view: InvoicesView) -> keyset.Page[InvoiceRow]:
    """The invoices of a view. A cursor that is none, or was made for another order, gives the first page."""
    order = [Invoice.due_on, Invoice.id] if view.is_by_due_date else [Invoice.id]
    statement = _STATEMENT.where(*_conditions(view))

    def read(start: keyset.Position | None) -> Sequence[Row[*tuple[Any, ...]]]:
        return db.session.execute(keyset.cut(statement, order, start, is_descending=True, size=PAGE_SIZE)).all()

    def place(row: Row[*tuple[Any, ...]]) -> tuple[keyset.Key, UUID]:
        return row.due_on if view.is_by_due_date else "", row.id

    start = keyset.decode(view.cursor, sort=view.sort, kind=date if view.is_by_due_date else str)
    return keyset.page(read, start, place=place, sort=view.sort, size=PAGE_SIZE).map(_row)


def select_all(view: InvoicesView) -> Select[*tuple[Any, ...]]:
    """Every invoice of a view in its order, joined with clients and companies: an export adds the columns."""
    order = [Invoice.due_on, Invoice.id] if view.is_by_due_date else [Invoice.id]
    return _STATEMENT.where(*_conditions(view)).order_by(*(each.desc() for each in order))


def read_cells(ids: Sequence[UUID], columns: Sequence[ListColumn]) -> dict[UUID, dict[str, Any]]:
    """What columns that are not in each row hold of the rows of a page, by row and key."""
    return list_columns.read_cells(select_all(InvoicesView()), Invoice.id, ids, columns)


def list_latest_of_client(client_id: UUID, *, size: int) -> list[InvoiceRow]:
    """The client's invoices and credit notes, the latest first."""
    parameters = {"organisation_id": tenancy.current_organisation_id(), "client_id": client_id, "size": size}
    return [_row(row) for row in db.session.execute(_LATEST_OF_CLIENT, parameters)]


def count_invoices(view: InvoicesView, *, at_most: int) -> int:
    """How many invoices a view holds, counted up to ``at_most``."""
    limited = _STATEMENT.where(*_conditions(view)).limit(at_most).subquery()
    return db.session.execute(select(func.count()).select_from(limited)).scalar_one()


def _conditions(view: InvoicesView) -> list[ColumnElement[bool]]:
    organisation_id = tenancy.current_organisation_id()
    conditions: list[ColumnElement[bool]] = [Invoice.organisation_id == organisation_id]
    for column, value in (
        (Invoice.status, view.status),
        (Invoice.client_id, view.client_id),
        (Invoice.company_id, view.company_id),
    ):
        if value is not None:
            conditions.append(column == value)
    if view.kind is not None or view.status is InvoiceStatus.PAID:  # nobody pays a credit note
        is_credit_note = view.kind is InvoiceKind.CREDIT_NOTE
        conditions.append(Invoice.corrects_id.is_not(None) if is_credit_note else Invoice.corrects_id.is_(None))
    readable = "".join(c if c.isprintable() else " " for c in view.search[:SEARCH_LENGTH]).strip()
    if match := _REFERENCE.fullmatch(readable):
        # Naming the companies lets the index of numbers answer.
        companies = select(Company.id).where(Company.organisation_id == organisation_id)
        conditions += [
            Invoice.company_id.in_(companies),
            Invoice.series.in_([match.group(1).upper()] if match.group(1) else [kind.series for kind in InvoiceKind]),
            Invoice.number == int(match.group(2)),
        ]
    elif readable:
        conditions += found_by(readable)
    return conditions


def _row(row: Row[*tuple[Any, ...]]) -> InvoiceRow:
    return InvoiceRow(
        id=row.id,
        reference=row.reference,
        kind=kind_of(row.corrects_id),
        status=row.status,
        client_id=row.client_id,
        client=full_name(row.last_name, row.first_name),
        company=row.name,
        issued_on=row.issued_on,
        due_on=row.due_on,
        total=row.total,
        balance=NOTHING if row.corrects_id else row.total - row.paid - row.credited,
        currency=row.currency,
    )


def find_invoice(invoice_id: UUID) -> Invoice:
    """An invoice or credit note of the current organisation, with its lines and client. Raises NotFoundError."""
    loaded = selectinload(Invoice.lines), joinedload(Invoice.client), joinedload(Invoice.corrects)
    invoice = db.session.scalar(select(Invoice).where(Invoice.id == invoice_id).options(*loaded))
    if invoice is None:
        raise NotFoundError("Cette facture n’existe pas ou plus.")
    return invoice


def list_numbered(client_ids: Sequence[UUID]) -> list[Invoice]:
    """What has a number of the invoices and credit notes of these clients, the first issued first, to be printed."""
    loaded = selectinload(Invoice.lines), joinedload(Invoice.corrects)
    wanted = select(Invoice).where(Invoice.client_id.in_(client_ids), Invoice.number.is_not(None)).options(*loaded)
    return list(db.session.scalars(wanted.order_by(Invoice.issued_on, Invoice.id)))


def find_invoice_of_charge(charge_id: UUID) -> Invoice | None:
    """The invoice of a charge, if it has one."""
    return db.session.scalar(select(Invoice).where(Invoice.charge_id == charge_id))


def list_credit_notes(invoice_id: UUID) -> list[Invoice]:
    """The credit notes of an invoice, the first first."""
    return list(db.session.scalars(select(Invoice).where(Invoice.corrects_id == invoice_id).order_by(Invoice.id)))


class Settlement(NamedTuple):
    """A movement of the ledger, and how much of it an invoice got."""

    payment: Payment
    amount: Decimal


def list_settlements(invoice_id: UUID) -> list[Settlement]:
    """What was paid and taken back on an invoice, in the order in which it happened."""
    rows = db.session.execute(
        select(Payment, Allocation.amount)
        .join(
            Allocation,
            linked(Payment, Allocation.payment_id),
        )
        .where(Allocation.invoice_id == invoice_id)
        .order_by(Payment.happened_at, Payment.id)
    )
    return [Settlement(payment, amount) for payment, amount in rows]


class Balance(NamedTuple):
    """Where a client stands in one currency, with tax.

    ``invoiced`` and ``credited`` count invoices and credit notes that have their number or wait for it; ``received`` is
    the ledger, net of what went back; ``owed`` is the unpaid part of invoices. ``total`` differs from it by refunds
    without a credit note, and by money in advance. What shops collected, they invoice themselves: ``by_shop`` is apart.
    """

    currency: str
    invoiced: Decimal = NOTHING
    credited: Decimal = NOTHING
    received: Decimal = NOTHING
    owed: Decimal = NOTHING
    by_shop: Decimal = NOTHING

    @property
    def total(self) -> Decimal:
        """Invoices, less credit notes and payments, and what was refunded again; below zero we owe the client."""
        return self.invoiced - self.credited - self.received


def balances_of_client(client_id: UUID) -> list[Balance]:
    """The client's balance in each currency; empty for a client without invoices or payments."""
    balances: dict[str, Balance] = {}
    for row in db.session.execute(_INVOICED, {"client_id": client_id}):
        balances[row.currency] = Balance(row.currency, row.invoiced, row.credited, owed=row.owed)
    for currency, received, by_shop in db.session.execute(_RECEIVED, {"client_id": client_id}):
        known = balances.get(currency, Balance(currency))
        balances[currency] = known._replace(received=received, by_shop=by_shop)
    return [balances[currency] for currency in sorted(balances)]
