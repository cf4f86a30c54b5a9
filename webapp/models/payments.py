"""Payment providers: accounts with them, methods they keep for clients, what they tell us, and the ledger of money."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

import orjson
from sqlalchemy import CheckConstraint, Index, LargeBinary, Numeric, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp import clock, crypto, tenancy
from webapp.models.base import Base, Identified, Numbered, Timestamped, linked, new_id, stored_enum, tenant_key
from webapp.models.contracts import PaymentMethod
from webapp.tenancy import OrganisationScoped


class Provider(StrEnum):
    """Who collects the money."""

    SANDBOX = "sandbox"
    STRIPE = "stripe"
    SEPA_FILE = "sepa_file"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {"sandbox": "Bac à sable", "stripe": "Stripe", "sepa_file": "Fichier SEPA"}[self.value]

    @property
    def is_online(self) -> bool:
        """Whether it is called, and calls back; a bank file goes through a person's hands."""
        return self is not Provider.SEPA_FILE


class Milestone(StrEnum):
    """The moment of a payment that something waits for, since some providers confirm days after they accept."""

    PROCESSING = "processing"
    SUCCEEDED = "succeeded"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {"processing": "Dès l’envoi au prestataire", "succeeded": "À la confirmation du paiement"}[self.value]


class ProviderAccount(OrganisationScoped, Identified, Timestamped, Base):
    """A company's account with a provider. ``credentials`` is sealed JSON; see ``credentials_in_clear``.

    ``ics`` is the company's SEPA creditor identifier. ``ship_at`` and ``invoice_at`` say which moment of a payment
    releases shipping and makes the invoice. ``rate_per_second`` and ``max_concurrency`` bound our calls;
    ``longest_delay_seconds`` is how late the provider may still commit a payment that looked lost.
    """

    __tablename__ = "provider_accounts"
    __table_args__ = (
        UniqueConstraint("organisation_id", "company_id", "provider"),
        Index("ix_provider_accounts_provider", "provider"),
        CheckConstraint("rate_per_second > 0 AND max_concurrency > 0", name="limits_are_positive"),
        tenant_key("company_id", "companies"),
    )

    company_id: Mapped[UUID]
    provider: Mapped[Provider] = mapped_column(stored_enum(Provider))
    is_active: Mapped[bool] = mapped_column(default=True, server_default=text("true"))
    credentials: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    ics: Mapped[str | None] = mapped_column(String(35))
    ship_at: Mapped[Milestone] = mapped_column(
        stored_enum(Milestone), default=Milestone.SUCCEEDED, server_default=Milestone.SUCCEEDED.value
    )
    invoice_at: Mapped[Milestone] = mapped_column(
        stored_enum(Milestone), default=Milestone.SUCCEEDED, server_default=Milestone.SUCCEEDED.value
    )
    rate_per_second: Mapped[int] = mapped_column(default=50, server_default="50")
    max_concurrency: Mapped[int] = mapped_column(default=16, server_default="16")
    longest_delay_seconds: Mapped[int] = mapped_column(default=300, server_default="300")

    def keep_credentials(self, credentials: dict[str, str]) -> None:
        """Seal ``credentials`` (keys and secrets by name) into the row."""
        self.credentials = crypto.seal(orjson.dumps(credentials).decode(), place=self._place())

    def credentials_in_clear(self) -> dict[str, str]:
        """The keys and secrets, for the gateway alone; empty where none were set."""
        if self.credentials is None:
            return {}
        opened: dict[str, str] = orjson.loads(crypto.unseal(self.credentials, place=self._place()))
        return opened

    def _place(self) -> str:
        self.id = self.id or new_id()
        organisation_id = self.organisation_id or tenancy.current_organisation_id()
        return f"{organisation_id}|provider_accounts.credentials|{self.id}"


class SavedPaymentMethod(OrganisationScoped, Identified, Timestamped, Base):
    """What a provider keeps for a client: a card, or a mandate of its own. References mean nothing outside it.

    ``label`` is what pages show: « Visa •••• 4242 ».
    """

    __tablename__ = "saved_payment_methods"
    __table_args__ = (
        UniqueConstraint("organisation_id", "provider_account_id", "method_reference"),
        Index("ix_saved_payment_methods_client", "organisation_id", "client_id"),
        tenant_key("client_id", "clients", ondelete="RESTRICT"),
        tenant_key("provider_account_id", "provider_accounts", ondelete="RESTRICT"),
    )

    client_id: Mapped[UUID]
    provider_account_id: Mapped[UUID]
    method: Mapped[PaymentMethod] = mapped_column(stored_enum(PaymentMethod))
    customer_reference: Mapped[str] = mapped_column(String(255), default="", server_default="")
    method_reference: Mapped[str] = mapped_column(String(255))
    label: Mapped[str] = mapped_column(String(100), default="", server_default="")
    expires_on: Mapped[date | None]
    revoked_at: Mapped[datetime | None]

    def is_usable(self, on: date) -> bool:
        """Whether it may be charged on that day."""
        return self.revoked_at is None and (self.expires_on is None or self.expires_on >= on)


class PaymentKind(StrEnum):
    """What a row of the ledger records."""

    CAPTURE = "capture"
    REVERSAL = "reversal"
    REFUND = "refund"
    REFUND_FAILURE = "refund_failure"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "capture": "Encaissement",
            "reversal": "Rejet après encaissement",
            "refund": "Remboursement",
            "refund_failure": "Échec d’un remboursement",
        }[self.value]


class Payment(OrganisationScoped, Identified, Base):
    """One movement of money, in the ledger that is only ever added to (a trigger refuses anything else).

    ``amount`` is signed: a capture is positive, a reversal or refund negative. At most one capture and one reversal per
    attempt; refunds are told apart by ``external_id``, the provider's own id of the movement. One that the provider
    could not deliver is answered by a positive row, which names it in ``undoes_id``: at most one. A payment taken by
    hand (transfer, cheque) has no attempt. ``happened_at`` is when the provider says it happened.
    """

    __tablename__ = "payments"
    __table_args__ = (
        Index(
            "uq_payments_attempt_kind",
            "organisation_id",
            "attempt_id",
            "kind",
            unique=True,
            postgresql_where=text("kind IN ('capture', 'reversal')"),
        ),
        Index(
            "uq_payments_refund",
            "organisation_id",
            "attempt_id",
            "external_id",
            unique=True,
            postgresql_where=text("kind = 'refund'"),
        ),
        Index(
            "uq_payments_undoes",
            "organisation_id",
            "undoes_id",
            unique=True,
            postgresql_where=text("undoes_id IS NOT NULL"),
        ),
        Index("ix_payments_charge", "organisation_id", "charge_id"),
        Index("ix_payments_client", "organisation_id", "client_id", "happened_at", "id"),
        Index("ix_payments_happened", "organisation_id", "happened_at", "id"),
        CheckConstraint(
            "(kind IN ('capture', 'refund_failure') AND amount >= 0) OR "
            "(kind NOT IN ('capture', 'refund_failure') AND amount <= 0)",
            name="sign",
        ),
        CheckConstraint("(kind = 'refund_failure') = (undoes_id IS NOT NULL)", name="failures_undo"),
        tenant_key("company_id", "companies", ondelete="RESTRICT"),
        tenant_key("client_id", "clients", ondelete="RESTRICT"),
        tenant_key("charge_id", "charges", ondelete="RESTRICT"),
        tenant_key("attempt_id", "charge_attempts", ondelete="RESTRICT"),
        tenant_key("undoes_id", "payments", ondelete="RESTRICT"),
    )

    company_id: Mapped[UUID]
    client_id: Mapped[UUID]
    charge_id: Mapped[UUID | None]
    attempt_id: Mapped[UUID | None]
    undoes_id: Mapped[UUID | None]
    kind: Mapped[PaymentKind] = mapped_column(stored_enum(PaymentKind))
    amount: Mapped[Decimal] = mapped_column(Numeric(14, 2))
    currency: Mapped[str] = mapped_column(String(3), default="EUR", server_default="EUR")
    method: Mapped[PaymentMethod | None] = mapped_column(stored_enum(PaymentMethod))
    provider: Mapped[Provider | None] = mapped_column(stored_enum(Provider))
    external_id: Mapped[str] = mapped_column(String(255), default="", server_default="")
    reason: Mapped[str | None] = mapped_column(Text)
    happened_at: Mapped[datetime] = mapped_column(default=clock.now)
    recorded_at: Mapped[datetime] = mapped_column(default=clock.now)


class WebhookState(StrEnum):
    """How far a webhook has come. A failed one is tried again ever more seldom, until a person closes it."""

    WAITING = "waiting"
    FAILED = "failed"
    HANDLED = "handled"
    CLOSED = "closed"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {"waiting": "À traiter", "failed": "En échec", "handled": "Traitée", "closed": "Classée"}[self.value]


class WebhookEvent(OrganisationScoped, Identified, Base):
    """What a provider told us, verified, kept as it came (``body`` is sealed), handled later by a job.

    An event told twice is one row. ``handled_at`` is set once its effect is recorded; ``error`` says why not yet.
    """

    __tablename__ = "webhook_events"
    __table_args__ = (
        UniqueConstraint("organisation_id", "provider_account_id", "event_id"),
        Index("ix_webhook_events_open", "next_attempt_at", postgresql_where=text("handled_at IS NULL")),
        Index("ix_webhook_events_received", "organisation_id", "received_at", "id"),
        tenant_key("provider_account_id", "provider_accounts", ondelete="RESTRICT"),
    )

    provider_account_id: Mapped[UUID]
    event_id: Mapped[str] = mapped_column(String(255))
    kind: Mapped[str] = mapped_column(String(100), default="", server_default="")
    body: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    received_at: Mapped[datetime] = mapped_column(default=clock.now)
    next_attempt_at: Mapped[datetime] = mapped_column(default=clock.now)
    handled_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    error: Mapped[str | None] = mapped_column(Text)

    account: Mapped[ProviderAccount] = relationship(
        primaryjoin=lambda: linked(ProviderAccount, WebhookEvent.provider_account_id),
        viewonly=True,
    )

    @property
    def state(self) -> WebhookState:
        """How far it has come."""
        if self.handled_at is None:
            return WebhookState.FAILED if self.error else WebhookState.WAITING
        return WebhookState.CLOSED if self.error else WebhookState.HANDLED

    @staticmethod
    def place(organisation_id: UUID, event_id: UUID) -> str:
        """Where an encrypted body belongs (associated data); ``event_id`` is our row's id."""
        return f"{organisation_id}|webhook_events.body|{event_id}"


class BankFileStatus(StrEnum):
    """How far a bank file has come; a person says so, since the bank does not tell us."""

    PREPARED = "prepared"
    SENT = "sent"
    CONFIRMED = "confirmed"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {"prepared": "Préparé", "sent": "Transmis à la banque", "confirmed": "Confirmé"}[self.value]


class BankFile(OrganisationScoped, Identified, Timestamped, Numbered, Base):
    """One pain.008 file of a company's account for one collection date. ``content`` (sealed) is what was exported.

    ``message_id`` (MsgId) is kept before the export, and the content with the first one, so that downloading again
    gives identical bytes.
    """

    LETTER = "B"

    __tablename__ = "bank_files"
    __table_args__ = (
        UniqueConstraint("organisation_id", "number"),
        UniqueConstraint("organisation_id", "message_id"),
        Index("ix_bank_files_date", "organisation_id", "collected_on", "id"),
        tenant_key("provider_account_id", "provider_accounts", ondelete="RESTRICT"),
    )

    provider_account_id: Mapped[UUID]
    message_id: Mapped[str] = mapped_column(String(35))
    collected_on: Mapped[date]
    status: Mapped[BankFileStatus] = mapped_column(stored_enum(BankFileStatus), default=BankFileStatus.PREPARED)
    content: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    number_of_debits: Mapped[int] = mapped_column(default=0, server_default="0")
    total: Mapped[Decimal] = mapped_column(Numeric(14, 2), default=Decimal(0), server_default="0")
    exported_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    confirmed_at: Mapped[datetime | None]

    @staticmethod
    def place(organisation_id: UUID, file_id: UUID) -> str:
        """Where an encrypted content belongs (associated data)."""
        return f"{organisation_id}|bank_files.content|{file_id}"
