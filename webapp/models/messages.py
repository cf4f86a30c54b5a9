"""Messages to clients: their texts, who sends them, what went out, and what became of it."""

from datetime import datetime, time
from enum import StrEnum
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, String, Text, Time, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp import crypto
from webapp.models.base import Base, Identified, Numbered, Timestamped, linked, stored_enum, tenant_key
from webapp.models.clients import Client
from webapp.models.identity import User
from webapp.models.organisations import Company
from webapp.models.sealing import SealedCredentials
from webapp.tenancy import OrganisationScoped

SUBJECT_LENGTH = 200
ADDRESS_PURPOSE = "messages.to"


class Channel(StrEnum):
    """How words reach a client."""

    EMAIL = "email"
    SMS = "sms"
    LETTER = "letter"

    @property
    def label(self) -> str:
        """The word on the screen."""
        return {"email": "E-mail", "sms": "SMS", "letter": "Lettre"}[self.value]


class MessageProvider(StrEnum):
    """Who carries e-mails or SMS. A letter is carried by the post."""

    SMTP = "smtp"
    BREVO = "brevo"
    OVH = "ovh"
    PRETEND_SMS = "pretend_sms"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {"smtp": "Serveur SMTP", "brevo": "Brevo", "ovh": "OVH SMS", "pretend_sms": "SMS de démonstration"}[
            self.value
        ]

    @property
    def channels(self) -> frozenset[Channel]:
        """What it carries."""
        return {
            "smtp": frozenset({Channel.EMAIL}),
            "brevo": frozenset({Channel.EMAIL, Channel.SMS}),
            "ovh": frozenset({Channel.SMS}),
            "pretend_sms": frozenset({Channel.SMS}),
        }[self.value]


class MessageKind(StrEnum):
    """On what occasion a message is written. What each may say is in ``services/messages/kinds.py``."""

    SEPA_NOTICE = "sepa_notice"
    WELCOME = "welcome"
    PAYMENT_FAILED = "payment_failed"
    CARD_EXPIRES = "card_expires"
    MEANS_REQUEST = "means_request"
    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"
    MANDATE_REVOKED = "mandate_revoked"
    DUNNING_REMINDER = "dunning_reminder"
    DUNNING_SMS = "dunning_sms"
    FORMAL_NOTICE = "formal_notice"
    SUSPENSION_NOTICE = "suspension_notice"
    TERMINATION_NOTICE = "termination_notice"
    PAYMENT_PLAN = "payment_plan"
    SUBSCRIPTION_PAUSED = "subscription_paused"
    SUBSCRIPTION_RESUMED = "subscription_resumed"
    SUBSCRIPTION_CANCELED = "subscription_canceled"
    SUBSCRIPTION_ENDED = "subscription_ended"
    SHIPMENT_SENT = "shipment_sent"
    SALE_DOCUMENTS = "sale_documents"
    SALE_ACCEPTANCE = "sale_acceptance"
    SALE_SIGNED = "sale_signed"
    COVER_OPEN = "cover_open"
    COVER_RENEWED = "cover_renewed"
    COVER_SUSPENDED = "cover_suspended"
    COVER_RESUMED = "cover_resumed"
    COVER_MOVED = "cover_moved"
    COVER_TERMINATED = "cover_terminated"
    COVER_KEPT = "cover_kept"
    COVER_RENOUNCED = "cover_renounced"
    FREE = "free"
    SATISFACTION = "satisfaction"
    PROSPECTION = "prospection"
    WEEKLY_DIGEST = "weekly_digest"


class MessageStatus(StrEnum):
    """Where a message stands; see TRANSITIONS. UNKNOWN: it was being handed over, and nobody knows whether it left."""

    QUEUED = "queued"
    SENDING = "sending"
    UNKNOWN = "unknown"
    SENT = "sent"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    HELD = "held"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "queued": "À envoyer",
            "sending": "En cours d’envoi",
            "unknown": "Sort inconnu",
            "sent": "Envoyé",
            "delivered": "Remis",
            "bounced": "Non remis",
            "complained": "Signalé comme indésirable",
            "held": "Retenu",
            "failed": "Refusé",
            "canceled": "Annulé",
        }[self.value]

    @property
    def has_left(self) -> bool:
        """Whether the client was told, as far as we know."""
        return self in HAS_LEFT

    @property
    def awaits_person(self) -> bool:
        """Whether nothing happens any more until somebody decides."""
        return self in AWAITS_PERSON


HAS_LEFT = frozenset({MessageStatus.SENT, MessageStatus.DELIVERED, MessageStatus.COMPLAINED})
AWAITS_PERSON = frozenset({MessageStatus.HELD, MessageStatus.UNKNOWN, MessageStatus.FAILED, MessageStatus.BOUNCED})
# A provider may tell what became of a message before its own answer is recorded, and of one whose fate was unknown,
# which may have been queued again by then.
TRANSITIONS: dict[MessageStatus, frozenset[MessageStatus]] = {
    MessageStatus.QUEUED: frozenset(
        {
            MessageStatus.SENDING,
            MessageStatus.HELD,
            MessageStatus.CANCELED,
            MessageStatus.SENT,
            MessageStatus.UNKNOWN,
            MessageStatus.DELIVERED,
            MessageStatus.BOUNCED,
            MessageStatus.COMPLAINED,
        }
    ),
    MessageStatus.SENDING: frozenset(
        {
            MessageStatus.SENT,
            MessageStatus.QUEUED,
            MessageStatus.UNKNOWN,
            MessageStatus.FAILED,
            MessageStatus.HELD,
            MessageStatus.DELIVERED,
            MessageStatus.BOUNCED,
            MessageStatus.COMPLAINED,
        }
    ),
    MessageStatus.UNKNOWN: frozenset(
        {
            MessageStatus.SENT,
            MessageStatus.QUEUED,
            MessageStatus.CANCELED,
            MessageStatus.DELIVERED,
            MessageStatus.BOUNCED,
            MessageStatus.COMPLAINED,
        }
    ),
    MessageStatus.SENT: frozenset({MessageStatus.DELIVERED, MessageStatus.BOUNCED, MessageStatus.COMPLAINED}),
    MessageStatus.DELIVERED: frozenset({MessageStatus.BOUNCED, MessageStatus.COMPLAINED}),
    MessageStatus.BOUNCED: frozenset({MessageStatus.QUEUED, MessageStatus.CANCELED}),
    MessageStatus.COMPLAINED: frozenset(),
    MessageStatus.HELD: frozenset({MessageStatus.QUEUED, MessageStatus.CANCELED}),
    MessageStatus.FAILED: frozenset({MessageStatus.QUEUED, MessageStatus.CANCELED}),
    MessageStatus.CANCELED: frozenset(),
}


class HeldReason(StrEnum):
    """Why a message does not leave by itself."""

    NO_SENDER = "no_sender"
    NO_ADDRESS = "no_address"
    SUPPRESSED = "suppressed"
    NO_CONSENT = "no_consent"
    TOO_LATE = "too_late"
    WRONG_TEXT = "wrong_text"

    @property
    def label(self) -> str:
        """The sentence on the screen."""
        return {
            "no_sender": "La société n’a pas d’expéditeur pour ce canal.",
            "no_address": "Le client n’a pas d’adresse pour ce canal.",
            "suppressed": "L’adresse ne reçoit plus nos messages.",
            "no_consent": "Le client n’a pas donné son accord.",
            "too_late": "L’heure à laquelle il fallait l’envoyer est passée.",
            "wrong_text": "Le modèle n’a pas pu être rempli.",
        }[self.value]


class MessageEventKind(StrEnum):
    """What a provider, or a mailbox, told of a message."""

    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    BOUNCED_HARD = "bounced_hard"
    BOUNCED_SOFT = "bounced_soft"
    COMPLAINED = "complained"
    UNSUBSCRIBED = "unsubscribed"
    REPLIED = "replied"
    REFUSED = "refused"
    LOST = "lost"
    DECIDED = "decided"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "accepted": "Accepté par le prestataire",
            "delivered": "Remis",
            "bounced_hard": "Non remis\u202f: l’adresse ne fonctionne pas",
            "bounced_soft": "Non remis pour le moment",
            "complained": "Signalé comme indésirable",
            "unsubscribed": "Désabonnement",
            "replied": "Réponse du client",
            "refused": "Refusé par le prestataire",
            "lost": "Envoi interrompu",
            "decided": "Décision",
        }[self.value]


class MessageTemplate(OrganisationScoped, Identified, Timestamped, Base):
    """One version of the text of a kind, by channel, for a company or for all. Never changed: a trigger sees to it.

    ``subject`` is empty for an SMS. ``body`` is Markdown with Jinja variables, plain text for an SMS. The greatest
    version whose ``active_from`` has come is in use. One that ``follows_all`` is without words: from then on its
    company has the text of all again.
    """

    __tablename__ = "message_templates"
    __table_args__ = (
        UniqueConstraint(
            "organisation_id",
            "kind",
            "channel",
            "company_id",
            "version",
            name="uq_message_templates_version",
            postgresql_nulls_not_distinct=True,
        ),
        CheckConstraint("NOT follows_all OR (company_id IS NOT NULL AND body = '')", name="companies_follow_all"),
        tenant_key("company_id", "companies"),
        tenant_key("created_by_id", "users", ondelete="SET NULL"),
    )

    kind: Mapped[MessageKind] = mapped_column(stored_enum(MessageKind))
    channel: Mapped[Channel] = mapped_column(stored_enum(Channel))
    company_id: Mapped[UUID | None]
    language: Mapped[str] = mapped_column(String(2), default="fr", server_default="fr")
    version: Mapped[int]
    subject: Mapped[str] = mapped_column(String(SUBJECT_LENGTH), default="", server_default="")
    body: Mapped[str] = mapped_column(Text)
    active_from: Mapped[datetime]
    follows_all: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    created_by_id: Mapped[UUID | None]

    created_by: Mapped[User | None] = relationship(
        primaryjoin=lambda: linked(User, MessageTemplate.created_by_id), viewonly=True
    )


class MessageSender(SealedCredentials, Timestamped, Base):
    """By whom a company's e-mails, or SMS, leave. ``credentials`` and ``mailbox`` are sealed JSON.

    ``from_name`` is what the client reads (of an SMS, 3 to 11 letters and digits). At most ``pace_per_minute`` leave
    in a minute. Between ``quiet_from`` and ``quiet_until`` in Paris, on Sundays and holidays, only what the client has
    just asked for leaves; both empty: at any time. ``mailbox`` is where bounces come back to, read as far as
    ``mailbox_uid``. ``error`` is what the provider last refused the account itself with, at ``error_at``, until it
    takes messages again; without ``error_at`` it is why the mailbox cannot be read.
    """

    __tablename__ = "message_senders"
    __table_args__ = (
        UniqueConstraint("organisation_id", "company_id", "channel"),
        CheckConstraint("pace_per_minute > 0", name="pace_is_positive"),
        CheckConstraint("(quiet_from IS NULL) = (quiet_until IS NULL)", name="quiet_from_until"),
        tenant_key("company_id", "companies"),
    )

    company_id: Mapped[UUID]
    channel: Mapped[Channel] = mapped_column(stored_enum(Channel))
    provider: Mapped[MessageProvider] = mapped_column(stored_enum(MessageProvider))
    from_name: Mapped[str] = mapped_column(String(100))
    from_address: Mapped[str | None] = mapped_column(String(320))
    reply_to: Mapped[str | None] = mapped_column(String(320))
    pace_per_minute: Mapped[int] = mapped_column(default=600, server_default="600")
    quiet_from: Mapped[time | None] = mapped_column(Time)
    quiet_until: Mapped[time | None] = mapped_column(Time)
    is_active: Mapped[bool] = mapped_column(default=True, server_default=text("true"))
    webhook_token: Mapped[str] = mapped_column(String(64), unique=True)
    mailbox: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    mailbox_uid_validity: Mapped[int | None] = mapped_column(BigInteger)
    mailbox_uid: Mapped[int | None] = mapped_column(BigInteger)
    error: Mapped[str | None] = mapped_column(Text)
    error_at: Mapped[datetime | None]

    company: Mapped[Company] = relationship(
        primaryjoin=lambda: linked(Company, MessageSender.company_id), viewonly=True
    )

    def keep_mailbox(self, mailbox: dict[str, str] | None) -> None:
        """Seal how the bounce mailbox is reached; None for no mailbox."""
        self.mailbox = self._sealed("mailbox", mailbox) if mailbox else None

    def mailbox_in_clear(self) -> dict[str, str]:
        """How the bounce mailbox is reached, for the gateway alone; empty where there is none."""
        return self._opened("mailbox", self.mailbox)


class MessageFrame(OrganisationScoped, Identified, Timestamped, Base):
    """What stands around a company's e-mails and letters: its logo (PNG or JPEG), its colour, what its foot adds."""

    __tablename__ = "message_frames"
    __table_args__ = (UniqueConstraint("organisation_id", "company_id"), tenant_key("company_id", "companies"))

    company_id: Mapped[UUID]
    logo: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    logo_type: Mapped[str | None] = mapped_column(String(20))
    colour: Mapped[str] = mapped_column(String(7), default="#1f4e79", server_default="#1f4e79")
    footer: Mapped[str] = mapped_column(Text, default="", server_default="")


class MessageSwitch(OrganisationScoped, Identified, Timestamped, Base):
    """A kind that a company does not want to be written: the row is there while it is off."""

    __tablename__ = "message_switches"
    __table_args__ = (
        UniqueConstraint("organisation_id", "company_id", "kind"),
        tenant_key("company_id", "companies"),
    )

    company_id: Mapped[UUID]
    kind: Mapped[MessageKind] = mapped_column(stored_enum(MessageKind))


class Message(OrganisationScoped, Identified, Timestamped, Numbered, Base):
    """One message to a client (or, for a digest, to a user), written once: ``dedupe_key`` is unique.

    ``to`` (an address, or a telephone in E.164) and ``content`` (JSON: subject and body as they were filled in) are
    sealed; ``to_index`` finds an address again. ``subject_id`` is what it is about. ``called_at`` is when the provider
    was last asked to take it: a message that a killed process had not come to has none. ``resend_until``: its fate is
    unknown, and until then the provider takes it once however often it is asked. ``fence`` grows with every owner.
    ``expires_at``: after that it is of no use. ``is_asked_for``: the client waits for it, at any hour.
    """

    LETTER = "M"

    __tablename__ = "messages"
    __table_args__ = (
        UniqueConstraint("organisation_id", "number"),
        UniqueConstraint("organisation_id", "dedupe_key"),
        CheckConstraint("(held_reason IS NOT NULL) = (status = 'held')", name="held_for_a_reason"),
        CheckConstraint("(lease_until IS NOT NULL) = (status = 'sending')", name="leased_while_sending"),
        CheckConstraint("num_nonnulls(client_id, user_id) = 1", name="to_one"),
        Index("ix_messages_client", "organisation_id", "client_id", "id"),
        Index("ix_messages_subject", "organisation_id", "subject_id", "id"),
        Index("ix_messages_status", "organisation_id", "status", "id"),
        Index("ix_messages_kind", "organisation_id", "kind", "id"),
        Index(
            "ix_messages_to",
            "organisation_id",
            "to_index",
            postgresql_where=text("to_index IS NOT NULL"),
        ),
        Index(
            "ix_messages_provider_id",
            "organisation_id",
            "provider_id",
            postgresql_where=text("provider_id IS NOT NULL"),
        ),
        Index(
            "ix_messages_due",
            "organisation_id",
            "sender_id",
            "not_before",
            "id",
            postgresql_where=text("status = 'queued' AND sender_id IS NOT NULL"),
        ),
        Index("ix_messages_called", "organisation_id", "sender_id", "called_at"),
        Index("ix_messages_lease", "lease_until", postgresql_where=text("status = 'sending'")),
        Index(
            "ix_messages_expires",
            "expires_at",
            postgresql_where=text("status = 'queued' AND expires_at IS NOT NULL"),
        ),
        tenant_key("client_id", "clients", ondelete="RESTRICT"),
        tenant_key("user_id", "users"),
        tenant_key("company_id", "companies", ondelete="RESTRICT"),
        tenant_key("template_id", "message_templates", ondelete="RESTRICT"),
        tenant_key("sender_id", "message_senders", ondelete="SET NULL"),
        tenant_key("written_by_id", "users", ondelete="SET NULL"),
    )

    client_id: Mapped[UUID | None]
    user_id: Mapped[UUID | None]
    company_id: Mapped[UUID]
    kind: Mapped[MessageKind] = mapped_column(stored_enum(MessageKind))
    channel: Mapped[Channel] = mapped_column(stored_enum(Channel))
    template_id: Mapped[UUID | None]
    sender_id: Mapped[UUID | None]
    subject_id: Mapped[UUID]
    dedupe_key: Mapped[str] = mapped_column(String(200))
    status: Mapped[MessageStatus] = mapped_column(stored_enum(MessageStatus))
    held_reason: Mapped[HeldReason | None] = mapped_column(stored_enum(HeldReason))
    to: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    to_index: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    content: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    attachments: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    is_asked_for: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    not_before: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    lease_until: Mapped[datetime | None]
    fence: Mapped[int] = mapped_column(default=0, server_default="0")
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    called_at: Mapped[datetime | None]
    resend_until: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    provider_id: Mapped[str | None] = mapped_column(String(255))
    registered_no: Mapped[str | None] = mapped_column(String(30))
    error: Mapped[str | None] = mapped_column(Text)
    written_by_id: Mapped[UUID | None]

    client: Mapped[Client | None] = relationship(primaryjoin=lambda: linked(Client, Message.client_id), viewonly=True)
    company: Mapped[Company] = relationship(primaryjoin=lambda: linked(Company, Message.company_id), viewonly=True)
    written_by: Mapped[User | None] = relationship(
        primaryjoin=lambda: linked(User, Message.written_by_id), viewonly=True
    )

    @property
    def status_label(self) -> str:
        """The word for how it stands: a letter is posted, the others are sent."""
        waits_for_post = self.channel is Channel.LETTER and self.status is MessageStatus.QUEUED
        return "À poster" if waits_for_post else self.status.label

    def can_become(self, status: MessageStatus) -> bool:
        """Whether the table of transitions leads from the present state to ``status``."""
        return status in TRANSITIONS[self.status]

    def place(self, column: str) -> str:
        """Where an encrypted value of this message belongs (associated data)."""
        return place(self.organisation_id, column, self.id)

    def to_in_clear(self) -> str | None:
        """The address or telephone that it goes to."""
        return None if self.to is None else crypto.unseal(self.to, place=self.place("to"))

    def content_in_clear(self) -> dict[str, Any]:
        """``subject`` and ``body`` as they were filled in, ``reply_to``, and of a held one what fills it in."""
        content: dict[str, Any] = orjson.loads(crypto.unseal(self.content, place=self.place("content")))
        return content


def place(organisation_id: UUID, column: str, message_id: UUID) -> str:
    """Where an encrypted value of a message belongs (associated data)."""
    return f"{organisation_id}|messages.{column}|{message_id}"


def address_purpose(organisation_id: UUID) -> str:
    """The purpose of blind indexes of addresses: equal ones meet within an organisation, whatever the channel."""
    return f"{organisation_id}|{ADDRESS_PURPOSE}"


class MessageEvent(OrganisationScoped, Identified, Base):
    """What became of a message, as a provider, a mailbox or a person told. Told twice, it is one row."""

    __tablename__ = "message_events"
    __table_args__ = (
        UniqueConstraint("organisation_id", "message_id", "kind", "at"),
        tenant_key("message_id", "messages"),
        tenant_key("user_id", "users", ondelete="SET NULL"),
    )

    message_id: Mapped[UUID]
    at: Mapped[datetime]
    kind: Mapped[MessageEventKind] = mapped_column(stored_enum(MessageEventKind))
    text: Mapped[str] = mapped_column(Text, default="", server_default="")
    user_id: Mapped[UUID | None]


class SuppressionReason(StrEnum):
    """Why an address gets nothing more."""

    HARD_BOUNCE = "hard_bounce"
    COMPLAINT = "complaint"
    BY_HAND = "by_hand"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "hard_bounce": "L’adresse ne fonctionne plus",
            "complaint": "Le client a signalé nos messages comme indésirables",
            "by_hand": "À la demande du client",
        }[self.value]


class Suppression(OrganisationScoped, Identified, Base):
    """An address or telephone that gets nothing more from the organisation, until somebody lifts it."""

    __tablename__ = "suppressions"
    __table_args__ = (
        Index(
            "uq_suppressions_index",
            "organisation_id",
            "to_index",
            unique=True,
            postgresql_where=text("lifted_at IS NULL"),
        ),
        tenant_key("message_id", "messages", ondelete="SET NULL"),
        tenant_key("lifted_by_id", "users", ondelete="SET NULL"),
    )

    to: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    to_index: Mapped[bytes] = mapped_column(LargeBinary)
    reason: Mapped[SuppressionReason] = mapped_column(stored_enum(SuppressionReason))
    since: Mapped[datetime]
    message_id: Mapped[UUID | None]
    lifted_at: Mapped[datetime | None]
    lifted_by_id: Mapped[UUID | None]

    def to_in_clear(self) -> str:
        """The address or telephone."""
        return crypto.unseal(self.to, place=self.place_of_to(self.organisation_id, self.id))

    @staticmethod
    def place_of_to(organisation_id: UUID, suppression_id: UUID) -> str:
        """Where a sealed address belongs (associated data)."""
        return f"{organisation_id}|suppressions.to|{suppression_id}"
