"""« Écrire »: what a colleague writes to a client, in the name of a company, with answers to the colleague."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select

from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.documents import Document
from webapp.models.identity import User
from webapp.models.messages import Channel, Message, MessageKind
from webapp.models.organisations import Company
from webapp.services.messages import preparing, rendering, senders, templates, writing
from webapp.services.messages.composing import FILES_LIMIT, TOO_BIG
from webapp.services.messages.drafts import Attachment, Draft
from webapp.services.messages.kinds import KINDS
from webapp.services.messages.rendering import Text
from webapp.services.messages.syntax import as_typed
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction

KINDS_BY_HAND = (MessageKind.FREE, MessageKind.SATISFACTION, MessageKind.PROSPECTION)
CHANNELS = (Channel.EMAIL, Channel.SMS)


@dataclass(frozen=True, kw_only=True)
class WrittenMessage:
    """What was typed: in whose name (``company_id``), why (``kind``), how, in which words, with which documents."""

    company_id: UUID
    kind: MessageKind
    channel: Channel
    text: Text
    document_ids: Sequence[UUID] = ()


def find_text(client_id: UUID, company_id: UUID, kind: MessageKind, channel: Channel, *, at: datetime) -> Text:
    """The text to begin with, the client's name and the rest filled in; empty where there is none.

    Raises NotFoundError.
    """
    wanted = (kind, channel, company_id)
    found = templates.load_in_use([wanted], at=at).get(wanted)
    if found is None:
        return Text("", "")
    written = WrittenMessage(company_id=company_id, kind=kind, channel=channel, text=found.text)
    text = fill(client_id, written)
    return Text(text.subject, text.body if channel is Channel.SMS else as_typed(text.body))


def has_sender(company_id: UUID, channel: Channel) -> bool:
    """Whether the company can send by that channel now."""
    return (company_id, channel) in senders.load_active({company_id})


def fill(client_id: UUID, written: WrittenMessage) -> Text:
    """The message as the client would read it. Raises NotFoundError, WrongTextError."""
    return preparing.fill_text(_draft(client_id, written, occasion="", by=None))


def send(client_id: UUID, written: WrittenMessage, *, message_id: UUID, by: User, at: datetime) -> Message:
    """Write it to the client; sent twice under one ``message_id``, it is written once.

    What cannot leave is held, with its reason. Raises NotFoundError; InvalidInputError naming the field.
    """
    with transaction():
        draft = _draft(client_id, written, occasion=str(message_id), by=by)
        preparing.fill_text(draft)  # raises, and nothing is written
        _check_files(client_id, written)
        writing.write(draft, at=at, by=by.id)
        return db.session.scalars(select(Message).where(Message.dedupe_key == draft.key)).one()


def _draft(client_id: UUID, written: WrittenMessage, *, occasion: str, by: User | None) -> Draft:
    if written.kind not in KINDS_BY_HAND or written.channel not in CHANNELS:
        raise InvalidInputError("Choisissez ce que vous écrivez, et par quel moyen.", field="kind")
    if db.session.scalar(select(Client.id).where(Client.id == client_id)) is None:
        raise NotFoundError("Ce client n’existe pas ou plus.")
    if db.session.scalar(select(Company.id).where(Company.id == written.company_id)) is None:
        raise InvalidInputError("Choisissez la société.", field="company_id")
    rendering.check(KINDS[written.kind], written.channel, written.text)
    is_email = written.channel is Channel.EMAIL
    return Draft(
        kind=written.kind,
        company_id=written.company_id,
        subject_id=client_id,
        occasion=occasion,
        variables={},
        client_id=client_id,
        channel=written.channel,
        text=written.text,
        reply_to=by.email if by and is_email else None,
        attachments=tuple(Attachment("document", each) for each in dict.fromkeys(written.document_ids))
        if is_email
        else (),
    )


def _check_files(client_id: UUID, written: WrittenMessage) -> None:
    """All of them are the client's, none shows an IBAN, and together they fit in an e-mail."""
    wanted = set(written.document_ids)
    if not wanted:
        return
    number, size = db.session.execute(
        select(func.count(), func.coalesce(func.sum(Document.size), 0)).where(
            Document.organisation_id == current_organisation_id(),
            Document.id.in_(wanted),
            Document.client_id == client_id,
            Document.mandate_id.is_(None),
        )
    ).one()
    if number != len(wanted):
        raise InvalidInputError("Un des documents n’existe plus\u202f: choisissez à nouveau.", field="documents")
    if size > FILES_LIMIT:
        raise InvalidInputError(TOO_BIG, field="documents")
