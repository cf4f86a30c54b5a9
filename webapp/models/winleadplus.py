"""The WinLeadPlus integration: its configuration, runs, items and mappings."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Index, LargeBinary, String, Text, UniqueConstraint, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp import clock
from webapp.models.base import Base, Identified, linked, stored_enum, tenant_key
from webapp.models.identity import User
from webapp.models.runs import Leased, RunStatus, RunTrigger
from webapp.tenancy import OrganisationScoped

DEFAULT_INTERVAL_MINUTES = 60


class WinLeadPlusConfig(OrganisationScoped, Base):
    """How an organisation takes part. ``endpoint`` empty means the default of the environment."""

    __tablename__ = "winleadplus_configs"

    enabled: Mapped[bool] = mapped_column(default=True, server_default=text("true"))
    endpoint: Mapped[str | None] = mapped_column(Text)
    interval_minutes: Mapped[int] = mapped_column(default=DEFAULT_INTERVAL_MINUTES, server_default="60")
    import_without_contracts: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    last_synced_at: Mapped[datetime | None]


class RunPhase(StrEnum):
    """What a running run is at."""

    WAITING = "waiting"
    FETCHING = "fetching"
    APPLYING = "applying"
    FINISHING = "finishing"
    DONE = "done"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "waiting": "En attente",
            "fetching": "Lecture de WinLeadPlus",
            "applying": "Enregistrement",
            "finishing": "Finalisation",
            "done": "Terminée",
        }[self.value]


class SyncRun(Leased, Base):
    """One synchronisation, kept as history. At most one runs per organisation (a unique index sees to it).

    ``user_token`` is the requester's access token, encrypted, emptied as soon as it has been used. ``absent`` is how
    many prospects vanished: items of kind ABSENT name them. Where they are too many to believe it, they are not flagged
    before an admin confirms it (``absence_confirmed_at``); a few are at once.
    """

    __tablename__ = "sync_runs"
    __table_args__ = (
        Index(
            "uq_sync_runs_running",
            "organisation_id",
            unique=True,
            postgresql_where=text("status = 'running'"),
        ),
        Index("ix_sync_runs_started", "organisation_id", "started_at", "id"),
        Index("ix_sync_runs_lease", "lease_until", postgresql_where=text("status = 'running'")),
        tenant_key("requested_by_id", "users", ondelete="SET NULL"),
    )

    trigger: Mapped[RunTrigger] = mapped_column(stored_enum(RunTrigger))
    dry_run: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    phase: Mapped[RunPhase] = mapped_column(stored_enum(RunPhase), default=RunPhase.WAITING)
    done: Mapped[int] = mapped_column(default=0, server_default="0")
    created: Mapped[int] = mapped_column(default=0, server_default="0")
    updated: Mapped[int] = mapped_column(default=0, server_default="0")
    skipped: Mapped[int] = mapped_column(default=0, server_default="0")
    errors: Mapped[int] = mapped_column(default=0, server_default="0")
    warnings: Mapped[int] = mapped_column(default=0, server_default="0")
    conflicts: Mapped[int] = mapped_column(default=0, server_default="0")
    absent: Mapped[int] = mapped_column(default=0, server_default="0")
    absence_confirmed_at: Mapped[datetime | None]
    stop_requested_at: Mapped[datetime | None]
    requested_by_id: Mapped[UUID | None]
    user_token: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)

    requested_by: Mapped[User | None] = relationship(
        primaryjoin=lambda: linked(User, SyncRun.requested_by_id),
        viewonly=True,
    )

    @property
    def is_finished(self) -> bool:
        """Whether the run has come to its end, good or bad."""
        return self.status is not RunStatus.RUNNING


class ItemKind(StrEnum):
    """What the run has to say about one prospect."""

    CREATED = "created"
    UPDATED = "updated"
    SKIPPED = "skipped"
    WARNING = "warning"
    ERROR = "error"
    CONFLICT = "conflict"
    ABSENT = "absent"


class SyncItem(OrganisationScoped, Identified, Base):
    """What a run did, or would do (dry run), with one prospect; one row per prospect, run and kind.

    ``before`` and ``after`` (encrypted JSON, field by field) are the image of what changed; ``payload`` (encrypted)
    is the raw prospect of an error or conflict, so that a person can end it without a new run.
    """

    __tablename__ = "sync_items"
    __table_args__ = (
        UniqueConstraint("organisation_id", "run_id", "external_id", "kind"),
        Index(
            "ix_sync_items_open",
            "organisation_id",
            "external_id",
            postgresql_where=text("resolved_at IS NULL AND kind IN ('error', 'conflict', 'warning')"),
        ),
        tenant_key("run_id", "sync_runs"),
        tenant_key("client_id", "clients", ondelete="SET NULL"),
        tenant_key("resolved_by_id", "users", ondelete="SET NULL"),
    )

    run_id: Mapped[UUID]
    external_id: Mapped[str] = mapped_column(String(64))
    kind: Mapped[ItemKind] = mapped_column(stored_enum(ItemKind))
    label: Mapped[str] = mapped_column(String(200), default="", server_default="")
    reason: Mapped[str | None] = mapped_column(Text)
    client_id: Mapped[UUID | None]
    candidate_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()), default=list, server_default="{}")
    before: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    after: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    payload: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    resolved_at: Mapped[datetime | None]
    resolved_by_id: Mapped[UUID | None]


class SyncMapping(OrganisationScoped, Base):
    """Which client a prospect became, and what it looked like upstream when last applied.

    ``hash`` (16 bytes) is that of the raw prospect and our mapping rules; empty where the prospect must be
    looked at again. ``fingerprint`` is that of its text as it came, which is quicker to tell. ``snapshot`` is the
    normalised prospect, encrypted.
    """

    __tablename__ = "sync_mappings"
    __table_args__ = (
        Index("ix_sync_mappings_client", "organisation_id", "client_id"),
        Index(
            "ix_sync_mappings_missing",
            "organisation_id",
            "client_id",
            postgresql_where=text("missing_since IS NOT NULL"),
        ),
        tenant_key("client_id", "clients"),
        tenant_key("run_id", "sync_runs", ondelete="SET NULL"),
    )

    external_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    client_id: Mapped[UUID]
    run_id: Mapped[UUID | None]
    hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    fingerprint: Mapped[bytes | None] = mapped_column(LargeBinary)
    snapshot: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    synced_at: Mapped[datetime] = mapped_column(default=clock.now)
    missing_since: Mapped[datetime | None]
