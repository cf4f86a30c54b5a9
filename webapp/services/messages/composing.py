"""A message as its provider takes it: the e-mail with its frame and files, or the SMS."""

import mimetypes
from collections.abc import Mapping
from uuid import UUID

from webapp import links
from webapp.errors import DomainError, NotFoundError
from webapp.gateways.messaging import Address, AttachedFile, OutgoingEmail, OutgoingSms, RefusalKind, Refused
from webapp.models.messages import Channel, MessageSender
from webapp.services import plan_documents
from webapp.services.clients import documents
from webapp.services.consents import unsubscribing
from webapp.services.invoices import listing as invoices
from webapp.services.invoices import printing as invoice_printing
from webapp.services.messages import rendering
from webapp.services.messages.claiming import Claim
from webapp.services.messages.frames import Frame
from webapp.services.messages.kinds import KINDS
from webapp.services.messages.rendering import Text
from webapp.services.pdf import PrintingUnavailableError

FILES_LIMIT = 10 * 1024 * 1024
"""Bytes of all the files of an e-mail: what mail servers take as a rule, once the files are written in letters."""
TOO_BIG = "Les pièces jointes dépassent 10\u202fMo."

Outgoing = OutgoingEmail | OutgoingSms | Refused


def compose(claim: Claim, sender: MessageSender, frame: Frame) -> Outgoing:
    """The message as it leaves; Refused where one of its files is gone, too big, or cannot be made now."""
    if sender.channel is Channel.SMS:
        return OutgoingSms(str(claim.message_id), sender.from_name, claim.to, claim.content["body"])
    try:
        files = _load_files(claim)
    except PrintingUnavailableError as error:
        return Refused(RefusalKind.LATER, "attachment", error.message)
    except DomainError as error:
        return Refused(RefusalKind.CONTENT, "attachment", error.message)
    return _email(claim, sender, frame, files)


def _email(claim: Claim, sender: MessageSender, frame: Frame, files: tuple[AttachedFile, ...]) -> OutgoingEmail:
    link = _unsubscribe_link(claim, sender.channel)
    parts = rendering.to_email(Text(claim.content["subject"], claim.content["body"]), frame, unsubscribe_url=link)
    address = sender.from_address or ""
    reply_to = claim.content.get("reply_to") or sender.reply_to
    return OutgoingEmail(
        message_id=message_id_of(claim.message_id, sender),
        key=str(claim.message_id),
        sender=Address(sender.from_name, address),
        to=Address("", claim.to),
        subject=claim.content["subject"],
        text=parts.text,
        html=parts.html,
        reply_to=Address("", reply_to) if reply_to else None,
        headers=_headers(link),
        inline=parts.inline,
        attachments=files,
    )


def message_id_of(message_id: UUID, sender: MessageSender) -> str:
    """The Message-ID, the same in every try: what comes back about a message is known by it."""
    _, _, domain = (sender.from_address or "").rpartition("@")
    return f"<{message_id}@{domain}>"


def _unsubscribe_link(claim: Claim, channel: Channel) -> str | None:
    purpose = KINDS[claim.kind].purpose(channel)
    if purpose is None or claim.client_id is None:
        return None
    return links.unsubscribing(unsubscribing.make_token(claim.client_id, purpose))


def _headers(link: str | None) -> Mapping[str, str]:
    """One click in the mail program withdraws the consent (RFC 8058)."""
    return {"List-Unsubscribe": f"<{link}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"} if link else {}


def _load_files(claim: Claim) -> tuple[AttachedFile, ...]:
    """Raises DomainError for a file that is not there any more, or too big."""
    files = tuple(_load_file(source, each, claim.client_id) for source, each in claim.files)
    if sum(len(file.content) for file in files) > FILES_LIMIT:
        raise DomainError(TOO_BIG)
    return files


def _load_file(source: str, file_id: UUID, client_id: UUID | None) -> AttachedFile:
    if source == "invoice":
        invoice = invoices.find_invoice(file_id)
        return AttachedFile(
            invoice_printing.file_name(invoice), "application/pdf", invoice_printing.print_invoice(file_id)
        )
    if source == "plan_document":
        plan_document, path = plan_documents.find_file(file_id)
        return AttachedFile(plan_document.name, "application/pdf", path.read_bytes())
    if client_id is None:
        raise NotFoundError("Ce document n’existe pas ou plus.")
    document, path = documents.find_file(client_id, file_id)
    kind = document.content_type or mimetypes.guess_type(document.name)[0] or "application/octet-stream"
    return AttachedFile(document.name, kind, path.read_bytes())
