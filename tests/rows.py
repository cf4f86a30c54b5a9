"""A row of any table, made from what the table asks for: for tests that must hold for tables yet to come."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Column, Enum, ForeignKeyConstraint, Table, insert, select
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from tests.conftest import NOW
from webapp import tenancy
from webapp.extensions import db
from webapp.models.base import Base

_PLAIN: Mapping[type, Any] = {
    bool: False,
    int: 1,
    Decimal: Decimal(1),
    date: NOW.date(),
    datetime: NOW,
    dict: {},
}
SHARED = (
    "companies", "users", "dunning_sequences", "provider_accounts", "woocommerce_shops", "sync_runs",
    "fulfilment_batches",
)  # fmt: skip
"""Tables of which one row does for all that refer to them."""
SPECIAL: Mapping[str, Mapping[str, Any]] = {
    "cover_withdrawn_periods": {"since": NOW.date() + timedelta(days=1)},
    "woocommerce_mappings": {"woo_id": 1},
    "woocommerce_resources": {"missing_since": NOW},
}
"""Values that the checks of a table want."""


def make_row(table: Table, **values: Any) -> dict[str, Any]:
    """Insert a row of the current organisation, with one of every table that it must refer to. Returns its columns."""
    row = {"organisation_id": tenancy.current_organisation_id(), **SPECIAL.get(table.name, {}), **values}
    if table.name == "default_means":
        row["mandate_id"] = make_row(table_named("mandates"), client_id=row["client_id"])["id"]
    if table.name == "operation_items" and "operation_id" not in row:
        row["operation_id"] = make_row(table_named("operations"))["id"]
    for key in table.foreign_key_constraints:
        column = list(key.columns)[-1]
        if column.name not in row and not column.nullable and len(key.columns) > 1:
            row[column.name] = _parent(key, row)
    for column in table.columns:
        if column.name not in row and _is_asked_for(column):
            row[column.name] = _value(column)
    db.session.execute(insert(table).values(row))
    wanted = select(table).where(
        *(column == row[column.name] for column in table.primary_key.columns if column.name in row)
    )
    return dict(db.session.execute(wanted).mappings().one())


def _parent(key: ForeignKeyConstraint, row: Mapping[str, Any]) -> Any:
    target = key.referred_table
    shared = {name: row[name] for name in ("client_id", "company_id") if name in row and name in target.columns}
    if target.name in SHARED:
        found = select(target.c.id).where(target.c.organisation_id == row["organisation_id"]).limit(1)
        if (present := db.session.execute(found).scalar()) is not None:
            return present
    return make_row(target, **shared)["id"]


def _is_asked_for(column: Column[Any]) -> bool:
    if column.computed is not None or column.identity is not None or column.nullable:
        return False
    return column.server_default is None


def _value(column: Column[Any]) -> Any:
    if isinstance(column.type, Enum) and column.type.enum_class is not None:
        return next(iter(column.type.enum_class))  # type: ignore[call-overload]
    if isinstance(column.type, ARRAY):
        return []
    kind = dict if isinstance(column.type, JSONB) else column.type.python_type
    if kind is str:
        return uuid4().hex[: getattr(column.type, "length", None) or 32]
    return {UUID: uuid4(), bytes: uuid4().bytes}.get(kind, _PLAIN.get(kind))


def table_named(name: str) -> Table:
    """The table of that name."""
    return Base.metadata.tables[name]
