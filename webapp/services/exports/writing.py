"""Files that French spreadsheets open as they are, written batch by batch: memory does not grow with them."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from xlsxwriter import Workbook
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from webapp.services.exports.cells import DANGEROUS
from webapp.services.list_columns import ListColumn, ValueKind

BYTE_ORDER_MARK = "\ufeff"
MOST_ROWS = 1_048_575
"""Rows that a sheet of Excel holds below its header; what is more goes on in another sheet."""
LONGEST_TEXT = 32_767
"""Characters that a cell of Excel holds."""
FIRST_DAY = date(1900, 3, 1)
"""What lies before is written as text: Excel believes that 1900 was a leap year."""
_WIDTHS = {
    ValueKind.TEXT: 24,
    ValueKind.AMOUNTS: 18,
    ValueKind.INTEGER: 11,
    ValueKind.AMOUNT: 13,
    ValueKind.DAY: 12,
    ValueKind.INSTANT: 19,
    ValueKind.CHOICE: 16,
    ValueKind.YES_NO: 9,
}
_FORMATS = {ValueKind.AMOUNT: "#,##0.00", ValueKind.DAY: "dd/mm/yyyy", ValueKind.INSTANT: "dd/mm/yyyy hh:mm:ss"}
_NOT_IN_NAMES = str.maketrans("", "", "[]:*?/\\'")

Batches = Iterable[Sequence[Any]]
"""Rows in batches, as ``reading.read_rows`` gives them for the format."""


class Target(Protocol):
    """Where bytes go, one after the other."""

    def write(self, content: bytes, /) -> int:
        """Add bytes."""

    def flush(self) -> None:
        """Let go of what was added."""


def french_writer(file: io.StringIO) -> Any:
    """Writes lines as French spreadsheets read them."""
    return csv.writer(file, delimiter=";", lineterminator="\r\n")


def write_csv(target: Target, columns: Sequence[ListColumn], batches: Batches) -> None:
    """The batches as CSV, a row being a line: UTF-8 with its mark, semicolons, CRLF."""
    heading = io.StringIO(newline="")
    heading.write(BYTE_ORDER_MARK)
    french_writer(heading).writerow([column.label for column in columns])
    target.write(heading.getvalue().encode())
    for lines in batches:
        target.write(b"".join(lines))


def write_xlsx(
    target: Target,
    columns: Sequence[ListColumn],
    batches: Batches,
    *,
    title: str,
    working_folder: Path,
    most_rows: int = MOST_ROWS,
) -> None:
    """The batches as an Excel file, cells as ``cells.typed`` has them; XlsxWriter puts rows down in the folder."""
    options = {"constant_memory": True, "tmpdir": str(working_folder), "strings_to_formulas": False}
    with Workbook(target, options) as book:
        sheets = _sheets(book, columns, title)
        put = [_putter(book, column.kind) for column in columns]
        sheet, row = next(sheets), 0
        for batch in batches:
            for cells in batch:
                if row == most_rows:
                    sheet, row = next(sheets), 0
                row += 1
                for place, value in enumerate(cells):
                    if value is not None:
                        put[place](sheet, row, place, value)


def _sheets(book: Workbook, columns: Sequence[ListColumn], title: str) -> Iterator[Worksheet]:
    """A sheet with its header, then a further one, and so on."""
    name, number = title.translate(_NOT_IN_NAMES)[:25], 1
    heading = book.add_format({"bold": True})
    while True:
        sheet = book.add_worksheet(name if number == 1 else f"{name} {number}")
        sheet.freeze_panes(1, 0)
        for place, column in enumerate(columns):
            sheet.set_column(place, place, max(_WIDTHS[column.kind], len(column.label) + 2))
            sheet.write_string(0, place, column.label, heading)
        yield sheet
        number += 1


Putter = Callable[[Worksheet, int, int, Any], object]


def _putter(book: Workbook, kind: ValueKind) -> Putter:
    shown = book.add_format({"num_format": _FORMATS[kind]}) if kind in _FORMATS else None
    match kind:
        case ValueKind.INTEGER | ValueKind.AMOUNT:
            return _number_putter(shown)
        case ValueKind.DAY | ValueKind.INSTANT:
            return _date_putter(shown)
        case _:
            return _text_putter(book.add_format({"quote_prefix": True}))


def _number_putter(shown: Format | None) -> Putter:
    def put(sheet: Worksheet, row: int, place: int, value: int | Decimal) -> None:
        sheet.write_number(row, place, value, shown)

    return put


def _date_putter(shown: Format | None) -> Putter:
    def put(sheet: Worksheet, row: int, place: int, value: date | datetime) -> None:
        day = value.date() if isinstance(value, datetime) else value
        if day >= FIRST_DAY:
            sheet.write_datetime(row, place, value, shown)
        else:
            sheet.write_string(row, place, f"{value:%d/%m/%Y}")

    return put


def _text_putter(quoted: Format) -> Putter:
    """Texts are no formulas to Excel; one that looks like one carries the apostrophe as a format, so that it stays a
    text when somebody edits its cell.
    """

    def put(sheet: Worksheet, row: int, place: int, value: str) -> None:
        text = value if len(value) <= LONGEST_TEXT else f"{value[: LONGEST_TEXT - 1]}…"
        sheet.write_string(row, place, text, quoted if text.startswith(DANGEROUS) else None)

    return put
