"""« Annuler cette opération » : what nobody changed since goes back, what somebody changed stays and is listed."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson
from psycopg import sql
from psycopg.rows import dict_row
from sqlalchemy import select

from webapp.errors import DomainError
from webapp.extensions import db
from webapp.models.base import Base
from webapp.models.identity import User
from webapp.models.operations import ItemAction, ItemTarget, Operation, OperationKind, OperationState
from webapp.services.operations import plans, runs
from webapp.services.operations.handlers import Handler, handler_of
from webapp.services.operations.plans import PlannedItem
from webapp.services.operations.runs import Work
from webapp.services.operations.targets import TARGETS
from webapp.services.winleadplus.copying import driver_connection
from webapp.transactions import transaction

PAGE = 2000
CHANGED_SINCE = "Modifié depuis\u202f: la valeur d’aujourd’hui est conservée."
GONE = "N’existe plus."
ARCHIVED_SINCE = "Archivé depuis\u202f: rien à faire."
# Rows that come with their parent, and change its version when a person changes them.
PARTS = frozenset({"contract_lines", "contract_status_changes", "operation_items"})
GAINED = {
    "contracts": "un contrat",
    "subscriptions": "un abonnement",
    "charges": "un prélèvement",
    "documents": "un document",
    "tasks": "une tâche",
    "timeline_events": "un événement de l’historique",
    "bank_accounts": "un compte bancaire",
    "mandates": "un mandat",
    "messages": "un message",
    "invoices": "une facture",
}


class NotUndoableError(DomainError):
    """The operation changed nothing, has not ended, or ended too long ago."""


def plan_undo(operation_id: UUID, *, by: User, at: datetime) -> UUID:
    """Have the undoing of an operation planned, or join the plan that there is. Returns its id.

    Raises NotFoundError, ForbiddenError, NotUndoableError.
    """
    with transaction():
        operation = runs.lock(operation_id)
        handler_of(operation.kind).check_right(operation, by)
        standing = db.session.scalar(
            select(Operation.id).where(
                Operation.undoes_id == operation_id,
                Operation.state.not_in((OperationState.CANCELED, OperationState.FAILED)),
            )
        )
        if standing is not None:
            return standing
        if not operation.can_be_undone(at=at):
            raise NotUndoableError("Cette opération ne peut pas, ou plus, être annulée.")
        title = f"Annulation\u202f: {operation.title}"
        return runs.start(OperationKind.UNDO, title, by=by.id, at=at, undoes_id=operation_id)


def _check_right(operation: Operation, user: User) -> None:
    """Who may do a thing may undo it."""
    undone = runs.find(operation.undoes_id) if operation.undoes_id else None
    if undone is not None:
        handler_of(undone.kind).check_right(undone, user)


def _prepare(work: Work) -> None:
    undone = runs.find(work.operation.undoes_id) if work.operation.undoes_id else None
    if undone is None:
        raise DomainError("Cette opération n’annule rien.")
    if prepare_undo := handler_of(undone.kind).prepare_undo:
        prepare_undo(work, undone)
        return
    plans.begin(work)
    before = undone.position + 1
    while before > 1:
        after = max(before - 1 - PAGE, 0)
        with transaction():
            plans.add(work, list(_plan_page(work, undone, after, before - 1)))
        before = after + 1
    plans.end(work)


def _finish(work: Work) -> None:
    undone = runs.find(work.operation.undoes_id) if work.operation.undoes_id else None
    if undone and (finish_undo := handler_of(undone.kind).finish_undo):
        finish_undo(work, undone)


HANDLER = Handler(check_right=_check_right, prepare=_prepare, finish=_finish)


def _plan_page(work: Work, undone: Operation, after: int, upto: int) -> Iterator[PlannedItem]:
    """The items of ``undone`` behind ``after`` up to ``upto``: what was made last is taken back first."""
    rows = [row for target in TARGETS for row in _read(undone, target, after, upto)]
    created = {target: [row["row_id"] for row in rows if _is_created(row, target)] for target in TARGETS}
    gained = {target: _gained(undone, target, ids) for target, ids in created.items() if ids}
    for row in sorted(rows, key=lambda row: row["position"], reverse=True):
        target = ItemTarget(row["target"])
        if row["action"] == ItemAction.CREATE:
            yield _uncreate(work, row, target, gained[target].get(row["row_id"], []))
        else:
            yield from _unchange(row, target)


def _is_created(row: dict[str, Any], target: ItemTarget) -> bool:
    return bool(row["target"] == target and row["action"] == ItemAction.CREATE)


def _read(undone: Operation, target: ItemTarget, after: int, upto: int) -> Sequence[dict[str, Any]]:
    """What was applied to a table, beside its rows as they are (``present``) and as they were written."""
    statement = sql.SQL(
        """SELECT i.position, i.target, i.action, i.row_id, i.client_id, i.label, i.before, i.after,
          {version} AS seen, to_jsonb(t) AS present,
          to_jsonb(jsonb_populate_record(NULL::{table}, %(defaults)s::jsonb || i.after)) AS written
        FROM operation_items i
        LEFT JOIN {table} t ON t.organisation_id = i.organisation_id AND t.id = i.row_id
        WHERE i.organisation_id = %(organisation_id)s AND i.operation_id = %(id)s AND i.target = %(target)s
          AND i.position > %(after)s AND i.position <= %(upto)s
          AND i.action IN ('create', 'update') AND i.left_out IS NULL"""
    ).format(version=sql.SQL(TARGETS[target].version), table=sql.Identifier(TARGETS[target].table))
    parameters = {
        "organisation_id": undone.organisation_id,
        "id": undone.id,
        "target": target.value,
        "after": after,
        "upto": upto,
        "defaults": orjson.dumps(TARGETS[target].defaults).decode(),
    }
    return driver_connection().cursor(row_factory=dict_row).execute(statement, parameters).fetchall()


def _unchange(row: dict[str, Any], target: ItemTarget) -> Iterator[PlannedItem]:
    """Back to what it was, field by field; what somebody changed since is listed with both values."""
    before, present, written = row["before"], row["present"], row["written"]
    common = (target, row["label"], row["row_id"], row["client_id"])
    if present is None:
        yield _item(*common, ItemAction.NOTHING, reason=GONE)
        return
    untouched = [name for name in row["after"] if present[name] == written[name]]
    contested = [name for name in row["after"] if present[name] != written[name]]
    if untouched:
        yield _item(
            *common,
            ItemAction.UPDATE,
            seen=row["seen"],
            before={name: present[name] for name in untouched},
            after={name: before.get(name) for name in untouched},
        )
    if contested:
        yield _item(
            *common,
            ItemAction.NOTHING,
            reason=CHANGED_SINCE,
            before={name: before.get(name) for name in contested},
            after={name: present[name] for name in contested},
        )


def _uncreate(work: Work, row: dict[str, Any], target: ItemTarget, gained: list[str]) -> PlannedItem:
    """A client is archived, anything else removed; unless it has changed or gained something since."""
    present, written = row["present"], row["written"]
    common = (target, row["label"], row["row_id"], row["client_id"])
    if present is None:
        return _item(*common, ItemAction.NOTHING, reason=GONE)
    if present.get("archived_at"):
        return _item(*common, ItemAction.NOTHING, reason=ARCHIVED_SINCE)
    if any(present[name] != written[name] for name in TARGETS[target].columns):
        return _item(*common, ItemAction.NOTHING, reason="Modifié depuis\u202f: conservé.")
    if gained:
        return _item(*common, ItemAction.NOTHING, reason=f"A reçu depuis\u202f: {', '.join(gained)}. Conservé.")
    if target is ItemTarget.CLIENT:
        archived = {"archived_at": work.at().isoformat()}
        return _item(*common, ItemAction.UPDATE, seen=row["seen"], before={"archived_at": None}, after=archived)
    return _item(*common, ItemAction.REMOVE, seen=row["seen"], before=row["after"])


def _item(
    target: ItemTarget, label: str, row_id: UUID | None, client_id: UUID | None, action: ItemAction, **more: Any
) -> PlannedItem:
    return PlannedItem(target, action, label, row_id, client_id, **more)


def _gained(undone: Operation, target: ItemTarget, ids: Sequence[UUID]) -> dict[UUID, list[str]]:
    """What rows have gained that the operation itself did not give them, in words, by their ids."""
    gained: dict[UUID, list[str]] = {}
    parameters = {"organisation_id": undone.organisation_id, "id": undone.id, "ids": list(ids)}
    for table, column, has_id in _referring(TARGETS[target].table):
        own = sql.SQL("")
        if table == "timeline_events":
            own = sql.SQL("AND c.operation_id IS DISTINCT FROM %(id)s")
        elif has_id:
            own = sql.SQL(
                """AND NOT EXISTS (SELECT FROM operation_items i WHERE i.organisation_id = c.organisation_id
                  AND i.operation_id = %(id)s AND i.row_id = c.id AND i.action = 'create')"""
            )
        statement = sql.SQL(
            """SELECT DISTINCT c.{column} FROM {table} c
            WHERE c.organisation_id = %(organisation_id)s AND c.{column} = ANY(%(ids)s) {own}"""
        ).format(table=sql.Identifier(table), column=sql.Identifier(column), own=own)
        for (row_id,) in driver_connection().execute(statement, parameters):
            gained.setdefault(row_id, []).append(GAINED.get(table, "d’autres données"))
    return {row_id: list(dict.fromkeys(words)) for row_id, words in gained.items()}


@lru_cache
def _referring(table: str) -> list[tuple[str, str, bool]]:
    """Tables and columns that refer to the rows of ``table``, and whether they have ids of their own."""
    return [
        (each.name, constraint.column_keys[-1], "id" in each.columns)
        for each in Base.metadata.sorted_tables
        for constraint in each.foreign_key_constraints
        if constraint.referred_table.name == table and each.name not in PARTS
    ]
