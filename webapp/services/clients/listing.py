"""The clients page: which clients, in what order, and how many.

Every sort has an index, on its own and behind each filter (webapp/models/clients.py), so that any page of any
view is read by walking an index from the cursor on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, func, literal, or_, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from webapp import tenancy
from webapp.extensions import db
from webapp.models import clients, commercials
from webapp.models.clients import Client, ClientStatus, Source
from webapp.models.commercials import Commercial
from webapp.services import keyset
from webapp.services.clients.search import Term, find_terms

PAGE_SIZE = 50
COUNT_CAP = 10_000


class SourceFilter(StrEnum):
    """Where clients come from, as the address says it."""

    CRM = "crm"
    WINLEADPLUS = "winleadplus"
    WOOCOMMERCE = "woocommerce"

    @property
    def label(self) -> str:
        """The word on the screen."""
        return {"crm": "CRM", "winleadplus": "WinLeadPlus", "woocommerce": "WooCommerce"}[self.value]

    @property
    def stored(self) -> Source | None:
        """What such clients carry; those made in the CRM carry nothing."""
        return {"winleadplus": Source.WINLEADPLUS, "woocommerce": Source.WOOCOMMERCE}.get(self.value)


class Sort(StrEnum):
    """The orders of the list, as the address says them; a minus turns one round."""

    NAME = "nom"
    NAME_DESCENDING = "-nom"
    CITY = "ville"
    CITY_DESCENDING = "-ville"
    CHANGED = "modification"
    CHANGED_DESCENDING = "-modification"
    CONTRACTS = "contrats"
    CONTRACTS_DESCENDING = "-contrats"

    @property
    def is_descending(self) -> bool:
        """Whether the greatest comes first."""
        return self.value.startswith("-")

    @property
    def ascending(self) -> "Sort":
        """The same key, the least first."""
        return Sort(self.value.removeprefix("-"))

    @property
    def reverse(self) -> "Sort":
        """The same key the other way round."""
        return self.ascending if self.is_descending else Sort(f"-{self.value}")


WITHOUT_COMMERCIAL: Final = "sans-commercial"


@dataclass(frozen=True)
class ClientsView:
    """What the list shows: a search, filters (None lets all through), an order, and where the page starts."""

    search: str = ""
    source: SourceFilter | None = None
    status: ClientStatus | None = None
    commercial: UUID | Literal["sans-commercial"] | None = None
    sort: Sort = Sort.NAME
    cursor: str = ""

    @property
    def is_narrowed(self) -> bool:
        """Whether a search or a filter leaves clients out."""
        return bool(self.search or self.source or self.status or self.commercial)


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


class Count(NamedTuple):
    """How many clients match; at least ``number`` when it ``is_capped``."""

    number: int
    is_capped: bool


class Page(NamedTuple):
    """Rows in order, with the cursors of the pages around them; None where there is no such page."""

    rows: list[ClientRow]
    next_cursor: str | None
    previous_cursor: str | None


class Listing(NamedTuple):
    """The page that a view asks for, and how many clients the view holds in all."""

    page: Page
    total: Count


# Columns, not entities: rows to read need no identity map. Those that make a commercial's name come last.
_COMMERCIAL = (Commercial.first_name, Commercial.last_name, Commercial.email, Commercial.external_id)
_COLUMNS = (
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
_KEYS: dict[Sort, tuple[InstrumentedAttribute[Any], type[keyset.Key]]] = {
    Sort.NAME: (Client.name_key, str),
    Sort.CITY: (Client.city_key, str),
    Sort.CHANGED: (Client.changed_at, datetime),
    Sort.CONTRACTS: (Client.contracts_count, int),
}


def list_clients(view: ClientsView, *, exact: bool = False) -> Listing:
    """The clients of a view, a page of them, and their number; ``exact`` counts beyond COUNT_CAP.

    A cursor that is none, was made for another sort, or leads past the last row gives the first page.
    """
    terms = find_terms(view.search)
    total = _count(view, terms, exact=exact)
    position = keyset.decode(view.cursor, sort=view.sort, kind=_KEYS[view.sort.ascending][1])
    page = _find_page(view, terms, position, is_scarce=bool(terms) and total.number < COUNT_CAP)
    return Listing(page, total)


def count_clients(view: ClientsView, *, exact: bool = False) -> Count:
    """How many clients a view holds, wherever its page starts; ``exact`` counts beyond COUNT_CAP."""
    return _count(view, find_terms(view.search), exact=exact)


def _count(view: ClientsView, terms: list[Term], *, exact: bool) -> Count:
    matches = select(literal(1)).select_from(Client).where(*_conditions(view, terms))
    if not exact:
        matches = matches.limit(COUNT_CAP + 1)
    number = db.session.execute(select(func.count()).select_from(matches.subquery())).scalar_one()
    is_capped = number > COUNT_CAP and not exact
    return Count(COUNT_CAP if is_capped else number, is_capped)


def _conditions(view: ClientsView, terms: list[Term]) -> list[ColumnElement[bool]]:
    """What a client must meet. Names the organisation: the session's criterion does not reach a count's subquery."""
    return [
        Client.organisation_id == tenancy.current_organisation_id(),
        *(column == value for column, value in _filters(view)),
        *(or_(*(Client.search_text.like(pattern) for pattern in term)) for term in terms),
    ]


def _filters(view: ClientsView) -> list[tuple[InstrumentedAttribute[Any], Any]]:
    """Columns and the value that each must have (None is NULL), the most telling filter first."""
    filters: list[tuple[InstrumentedAttribute[Any], Any]] = []
    if view.commercial:
        filters.append((Client.commercial_id, None if view.commercial == WITHOUT_COMMERCIAL else view.commercial))
    if view.source:
        filters.append((Client.source, view.source.stored))
    if view.status:
        filters.append((Client.status, view.status))
    return filters


def _find_page(view: ClientsView, terms: list[Term], position: keyset.Position | None, *, is_scarce: bool) -> Page:
    found = db.session.execute(_page_statement(view, terms, position, is_scarce=is_scarce)).all()
    has_more, found = len(found) > PAGE_SIZE, found[:PAGE_SIZE]
    if position is None:
        return _page(view, found, has_next=has_more)
    if not found or (position.is_backward and len(found) < PAGE_SIZE):
        return _find_page(view, terms, None, is_scarce=is_scarce)  # rows went since: start over, not show a stump
    if position.is_backward:
        return _page(view, found[::-1], has_next=True, has_previous=has_more)
    return _page(view, found, has_next=has_more, has_previous=True)


def _page_statement(
    view: ClientsView, terms: list[Term], position: keyset.Position | None, *, is_scarce: bool
) -> Select[*tuple[Any, ...]]:
    key, _ = _KEYS[view.sort.ascending]
    is_descending = view.sort.is_descending != bool(position and position.is_backward)
    order = [column.desc() if is_descending else column.asc() for column in _order(view, key, is_scarce=is_scarce)]
    statement: Select[*tuple[Any, ...]] = select(key, *_COLUMNS).outerjoin(Client.commercial)
    statement = statement.where(*_conditions(view, terms)).order_by(*order).limit(PAGE_SIZE + 1)
    if position is None:
        return statement
    here, there = tuple_(key, Client.id), tuple_(literal(position.key, key.type), literal(position.id))
    return statement.where(here < there if is_descending else here > there)


def _order(view: ClientsView, key: InstrumentedAttribute[Any], *, is_scarce: bool) -> list[ColumnElement[Any]]:
    """The sort key and the id, written so that the planner takes the index meant for the view.

    A scarce search must not walk the sort's index in hope of matches: whoever looks for « martin » by name would
    wait until it arrives at M. No index has ``greatest(key)``, so the matches are found first, then sorted.
    A filter on NULL is no constant in the planner's eyes: led by its column, the filter's index gives the order.
    """
    if is_scarce:
        return [func.greatest(key), Client.id.expression]
    leading = [column.expression for column, value in _filters(view)[:1] if value is None]
    return [*leading, key.expression, Client.id.expression]


def _page(
    view: ClientsView, found: Sequence[Row[*tuple[Any, ...]]], *, has_next: bool, has_previous: bool = False
) -> Page:
    return Page(
        rows=[_row(each) for each in found],
        next_cursor=_cursor(view, found[-1]) if has_next else None,
        previous_cursor=_cursor(view, found[0], is_backward=True) if has_previous else None,
    )


def _cursor(view: ClientsView, row: Row[*tuple[Any, ...]], *, is_backward: bool = False) -> str:
    return keyset.encode(keyset.Position(row[0], row.id, is_backward), sort=view.sort)


def _row(found: Row[*tuple[Any, ...]]) -> ClientRow:
    return ClientRow(
        id=found.id,
        name=clients.full_name(found.last_name, found.first_name),
        source=found.source,
        email=found.email,
        phone=found.phone,
        city=found.city,
        commercial=_commercial_name(found) if found.commercial_id else None,
        status=found.status,
        contracts_count=found.contracts_count,
        changed_at=found.changed_at,
    )


def _commercial_name(found: Row[*tuple[Any, ...]]) -> str:
    return commercials.full_name(*found[-len(_COMMERCIAL) :])


def list_all_commercials() -> list[tuple[UUID, str]]:
    """Id and name of every commercial, by name; those who left too, since clients may still be theirs."""
    statement = select(Commercial.id, *_COMMERCIAL).order_by(Commercial.name_key, Commercial.id)
    return [(found.id, _commercial_name(found)) for found in db.session.execute(statement)]
