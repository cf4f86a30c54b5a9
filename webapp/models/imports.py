"""Imports: a file that a person gave, how it is read, and what its columns are. What follows is an operation."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Index, Integer, LargeBinary, String, Text, UniqueConstraint, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.models.base import Base, Identified, Timestamped, linked, stored_enum, tenant_key
from webapp.models.identity import User
from webapp.models.operations import Operation
from webapp.models.sealing import Sealing
from webapp.tenancy import OrganisationScoped

KEPT_FOR = timedelta(days=30)
"""How long a file is kept."""


class ImportState(StrEnum):
    """Where an import is, until an operation takes it on."""

    READING = "reading"
    READ = "read"
    UNREADABLE = "unreadable"


class Policy(StrEnum):
    """What happens where a client or contract exists and the file says something else."""

    FILL = "remplir"
    FILE = "fichier"
    OURS = "crm"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "remplir": "Remplir seulement ce qui est vide",
            "fichier": "Le fichier l’emporte",
            "crm": "Le CRM l’emporte\u202f: ne rien modifier de ce qui existe",
        }[self.value]


class Import(Sealing, Timestamped, Base):
    """A file, kept encrypted under ``stored_as`` until it is 30 days old.

    ``file_key``, with which it is encrypted, is sealed. ``options`` is how a person wants it read (encoding, separator,
    sheet, header); ``reading`` how it was read, with headings and the first rows, sealed. Each asking for a reading
    raises ``readings``: what an earlier one finds out is not kept. ``columns`` is what each column is, ``rules`` what
    else was chosen, ``decisions`` which client a line is.
    ``operation_id`` is the plan that was made last.
    """

    __tablename__ = "imports"
    __table_args__ = (
        Index("ix_imports_created", "organisation_id", "created_at", "id"),
        Index("ix_imports_reading", "asked_at", postgresql_where=text("state = 'reading'")),
        Index("ix_imports_stored", "created_at", postgresql_where=text("stored_as IS NOT NULL")),
        tenant_key("user_id", "users", ondelete="SET NULL"),
        tenant_key("operation_id", "operations", ondelete="SET NULL"),
    )

    user_id: Mapped[UUID | None]
    file_name: Mapped[str] = mapped_column(String(200))
    size: Mapped[int]
    stored_as: Mapped[str | None] = mapped_column(String(64))
    file_key: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    state: Mapped[ImportState] = mapped_column(stored_enum(ImportState))
    asked_at: Mapped[datetime]
    readings: Mapped[int] = mapped_column(default=1, server_default="1")
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    options: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    reading: Mapped[bytes | None] = mapped_column(LargeBinary)
    error: Mapped[str | None] = mapped_column(Text)
    error_field: Mapped[str | None] = mapped_column(String(32))
    columns: Mapped[list[str | None]] = mapped_column(ARRAY(String(64)), default=list, server_default="{}")
    rules: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    decisions: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    operation_id: Mapped[UUID | None]

    user: Mapped[User | None] = relationship(primaryjoin=lambda: linked(User, Import.user_id), viewonly=True)
    operation: Mapped[Operation | None] = relationship(
        primaryjoin=lambda: linked(Operation, Import.operation_id), viewonly=True
    )

    def keep_file_key(self, key: bytes) -> None:
        """Seal the key of the file."""
        self.file_key = self._sealed("file_key", {"key": key.hex()})

    def file_key_in_clear(self) -> bytes:
        """The key of the file. Raises KeyError where there is none."""
        return bytes.fromhex(self._opened("file_key", self.file_key)["key"])


class ImportMapping(OrganisationScoped, Identified, Timestamped, Base):
    """What the columns of files of one shape were, the last time.

    ``shape`` is a digest of their headings, whose order in a file does not matter: ``columns`` follow the alphabet.
    """

    __tablename__ = "import_mappings"
    __table_args__ = (UniqueConstraint("organisation_id", "shape"),)

    shape: Mapped[str] = mapped_column(String(64))
    columns: Mapped[list[str | None]] = mapped_column(ARRAY(String(64)))
    rules: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")


class ImportRow(OrganisationScoped, Base):
    """A line of a file while its plan is made, so that it can be compared by sets; gone once the plan is there.

    Not logged: a plan that a crash interrupts is begun anew. ``client``, ``contract``, ``account`` and ``mandate`` hold
    what the line says of each, in the form of the columns; an IBAN masked, and sealed for the account that it may
    become in ``secrets``. ``leader`` is the first line about the same client, ``client_id`` who that is. ``fault`` says
    why the line is refused.
    """

    __tablename__ = "import_rows"
    # Half of each page stays free for the second version of its lines, which then needs no entry in the index (ADR 74).
    __table_args__ = ({"prefixes": ["UNLOGGED"], "postgresql_with": {"fillfactor": 50}},)

    # No foreign key: it would be asked for each line, which costs more than all else of taking one in (ADR 74).
    organisation_id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-10)

    operation_id: Mapped[UUID] = mapped_column(primary_key=True)
    line: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    leader: Mapped[int]
    label: Mapped[str] = mapped_column(String(200), default="", server_default="")
    wanted_id: Mapped[UUID | None]
    email: Mapped[str | None] = mapped_column(String(320))
    phone: Mapped[str | None] = mapped_column(String(20))
    reference: Mapped[str | None] = mapped_column(String(100))
    new_id: Mapped[UUID]
    client_id: Mapped[UUID | None]
    is_new: Mapped[bool] = mapped_column(default=True, server_default=text("true"))
    is_undecided: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    candidate_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()), default=list, server_default="{}")
    client: Mapped[dict[str, Any]] = mapped_column(JSONB)
    contract: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    account: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    account_indexes: Mapped[list[bytes] | None] = mapped_column(ARRAY(LargeBinary))
    account_id: Mapped[UUID | None]
    mandate_id: Mapped[UUID | None]
    contract_id: Mapped[UUID | None]
    mandate: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    secrets: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    fault: Mapped[str | None] = mapped_column(Text)
