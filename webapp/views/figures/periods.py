"""What pages of figures have in common: the period in their address, and charts as data for static/charts.js."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

from flask import Flask, url_for
from werkzeug.datastructures import MultiDict

from webapp import french
from webapp.errors import InvalidInputError
from webapp.services.contracts.counting import MAIN_CURRENCY
from webapp.services.figures.breakdowns import Breakdown
from webapp.services.figures.cover_figures import CoverFigures
from webapp.services.figures.period import Period, Span
from webapp.views.lists import IMPOSSIBLE_DAY, YEARS, has_impossible_day, read, read_day

Measure = Literal["contracts", "amount"]
Shape = Literal["columns", "bars"]
ORDINALS = {1: "1er", 2: "2e", 3: "3e", 4: "4e"}


@dataclass(frozen=True)
class Choice:
    """A period that one may go to."""

    label: str
    address: str
    is_current: bool = False


@dataclass(frozen=True)
class PeriodBar:
    """The period that a page shows, those that one may go to, and what was wrong with the one asked for.

    ``action``, ``hidden``, ``since`` and ``until`` (as typed, where that was wrong) are for the form of any days.
    """

    period: Period
    spans: list[Choice]
    previous: Choice | None
    next: Choice | None
    action: str
    hidden: dict[str, str]
    since: str
    until: str
    problem: str | None
    is_running: bool

    @property
    def before_label(self) -> str:
        """What figures of the period are compared with, in words."""
        return "période précédente à date" if self.is_running else "période précédente"


def init_app(app: Flask) -> None:
    """Make the filters known to the templates."""
    app.add_template_filter(chart_data)
    app.add_template_filter(revenue_chart)
    app.add_template_filter(premium_chart)
    app.add_template_filter(period_name)
    app.add_template_filter(period_query)


def read_period(
    arguments: MultiDict[str, str], endpoint: str, *, today: date, default: Span = Span.MONTH, **kept: Any
) -> PeriodBar:
    """The period that an address asks for; ``kept`` is what else the page's address says."""
    try:
        period, problem = _asked_period(arguments, today=today, default=default), None
    except InvalidInputError as error:
        period, problem = Period.around(today, default), error.message

    def choice(label: str, other: Period, *, is_current: bool = False) -> Choice:
        return Choice(label, url_for(endpoint, **kept, **period_query(other)), is_current)

    def neighbour(label: str, other: Period) -> Choice | None:
        return choice(label, other) if {other.since.year, other.until.year} <= set(YEARS) else None

    here = url_for(endpoint, **kept)
    spans = [
        choice(
            span.label, Period.around(min(period.until, max(period.since, today)), span), is_current=span is period.span
        )
        for span in (Span.MONTH, Span.QUARTER, Span.YEAR)
    ]
    return PeriodBar(
        period,
        spans,
        neighbour("Période précédente", period.previous),
        neighbour("Période suivante", period.next),
        urlsplit(here).path,
        {**dict(parse_qsl(urlsplit(here).query)), "periode": Span.CUSTOM},
        arguments.get("du", "") if problem else str(period.since),
        arguments.get("au", "") if problem else str(period.until),
        problem,
        period.is_running(today),
    )


def in_whole_months(bar: PeriodBar) -> PeriodBar:
    """The bar of figures that are told by month."""
    period = bar.period.in_whole_months
    if bar.problem:
        return bar
    return replace(bar, period=period, since=str(period.since), until=str(period.until))


def _asked_period(arguments: MultiDict[str, str], *, today: date, default: Span) -> Period:
    """Raises InvalidInputError, with what was wrong."""
    typed = arguments.get("du"), arguments.get("au")
    if has_impossible_day(*typed):
        raise InvalidInputError(IMPOSSIBLE_DAY, field="au")
    since, until = map(read_day, typed)
    asked = read(Span, arguments.get("periode")) or (Span.CUSTOM if since and until else default)
    if asked is not Span.CUSTOM:
        return Period.around(since or today, asked)
    if since and until:
        return Period.between(since, until)
    if since or until:
        raise InvalidInputError("Indiquez le début et la fin de la période.", field="au")
    return Period.around(today, default)


def period_query(period: Period) -> dict[str, Any]:
    """How an address says a period."""
    query = {"periode": period.span.value, "du": str(period.since)}
    return query | ({"au": str(period.until)} if period.span is Span.CUSTOM else {})


def period_name(period: Period) -> str:
    """A period in words: novembre 2026 · 4e trimestre 2026 · 2026 · du 05/11/2026 au 20/11/2026."""
    if period.span is Span.MONTH:
        return french.month(period.since)
    if period.span is Span.QUARTER:
        return f"{ORDINALS[(period.since.month + 2) // 3]} trimestre {period.since.year}"
    if period.span is Span.YEAR:
        return str(period.since.year)
    return f"du {french.day(period.since)} au {french.day(period.until)}"


def chart_data(breakdown: Breakdown, measure: Measure, shape: Shape = "columns") -> str:
    """What static/charts.js draws: columns along time, bars for things with names."""
    if measure == "contracts":
        return _chart(shape, "contrats", [(line.label, line.number.contracts) for line in breakdown.lines])
    amounts = [(line.label, float(line.number.amounts.get(MAIN_CURRENCY, 0))) for line in breakdown.lines]
    return _chart(shape, MAIN_CURRENCY, amounts)


def revenue_chart(months: Mapping[date, Decimal]) -> str:
    """The MRR of each month, as columns."""
    return _chart("columns", MAIN_CURRENCY, [(f"{month:%m/%Y}", float(revenue)) for month, revenue in months.items()])


def premium_chart(months: Mapping[date, CoverFigures]) -> str:
    """The premium that was earned in each month, as columns."""
    points = [(f"{month:%m/%Y}", float(figures.earned)) for month, figures in months.items()]
    return _chart("columns", MAIN_CURRENCY, points)


def _chart(shape: Shape, unit: str, points: Sequence[tuple[str, float]]) -> str:
    labels, values = [label for label, _ in points], [value for _, value in points]
    return json.dumps({"shape": shape, "unit": unit, "labels": labels, "values": values}, ensure_ascii=False)
