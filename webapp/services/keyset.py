"""Cursors of keyset-paginated lists: where a page starts, as an opaque word for addresses.

A cursor holds the sort it was made for, and the sort key and id of the row that the page follows (or precedes). It
grants nothing: whoever alters one asks for another page of a list that they may see anyway.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

Key = str | int | datetime
LARGEST_INTEGER = 2**31 - 1


@dataclass(frozen=True)
class Position:
    """A place between two rows: just after the row (``key``, ``id``), or just before it when ``is_backward``."""

    key: Key
    id: UUID
    is_backward: bool = False


def encode(position: Position, *, sort: str) -> str:
    """The cursor for a position in a list sorted by ``sort``."""
    key = position.key.isoformat() if isinstance(position.key, datetime) else position.key
    content = json.dumps([sort, key, position.id.hex, int(position.is_backward)], ensure_ascii=False)
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def decode(cursor: str, *, sort: str, kind: type[Key]) -> Position | None:
    """The position that a cursor names; None for one of another sort, and for anything that is no cursor at all."""
    try:
        content = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        made_for, key, row_id, is_backward = json.loads(content)
        if made_for != sort:
            return None
        return Position(_typed(key, kind), UUID(hex=row_id), bool(is_backward))
    except (ValueError, TypeError, AttributeError, binascii.Error, RecursionError):
        return None


def _typed(key: object, kind: type[Key]) -> Key:
    if kind is datetime:
        instant = datetime.fromisoformat(str(key))
        if instant.tzinfo is None:
            raise ValueError("an instant without a zone")
        return instant
    if kind is int and type(key) is int and abs(key) <= LARGEST_INTEGER:
        return key
    if kind is str and isinstance(key, str) and "\0" not in key:
        key.encode()  # a lone surrogate is no text
        return key
    raise ValueError("not a key of this sort")
