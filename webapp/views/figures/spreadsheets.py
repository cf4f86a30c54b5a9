"""Figures as a file that French spreadsheets open as it is: semicolons, decimal commas, a byte order mark."""

import io
from collections.abc import Iterable, Sequence
from decimal import Decimal

from flask import Response, make_response

from webapp import french
from webapp.models.money import cents
from webapp.services.exports.cells import harmless
from webapp.services.exports.writing import BYTE_ORDER_MARK, french_writer

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


def _written(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, Decimal):
        return french.field_amount(cents(cell))
    return harmless(cell) if isinstance(cell, str) else str(cell)
