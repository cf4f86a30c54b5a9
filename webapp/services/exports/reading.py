"""What an export asks for, and its rows: one statement, read through a cursor, so that all are of one instant."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, func, text

from webapp import clock, crypto, tenancy
from webapp.models.exports import ExportFormat
from webapp.services.exports import cells
from webapp.services.exports.exported_list import ExportedList
from webapp.services.list_columns import EncryptedColumn, ListColumn, OpenedColumn, SealedColumn, ValueKind

BATCH = 500
"""Rows that are in memory at a time; 2,000 were slower."""
_ALL_ARE_WANTED = text("SET LOCAL cursor_tuple_fraction = 1")
"""Else PostgreSQL believes that a tenth of a cursor is read, and fetches a million rows one by one, by an index."""


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


def read_rows(connection: Connection, wanted: Wanted, *, at: datetime) -> Iterator[list[Sequence[Any]]]:
    """The rows in batches, as the format wants their cells."""
    cell = cells.written if wanted.file_format is ExportFormat.CSV else cells.typed
    shown = [cell(column) for column in wanted.columns]
    sealed = [
        part for column in wanted.opened_columns() for part in (column.row_id.expression, column.sealed.expression)
    ]
    statement = _select(wanted, at).with_only_columns(*cells.labelled([*shown, *sealed]), maintain_column_froms=True)
    options = {"stream_results": True, "yield_per": BATCH}
    reveal, tidy = _revealer(wanted), _tidier(wanted)
    connection.execute(_ALL_ARE_WANTED)
    with connection.execute(tenancy.narrowed(statement), execution_options=options) as result:
        for batch in result.partitions():
            yield tidy(reveal(row) for row in batch) if reveal else tidy(batch)


def _select(wanted: Wanted, at: datetime) -> Select[*tuple[Any, ...]]:
    return wanted.listed.select(wanted.view, at.astimezone(clock.PARIS).date())


Row = Sequence[Any]


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
            opened = crypto.unseal(value, place=column.place(organisation_id, row_id)) if value else None
            shown[place] = None if opened is None else column.worded(opened)
        return shown

    return reveal
