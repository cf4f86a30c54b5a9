"""Operators of home repair: the phone desks and tools outside that ask about covers, and tell us of claims."""

from datetime import datetime
from uuid import UUID

import orjson
from sqlalchemy import Index, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column

from webapp import crypto
from webapp.models.base import Base, Timestamped, tenant_key
from webapp.models.sealing import Sealing


class CoverOperator(Sealing, Timestamped, Base):
    """An operator (opérateur), the key by which it asks, and how it and we tell each other of claims.

    Of the key only ``key_hash`` (SHA-256) is kept, and ``key_start``, its first characters, by which people tell keys
    apart. Once ``revoked_at``, it opens nothing, and nothing that it tells is taken. The key before it
    (``old_key_hash``, ``old_key_start``) opens until ``old_key_until``, while it is being changed.

    ``webhook_secrets`` sign what it tells us, ``delivery_secrets`` what we tell it at ``delivery_url``: sealed, the
    newest first, several while one is being changed. One operator of an organisation has such an address: the files
    that colleagues declare go there.
    """

    __tablename__ = "cover_operators"
    __table_args__ = (
        # Whoever asks says no organisation: the key alone finds it, and whoever tells its own id.
        Index("uq_cover_operators_key_hash", "key_hash", unique=True),
        Index(
            "uq_cover_operators_old_key_hash",
            "old_key_hash",
            unique=True,
            postgresql_where=text("old_key_hash IS NOT NULL"),
        ),
        Index("ix_cover_operators_id", "id"),
        Index(
            "uq_cover_operators_delivered",
            "organisation_id",
            unique=True,
            postgresql_where=text("delivery_url IS NOT NULL AND revoked_at IS NULL"),
        ),
        tenant_key("created_by_id", "users", ondelete="SET NULL"),
    )

    name: Mapped[str] = mapped_column(String(100))
    key_hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    key_start: Mapped[str] = mapped_column(String(12))
    old_key_hash: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    old_key_start: Mapped[str | None] = mapped_column(String(12))
    old_key_until: Mapped[datetime | None]
    created_by_id: Mapped[UUID | None]
    revoked_at: Mapped[datetime | None]
    last_asked_at: Mapped[datetime | None]
    webhook_secrets: Mapped[bytes | None] = mapped_column(LargeBinary)
    delivery_secrets: Mapped[bytes | None] = mapped_column(LargeBinary)
    secrets_changed_at: Mapped[datetime | None]
    delivery_url: Mapped[str | None] = mapped_column(String(500))

    def keep_secrets(self, column: str, secrets: list[str]) -> None:
        """Seal secrets into ``column``, the newest first; the caller sets ``secrets_changed_at``."""
        setattr(self, column, crypto.seal(orjson.dumps(secrets).decode(), place=self.place_of(column)))

    def secrets_in_clear(self, column: str) -> list[str]:
        """The secrets of ``column``, the newest first."""
        sealed: bytes | None = getattr(self, column)
        opened: list[str] = orjson.loads(crypto.unseal(sealed, place=self.place_of(column))) if sealed else []
        return opened
