"""Cursors of keyset-paginated lists: where a page starts, as an opaque word for addresses.

A cursor holds the sort it was made for, and the sort key and id of the row that the page follows (or precedes). It
grants nothing: whoever alters one asks for another page of a list that they may see anyway.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Self
from uuid import UUID

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


def encode(position: Position, *, sort: str) -> str:
    """The cursor for a position in a list sorted by ``sort``."""
    key = position.key if isinstance(position.key, str | int) else _written(position.key)
    content = json.dumps([sort, key, position.id.hex, int(position.is_backward)], ensure_ascii=False)
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def _written(key: datetime | date | Decimal) -> str:
    return str(key) if isinstance(key, Decimal) else key.isoformat()


def decode(cursor: str, *, sort: str, kind: type[Key]) -> Position | None:
    """The position that a cursor names; None for one of another sort, and for anything that is no cursor at all."""
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
