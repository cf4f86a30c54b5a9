"""Statistics in tabs, each a page of its own; and every table of figures as a file."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, render_template, request
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import NotFoundError
from webapp.models.contracts import ContractStatus
from webapp.security import current_user
from webapp.services.contracts.counting import MAIN_CURRENCY
from webapp.services.contracts.selection import ContractsView
from webapp.services.figures import breakdowns
from webapp.services.figures.breakdowns import Kind
from webapp.services.figures.kpi import contracts_per_commercial
from webapp.services.figures.period import Period, Span
from webapp.services.figures.recurring import find_recurring, revenue_by_month
from webapp.services.figures.risks import find_risks
from webapp.services.figures.scope import Scope, figures_scope, find_in_scope
from webapp.views.figures import depanssur
from webapp.views.figures.periods import PeriodBar, in_whole_months, read_period
from webapp.views.figures.spreadsheets import Cell, csv_file
from webapp.views.lists import read
from webapp.views.tabs import asked_tab

bp = Blueprint("statistics", __name__, url_prefix="/statistiques")


class StatisticsTab(StrEnum):
    """The tabs, as the address says them."""

    DIRECTION = "direction"
    COMMERCIAL = "commercial"
    SUBSCRIPTIONS = "abonnements"
    DEPANSSUR = "depanssur"
    RISKS = "risques"

    @property
    def label(self) -> str:
        """The word on the screen."""
        return self.value.capitalize()


@bp.get("")
def show() -> ResponseReturnValue:
    """A tab of a period; an unknown one gives the first, and says so."""
    tab = asked_tab(StatisticsTab)
    scope = figures_scope(current_user())
    narrowed = depanssur.read_filters(scope).query if tab is StatisticsTab.DEPANSSUR else {}
    bar = _read_bar(onglet=tab.value, **narrowed)
    if tab is StatisticsTab.DEPANSSUR:
        bar = in_whole_months(bar)
    values = _VALUES[tab](scope, bar.period)
    return render_template(
        f"figures/statistics/{tab}.html", tab=tab, tabs=list(StatisticsTab), bar=bar, scope=scope, **values
    )


def _direction(scope: Scope, period: Period) -> dict[str, Any]:
    signed = breakdowns.signed_within(scope.view, period)
    companies = breakdowns.by_company(signed)
    return {
        "active": breakdowns.number(replace(scope.view, status=ContractStatus.ACTIVE)),
        "signed": companies.total,
        "before": breakdowns.number(breakdowns.signed_within(scope.view, period.compared(clock.today()))),
        "recurring": find_recurring(scope, period, at=clock.now()),
        "months": breakdowns.by_month(scope.view, until=period.until),
        "products": breakdowns.by_product(signed, total=companies.total),
        "companies": companies,
    }


def _commercial(scope: Scope, period: Period) -> dict[str, Any]:
    return {
        "kpi": contracts_per_commercial(scope, period, today=clock.today()),
        "months": breakdowns.by_month(scope.view, until=period.until),
    }


def _subscriptions(scope: Scope, period: Period) -> dict[str, Any]:
    at = clock.now()
    recurring = find_recurring(scope, period, at=at)
    return {"recurring": recurring, "is_kept": recurring.known_at != at}


def _risks(scope: Scope, _period: Period) -> dict[str, Any]:
    return {"risks": find_risks(scope, today=clock.today())}


_VALUES: Mapping[StatisticsTab, Callable[[Scope, Period], dict[str, Any]]] = {
    StatisticsTab.DIRECTION: _direction,
    StatisticsTab.COMMERCIAL: _commercial,
    StatisticsTab.SUBSCRIPTIONS: _subscriptions,
    StatisticsTab.DEPANSSUR: depanssur.tab_values,
    StatisticsTab.RISKS: _risks,
}


@bp.get("/commerciaux.csv")
def save_kpi() -> Response:
    """The KPI « Contrats par commercial » of a period."""
    period = _read_bar().period
    today = clock.today()
    rows = contracts_per_commercial(figures_scope(current_user()), period, today=today).rows
    before = "Période précédente à date" if period.is_running(today) else "Période précédente"
    return csv_file(
        f"contrats-par-commercial-{period.since}-{period.until}.csv",
        ["Commercial", "Contrats", "Montant (EUR)", before, "Sans date", "Portefeuille actuel"],
        (
            (
                row.name,
                row.signed.contracts,
                row.signed.amounts.get(MAIN_CURRENCY, Decimal(0)),
                row.before.contracts,
                row.undated.contracts,
                row.portfolio.clients,
            )
            for row in rows
        ),
    )


@bp.get("/mrr.csv")
def save_revenue() -> Response:
    """The MRR of twelve months."""
    period = _read_bar().period
    months = revenue_by_month(figures_scope(current_user()), period, today=clock.today())
    rows = ((f"{month:%m/%Y}", revenue) for month, revenue in months.items())
    return csv_file(f"mrr-{period.since}-{period.until}.csv", ["Mois", "MRR (EUR)"], rows)


@bp.get("/<kind>.csv")
def save(kind: str) -> Response:
    """A breakdown of a period, of everybody in scope or of one ``commercial`` in it."""
    known = read(Kind, kind)
    if known is None:
        raise NotFoundError()
    period = _read_bar().period
    breakdown = breakdowns.break_down(known, _read_base(figures_scope(current_user())), period)
    currencies = sorted({MAIN_CURRENCY}.union(*(line.number.amounts for line in breakdown.lines)))
    return csv_file(
        f"{known}-{period.since}-{period.until}.csv",
        [breakdown.heading, "Contrats", *(f"Montant ({currency})" for currency in currencies)],
        _rows(breakdown, currencies),
    )


def _rows(breakdown: breakdowns.Breakdown, currencies: list[str]) -> Iterator[list[Cell]]:
    for line in breakdown.lines:
        amounts = [line.number.amounts.get(currency, Decimal(0)) for currency in currencies]
        yield [line.label, line.number.contracts, *amounts]


def _read_base(scope: Scope) -> ContractsView:
    """Everybody in scope, or one of them."""
    word = request.args.get("commercial")
    if word is None:
        return scope.view
    return ContractsView(sold_by=(find_in_scope(scope, read(UUID, word) or UUID(int=0)).id,))


def _read_bar(**kept: str) -> PeriodBar:
    return read_period(request.args, "statistics.show", today=clock.today(), default=Span.MONTH, **kept)
