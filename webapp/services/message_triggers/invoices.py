"""Invoices and credit notes, sent to the client as they are issued."""

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from webapp import clock
from webapp.extensions import db
from webapp.models.invoices import Invoice, InvoiceKind, InvoiceStatus
from webapp.models.messages import MessageKind
from webapp.models.outbox import OutboxEvent
from webapp.services.messages import writing
from webapp.services.messages.writing import Attachment, Draft

ISSUED = "issued"


def send_issued(event: OutboxEvent) -> None:
    """Send what was numbered, as a file beside the message, once."""
    wanted = select(Invoice).where(Invoice.id == event.subject_id, Invoice.status != InvoiceStatus.DRAFT)
    invoice = db.session.scalar(wanted.options(joinedload(Invoice.corrects)))
    if invoice is None:
        return
    variables: dict[str, object] = {
        "numero": invoice.reference,
        "montant": abs(invoice.total),
        "date_facture": invoice.issued_on,
    }
    if invoice.corrects is not None:
        variables["facture"] = invoice.corrects.reference
    is_credit = invoice.kind is InvoiceKind.CREDIT_NOTE
    draft = Draft(
        kind=MessageKind.CREDIT_NOTE if is_credit else MessageKind.INVOICE,
        company_id=invoice.company_id,
        client_id=invoice.client_id,
        subject_id=invoice.id,
        occasion=ISSUED,
        variables=variables,
        attachments=(Attachment("invoice", invoice.id),),
    )
    writing.write(draft, at=clock.now())
