"""Finalising: an invoice or credit note gets its number, its date and its copies of seller and buyer, and is frozen.

Numbers are chronological and without gaps per company and series, since the counter is a row that the numbering
transaction locks. That transaction is short and its own, so that numbering does not serialise the charging.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, exists, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased

from webapp import clock, queue, tenancy
from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.clients import Client
from webapp.models.invoices import Invoice, InvoiceCounter, InvoiceKind, InvoiceStatus
from webapp.models.organisations import Company
from webapp.models.outbox import OutboxKind
from webapp.services import each_organisation, outbox
from webapp.services.invoices.drafting import JOB
from webapp.services.outbox import Emitted
from webapp.transactions import transaction

BATCH = 50
"""Invoices numbered in one transaction, at most."""
LONGEST_TURN = 40
"""Batches of one job: what else waits in its queue gets a turn."""
PATIENCE = timedelta(seconds=30)
"""How long a draft may wait before the sweeper thinks that its bell was not heard."""


def finalise(invoice_id: UUID, *, at: datetime) -> None:
    """Give one invoice its number. One that has a number already keeps it."""
    drafted = db.session.execute(select(Invoice.company_id, Invoice.series).where(Invoice.id == invoice_id)).one()
    _number(drafted.company_id, drafted.series, at=at, only=invoice_id)


def finalise_drafts(organisation_id: UUID, *, at: datetime) -> int:
    """Number the organisation's drafts, the oldest first; returns how many. Rings again where some are left."""
    queue.heard(JOB, organisation_id)
    numbered = 0
    with tenancy.organisation(organisation_id):
        for _ in range(LONGEST_TURN):
            done = _number_oldest(at=at)
            numbered += done
            if not done:  # none left, or another worker has them
                return numbered
        queue.enqueue_once_after_commit(JOB, organisation_id, on="payments")
    return numbered


def _number_oldest(*, at: datetime) -> int:
    """Number a batch of the series that the oldest draft belongs to."""
    with transaction():
        oldest = db.session.execute(
            select(Invoice.company_id, Invoice.series)
            .where(Invoice.status == InvoiceStatus.DRAFT, _is_ready())
            .order_by(Invoice.created_at, Invoice.id)
            .limit(1)
        ).first()
        return _number(oldest.company_id, oldest.series, at=at) if oldest else 0


def _number(company_id: UUID, series: str, *, at: datetime, only: UUID | None = None) -> int:
    """Number a batch of one company's series."""
    with transaction():
        counter = _lock_counter(company_id, series)
        drafts = (
            select(Invoice)
            .where(
                Invoice.company_id == company_id,
                Invoice.series == series,
                Invoice.status == InvoiceStatus.DRAFT,
                _is_ready(),
            )
            .order_by(Invoice.created_at, Invoice.id)
            .limit(BATCH)
            # One that the charge engine holds waits for the next batch: nobody waits for anybody in a circle.
            .with_for_update(skip_locked=True)
            .execution_options(populate_existing=True)
        )
        invoices = db.session.scalars(drafts.where(Invoice.id == only) if only else drafts).all()
        if not invoices:
            return 0
        seller = _seller(db.session.scalars(select(Company).where(Company.id == company_id)).one())
        buyers = _find_buyers(invoice.client_id for invoice in invoices)
        today = at.astimezone(clock.PARIS).date()
        issued_on = max(today, counter.last_issued_on or today)
        for invoice in invoices:
            counter.last_number += 1
            _freeze(invoice, counter.last_number, seller, buyers[invoice.client_id])
            invoice.issued_on, invoice.finalised_at = issued_on, at
        counter.last_issued_on = issued_on
        _tell(invoices, at=at)
        return len(invoices)


def _tell(invoices: Sequence[Invoice], *, at: datetime) -> None:
    """All of a series are of one kind."""
    is_credit = invoices[0].kind is InvoiceKind.CREDIT_NOTE
    happened = [
        Emitted(invoice.id, {"client_id": str(invoice.client_id), "company_id": str(invoice.company_id)})
        for invoice in invoices
    ]
    outbox.emit_many(OutboxKind.CREDIT_NOTE_ISSUED if is_credit else OutboxKind.INVOICE_ISSUED, happened, at=at)


def _is_ready() -> ColumnElement[bool]:
    """A credit note names the number of the invoice that it corrects, and so comes after it."""
    corrected = aliased(Invoice)
    waits = exists().where(
        linked(corrected, Invoice.corrects_id),
        corrected.status == InvoiceStatus.DRAFT,
    )
    return or_(Invoice.corrects_id.is_(None), ~waits)


def _lock_counter(company_id: UUID, series: str) -> InvoiceCounter:
    table = InvoiceCounter.__table__
    first = {"organisation_id": tenancy.current_organisation_id(), "company_id": company_id, "series": series}
    db.session.execute(insert(table).values(first).on_conflict_do_nothing())  # type: ignore[arg-type]
    return db.session.scalars(
        select(InvoiceCounter)
        .where(InvoiceCounter.company_id == company_id, InvoiceCounter.series == series)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()


def _freeze(invoice: Invoice, number: int, seller: dict[str, Any], buyer: dict[str, Any]) -> None:
    invoice.number = number
    invoice.reference = f"{invoice.series}-{number:06d}"
    invoice.status = InvoiceStatus.PAID if invoice.balance <= 0 else InvoiceStatus.ISSUED
    invoice.seller, invoice.buyer = seller, buyer


def _seller(company: Company) -> dict[str, Any]:
    """What the law wants to know of the seller, as it is today."""
    capital = company.share_capital
    return {
        "name": company.name,
        "siren": company.siren,
        "vat_number": company.vat_number,
        "legal_form": company.legal_form,
        "share_capital": str(capital) if capital is not None else None,
        "registry_city": company.registry_city,
        "email": company.email,
        "phone": company.phone,
        **_address(company),
    }


def _find_buyers(client_ids: Iterable[UUID]) -> dict[UUID, dict[str, Any]]:
    clients = db.session.scalars(select(Client).where(Client.id.in_(set(client_ids))))
    return {client.id: {"name": client.full_name, "email": client.email, **_address(client)} for client in clients}


def _address(owner: Company | Client) -> dict[str, Any]:
    return {name: getattr(owner, name) for name in ("address_line1", "address_line2", "postcode", "city", "country")}


def sweep(*, at: datetime) -> int:
    """Ring again for every organisation with drafts that nobody numbered in time; returns how many organisations."""
    waiting = select(Invoice.organisation_id).where(
        Invoice.status == InvoiceStatus.DRAFT, Invoice.created_at <= at - PATIENCE
    )
    return each_organisation.ring(JOB, waiting, on="payments")
