"""The clients page: which clients, in what order, and how many.

Every sort has an index, on its own and behind each filter (webapp/models/clients.py), so that any page of any
view is read by walking an index from the cursor on.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
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
from webapp.models.clients import Client, ClientStatus, Source
from webapp.models.commercials import Commercial
from webapp.models.consents import PresentConsent
from webapp.services import capped_counts, keyset
from webapp.services.capped_counts import Count
from webapp.services.clients.search import find_terms
from webapp.services.clients.selection import (
    ClientSort,
    ClientsView,
    Conditions,
    ConsentFilter,
    ConsentStanding,
    conditions_of,
    filters_of,
    stands_to,
)

Statement = Select[*tuple[Any, ...]]
ResultRow = Row[*tuple[Any, ...]]
Column = ColumnElement[Any] | InstrumentedAttribute[Any]

PAGE_SIZE = 50
KEPT = 256
"""Statements that are kept, by view."""
_UNCOUNTED = literal(0)


class _Way(StrEnum):
    """What a page holds: the first rows, or those after or before the row at the parameters ``key`` and ``id``."""

    START = "start"
    AFTER = "after"
    BEFORE = "before"


class ClientRow(NamedTuple):
    """A line of the list."""

    id: UUID
    name: str
    source: Source | None
    email: str | None
    phone: str | None
    city: str | None
    status: ClientStatus
    contracts_count: int
    changed_at: datetime
    commercial: str | None


class ClientList(NamedTuple):
    """The page that a view asks for, and how many clients the view holds in all."""

    page: keyset.Page[ClientRow]
    total: Count


class Neighbours(NamedTuple):
    """The clients before and after one in a view; None at its ends."""

    previous: UUID | None
    next: UUID | None


# Columns, not entities: rows to read need no identity map.
_COMMERCIAL = tuple(
    column.label(f"commercial_{column.key}")
    for column in (Commercial.first_name, Commercial.last_name, Commercial.email, Commercial.external_id)
)
_COMMERCIALS = select(Commercial.id, *_COMMERCIAL).order_by(Commercial.name_key, Commercial.id)
_COLUMNS: tuple[Column, ...] = (
    Client.id,
    Client.last_name,
    Client.first_name,
    Client.source,
    Client.email,
    Client.phone,
    Client.city,
    Client.status,
    Client.contracts_count,
    Client.changed_at,
    Client.commercial_id,
    *_COMMERCIAL,
)

# What each order sorts by, and how a cursor holds it.
_KEYS: dict[ClientSort, tuple[InstrumentedAttribute[Any], type[keyset.Key]]] = {
    ClientSort.NAME: (Client.name_key, str),
    ClientSort.CITY: (Client.city_key, str),
    ClientSort.CHANGED: (Client.changed_at, datetime),
    ClientSort.CONTRACTS: (Client.contracts_count, int),
}


def list_clients(view: ClientsView, *, exact: bool = False) -> ClientList:
    """The clients of a view, a page of them, and their number; ``exact`` counts beyond COUNT_CAP.

    A cursor that is none, was made for another sort, or leads past the last row gives the first page.
    """
    position = keyset.decode(view.cursor, sort=view.sort, kind=_KEYS[view.sort.ascending][1])
    if _is_plain(view):
        kept = replace(view, cursor="")
        statement = partial(_plain_gathering, kept) if _are_few(view.consent) else partial(_plain_page, kept, exact)
        clients_page = _read(view, position, statement)
    else:
        clients_page = _search(view, position, exact)
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
        return _neighbours(_nearest(_plain_nearest(replace(view, cursor=""), _are_few(view.consent)), here))
    terms = find_terms(view.search)
    conditions = conditions_of(view, terms)
    if terms:
        nearest = _nearest(_both_ways(partial(_gathering, view, conditions, columns=[Client.id])), here)
        if all(row.total <= capped_counts.COUNT_CAP for row in nearest.values()):
            return _neighbours(nearest)
    return _neighbours(_nearest(_both_ways(partial(_walking, view, conditions, _UNCOUNTED, columns=[Client.id])), here))


def _is_plain(view: ClientsView) -> bool:
    """Whether its statement needs nothing looked up first, and may be kept: making it costs more than running it."""
    return not view.search and view.team is None and not view.absent


def _are_few(consent: ConsentFilter | None) -> bool:
    """Whether those who stand so to the purpose are gathered, as what a search finds is: they may be anywhere in the
    order. Those who have not given are most of all, unless nearly everybody has.
    """
    if consent is None or not _is_asked_first(consent):
        return False
    most = {"most": capped_counts.COUNT_CAP + 1}
    return db.session.execute(_number_who_stand(consent), most).scalar_one() <= capped_counts.COUNT_CAP


def _is_asked_first(consent: ConsentFilter | None) -> bool:
    return consent is not None and consent.standing is not ConsentStanding.NOT_GIVEN


@lru_cache(maxsize=KEPT)
def _number_who_stand(consent: ConsentFilter) -> Select[int]:
    found = select(PresentConsent.client_id).where(*stands_to(consent)).limit(bindparam("most", type_=Integer))
    return select(func.count()).select_from(found.subquery())


@lru_cache(maxsize=KEPT)
def _plain_page(view: ClientsView, exact: bool, way: _Way) -> Statement:
    conditions = conditions_of(view, [])
    is_known = not exact and _is_asked_first(view.consent) and not replace(view, consent=None).is_narrowed
    number = literal(capped_counts.COUNT_CAP + 1) if is_known else _number_of(conditions, exact)
    return _walking(view, conditions, number, way)


@lru_cache(maxsize=KEPT)
def _plain_gathering(view: ClientsView, way: _Way) -> Statement:
    return _gathering(view, conditions_of(view, []), way)


@lru_cache(maxsize=KEPT)
def _plain_nearest(view: ClientsView, are_few: bool) -> CompoundSelect[*tuple[Any, ...]]:
    conditions = conditions_of(view, [])
    if are_few:
        return _both_ways(partial(_gathering, view, conditions, columns=[Client.id]))
    return _both_ways(partial(_walking, view, conditions, _UNCOUNTED, columns=[Client.id]))


def _search(view: ClientsView, position: keyset.Position | None, exact: bool) -> ClientList:
    """Gathered, if the matches are not too many; else, and for a team, by walking."""
    terms = find_terms(view.search)
    conditions = conditions_of(view, terms)
    number = _number_of(conditions, exact)
    if terms or view.absent:  # who is absent may be anywhere in the order, and is one of few
        gathered = _read(view, position, partial(_gathering, view, conditions))
        if gathered.total.number <= capped_counts.COUNT_CAP:
            return gathered
        number = number if exact else literal(gathered.total.number)
    return _read(view, position, partial(_walking, view, conditions, number))


def _both_ways(statement: Callable[[_Way], Statement]) -> CompoundSelect[*tuple[Any, ...]]:
    """The first row before and after the position, in one statement."""
    parts = [(literal(way), statement(way).limit(1).subquery().c) for way in (_Way.BEFORE, _Way.AFTER)]
    return union_all(*(select(way.label("way"), part.id, part.total) for way, part in parts))


def _nearest(statement: CompoundSelect[*tuple[Any, ...]], here: keyset.Position) -> dict[_Way, ResultRow]:
    return {_Way(row.way): row for row in db.session.execute(statement, {"key": here.key, "id": here.id})}


def _neighbours(nearest: dict[_Way, ResultRow]) -> Neighbours:
    previous, following = nearest.get(_Way.BEFORE), nearest.get(_Way.AFTER)
    return Neighbours(previous.id if previous else None, following.id if following else None)


def _read(view: ClientsView, position: keyset.Position | None, statement: Callable[[_Way], Statement]) -> ClientList:
    def read(start: keyset.Position | None) -> Sequence[ResultRow]:
        if start is None:
            return db.session.execute(statement(_Way.START)).all()
        way = _Way.BEFORE if start.is_backward else _Way.AFTER
        return db.session.execute(statement(way), {"key": start.key, "id": start.id}).all()

    page = keyset.page(read, position, place=lambda row: (row[0], row.id), sort=view.sort, size=PAGE_SIZE)
    return ClientList(page.map(_row), Count(page.rows[0].total if page.rows else 0, is_capped=False))


def _walking(
    view: ClientsView,
    conditions: Conditions,
    number: ColumnElement[int],
    way: _Way,
    columns: Sequence[Column] = _COLUMNS,
) -> Statement:
    """Walk the sort's index until the page is full.

    A filter on NULL is no constant in the planner's eyes: led by its column, the order is that of the filter's index.
    """
    key, _ = _KEYS[view.sort.ascending]
    leading = [column for column, value in filters_of(view)[:1] if value is None]
    statement = select(key, *columns, number.label("total")).outerjoin(Client.commercial)
    return _cut(view, statement.where(*conditions), [*leading, key, Client.id], way)


def _gathering(
    view: ClientsView,
    conditions: Conditions,
    way: _Way,
    columns: Sequence[Column] = _COLUMNS,
) -> Statement:
    """Gather the search's matches, one more than COUNT_CAP at most, and sort them; ``total`` is their number.

    Walking would be slow where matches lie together: whoever looks for « martin » by name would wait until the walk
    arrives at M, and the planner does not know that it is far.
    """
    key, _ = _KEYS[view.sort.ascending]
    matches = select(key.label("key"), Client.id).where(*conditions).limit(capped_counts.COUNT_CAP + 1).cte()
    total = select(func.count()).select_from(matches).scalar_subquery()
    page = _cut(view, select(matches.c.id, total.label("total")), [matches.c.key, matches.c.id], way).subquery()
    statement = select(key, *columns, page.c.total).join(page, Client.id == page.c.id).outerjoin(Client.commercial)
    return _cut(view, statement, [key, Client.id], way)


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


def _row(row: ResultRow) -> ClientRow:
    return ClientRow(
        id=row.id,
        name=clients.full_name(row.last_name, row.first_name),
        source=row.source,
        email=row.email,
        phone=row.phone,
        city=row.city,
        commercial=_commercial_name(row) if row.commercial_id else None,
        status=row.status,
        contracts_count=row.contracts_count,
        changed_at=row.changed_at,
    )


def _commercial_name(row: ResultRow) -> str:
    return commercials.full_name(
        row.commercial_first_name, row.commercial_last_name, row.commercial_email, row.commercial_external_id
    )


def list_all_commercials() -> list[tuple[UUID, str]]:
    """Id and name of every commercial, by name; those who left too, since clients may still be theirs."""
    return [(row.id, _commercial_name(row)) for row in db.session.execute(_COMMERCIALS)]
