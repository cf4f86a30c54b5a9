"""From drafts to rows: which channel a message takes, to which address, in which words, and what holds it back.

In sets: so many statements, however many drafts. Nothing is written here.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from webapp import crypto, french, tenancy
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.clients import Client
from webapp.models.commercials import Commercial
from webapp.models.identity import User
from webapp.models.messages import (
    Channel,
    HeldReason,
    MessageKind,
    MessageSender,
    MessageStatus,
    address_purpose,
    place,
)
from webapp.models.organisations import Company
from webapp.services.consents import listing as consents
from webapp.services.contact import readable_phone
from webapp.services.messages import rendering, senders, suppressing, templates
from webapp.services.messages.drafts import Draft, pack
from webapp.services.messages.kinds import KINDS, Kind
from webapp.services.messages.rendering import Text, WrongTextError

_GRAVEST = (HeldReason.NO_ADDRESS, HeldReason.SUPPRESSED, HeldReason.NO_CONSENT, HeldReason.NO_SENDER)
"""Of several channels that cannot be used, the one that lacks least is waited for."""


class Recipient(NamedTuple):
    """To whom: the addresses by channel, and what every text may say of the person."""

    addresses: Mapping[Channel, str]
    variables: Mapping[str, object]


class _Way(NamedTuple):
    """How a message goes, or would go."""

    channel: Channel
    address: str | None
    sender: MessageSender | None
    held: HeldReason | None


class _Context(NamedTuple):
    """All that drafts are held against, loaded once."""

    recipients: Mapping[UUID, Recipient]
    companies: Mapping[UUID, Mapping[str, object]]
    senders: Mapping[tuple[UUID, Channel], MessageSender]
    suppressed: frozenset[str]
    consenting: Mapping[Any, frozenset[UUID]]

    def recipient_of(self, draft: Draft) -> Recipient | None:
        """To whom it goes; None for somebody of another organisation, or who is gone."""
        return self.recipients.get(draft.client_id or draft.user_id or draft.subject_id)


def prepare(drafts: Sequence[Draft], *, ids: Sequence[UUID] | None = None, at: datetime) -> list[dict[str, Any]]:
    """The columns of a message for each draft, in their order; under these ids, by default new ones."""
    context = _load_context(drafts)
    ways = [_find_way(draft, context) for draft in drafts]
    wanted = {
        (draft.kind, way.channel, draft.company_id)
        for draft, way in zip(drafts, ways, strict=True)
        if draft.text is None and draft.words is None
    }
    texts = templates.load_in_use(wanted, at=at) if wanted else {}
    return [
        _row(message_id, draft, way, context, texts, at=at)
        for message_id, draft, way in zip(ids or [new_id() for _ in drafts], drafts, ways, strict=True)
    ]


def _load_context(drafts: Sequence[Draft]) -> _Context:
    company_ids = {draft.company_id for draft in drafts}
    recipients = _load_clients({draft.client_id for draft in drafts if draft.client_id})
    recipients |= _load_users({draft.user_id for draft in drafts if draft.user_id})
    addresses = [
        address
        for recipient in recipients.values()
        for channel, address in recipient.addresses.items()
        if channel is not Channel.LETTER
    ]
    return _Context(
        recipients,
        _load_companies(company_ids),
        senders.load_active(company_ids),
        frozenset(suppressing.find_suppressed(addresses)),
        _load_consenting(drafts),
    )


def _load_clients(ids: Iterable[UUID]) -> dict[UUID, Recipient]:
    if not (wanted := list(ids)):
        return {}
    found = select(Client).where(Client.id.in_(wanted)).options(joinedload(Client.commercial))
    return {
        client.id: Recipient(_addresses(client), _said_of(client, client.commercial))
        for client in db.session.scalars(found)
    }


def _addresses(client: Client) -> dict[Channel, str]:
    """E-mail, telephone, and the lines of a postal address, where each is whole."""
    lines = [
        client_name(client),
        client.address_line1,
        client.address_line2,
        f"{client.postcode or ''} {client.city or ''}".strip(),
        french.country(client.country) if client.country != "FR" else None,
    ]
    is_whole = client.address_line1 and client.postcode and client.city
    addresses = {
        Channel.EMAIL: client.email,
        Channel.SMS: client.phone,
        Channel.LETTER: "\n".join(line for line in lines if line) if is_whole else None,
    }
    return {channel: address for channel, address in addresses.items() if address}


def client_name(client: Client) -> str:
    """How an envelope names a client: Mme Camille Martin."""
    parts = (client.civility.value if client.civility else "", client.first_name, client.last_name)
    return " ".join(part for part in parts if part)


def _said_of(client: Client, commercial: Commercial | None) -> dict[str, object]:
    return {
        "civilite": client.civility.value if client.civility else "",
        "prenom": client.first_name,
        "nom": client.last_name,
        "nom_complet": f"{client.first_name} {client.last_name}".strip(),
        "commercial": commercial.full_name if commercial else "",
    }


def _load_users(ids: Iterable[UUID]) -> dict[UUID, Recipient]:
    if not (wanted := list(ids)):
        return {}
    # A colleague may be sent what a client would read, as a trial: the client's words are then among the draft's own.
    return {
        user.id: Recipient({Channel.EMAIL: user.email} if user.email else {}, {"nom_complet": user.full_name})
        for user in db.session.scalars(select(User).where(User.id.in_(wanted)))
    }


def _load_companies(ids: Iterable[UUID]) -> dict[UUID, dict[str, object]]:
    companies = db.session.scalars(select(Company).where(Company.id.in_(list(ids))))
    return {
        company.id: {
            "societe": company.name,
            "societe_telephone": readable_phone(company.phone),
            "societe_email": company.email or "",
        }
        for company in companies
    }


def _load_consenting(drafts: Sequence[Draft]) -> dict[Any, frozenset[UUID]]:
    """By purpose, who agreed to it, of the clients to whom something is written that needs it."""
    asking: dict[Any, set[UUID]] = {}
    for draft in drafts:
        for purpose in (KINDS[draft.kind].purposes or {}).values():
            if draft.client_id is not None:
                asking.setdefault(purpose, set()).add(draft.client_id)
    return {purpose: frozenset(consents.has_given(ids, purpose)) for purpose, ids in asking.items()}


def _find_way(draft: Draft, context: _Context) -> _Way:
    """The first channel by which the message can go; if there is none, the one that lacks least."""
    kind = KINDS[draft.kind]
    channels = (draft.channel,) if draft.channel else kind.channels if draft.client_id else (Channel.EMAIL,)
    ways = [_way(draft, kind, channel, context) for channel in channels]
    usable = next((way for way in ways if way.held is None), None)
    return usable or max(ways, key=_nearness)


def _nearness(way: _Way) -> int:
    return _GRAVEST.index(way.held) if way.held else len(_GRAVEST)


def _way(draft: Draft, kind: Kind, channel: Channel, context: _Context) -> _Way:
    recipient = context.recipient_of(draft)
    way = _Way(
        channel,
        recipient.addresses.get(channel) if recipient else None,
        context.senders.get((draft.company_id, channel)),
        None,
    )
    return way._replace(held=_held(way, draft, kind, context))


def _held(way: _Way, draft: Draft, kind: Kind, context: _Context) -> HeldReason | None:
    purpose = kind.purpose(way.channel)
    if way.address is None:
        return HeldReason.NO_ADDRESS
    if way.address in context.suppressed:
        return HeldReason.SUPPRESSED
    if purpose is not None and draft.client_id and draft.client_id not in context.consenting[purpose]:
        return HeldReason.NO_CONSENT
    if way.sender is None and way.channel is not Channel.LETTER:
        return HeldReason.NO_SENDER
    return None


def _row(
    message_id: UUID,
    draft: Draft,
    way: _Way,
    context: _Context,
    texts: Mapping[tuple[MessageKind, Channel, UUID], templates.TemplateInUse],
    *,
    at: datetime,
) -> dict[str, Any]:
    organisation_id = tenancy.current_organisation_id()
    template = None if draft.text or draft.words else texts.get((draft.kind, way.channel, draft.company_id))
    text, error = _filled(draft, way, context, draft.text or (template.text if template else None))
    is_letter = way.channel is Channel.LETTER  # which says what is true on the day on which it is printed
    is_late = not is_letter and draft.expires_at is not None and draft.expires_at <= at
    held = HeldReason.WRONG_TEXT if error else way.held or (HeldReason.TOO_LATE if is_late else None)
    content: dict[str, Any] = {"subject": text.subject, "body": text.body}
    if draft.reply_to:
        content["reply_to"] = draft.reply_to
    if (held or is_letter) and not draft.words:  # what it takes to fill it in again
        content["draft"] = pack(draft)
    return {
        "organisation_id": organisation_id,
        "id": message_id,
        "client_id": draft.client_id,
        "user_id": draft.user_id,
        "company_id": draft.company_id,
        "kind": draft.kind,
        "channel": way.channel,
        "template_id": template.id if template else None,
        "sender_id": way.sender.id if way.sender else None,
        "subject_id": draft.subject_id,
        "dedupe_key": draft.key,
        "status": MessageStatus.HELD if held else MessageStatus.QUEUED,
        "held_reason": held,
        **_sealed_address(organisation_id, message_id, way),
        "content": crypto.seal(orjson.dumps(content).decode(), place=place(organisation_id, "content", message_id)),
        "attachments": {"files": [[each.source, str(each.id)] for each in draft.attachments]},
        "is_asked_for": draft.is_asked_for or KINDS[draft.kind].is_asked_for,
        "not_before": max(at, draft.not_before or at),
        "expires_at": draft.expires_at,
        "error": error,
        "created_at": at,
    }


def _sealed_address(organisation_id: UUID, message_id: UUID, way: _Way) -> dict[str, bytes | None]:
    """The address, sealed, and for what may bounce its blind index."""
    if way.address is None:
        return {"to": None, "to_index": None}
    is_indexed = way.channel is not Channel.LETTER
    return {
        "to": crypto.seal(way.address, place=place(organisation_id, "to", message_id)),
        "to_index": crypto.blind_index(way.address, purpose=address_purpose(organisation_id)) if is_indexed else None,
    }


def _filled(draft: Draft, way: _Way, context: _Context, text: Text | None) -> tuple[Text, str | None]:
    """The text as the client will read it, or why it cannot be filled in."""
    if draft.words is not None:
        return draft.words, None
    if text is None:
        return Text("", ""), f"Aucun texte n’est prévu pour ce message par {way.channel.label.lower()}."
    try:
        return _fill(draft, way.channel, text, context), None
    except WrongTextError as error:
        return Text("", ""), error.message


def _fill(draft: Draft, channel: Channel, text: Text, context: _Context) -> Text:
    recipient = context.recipient_of(draft)
    said = {**(recipient.variables if recipient else {}), **context.companies[draft.company_id], **draft.variables}
    return rendering.fill(KINDS[draft.kind], channel, text, said)


def fill_text(draft: Draft) -> Text:
    """The text of a draft that brings one, as it will read. Raises WrongTextError."""
    if draft.text is None:
        raise ValueError("the draft brings no text")
    return _fill(draft, draft.channel or KINDS[draft.kind].channels[0], draft.text, _load_context([draft]))
