"""The list of personal data against the schema: a later table or column cannot be forgotten."""

from sqlalchemy import ARRAY, Column, Date, Enum, LargeBinary, String, Table
from sqlalchemy.dialects.postgresql import JSONB

from webapp.models.base import Base
from webapp.models.personal_data import HOLDINGS, NOBODYS

TABLES: dict[str, Table] = dict(Base.metadata.tables)


def hanging() -> set[str]:
    """The tables that lead to a client by foreign keys, however far."""
    found = {"clients"}
    while more := {
        name
        for name, table in TABLES.items()
        if name not in found and any(key.referred_table.name in found for key in table.foreign_key_constraints)
    }:
        found |= more
    return found


def candidates(table: Table) -> set[str]:
    """The columns that could hold what tells of a person."""
    return {
        column.name
        for column in table.columns
        if column.computed is None and not column.foreign_keys and _is_candidate(column)
    }


def _is_candidate(column: Column[object]) -> bool:
    if isinstance(column.type, Enum):
        return column.table.name == "clients" and column.name == "civility"
    if isinstance(column.type, Date):
        return column.table.name == "clients"
    if isinstance(column.type, ARRAY):
        return isinstance(column.type.item_type, String | LargeBinary)
    return isinstance(column.type, String | JSONB | LargeBinary)


def test_every_table_is_named_once() -> None:
    assert HOLDINGS.keys() | NOBODYS.keys() == TABLES.keys()
    assert not HOLDINGS.keys() & NOBODYS.keys()
    assert all(NOBODYS.values())


def test_a_table_that_hangs_on_a_client_says_what_becomes_of_its_rows() -> None:
    assert hanging() <= HOLDINGS.keys()


def test_every_column_that_could_hold_personal_data_says_what_becomes_of_it() -> None:
    forgotten = {
        f"{name}.{column}"
        for name, holding in HOLDINGS.items()
        if not holding.is_deleted
        for column in candidates(TABLES[name]) - {*holding.goes, *holding.resealed, *holding.kept, *holding.plain}
    }
    assert forgotten == set()


def test_nothing_is_said_of_columns_that_there_are_not() -> None:
    for name, holding in HOLDINGS.items():
        columns = set(TABLES[name].columns.keys())
        assert {*holding.goes, *holding.resealed, *holding.kept, *holding.plain} <= columns, name
        assert not set(holding.goes) & set(holding.kept), name
