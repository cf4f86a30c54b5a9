"""Figures as a file that French spreadsheets open as it is: semicolons, decimal commas, a byte order mark."""

import io
import tempfile
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path

from flask import Response, make_response
from sqlalchemy import null

from webapp import french
from webapp.models.exports import ExportFormat
from webapp.models.money import cents
from webapp.services.exports.cells import harmless
from webapp.services.exports.writing import BYTE_ORDER_MARK, french_writer, write_xlsx
from webapp.services.list_columns import ListColumn, ValueKind

Cell = str | int | Decimal | None


def csv_file(name: str, headings: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Response:
    """A file called ``name`` to be saved."""
    content = io.StringIO()
    content.write(BYTE_ORDER_MARK)
    french_writer(content).writerows([_written(cell) for cell in row] for row in [headings, *rows])
    response = make_response(content.getvalue())
    response.mimetype = "text/csv"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def xlsx_file(name: str, title: str, headings: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Response:
    """The same as an Excel file, in which numbers are numbers; the first column holds words."""
    columns = [
        ListColumn(str(place), heading, null(), ValueKind.AMOUNT if place else ValueKind.TEXT)
        for place, heading in enumerate(headings)
    ]
    content = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        write_xlsx(content, columns, [rows], title=title, working_folder=Path(folder))
    response = make_response(content.getvalue())
    response.mimetype = ExportFormat.XLSX.mimetype
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _written(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, Decimal):
        return french.field_amount(cents(cell))
    return harmless(cell) if isinstance(cell, str) else str(cell)
