"""Bank files: SEPA debits that a person hands to the bank."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Index, LargeBinary, Numeric, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from webapp.models.base import Base, Identified, Numbered, Timestamped, stored_enum, tenant_key
from webapp.tenancy import OrganisationScoped


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
