"""Figures as a file that French spreadsheets open as it is: semicolons, decimal commas, a byte order mark."""

import csv
import io
from collections.abc import Iterable, Sequence
from decimal import Decimal

from flask import Response, make_response

from webapp import french
from webapp.models.money import cents

Cell = str | int | Decimal | None

BYTE_ORDER_MARK = "\ufeff"
_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A cell that begins so may be run as a formula: it is told to be text by an apostrophe in front."""


def csv_file(name: str, headings: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Response:
    """A file called ``name`` to be saved."""
    content = io.StringIO()
    content.write(BYTE_ORDER_MARK)
    writer = csv.writer(content, delimiter=";", lineterminator="\r\n")
    writer.writerows([_written(cell) for cell in row] for row in [headings, *rows])
    response = make_response(content.getvalue())
    response.mimetype = "text/csv"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _written(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, Decimal):
        return french.field_amount(cents(cell))
    text = str(cell)
    return f"'{text}" if isinstance(cell, str) and text.startswith(_DANGEROUS) else text
