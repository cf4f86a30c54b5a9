"""What a list can show of its rows: columns that people choose, saved views name, and exports write."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, ScalarSelect, Select, Text, cast, column, func, literal, null, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import InstrumentedAttribute

from webapp.extensions import db
from webapp.services import keyset


class ValueKind(StrEnum):
    """How a column's values are shown and exported: days and amounts stay days and amounts in a spreadsheet.

    AMOUNTS are several, by currency: a JSON object of texts, NULL for none.
    """

    TEXT = "text"
    INTEGER = "integer"
    AMOUNT = "amount"
    AMOUNTS = "amounts"
    DAY = "day"
    INSTANT = "instant"
    CHOICE = "choice"
    YES_NO = "yes_no"


@dataclass(frozen=True)
class ListColumn:
    """A column that a list can have.

    ``key`` names it in addresses and saved views, in French, and never changes once it was used. ``value`` is SQL over
    the list's own joins. ``labels`` are the words of a CHOICE, by stored value. ``sort`` is the order that its head
    gives, where an index serves one.
    """

    key: str
    label: str
    value: ColumnElement[Any] | InstrumentedAttribute[Any]
    kind: ValueKind = ValueKind.TEXT
    labels: dict[str, str] | None = None
    sort: keyset.Order | None = None


def chosen(keys: Sequence[str], offered: Sequence[ListColumn], *, default: Sequence[str]) -> list[ListColumn]:
    """The columns named by ``keys``, in that order and once each; unknown ones are left out, none gives ``default``."""
    by_key = {column.key: column for column in offered}
    known = [by_key[key] for key in dict.fromkeys(keys) if key in by_key]
    return known or [by_key[key] for key in default]


def read_cells(
    joined: Select[*tuple[Any, ...]],
    row_id: InstrumentedAttribute[UUID],
    ids: Sequence[UUID],
    columns: Sequence[ListColumn],
) -> dict[UUID, dict[str, Any]]:
    """What the columns hold of a page's rows, by row and key, in one statement; ``joined`` has what they need."""
    if not ids or not columns:
        return {}
    values = [column.value.label(f"cell_{place}") for place, column in enumerate(columns)]
    statement = joined.where(row_id.in_(ids)).order_by(None)
    statement = statement.with_only_columns(row_id, *values, maintain_column_froms=True)
    keys = [column.key for column in columns]
    return {row[0]: dict(zip(keys, row[1:], strict=True)) for row in db.session.execute(statement)}


def told_of_each(
    elements: Any, kind: Any, *, of: type, word: Callable[[ColumnElement[Any]], ColumnElement[Any]], between: str
) -> ScalarSelect[Any]:
    """In one text and in order, what ``word`` says of each element that a function gives of a row of ``of``."""
    rows = elements.table_valued(column("element", kind), with_ordinality="place", name="elements").render_derived()
    told = func.string_agg(word(rows.c.element), aggregate_order_by(literal(between), rows.c.place))
    return select(told).select_from(rows).correlate(of).scalar_subquery()


def labels_of(words: type[StrEnum]) -> dict[str, str]:
    """The labels of a CHOICE among the values of an enumeration that has words for the screen."""
    return {each.value: each.label for each in words}  # type: ignore[attr-defined]


@dataclass(frozen=True, kw_only=True)
class EncryptedColumn(ListColumn):
    """A column of what is encrypted in ``sealed``; ``value`` stands for it where it is not opened.

    ``place`` gives the place that the value of the row ``row_id`` was sealed for, from the organisation and that id;
    ``worded`` makes of what was sealed what people read.
    """

    sealed: InstrumentedAttribute[Any]
    row_id: InstrumentedAttribute[Any]
    place: Callable[[UUID, UUID], str]
    worded: Callable[[str], str] = str


@dataclass(frozen=True, kw_only=True)
class SealedColumn(EncryptedColumn):
    """One whose ``value`` is a mask; an export may hold it in clear, for a reason."""


@dataclass(frozen=True, kw_only=True)
class OpenedColumn(EncryptedColumn):
    """One that the page shows opened to whoever sees the list: an export holds it so, too."""

    value: ColumnElement[Any] | InstrumentedAttribute[Any] = field(default_factory=lambda: cast(null(), Text))
