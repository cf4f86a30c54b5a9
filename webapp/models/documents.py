"""Documents added to a client by hand. The row tells of the file; the file lies in the document store."""

from uuid import UUID

from sqlalchemy import Index, String, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.models.banking import Mandate
from webapp.models.base import Base, Identified, Timestamped, linked, tenant_key
from webapp.models.identity import User
from webapp.tenancy import OrganisationScoped


class Document(OrganisationScoped, Identified, Timestamped, Base):
    """A file. ``name`` is what people call it; ``stored_as`` is its random name in the store; ``size`` in bytes.

    With ``mandate_id`` it is the signed copy of a mandate, which shows an IBAN; with ``claim_id`` it belongs to a claim
    file (photo, invoice, report). Without ``user_id`` nobody here added it: an operator sent it.
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

    user: Mapped[User | None] = relationship(
        primaryjoin=lambda: linked(User, Document.user_id),
        viewonly=True,
    )
    mandate: Mapped[Mandate | None] = relationship(
        primaryjoin=lambda: linked(Mandate, Document.mandate_id),
        viewonly=True,
    )
