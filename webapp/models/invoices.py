"""Invoices (factures) and credit notes (avoirs): numbered without gaps, frozen once issued; what is paid on them."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Numeric, String, Text, UniqueConstraint, and_, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, foreign, mapped_column, relationship, remote

from webapp import clock
from webapp.models.base import Base, Identified, Timestamped, linked, stored_enum, tenant_key
from webapp.models.clients import Client
from webapp.models.money import INSURANCE_TAX, tax_label
from webapp.tenancy import OrganisationScoped


class InvoiceCounter(OrganisationScoped, Base):
    """The last number given in a company's series. Locked by the transaction that gives the next: no gap, no double.

    ``last_issued_on`` keeps numbers and dates in the same order.
    """

    __tablename__ = "invoice_counters"
    __table_args__ = (tenant_key("company_id", "companies", ondelete="RESTRICT"),)

    company_id: Mapped[UUID] = mapped_column(primary_key=True)
    series: Mapped[str] = mapped_column(String(20), primary_key=True)
    last_number: Mapped[int] = mapped_column(default=0, server_default="0")
    last_issued_on: Mapped[date | None]


class InvoiceKind(StrEnum):
    """What a document of the table is."""

    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"

    @property
    def label(self) -> str:
        """The word on the screen and on paper."""
        return {"invoice": "Facture", "credit_note": "Avoir"}[self.value]

    @property
    def series(self) -> str:
        """The series that it is numbered in."""
        return {"invoice": "FA", "credit_note": "AV"}[self.value]


class InvoiceStatus(StrEnum):
    """Where an invoice stands. A reversed payment leads from paid back to issued."""

    DRAFT = "draft"
    ISSUED = "issued"
    PAID = "paid"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {"draft": "Brouillon", "issued": "À payer", "paid": "Payée"}[self.value]


TRANSITIONS: dict[InvoiceStatus, frozenset[InvoiceStatus]] = {
    InvoiceStatus.DRAFT: frozenset({InvoiceStatus.ISSUED, InvoiceStatus.PAID}),
    InvoiceStatus.ISSUED: frozenset({InvoiceStatus.PAID}),
    InvoiceStatus.PAID: frozenset({InvoiceStatus.ISSUED}),
}


class Invoice(OrganisationScoped, Identified, Timestamped, Base):
    """An invoice. ``number`` and ``reference`` (series and number as printed) are empty until it is finalised.

    From then on everything but the payment is frozen (a trigger refuses anything else): ``seller`` and ``buyer`` are
    copies, ``vat`` holds ``[{rate, base, tax}]``. ``paid`` is the sum of its allocations, ``credited`` that of its
    credit notes.

    A credit note is a row too: it names the invoice that it ``corrects`` and the ``reason``, its amounts are negative,
    so that sums come out right, and nothing is ever paid on it: what it gives back is allocated to its invoice.
    """

    __tablename__ = "invoices"
    __table_args__ = (
        Index(
            "uq_invoices_charge",
            "organisation_id",
            "charge_id",
            unique=True,
            postgresql_where=text("charge_id IS NOT NULL"),
        ),
        UniqueConstraint("organisation_id", "company_id", "series", "number"),
        CheckConstraint("(number IS NULL) = (status = 'draft')", name="numbered_once_final"),
        CheckConstraint(
            "(corrects_id IS NULL AND total >= 0 AND credited BETWEEN 0 AND total) OR "
            "(corrects_id IS NOT NULL AND total < 0 AND credited = 0 AND paid = 0 AND charge_id IS NULL)",
            name="credited_within_total",
        ),
        Index("ix_invoices_client", "organisation_id", "client_id", "id"),
        Index("ix_invoices_issued", "organisation_id", "issued_on", "id"),
        Index("ix_invoices_status", "organisation_id", "status", "due_on", "id"),
        Index("ix_invoices_drafts", "created_at", postgresql_where=text("status = 'draft'")),
        Index("ix_invoices_credit_notes", "organisation_id", "id", postgresql_where=text("corrects_id IS NOT NULL")),
        Index(
            "ix_invoices_corrects",
            "organisation_id",
            "corrects_id",
            postgresql_where=text("corrects_id IS NOT NULL"),
        ),
        tenant_key("company_id", "companies", ondelete="RESTRICT"),
        tenant_key("client_id", "clients", ondelete="RESTRICT"),
        tenant_key("charge_id", "charges", ondelete="RESTRICT"),
        tenant_key("corrects_id", "invoices", ondelete="RESTRICT"),
    )

    company_id: Mapped[UUID]
    client_id: Mapped[UUID]
    charge_id: Mapped[UUID | None]
    corrects_id: Mapped[UUID | None]
    status: Mapped[InvoiceStatus] = mapped_column(stored_enum(InvoiceStatus), default=InvoiceStatus.DRAFT)
    series: Mapped[str] = mapped_column(String(20))
    number: Mapped[int | None]
    reference: Mapped[str | None] = mapped_column(String(40))
    issued_on: Mapped[date | None]
    due_on: Mapped[date | None]
    period_start: Mapped[date | None]
    period_end: Mapped[date | None]
    currency: Mapped[str] = mapped_column(String(3), default="EUR", server_default="EUR")
    amount_before_tax: Mapped[Decimal] = mapped_column(Numeric(14, 2))
    vat: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, default=list, server_default="[]")
    total: Mapped[Decimal] = mapped_column(Numeric(14, 2))
    paid: Mapped[Decimal] = mapped_column(Numeric(14, 2), default=Decimal(0), server_default="0")
    credited: Mapped[Decimal] = mapped_column(Numeric(14, 2), default=Decimal(0), server_default="0")
    reason: Mapped[str | None] = mapped_column(Text)
    seller: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    buyer: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    finalised_at: Mapped[datetime | None]

    client: Mapped[Client] = relationship(
        primaryjoin=lambda: linked(Client, Invoice.client_id),
        viewonly=True,
    )
    corrects: Mapped["Invoice | None"] = relationship(
        primaryjoin=lambda: and_(
            Invoice.organisation_id == remote(Invoice.organisation_id),
            foreign(Invoice.corrects_id) == remote(Invoice.id),
        ),
        viewonly=True,
    )
    lines: Mapped[list["InvoiceLine"]] = relationship(
        primaryjoin=lambda: linked(Invoice, InvoiceLine.invoice_id),
        order_by="InvoiceLine.position",
        viewonly=True,
    )

    def can_become(self, status: InvoiceStatus) -> bool:
        """Whether the table of transitions leads from the present state to ``status``."""
        return status in TRANSITIONS[self.status]

    @property
    def taxes(self) -> list[tuple[str, Decimal]]:
        """What each tax comes to, by its name: VAT of a rate, or the tax on insurance."""
        shares = [(Decimal(share["rate"]), Decimal(share["tax"])) for share in self.vat]
        return [(tax_label(rate) if rate == INSURANCE_TAX else f"TVA {tax_label(rate)}", tax) for rate, tax in shares]

    @property
    def kind(self) -> InvoiceKind:
        """What it is."""
        return kind_of(self.corrects_id)

    @property
    def status_label(self) -> str:
        """The words on the screen: nobody pays a credit note."""
        return label_of(self.kind, self.status)

    @property
    def balance(self) -> Decimal:
        """What remains to be paid; on a credit note nothing does."""
        return Decimal("0.00") if self.corrects_id else self.total - self.paid - self.credited

    @property
    def overpaid(self) -> Decimal:
        """What was paid beyond what credit notes leave of it: we owe so much to the client."""
        return max(-self.balance, Decimal("0.00"))


def kind_of(corrects_id: UUID | None) -> InvoiceKind:
    """What a document is: one that corrects another is a credit note."""
    return InvoiceKind.CREDIT_NOTE if corrects_id else InvoiceKind.INVOICE


def label_of(kind: InvoiceKind, status: InvoiceStatus) -> str:
    """The words on the screen for where a document stands."""
    return "Émis" if kind is InvoiceKind.CREDIT_NOTE and status is InvoiceStatus.PAID else status.label


class InvoiceLine(OrganisationScoped, Identified, Base):
    """One line as printed. ``amount`` is before tax, net of ``discount``; ``vat_rate`` in percent."""

    __tablename__ = "invoice_lines"
    __table_args__ = (
        UniqueConstraint("organisation_id", "invoice_id", "position"),
        tenant_key("invoice_id", "invoices", ondelete="RESTRICT"),
    )

    invoice_id: Mapped[UUID]
    position: Mapped[int]
    label: Mapped[str] = mapped_column(String(200))
    quantity: Mapped[Decimal] = mapped_column(Numeric(12, 3), default=Decimal(1), server_default="1")
    unit_price: Mapped[Decimal] = mapped_column(Numeric(14, 4))
    discount: Mapped[Decimal] = mapped_column(Numeric(14, 2), default=Decimal(0), server_default="0")
    vat_rate: Mapped[Decimal] = mapped_column(Numeric(4, 2))
    amount: Mapped[Decimal] = mapped_column(Numeric(14, 2))


class Allocation(OrganisationScoped, Identified, Base):
    """How much of a payment settles an invoice. Only ever added to: a reversal allocates its negative amount."""

    __tablename__ = "allocations"
    __table_args__ = (
        UniqueConstraint("organisation_id", "payment_id", "invoice_id"),
        Index("ix_allocations_invoice", "organisation_id", "invoice_id"),
        tenant_key("payment_id", "payments", ondelete="RESTRICT"),
        tenant_key("invoice_id", "invoices", ondelete="RESTRICT"),
    )

    payment_id: Mapped[UUID]
    invoice_id: Mapped[UUID]
    amount: Mapped[Decimal] = mapped_column(Numeric(14, 2))
    at: Mapped[datetime] = mapped_column(default=clock.now)
