"""Contracts told apart: by month, product, company or status. What a chart shows, and the table and file beside it."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any

from dateutil.relativedelta import relativedelta
from sqlalchemy import select

from webapp.extensions import db
from webapp.models.contracts import ContractStatus
from webapp.models.organisations import Company
from webapp.models.products import Product
from webapp.services.contracts.counting import MAIN_CURRENCY, NONE, Axis, Figure, Key, count, count_by
from webapp.services.contracts.selection import NO_PRODUCT, SIGNED, ContractsView
from webapp.services.figures.period import Period, last_months


@dataclass(frozen=True)
class Number:
    """A figure, and the view of the contracts behind it."""

    figure: Figure
    view: ContractsView

    @property
    def contracts(self) -> int:
        """How many contracts."""
        return self.figure.contracts

    @property
    def amounts(self) -> Mapping[str, Decimal]:
        """What they amount to, by currency."""
        return self.figure.amounts


def number(view: ContractsView) -> Number:
    """How many contracts a view holds, and for how much."""
    return Number(count(view), view)


class Kind(StrEnum):
    """The breakdowns there are, as addresses say them."""

    MONTHS = "mois"
    PRODUCTS = "produits"
    COMPANIES = "societes"
    STATUSES = "statuts"


@dataclass(frozen=True)
class BreakdownGroup:
    """One group: its name, and its number."""

    label: str
    number: Number


@dataclass(frozen=True)
class Breakdown:
    """Contracts by group, in the order to show. ``total`` counts each once, where groups may share contracts."""

    kind: Kind
    heading: str
    lines: list[BreakdownGroup]
    total: Number

    @property
    def by_amount(self) -> "Breakdown":
        """The same, the largest amount (in euros) first."""
        return replace(self, lines=sorted(self.lines, key=lambda line: -line.number.amounts.get(MAIN_CURRENCY, 0)))


def by_month(base: ContractsView, *, until: date) -> Breakdown:
    """The signed contracts of ``base`` over twelve months, the last being that of ``until``."""
    period = last_months(until)
    view = signed_within(base, period)
    figures = count_by(view, Axis.MONTH)
    months = [Period.around(period.since + relativedelta(months=number)) for number in range(12)]
    lines = [
        BreakdownGroup(f"{month.since:%m/%Y}", Number(figures.get(month.since, NONE), signed_within(base, month)))
        for month in months
    ]
    return Breakdown(Kind.MONTHS, "Mois de signature", lines, _sum(view, figures))


def by_product(base: ContractsView, *, total: Number | None = None) -> Breakdown:
    """The contracts of ``base`` by product; one of several products stands in the line of each.

    ``total`` is their number, where the caller has it.
    """
    figures = count_by(base, Axis.PRODUCT)
    names = {**_names(Product, figures), None: "Sans produit"}
    lines = _lines(figures, names, lambda key: replace(base, product=key or NO_PRODUCT))
    return Breakdown(Kind.PRODUCTS, "Produit", lines, total or number(base))


def by_company(base: ContractsView) -> Breakdown:
    """The contracts of ``base`` by company."""
    figures = count_by(base, Axis.COMPANY)
    lines = _lines(figures, _names(Company, figures), lambda key: replace(base, company=key))
    return Breakdown(Kind.COMPANIES, "Société", lines, _sum(base, figures))


def by_status(base: ContractsView) -> Breakdown:
    """The contracts of ``base`` by status."""
    figures = count_by(base, Axis.STATUS)
    lines = [
        BreakdownGroup(status.label, Number(figures[status], replace(base, status=status)))
        for status in ContractStatus
        if status in figures
    ]
    return Breakdown(Kind.STATUSES, "Statut", lines, _sum(base, figures))


def break_down(kind: Kind, base: ContractsView, period: Period) -> Breakdown:
    """What was signed in a period, by ``kind``: by month, over the twelve that end with it; by status, all there is."""
    if kind is Kind.MONTHS:
        return by_month(base, until=period.until)
    if kind is Kind.STATUSES:
        return by_status(base)
    by = by_product if kind is Kind.PRODUCTS else by_company
    return by(signed_within(base, period))


def signed_within(base: ContractsView, period: Period) -> ContractsView:
    """The contracts of ``base`` that count as signed in a period."""
    return replace(base, status=SIGNED, since=period.since, until=period.until)


def _sum(view: ContractsView, figures: Mapping[Key, Figure]) -> Number:
    return Number(sum(figures.values(), NONE), view)


def _lines(
    figures: Mapping[Key, Figure], names: Mapping[Any, str], narrowed: Callable[[Any], ContractsView]
) -> list[BreakdownGroup]:
    """A line for each group, the largest first."""
    lines = [BreakdownGroup(names[key], Number(figure, narrowed(key))) for key, figure in figures.items()]
    return sorted(lines, key=lambda line: (-line.number.contracts, line.label))


def _names(model: type[Product | Company], keys: Collection[Key]) -> dict[Any, str]:
    named = select(model.id, model.name).where(model.id.in_([key for key in keys if key]))
    return dict(iter(db.session.execute(named)))
