"""Data keys in use: which key sealed how much, and sealing it all anew with the newest, so that an older one can go.

Every encrypted column belongs to ``organisation|table.column|row`` and begins with the id of its key. A batch is a
transaction of its own, and a value is replaced only where it is still the one that was read: people go on working, a
process that is killed loses a batch at most, and a second run finds what is left.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import Column, LargeBinary, RowMapping, Table, bindparam, func, or_, select, text, tuple_

from webapp import crypto
from webapp.extensions import db
from webapp.iban import iban_purpose
from webapp.models.banking import BankAccount
from webapp.models.base import Base
from webapp.models.messages import address_purpose
from webapp.models.woocommerce import email_purpose
from webapp.transactions import transaction

BATCH = 500
NOT_SEALED = {
    "bank_accounts.iban_index",
    "batch_documents.file",
    "cover_operators.key_hash",
    "cover_operators.old_key_hash",
    "cover_sales.token_hash",
    "means_requests.token_hash",
    "message_frames.logo",
    "messages.to_index",
    "parcels.label_file",
    "suppressions.to_index",
    "sync_mappings.hash",
    "sync_mappings.fingerprint",
    "woocommerce_events.body_hash",
    "woocommerce_mappings.email_index",
    "woocommerce_resources.email_index",
    "woocommerce_resources.hash",
}
"""Bytes that are fingerprints, or for everybody to see, or papers whose words stand in the clear elsewhere."""


class BlindIndex(NamedTuple):
    """By which an encrypted value is found; ``purpose`` is made from the organisation."""

    column: str
    purpose: Callable[[UUID], str]


INDEXES = {
    "bank_accounts.iban": BlindIndex("iban_index", iban_purpose),
    "messages.to": BlindIndex("to_index", address_purpose),
    "suppressions.to": BlindIndex("to_index", address_purpose),
    "woocommerce_mappings.email": BlindIndex("email_index", email_purpose),
    "woocommerce_resources.email": BlindIndex("email_index", email_purpose),
}
"""The blind indexes, by the encrypted column that they are made from; one that is empty stays so."""


class Usage(NamedTuple):
    """How many values of a column a key has sealed; ``is_known`` while this process holds the key."""

    key_id: str
    column: str
    number: int
    is_known: bool


class Progress(NamedTuple):
    """How many values of a table were looked at, and sealed anew, so far."""

    table: str
    seen: int
    renewed: int


def sealed_columns() -> dict[Table, list[Column[Any]]]:
    """Every encrypted column, by table."""
    columns_by_table: dict[Table, list[Column[Any]]] = {}
    for table in Base.metadata.sorted_tables:
        columns = [
            column for column in table.columns if isinstance(column.type, LargeBinary) and str(column) not in NOT_SEALED
        ]
        if columns:
            columns_by_table[table] = columns
    return columns_by_table


def list_usage() -> list[Usage]:
    """Which key sealed how many values of which column, over all organisations."""
    usage = []
    for columns in sealed_columns().values():
        for column in columns:
            key_id = func.convert_from(func.substring(column, 2, func.get_byte(column, 0)), "UTF8").label("key_id")
            counted = select(key_id, func.count().label("number")).where(column.is_not(None)).group_by(key_id)
            for row in db.session.execute(counted.order_by(key_id)):
                usage.append(Usage(row.key_id, str(column), row.number, row.key_id in crypto.keyring().keys))
    for row in db.session.execute(_PLANNED_USAGE, {"columns": list(_PLANNED)}):
        usage.append(Usage(row.key_id, PLANNED_PLACE, row.number, row.key_id in crypto.keyring().keys))
    return usage


def rotate() -> Iterator[Progress]:
    """Seal with the newest key what another has sealed, and make blind indexes anew; tells after every batch.

    Raises crypto.DecryptionError for a value whose key this process does not hold, once its batch has begun.
    """
    for table, columns in sealed_columns().items():
        last: tuple[Any, ...] | None = None
        seen = renewed = 0
        while True:
            with transaction():
                rows = _next_rows(table, columns, after=last)
                renewed += sum(_renew(table, columns, row) for row in rows)
            if not rows:
                break
            seen += len(rows)
            last = tuple(rows[-1][column.name] for column in table.primary_key)
            yield Progress(table.name, seen, renewed)
    yield from _rotate_planned()


def _index_of(table: Table) -> Column[Any] | None:
    names = [index.column for column, index in INDEXES.items() if column.startswith(f"{table.name}.")]
    return table.c[names[0]] if names else None


def _next_rows(table: Table, columns: list[Column[Any]], *, after: tuple[Any, ...] | None) -> list[dict[str, Any]]:
    """Rows with a value that another key sealed. Of a table with a blind index all: it does not tell its key."""
    key = tuple_(*table.primary_key)
    statement = select(*table.primary_key, *columns).order_by(*table.primary_key).limit(BATCH)
    index = _index_of(table)
    if index is not None:
        statement = statement.add_columns(index)
    else:
        newest = crypto.keyring().prefix
        statement = statement.where(or_(*(func.substring(column, 1, len(newest)) != newest for column in columns)))
    if after is not None:
        statement = statement.where(key > after)
    return [dict(row) for row in db.session.execute(statement).mappings()]


def _renew(table: Table, columns: list[Column[Any]], row: dict[str, Any]) -> bool:
    """Whether anything of the row had to be sealed, or indexed, anew."""
    new: dict[str, bytes] = {}
    for column in columns:
        new |= _renewed(column, row, f"{row['organisation_id']}|{column}|{_id_of(table, row)}")
    if not new:
        return False
    same = [column == bindparam(f"was_{column.name}") for column in columns if column.name in new]
    same += [each == bindparam(f"key_{each.name}") for each in table.primary_key]
    values = {f"was_{column.name}": row[column.name] for column in columns if column.name in new}
    values |= {f"key_{each.name}": row[each.name] for each in table.primary_key}
    db.session.execute(table.update().where(*same).values(new), values)
    return True


def _id_of(table: Table, row: dict[str, Any]) -> str:
    """What the row is called in its organisation: all of its key."""
    _, *key = table.primary_key
    return "/".join(str(row[column.name]) for column in key)


def _renewed(column: Column[Any], row: dict[str, Any], place: str) -> dict[str, bytes]:
    """What is new of an encrypted value: itself, and the index that is made from it."""
    ring, value, index = crypto.keyring(), row[column.name], INDEXES.get(str(column))
    is_newest = value is not None and value.startswith(ring.prefix)
    if value is None or (is_newest and index is None):
        return {}
    content = ring.decrypt(value, place=place)
    new = {} if is_newest else {column.name: ring.encrypt(content, place=place)}
    if index is not None and row[index.column] is not None:
        made = ring.blind_index(content.decode(), purpose=index.purpose(row["organisation_id"]))
        new |= {index.column: made} if made != row[index.column] else {}
    return new


# ---- Bank accounts that a plan is to create stand in its items, sealed for the rows that they become

PLANNED_PLACE = "operation_items.after"
_PLANNED = ("bic", "iban")
_PLANNED_USAGE = text(
    """SELECT convert_from(substring(sealed, 2, get_byte(sealed, 0)), 'UTF8') AS key_id, count(*) AS number
    FROM (SELECT decode(substring(i.after->>c.name FROM 3), 'hex') AS sealed
      FROM operation_items i CROSS JOIN unnest(CAST(:columns AS text[])) c(name)
      WHERE i.target = 'bank_account' AND i.after->>c.name IS NOT NULL) found
    GROUP BY 1 ORDER BY 1"""
)
_PLANNED_ROWS = text(
    """SELECT organisation_id, operation_id, position, row_id, after FROM operation_items
    WHERE target = 'bank_account' AND after ? 'iban' AND after->>'iban' NOT LIKE :newest
      AND (organisation_id, operation_id, position) > (:organisation_id, :operation_id, :position)
    ORDER BY organisation_id, operation_id, position LIMIT :batch"""
)
_PLANNED_SEALED = text(
    """UPDATE operation_items SET after = after || CAST(:new AS jsonb)
    WHERE organisation_id = :organisation_id AND operation_id = :operation_id AND position = :position
      AND after->>'iban' = :was"""
)


def _rotate_planned() -> Iterator[Progress]:
    last: dict[str, Any] = {"organisation_id": UUID(int=0), "operation_id": UUID(int=0), "position": 0}
    newest = f"\\\\x{crypto.keyring().prefix.hex()}%"  # a backslash is doubled in a pattern
    seen = 0
    while True:
        with transaction():
            rows = db.session.execute(_PLANNED_ROWS, {**last, "newest": newest, "batch": BATCH}).mappings().all()
            for row in rows:
                db.session.execute(_PLANNED_SEALED, _renewed_plan(row))
        if not rows:
            return
        seen += len(rows)
        last = {name: rows[-1][name] for name in last}
        yield Progress(PLANNED_PLACE, seen, seen)


def _renewed_plan(row: RowMapping) -> dict[str, Any]:
    """The account of an item, sealed anew, with the index by which it will be found."""
    ring, after = crypto.keyring(), row["after"]
    new: dict[str, bytes] = {}
    for name in _PLANNED:
        if after.get(name):
            place = BankAccount.place(row["organisation_id"], row["row_id"], name)
            content = ring.decrypt(bytes.fromhex(after[name][2:]), place=place)
            new[name] = ring.encrypt(content, place=place)
            if name == "iban":
                new["iban_index"] = ring.blind_index(content.decode(), purpose=iban_purpose(row["organisation_id"]))
    written = {name: f"\\x{value.hex()}" for name, value in new.items()}
    key = {name: row[name] for name in ("organisation_id", "operation_id", "position")}
    return {**key, "was": after["iban"], "new": orjson.dumps(written).decode()}
