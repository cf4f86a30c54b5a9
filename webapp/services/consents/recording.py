"""Noting what a client said: yes, or no. Nothing is ever changed; what comes later in time holds."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select

from webapp import clock
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.consents import Consent, ConsentChannel, ConsentPurpose, ConsentState, ConsentWording
from webapp.models.documents import Document
from webapp.models.identity import User
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.clients.documents import add_document
from webapp.services.clients.locking import lock_client
from webapp.services.consents.wordings import find_wording
from webapp.services.contact import clean_text
from webapp.transactions import transaction

NOTE_LENGTH = 500
_EVENTS = {
    ConsentState.GIVEN: EventKind.CONSENT_GIVEN,
    ConsentState.WITHDRAWN: EventKind.CONSENT_WITHDRAWN,
    ConsentState.REFUSED: EventKind.CONSENT_REFUSED,
}
_INSTANT = timedelta(microseconds=1)


class Upload(NamedTuple):
    """A file that shows what the client said; it becomes one of the client's documents."""

    name: str
    content: bytes


@dataclass(frozen=True, kw_only=True)
class ConsentFields:
    """What a client said about a purpose: it ``agrees``, or is against it.

    ``said_on`` is a day in Paris, by default now. ``wording_id`` is the text that was agreed to, by default the one
    that held then; ``is_other_wording`` where it was none of ours. ``document_id`` (of this client), ``upload`` or
    ``note`` show it.
    """

    purpose: ConsentPurpose
    agrees: bool
    channel: ConsentChannel
    said_on: date | None = None
    wording_id: UUID | None = None
    is_other_wording: bool = False
    document_id: UUID | None = None
    upload: Upload | None = None
    note: str = ""


def record(
    client_id: UUID, fields: ConsentFields, *, consent_id: UUID | None = None, by: User | None, at: datetime
) -> Consent:
    """Note what the client said. A no without a yes before is a refusal; a no after a no adds nothing.

    A form brings the ``consent_id``: sent twice, it is noted once. ``by`` is None where the client did it alone.
    Returns the row, of a repeated no the one that says so already. Raises NotFoundError; InvalidInputError, naming the
    field; QuotaError.
    """
    said_at, note = _said_at(fields, at=at), _checked_note(fields.note)
    with transaction():
        lock_client(client_id)
        if consent_id is not None and (noted := _find_noted(client_id, consent_id)):
            return noted
        before = _find_latest(client_id, fields.purpose, said_at=said_at)
        if not fields.agrees and before is not None and before.state is not ConsentState.GIVEN:
            return before
        wording = _find_agreed_wording(fields, said_at=said_at) if fields.agrees else None
        _refuse_unproved(fields, wording, note)
        consent = Consent(
            id=consent_id or new_id(),
            client_id=client_id,
            purpose=fields.purpose,
            state=_state(fields, before),
            at=said_at,
            channel=fields.channel,
            wording_id=wording.id if wording else None,
            document_id=_find_proof(client_id, fields, by=by, at=at),
            note=note or None,
            user_id=by.id if by else None,
            created_at=at,
        )
        db.session.add(consent)
        _tell(consent, by=by, at=at)
        db.session.flush()
    return consent


def _said_at(fields: ConsentFields, *, at: datetime) -> datetime:
    """The instant. Of a day gone by nobody knows the hour: a no of that day comes after a yes of it."""
    today = at.astimezone(clock.PARIS).date()
    if fields.said_on is None or fields.said_on == today:
        return at
    if fields.said_on > today:
        raise InvalidInputError("Cette date est à venir\u202f: indiquez le jour où le client l’a dit.", field="said_on")
    start = clock.start_of(fields.said_on)
    return start if fields.agrees else clock.start_of(fields.said_on + timedelta(days=1)) - _INSTANT


def _checked_note(written: str) -> str:
    note = clean_text(written)
    if len(note) > NOTE_LENGTH:
        raise InvalidInputError(f"Une note a {NOTE_LENGTH} caractères au plus.", field="note")
    return note


def _find_noted(client_id: UUID, consent_id: UUID) -> Consent | None:
    """What the same form has noted already. Raises NotFoundError where that is of another client."""
    consent = db.session.scalar(select(Consent).where(Consent.id == consent_id))
    if consent is not None and consent.client_id != client_id:
        raise NotFoundError("Ce client n’existe pas ou plus.")
    return consent


def _find_latest(client_id: UUID, purpose: ConsentPurpose, *, said_at: datetime) -> Consent | None:
    """What held at that instant."""
    earlier = select(Consent).where(Consent.client_id == client_id, Consent.purpose == purpose, Consent.at <= said_at)
    return db.session.scalar(earlier.order_by(Consent.at.desc(), Consent.id.desc()).limit(1))


def _state(fields: ConsentFields, before: Consent | None) -> ConsentState:
    if fields.agrees:
        return ConsentState.GIVEN
    return ConsentState.WITHDRAWN if before is not None else ConsentState.REFUSED


def _find_agreed_wording(fields: ConsentFields, *, said_at: datetime) -> ConsentWording | None:
    return None if fields.is_other_wording else find_wording(fields.purpose, fields.wording_id, said_at=said_at)


def _refuse_unproved(fields: ConsentFields, wording: ConsentWording | None, note: str) -> None:
    """Whoever relies on a consent must be able to show it (RGPD, art. 7.1); to be against needs no proof."""
    if not fields.agrees or fields.document_id or fields.upload or note:
        return
    if fields.channel is ConsentChannel.PAPER:
        raise InvalidInputError(
            "Un accord sur papier se prouve\u202f: joignez-en la copie, ou notez où l’original est gardé.", field="note"
        )
    if wording is None:
        raise InvalidInputError(
            "Aucun de vos textes ne valait alors\u202f: joignez la preuve de l’accord, ou notez le texte présenté.",
            field="note",
        )


def _find_proof(client_id: UUID, fields: ConsentFields, *, by: User | None, at: datetime) -> UUID | None:
    """The document, held so that nobody takes it away meanwhile; a file becomes one."""
    if fields.upload is not None and by is not None:
        document = add_document(client_id, fields.upload.name, fields.upload.content, by=by, at=at)
        db.session.flush()
        return document.id
    if fields.document_id is None:
        return None
    of_client = select(Document.id).where(Document.id == fields.document_id, Document.client_id == client_id)
    document_id = db.session.scalar(of_client.with_for_update(read=True, key_share=True))
    if document_id is None:
        raise InvalidInputError("Ce document n’est pas, ou plus, l’un de ceux du client.", field="document_id")
    return document_id


def _tell(consent: Consent, *, by: User | None, at: datetime) -> None:
    event = TimelineEvent(
        client_id=consent.client_id,
        kind=_EVENTS[consent.state],
        at=at,
        user_id=by.id if by else None,
        body=f"{consent.purpose.label} · {consent.channel.label}",
    )
    db.session.add(event)
