"""« Annuler cette opération » : what nobody changed since goes back, what somebody changed stays and is listed."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from psycopg import sql
from psycopg.rows import dict_row
from sqlalchemy import select

from webapp.errors import DomainError
from webapp.extensions import db
from webapp.models.identity import User
from webapp.models.operations import PLANNED_ANEW, UNDO_WITHIN, ItemAction, ItemTarget, Operation, OperationKind
from webapp.services.operations import gained, plans, runs, undoing_syncs
from webapp.services.operations.handlers import Handler, handler_of
from webapp.services.operations.plans import PlannedItem
from webapp.services.operations.runs import Work
from webapp.services.operations.taking_back import NotUndoableError, Row, unchange, uncreate
from webapp.services.operations.targets import TARGETS
from webapp.services.winleadplus.copying import driver_connection
from webapp.transactions import transaction

PAGE = 2000
PAST = f"elle est terminée depuis {UNDO_WITHIN.days} jours ou plus"


def plan_undo(operation_id: UUID, *, by: User, at: datetime) -> UUID:
    """Have the undoing of an operation planned, or join the plan that there is. Returns its id.

    Where an earlier one was stopped half way, or left something as it was, this is the rest.

    Raises NotFoundError, ForbiddenError, NotUndoableError.
    """
    with transaction():
        operation = runs.lock(operation_id)
        handler_of(operation.kind).check_right(operation, by)
        standing = db.session.scalar(
            select(Operation.id).where(Operation.undoes_id == operation_id, Operation.state.not_in(PLANNED_ANEW))
        )
        if standing is not None:
            return standing
        if operation.is_past_undoing(at=at):
            raise NotUndoableError(f"Cette opération ne s’annule plus\u202f: {PAST}.")
        if not operation.can_be_undone(at=at):
            raise NotUndoableError("Cette opération ne peut pas, ou plus, être annulée.")
        title = f"Annulation\u202f: {operation.title}"
        return runs.start(OperationKind.UNDO, title, by=by.id, at=at, undoes_id=operation_id)


def _check_right(operation: Operation, user: User) -> None:
    """Who may do a thing may undo it."""
    if operation.undoes_run_id:
        undoing_syncs.check_right(user)
    undone = runs.find(operation.undoes_id) if operation.undoes_id else None
    if undone is not None:
        handler_of(undone.kind).check_right(undone, user)


def _prepare(work: Work) -> None:
    if work.operation.undoes_run_id:
        undoing_syncs.prepare(work, work.operation.undoes_run_id)
        return
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
    received = {target: _gained(undone, target, ids) for target, ids in created.items() if ids}
    names = {target: [name for name in each.columns if name not in each.sealed] for target, each in TARGETS.items()}
    for found in sorted(rows, key=lambda row: row["position"], reverse=True):
        target, present, written = ItemTarget(found["target"]), found["present"], found["written"]
        row = Row(target, found["label"], found["row_id"], found["client_id"], found["seen"], present)
        if found["action"] == ItemAction.CREATE:
            yield uncreate(
                row,
                is_changed=any(present[name] != written[name] for name in names[target] if present),
                gained=received[target].get(found["row_id"], []),
                at=work.at(),
                image={name: value for name, value in found["after"].items() if name in names[target]},
            )
        else:
            yield from unchange(row, found["before"], {name: written[name] for name in found["after"]})


def _is_created(row: dict[str, Any], target: ItemTarget) -> bool:
    return bool(row["target"] == target and row["action"] == ItemAction.CREATE)


def _read(undone: Operation, target: ItemTarget, after: int, upto: int) -> Sequence[dict[str, Any]]:
    """What was applied to a table, beside its rows as they are (``present``) and as they were written."""
    statement = sql.SQL(
        """SELECT i.position, i.target, i.action, i.row_id, i.client_id, i.label, i.before, i.after,
          {version} AS seen, {image} AS present,
          to_jsonb(jsonb_populate_record(NULL::{table}, %(defaults)s::jsonb || i.after))
            || jsonb_build_object({beside}) AS written
        FROM operation_items i
        LEFT JOIN {table} t ON t.organisation_id = i.organisation_id AND t.id = i.row_id
        WHERE i.organisation_id = %(organisation_id)s AND i.operation_id = %(id)s AND i.target = %(target)s
          AND i.position > %(after)s AND i.position <= %(upto)s
          AND i.action IN ('create', 'update') AND i.left_out IS NULL"""
    ).format(
        version=sql.SQL(TARGETS[target].version),
        image=sql.SQL(TARGETS[target].image),
        table=sql.Identifier(TARGETS[target].table),
        beside=sql.SQL(", ").join(
            sql.SQL("{0}, i.after->{0}").format(sql.Literal(name)) for name in TARGETS[target].beside
        ),
    )
    parameters = {
        "organisation_id": undone.organisation_id,
        "id": undone.id,
        "target": target.value,
        "after": after,
        "upto": upto,
        "defaults": orjson.dumps(TARGETS[target].defaults).decode(),
    }
    return driver_connection().cursor(row_factory=dict_row).execute(statement, parameters).fetchall()


def _gained(undone: Operation, target: ItemTarget, ids: Sequence[UUID]) -> dict[UUID, list[str]]:
    """What rows have gained that the operation itself did not give them, in words, by their ids."""
    parameters = {"organisation_id": undone.organisation_id, "id": undone.id}
    return gained.find(TARGETS[target].table, ids, own=_own, parameters=parameters)


def _own(table: str, has_id: bool) -> sql.SQL:
    if table == "timeline_events":  # those of an undo that was stopped half way are no gain either
        return sql.SQL(
            """AND NOT EXISTS (SELECT FROM operations o WHERE o.organisation_id = c.organisation_id
              AND o.id = c.operation_id AND %(id)s IN (o.id, o.undoes_id))"""
        )
    if not has_id:
        return sql.SQL("")
    return sql.SQL(
        """AND NOT EXISTS (SELECT FROM operation_items i WHERE i.organisation_id = c.organisation_id
          AND i.operation_id = %(id)s AND i.row_id = c.id AND i.action = 'create')"""
    )
