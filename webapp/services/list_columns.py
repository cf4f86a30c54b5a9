"""What a list can show of its rows: columns that people choose, saved views name, and exports write."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement
from sqlalchemy.orm import InstrumentedAttribute

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
