"""Columns of a list as PostgreSQL gives them to a file: as text for CSV, as numbers and dates for Excel.

PostgreSQL writes amounts, days and labels itself, which spares Python most of the work of a million rows.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Numeric, Text, case, cast, func, literal, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from webapp.clock import PARIS
from webapp.services.list_columns import ListColumn, ValueKind

DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A text that begins so may be run as a formula by a spreadsheet."""
APOSTROPHE = "'"
"""Stands before such a text in a CSV file, and tells spreadsheets that it is one."""


def written(column: ListColumn) -> ColumnElement[Any]:
    """The column as the text of a CSV file; ``harmless`` does the rest of a TEXT."""
    return _WRITTEN[column.kind](column, column.value.expression)


def typed(column: ListColumn) -> ColumnElement[Any]:
    """The column as a value that Excel knows: a number, a date, a local date and time, or a text, for ``readable``."""
    return _TYPED[column.kind](column, column.value.expression)


def type_of(column: ListColumn) -> str:
    """PostgreSQL's type of ``typed``."""
    return _TYPES.get(column.kind, "text")


def labelled(columns: Sequence[ColumnElement[Any]]) -> list[ColumnElement[Any]]:
    """The columns under names of their own: two may come from columns of one name."""
    return [column.label(f"cell_{place}") for place, column in enumerate(columns)]


def readable(text: str) -> str:
    """A French telephone as people write it, which no spreadsheet takes for a formula or a number; all else as is."""
    if len(text) == 12 and text.startswith("+33") and text.isascii() and text[3:].isdigit() and text[3] != "0":
        return f"0{text[3]} {text[4:6]} {text[6:8]} {text[8:10]} {text[10:]}"
    return text


def harmless(text: str) -> str:
    """The text, with an apostrophe in front where a spreadsheet might run it."""
    text = readable(text)
    return f"{APOSTROPHE}{text}" if text.startswith(DANGEROUS) else text


def _amounts(value: ColumnElement[Any]) -> ColumnElement[Any]:
    """« 12,00 EUR; 3,00 CHF »."""
    each = func.jsonb_each_text(value).table_valued("key", "value")
    written = func.concat(func.replace(each.c.value, ".", ","), " ", each.c.key)
    ordered = aggregate_order_by(literal("; "), each.c.key)
    return select(func.string_agg(written, ordered)).select_from(each).scalar_subquery()


def _yes_no(value: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((value.is_(True), "oui"), (value.is_(False), "non"))


def _label(column: ListColumn, value: ColumnElement[Any]) -> ColumnElement[Any]:
    stored = cast(value, Text)
    return case(column.labels or {}, value=stored, else_=stored)


def _in_paris(value: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.timezone(PARIS.key, value)


Cell = Callable[[ListColumn, ColumnElement[Any]], ColumnElement[Any]]
_TYPED: dict[ValueKind, Cell] = {
    ValueKind.TEXT: lambda _, value: cast(value, Text),
    ValueKind.INTEGER: lambda _, value: value,
    ValueKind.AMOUNT: lambda _, value: value,
    ValueKind.AMOUNTS: lambda _, value: _amounts(value),
    ValueKind.DAY: lambda _, value: value,
    ValueKind.INSTANT: lambda _, value: func.date_trunc("second", _in_paris(value)),
    ValueKind.CHOICE: _label,
    ValueKind.YES_NO: lambda _, value: _yes_no(value),
}
_TYPES = {
    ValueKind.INTEGER: "int8",
    ValueKind.AMOUNT: "numeric",
    ValueKind.DAY: "date",
    ValueKind.INSTANT: "timestamp",
}
_WRITTEN: dict[ValueKind, Cell] = _TYPED | {
    ValueKind.INTEGER: lambda _, value: cast(value, Text),
    ValueKind.AMOUNT: lambda _, value: func.replace(cast(cast(value, Numeric(18, 2)), Text), ".", ","),
    ValueKind.DAY: lambda _, value: func.to_char(value, "DD/MM/YYYY"),
    ValueKind.INSTANT: lambda _, value: func.to_char(_in_paris(value), "DD/MM/YYYY HH24:MI:SS"),
}
