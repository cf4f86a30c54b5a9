"""Writing a plan: items in the order in which they will be applied, and what they come to."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import delete, func, select

from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.identity import User
from webapp.models.operations import ItemAction, ItemTarget, Operation, OperationItem, OperationKind, OperationState
from webapp.services.operations.runs import Work
from webapp.services.winleadplus.copying import copy_rows
from webapp.transactions import transaction

COLUMNS = (
    "organisation_id", "operation_id", "position", "target", "row_id", "client_id", "line", "label", "action", "seen",
    "before", "after", "reason", "candidate_ids",
)  # fmt: skip
_COUNTED = {
    ItemAction.CREATE: "creates",
    ItemAction.UPDATE: "updates",
    ItemAction.LINK: "links",
    ItemAction.NOTHING: "unchanged",
    ItemAction.ERROR: "errors",
    ItemAction.UNDECIDED: "undecided",
    ItemAction.REMOVE: "updates",
    ItemAction.ERASE: "updates",
}


class PlannedItem(NamedTuple):
    """What is to be done with one row: see OperationItem."""

    target: ItemTarget
    action: ItemAction
    label: str
    row_id: UUID | None = None
    client_id: UUID | None = None
    seen: str | None = None
    before: dict[str, Any] = {}  # noqa: RUF012  of a tuple, never written to
    after: dict[str, Any] = {}  # noqa: RUF012
    reason: str | None = None
    line: int | None = None
    candidate_ids: Sequence[UUID] = ()


def start_at_once(kind: OperationKind, title: str, settings: dict[str, Any], *, by: User, at: datetime) -> Operation:
    """A new operation whose plan the caller writes, in their transaction, and then counts (``count``)."""
    operation = Operation(
        id=new_id(),
        kind=kind,
        title=title[:200],
        state=OperationState.PLANNED,
        settings=settings,
        by_id=by.id,
        created_at=at,
        planned_at=at,
    )
    db.session.add(operation)
    db.session.flush()
    return operation


def count(operation: Operation) -> None:
    """Write down what the plan of an operation holds, in the caller's transaction."""
    db.session.flush()
    for name, number in _counts_of(operation.id).items():
        setattr(operation, name, number)


def begin(work: Work) -> None:
    """Start the plan, or start it anew where an earlier process died over it."""
    with transaction():
        db.session.execute(delete(OperationItem).where(OperationItem.operation_id == work.operation.id))
        work.save(position=0)
        work.operation.position = 0


def add(work: Work, items: Sequence[PlannedItem]) -> None:
    """Write further items, in the caller's transaction, and keep the lease."""
    operation, start = work.operation, work.operation.position
    copy_rows(
        "operation_items",
        COLUMNS,
        [
            (
                operation.organisation_id,
                operation.id,
                start + number,
                item.target.value,
                item.row_id,
                item.client_id,
                item.line,
                item.label[:200],
                item.action.value,
                item.seen,
                orjson.dumps(item.before, default=str).decode(),
                orjson.dumps(item.after, default=str).decode(),
                item.reason,
                list(item.candidate_ids),
            )
            for number, item in enumerate(items, start=1)
        ],
    )
    work.save(position=start + len(items))
    operation.position = start + len(items)


def end(work: Work) -> None:
    """The plan is whole: count what it holds, and let a person look at it."""
    with transaction():
        work.end_plan(**_counts_of(work.operation.id))


def _counts_of(operation_id: UUID) -> dict[str, int]:
    """What a plan holds by action, and in all, as the columns of Operation say it."""
    mine = OperationItem.operation_id == operation_id
    counted = select(OperationItem.action, func.count()).where(mine).group_by(OperationItem.action)
    counts = dict.fromkeys(("total", *_COUNTED.values()), 0)
    for action, number in db.session.execute(counted):
        counts[_COUNTED[action]] += number
        counts["total"] += number
    return counts
