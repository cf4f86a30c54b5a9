"""Bank accounts and SEPA mandates of clients."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from dateutil.relativedelta import relativedelta
from sqlalchemy import CheckConstraint, ColumnElement, Index, LargeBinary, String, UniqueConstraint, and_, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, validates

from webapp import crypto, sepa
from webapp.errors import InvalidInputError
from webapp.models.base import Base, Identified, Timestamped, stored_enum, tenant_key
from webapp.models.clients import Source
from webapp.tenancy import OrganisationScoped


class BankAccount(OrganisationScoped, Identified, Timestamped, Base):
    """An IBAN, encrypted; ``iban_masked`` is what pages show, ``iban_index`` is what equality is tested on.

    Once ``archived_at``, it is offered no more.
    """

    __tablename__ = "bank_accounts"
    __table_args__ = (
        UniqueConstraint("organisation_id", "client_id", "iban_index"),
        tenant_key("client_id", "clients"),
    )

    client_id: Mapped[UUID]
    iban: Mapped[bytes] = mapped_column(LargeBinary)
    iban_index: Mapped[bytes] = mapped_column(LargeBinary)
    iban_masked: Mapped[str] = mapped_column(String(20))
    bic: Mapped[bytes | None] = mapped_column(LargeBinary)
    holder: Mapped[str | None] = mapped_column(String(200))
    source: Mapped[Source | None] = mapped_column(stored_enum(Source))
    archived_at: Mapped[datetime | None]

    @staticmethod
    def place(organisation_id: UUID, account_id: UUID, column: str) -> str:
        """Where an encrypted value of this account belongs (associated data)."""
        return f"{organisation_id}|bank_accounts.{column}|{account_id}"

    def reveal_iban(self) -> str:
        """The IBAN in clear. Callers check the right and write the reveal into the timeline."""
        return crypto.unseal(self.iban, place=self.place(self.organisation_id, self.id, "iban"))

    def reveal_bic(self) -> str | None:
        """The BIC in clear, where there is one."""
        if self.bic is None:
            return None
        return crypto.unseal(self.bic, place=self.place(self.organisation_id, self.id, "bic"))


IDLE_MONTHS = 36
"""A mandate under which nothing was collected for so long may not be used any more (SEPA Core rulebook)."""


class MandateStatus(StrEnum):
    """WinLeadPlus says that a declared mandate exists; it is not debitable until completed."""

    DECLARED = "declared"
    ACTIVE = "active"
    REVOKED = "revoked"

    @property
    def label(self) -> str:
        """The word on the screen."""
        return {"declared": "Déclaré", "active": "Actif", "revoked": "Révoqué"}[self.value]


class MandateFault(StrEnum):
    """Why no money can be collected under a mandate."""

    DECLARED = "declared"
    INCOMPLETE = "incomplete"
    UNREADABLE = "unreadable"
    REVOKED = "revoked"
    ACCOUNT = "account"
    IDLE = "idle"

    @property
    def sentence(self) -> str:
        """What is wrong, and what to do about it."""
        return _FAULTS[self]


_FAULTS = {
    MandateFault.DECLARED: "Le mandat SEPA n’est que déclaré\u202f: complétez sa référence (RUM) et sa signature.",
    MandateFault.INCOMPLETE: "Le mandat SEPA est incomplet\u202f: il manque sa référence (RUM) ou sa signature.",
    MandateFault.UNREADABLE: "La référence (RUM) du mandat SEPA tient des caractères que les banques refusent\u202f: "
    "corrigez-la.",
    MandateFault.REVOKED: "Le mandat SEPA a été révoqué\u202f: faites-en signer un autre.",
    MandateFault.ACCOUNT: "Le compte du mandat SEPA est archivé\u202f: mettez-le sur un autre compte, par avenant.",
    MandateFault.IDLE: "Le mandat SEPA n’a pas servi depuis 36 mois\u202f: faites-en signer un autre.",
}


class Mandate(OrganisationScoped, Identified, Timestamped, Base):
    """A SEPA mandate. ``umr`` (RUM, at most 35 characters) is unique per creditor, the company.

    ``signed_in`` is where it was signed. ``last_used_on`` is the date of the last collection presented under it.
    With ``account_archived_at`` its account is gone, and it serves again once it is put on another.
    """

    __tablename__ = "mandates"
    __table_args__ = (
        UniqueConstraint("organisation_id", "company_id", "umr"),
        Index("ix_mandates_client", "organisation_id", "client_id"),
        Index(
            "uq_mandates_declared",
            "organisation_id",
            "bank_account_id",
            unique=True,
            postgresql_where=text("status = 'declared'"),
        ),
        tenant_key("client_id", "clients"),
        tenant_key("bank_account_id", "bank_accounts"),
        tenant_key("company_id", "companies"),
    )

    client_id: Mapped[UUID]
    bank_account_id: Mapped[UUID]
    company_id: Mapped[UUID | None]
    umr: Mapped[str | None] = mapped_column(String(35))
    status: Mapped[MandateStatus] = mapped_column(stored_enum(MandateStatus))
    signed_on: Mapped[date | None]
    signed_in: Mapped[str | None] = mapped_column(String(70))
    revoked_on: Mapped[date | None]
    last_used_on: Mapped[date | None]
    account_archived_at: Mapped[datetime | None]
    source: Mapped[Source | None] = mapped_column(stored_enum(Source))

    @validates("umr")
    def _check_umr(self, _key: str, umr: str | None) -> str | None:
        """Wherever it comes from, a reference that banks refuse never enters. Raises InvalidInputError."""
        if umr is not None and not sepa.is_identifier(umr):
            raise InvalidInputError(sepa.WRONG_IDENTIFIER, field="umr")
        return umr

    def fault(self, on: date) -> MandateFault | None:
        """Why no money can be collected under it on that day; None where it can (SEPA Core rulebook)."""
        if self.status is MandateStatus.REVOKED:
            return MandateFault.REVOKED
        if self.account_archived_at is not None:
            return MandateFault.ACCOUNT
        if self.status is MandateStatus.DECLARED:
            return MandateFault.DECLARED
        if self.umr is None or self.signed_on is None:
            return MandateFault.INCOMPLETE
        if not sepa.is_identifier(self.umr):
            return MandateFault.UNREADABLE
        idle_from = self.idle_from
        return MandateFault.IDLE if idle_from is not None and idle_from <= on else None

    @property
    def idle_from(self) -> date | None:
        """The day from which it is idle: 36 months after it was last used, or signed; None while it is not signed."""
        last = self.last_used_on or self.signed_on
        return last + relativedelta(months=IDLE_MONTHS) if last else None

    @staticmethod
    def idle_from_in_sql() -> ColumnElement[date]:
        """In a statement: ``idle_from``."""
        return func.coalesce(Mandate.last_used_on, Mandate.signed_on) + text(f"interval '{IDLE_MONTHS} months'")

    def is_usable(self, on: date) -> bool:
        """Whether money may be collected under it on that day."""
        return self.fault(on) is None

    @staticmethod
    def usable_on(day: date) -> ColumnElement[bool]:
        """In a statement: those that ``is_usable`` on that day."""
        return and_(
            Mandate.status == MandateStatus.ACTIVE,
            Mandate.account_archived_at.is_(None),
            Mandate.umr.regexp_match(sepa.IDENTIFIER_IN_SQL),
            Mandate.signed_on.is_not(None),
            Mandate.idle_from_in_sql() > day,
        )


class AmendmentKind(StrEnum):
    """What about a mandate is no longer as the bank knows it."""

    ACCOUNT = "account"
    REFERENCE = "reference"
    CREDITOR_ID = "creditor_id"
    CREDITOR_NAME = "creditor_name"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "account": "Compte débité",
            "reference": "Référence (RUM)",
            "creditor_id": "Identifiant créancier (ICS)",
            "creditor_name": "Nom du créancier",
        }[self.value]


class MandateAmendment(OrganisationScoped, Identified, Timestamped, Base):
    """A change of a mandate that the bank has heard of: it travels with the mandate's next collection by bank file.

    ``original`` is what the bank heard last: a reference, an identifier or a name; of an account it is the row that
    holds it, ``original_account_id``. ``told_in_id`` is the attempt that carries it; where that was refused before it
    was settled, the next one does. Until it is told, there is one of its kind for each mandate: the changes between two
    collections are one.
    """

    __tablename__ = "mandate_amendments"
    __table_args__ = (
        Index("ix_mandate_amendments_mandate", "organisation_id", "mandate_id"),
        Index(
            "uq_mandate_amendments_untold",
            "organisation_id",
            "mandate_id",
            "kind",
            unique=True,
            postgresql_where=text("told_in_id IS NULL"),
        ),
        CheckConstraint("num_nonnulls(original, original_account_id) = 1", name="original_is_there"),
        tenant_key("mandate_id", "mandates"),
        tenant_key("original_account_id", "bank_accounts"),
        tenant_key("user_id", "users", ondelete="SET NULL"),
        tenant_key("told_in_id", "charge_attempts", ondelete="RESTRICT"),
    )

    mandate_id: Mapped[UUID]
    kind: Mapped[AmendmentKind] = mapped_column(stored_enum(AmendmentKind))
    original: Mapped[str | None] = mapped_column(String(200))
    original_account_id: Mapped[UUID | None]
    user_id: Mapped[UUID | None]
    told_in_id: Mapped[UUID | None]


class MandateImport(OrganisationScoped, Identified, Timestamped, Base):
    """A list that completes mandates, read and shown before it is applied; once ``applied_at``, never again.

    ``lines`` holds what each line says and will do, as plain values; an IBAN only masked.
    """

    __tablename__ = "mandate_imports"
    __table_args__ = (
        Index("ix_mandate_imports_created", "organisation_id", "created_at"),
        tenant_key("user_id", "users", ondelete="SET NULL"),
    )

    user_id: Mapped[UUID | None]
    file_name: Mapped[str] = mapped_column(String(200))
    lines: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    applied_at: Mapped[datetime | None]
