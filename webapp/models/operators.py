"""Operators of home repair: the phone desks and tools outside that ask about covers."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from webapp.models.base import Base, Identified, Timestamped, tenant_key
from webapp.tenancy import OrganisationScoped


class CoverOperator(OrganisationScoped, Identified, Timestamped, Base):
    """An operator (opérateur), and the key by which it asks.

    Of the key only ``key_hash`` (SHA-256) is kept, and ``key_start``, its first characters, by which people tell keys
    apart. Once ``revoked_at``, it opens nothing.
    """

    __tablename__ = "cover_operators"
    __table_args__ = (
        # Whoever asks says no organisation: the key alone finds it.
        Index("uq_cover_operators_key_hash", "key_hash", unique=True),
        tenant_key("created_by_id", "users", ondelete="SET NULL"),
    )

    name: Mapped[str] = mapped_column(String(100))
    key_hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    key_start: Mapped[str] = mapped_column(String(12))
    created_by_id: Mapped[UUID | None]
    revoked_at: Mapped[datetime | None]
    last_asked_at: Mapped[datetime | None]
