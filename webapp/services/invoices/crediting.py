"""Credit notes (avoirs): what an invoice is corrected by, in whole or in part.

Drafted here, in the transaction of what they are for, on an invoice that is locked; numbered as invoices are. Each
takes from the VAT rates of its invoice what earlier ones left, and the last takes all that is left: together they
never exceed it. Amounts in the books are negative; those that come in and go out here are above zero.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import exists, func, insert, select
from sqlalchemy.orm import aliased

from webapp import queue
from webapp.clock import PARIS
from webapp.errors import DomainError
from webapp.extensions import db
from webapp.models.base import linked, new_id
from webapp.models.invoices import Allocation, Invoice, InvoiceKind, InvoiceLine, InvoiceStatus
from webapp.models.money import Totals, VatShare, part_of
from webapp.models.payments import Payment, PaymentKind
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.invoices.drafting import JOB
from webapp.tenancy import current_organisation_id

NOTHING = Decimal("0.00")
PARTIAL = "Avoir partiel"


class BeyondInvoiceError(DomainError):
    """Credit notes never exceed the invoice that they correct."""


def lock_invoice_of(charge_id: UUID) -> Invoice:
    """The invoice of a charge that has one, locked until the end of the caller's transaction."""
    statement = select(Invoice).where(Invoice.charge_id == charge_id).with_for_update()
    return db.session.scalars(statement.execution_options(populate_existing=True)).one()


def credit(
    invoice: Invoice,
    amount: Decimal,
    *,
    reason: str,
    by_id: UUID | None,
    at: datetime,
    note_id: UUID | None = None,
    wanted: Totals | None = None,
) -> Invoice:
    """Draft a credit note of ``amount`` (with tax, above zero) on the locked invoice. Raises BeyondInvoiceError.

    It takes back ``wanted`` where the invoice still has so much of each rate, else of all rates in proportion.
    """
    left = _left_of(invoice)
    if not NOTHING < amount <= left.with_tax:
        raise BeyondInvoiceError("Le montant dépasse ce que les avoirs précédents ont laissé de la facture.")
    is_there = wanted is not None and wanted.with_tax == amount and _has(left, wanted)
    given = wanted if wanted is not None and is_there else part_of(left, amount)
    note = Invoice(
        id=note_id or new_id(),
        company_id=invoice.company_id,
        client_id=invoice.client_id,
        corrects_id=invoice.id,
        status=InvoiceStatus.DRAFT,
        series=InvoiceKind.CREDIT_NOTE.series,
        due_on=at.astimezone(PARIS).date(),
        currency=invoice.currency,
        amount_before_tax=-given.before_tax,
        vat=(-given).as_json(),
        total=-amount,
        reason=reason,
        created_at=at,
    )
    db.session.add(note)
    db.session.flush()
    is_whole = amount == invoice.total
    db.session.execute(insert(InvoiceLine), list(_same_lines(invoice, note) if is_whole else _parts(given, note)))
    invoice.credited += amount
    _restate(invoice)
    _tell(invoice, note, by_id=by_id, at=at)
    queue.enqueue_once_after_commit(JOB, current_organisation_id(), on="payments")
    return note


def _left_of(invoice: Invoice) -> Totals:
    """What earlier credit notes have left of each rate."""
    notes = db.session.scalars(select(Invoice.vat).where(Invoice.corrects_id == invoice.id))
    left: dict[Decimal, VatShare] = {}
    for share in (share for vat in (invoice.vat, *notes) for share in Totals.from_json(vat).shares):
        known = left.get(share.rate, VatShare(share.rate, NOTHING, NOTHING))
        left[share.rate] = VatShare(share.rate, known.base + share.base, known.tax + share.tax)
    return Totals(tuple(left.values()))


def _has(left: Totals, wanted: Totals) -> bool:
    """Whether each rate of ``wanted`` is left, before tax and in tax."""
    by_rate = {share.rate: share for share in left.shares}
    return all(
        (there := by_rate.get(share.rate)) is not None and share.base <= there.base and share.tax <= there.tax
        for share in wanted.shares
    )


def _same_lines(invoice: Invoice, note: Invoice) -> Iterable[dict[str, Any]]:
    """The lines of the invoice, taken back one by one."""
    for line in db.session.scalars(select(InvoiceLine).where(InvoiceLine.invoice_id == invoice.id)):
        yield _line(note, line.position, line.label, line.vat_rate, -line.amount) | {
            "quantity": line.quantity,
            "unit_price": -line.unit_price,
            "discount": -line.discount,
        }


def _parts(given: Totals, note: Invoice) -> Iterable[dict[str, Any]]:
    """A line for each rate: a part of an invoice is a part of no line of it."""
    for position, share in enumerate(given.shares):
        yield _line(note, position, PARTIAL, share.rate, -share.base)


def _line(note: Invoice, position: int, label: str, rate: Decimal, amount: Decimal) -> dict[str, Any]:
    return {
        "organisation_id": note.organisation_id,
        "id": new_id(),
        "invoice_id": note.id,
        "position": position,
        "label": label,
        "quantity": Decimal(1),
        "unit_price": amount,
        "discount": NOTHING,
        "vat_rate": rate,
        "amount": amount,
    }


def _restate(invoice: Invoice) -> None:
    """What is paid or credited in full is settled, and what is so no more is due again."""
    if invoice.status is not InvoiceStatus.DRAFT:
        invoice.status = InvoiceStatus.PAID if invoice.balance <= 0 else InvoiceStatus.ISSUED


def _tell(invoice: Invoice, note: Invoice, *, by_id: UUID | None, at: datetime) -> None:
    changes = {
        "invoice": [None, invoice.reference or "sans numéro"],
        "credited": [None, f"{-note.total} {note.currency}"],
        "reason": [None, note.reason],
    }
    db.session.add(
        TimelineEvent(client_id=note.client_id, kind=EventKind.CREDIT_NOTE_MADE, at=at, user_id=by_id, changes=changes)
    )


def credit_refund(
    invoice: Invoice,
    refund: Payment,
    *,
    reason: str,
    by_id: UUID | None,
    at: datetime,
    wanted: Totals | None = None,
) -> Invoice | None:
    """Settle a refund of the ledger on the locked invoice of its charge, and draft the credit note that it calls for.

    Once per refund, however often it is called. What had been paid too much goes back without a credit note: the
    invoice stands. Returns the credit note, if there is a new one.
    """
    if db.session.scalar(select(exists().where(*_is_allocated(refund.id, invoice)))):
        return None
    db.session.add(Allocation(payment_id=refund.id, invoice_id=invoice.id, amount=refund.amount, at=at))
    overpaid = invoice.overpaid
    invoice.paid += refund.amount
    _restate(invoice)
    amount = min(-refund.amount - overpaid, invoice.total - invoice.credited)
    return credit(invoice, amount, reason=reason, by_id=by_id, at=at, wanted=wanted) if amount > 0 else None


def _is_allocated(payment_id: UUID | None, invoice: Invoice) -> tuple[Any, ...]:
    return (
        Allocation.organisation_id == invoice.organisation_id,
        Allocation.payment_id == payment_id,
        Allocation.invoice_id == invoice.id,
    )


def undo_refund(invoice: Invoice, failure: Payment, *, at: datetime) -> None:
    """The money of a refund is with us again: what it took off the locked invoice is paid on it again.

    A credit note that it brought stands as it was printed: its amount is owed to the client from then on, and the next
    refund brings none for so much. What no credit note had settled is left alone, here and for ever.
    """
    if db.session.scalar(select(exists().where(*_is_allocated(failure.undoes_id, invoice)))):
        db.session.add(Allocation(payment_id=failure.id, invoice_id=invoice.id, amount=failure.amount, at=at))
        invoice.paid += failure.amount
        _restate(invoice)


def sum_given_back(invoice: Invoice) -> Decimal:
    """What refunds took off what was paid on the invoice, less those that failed; above zero."""
    statement = (
        select(func.coalesce(-func.sum(Allocation.amount), NOTHING))
        .join(
            Payment,
            linked(Payment, Allocation.payment_id),
        )
        .where(Allocation.invoice_id == invoice.id, Payment.kind.in_((PaymentKind.REFUND, PaymentKind.REFUND_FAILURE)))
    )
    return Decimal(db.session.scalars(statement).one())


def list_waiting_refunds(charge_id: UUID) -> list[Payment]:
    """Refunds of a charge that no credit note has settled yet, the first first; none that failed."""
    failure = aliased(Payment)
    settled = exists().where(linked(Payment, Allocation.payment_id))
    failed = exists().where(linked(Payment, failure.undoes_id))
    statement = select(Payment).where(
        Payment.charge_id == charge_id, Payment.kind == PaymentKind.REFUND, ~settled, ~failed
    )
    return list(db.session.scalars(statement.order_by(Payment.happened_at, Payment.id)))
