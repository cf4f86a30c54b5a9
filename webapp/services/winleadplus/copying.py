"""Rows into tables by COPY, and changes by COPY into a temporary table: hundreds of rows for the price of one."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from psycopg import Connection, sql

from webapp.extensions import db

Row = tuple[Any, ...]


def copy_rows(table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Insert rows, in the current transaction. They carry their organisation_id: COPY knows no scope."""
    if rows:
        with copying_rows(table, columns, rows):
            pass


@contextmanager
def copying_rows(table: str, columns: Sequence[str], rows: Sequence[Row]) -> Iterator[None]:
    """Insert rows as ``copy_rows`` does; PostgreSQL takes them in while the block does something else."""
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), _listed(columns))
    with driver_connection().cursor().copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
        yield


def update_rows(table: str, key: Sequence[str], columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Set ``columns`` of the rows found by ``key``; each row holds the key's values, then the columns'."""
    if not rows:
        return
    changes = f"changed_{table}"
    names = {"table": sql.Identifier(table), "changes": sql.Identifier(changes)}
    connection = driver_connection()
    connection.execute(
        sql.SQL("CREATE TEMPORARY TABLE {changes} AS SELECT {columns} FROM {table} WITH NO DATA").format(
            columns=_listed([*key, *columns]), **names
        )
    )
    copy_rows(changes, [*key, *columns], rows)
    connection.execute(
        sql.SQL("UPDATE {table} SET {assignments} FROM {changes} WHERE {same_key}").format(
            assignments=sql.SQL(", ").join(
                sql.SQL("{column} = {changes}.{column}").format(column=sql.Identifier(column), **names)
                for column in columns
            ),
            same_key=sql.SQL(" AND ").join(
                sql.SQL("{table}.{column} = {changes}.{column}").format(column=sql.Identifier(column), **names)
                for column in key
            ),
            **names,
        )
    )
    connection.execute(sql.SQL("DROP TABLE {changes}").format(**names))


def driver_connection() -> Connection[Any]:
    """psycopg's connection, on which the session's transaction is open: for COPY, and for many plain rows."""
    connection: Connection[Any] = db.session.connection().connection.driver_connection  # type: ignore[assignment]
    return connection


def _listed(columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))
