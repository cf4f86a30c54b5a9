"""Charges (prélèvements): money asked for a cycle of a subscription, the attempts to get it, and what goes back."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ColumnElement, Index, Numeric, String, Text, UniqueConstraint, and_, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp import clock
from webapp.models.base import Base, Identified, Numbered, Timestamped, linked, stored_enum, tenant_key
from webapp.models.clients import Client
from webapp.models.contracts import PaymentMethod
from webapp.models.identity import User
from webapp.models.providers import Provider
from webapp.models.runs import RunStatus, RunTrigger
from webapp.models.subscriptions import Collector, Subscription
from webapp.tenancy import OrganisationScoped


class ChargeStatus(StrEnum):
    """Where a charge stands; see TRANSITIONS."""

    SCHEDULED = "scheduled"
    SENDING = "sending"
    PROCESSING = "processing"
    UNKNOWN = "unknown"
    RETRYING = "retrying"
    AUTHENTICATING = "authenticating"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REVERSED = "reversed"
    SKIPPED = "skipped"
    CANCELED = "canceled"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "scheduled": "Prévu",
            "sending": "Envoi en cours",
            "processing": "En traitement",
            "unknown": "Résultat inconnu",
            "retrying": "Refusé, nouvelle tentative prévue",
            "authenticating": "Attend l’accord du client",
            "succeeded": "Payé",
            "failed": "Refusé",
            "reversed": "Rejeté après paiement",
            "skipped": "Non prélevé",
            "canceled": "Annulé",
        }[self.value]

    @property
    def is_settled(self) -> bool:
        """Whether nothing more happens to it by itself: only a person, or the provider's word, moves it on."""
        return self in SETTLED


TRANSITIONS: dict[ChargeStatus, frozenset[ChargeStatus]] = {
    # Waiting for its day (announced ahead), or for a means of payment.
    ChargeStatus.SCHEDULED: frozenset(
        {
            ChargeStatus.SENDING,
            ChargeStatus.AUTHENTICATING,  # the client pays it on a page of the provider's
            ChargeStatus.SUCCEEDED,
            ChargeStatus.SKIPPED,
            ChargeStatus.CANCELED,
        }
    ),
    ChargeStatus.SENDING: frozenset(
        {
            ChargeStatus.PROCESSING,
            ChargeStatus.UNKNOWN,
            ChargeStatus.RETRYING,
            ChargeStatus.AUTHENTICATING,
            ChargeStatus.SUCCEEDED,
            ChargeStatus.FAILED,
        }
    ),
    ChargeStatus.PROCESSING: frozenset(
        {
            ChargeStatus.UNKNOWN,
            ChargeStatus.RETRYING,
            ChargeStatus.AUTHENTICATING,
            ChargeStatus.SUCCEEDED,
            ChargeStatus.FAILED,
            ChargeStatus.CANCELED,
        }
    ),
    # Sending again from here repeats the same attempt with the same key; never a new one.
    ChargeStatus.UNKNOWN: frozenset(
        {
            ChargeStatus.SENDING,
            ChargeStatus.PROCESSING,
            ChargeStatus.RETRYING,
            ChargeStatus.AUTHENTICATING,
            ChargeStatus.SUCCEEDED,
            ChargeStatus.FAILED,
            ChargeStatus.CANCELED,
        }
    ),
    ChargeStatus.RETRYING: frozenset(
        {ChargeStatus.SENDING, ChargeStatus.SUCCEEDED, ChargeStatus.FAILED, ChargeStatus.CANCELED}
    ),
    ChargeStatus.AUTHENTICATING: frozenset(
        {
            ChargeStatus.SCHEDULED,  # the page ended, and nothing else was ever tried
            ChargeStatus.SENDING,
            ChargeStatus.PROCESSING,
            ChargeStatus.RETRYING,
            ChargeStatus.SUCCEEDED,
            ChargeStatus.FAILED,
            ChargeStatus.CANCELED,
        }
    ),
    ChargeStatus.SUCCEEDED: frozenset({ChargeStatus.REVERSED}),
    # A person may try again once the cause is mended, or note that the client has paid otherwise. What the provider
    # captured after all, however late, is recorded whatever we had given up: the ledger equals the provider's.
    ChargeStatus.FAILED: frozenset(
        {ChargeStatus.SENDING, ChargeStatus.AUTHENTICATING, ChargeStatus.SUCCEEDED, ChargeStatus.CANCELED}
    ),
    ChargeStatus.REVERSED: frozenset(
        {ChargeStatus.SENDING, ChargeStatus.AUTHENTICATING, ChargeStatus.SUCCEEDED, ChargeStatus.CANCELED}
    ),
    ChargeStatus.CANCELED: frozenset({ChargeStatus.SUCCEEDED}),
    ChargeStatus.SKIPPED: frozenset(),
}

SHOP_TRANSITIONS: dict[ChargeStatus, frozenset[ChargeStatus]] = {
    # A charge of a shop mirrors an order there, which a person may lead anywhere until it is paid.
    ChargeStatus.SCHEDULED: frozenset(
        {ChargeStatus.PROCESSING, ChargeStatus.FAILED, ChargeStatus.CANCELED, ChargeStatus.SUCCEEDED}
    ),
    ChargeStatus.PROCESSING: frozenset(
        {ChargeStatus.SCHEDULED, ChargeStatus.FAILED, ChargeStatus.CANCELED, ChargeStatus.SUCCEEDED}
    ),
    ChargeStatus.FAILED: frozenset(
        {ChargeStatus.SCHEDULED, ChargeStatus.PROCESSING, ChargeStatus.CANCELED, ChargeStatus.SUCCEEDED}
    ),
    ChargeStatus.CANCELED: frozenset(
        {ChargeStatus.SCHEDULED, ChargeStatus.PROCESSING, ChargeStatus.FAILED, ChargeStatus.SUCCEEDED}
    ),
    ChargeStatus.SUCCEEDED: frozenset(),
}

SETTLED = frozenset(
    {
        ChargeStatus.SUCCEEDED,
        ChargeStatus.FAILED,
        ChargeStatus.REVERSED,
        ChargeStatus.SKIPPED,
        ChargeStatus.CANCELED,
    }
)


class Attention(StrEnum):
    """Why a charge is on the list of those that need a person."""

    NO_PAYMENT_METHOD = "no_payment_method"
    BY_HAND = "by_hand"
    UNKNOWN = "unknown"
    REFUSED = "refused"
    AUTHENTICATION = "authentication"
    REVERSED = "reversed"
    MISMATCH = "mismatch"
    CREDIT_NOTE = "credit_note"
    REFUND = "refund"
    REFUND_AGAIN = "refund_again"
    PAID_THEN_CANCELED = "paid_then_canceled"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "no_payment_method": "Aucun moyen de paiement utilisable",
            "by_hand": "Paiement attendu du client (virement, chèque)",
            "unknown": "Résultat inconnu depuis plus d’une heure",
            "refused": "Refusé définitivement",
            "authentication": "Le client n’a pas donné son accord",
            "reversed": "Rejeté après paiement",
            "mismatch": "Écart avec le prestataire de paiement",
            "credit_note": "Remboursé chez le prestataire, sans avoir",
            "refund": "Remboursement refusé ou sans résultat",
            "refund_again": "Remboursement à refaire",
            "paid_then_canceled": "Annulée après paiement, sans remboursement",
        }[self.value]


class Charge(OrganisationScoped, Identified, Timestamped, Numbered, Base):
    """What is asked for one cycle: at most one per subscription and cycle, whatever happens.

    One without a ``cycle_no`` is a supplement: what a change of plan in mid-period asks for apart from the cycles.

    Amounts, VAT (``vat``: ``[{rate, base, tax}]``) and ``lines`` are frozen when the charge is made. ``due_on`` is the
    cycle's local date and never moves; ``next_attempt_at`` is when the engine takes the charge up again by itself: a
    retry, a look-up of an unknown result, the day of a scheduled one.

    Whoever works on it holds ``lease_until`` and ``fence``: a write names its fence, and an older one changes nothing.
    ``waived`` is the sum of the credit notes whose money did not go back: so much less is asked for, see ``owed``.
    ``attention`` puts it on the list for a person, since ``attention_at``. ``explanation`` is a French sentence on why
    it stands where it stands. ``reference`` names the cycle, for machines; ``code`` is what people say.

    One that a shop collects mirrors an order there (SHOP_TRANSITIONS): it has no attempts, and the engine never takes
    it up. ``collected_by`` is its subscription's.
    """

    LETTER = "P"

    __tablename__ = "charges"
    __table_args__ = (
        UniqueConstraint("organisation_id", "number"),
        UniqueConstraint("organisation_id", "subscription_id", "cycle_no"),
        CheckConstraint("amount >= 0", name="amount_is_positive"),
        CheckConstraint("waived BETWEEN 0 AND amount", name="waived_within_amount"),
        CheckConstraint(
            "collected_by = 'crm' OR (num_nonnulls(provider_account_id, next_attempt_at, first_refused_at,"
            " lease_until) = 0 AND attempts_count = 0 AND waived = 0"
            " AND status IN ('scheduled', 'processing', 'failed', 'canceled', 'succeeded'))",
            name="shop_collects_by_itself",
        ),
        tenant_key("subscription_id", "subscriptions", ondelete="RESTRICT"),
        tenant_key("client_id", "clients", ondelete="RESTRICT"),
        tenant_key("company_id", "companies", ondelete="RESTRICT"),
        tenant_key("provider_account_id", "provider_accounts", ondelete="RESTRICT"),
        Index("ix_charges_due", "organisation_id", "due_on", "id"),
        Index("ix_charges_shop", "organisation_id", "due_on", "id", postgresql_where=text("collected_by = 'shop'")),
        Index("ix_charges_status", "organisation_id", "status", "due_on", "id"),
        Index("ix_charges_client", "organisation_id", "client_id", "due_on", "id"),
        Index(
            "ix_charges_next_attempt",
            "organisation_id",
            "next_attempt_at",
            "id",
            postgresql_where=text("next_attempt_at IS NOT NULL"),
        ),
        Index("ix_charges_lease", "lease_until", postgresql_where=text("lease_until IS NOT NULL")),
        Index(
            "ix_charges_attention",
            "organisation_id",
            "attention_at",
            "id",
            postgresql_where=text("attention IS NOT NULL"),
        ),
    )

    subscription_id: Mapped[UUID]
    cycle_no: Mapped[int | None]
    client_id: Mapped[UUID]
    company_id: Mapped[UUID]
    reference: Mapped[str] = mapped_column(String(80))
    due_on: Mapped[date]
    period_start: Mapped[date]
    period_end: Mapped[date]
    amount_before_tax: Mapped[Decimal] = mapped_column(Numeric(14, 2))
    vat: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, default=list, server_default="[]")
    amount: Mapped[Decimal] = mapped_column(Numeric(14, 2))
    waived: Mapped[Decimal] = mapped_column(Numeric(14, 2), default=Decimal(0), server_default="0")
    currency: Mapped[str] = mapped_column(String(3), default="EUR", server_default="EUR")
    lines: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, default=list, server_default="[]")
    payment_method: Mapped[PaymentMethod | None] = mapped_column(stored_enum(PaymentMethod))
    provider_account_id: Mapped[UUID | None]
    status: Mapped[ChargeStatus] = mapped_column(stored_enum(ChargeStatus), default=ChargeStatus.SCHEDULED)
    attempts_count: Mapped[int] = mapped_column(default=0, server_default="0")
    next_attempt_at: Mapped[datetime | None]
    first_refused_at: Mapped[datetime | None]
    lease_until: Mapped[datetime | None]
    fence: Mapped[int] = mapped_column(default=0, server_default="0")
    attention: Mapped[Attention | None] = mapped_column(stored_enum(Attention))
    attention_at: Mapped[datetime | None]
    explanation: Mapped[str | None] = mapped_column(Text)
    settled_at: Mapped[datetime | None]
    collected_by: Mapped[Collector] = mapped_column(
        stored_enum(Collector), default=Collector.CRM, server_default=Collector.CRM.value
    )

    client: Mapped[Client] = relationship(
        primaryjoin=lambda: linked(Client, Charge.client_id),
        viewonly=True,
    )
    subscription: Mapped[Subscription] = relationship(
        primaryjoin=lambda: linked(Subscription, Charge.subscription_id),
        viewonly=True,
    )
    attempts: Mapped[list["ChargeAttempt"]] = relationship(
        primaryjoin=lambda: linked(Charge, ChargeAttempt.charge_id),
        order_by="ChargeAttempt.number",
        viewonly=True,
    )

    def can_become(self, status: ChargeStatus) -> bool:
        """Whether its table of transitions leads from the present state to ``status``."""
        table = SHOP_TRANSITIONS if self.is_of_shop else TRANSITIONS
        return status in table[self.status]

    @property
    def is_of_shop(self) -> bool:
        """Whether a shop collects it: it mirrors an order there."""
        return self.collected_by is Collector.SHOP

    @property
    def is_supplement(self) -> bool:
        """Whether it is asked for apart from the cycles: it moves neither schedule nor state of its subscription."""
        return self.cycle_no is None

    @property
    def owed(self) -> Decimal:
        """What is asked for, with tax: the amount, less what credit notes took off it."""
        return self.amount - (self.waived or 0)  # none on a row that was not written yet


class AttemptStatus(StrEnum):
    """What became of one attempt."""

    SENDING = "sending"
    UNKNOWN = "unknown"
    PROCESSING = "processing"
    AUTHENTICATING = "authenticating"
    SUCCEEDED = "succeeded"
    REFUSED = "refused"
    CANCELED = "canceled"
    REVERSED = "reversed"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "sending": "Envoi en cours",
            "unknown": "Résultat inconnu",
            "processing": "En traitement",
            "authenticating": "Attend l’accord du client",
            "succeeded": "Acceptée",
            "refused": "Refusée",
            "canceled": "Annulée",
            "reversed": "Rejetée après paiement",
        }[self.value]


class RefusalClass(StrEnum):
    """What kind of refusal it was, and so whether and when it is tried again."""

    HARD = "hard"
    SOFT = "soft"
    AUTHENTICATION = "authentication"
    TECHNICAL = "technical"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "hard": "Définitif",
            "soft": "Temporaire",
            "authentication": "Accord du client demandé",
            "technical": "Incident technique",
        }[self.value]


class SequenceType(StrEnum):
    """Where a debit stands among those of its mandate, as banks call it."""

    FIRST = "FRST"
    RECURRENT = "RCUR"


class ChargeAttempt(OrganisationScoped, Identified, Timestamped, Base):
    """One asking of a provider. Sent again with the same key, it is the same attempt; a new one has a new key.

    ``saved_method_id`` or ``mandate_id`` is what was debited. ``first_sent_at`` is when the provider may first have
    heard of it: the same key is honoured only so long after. For a bank file, ``end_to_end_id`` finds the line again;
    ``sequence`` is decided when the file is generated.
    ``on_page`` while the client may pay it on a provider's page: a refusal there is not the last word, money is.
    """

    __tablename__ = "charge_attempts"
    __table_args__ = (
        UniqueConstraint("organisation_id", "charge_id", "number"),
        Index(
            "ix_charge_attempts_provider_payment",
            "organisation_id",
            "provider_payment_id",
            postgresql_where=text("provider_payment_id IS NOT NULL"),
        ),
        Index(
            "uq_charge_attempts_end_to_end",
            "organisation_id",
            "end_to_end_id",
            unique=True,
            postgresql_where=text("end_to_end_id IS NOT NULL"),
        ),
        Index(
            "ix_charge_attempts_bank_file",
            "organisation_id",
            "bank_file_id",
            postgresql_where=text("bank_file_id IS NOT NULL"),
        ),
        Index(
            "ix_charge_attempts_mandate",
            "organisation_id",
            "mandate_id",
            postgresql_where=text("mandate_id IS NOT NULL AND bank_file_id IS NOT NULL"),
        ),
        # A second attempt may only begin once the one before it has come to its end.
        Index(
            "uq_charge_attempts_open",
            "organisation_id",
            "charge_id",
            unique=True,
            postgresql_where=text("status IN ('sending', 'unknown', 'processing', 'authenticating')"),
        ),
        tenant_key("charge_id", "charges", ondelete="RESTRICT"),
        tenant_key("provider_account_id", "provider_accounts", ondelete="RESTRICT"),
        tenant_key("saved_method_id", "saved_payment_methods", ondelete="SET NULL"),
        tenant_key("mandate_id", "mandates", ondelete="SET NULL"),
        tenant_key("bank_file_id", "bank_files", ondelete="RESTRICT"),
    )

    charge_id: Mapped[UUID]
    number: Mapped[int]
    provider_account_id: Mapped[UUID]
    provider: Mapped[Provider] = mapped_column(stored_enum(Provider))
    saved_method_id: Mapped[UUID | None]
    mandate_id: Mapped[UUID | None]
    bank_file_id: Mapped[UUID | None]
    amount: Mapped[Decimal] = mapped_column(Numeric(14, 2))
    currency: Mapped[str] = mapped_column(String(3), default="EUR", server_default="EUR")
    status: Mapped[AttemptStatus] = mapped_column(stored_enum(AttemptStatus), default=AttemptStatus.SENDING)
    provider_payment_id: Mapped[str | None] = mapped_column(String(255))
    end_to_end_id: Mapped[str | None] = mapped_column(String(35))
    sequence: Mapped[SequenceType | None] = mapped_column(stored_enum(SequenceType))
    refusal: Mapped[RefusalClass | None] = mapped_column(stored_enum(RefusalClass))
    provider_code: Mapped[str | None] = mapped_column(String(100))
    provider_message: Mapped[str | None] = mapped_column(Text)
    authentication_url: Mapped[str | None] = mapped_column(Text)
    on_page: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    first_sent_at: Mapped[datetime | None]
    last_sent_at: Mapped[datetime | None]
    sends: Mapped[int] = mapped_column(default=0, server_default="0")
    settled_at: Mapped[datetime | None]

    @staticmethod
    def waits_for_file() -> ColumnElement[bool]:
        """Those that are to be collected by a bank file, and are in none yet."""
        return and_(
            ChargeAttempt.provider == Provider.SEPA_FILE,
            ChargeAttempt.status == AttemptStatus.PROCESSING,
            ChargeAttempt.bank_file_id.is_(None),
        )

    @property
    def idempotency_key(self) -> str:
        """The key that the provider sees: the same for every sending of this attempt, and for no other."""
        return f"crm-{self.id}"


class RefundStatus(StrEnum):
    """Where a refund stands; see REFUND_TRANSITIONS."""

    REQUESTED = "requested"
    UNKNOWN = "unknown"
    SUCCEEDED = "succeeded"
    REFUSED = "refused"
    FAILED = "failed"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "requested": "Demandé",
            "unknown": "Résultat inconnu",
            "succeeded": "Remboursé",
            "refused": "Refusé",
            "failed": "Échoué",
        }[self.value]


REFUND_TRANSITIONS: dict[RefundStatus, frozenset[RefundStatus]] = {
    RefundStatus.REQUESTED: frozenset(
        {RefundStatus.UNKNOWN, RefundStatus.SUCCEEDED, RefundStatus.REFUSED, RefundStatus.FAILED}
    ),
    RefundStatus.UNKNOWN: frozenset({RefundStatus.SUCCEEDED, RefundStatus.REFUSED, RefundStatus.FAILED}),
    # That money went back is a fact, whatever we had given up.
    RefundStatus.REFUSED: frozenset({RefundStatus.SUCCEEDED, RefundStatus.FAILED}),
    # Days later the bank of the client may not have taken it. Such a refund never comes to life again.
    RefundStatus.SUCCEEDED: frozenset({RefundStatus.FAILED}),
    RefundStatus.FAILED: frozenset(),
}


class Refund(OrganisationScoped, Identified, Timestamped, Numbered, Base):
    """Money of a captured attempt that a provider was asked to give back. The amount is frozen, above zero.

    ``next_attempt_at`` is when it is sent or looked up, empty once it is settled; whoever takes it up moves that ahead
    by a lease, and a result is recorded only under its own ``fence``. ``external_id`` is the provider's id of it, by
    which its row in the ledger is known. ``vat`` (``[{rate, base, tax}]``) is what its credit note takes back of each
    rate; empty: of all in proportion.
    """

    LETTER = "R"

    __tablename__ = "refunds"
    __table_args__ = (
        UniqueConstraint("organisation_id", "number"),
        CheckConstraint("amount > 0", name="amount_is_positive"),
        CheckConstraint(
            "(next_attempt_at IS NULL) = (status IN ('succeeded', 'refused', 'failed'))", name="taken_up_until_settled"
        ),
        Index("ix_refunds_charge", "organisation_id", "charge_id"),
        Index("ix_refunds_next_attempt", "next_attempt_at", postgresql_where=text("next_attempt_at IS NOT NULL")),
        tenant_key("charge_id", "charges", ondelete="RESTRICT"),
        tenant_key("attempt_id", "charge_attempts", ondelete="RESTRICT"),
        tenant_key("requested_by_id", "users", ondelete="SET NULL"),
    )

    charge_id: Mapped[UUID]
    attempt_id: Mapped[UUID]
    amount: Mapped[Decimal] = mapped_column(Numeric(14, 2))
    currency: Mapped[str] = mapped_column(String(3), default="EUR", server_default="EUR")
    reason: Mapped[str] = mapped_column(Text)
    vat: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB(none_as_null=True))
    status: Mapped[RefundStatus] = mapped_column(stored_enum(RefundStatus), default=RefundStatus.REQUESTED)
    external_id: Mapped[str | None] = mapped_column(String(255))
    provider_message: Mapped[str | None] = mapped_column(Text)
    sends: Mapped[int] = mapped_column(default=0, server_default="0")
    first_sent_at: Mapped[datetime | None]
    last_sent_at: Mapped[datetime | None]
    next_attempt_at: Mapped[datetime | None]
    fence: Mapped[int] = mapped_column(default=0, server_default="0")
    settled_at: Mapped[datetime | None]
    requested_by_id: Mapped[UUID | None]

    def can_become(self, status: RefundStatus) -> bool:
        """Whether the table of transitions leads from the present state to ``status``."""
        return status in REFUND_TRANSITIONS[self.status]

    @property
    def idempotency_key(self) -> str:
        """The key that the provider sees: the same for every sending of this refund, and for no other."""
        return f"crm-refund-{self.id}"


class ChargeRun(OrganisationScoped, Identified, Base):
    """One run of the engine for an organisation, as the button and the hourly schedule start it; kept as history.

    Counters grow as workers report; several may share one run. At most one runs per organisation.
    """

    __tablename__ = "charge_runs"
    __table_args__ = (
        Index("uq_charge_runs_running", "organisation_id", unique=True, postgresql_where=text("status = 'running'")),
        Index("ix_charge_runs_started", "organisation_id", "started_at", "id"),
        Index("ix_charge_runs_lease", "lease_until", postgresql_where=text("status = 'running'")),
        tenant_key("requested_by_id", "users", ondelete="SET NULL"),
    )

    trigger: Mapped[RunTrigger] = mapped_column(stored_enum(RunTrigger))
    status: Mapped[RunStatus] = mapped_column(stored_enum(RunStatus), default=RunStatus.RUNNING)
    due_before: Mapped[datetime]
    total: Mapped[int] = mapped_column(default=0, server_default="0")
    charged: Mapped[int] = mapped_column(default=0, server_default="0")
    processing: Mapped[int] = mapped_column(default=0, server_default="0")
    failed: Mapped[int] = mapped_column(default=0, server_default="0")
    unknown: Mapped[int] = mapped_column(default=0, server_default="0")
    skipped: Mapped[int] = mapped_column(default=0, server_default="0")
    error: Mapped[str | None] = mapped_column(Text)
    started_at: Mapped[datetime] = mapped_column(default=clock.now)
    finished_at: Mapped[datetime | None]
    lease_until: Mapped[datetime | None]
    fence: Mapped[int] = mapped_column(default=0, server_default="0")
    requested_by_id: Mapped[UUID | None]

    requested_by: Mapped[User | None] = relationship(
        primaryjoin=lambda: linked(User, ChargeRun.requested_by_id),
        viewonly=True,
    )

    @property
    def is_finished(self) -> bool:
        """Whether the run has come to its end, good or bad."""
        return self.status is not RunStatus.RUNNING
