"""What lists with filters, orders and pages have in common."""

from collections.abc import Callable, Iterable
from datetime import date
from typing import NamedTuple, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from webapp.french import day
from webapp.services.clients import editing
from webapp.services.keyset import Order

T = TypeVar("T")

YEARS = range(1900, 2200)
"""Dates outside are slips of the keyboard."""
IMPOSSIBLE_DAY = f"Cette date n’est pas possible\u202f: l’année va de {YEARS[0]} à {YEARS[-1]}."


def read_client(word: str | None) -> UUID | None:
    """The client whose rows a list is narrowed to: the one that was kept, where that one was merged."""
    client_id = read(UUID, word)
    return editing.follow(client_id) if client_id else None


class Column(NamedTuple):
    """A heading of a table; ``sort`` is the order that a first click on it gives."""

    label: str
    css_class: str = ""
    sort: Order | None = None


class Heading(NamedTuple):
    """A column as the present view shows it: ``direction`` is aria-sort's word, None where it is not the order."""

    label: str
    css_class: str
    key: str | None
    address: str | None
    direction: str | None


class Chip(NamedTuple):
    """A filter that no control of the form shows: what it says, what it adds to the query, and how to do without."""

    text: str
    query: list[tuple[str, str]]
    address_without: str


def heading(column: Column, current: Order | None, address_of: Callable[[Order], str] | None) -> Heading:
    """The heading of a column while the list is in the order ``current``; ``address_of`` gives the list in another."""
    if column.sort is None or current is None or address_of is None:
        return Heading(column.label, column.css_class, key=None, address=None, direction=None)
    is_current = column.sort.ascending == current.ascending
    return Heading(
        column.label,
        column.css_class,
        key=column.sort.ascending.value,
        address=address_of(current.reverse if is_current else column.sort),
        direction=("descending" if current.is_descending else "ascending") if is_current else None,
    )


def with_query(path: str, pairs: Iterable[tuple[str, str]]) -> str:
    """A path with what its query is to say; ``url_for`` would take « name » or « _scheme » for words of its own."""
    query = urlencode(list(pairs))
    return f"{path}?{query}" if query else path


def read(kind: Callable[[str], T], text: str | None) -> T | None:
    """What an address says, or None where it cannot be read."""
    try:
        return kind(text or "")
    except ValueError:
        return None


def read_day(text: str | None) -> date | None:
    """A date that an address says (2026-11-20), or None where it cannot be read or lies beyond any calendar of ours."""
    day = read(date.fromisoformat, text)
    return day if day and day.year in YEARS else None


def has_impossible_day(*texts: str | None) -> bool:
    """Whether an address says a date that is none, or none of ours."""
    return any(text and read_day(text) is None for text in texts)


def backwards(since: date | None, until: date | None) -> str | None:
    """A sentence, where the last day precedes the first."""
    if not (since and until and until < since):
        return None
    return f"La fin de la période ({day(until)}) précède son début ({day(since)})\u202f: dates ignorées."
