"""The list of contracts: which, in what order, and how many.

Every sort has an index, that of signature behind each filter too (webapp/models/contracts.py), so that a page is read
by walking an index from the cursor on.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, func, literal, select
from sqlalchemy.orm import InstrumentedAttribute

from webapp.extensions import db
from webapp.models import clients, commercials
from webapp.models.clients import Client, Source
from webapp.models.commercials import Commercial, Team
from webapp.models.contracts import Contract, ContractStatus
from webapp.models.organisations import Company
from webapp.models.products import Product
from webapp.services import capped_counts, keyset, list_columns
from webapp.services.contracts import counting
from webapp.services.contracts.search import search_conditions
from webapp.services.contracts.selection import NOBODY, ContractSort, ContractsView, row_conditions
from webapp.services.list_columns import ListColumn

Statement = Select[*tuple[Any, ...]]
ResultRow = Row[*tuple[Any, ...]]

PAGE_SIZE = 50


class ContractRow(NamedTuple):
    """A line of the list. ``status_label`` is upstream's word where we have none of our own."""

    id: UUID
    reference: str
    client_id: UUID
    client: str
    source: Source | None
    status: ContractStatus
    status_label: str
    products: list[str]
    amount: Decimal | None
    currency: str
    commercial_id: UUID | None
    commercial: str | None
    signed_on: date | None
    starts_on: date | None
    ends_on: date | None
    withdrawal_day: int | None


class Total(NamedTuple):
    """How many contracts match, at least ``number`` when it ``is_capped``; amounts by currency where they are known."""

    number: int
    is_capped: bool
    amounts: Mapping[str, Decimal] | None


class ContractList(NamedTuple):
    """The page that a view asks for, and how many contracts the view holds in all."""

    page: keyset.Page[ContractRow]
    total: Total


class Choices(NamedTuple):
    """What the filters offer, by id and name."""

    teams: list[tuple[UUID, str]]
    commercials: list[tuple[UUID, str]]
    companies: list[tuple[UUID, str]]
    products: list[tuple[UUID, str]]


# Columns, not entities: rows to read need no identity map. Those that make a commercial's name come last.
_COMMERCIAL = (Commercial.first_name, Commercial.last_name, Commercial.email, Commercial.external_id)
_COLUMNS = (
    Contract.id,
    Contract.reference,
    Contract.client_id,
    Contract.source,
    Contract.status,
    Contract.status_raw,
    Contract.product_ids,
    Contract.amount,
    Contract.currency,
    Contract.commercial_id,
    Contract.signed_on,
    Contract.starts_on,
    Contract.ends_on,
    Contract.withdrawal_day,
    Client.last_name.label("client_last_name"),
    Client.first_name.label("client_first_name"),
)

# What each order sorts by, and how a cursor holds it.
_KEYS: dict[ContractSort, tuple[InstrumentedAttribute[Any], type[keyset.Key]]] = {
    ContractSort.SIGNED: (Contract.signed_key, date),
    ContractSort.AMOUNT: (Contract.amount_key, Decimal),
    ContractSort.ENDS: (Contract.ends_key, date),
}


def list_contracts(view: ContractsView, *, exact: bool = False) -> ContractList:
    """The contracts of a view, a page of them, and their number; ``exact`` counts beyond COUNT_CAP.

    A cursor that is none, was made for another sort, or leads past the last row gives the first page.
    """
    total = count_contracts(view, exact=exact)
    return ContractList(_find_page(view, is_scarce=_is_scarce(view, total)), total)


def select_all(view: ContractsView) -> Statement:
    """Every contract of a view in its order, joined with clients, commercials and companies: an export adds columns."""
    key, _ = _KEYS[view.sort.ascending]
    statement = (
        select(Contract.id)
        .join(Contract.client)
        .outerjoin(Contract.commercial)
        .join(Contract.company)
        .where(*row_conditions(view), *search_conditions(view.search))
    )
    return statement.order_by(*(each.desc() if view.sort.is_descending else each for each in (key, Contract.id)))


def read_cells(ids: Sequence[UUID], columns: Sequence[ListColumn]) -> dict[UUID, dict[str, Any]]:
    """What columns that are not in each row hold of the rows of a page, by row and key."""
    return list_columns.read_cells(select_all(ContractsView()), Contract.id, ids, columns)


def count_contracts(view: ContractsView, *, exact: bool = False) -> Total:
    """How many contracts a view holds, wherever its page starts; ``exact`` counts beyond COUNT_CAP."""
    if exact or counting.is_quick(view):
        figure = counting.count(view)
        return Total(figure.contracts, False, figure.amounts)
    matches = select(literal(1)).select_from(Contract).where(*row_conditions(view), *search_conditions(view.search))
    counted = select(func.count()).select_from(matches.limit(capped_counts.COUNT_CAP + 1).subquery())
    return Total(*capped_counts.capped(db.session.execute(counted).scalar_one()), None)


def _is_scarce(view: ContractsView, total: Total) -> bool:
    """Whether matches should be found before they are sorted, rather than met while walking the sort's index."""
    return bool(view.search or view.product) and total.number < capped_counts.COUNT_CAP


def _find_page(view: ContractsView, *, is_scarce: bool) -> keyset.Page[ContractRow]:
    key, kind = _KEYS[view.sort.ascending]
    statement: Statement = (
        select(*_COLUMNS, key.label("sort_key"), *_COMMERCIAL)
        .join(Contract.client)
        .outerjoin(Contract.commercial)
        .where(*row_conditions(view), *search_conditions(view.search))
    )

    def read(start: keyset.Position | None) -> Sequence[ResultRow]:
        page = keyset.cut(statement, order, start, is_descending=view.sort.is_descending, size=PAGE_SIZE)
        return db.session.execute(page).all()

    order = _order(view, key, is_scarce=is_scarce)
    start = keyset.decode(view.cursor, sort=view.sort, kind=kind)
    page = keyset.page(read, start, place=lambda row: (row.sort_key, row.id), sort=view.sort, size=PAGE_SIZE)
    sold = {product_id for row in page.rows for product_id in row.product_ids}
    names = dict(_named(select(Product.id, Product.name).where(Product.id.in_(sold))))
    return page.map(lambda row: _row(row, names))


def _order(view: ContractsView, key: InstrumentedAttribute[Any], *, is_scarce: bool) -> list[ColumnElement[Any]]:
    """The sort key and the id, written so that the planner takes the index meant for the view.

    As in the list of clients: no index has ``greatest(key)``, and a filter on NULL is no constant to the planner.
    """
    if is_scarce:
        return [func.greatest(key, type_=key.type), Contract.id.expression]
    leading: list[ColumnElement[Any]] = []
    if view.sold_by == (NOBODY,):
        leading = [Contract.commercial_id.expression]
    elif view.source and view.source.stored is None:
        leading = [Contract.source.expression]
    return [*leading, key.expression, Contract.id.expression]


def _row(row: ResultRow, product_names: Mapping[UUID, str]) -> ContractRow:
    return ContractRow(
        id=row.id,
        reference=row.reference,
        client_id=row.client_id,
        client=clients.full_name(row.client_last_name, row.client_first_name),
        source=row.source,
        status=row.status,
        status_label=row.status_raw or row.status.label,
        products=sorted(product_names[product_id] for product_id in row.product_ids if product_id in product_names),
        amount=row.amount,
        currency=row.currency,
        commercial_id=row.commercial_id,
        commercial=_commercial_name(row) if row.commercial_id else None,
        signed_on=row.signed_on,
        starts_on=row.starts_on,
        ends_on=row.ends_on,
        withdrawal_day=row.withdrawal_day,
    )


def _commercial_name(row: ResultRow) -> str:
    return commercials.full_name(*row[-len(_COMMERCIAL) :])


def list_choices() -> Choices:
    """What the filters offer, by name; those who left too, since contracts may still be theirs."""
    rows = db.session.execute(select(Commercial.id, *_COMMERCIAL).order_by(Commercial.name_key, Commercial.id))
    return Choices(
        teams=_named(select(Team.id, Team.name).order_by(Team.name)),
        commercials=[(row.id, _commercial_name(row)) for row in rows],
        companies=_named(select(Company.id, Company.name).order_by(Company.name)),
        products=_named(select(Product.id, Product.name).order_by(Product.name_key)),
    )


def _named(statement: Select[UUID, str]) -> list[tuple[UUID, str]]:
    return [(row_id, name) for row_id, name in db.session.execute(statement)]
