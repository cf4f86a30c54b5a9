"""The clients page: which clients, in what order, and how many.

Every sort has an index, on its own and behind each filter (webapp/models/clients.py), so that any page of any
view is read by walking an index from the cursor on.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache, partial
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Integer,
    Row,
    Select,
    bindparam,
    func,
    literal,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.orm import InstrumentedAttribute

from webapp.extensions import db
from webapp.models import clients, commercials
from webapp.models.clients import Client, Source
from webapp.models.commercials import Commercial
from webapp.services import capped_counts, keyset
from webapp.services.capped_counts import Count
from webapp.services.clients import columns as offered
from webapp.services.clients.search import find_terms
from webapp.services.clients.selection import (
    ClientSort,
    ClientsView,
    Conditions,
    ConsentStanding,
    bounds_of,
    conditions_of,
    filters_of,
)
from webapp.services.list_columns import ValueKind

Statement = Select[*tuple[Any, ...]]
ResultRow = Row[*tuple[Any, ...]]
Column = ColumnElement[Any] | InstrumentedAttribute[Any]

PAGE_SIZE = 50
CELL = "cell-"
KEPT = 256
"""Statements that are kept, by view."""
_UNCOUNTED = literal(0)


class _Way(StrEnum):
    """What a page holds: the first rows, or those after or before the row at the parameters ``key`` and ``id``."""

    START = "start"
    AFTER = "after"
    BEFORE = "before"


class ClientRow(NamedTuple):
    """A line of the list; ``cells`` are the values of its columns, by key."""

    id: UUID
    name: str
    source: Source | None
    cells: dict[str, Any]


class ClientList(NamedTuple):
    """The page that a view asks for, and how many clients the view holds in all."""

    page: keyset.Page[ClientRow]
    total: Count


class Neighbours(NamedTuple):
    """The clients before and after one in a view; None at its ends."""

    previous: UUID | None
    next: UUID | None


_COMMERCIALS = select(Commercial.id, commercials.full_name_in_sql()).order_by(Commercial.name_key, Commercial.id)
# What each line needs, whatever its columns. Columns, not entities: rows to read need no identity map.
_BASE: tuple[Column, ...] = (Client.id, Client.last_name, Client.first_name, Client.source)

# What each order sorts by, and how a cursor holds it.
_KEYS: dict[ClientSort, tuple[InstrumentedAttribute[Any], type[keyset.Key]]] = {
    ClientSort.NAME: (Client.name_key, str),
    ClientSort.CITY: (Client.city_key, str),
    ClientSort.CHANGED: (Client.changed_at, datetime),
    ClientSort.CONTRACTS: (Client.contracts_count, int),
    ClientSort.CREATED: (Client.created_at, datetime),
}


def list_clients(view: ClientsView, *, columns: tuple[str, ...] = offered.DEFAULT, exact: bool = False) -> ClientList:
    """The clients of a view, a page of them, and their number; ``exact`` counts beyond COUNT_CAP.

    ``columns`` are keys of ``columns.COLUMNS``: nothing else is read. A cursor that is none, was made for another sort,
    or leads past the last row gives the first page.
    """
    position = keyset.decode(view.cursor, sort=view.sort, kind=_KEYS[view.sort.ascending][1])
    if _is_plain(view):
        kept = replace(view, cursor="")
        are_few = _are_few(view)
        statement = partial(_plain_gathering, kept, columns) if are_few else partial(_plain_page, kept, columns, exact)
        clients_page = _read(view, position, columns, statement)
    else:
        clients_page = _search(view, position, columns, exact)
    return clients_page._replace(total=capped_counts.capped(clients_page.total.number, exact=exact))


def select_all(view: ClientsView) -> Statement:
    """Every client of a view in its order, joined with their commercials: an export adds the columns."""
    key, _ = _KEYS[view.sort.ascending]
    statement = select(Client.id).outerjoin(Client.commercial).where(*conditions_of(view, find_terms(view.search)))
    return statement.order_by(*(each.desc() if view.sort.is_descending else each for each in (key, Client.id)))


def count_clients(view: ClientsView, *, exact: bool = False) -> Count:
    """How many clients a view holds, wherever its page starts; ``exact`` counts beyond COUNT_CAP."""
    number = db.session.execute(select(_number_of(conditions_of(view, find_terms(view.search)), exact))).scalar_one()
    return capped_counts.capped(number, exact=exact)


def find_neighbours(view: ClientsView, client: Client) -> Neighbours:
    """Who comes before and after a client in the view's order, whether the view still holds the client or not."""
    key, _ = _KEYS[view.sort.ascending]
    here = keyset.Position(getattr(client, key.key), client.id)
    if _is_plain(view):
        return _neighbours(_nearest(_plain_nearest(replace(view, cursor=""), _are_few(view)), here))
    terms = find_terms(view.search)
    conditions = conditions_of(view, terms)
    if terms:
        nearest = _nearest(_both_ways(partial(_gathering, view, conditions, ())), here)
        if all(row.total <= capped_counts.COUNT_CAP for row in nearest.values()):
            return _neighbours(nearest)
    return _neighbours(_nearest(_both_ways(partial(_walking, view, conditions, (), _UNCOUNTED)), here))


def _is_plain(view: ClientsView) -> bool:
    """Whether its statement needs nothing looked up first, and may be kept: making it costs more than running it."""
    return not view.search and view.team is None and not view.absent


def _are_few(view: ClientsView) -> bool:
    """Whether a filter leaves so few clients that they are gathered, as what a search finds is: they may be anywhere
    in the order. Those who lack something are most of all, unless nearly everybody has it.
    """
    numbers = _bounds(replace(view, cursor=""))
    if numbers is None:
        return False
    most = {"most": capped_counts.COUNT_CAP + 1}
    return bool(min(db.session.execute(numbers, most).one()) <= capped_counts.COUNT_CAP)


@lru_cache(maxsize=KEPT)
def _bounds(view: ClientsView) -> Statement | None:
    """How many rows each of the view's bounds has, up to one more than COUNT_CAP."""
    numbers = [
        select(func.count()).select_from(rows.limit(bindparam("most", type_=Integer)).subquery()).scalar_subquery()
        for rows in bounds_of(view)
    ]
    return select(*numbers) if numbers else None


@lru_cache(maxsize=KEPT)
def _plain_page(view: ClientsView, columns: tuple[str, ...], exact: bool, way: _Way) -> Statement:
    conditions = conditions_of(view, [])
    number = literal(capped_counts.COUNT_CAP + 1) if _is_known(view) and not exact else _number_of(conditions, exact)
    return _walking(view, conditions, columns, number, way)


def _is_known(view: ClientsView) -> bool:
    """Whether those who are not few are surely more than COUNT_CAP: each has said the one thing that is asked for."""
    consent = view.consent
    is_asked_first = consent is not None and consent.standing is not ConsentStanding.NOT_GIVEN
    return is_asked_first and not replace(view, consent=None).is_narrowed


@lru_cache(maxsize=KEPT)
def _plain_gathering(view: ClientsView, columns: tuple[str, ...], way: _Way) -> Statement:
    return _gathering(view, conditions_of(view, []), columns, way)


@lru_cache(maxsize=KEPT)
def _plain_nearest(view: ClientsView, are_few: bool) -> CompoundSelect[*tuple[Any, ...]]:
    conditions = conditions_of(view, [])
    if are_few:
        return _both_ways(partial(_gathering, view, conditions, ()))
    return _both_ways(partial(_walking, view, conditions, (), _UNCOUNTED))


def _search(view: ClientsView, position: keyset.Position | None, columns: tuple[str, ...], exact: bool) -> ClientList:
    """Gathered, if the matches are not too many; else, and for a team, by walking."""
    terms = find_terms(view.search)
    conditions = conditions_of(view, terms)
    number = _number_of(conditions, exact)
    if terms or view.absent:  # who is absent may be anywhere in the order, and is one of few
        gathered = _read(view, position, columns, partial(_gathering, view, conditions, columns))
        if gathered.total.number <= capped_counts.COUNT_CAP:
            return gathered
        number = number if exact else literal(gathered.total.number)
    return _read(view, position, columns, partial(_walking, view, conditions, columns, number))


def _both_ways(statement: Callable[[_Way], Statement]) -> CompoundSelect[*tuple[Any, ...]]:
    """The first row before and after the position, in one statement."""
    parts = [(literal(way), statement(way).limit(1).subquery().c) for way in (_Way.BEFORE, _Way.AFTER)]
    return union_all(*(select(way.label("way"), part.id, part.total) for way, part in parts))


def _nearest(statement: CompoundSelect[*tuple[Any, ...]], here: keyset.Position) -> dict[_Way, ResultRow]:
    return {_Way(row.way): row for row in db.session.execute(statement, {"key": here.key, "id": here.id})}


def _neighbours(nearest: dict[_Way, ResultRow]) -> Neighbours:
    previous, following = nearest.get(_Way.BEFORE), nearest.get(_Way.AFTER)
    return Neighbours(previous.id if previous else None, following.id if following else None)


def _read(
    view: ClientsView,
    position: keyset.Position | None,
    columns: tuple[str, ...],
    statement: Callable[[_Way], Statement],
) -> ClientList:
    def read(start: keyset.Position | None) -> Sequence[ResultRow]:
        if start is None:
            return db.session.execute(statement(_Way.START)).all()
        way = _Way.BEFORE if start.is_backward else _Way.AFTER
        return db.session.execute(statement(way), {"key": start.key, "id": start.id}).all()

    page = keyset.page(read, position, place=lambda row: (row[0], row.id), sort=view.sort, size=PAGE_SIZE)
    total = Count(page.rows[0].total if page.rows else 0, is_capped=False)
    return ClientList(page.map(partial(_row, columns)), total)


def _walking(
    view: ClientsView, conditions: Conditions, columns: tuple[str, ...], number: ColumnElement[int], way: _Way
) -> Statement:
    """Walk the sort's index until the page is full.

    A filter on NULL is no constant in the planner's eyes: led by its column, the order is that of the filter's index.
    """
    key, _ = _KEYS[view.sort.ascending]
    leading = [column for column, value in filters_of(view)[:1] if value is None]
    statement = _showing(select(key, *_BASE, number.label("total")), columns)
    return _cut(view, statement.where(*conditions), [*leading, key, Client.id], way)


def _gathering(view: ClientsView, conditions: Conditions, columns: tuple[str, ...], way: _Way) -> Statement:
    """Gather the matches, one more than COUNT_CAP at most, and sort them; ``total`` is their number.

    Walking would be slow where matches lie together: whoever looks for « martin » by name would wait until the walk
    arrives at M, and the planner does not know that it is far.
    """
    key, _ = _KEYS[view.sort.ascending]
    matches = select(key.label("key"), Client.id).where(*conditions).limit(capped_counts.COUNT_CAP + 1).cte()
    total = select(func.count()).select_from(matches).scalar_subquery()
    page = _cut(view, select(matches.c.id, total.label("total")), [matches.c.key, matches.c.id], way).subquery()
    statement = _showing(select(key, *_BASE, page.c.total).join(page, Client.id == page.c.id), columns)
    return _cut(view, statement, [key, Client.id], way)


def _showing(statement: Statement, columns: tuple[str, ...]) -> Statement:
    """The statement with the values of the columns, under names that no column of the table has."""
    values = (offered.BY_KEY[key].value.label(CELL + key) for key in columns if key != offered.NAME)
    shown = statement.add_columns(*values)
    return shown.outerjoin(Client.commercial) if offered.OF_COMMERCIALS & set(columns) else shown


def _cut(view: ClientsView, statement: Statement, order: Sequence[Column], way: _Way) -> Statement:
    """The statement in ``order``, which ends with the sort key and the id, a page and a row of it."""
    is_descending = view.sort.is_descending != (way is _Way.BEFORE)
    if way is not _Way.START:
        here, there = (
            tuple_(*order[-2:]),
            tuple_(*(bindparam(name, type_=each.type) for name, each in zip(("key", "id"), order[-2:], strict=True))),
        )
        statement = statement.where(here < there if is_descending else here > there)
    return statement.order_by(*(column.desc() if is_descending else column for column in order)).limit(PAGE_SIZE + 1)


def _number_of(conditions: Conditions, exact: bool) -> ColumnElement[int]:
    matches = select(literal(1)).select_from(Client).where(*conditions)
    counted = matches if exact else matches.limit(capped_counts.COUNT_CAP + 1)
    return select(func.count()).select_from(counted.subquery()).scalar_subquery()


def _row(columns: tuple[str, ...], row: ResultRow) -> ClientRow:
    values = row._mapping
    return ClientRow(
        id=row.id,
        name=clients.full_name(row.last_name, row.first_name),
        source=row.source,
        cells={key: _value(key, values[CELL + key]) for key in columns if key != offered.NAME},
    )


def _value(key: str, value: Any) -> Any:
    if offered.BY_KEY[key].kind is ValueKind.AMOUNTS:
        return {currency: Decimal(amount) for currency, amount in (value or {}).items()}
    return value


def list_all_commercials() -> list[tuple[UUID, str]]:
    """Id and name of every commercial, by name; those who left too, since clients may still be theirs."""
    return [(each_id, name or "") for each_id, name in db.session.execute(_COMMERCIALS)]
