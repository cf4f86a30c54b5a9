"""Consents: what a client has agreed to be contacted for, in which words, and how that can be shown."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.models.base import Base, Identified, Timestamped, linked, stored_enum, tenant_key
from webapp.models.documents import Document
from webapp.models.identity import User
from webapp.tenancy import OrganisationScoped


class ConsentPurpose(StrEnum):
    """What a client may be contacted for, beyond what a contract requires."""

    PROSPECTION_PHONE = "prospection_phone"
    PROSPECTION_EMAIL = "prospection_email"
    PROSPECTION_SMS = "prospection_sms"
    SATISFACTION = "satisfaction"
    PARTNERS = "partners"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "prospection_phone": "Prospection par téléphone",
            "prospection_email": "Prospection par e-mail",
            "prospection_sms": "Prospection par SMS",
            "satisfaction": "Enquêtes de satisfaction",
            "partners": "Transmission aux partenaires",
        }[self.value]


class ConsentState(StrEnum):
    """What a client said: yes; no more, after a yes; or no without ever a yes."""

    GIVEN = "given"
    WITHDRAWN = "withdrawn"
    REFUSED = "refused"

    @property
    def label(self) -> str:
        """The word on the screen."""
        return {"given": "Donné", "withdrawn": "Retiré", "refused": "Refusé"}[self.value]


class ConsentChannel(StrEnum):
    """Where it was said."""

    PAPER = "paper"
    PHONE = "phone"
    WEB = "web"
    SHOP = "shop"
    IMPORT = "import"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "paper": "Papier ou courrier",
            "phone": "Téléphone",
            "web": "Internet ou e-mail",
            "shop": "En boutique",
            "import": "Import",
        }[self.value]


class ConsentWording(OrganisationScoped, Identified, Timestamped, Base):
    """A version of the text that clients are shown, or read out, for a purpose. Only ever added to.

    What holds at an instant is the latest that was active from then or before, of equal ones the higher version.
    ``user_id`` is empty for a text that came with the product.
    """

    __tablename__ = "consent_wordings"
    __table_args__ = (
        UniqueConstraint("organisation_id", "purpose", "version"),
        CheckConstraint("version > 0", name="version_from_one"),
        tenant_key("user_id", "users", ondelete="SET NULL"),
    )

    purpose: Mapped[ConsentPurpose] = mapped_column(stored_enum(ConsentPurpose))
    version: Mapped[int]
    text: Mapped[str] = mapped_column(Text)
    active_from: Mapped[datetime]
    user_id: Mapped[UUID | None]

    user: Mapped[User | None] = relationship(primaryjoin=lambda: linked(User, ConsentWording.user_id), viewonly=True)


class Consent(OrganisationScoped, Identified, Timestamped, Base):
    """What a client said about a purpose at an instant. Only ever added to; the latest of a purpose is its state.

    ``at`` is when the client said it, ``created_at`` when it was noted. ``wording_id`` is the text that the client
    agreed to, ``document_id`` and ``note`` show that it did. ``user_id`` is who noted it, empty for the client itself.
    """

    __tablename__ = "consents"
    __table_args__ = (
        CheckConstraint("wording_id IS NULL OR state = 'given'", name="wording_of_given"),
        Index("ix_consents_latest", "organisation_id", "client_id", "purpose", "at", "id"),
        Index("ix_consents_wording", "organisation_id", "wording_id", postgresql_where=text("wording_id IS NOT NULL")),
        Index(
            "ix_consents_document", "organisation_id", "document_id", postgresql_where=text("document_id IS NOT NULL")
        ),
        tenant_key("client_id", "clients"),
        # Checked once a client and all that belongs to it have gone.
        tenant_key("wording_id", "consent_wordings", ondelete="NO ACTION"),
        tenant_key("document_id", "documents", ondelete="NO ACTION"),
        tenant_key("user_id", "users", ondelete="SET NULL"),
    )

    client_id: Mapped[UUID]
    purpose: Mapped[ConsentPurpose] = mapped_column(stored_enum(ConsentPurpose))
    state: Mapped[ConsentState] = mapped_column(stored_enum(ConsentState))
    at: Mapped[datetime]
    channel: Mapped[ConsentChannel] = mapped_column(stored_enum(ConsentChannel))
    wording_id: Mapped[UUID | None]
    document_id: Mapped[UUID | None]
    note: Mapped[str | None] = mapped_column(String(500))
    user_id: Mapped[UUID | None]

    wording: Mapped[ConsentWording | None] = relationship(
        primaryjoin=lambda: linked(ConsentWording, Consent.wording_id), viewonly=True
    )
    document: Mapped[Document | None] = relationship(
        primaryjoin=lambda: linked(Document, Consent.document_id), viewonly=True
    )
    user: Mapped[User | None] = relationship(primaryjoin=lambda: linked(User, Consent.user_id), viewonly=True)


class PresentConsent(OrganisationScoped, Base):
    """The state of a purpose, as its latest consent says. A trigger on ``consents`` keeps it, and nobody else may."""

    __tablename__ = "present_consents"
    __table_args__ = (
        Index("ix_present_consents_state", "organisation_id", "purpose", "state", "client_id"),
        tenant_key("client_id", "clients"),
    )

    client_id: Mapped[UUID] = mapped_column(primary_key=True)
    purpose: Mapped[ConsentPurpose] = mapped_column(stored_enum(ConsentPurpose), primary_key=True)
    state: Mapped[ConsentState] = mapped_column(stored_enum(ConsentState))
    at: Mapped[datetime]
    consent_id: Mapped[UUID]
