"""Writes a chunk of a plan: creates, changes and removes rows by sets, and leaves out what moved since the plan."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from psycopg import sql
from psycopg.errors import ForeignKeyViolation, UniqueViolation
from psycopg.rows import dict_row

from webapp.models.base import new_id
from webapp.models.operations import ItemAction, ItemTarget
from webapp.models.timeline import EventKind
from webapp.services.operations.targets import TARGETS, Target
from webapp.services.operations.wording import Names, changes_of
from webapp.services.winleadplus.copying import copy_rows, driver_connection
from webapp.transactions import writing_as

MOVED = "Modifié depuis le plan\u202f: cette ligne n’a pas été touchée."
EXISTS = "Existe déjà, depuis le plan\u202f: rien n’a été créé."
TWIN = "Un client de même e-mail ou téléphone est arrivé depuis le plan\u202f: rien n’a été créé. Refaites le plan."
ORPHAN = "Ce dont cette ligne dépend n’a pas été créé, ou n’est plus là\u202f: rien n’a été créé."
TAKEN = "La référence a été prise depuis le plan\u202f: cette ligne n’a pas été touchée."
STANDS_ON = "D’autres données en dépendent désormais\u202f: conservé."
EVENT_COLUMNS = ("organisation_id", "id", "client_id", "kind", "at", "user_id", "operation_id", "changes")
WRITTEN = (ItemAction.CREATE, ItemAction.UPDATE, ItemAction.REMOVE)

_ITEMS = """SELECT i.* FROM operation_items i
  WHERE i.organisation_id = %(organisation_id)s AND i.operation_id = %(operation_id)s
    AND i.position > %(after)s AND i.position <= %(upto)s
    AND i.target = %(target)s AND i.action = %(action)s AND i.left_out IS NULL"""


@dataclass(frozen=True)
class Chunk:
    """The items of an operation behind the position ``after``, up to ``upto``; on whose behalf, and when.

    ``plan_begun_at`` is when its plan was begun.
    """

    organisation_id: UUID
    operation_id: UUID
    after: int
    upto: int
    by: UUID | None
    at: datetime
    plan_begun_at: datetime

    def parameters(self, **more: Any) -> dict[str, Any]:
        """The chunk as SQL names it."""
        return {
            "organisation_id": self.organisation_id,
            "operation_id": self.operation_id,
            "after": self.after,
            "upto": self.upto,
            "at": self.at,
            **more,
        }


class Result(NamedTuple):
    """How many items of a chunk were applied, and how many left out."""

    applied: int
    left_out: int


def apply(chunk: Chunk) -> Result:
    """Write the chunk, with its timeline, in the caller's transaction. A row that moved is left out, and says why."""
    for (target, action), columns in _present(chunk):
        if action is ItemAction.CREATE:
            _create(chunk, target, columns)
        elif action is ItemAction.UPDATE:
            with writing_as(at=chunk.at, user_id=chunk.by, operation_id=chunk.operation_id):
                _update(chunk, target, columns)
        else:
            _remove(chunk, target)
    _tell(chunk)
    applied, left_out = driver_connection().execute(
        """SELECT count(*) FILTER (WHERE left_out IS NULL), count(left_out) FROM operation_items
        WHERE organisation_id = %(organisation_id)s AND operation_id = %(operation_id)s
          AND position > %(after)s AND position <= %(upto)s AND action = ANY(%(written)s)""",
        chunk.parameters(written=[each.value for each in WRITTEN]),
    ).fetchone() or (0, 0)
    return Result(applied, left_out)


def _present(chunk: Chunk) -> Iterator[tuple[tuple[ItemTarget, ItemAction], list[str]]]:
    """What the chunk does to which tables, and the columns it names: parents are created first, and removed last."""
    found = (
        driver_connection()
        .execute(
            """SELECT target, action, coalesce(array_agg(DISTINCT key) FILTER (WHERE key IS NOT NULL), '{}')
            FROM operation_items LEFT JOIN LATERAL jsonb_object_keys(after) key ON true
            WHERE organisation_id = %(organisation_id)s AND operation_id = %(operation_id)s
              AND position > %(after)s AND position <= %(upto)s AND action = ANY(%(written)s)
            GROUP BY target, action""",
            chunk.parameters(written=[each.value for each in WRITTEN]),
        )
        .fetchall()
    )
    columns = {(ItemTarget(target), ItemAction(action)): keys for target, action, keys in found}
    for action in WRITTEN:
        order = reversed(ItemTarget) if action is ItemAction.REMOVE else iter(ItemTarget)
        yield from (((target, action), columns[target, action]) for target in order if (target, action) in columns)


def _columns(target: Target, keys: list[str]) -> list[str]:
    """The columns that ``keys`` name. Raises ValueError for one that operations may not write."""
    if unknown := set(keys) - set(target.columns):
        raise ValueError(f"operations do not write {sorted(unknown)} of {target.table}")
    return sorted(keys)


def _update(chunk: Chunk, kind: ItemTarget, keys: list[str]) -> None:
    target = TARGETS[kind]
    items = chunk.parameters(target=kind.value, action=ItemAction.UPDATE.value)
    _lock(target, items)
    assignments = [
        sql.SQL("{name} = CASE WHEN w.after ? {key} THEN r.{name} ELSE t.{name} END").format(
            name=sql.Identifier(name), key=sql.Literal(name)
        )
        for name in _columns(target, keys)
        if name not in target.beside
    ]
    assignments += [
        sql.SQL("{} = " + expression).format(sql.Identifier(name)) for name, expression in target.touched.items()
    ]
    statement = sql.SQL(
        """WITH wanted AS MATERIALIZED ({items}), changed AS (
          UPDATE {table} t SET {assignments}
          FROM wanted w CROSS JOIN LATERAL jsonb_populate_record(NULL::{table}, w.after) r
          WHERE t.organisation_id = %(organisation_id)s AND t.id = w.row_id AND {version} = w.seen
          RETURNING w.position
        ) {leave_out}"""
    ).format(
        items=sql.SQL(_ITEMS),
        table=sql.Identifier(target.table),
        assignments=sql.SQL(", ").join(assignments),
        version=sql.SQL(target.version),
        leave_out=sql.SQL(_LEAVE_OUT),
    )
    connection = driver_connection()
    try:
        with connection.transaction():
            connection.execute(statement, {**items, "why": MOVED})
    except UniqueViolation:  # by one of them: none is changed
        _leave_out_all(items, TAKEN)
    _write_lines(target, keys, items)


# Of a contract whose version stands: it has one line or none, as the plan saw it.
_LINES = """WITH wanted AS MATERIALIZED (
    SELECT i.row_id AS contract_id, i.after,
      (SELECT p.id FROM products p
       WHERE p.organisation_id = i.organisation_id AND p.id = (i.after->>'product_id')::uuid) AS product_id
    FROM ({items}) i WHERE i.after ?| %(beside)s
  ), removed AS (
    DELETE FROM contract_lines l USING wanted w
    WHERE l.organisation_id = %(organisation_id)s AND l.contract_id = w.contract_id AND w.after->'quantity' = 'null'
  ), changed AS (
    UPDATE contract_lines l SET
      product_id = CASE WHEN w.after ? 'product_id' THEN w.product_id ELSE l.product_id END,
      label = coalesce(w.after->>'product', l.label),
      quantity = coalesce((w.after->>'quantity')::numeric, l.quantity),
      unit_price = CASE WHEN w.after ? 'unit_price' THEN (w.after->>'unit_price')::numeric ELSE l.unit_price END
    FROM wanted w
    WHERE l.organisation_id = %(organisation_id)s AND l.contract_id = w.contract_id
      AND w.after->'quantity' IS DISTINCT FROM 'null'
  )
  INSERT INTO contract_lines (organisation_id, id, contract_id, position, product_id, label, quantity, unit_price)
  SELECT %(organisation_id)s, gen_random_uuid(), w.contract_id, 0, w.product_id, w.after->>'product',
    (w.after->>'quantity')::numeric, (w.after->>'unit_price')::numeric
  FROM wanted w
  WHERE w.after->>'product' IS NOT NULL AND w.after->>'quantity' IS NOT NULL AND NOT EXISTS (
    SELECT FROM contract_lines l WHERE l.organisation_id = %(organisation_id)s AND l.contract_id = w.contract_id)"""


def _write_lines(target: Target, keys: list[str], items: dict[str, Any]) -> None:
    """The one line of each contract that was written just now: added, changed, or taken away again."""
    if beside := sorted({*keys} & {*target.beside}):
        driver_connection().execute(sql.SQL(_LINES).format(items=sql.SQL(_ITEMS)), {**items, "beside": beside})


# By an array, so that the items are looked up by their keys: nothing knows how many there are.
_LEAVE_OUT = """UPDATE operation_items i SET left_out = %(why)s
  WHERE i.organisation_id = %(organisation_id)s AND i.operation_id = %(operation_id)s
    AND i.position = ANY(ARRAY(SELECT position FROM wanted EXCEPT SELECT position FROM changed))"""


def _lock(target: Target, items: dict[str, Any]) -> None:
    """In the order of their ids, as everybody locks them."""
    statement = sql.SQL(
        """SELECT t.id FROM {table} t
        WHERE t.organisation_id = %(organisation_id)s AND t.id IN (SELECT row_id FROM ({items}) wanted)
        ORDER BY t.id FOR UPDATE OF t"""
    )
    driver_connection().execute(statement.format(table=sql.Identifier(target.table), items=sql.SQL(_ITEMS)), items)


def _create(chunk: Chunk, kind: ItemTarget, keys: list[str]) -> None:
    target = TARGETS[kind]
    names = sorted({*_columns(target, keys), *target.defaults} - {*target.beside})
    statement = sql.SQL(
        """WITH items AS MATERIALIZED ({items}), wanted AS MATERIALIZED (
          SELECT items.position, items.row_id, r.* FROM items CROSS JOIN LATERAL
            jsonb_populate_record(NULL::{table}, %(defaults)s::jsonb || items.after) r
        ), twins AS MATERIALIZED (SELECT position FROM wanted r WHERE {twin}), able AS (
          SELECT * FROM wanted r WHERE {parents} AND position NOT IN (SELECT position FROM twins)
        ), created AS (
          INSERT INTO {table} (organisation_id, id, {stamped}, {names})
          SELECT %(organisation_id)s, row_id, {instants}, {values} FROM able r
          ON CONFLICT DO NOTHING
          RETURNING id
        )
        UPDATE operation_items i
        SET left_out = CASE WHEN i.position IN (SELECT position FROM twins) THEN %(twin)s
          WHEN EXISTS (SELECT FROM able WHERE able.position = i.position) THEN %(exists)s ELSE %(orphan)s END
        WHERE i.organisation_id = %(organisation_id)s AND i.operation_id = %(operation_id)s
          AND i.position = ANY(ARRAY(SELECT position FROM wanted WHERE row_id NOT IN (SELECT id FROM created)))"""
    ).format(
        items=sql.SQL(_ITEMS),
        table=sql.Identifier(target.table),
        twin=sql.SQL(target.twin),
        parents=_parents_of(target, keys),
        stamped=sql.SQL(", ").join(map(sql.Identifier, target.stamped)),
        instants=sql.SQL(", ").join([sql.SQL("%(at)s")] * len(target.stamped)),
        names=sql.SQL(", ").join(map(sql.Identifier, names)),
        values=sql.SQL(", ").join(sql.SQL("r.{}").format(sql.Identifier(name)) for name in names),
    )
    items = chunk.parameters(target=kind.value, action=ItemAction.CREATE.value)
    defaults = orjson.dumps(target.defaults).decode()
    why = {"exists": EXISTS, "orphan": ORPHAN, "twin": TWIN}
    driver_connection().execute(statement, {**items, **why, "defaults": defaults, "plan_begun_at": chunk.plan_begun_at})
    _write_lines(target, keys, items)


def _parents_of(target: Target, keys: list[str]) -> sql.Composable:
    """Whether what a row refers to is there: a plan may have failed to create it, or it was merged or erased since."""
    conditions = [
        sql.SQL(
            "(r.{column} IS NULL OR EXISTS (SELECT FROM {table} p WHERE p.organisation_id = %(organisation_id)s"
            " AND p.id = r.{column} {standing}))"
        ).format(
            column=sql.Identifier(column),
            table=sql.Identifier(table),
            standing=sql.SQL("AND p.merged_into_id IS NULL AND p.erased_at IS NULL" if table == "clients" else ""),
        )
        for column, table in target.parents.items()
        if column in keys
    ]
    return sql.SQL(" AND ").join(conditions) if conditions else sql.SQL("true")


def _remove(chunk: Chunk, kind: ItemTarget) -> None:
    """Rows that an operation had created. What something else refers to by now stays: the plan had looked for it."""
    target = TARGETS[kind]
    items = chunk.parameters(target=kind.value, action=ItemAction.REMOVE.value)
    _lock(target, items)
    statement = sql.SQL(
        """WITH wanted AS MATERIALIZED ({items}), changed AS (
          DELETE FROM {table} t USING wanted w
          WHERE t.organisation_id = %(organisation_id)s AND t.id = w.row_id AND {version} = w.seen
          RETURNING w.position
        ) {leave_out}"""
    ).format(
        items=sql.SQL(_ITEMS),
        table=sql.Identifier(target.table),
        version=sql.SQL(target.version),
        leave_out=sql.SQL(_LEAVE_OUT),
    )
    connection = driver_connection()
    try:
        with connection.transaction():
            connection.execute(statement, {**items, "why": MOVED})
    except ForeignKeyViolation:  # one of them: none is removed
        _leave_out_all(items, STANDS_ON)


def _leave_out_all(items: dict[str, Any], why: str) -> None:
    statement = sql.SQL("WITH wanted AS ({}), changed AS (SELECT 0 AS position) {}")
    driver_connection().execute(statement.format(sql.SQL(_ITEMS), sql.SQL(_LEAVE_OUT)), {**items, "why": why})


def _tell(chunk: Chunk) -> None:
    """What was done to clients and their contracts, in their timelines."""
    rows = (
        driver_connection()
        .cursor(row_factory=dict_row)
        .execute(
            """SELECT target, action, client_id, label, before, after FROM operation_items
            WHERE organisation_id = %(organisation_id)s AND operation_id = %(operation_id)s
              AND position > %(after)s AND position <= %(upto)s AND left_out IS NULL AND client_id IS NOT NULL
              AND action = ANY(%(written)s)
            ORDER BY position""",
            chunk.parameters(written=[each.value for each in WRITTEN]),
        )
        .fetchall()
    )
    names = Names.among(value for row in rows for image in (row["before"], row["after"]) for value in image.items())
    copy_rows(
        "timeline_events",
        EVENT_COLUMNS,
        [
            (
                chunk.organisation_id,
                new_id(),
                row["client_id"],
                kind_of(ItemTarget(row["target"]), ItemAction(row["action"]), row["after"]).value,
                chunk.at,
                chunk.by,
                chunk.operation_id,
                orjson.dumps(_told(row, names)).decode(),
            )
            for row in rows
        ],
    )


def _told(row: dict[str, Any], names: Names) -> dict[str, Any]:
    """A client that is created tells the values by its page; all else tells what changed."""
    if row["target"] == ItemTarget.CLIENT and row["action"] == ItemAction.CREATE:
        return {}
    told = changes_of(ItemTarget(row["target"]), row["before"], row["after"], names, contract=row["label"])
    return {each.key: [each.before, each.after] for each in told if each.key != "archived_at"}


def kind_of(target: ItemTarget, action: ItemAction, after: dict[str, Any]) -> EventKind:
    """What the client's timeline calls it."""
    if target is ItemTarget.CLIENT and "archived_at" in after:
        return EventKind.CLIENT_ARCHIVED if after["archived_at"] else EventKind.CLIENT_RESTORED
    if action is ItemAction.CREATE:
        return {
            ItemTarget.CLIENT: EventKind.CREATED_BY_OPERATION,
            ItemTarget.CONTRACT: EventKind.CONTRACT_CREATED,
            ItemTarget.TASK: EventKind.TASK_ADDED,
        }.get(target, EventKind.CHANGED_BY_OPERATION)
    return EventKind.CHANGED_BY_OPERATION
