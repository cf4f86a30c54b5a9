"""Operations: what changes many rows, or one row in a way that one may regret. Planned, applied, undone."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Index, LargeBinary, String, Text, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp import clock
from webapp.models.base import Base, linked, stored_enum, tenant_key
from webapp.models.identity import User
from webapp.models.sealing import Sealing
from webapp.tenancy import OrganisationScoped

UNDO_WITHIN = timedelta(days=30)
"""How long after its end an operation can be undone."""


class OperationKind(StrEnum):
    """What an operation does."""

    IMPORT = "import"
    BULK = "bulk"
    MERGE = "merge"
    UNDO = "undo"
    ERASURE = "erasure"

    @property
    def label(self) -> str:
        """The word on the screen."""
        return {
            "import": "Import",
            "bulk": "Action groupée",
            "merge": "Fusion",
            "undo": "Annulation",
            "erasure": "Effacement",
        }[self.value]


class OperationState(StrEnum):
    """Where an operation is; ``preparing`` while a worker writes its plan."""

    PREPARING = "preparing"
    PLANNED = "planned"
    RUNNING = "running"
    DONE = "done"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "preparing": "Plan en préparation",
            "planned": "À appliquer",
            "running": "En cours",
            "done": "Terminée",
            "partial": "Partielle",
            "failed": "Échouée",
            "canceled": "Abandonnée",
        }[self.value]

    @property
    def is_worked_on(self) -> bool:
        """Whether a worker has it, or is to take it."""
        return self in WORKED_ON

    @property
    def lets_plan_anew(self) -> bool:
        """Of what undoes: whether another undo may be planned, since this one changed nothing, or not all."""
        return self in PLANNED_ANEW


WORKED_ON = (OperationState.PREPARING, OperationState.RUNNING)
PLANNED_ANEW = (OperationState.CANCELED, OperationState.FAILED, OperationState.PARTIAL)

OPERATION_TRANSITIONS: Mapping[OperationState, frozenset[OperationState]] = {
    OperationState.PREPARING: frozenset({OperationState.PLANNED, OperationState.FAILED, OperationState.CANCELED}),
    OperationState.PLANNED: frozenset({OperationState.RUNNING, OperationState.CANCELED}),
    OperationState.RUNNING: frozenset(
        {OperationState.DONE, OperationState.PARTIAL, OperationState.FAILED, OperationState.CANCELED}
    ),
    OperationState.DONE: frozenset(),
    OperationState.PARTIAL: frozenset(),
    OperationState.FAILED: frozenset(),
    OperationState.CANCELED: frozenset(),
}


class ListedIn(NamedTuple):
    """The view of a list that rows were chosen in: its filters in words, empty where it had none, and its address."""

    words: str
    address: str


class Operation(Sealing, Base):
    """One operation, kept as history.

    ``settings`` is what its kind needs to plan and to apply it, without personal data. ``listed_in`` is the view of the
    list that a BULK came from: it may hold the words of a search, and is sealed. ``position`` is where whoever
    prepares or applies it has come. A worker owns it by ``fence`` and ``lease_until``, as a synchronisation (see
    SyncRun). An UNDO names what it undoes: ``undoes_id`` or, of a synchronisation, ``undoes_run_id``.
    The counts: what the plan holds by action, and ``applied`` and ``left_out`` of them.
    """

    __tablename__ = "operations"
    __table_args__ = (
        Index("ix_operations_created", "organisation_id", "created_at", "id"),
        Index("ix_operations_lease", "lease_until", postgresql_where=text("state IN ('preparing', 'running')")),
        # One that changed nothing, or not all, may be planned again; of the others there is one (PLANNED_ANEW).
        Index(
            "uq_operations_undoes",
            "organisation_id",
            "undoes_id",
            unique=True,
            postgresql_where=text("state NOT IN ('canceled', 'failed', 'partial')"),
        ),
        Index(
            "uq_operations_undoes_run",
            "organisation_id",
            "undoes_run_id",
            unique=True,
            postgresql_where=text("state NOT IN ('canceled', 'failed', 'partial')"),
        ),
        tenant_key("by_id", "users", ondelete="SET NULL"),
        tenant_key("undoes_id", "operations"),
        tenant_key("undoes_run_id", "sync_runs"),
    )

    kind: Mapped[OperationKind] = mapped_column(stored_enum(OperationKind))
    title: Mapped[str] = mapped_column(String(200))
    state: Mapped[OperationState] = mapped_column(stored_enum(OperationState))
    settings: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    listed_in: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    by_id: Mapped[UUID | None]
    undoes_id: Mapped[UUID | None]
    undoes_run_id: Mapped[UUID | None]
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    planned_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    stop_requested_at: Mapped[datetime | None]
    total: Mapped[int] = mapped_column(default=0, server_default="0")
    position: Mapped[int] = mapped_column(default=0, server_default="0")
    creates: Mapped[int] = mapped_column(default=0, server_default="0")
    updates: Mapped[int] = mapped_column(default=0, server_default="0")
    links: Mapped[int] = mapped_column(default=0, server_default="0")
    unchanged: Mapped[int] = mapped_column(default=0, server_default="0")
    errors: Mapped[int] = mapped_column(default=0, server_default="0")
    undecided: Mapped[int] = mapped_column(default=0, server_default="0")
    applied: Mapped[int] = mapped_column(default=0, server_default="0")
    left_out: Mapped[int] = mapped_column(default=0, server_default="0")
    error: Mapped[str | None] = mapped_column(Text)
    lease_until: Mapped[datetime | None]
    fence: Mapped[int] = mapped_column(default=0, server_default="0")
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")

    by: Mapped[User | None] = relationship(primaryjoin=lambda: linked(User, Operation.by_id), viewonly=True)

    def keep_listed_in(self, view: ListedIn) -> None:
        """Seal the view that it came from."""
        self.listed_in = self._sealed("listed_in", view._asdict())

    def listed_in_in_clear(self) -> ListedIn | None:
        """The view that it came from; None where it came from none, or where an erasure took it away."""
        opened = self._opened("listed_in", self.listed_in)
        return ListedIn(**opened) if opened else None

    @property
    def is_finished(self) -> bool:
        """Whether it has come to its end, good or bad."""
        return not OPERATION_TRANSITIONS[self.state]

    @property
    def changes_something(self) -> bool:
        """Whether there is anything in the plan to apply."""
        return bool(self.creates or self.updates or self.links)

    @property
    def reached(self) -> int:
        """The position up to which items were applied: 0 where it failed as a whole, as a merge does."""
        has_changed_nothing = self.state is OperationState.FAILED and not self.applied
        return 0 if has_changed_nothing else self.position

    def can_be_undone(self, *, at: datetime) -> bool:
        """Whether it has changed something, not long ago. What undoes another is not undone itself: plan anew."""
        return self._has_changed_something and not self.is_past_undoing(at=at)

    def is_past_undoing(self, *, at: datetime) -> bool:
        """Whether it could be undone, had it not ended so long ago."""
        return self._has_changed_something and self.finished_at is not None and at >= self.finished_at + UNDO_WITHIN

    @property
    def _has_changed_something(self) -> bool:
        return (
            self.state in (OperationState.DONE, OperationState.PARTIAL)
            and self.kind not in (OperationKind.UNDO, OperationKind.ERASURE)
            and self.applied > 0
            and self.finished_at is not None
        )


class ItemTarget(StrEnum):
    """What table an item is about; what others refer to comes first."""

    COMMERCIAL = "commercial"
    CLIENT = "client"
    CONTRACT = "contract"
    BANK_ACCOUNT = "bank_account"
    MANDATE = "mandate"
    TASK = "task"
    BELONGINGS = "belongings"

    @property
    def label(self) -> str:
        """The word on the screen."""
        return {
            "commercial": "Commercial",
            "belongings": "Ce qui s’y rattache",
            "client": "Client",
            "contract": "Contrat",
            "bank_account": "Compte bancaire",
            "mandate": "Mandat",
            "task": "Tâche",
        }[self.value]


class ItemAction(StrEnum):
    """What the plan does with a row; ``undecided`` waits for a person, ``error`` cannot be done."""

    CREATE = "create"
    UPDATE = "update"
    LINK = "link"
    NOTHING = "nothing"
    ERROR = "error"
    UNDECIDED = "undecided"
    REMOVE = "remove"
    ERASE = "erase"

    @property
    def label(self) -> str:
        """The words on the screen, of a plan."""
        return {
            "create": "À créer",
            "update": "À modifier",
            "link": "À rattacher",
            "nothing": "Inchangé",
            "error": "En erreur",
            "undecided": "À décider",
            "remove": "À retirer",
            "erase": "À effacer",
        }[self.value]

    @property
    def done_label(self) -> str:
        """The words on the screen once the item was applied."""
        done = {"create": "Créé", "update": "Modifié", "link": "Rattaché", "remove": "Retiré", "erase": "Effacé"}
        return done.get(self.value, self.label)


class OperationItem(OrganisationScoped, Base):
    """What an operation does with one row, of ours or of a file.

    ``row_id`` is our row; of a CREATE it is chosen with the plan, so that whoever applies twice creates once.
    ``seen`` is the row's version when the plan was made. ``before`` and ``after`` are columns and their values: of an
    UPDATE what changes, of a CREATE all that is written. What stands encrypted in its table stands sealed here,
    too, beside its mask; ``secrets`` is written by nobody. ``reason`` says why not, or why nothing. An item up to the
    operation's ``position`` was applied, unless ``left_out`` says why not.
    """

    __tablename__ = "operation_items"
    __table_args__ = (
        Index("ix_operation_items_action", "organisation_id", "operation_id", "action", "position"),
        Index(
            "ix_operation_items_left_out",
            "organisation_id",
            "operation_id",
            "position",
            postgresql_where=text("left_out IS NOT NULL"),
        ),
        Index("ix_operation_items_row", "organisation_id", "row_id", postgresql_where=text("row_id IS NOT NULL")),
    )

    # No foreign keys: they would be asked for each of many rows. Triggers see to it, once a statement (ADR 74).
    organisation_id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-10)

    operation_id: Mapped[UUID] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    target: Mapped[ItemTarget] = mapped_column(stored_enum(ItemTarget))
    row_id: Mapped[UUID | None]
    client_id: Mapped[UUID | None]
    line: Mapped[int | None]
    label: Mapped[str] = mapped_column(String(200), default="", server_default="")
    action: Mapped[ItemAction] = mapped_column(stored_enum(ItemAction))
    seen: Mapped[str | None] = mapped_column(String(64))
    before: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    after: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    secrets: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    reason: Mapped[str | None] = mapped_column(Text)
    candidate_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()), default=list, server_default="{}")
    left_out: Mapped[str | None] = mapped_column(Text)

    @staticmethod
    def place_of_secrets(organisation_id: UUID, operation_id: UUID, position: int) -> str:
        """Where the secrets of an item belong (associated data)."""
        return f"{organisation_id}|operation_items.secrets|{operation_id}/{position}"


OperationItem.__table__.add_is_dependent_on(Operation.__table__)  # type: ignore[attr-defined]  # as a key would say
