"""Documents added to a client by hand. The row tells of the file; the file lies in the document store."""

from datetime import date, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Case, Index, String, case, literal, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.models.banking import Mandate
from webapp.models.base import Base, Identified, Timestamped, linked, tenant_key
from webapp.models.identity import User
from webapp.tenancy import OrganisationScoped


class Validity(StrEnum):
    """Where a document that expires stands on a day."""

    VALID = "valid"
    SOON = "soon"
    EXPIRED = "expired"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {"valid": "Valable", "soon": "Expire bientôt", "expired": "Expiré"}[self.value]

    @classmethod
    def on(cls, valid_until: date, day: date) -> "Validity":
        """Where what is valid until a day stands on another."""
        if valid_until < day:
            return cls.EXPIRED
        return cls.SOON if valid_until - EXPIRES_SOON <= day else cls.VALID


EXPIRES_SOON = timedelta(days=30)
"""For so long before its last day a document is one that expires soon."""


class Document(OrganisationScoped, Identified, Timestamped, Base):
    """A file. ``name`` is what people call it; ``stored_as`` is its random name in the store; ``size`` in bytes.

    With ``mandate_id`` it is the signed copy of a mandate, which shows an IBAN; with ``claim_id`` it belongs to a claim
    file (photo, invoice, report). Without ``user_id`` nobody here added it: an operator sent it.

    ``valid_until`` is its last day of validity, a day in Paris; empty, it does not expire. ``tell_on`` is the next day
    on which the timetable has something to say of that (``services/clients/validity.py``).
    """

    __tablename__ = "documents"
    __table_args__ = (
        Index("ix_documents_client", "organisation_id", "client_id", "created_at"),
        Index(
            "ix_documents_mandate",
            "organisation_id",
            "mandate_id",
            postgresql_where=text("mandate_id IS NOT NULL"),
        ),
        Index(
            "ix_documents_claim",
            "organisation_id",
            "claim_id",
            "created_at",
            postgresql_where=text("claim_id IS NOT NULL"),
        ),
        Index(
            "ix_documents_tell",
            "tell_on",
            "organisation_id",
            "id",
            postgresql_where=text("tell_on IS NOT NULL"),
        ),
        Index(
            "ix_documents_validity",
            "organisation_id",
            "valid_until",
            "id",
            postgresql_where=text("valid_until IS NOT NULL"),
        ),
        Index("ix_documents_size", "organisation_id", postgresql_include=["size"]),
        tenant_key("client_id", "clients"),
        tenant_key("user_id", "users", ondelete="SET NULL"),
        tenant_key("mandate_id", "mandates"),
        tenant_key("claim_id", "claims", ondelete="RESTRICT"),
    )

    client_id: Mapped[UUID]
    name: Mapped[str] = mapped_column(String(200))
    content_type: Mapped[str] = mapped_column(String(100))
    size: Mapped[int]
    stored_as: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[UUID | None]
    mandate_id: Mapped[UUID | None]
    claim_id: Mapped[UUID | None]
    valid_until: Mapped[date | None]
    tell_on: Mapped[date | None]

    user: Mapped[User | None] = relationship(
        primaryjoin=lambda: linked(User, Document.user_id),
        viewonly=True,
    )
    mandate: Mapped[Mandate | None] = relationship(
        primaryjoin=lambda: linked(Mandate, Document.mandate_id),
        viewonly=True,
    )

    def validity_on(self, day: date) -> Validity | None:
        """Where it stands on a day; None where it does not expire."""
        return None if self.valid_until is None else Validity.on(self.valid_until, day)

    @classmethod
    def validity_in_sql(cls, day: date) -> Case[str]:
        """The same in a statement, of documents that expire."""
        return case(
            (cls.valid_until < day, literal(Validity.EXPIRED.value)),
            (cls.valid_until <= day + EXPIRES_SOON, literal(Validity.SOON.value)),
            else_=literal(Validity.VALID.value),
        )
