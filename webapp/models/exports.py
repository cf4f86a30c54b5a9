"""Exports that take long: asked for, written by a worker, kept some days for whoever asked."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Index, LargeBinary, String, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from webapp.models.base import Base, Timestamped, stored_enum, tenant_key
from webapp.models.runs import RunStatus
from webapp.models.sealing import Sealing

KEPT = timedelta(days=7)
"""How long a file is kept."""


class ExportFormat(StrEnum):
    """What kind of file an export is."""

    CSV = "csv"
    XLSX = "xlsx"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {"csv": "CSV", "xlsx": "Excel"}[self.value]

    @property
    def mimetype(self) -> str:
        """What browsers are told."""
        return {
            "csv": "text/csv",
            "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        }[self.value]


class Export(Sealing, Timestamped, Base):
    """One export. Whoever writes it holds a lease and a ``fence``; ``written`` of ``total`` rows are in the file.

    ``list_key`` names the list. ``asked`` is what was asked of it, as JSON: it may hold the words of a search, and is
    sealed. So is ``file_key``, the key that the file's bytes are encrypted with. ``reason`` is why an admin wants IBANs
    in clear.
    """

    __tablename__ = "exports"
    __table_args__ = (
        Index("ix_exports_user", "organisation_id", "user_id", "created_at"),
        Index("ix_exports_running", "lease_until", postgresql_where=text("status = 'running'")),
        tenant_key("user_id", "users"),
    )

    user_id: Mapped[UUID]
    list_key: Mapped[str] = mapped_column(String(40))
    format: Mapped[ExportFormat] = mapped_column(stored_enum(ExportFormat))
    columns: Mapped[list[str]] = mapped_column(ARRAY(String(60)))
    asked: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    reason: Mapped[str | None] = mapped_column(Text)
    status: Mapped[RunStatus] = mapped_column(stored_enum(RunStatus), default=RunStatus.RUNNING)
    total: Mapped[int | None]
    written: Mapped[int] = mapped_column(default=0, server_default="0")
    error: Mapped[str | None] = mapped_column(Text)
    ended_at: Mapped[datetime | None]
    lease_until: Mapped[datetime | None]
    fence: Mapped[int] = mapped_column(default=0, server_default="0")
    file_key: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)

    @property
    def file_name(self) -> str:
        """What the store calls the file of the present owner; an earlier one's has another name."""
        return self.name_of_file(self.fence)

    def name_of_file(self, fence: int) -> str:
        """What the store calls the file of the owner with that fence."""
        return f"{self.id.hex}.{fence}"

    @property
    def kept_until(self) -> datetime:
        """When it goes."""
        return self.created_at + KEPT

    @property
    def is_finished(self) -> bool:
        """Whether it has ended, well or not."""
        return self.status is not RunStatus.RUNNING

    def keep_asked(self, view: str, filters: Sequence[str]) -> None:
        """Seal the view, and the names of its filters."""
        self.asked = self._sealed("asked", {"view": view, "filters": " ".join(filters)})

    def asked_in_clear(self) -> tuple[str, list[str]]:
        """The view, and the names of its filters."""
        asked = self._opened("asked", self.asked)
        return asked["view"], asked["filters"].split()

    def keep_file_key(self, key: bytes) -> None:
        """Seal the key of the file."""
        self.file_key = self._sealed("file_key", {"key": key.hex()})

    def file_key_in_clear(self) -> bytes:
        """The key of the file. Raises KeyError where there is none."""
        return bytes.fromhex(self._opened("file_key", self.file_key)["key"])
