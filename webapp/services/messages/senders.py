"""Senders: by whom a company's e-mails and SMS leave, with which keys, how fast, and not at which hours."""

import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import undefer

from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.gateways import messaging
from webapp.gateways.messaging import CREDENTIAL_FIELDS, EMAIL_PROVIDERS, SMS_PROVIDERS, Field, bounces
from webapp.models.base import new_id
from webapp.models.messages import Channel, Message, MessageProvider, MessageSender
from webapp.models.organisations import Company
from webapp.services.contact import clean_text, normalise_email
from webapp.services.organisations import lock_company
from webapp.transactions import let_go, transaction

QUIET_FROM, QUIET_UNTIL = time(20), time(8)
CHANNELS = (Channel.EMAIL, Channel.SMS)
NO_COMPANY = "Cette société n’existe pas ou plus."
LONGEST_VALUE = 500
LONGEST_NAME = 100
FASTEST = 10_000
"""Messages a minute."""
_SMS_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9]{3,11}")


@dataclass(frozen=True, kw_only=True)
class SenderFields:
    """What is typed of a sender. A secret that is empty stays as it was, with the same provider.

    ``mailbox`` is how the mailbox of bounces is reached (e-mail alone); empty for none.
    """

    provider: MessageProvider
    credentials: Mapping[str, str]
    from_name: str
    from_address: str = ""
    reply_to: str = ""
    pace_per_minute: int = 60
    quiet_from: time | None = QUIET_FROM
    quiet_until: time | None = QUIET_UNTIL
    is_active: bool = True
    mailbox: Mapping[str, str] | None = None


def providers_for(channel: Channel) -> list[MessageProvider]:
    """Who may carry what goes by that channel here."""
    carriers = {Channel.EMAIL: EMAIL_PROVIDERS, Channel.SMS: SMS_PROVIDERS}.get(channel, ())
    return [provider for provider in carriers if messaging.is_offered(provider)]


def load_active(company_ids: Collection[UUID]) -> dict[tuple[UUID, Channel], MessageSender]:
    """The senders that may send, by company and channel; one statement."""
    active = select(MessageSender).where(MessageSender.is_active, MessageSender.company_id.in_(company_ids))
    return {(sender.company_id, sender.channel): sender for sender in db.session.scalars(active)}


class Place(NamedTuple):
    """A company and a channel, the sender that is there, and when its provider was last asked to take a message."""

    company: Company
    channel: Channel
    sender: MessageSender | None
    last_used_at: datetime | None


def list_places() -> list[Place]:
    """Every company with both channels, the usual company first; two statements."""
    companies = db.session.scalars(select(Company).order_by(Company.is_default.desc(), Company.name, Company.id)).all()
    last_used_at = select(func.max(Message.called_at)).where(Message.sender_id == MessageSender.id).scalar_subquery()
    senders = {
        (sender.company_id, sender.channel): (sender, at)
        for sender, at in db.session.execute(select(MessageSender, last_used_at))
    }
    return [
        Place(company, channel, *senders.get((company.id, channel), (None, None)))
        for company in companies
        for channel in CHANNELS
    ]


def find_place(company_id: UUID, channel: Channel) -> Place:
    """The place of one sender. Raises NotFoundError for a company of another organisation."""
    company = db.session.scalar(select(Company).where(Company.id == company_id))
    if company is None:
        raise NotFoundError(NO_COMPANY)
    return Place(company, channel, find_sender(company_id, channel), None)


def find_sender(company_id: UUID, channel: Channel) -> MessageSender | None:
    """The sender of a company for that channel, with its keys."""
    statement = select(MessageSender).where(MessageSender.company_id == company_id, MessageSender.channel == channel)
    return db.session.scalar(
        statement.options(undefer(MessageSender.credentials), undefer(MessageSender.mailbox)).execution_options(
            populate_existing=True
        )
    )


def save_sender(company_id: UUID, channel: Channel, fields: SenderFields) -> MessageSender:
    """Open a company's sender, or change it. What its provider last refused is forgotten: it is tried anew.

    Raises NotFoundError for a company of another organisation; InvalidInputError naming the field, of a credential
    ``credentials.<name>`` and of the mailbox ``mailbox.<name>``.
    """
    with transaction():
        lock_company(company_id)
        sender = find_sender(company_id, channel)
        is_same = sender is not None and sender.provider is fields.provider
        known = sender.credentials_in_clear() if sender and is_same else {}
        _refuse_secrets_elsewhere(fields, known)
        known_mailbox = sender.mailbox_in_clear() if sender else {}
        if sender is None:
            sender = MessageSender(
                id=new_id(), company_id=company_id, channel=channel, webhook_token=secrets.token_urlsafe(32)
            )
        _set(sender, fields, channel)
        sender.keep_credentials(_checked(CREDENTIAL_FIELDS[fields.provider], fields.credentials, known, "credentials"))
        if channel is Channel.EMAIL:
            _set_mailbox(sender, fields.mailbox or {}, known_mailbox)
        db.session.add(sender)
        db.session.flush()
        return sender


def _refuse_secrets_elsewhere(fields: SenderFields, known: Mapping[str, str]) -> None:
    """A password that was written down for one server is not sent to another."""
    if fields.credentials.get("host", "").strip() == known.get("host", ""):
        return
    for field in CREDENTIAL_FIELDS[fields.provider]:
        if field.is_secret and known.get(field.name) and not fields.credentials.get(field.name, "").strip():
            raise InvalidInputError("Le serveur change\u202f: écrivez-le à nouveau.", field=f"credentials.{field.name}")


def _set(sender: MessageSender, fields: SenderFields, channel: Channel) -> None:
    if fields.provider not in providers_for(channel):
        raise InvalidInputError("Choisissez le prestataire.", field="provider")
    if not 1 <= fields.pace_per_minute <= FASTEST:
        raise InvalidInputError("De 1 à 10\u202f000 messages par minute.", field="pace_per_minute")
    if (fields.quiet_from is None) != (fields.quiet_until is None):
        raise InvalidInputError("Indiquez le début et la fin des heures calmes, ou aucun des deux.", field="quiet_from")
    sender.provider = fields.provider
    sender.from_name = _from_name(fields.from_name, channel)
    is_email = channel is Channel.EMAIL
    sender.from_address = _address(fields.from_address, "from_address") if is_email else None
    sender.reply_to = _address(fields.reply_to, "reply_to") if is_email and fields.reply_to.strip() else None
    sender.pace_per_minute = fields.pace_per_minute
    sender.quiet_from, sender.quiet_until = fields.quiet_from, fields.quiet_until
    sender.is_active = fields.is_active
    sender.error, sender.error_at = None, None


def _from_name(typed: str, channel: Channel) -> str:
    name = clean_text(typed)
    if channel is Channel.SMS:
        if not _SMS_NAME.fullmatch(name):
            raise InvalidInputError("De 3 à 11 lettres sans accent ou chiffres, dont une lettre.", field="from_name")
    elif not 0 < len(name) <= LONGEST_NAME:
        raise InvalidInputError("Le nom que lit le client\u202f: 100 caractères au plus.", field="from_name")
    return name


def _address(typed: str, field: str) -> str:
    try:
        return normalise_email(typed)
    except InvalidInputError as error:
        raise InvalidInputError(error.message, field=field) from error


def _set_mailbox(sender: MessageSender, typed: Mapping[str, str], known: Mapping[str, str]) -> None:
    """Another mailbox is read from its first mail on."""
    if not any(value.strip() for name, value in typed.items() if name not in ("port", "security", "folder")):
        sender.keep_mailbox(None)
        sender.mailbox_uid_validity = sender.mailbox_uid = None
        return
    same = all(typed.get(name, "").strip() == known.get(name, "") for name in ("host", "username"))
    mailbox = _checked(bounces.CREDENTIALS, typed, known if same else {}, "mailbox")
    sender.keep_mailbox(mailbox)
    if not same or mailbox.get("folder") != known.get("folder"):
        sender.mailbox_uid_validity = sender.mailbox_uid = None


def _checked(fields: Sequence[Field], typed: Mapping[str, str], known: Mapping[str, str], place: str) -> dict[str, str]:
    """The values that are known by these names, those that are needed all there; a secret may stay as it was."""
    checked = {}
    for field in fields:
        value = typed.get(field.name, "").strip() or (known.get(field.name, "") if field.is_secret else "")
        value = value or field.default
        where = f"{place}.{field.name}"
        if not value and field.is_required:
            raise InvalidInputError("Ce champ est nécessaire.", field=where)
        if len(value) > LONGEST_VALUE or not value.isprintable():
            raise InvalidInputError("Cette valeur n’a pas la forme attendue\u202f: copiez-la en entier.", field=where)
        if field.choices and value not in dict(field.choices):
            raise InvalidInputError("Choisissez dans la liste.", field=where)
        if field.name == "port" and not (value.isascii() and value.isdigit() and 0 < int(value[:6]) < 65536):
            raise InvalidInputError("Un port va de 1 à 65535.", field=where)
        checked[field.name] = value
    return {name: value for name, value in checked.items() if value}


def renew_webhook(company_id: UUID, channel: Channel) -> MessageSender:
    """Give the webhook another address: the old one is heard no more. Raises NotFoundError."""
    with transaction():
        lock_company(company_id)
        sender = find_sender(company_id, channel)
        if sender is None:
            raise NotFoundError("Cet expéditeur n’existe pas ou plus.")
        sender.webhook_token = secrets.token_urlsafe(32)
        return sender


def check(company_id: UUID, channel: Channel) -> list[str]:
    """What is wrong with the account, and with the mailbox, in sentences; empty where both answer. Sends nothing.

    Asks the provider: never inside a transaction. Raises NotFoundError.
    """
    sender = find_sender(company_id, channel)
    if sender is None:
        raise NotFoundError("Cet expéditeur n’existe pas ou plus.")
    provider, credentials, mailbox = sender.provider, sender.credentials_in_clear(), sender.mailbox_in_clear()
    let_go()
    faults = [messaging.check(provider, credentials), bounces.check(mailbox) if mailbox else None]
    return [fault for fault in faults if fault]
