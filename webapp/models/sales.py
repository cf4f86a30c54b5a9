"""Sales of covers (souscriptions): from a draft that any colleague goes on with to what the client has signed."""

import hashlib
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, LargeBinary, Numeric, String, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.models.base import Base, Identified, Numbered, Timestamped, linked, stored_enum, tenant_key
from webapp.models.clients import Client
from webapp.models.contracts import PaymentMethod
from webapp.models.covers import CoveredHome, CoverPlanVersion, HomeKind, Occupancy
from webapp.models.identity import User
from webapp.models.subscriptions import Frequency
from webapp.tenancy import OrganisationScoped


class SaleStep(StrEnum):
    """The steps of a sale, in order."""

    CLIENT = "client"
    HOME = "home"
    PLAN = "plan"
    DOCUMENTS = "documents"
    PAYMENT = "payment"
    SUMMARY = "summary"
    SIGNATURE = "signature"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "client": "Client",
            "home": "Logement",
            "plan": "Formule",
            "documents": "Documents",
            "payment": "Paiement",
            "summary": "Récapitulatif",
            "signature": "Signature",
        }[self.value]

    @property
    def number(self) -> int:
        """Its place, from one."""
        return list(SaleStep).index(self) + 1

    @property
    def following(self) -> "SaleStep":
        """The step after it; the last one is followed by itself."""
        return list(SaleStep)[min(self.number, len(SaleStep) - 1)]

    @property
    def former(self) -> "SaleStep":
        """The step before it; the first one is preceded by itself."""
        return list(SaleStep)[max(self.number - 2, 0)]


class DocumentsWay(StrEnum):
    """How the client was given the documents of the plan."""

    EMAIL = "email"
    BY_HAND = "by_hand"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {"email": "Par e-mail", "by_hand": "Imprimés et remis en main propre"}[self.value]


class SignatureWay(StrEnum):
    """How the client signed."""

    PAPER = "paper"
    LINK = "link"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {"paper": "Sur papier", "link": "Par le lien reçu par e-mail"}[self.value]


class CoverSale(OrganisationScoped, Identified, Timestamped, Numbered, Base):
    """A sale of a cover: a draft until the client has signed, or until somebody gives it up.

    ``step`` is the one that is to be done next. ``version`` moves with every change, so that two colleagues do not
    overwrite each other. The home is one of the client's (``home_id``) or a further one, as written in ``home_kind`` …
    ``home_access_notes``. ``documents_version_id`` is the version of the plan whose documents the client was given.
    ``plan_price`` is what the plan costs per month, before tax, where the home is, as it was shown when it was chosen.
    With ``asks_client`` the client is asked for a means of payment once it is signed; else it is paid as the columns of
    the same names say for a subscription.

    The client may accept by a link, whose token stands here as a hash alone; ``signed_from`` is the address (IP) that
    accepted, ``wording_version`` the version of the words that were accepted. A sale that is signed never changes: a
    trigger sees to it.
    """

    LETTER = "N"

    __tablename__ = "cover_sales"
    __table_args__ = (
        CheckConstraint("home_id IS NULL OR home_kind IS NULL", name="one_home"),
        CheckConstraint("(signed_at IS NULL) = (signed_by IS NULL)", name="signed_somehow"),
        CheckConstraint("signed_at IS NULL OR abandoned_at IS NULL", name="one_end"),
        CheckConstraint("(plan_version_id IS NULL) = (plan_price IS NULL)", name="plan_has_price"),
        CheckConstraint("documents_version_id IS NULL OR documents_given_at IS NOT NULL", name="documents_given"),
        Index(
            "ix_cover_sales_open",
            "organisation_id",
            "changed_at",
            "id",
            postgresql_where=text("signed_at IS NULL AND abandoned_at IS NULL"),
        ),
        Index("ix_cover_sales_client", "organisation_id", "client_id"),
        Index(
            "ix_cover_sales_cover",
            "organisation_id",
            "cover_id",
            postgresql_where=text("cover_id IS NOT NULL"),
        ),
        Index("uq_cover_sales_token_hash", "token_hash", unique=True),
        tenant_key("client_id", "clients"),
        tenant_key("owner_id", "users", ondelete="SET NULL"),
        tenant_key("home_id", "covered_homes", ondelete="SET NULL"),
        tenant_key("plan_version_id", "cover_plan_versions", ondelete="RESTRICT"),
        tenant_key("documents_version_id", "cover_plan_versions", ondelete="RESTRICT"),
        tenant_key("saved_method_id", "saved_payment_methods", ondelete="SET NULL"),
        tenant_key("mandate_id", "mandates", ondelete="SET NULL"),
        tenant_key("sent_by_id", "users", ondelete="SET NULL"),
        tenant_key("signed_document_id", "documents", ondelete="SET NULL"),
        tenant_key("contract_id", "contracts", ondelete="SET NULL"),
        tenant_key("cover_id", "covers", ondelete="SET NULL"),
    )

    client_id: Mapped[UUID]
    owner_id: Mapped[UUID | None]
    step: Mapped[SaleStep] = mapped_column(stored_enum(SaleStep))
    version: Mapped[int] = mapped_column(default=1, server_default="1")
    changed_at: Mapped[datetime]

    home_id: Mapped[UUID | None]
    home_kind: Mapped[HomeKind | None] = mapped_column(stored_enum(HomeKind))
    home_occupancy: Mapped[Occupancy | None] = mapped_column(stored_enum(Occupancy))
    home_occupied_since: Mapped[date | None]
    home_address_line1: Mapped[str | None] = mapped_column(String(200))
    home_address_line2: Mapped[str | None] = mapped_column(String(200))
    home_postcode: Mapped[str | None] = mapped_column(String(20))
    home_city: Mapped[str | None] = mapped_column(String(100))
    home_access_notes: Mapped[str | None] = mapped_column(String(500))

    plan_version_id: Mapped[UUID | None]
    plan_price: Mapped[Decimal | None] = mapped_column(Numeric(14, 2))
    option_codes: Mapped[list[str]] = mapped_column(ARRAY(String(30)), default=list, server_default="{}")
    frequency: Mapped[Frequency] = mapped_column(
        stored_enum(Frequency), default=Frequency.MONTHLY, server_default="monthly"
    )

    documents_version_id: Mapped[UUID | None]
    documents_way: Mapped[DocumentsWay | None] = mapped_column(stored_enum(DocumentsWay))
    documents_given_at: Mapped[datetime | None]

    follows_default: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    asks_client: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    payment_method: Mapped[PaymentMethod | None] = mapped_column(stored_enum(PaymentMethod))
    saved_method_id: Mapped[UUID | None]
    mandate_id: Mapped[UUID | None]

    effective_on: Mapped[date | None]
    starts_at_once: Mapped[bool] = mapped_column(default=False, server_default=text("false"))

    token_hash: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    token_expires_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    sent_by_id: Mapped[UUID | None]

    signed_at: Mapped[datetime | None]
    signed_by: Mapped[SignatureWay | None] = mapped_column(stored_enum(SignatureWay))
    signed_from: Mapped[str | None] = mapped_column(String(45))
    signed_document_id: Mapped[UUID | None]
    wording_version: Mapped[int | None]
    contract_id: Mapped[UUID | None]
    cover_id: Mapped[UUID | None]
    abandoned_at: Mapped[datetime | None]

    client: Mapped[Client] = relationship(primaryjoin=lambda: linked(Client, CoverSale.client_id), viewonly=True)
    owner: Mapped[User | None] = relationship(primaryjoin=lambda: linked(User, CoverSale.owner_id), viewonly=True)
    home: Mapped[CoveredHome | None] = relationship(
        primaryjoin=lambda: linked(CoveredHome, CoverSale.home_id), viewonly=True
    )
    plan_version: Mapped[CoverPlanVersion | None] = relationship(
        primaryjoin=lambda: linked(CoverPlanVersion, CoverSale.plan_version_id), viewonly=True
    )

    @property
    def is_open(self) -> bool:
        """Whether it can still be changed and signed."""
        return self.signed_at is None and self.abandoned_at is None

    @property
    def has_home(self) -> bool:
        """Whether the home is known."""
        return self.home_id is not None or self.home_kind is not None

    @property
    def state_label(self) -> str:
        """Where it stands, on the screen."""
        if self.signed_at:
            return "Signée"
        if self.abandoned_at:
            return "Abandonnée"
        return "Lien envoyé" if self.token_hash else self.step.label

    @staticmethod
    def hash_of(token: str) -> bytes:
        """By what a sale is found: the token has 256 bits of chance, so that no key is needed."""
        return hashlib.sha256(token.encode()).digest()
