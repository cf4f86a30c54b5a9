"""Drafting: the invoice of a charge, in the transaction that charges. It gets its number later, see ``finalising``."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.dialects.postgresql import insert as insert_or_skip

from webapp import queue
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.charges import Charge
from webapp.models.invoices import Invoice, InvoiceKind, InvoiceLine, InvoiceStatus
from webapp.services.invoices import allocating
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction

JOB = "jobs.invoices.finalise"


def draft_for_charge(charge: Charge, *, at: datetime) -> None:
    """Draft the charge's invoice, where it has none yet, and settle it with what the ledger holds for the charge.

    Safe to call at every change of a charge: when its payment begins, when it succeeds, when it is taken back.
    """
    draft_for_charges([charge], at=at)


def draft_for_charges(charges: Sequence[Charge], *, at: datetime) -> None:
    """As ``draft_for_charge``, in three statements however many there are. Shops invoice what they sell themselves."""
    charges = [charge for charge in charges if not charge.is_of_shop]
    if not charges:
        return
    with transaction():
        db.session.flush()  # the ledger rows that the caller has just added
        drafted = _insert_drafts(charges, at=at)
        if lines := list(_lines(charges, drafted)):
            db.session.execute(insert(InvoiceLine), lines)
        allocating.allocate([charge.id for charge in charges], at=at)
        if drafted:
            queue.enqueue_once_after_commit(JOB, current_organisation_id(), on="payments")


def _insert_drafts(charges: Iterable[Charge], *, at: datetime) -> dict[UUID, UUID]:
    """The new invoices' ids by their charges': one that another transaction made first stays as it is."""
    rows = [
        {
            "organisation_id": charge.organisation_id,
            "id": new_id(),
            "company_id": charge.company_id,
            "client_id": charge.client_id,
            "charge_id": charge.id,
            "status": InvoiceStatus.DRAFT,
            "series": InvoiceKind.INVOICE.series,
            "due_on": charge.due_on,
            "period_start": charge.period_start,
            "period_end": charge.period_end,
            "currency": charge.currency,
            "amount_before_tax": charge.amount_before_tax,
            "vat": charge.vat,
            "total": charge.amount,
            "created_at": at,
        }
        for charge in charges
    ]
    statement = insert_or_skip(Invoice.__table__).on_conflict_do_nothing()  # type: ignore[arg-type]
    made = db.session.execute(statement.returning(Invoice.__table__.c.charge_id, Invoice.__table__.c.id), rows)
    return {row.charge_id: row.id for row in made}


def _lines(charges: Iterable[Charge], drafted: dict[UUID, UUID]) -> Iterable[dict[str, Any]]:
    for charge in charges:
        if charge.id not in drafted:
            continue
        for position, line in enumerate(charge.lines):
            yield {
                "organisation_id": charge.organisation_id,
                "id": new_id(),
                "invoice_id": drafted[charge.id],
                "position": position,
                "label": line["label"],
                "quantity": Decimal(line["quantity"]),
                "unit_price": Decimal(line["unit_price"]),
                "discount": Decimal(line["discount"]),
                "vat_rate": Decimal(line["vat_rate"]),
                "amount": Decimal(line["amount"]),
            }
