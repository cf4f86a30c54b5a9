"""The KPI « Contrats par commercial » (domain rules, « Metrics »).

A contract counts for its commercial at signature, by its day of signature in Paris, in every status but draft and
canceled. Those without a date, or without a commercial, are shown apart.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from uuid import UUID

from sqlalchemy import or_, select

from webapp.extensions import db
from webapp.models.commercials import Commercial
from webapp.services.contracts.counting import NONE, Axis, Figure, Key, count_by
from webapp.services.contracts.selection import NOBODY, SIGNED, ContractsView
from webapp.services.figures.breakdowns import Number, signed_within
from webapp.services.figures.period import Period
from webapp.services.figures.portfolio import ClientsNumber, Portfolios, count_portfolios, portfolio, portfolios_in
from webapp.services.figures.scope import Scope


@dataclass(frozen=True)
class Row:
    """One commercial, or nobody (no id): contracts of the period, of the one before, without date; and clients now."""

    commercial_id: UUID | None
    name: str
    signed: Number
    before: Number
    undated: Number
    portfolio: ClientsNumber

    @property
    def change(self) -> Decimal | None:
        """By what part the number of contracts changed since the period before; None where that had none."""
        return change(self.signed, self.before)


@dataclass(frozen=True)
class Kpi:
    """Everybody in scope, the most contracts first, and the whole, which is their sum.

    ``before`` counts those of the period ``compared``: the one before, as many days of it while this one is running.
    ``portfolios`` are the clients in scope, by what a list can show at once.
    """

    period: Period
    compared: Period
    rows: list[Row]
    signed: Number
    before: Number
    undated: Number
    portfolios: list[ClientsNumber]

    @property
    def change(self) -> Decimal | None:
        """By what part the number of contracts changed since the period before; None where that had none."""
        return change(self.signed, self.before)


def change(now: Number, before: Number) -> Decimal | None:
    """The part by which a number of contracts changed: 0.5 for half as many again; over nothing, it is nothing."""
    return Decimal(now.contracts - before.contracts) / before.contracts if before.contracts else None


def contracts_per_commercial(scope: Scope, period: Period, *, today: date) -> Kpi:
    """The KPI of a period, as of ``today``, for everybody in ``scope``, in a fixed number of statements."""
    compared = period.compared(today)
    views = [
        signed_within(scope.view, period),
        signed_within(scope.view, compared),
        replace(scope.view, status=SIGNED, is_undated=True),
    ]
    columns = [_Column(view, count_by(view, Axis.COMMERCIAL)) for view in views]
    portfolios = count_portfolios()
    counted = {key for column in columns for key in column.figures if isinstance(key, UUID)}
    rows = list(_rows(scope, _list_commercials(scope, counted), columns, portfolios))
    if scope.is_all:
        rows.append(_row(None, "Sans commercial", columns, portfolios))
    signed, before, undated = (column.whole for column in columns)
    return Kpi(period, compared, rows, signed, before, undated, portfolios_in(scope, portfolios))


@dataclass(frozen=True)
class _Column:
    """A view told apart by commercial."""

    view: ContractsView
    figures: Mapping[Key, Figure]

    def of(self, commercial_id: UUID | None) -> Number:
        return Number(self.figures.get(commercial_id, NONE), replace(self.view, sold_by=(commercial_id or NOBODY,)))

    @property
    def whole(self) -> Number:
        return Number(sum(self.figures.values(), NONE), self.view)


def _list_commercials(scope: Scope, counted: set[UUID]) -> list[Commercial]:
    """Everybody in scope who is there, and those who left and still have contracts to show."""
    there = Commercial.is_active if scope.is_all else Commercial.id.in_(scope.members)
    statement = select(Commercial).where(or_(there, Commercial.id.in_(counted)))
    return list(db.session.scalars(statement.order_by(Commercial.name_key, Commercial.id)))


def _rows(scope: Scope, commercials: list[Commercial], columns: list[_Column], portfolios: Portfolios) -> Iterator[Row]:
    rows = [_row(commercial.id, commercial.full_name, columns, portfolios) for commercial in commercials]
    yield from sorted(rows, key=lambda row: -row.signed.contracts)


def _row(commercial_id: UUID | None, name: str, columns: list[_Column], portfolios: Portfolios) -> Row:
    signed, before, undated = (column.of(commercial_id) for column in columns)
    return Row(commercial_id, name, signed, before, undated, portfolio(commercial_id, portfolios))
