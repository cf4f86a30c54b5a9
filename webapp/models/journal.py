"""The journal of an organisation: who took data out, or away, and when. It holds nobody's data itself."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.models.base import Base, Identified, linked, stored_enum, tenant_key
from webapp.models.identity import User
from webapp.tenancy import OrganisationScoped


class JournalKind(StrEnum):
    """What an entry tells of."""

    EXPORT = "export"
    DISCLOSURE = "disclosure"
    ERASURE = "erasure"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {"export": "Export", "disclosure": "Remise de données", "erasure": "Effacement"}[self.value]


class JournalEntry(OrganisationScoped, Identified, Base):
    """An entry; only ever added to (a trigger sees to it). ``details`` are facts: pairs of a French
    name and a value, in order (an object of jsonb would lose it)."""

    __tablename__ = "journal_entries"
    __table_args__ = (
        Index("ix_journal_entries_at", "organisation_id", "at", "id"),
        tenant_key("user_id", "users", ondelete="SET NULL"),
    )

    at: Mapped[datetime]
    kind: Mapped[JournalKind] = mapped_column(stored_enum(JournalKind))
    user_id: Mapped[UUID | None]
    details: Mapped[list[list[Any]]] = mapped_column(JSONB)

    user: Mapped[User | None] = relationship(primaryjoin=lambda: linked(User, JournalEntry.user_id), viewonly=True)
