"""Payment providers, the accounts of companies with them, and the means of payment that they keep."""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from webapp import sepa
from webapp.models.base import Base, Identified, Timestamped, stored_enum, tenant_key
from webapp.models.contracts import PaymentMethod
from webapp.models.sealing import SealedCredentials
from webapp.tenancy import OrganisationScoped


class Provider(StrEnum):
    """Who collects the money."""

    SANDBOX = "sandbox"
    STRIPE = "stripe"
    SEPA_FILE = "sepa_file"
    WOOCOMMERCE = "woocommerce"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "sandbox": "Bac à sable",
            "stripe": "Stripe",
            "sepa_file": "Fichier SEPA",
            "woocommerce": "WooCommerce",
        }[self.value]

    @property
    def is_online(self) -> bool:
        """Whether it is called, and calls back; a bank file goes through a person's hands, a shop asks by itself."""
        return self in (Provider.SANDBOX, Provider.STRIPE)

    @property
    def has_accounts(self) -> bool:
        """Whether companies have accounts with it, by which we collect; a shop collects what we only hear of."""
        return self is not Provider.WOOCOMMERCE


class Milestone(StrEnum):
    """The moment of a payment that something waits for, since some providers confirm days after they accept."""

    PROCESSING = "processing"
    SUCCEEDED = "succeeded"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {"processing": "Dès l’envoi au prestataire", "succeeded": "À la confirmation du paiement"}[self.value]


class CreditorFault(StrEnum):
    """Why a bank would refuse every file in a company's name."""

    NAME = "name"
    ICS = "ics"
    IBAN = "iban"
    BIC = "bic"

    @property
    def sentence(self) -> str:
        """What is wrong, and what to do about it."""
        return {
            "name": "Le nom de la société n’a ni lettre ni chiffre que les banques lisent\u202f: faites-le corriger.",
            "ics": "L’identifiant créancier SEPA (ICS) manque ou n’est pas valide\u202f: corrigez-le.",
            "iban": "L’IBAN du compte crédité manque, ou n’est pas celui d’un compte SEPA\u202f: corrigez-le.",
            "bic": "Le BIC du compte crédité manque ou n’est pas valide\u202f: corrigez-le.",
        }[self.value]


MOST_NOTICE_DAYS = 14
"""How many days before a debit its notice leaves, unless less was agreed (SEPA Core rulebook)."""


class ProviderAccount(SealedCredentials, Timestamped, Base):
    """A company's account with a provider. ``credentials`` is sealed JSON; see ``credentials_in_clear``.

    ``ics`` is the company's SEPA creditor identifier. ``ship_at`` and ``invoice_at`` say which moment of a payment
    releases shipping and makes the invoice. ``rate_per_second`` and ``max_concurrency`` bound our calls;
    ``longest_delay_seconds`` is how late the provider may still commit a payment that looked lost. With
    ``first_as_frst``, bank files call the first debit under a mandate so (FRST), which since 2016 they need not.
    ``notice_days`` is how long before a debit its notice has left, as agreed with the clients.
    """

    __tablename__ = "provider_accounts"
    __table_args__ = (
        UniqueConstraint("organisation_id", "company_id", "provider"),
        Index("ix_provider_accounts_provider", "provider"),
        CheckConstraint("rate_per_second > 0 AND max_concurrency > 0", name="limits_are_positive"),
        CheckConstraint("notice_days BETWEEN 1 AND 14", name="notice_days_as_agreed"),
        tenant_key("company_id", "companies"),
    )

    company_id: Mapped[UUID]
    provider: Mapped[Provider] = mapped_column(stored_enum(Provider))
    is_active: Mapped[bool] = mapped_column(default=True, server_default=text("true"))
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
    first_as_frst: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    notice_days: Mapped[int] = mapped_column(default=MOST_NOTICE_DAYS, server_default=str(MOST_NOTICE_DAYS))

    def creditor_fault(self, company_name: str) -> CreditorFault | None:
        """Why a bank would refuse its files, in the name of its company; None where it would not."""
        keys = self.credentials_in_clear()
        if not sepa.is_writable_name(company_name):
            return CreditorFault.NAME
        if not sepa.is_creditor_identifier(self.ics or ""):
            return CreditorFault.ICS
        if not sepa.is_iban(keys.get("iban", "")):
            return CreditorFault.IBAN
        return None if sepa.is_bic(keys.get("bic", "")) else CreditorFault.BIC


class SavedPaymentMethod(OrganisationScoped, Identified, Timestamped, Base):
    """What a provider keeps for a client: a card, or a mandate of its own. References mean nothing outside it.

    ``label`` is what pages show: « Visa •••• 4242 ». Of a card, ``brand`` (« visa », as its provider writes it) and
    ``last4`` are known, and ``expires_on`` is the last day of its month.
    """

    __tablename__ = "saved_payment_methods"
    __table_args__ = (
        UniqueConstraint("organisation_id", "provider_account_id", "method_reference"),
        Index("ix_saved_payment_methods_client", "organisation_id", "client_id"),
        Index(
            "ix_saved_payment_methods_expiry",
            "organisation_id",
            "expires_on",
            "id",
            postgresql_where=text("expires_on IS NOT NULL AND revoked_at IS NULL"),
        ),
        tenant_key("client_id", "clients", ondelete="RESTRICT"),
        tenant_key("provider_account_id", "provider_accounts", ondelete="RESTRICT"),
    )

    client_id: Mapped[UUID]
    provider_account_id: Mapped[UUID]
    method: Mapped[PaymentMethod] = mapped_column(stored_enum(PaymentMethod))
    customer_reference: Mapped[str] = mapped_column(String(255), default="", server_default="")
    method_reference: Mapped[str] = mapped_column(String(255))
    label: Mapped[str] = mapped_column(String(100), default="", server_default="")
    brand: Mapped[str | None] = mapped_column(String(40))
    last4: Mapped[str | None] = mapped_column(String(4))
    expires_on: Mapped[date | None]
    revoked_at: Mapped[datetime | None]

    def is_usable(self, on: date) -> bool:
        """Whether it may be charged on that day."""
        return self.revoked_at is None and (self.expires_on is None or self.expires_on >= on)


class DefaultMeans(OrganisationScoped, Identified, Timestamped, Base):
    """What a client's subscriptions with a company are paid by, unless they name their own."""

    __tablename__ = "default_means"
    __table_args__ = (
        UniqueConstraint("organisation_id", "client_id", "company_id"),
        CheckConstraint("num_nonnulls(saved_method_id, mandate_id) = 1", name="names_one"),
        tenant_key("client_id", "clients"),
        tenant_key("company_id", "companies"),
        tenant_key("saved_method_id", "saved_payment_methods"),
        tenant_key("mandate_id", "mandates"),
    )

    client_id: Mapped[UUID]
    company_id: Mapped[UUID]
    payment_method: Mapped[PaymentMethod] = mapped_column(stored_enum(PaymentMethod))
    saved_method_id: Mapped[UUID | None]
    mandate_id: Mapped[UUID | None]
