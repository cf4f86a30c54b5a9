"""What goes with a case to those who sue: invoices, what was written, the proof of posting, in one ZIP file."""

import io
import re
import zipfile
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select

from webapp import french
from webapp.clock import PARIS
from webapp.extensions import db
from webapp.models.dunning import DunningCase, DunningClaim
from webapp.models.invoices import Invoice, InvoiceStatus
from webapp.models.messages import Channel, Message
from webapp.services.dunning import line_of_time, listing, plans
from webapp.services.invoices.printing import file_name as invoice_name
from webapp.services.invoices.printing import print_invoice
from webapp.services.messages.printing import print_letters
from webapp.services.messages.rendering import to_plain_text

READABLE = 0o644
"""The mode of the files: without one, nobody may open what was unpacked."""


def file_name(case: DunningCase) -> str:
    """What the ZIP is called when it is downloaded."""
    return f"Dossier {case.code}.zip"


def build(case: DunningCase, *, at: datetime) -> bytes:
    """The ZIP of a case. Raises PrintingUnavailableError where no PDF can be made."""
    claims, messages = listing.list_claims(case.id), listing.list_messages(case.id, with_words=True)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in _parts(case, claims, messages, at=at):
            entry = zipfile.ZipInfo(name, at.astimezone(PARIS).timetuple()[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = READABLE << 16
            archive.writestr(entry, part)
    return content.getvalue()


def _parts(
    case: DunningCase, claims: Iterable[DunningClaim], messages: Iterable[Message], *, at: datetime
) -> Iterable[tuple[str, bytes]]:
    claims, messages = list(claims), list(messages)
    yield "Dossier.txt", _summary(case, claims, messages, at=at).encode()
    invoices = select(Invoice).where(
        Invoice.charge_id.in_(claim.charge_id for claim in claims), Invoice.status != InvoiceStatus.DRAFT
    )
    for invoice in db.session.scalars(invoices.order_by(Invoice.id)):
        yield f"Factures/{_safe(invoice_name(invoice))}", print_invoice(invoice.id)
    for number, message in enumerate(messages, start=1):
        name = f"Messages/{number:02d} {_safe(message.code)}"
        if message.channel is Channel.LETTER:
            yield f"{name}.pdf", print_letters([message.id])
        else:
            yield f"{name}.txt", _written(message).encode()


def _safe(name: str) -> str:
    return re.sub(r"[^\w .\-]", "_", name)


def _written(message: Message) -> str:
    content = message.content_in_clear()
    head = [
        f"{message.channel.label} {message.code}",
        f"Écrit le {french.moment(message.created_at)}",
        f"Envoyé le {french.moment(message.sent_at)}" if message.sent_at else message.status.label,
        f"À\u202f: {message.to_in_clear() or '—'}",
        f"Objet\u202f: {content['subject']}" if content.get("subject") else "",
    ]
    body = content["body"] if message.channel is Channel.SMS else to_plain_text(content["body"])
    return "\n".join([*(line for line in head if line), "", body, ""])


def _summary(case: DunningCase, claims: Iterable[DunningClaim], messages: Iterable[Message], *, at: datetime) -> str:
    past, _ = line_of_time.list_moments(case, list(claims), plans.list_instalments(case.id), at=at)
    client = case.client
    address = (client.address_line1, client.address_line2, client.postcode, client.city)
    lines = [
        f"Dossier {case.code} au {french.moment(at)}",
        f"Créancier\u202f: {case.company.name}",
        f"Débiteur\u202f: {client.full_name}",
        f"Adresse\u202f: {', '.join(part for part in address if part)}",
        f"Montant dû\u202f: {french.money(case.amount, case.currency)}",
        "",
        "Créances",
        *(
            f"- {claim.charge.code}, échéance du {french.day(claim.charge.due_on)}\u202f: "
            f"{french.money(claim.amount, claim.charge.currency)}"
            f"{f' ({claim.outcome.label.lower()})' if claim.outcome else ''}"
            for claim in claims
        ),
        "",
        "Preuves d’envoi",
        *(
            f"- {message.channel.label} {message.code}\u202f: {message.status.label.lower()}"
            f"{f' le {french.moment(message.sent_at)}' if message.sent_at else ''}"
            f"{f', recommandé n° {message.registered_no}' if message.registered_no else ''}"
            for message in messages
        ),
        "",
        "Ce qui s’est passé",
        *(
            f"- {french.moment(moment.at)}\u202f: {moment.label}{f' ({moment.detail})' if moment.detail else ''}"
            for moment in reversed(past)
        ),
    ]
    return "\n".join(lines) + "\n"
