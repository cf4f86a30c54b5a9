"""« Annuler cette synchronisation » : what a run wrote goes back where nobody changed it since.

The mappings keep what WinLeadPlus said: it stays undone until WinLeadPlus says something new of that field.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from psycopg import sql
from psycopg.rows import dict_row
from sqlalchemy import select
from sqlalchemy.orm import undefer

from webapp.errors import DomainError, ForbiddenError, NotFoundError
from webapp.extensions import db
from webapp.french import moment
from webapp.models.commercials import Commercial
from webapp.models.identity import Role, User
from webapp.models.operations import UNDO_WITHIN, ItemAction, ItemTarget, Operation, OperationKind
from webapp.models.winleadplus import ItemKind, SyncItem, SyncRun
from webapp.services.operations import gained, plans, runs
from webapp.services.operations.plans import PlannedItem
from webapp.services.operations.runs import Work
from webapp.services.operations.taking_back import CHANGED_SINCE, NotUndoableError, Row, unchange, uncreate
from webapp.services.operations.targets import TARGETS
from webapp.services.winleadplus import field_changes
from webapp.services.winleadplus.copying import driver_connection
from webapp.services.winleadplus.plans import CLIENT_FIELDS, CONTRACT_FIELDS
from webapp.services.winleadplus.writing import DEFAULTS
from webapp.transactions import transaction

PAGE = 500
"""Items of a transaction: each is decrypted."""
BY_HAND = "Décidé à la main après la synchronisation\u202f: à défaire sur la fiche du client."
NO_SUCH_COMMERCIAL = (
    "Le commercial d’avant n’existe plus, ou plusieurs portent son nom\u202f: choisissez-le sur la fiche."
)
STAYS = {
    "identity_card": "La pièce d’identité ne revient pas en arrière\u202f: demandez-la de nouveau au client.",
    "iban": "Le compte bancaire ajouté reste\u202f: un mandat peut en dépendre. Archivez-le sur la fiche du client.",
    "bic": "Le BIC reste tel que WinLeadPlus l’a donné.",
    "mandate": "Le mandat ajouté reste\u202f: révoquez-le sur la fiche du client.",
    "lines": "Les lignes du contrat restent telles que WinLeadPlus les a données\u202f: corrigez-les sur le contrat.",
    "missing_since": "Qu’un contrat soit ou non dans WinLeadPlus est un constat, qui ne s’annule pas.",
}
"""What is not taken back, and why."""

Image = dict[str, Any]


def can_be_undone(run: SyncRun, *, at: datetime) -> bool:
    """Whether the run has written something, not long ago."""
    return (
        run.finished_at is not None
        and not run.dry_run
        and run.created + run.updated > 0
        and at < run.finished_at + UNDO_WITHIN
    )


def may_undo(user: User) -> bool:
    """A synchronisation changes everybody's clients."""
    return user.has_role(Role.MANAGER, Role.ADMIN)


def check_right(user: User) -> None:
    """Raises ForbiddenError."""
    if not may_undo(user):
        raise ForbiddenError("Annuler une synchronisation est réservé aux managers et aux administrateurs.")


def find_undo(run_id: UUID) -> Operation | None:
    """What undoes the run, or is planned to."""
    wanted = select(Operation).where(Operation.undoes_run_id == run_id).order_by(Operation.created_at.desc())
    return db.session.scalars(wanted.limit(1)).first()


def plan_undo(run_id: UUID, *, by: User, at: datetime) -> UUID:
    """Have the undoing of a run planned, or join the plan that there is. Returns the operation's id.

    Raises NotFoundError, ForbiddenError, NotUndoableError.
    """
    check_right(by)
    with transaction():
        run = db.session.scalar(select(SyncRun).where(SyncRun.id == run_id).with_for_update())
        if run is None:
            raise NotFoundError("Cette synchronisation n’existe pas ou plus.")
        standing = find_undo(run_id)
        if standing is not None and not standing.state.lets_plan_anew:
            return standing.id
        if not can_be_undone(run, at=at):
            raise NotUndoableError("Cette synchronisation ne peut pas, ou plus, être annulée.")
        title = f"Annulation\u202f: synchronisation du {moment(run.started_at)}"
        return runs.start(OperationKind.UNDO, title, by=by.id, at=at, undoes_run_id=run_id)


def prepare(work: Work, run_id: UUID) -> None:
    """Write the plan, from the items of the run."""
    if db.session.scalar(select(SyncRun.id).where(SyncRun.id == run_id)) is None:
        raise DomainError("Cette synchronisation n’existe plus.")
    plans.begin(work)
    after: UUID | None = None
    while page := _read(run_id, after):
        after = page[-1].id
        with transaction():
            plans.add(work, list(_plan_page(work, run_id, page)))
        db.session.expire_all()
    plans.end(work)


def _read(run_id: UUID, after: UUID | None) -> Sequence[SyncItem]:
    """What the run wrote, and what people ended of it since."""
    wrote = SyncItem.kind.in_((ItemKind.CREATED, ItemKind.UPDATED))
    wanted = (
        select(SyncItem)
        .where(SyncItem.run_id == run_id, SyncItem.client_id.is_not(None), wrote | SyncItem.resolved_by_id.is_not(None))
        .options(undefer(SyncItem.before), undefer(SyncItem.after))
        .order_by(SyncItem.id)
        .limit(PAGE)
    )
    return db.session.scalars(wanted.where(SyncItem.id > after) if after else wanted).all()


@dataclass
class _Part:
    """What an item says of one row: a client's, or the contract's of a reference."""

    item: SyncItem
    reference: str | None = None
    before: Image = field(default_factory=dict)
    after: Image = field(default_factory=dict)
    stays: list[str] = field(default_factory=list)

    @property
    def label(self) -> str:
        return self.reference or self.item.label


def _plan_page(work: Work, run_id: UUID, page: Sequence[SyncItem]) -> Iterator[PlannedItem]:
    created = [item for item in page if item.kind is ItemKind.CREATED]
    parts = [part for item in page if item.kind is ItemKind.UPDATED for part in _parts_of(item)]
    yield from _uncreate_clients(work, run_id, created)
    yield from _take_back_clients([part for part in parts if part.reference is None])
    yield from _take_back_contracts(work, run_id, [part for part in parts if part.reference is not None])
    for item in page:
        if item.kind not in (ItemKind.CREATED, ItemKind.UPDATED):
            yield _client_row(item, None, None).item(ItemAction.NOTHING, reason=BY_HAND)


def _parts_of(item: SyncItem) -> list[_Part]:
    """The item's image, row by row, by the columns of our tables (see field_changes for its keys)."""
    before, after = field_changes.images_of(item)
    parts: dict[str | None, _Part] = {}
    for key in after:
        reference, column = None, key.partition("#")[0]
        if key.startswith("contract."):
            reference, _, column = key.removeprefix("contract.").rpartition(".")
        part = parts.setdefault(reference, _Part(item, reference))
        if column in STAYS:
            part.stays.append(column)
        elif column == "commercial" or column in (CONTRACT_FIELDS if reference else CLIENT_FIELDS):
            defaults = {} if reference else DEFAULTS
            part.before[column], part.after[column] = (
                defaults.get(column) if image.get(key) is None else image[key] for image in (before, after)
            )
    return list(parts.values())


def _client_row(item: SyncItem, seen: str | None, present: Image | None) -> Row:
    return Row(ItemTarget.CLIENT, item.label, item.client_id, item.client_id, seen, present)


# ---- Clients that the run created


def _uncreate_clients(work: Work, run_id: UUID, items: Sequence[SyncItem]) -> Iterator[PlannedItem]:
    if not items:
        return
    standing = _standing(ItemTarget.CLIENT, [_Part(item) for item in items])
    received = _gained(work, run_id, "clients", [item.client_id for item in items if item.client_id])
    for number, item in enumerate(items):
        found = standing[number]
        present = found["present"]
        yield uncreate(
            _client_row(item, found["seen"], present),
            is_changed=bool(present) and present["version"] > 1,
            gained=received.get(item.client_id, []) if item.client_id else [],
            at=work.at(),
            image={},
        )


def _gained(work: Work, run_id: UUID, table: str, ids: Sequence[UUID]) -> dict[UUID, list[str]]:
    parameters = {"organisation_id": work.operation.organisation_id, "run_id": run_id}
    return gained.find(table, ids, own=_own, parameters=parameters)


def _own(table: str, _has_id: bool) -> sql.SQL | None:
    """What the run gave a client with its creation bears the same instant."""
    if table in ("sync_mappings", "sync_items"):
        return None
    if table == "timeline_events":  # those of an undo that was stopped half way are no gain either
        return sql.SQL(
            """AND c.run_id IS DISTINCT FROM %(run_id)s AND NOT EXISTS (
              SELECT FROM operations o WHERE o.organisation_id = c.organisation_id
                AND o.id = c.operation_id AND o.undoes_run_id = %(run_id)s)"""
        )
    if table in ("contracts", "bank_accounts", "mandates"):
        moved = "AND c.changed_at = p.created_at" if table == "contracts" else ""
        return sql.SQL(
            f"""AND NOT EXISTS (SELECT FROM clients p WHERE p.organisation_id = c.organisation_id
              AND p.id = c.client_id AND p.created_at = c.created_at {moved})"""
        )
    return sql.SQL("")


# ---- Clients that the run changed


def _take_back_clients(parts: Sequence[_Part]) -> Iterator[PlannedItem]:
    standing = _standing(ItemTarget.CLIENT, parts)
    commercials = _Commercials.among(parts, standing)
    for number, part in enumerate(parts):
        found = standing[number]
        row = _client_row(part.item, found["seen"], found["present"])
        before, written = (
            dict(part.before),
            {name: found["written"][name] for name in part.after if name != "commercial"},
        )
        refused: PlannedItem | None = None
        if "commercial" in part.after and row.present is not None:
            refused = commercials.take_back(row, part, before, written)
        yield from unchange(row, before, written) if written or row.present is None else ()
        if refused:
            yield refused
        yield from _staying(row, part)


@dataclass(frozen=True)
class _Commercials:
    """Who the commercials of a page are: items name them by their full names."""

    by_id: dict[str, str]
    by_name: dict[str, list[str]]

    @classmethod
    def among(cls, parts: Sequence[_Part], standing: dict[int, Image]) -> "_Commercials":
        if not any("commercial" in part.after for part in parts):
            return cls({}, {})
        found = cls({}, {})
        for each in db.session.scalars(select(Commercial)):
            found.by_id[str(each.id)] = each.full_name
            found.by_name.setdefault(each.full_name, []).append(str(each.id))
        return found

    def take_back(self, row: Row, part: _Part, before: Image, written: Image) -> PlannedItem | None:
        """Add the commercial's columns to ``before`` and ``written``; or say why it stays."""
        assert row.present is not None  # noqa: S101  for mypy: its caller saw to it
        wanted = before.pop("commercial")
        now = {name: row.present[name] for name in ("commercial_id", "commercial_external_id")}
        name = self.by_id.get(now["commercial_id"]) if now["commercial_id"] else now["commercial_external_id"]
        candidates = self.by_name.get(wanted, []) if wanted else [None]
        image = {"commercial_id": candidates[0]} if len(candidates) == 1 else {}
        if name == wanted:
            return None
        if name != part.after["commercial"]:
            return row.item(
                ItemAction.NOTHING, reason=CHANGED_SINCE, before=image, after={"commercial_id": now["commercial_id"]}
            )
        if not image:
            return row.item(ItemAction.NOTHING, reason=NO_SUCH_COMMERCIAL)
        before |= {**image, "commercial_external_id": None}
        written |= now
        return None


# ---- Contracts


def _take_back_contracts(work: Work, run_id: UUID, parts: Sequence[_Part]) -> Iterator[PlannedItem]:
    standing = _standing(ItemTarget.CONTRACT, parts)
    created = [found["id"] for found in standing.values() if found["is_created"]]
    received = _gained(work, run_id, "contracts", created) if created else {}
    for number, part in enumerate(parts):
        found = standing[number]
        present = found["present"]
        row = Row(ItemTarget.CONTRACT, part.label, found["id"], part.item.client_id, found["seen"], present)
        if found["is_created"]:
            yield uncreate(
                row,
                is_changed=present["changed_at"] != present["created_at"],
                gained=received.get(found["id"], []),
                at=work.at(),
                image={name: present[name] for name in part.after},
            )
            continue
        if part.after:
            yield from unchange(row, part.before, {name: found["written"][name] for name in part.after})
        yield from _staying(row, part)


def _staying(row: Row, part: _Part) -> Iterator[PlannedItem]:
    for column in dict.fromkeys(part.stays):
        yield row.item(ItemAction.NOTHING, reason=STAYS[column])


def _standing(target: ItemTarget, parts: Sequence[_Part]) -> dict[int, Image]:
    """By the place of its part: each row's id and version, as it is (``present``), and as it was ``written``.

    ``is_created`` tells a contract that the run created: it bears the instant of its item.
    """
    if not parts:
        return {}
    of_contract = "AND t.client_id = w.client_id AND t.reference = w.reference"
    statement = sql.SQL(
        """SELECT w.number, t.id, {version} AS seen, to_jsonb(t) AS present,
          t.id IS NOT NULL AND t.created_at = w.written_at AS is_created,
          to_jsonb(jsonb_populate_record(NULL::{table}, w.after)) AS written
        FROM jsonb_to_recordset(%(wanted)s::jsonb)
          AS w(number int, client_id uuid, reference text, written_at timestamptz, after jsonb)
        LEFT JOIN {table} t ON t.organisation_id = %(organisation_id)s {same}"""
    ).format(
        version=sql.SQL(TARGETS[target].version),
        table=sql.Identifier(TARGETS[target].table),
        same=sql.SQL(of_contract if target is ItemTarget.CONTRACT else "AND t.id = w.client_id"),
    )
    wanted = [
        {
            "number": number,
            "client_id": part.item.client_id,
            "reference": part.reference,
            "written_at": part.item.created_at,
            "after": {name: value for name, value in part.after.items() if name != "commercial"},
        }
        for number, part in enumerate(parts)
    ]
    parameters = {"organisation_id": parts[0].item.organisation_id, "wanted": orjson.dumps(wanted).decode()}
    rows = driver_connection().cursor(row_factory=dict_row).execute(statement, parameters).fetchall()
    return {row["number"]: row for row in rows}
