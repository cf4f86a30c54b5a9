"""Keyset-paginated lists: a page begins behind a row, which an opaque word in the address, a cursor, names.

A cursor holds the sort it was made for, and the sort key and id of the row that the page follows (or precedes). It
grants nothing: whoever alters one asks for another page of a list that they may see anyway.
"""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, Generic, NamedTuple, Self, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select, literal, tuple_
from sqlalchemy.orm import InstrumentedAttribute

Row = TypeVar("Row")
Shown = TypeVar("Shown")
Statement = TypeVar("Statement", bound=Select[*tuple[Any, ...]])
Column = ColumnElement[Any] | InstrumentedAttribute[Any]

Key = str | int | datetime | date | Decimal
LARGEST_INTEGER = 2**31 - 1
LARGEST_AMOUNT = 10**15


class Order(StrEnum):
    """The orders of a list, as the address says them; a minus turns one round. Each key stands in it both ways."""

    @property
    def is_descending(self) -> bool:
        """Whether the greatest comes first."""
        return self.value.startswith("-")

    @property
    def ascending(self) -> Self:
        """The same key, the least first."""
        return type(self)(self.value.removeprefix("-"))

    @property
    def reverse(self) -> Self:
        """The same key the other way round."""
        return self.ascending if self.is_descending else type(self)(f"-{self.value}")


@dataclass(frozen=True)
class Position:
    """A place between two rows: just after the row (``key``, ``id``), or just before it when ``is_backward``."""

    key: Key
    id: UUID
    is_backward: bool = False


class Page(NamedTuple, Generic[Row]):
    """Rows in order, with the cursors of the pages around them; None where there is no such page."""

    rows: list[Row]
    next_cursor: str | None
    previous_cursor: str | None

    def map(self, show: Callable[[Row], Shown]) -> "Page[Shown]":
        """The same page with each row shown another way."""
        return Page([show(row) for row in self.rows], self.next_cursor, self.previous_cursor)


def page(
    read: Callable[[Position | None], Sequence[Row]],
    start: Position | None,
    *,
    place: Callable[[Row], tuple[Key, UUID]],
    sort: str,
    size: int,
) -> Page[Row]:
    """The page at ``start``, of up to ``size`` rows; the first one where rows went since and left too few.

    ``read`` gives the rows from a position on, one more than ``size`` where there are more, and from the nearest to the
    farthest when it goes backward; ``place`` gives the sort key and the id of a row.
    """
    read_rows = read(start)
    rows, has_more = list(read_rows[:size]), len(read_rows) > size
    if start is None:
        has_next, has_previous = has_more, False
    elif not rows or (start.is_backward and len(rows) < size):
        return page(read, None, place=place, sort=sort, size=size)
    elif start.is_backward:
        rows.reverse()
        has_next, has_previous = True, has_more
    else:
        has_next, has_previous = has_more, True
    return Page(
        rows,
        encode(Position(*place(rows[-1])), sort=sort) if has_next else None,
        encode(Position(*place(rows[0]), is_backward=True), sort=sort) if has_previous else None,
    )


def cut(
    statement: Statement, order: Sequence[Column], start: Position | None, *, is_descending: bool, size: int
) -> Statement:
    """The statement in ``order``, from ``start`` on, a page and a row of it.

    ``order`` ends with the sort key and the id, or is the id alone: its cursors hold any key.
    """
    is_descending = is_descending != bool(start and start.is_backward)
    if start is not None:
        here = order[-2:]
        values = (start.key, start.id)[-len(here) :]
        there = [literal(value, column.type) for value, column in zip(values, here, strict=True)]
        is_beyond = tuple_(*here) < tuple_(*there) if is_descending else tuple_(*here) > tuple_(*there)
        statement = statement.where(is_beyond)
    return statement.order_by(*(each.desc() if is_descending else each.asc() for each in order)).limit(size + 1)


def encode(position: Position, *, sort: str) -> str:
    """The cursor for a position in a list sorted by ``sort``."""
    key = position.key if isinstance(position.key, str | int) else _written(position.key)
    content = json.dumps([sort, key, position.id.hex, int(position.is_backward)], ensure_ascii=False)
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def _written(key: datetime | date | Decimal) -> str:
    return str(key) if isinstance(key, Decimal) else key.isoformat()


def decode(cursor: str | None, *, sort: str, kind: type[Key]) -> Position | None:
    """The position that a cursor names; None for one of another sort, and for anything that is no cursor at all."""
    if not cursor:
        return None
    try:
        content = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        made_for, key, row_id, is_backward = json.loads(content)
        if made_for != sort:
            return None
        return Position(_typed(key, kind), UUID(hex=row_id), bool(is_backward))
    except (ValueError, TypeError, AttributeError, binascii.Error, InvalidOperation, RecursionError):
        return None


def _typed(key: object, kind: type[Key]) -> Key:
    if kind is datetime:
        instant = datetime.fromisoformat(str(key))
        if instant.tzinfo is None:
            raise ValueError("an instant without a zone")
        return instant
    if kind is date:
        return date.fromisoformat(str(key))
    if kind is Decimal:
        return _finite(Decimal(str(key)))
    if kind is int and type(key) is int and abs(key) <= LARGEST_INTEGER:
        return key
    if kind is str and isinstance(key, str) and "\0" not in key:
        key.encode()  # a lone surrogate is no text
        return key
    raise ValueError("not a key of this sort")


def _finite(number: Decimal) -> Decimal:
    if not number.is_finite() or abs(number) >= LARGEST_AMOUNT:
        raise ValueError("not a number that rows could have")
    return number
