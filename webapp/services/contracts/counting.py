"""How many contracts a view holds, and for how much: in all, or by commercial, company, product, status or month.

Whole months are read from the tallies, which are exact at every moment (models/tallies.py); the days of a period that
fill no month, and what tallies do not tell apart, from the contracts themselves. A list's total comes from here, and
so does every number that links to a list.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Date, Select, Uuid, case, cast, func, literal, null, select, union_all
from sqlalchemy.dialects.postgresql import ARRAY, array

from webapp import tenancy
from webapp.extensions import db
from webapp.models.contracts import Contract, ContractStatus
from webapp.models.tallies import ContractTally
from webapp.services.contracts.search import search_conditions
from webapp.services.contracts.selection import (
    DAY,
    NO_PRODUCT,
    ContractsView,
    OfTeam,
    row_conditions,
    shared_conditions,
)


class Axis(StrEnum):
    """What contracts are told apart by."""

    COMMERCIAL = "commercial"
    COMPANY = "company"
    PRODUCT = "product"
    STATUS = "status"
    MONTH = "month"


Key = UUID | date | ContractStatus | None
"""What stands for a group: an id, the first day of a month, a status; None for contracts that have none."""


@dataclass(frozen=True)
class Figure:
    """A number of contracts, and what they amount to by currency."""

    contracts: int = 0
    amounts: Mapping[str, Decimal] = field(default_factory=dict)

    def __add__(self, other: "Figure") -> "Figure":
        currencies = self.amounts.keys() | other.amounts.keys()
        amounts = {
            currency: self.amounts.get(currency, Decimal(0)) + other.amounts.get(currency, Decimal(0))
            for currency in currencies
        }
        return Figure(self.contracts + other.contracts, amounts)


NONE = Figure()

KEPT = 512
"""Statements, by organisation, view and axis."""
MAIN_CURRENCY = "EUR"
"""What charts draw and rankings compare amounts in; tables show the others too."""


def count_by(view: ContractsView, axis: Axis) -> dict[Key, Figure]:
    """The contracts of a view by ``axis``; groups without any are absent.

    By product, a contract counts for each of its products.
    """
    return {key: figure for key, figure in _figures(view, axis).items() if figure.contracts}


def _figures(view: ContractsView, axis: Axis | None) -> dict[Key, Figure]:
    figures: dict[Key, Figure] = {}
    organisation_id = tenancy.current_organisation_id()
    needs_look_up = view.search or any(isinstance(seller, OfTeam) for seller in view.sold_by)
    statement = _statement(view, axis) if needs_look_up else _kept_statement(organisation_id, view, axis)
    for key, currency, contracts, amount in db.session.execute(statement):
        figures[key] = figures.get(key, NONE) + Figure(int(contracts), {currency: amount} if amount else {})
    return figures


def count(view: ContractsView) -> Figure:
    """All contracts of a view."""
    return sum(_figures(view, None).values(), NONE)


def is_tallied(view: ContractsView, axis: Axis | None = None) -> bool:
    """Whether whole months of the view are read from tallies; those by product tell less apart."""
    is_told_apart = not (view.search or view.source or view.is_absent or view.ends_since or view.ends_until)
    return is_told_apart and not (_is_by_product(view, axis) and (view.company or view.lacks_mandate))


def _is_by_product(view: ContractsView, axis: Axis | None) -> bool:
    return axis is Axis.PRODUCT or view.product is not None


def is_quick(view: ContractsView) -> bool:
    """Whether tallies alone tell the number."""
    return is_tallied(view) and not _split(view).edges


class _Edge(NamedTuple):
    """Days of a month that the period takes in part: added, or taken away from the whole month (``sign`` is -1)."""

    days: ContractsView
    sign: int


class _Split(NamedTuple):
    """A view as whole months, where it holds any, and the days that these leave out or have too many."""

    months: ContractsView | None
    edges: list[_Edge]


def _split(view: ContractsView) -> _Split:
    if view.is_undated:
        return _Split(view, [])
    since, before = _first_month(view, view.since) if view.since else (None, [])
    until, behind = _last_month(view, view.until) if view.until else (None, [])
    edges = before + behind
    if since and until and (since > until or _days(view) < sum(_days(edge.days) for edge in edges)):
        return _Split(None, [_Edge(view, 1)])
    return _Split(replace(view, since=since, until=until), edges)


def _days(view: ContractsView) -> int:
    return (view.until - view.since).days + 1 if view.since and view.until else 0


def _first_month(view: ContractsView, since: date) -> tuple[date, list[_Edge]]:
    """The day from which whole months are taken, and what then is missing or too much: whichever is fewer days."""
    first, after = since.replace(day=1), _month_after(since)
    if since - first < after - since:
        return first, [_Edge(replace(view, since=first, until=since - DAY), -1)] if since > first else []
    return after, [_Edge(replace(view, until=after - DAY), 1)]


def _last_month(view: ContractsView, until: date) -> tuple[date, list[_Edge]]:
    """The same for the day up to which they are."""
    first, last = until.replace(day=1), _month_after(until) - DAY
    if last - until <= until - first:
        return last, [_Edge(replace(view, since=until + DAY, until=last), -1)] if until < last else []
    return first - DAY, [_Edge(replace(view, since=first), 1)]


def _month_after(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=31)).replace(day=1)


@lru_cache(maxsize=KEPT)
def _kept_statement(_organisation_id: UUID, view: ContractsView, axis: Axis | None) -> Select[*tuple[Any, ...]]:
    """A statement names the organisation and nothing else that may change: making it costs more than running it."""
    return _statement(view, axis)


def _statement(view: ContractsView, axis: Axis | None) -> Select[*tuple[Any, ...]]:
    if not is_tallied(view, axis):
        return _summed([_of_contracts(view, axis)])
    months, edges = _split(view)
    parts = [_of_contracts(edge.days, axis, sign=edge.sign) for edge in edges]
    return _summed([_of_tallies(months, axis), *parts] if months else parts)


def _summed(parts: list[Select[*tuple[Any, ...]]]) -> Select[*tuple[Any, ...]]:
    facts = union_all(*parts).subquery() if len(parts) > 1 else parts[0].subquery()
    key, currency, contracts, amount = facts.c
    return select(key, currency, func.sum(contracts), func.sum(amount)).group_by(key, currency)


def _of_tallies(view: ContractsView, axis: Axis | None) -> Select[*tuple[Any, ...]]:
    conditions = [*shared_conditions(view, ContractTally), ContractTally.by_product.is_(_is_by_product(view, axis))]
    if view.product:
        conditions.append(ContractTally.product_id == (None if view.product == NO_PRODUCT else view.product))
    if view.is_undated:
        conditions.append(ContractTally.month.is_(None))
    if view.since:
        conditions.append(ContractTally.month >= view.since)
    if view.until:
        conditions.append(ContractTally.month <= view.until)
    key = _TALLY_KEYS[axis].label("key")
    return select(key, ContractTally.currency, ContractTally.contracts, ContractTally.amount).where(*conditions)


def _of_contracts(view: ContractsView, axis: Axis | None, *, sign: int = 1) -> Select[*tuple[Any, ...]]:
    key = _CONTRACT_KEYS[axis].label("key")
    if axis is Axis.PRODUCT and view.product:
        key = literal(None if view.product == NO_PRODUCT else view.product, Uuid()).label("key")
    conditions = [*row_conditions(view), *search_conditions(view.search)]
    return select(key, Contract.currency, literal(sign), Contract.amount * sign).where(*conditions)


_ALL_ONE = cast(null(), Uuid())
_TALLY_KEYS: dict[Axis | None, ColumnElement[Any]] = {
    None: _ALL_ONE,
    Axis.COMMERCIAL: ContractTally.commercial_id.expression,
    Axis.COMPANY: ContractTally.company_id.expression,
    Axis.PRODUCT: ContractTally.product_id.expression,
    Axis.STATUS: ContractTally.status.expression,
    Axis.MONTH: ContractTally.month.expression,
}

_NO_PRODUCT_IDS = cast(array([null()]), ARRAY(Uuid()))
_CONTRACT_KEYS: dict[Axis | None, ColumnElement[Any]] = {
    None: _ALL_ONE,
    Axis.COMMERCIAL: Contract.commercial_id.expression,
    Axis.COMPANY: Contract.company_id.expression,
    Axis.PRODUCT: func.unnest(case((Contract.product_ids == [], _NO_PRODUCT_IDS), else_=Contract.product_ids)),
    Axis.STATUS: Contract.status.expression,
    Axis.MONTH: cast(func.date_trunc("month", Contract.signed_on), Date),
}
