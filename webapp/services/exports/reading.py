"""What an export asks for, and its rows: one statement, read by COPY, so that all are of one instant."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, cast
from uuid import UUID

import psycopg
from sqlalchemy import Connection, Select, Text, func
from sqlalchemy import cast as cast_in_sql

from webapp import clock, crypto, tenancy
from webapp.models.exports import ExportFormat
from webapp.services.exports import cells
from webapp.services.exports.copied_lines import CsvLines
from webapp.services.exports.exported_list import ExportedList
from webapp.services.list_columns import EncryptedColumn, ListColumn, OpenedColumn, SealedColumn, ValueKind

BATCH = 500
"""Rows that are in memory at a time."""
Row = Sequence[Any]


@dataclass(frozen=True)
class Wanted:
    """A list with its view and columns, and how to write it.

    ``filters`` are the names of what narrows the view, without its values: for the journal. ``reason`` is why an admin
    wants IBANs in clear; without one they are masked.
    """

    listed: ExportedList
    view: Any
    columns: Sequence[ListColumn]
    file_format: ExportFormat
    filters: Sequence[str] = ()
    reason: str | None = None

    def opened_columns(self) -> list[EncryptedColumn]:
        """Those that are written in clear."""
        opened = (OpenedColumn, SealedColumn) if self.reason else OpenedColumn
        return [each for each in self.columns if isinstance(each, opened)]


def count_rows(connection: Connection, wanted: Wanted, *, at: datetime) -> int:
    """How many rows the list has."""
    counted = _select(wanted, at).order_by(None).with_only_columns(func.count(), maintain_column_froms=True)
    return int(connection.execute(tenancy.narrowed(counted)).scalar_one())


def read_rows(connection: Connection, wanted: Wanted, *, at: datetime) -> Generator[Sequence[Any]]:
    """The rows in batches, as the format wants them: lines of a CSV file, or cells for Excel.

    The connection does nothing else before all are read, or the generator is closed.
    """
    is_text = wanted.file_format is ExportFormat.CSV
    cell = cells.written if is_text else cells.typed
    shown = [cell(column) for column in wanted.columns]
    sealed = [part for column in wanted.opened_columns() for part in _sealed_parts(column)]
    statement = _select(wanted, at).with_only_columns(*cells.labelled([*shown, *sealed]), maintain_column_froms=True)
    reveal, tidy = _revealer(wanted), _tidier(wanted)

    def finish(rows: Iterable[Row]) -> list[Row]:
        return tidy(map(reveal, rows) if reveal else rows)

    with _copying(connection, tenancy.narrowed(statement), "(NULL '')" if is_text else "") as copy:
        if is_text:
            lines = CsvLines(finish, finishes_all=bool(sealed) or len(shown) == 1)
            while copied := list(islice(copy, BATCH)):
                yield lines.written(copied)
        else:
            copy.set_types([*map(cells.type_of, wanted.columns), *["text"] * len(sealed)])
            rows = copy.rows()
            while batch := list(islice(rows, BATCH)):
                yield finish(batch)


@contextmanager
def _copying(connection: Connection, statement: Select[*tuple[Any, ...]], options: str) -> Iterator[psycopg.Copy]:
    """The rows of a statement by COPY: PostgreSQL goes on while we work, and waits for no turn of ours."""
    query, parameters = _as_sent(connection, statement)
    driver = cast(psycopg.Connection[Any], connection.connection.driver_connection)
    with driver.cursor() as cursor, cursor.copy(f"COPY ({query}) TO STDOUT {options}".encode(), parameters) as copy:
        yield copy


def _as_sent(connection: Connection, statement: Select[*tuple[Any, ...]]) -> tuple[str, dict[str, Any]]:
    """The statement and its parameters as SQLAlchemy would hand them to the driver: it knows no COPY itself."""
    compiled = statement.compile(connection)
    expanded = compiled.construct_expanded_state()
    dialect = connection.dialect
    processors = {
        name: each.type.dialect_impl(dialect).bind_processor(dialect) for name, each in compiled.binds.items()
    }
    processors |= expanded.processors
    parameters = cast(dict[str, Any], expanded.parameters)
    return expanded.statement, {
        name: process(value) if (process := processors.get(name)) else value for name, value in parameters.items()
    }


def _sealed_parts(column: EncryptedColumn) -> Sequence[Any]:
    """The id of the row and what is sealed of it, as texts."""
    return cast_in_sql(column.row_id.expression, Text), func.encode(column.sealed.expression, "hex")


def _select(wanted: Wanted, at: datetime) -> Select[*tuple[Any, ...]]:
    return wanted.listed.select(wanted.view, at.astimezone(clock.PARIS).date())


def _tidier(wanted: Wanted) -> Callable[[Iterable[Row]], list[Row]]:
    """What sees to the texts of a batch, column by column: the few that begin oddly."""
    places = [place for place, column in enumerate(wanted.columns) if column.kind is ValueKind.TEXT]
    tidy = cells.harmless if wanted.file_format is ExportFormat.CSV else cells.readable
    odd = frozenset(cells.DANGEROUS)

    def tidy_batch(rows: Iterable[Row]) -> list[Row]:
        columns: list[Row] = list(zip(*rows, strict=True))
        for place in places:
            columns[place] = [tidy(value) if value and value[0] in odd else value for value in columns[place]]
        return list(zip(*columns, strict=True))

    return tidy_batch


def _revealer(wanted: Wanted) -> Callable[[Row], Row] | None:
    """What puts values in clear in their places, where the page shows them so or that is asked for."""
    sealed = wanted.opened_columns()
    if not sealed:
        return None
    organisation_id = tenancy.current_organisation_id()
    places = [wanted.columns.index(column) for column in sealed]
    width = len(wanted.columns)

    def reveal(row: Row) -> Row:
        shown = list(row[:width])
        for number, (place, column) in enumerate(zip(places, sealed, strict=True)):
            row_id, value = row[width + 2 * number], row[width + 2 * number + 1]
            if value:
                place_of_value = column.place(organisation_id, UUID(row_id))
                shown[place] = column.worded(crypto.unseal(bytes.fromhex(value), place=place_of_value))
            else:
                shown[place] = None
        return shown

    return reveal
