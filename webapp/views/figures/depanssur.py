"""The tab « Depanssur » of the statistics: its filters, the rows behind each figure, and months that are closed."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock, french
from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.models.covers import Trade
from webapp.models.identity import Role
from webapp.security import current_user, requires
from webapp.services.covers.listing import list_plan_choices
from webapp.services.figures import board, closings, cover_rows
from webapp.services.figures.cover_figures import CoverFigures, CoverFiguresView, count_figures, count_with_course
from webapp.services.figures.cover_revenue import CoverRevenue, find_revenue, yearly_at_end
from webapp.services.figures.cover_rows import Figure, FigureRowsView
from webapp.services.figures.cover_satisfaction import count_answers, find_satisfaction
from webapp.services.figures.period import DAY, Period
from webapp.services.figures.scope import Scope, figures_scope, find_in_scope, list_in_scope
from webapp.views.figures.periods import PeriodBar, in_whole_months, period_name, period_query, read_period
from webapp.views.figures.spreadsheets import csv_file, xlsx_file
from webapp.views.layout import toast
from webapp.views.lists import read, read_day

bp = Blueprint("depanssur", __name__, url_prefix="/statistiques/depanssur")

TRADES = [("", "Tous les métiers"), *((each.value, each.label) for each in Trade)]
GROUPS: dict[str, tuple[Figure, ...]] = {
    "ecritures": tuple(cover_rows.KINDS),
    "couvertures": cover_rows.OF_COVERS,
    "clients": cover_rows.OF_CLIENTS,
    "creances": (Figure.RECEIVABLES,),
    "reponses": (Figure.SATISFACTION,),
}
"""What the rows of figures are, as the address says it."""


HEADINGS = (
    *("Période", "Prime acquise HT", "Payé", "Variation des provisions", "Récupéré", "Charge", "S/P (%)"),
    *("En vigueur", "Jours de couverture", "Acceptés", "Fréquence", "Coût moyen", "Refusés", "Refusés (%)"),
    *("Facturé TTC", "Reste à payer TTC", "DSO (jours)"),
)
CLOSED = {
    "earned": "Prime acquise (HT)",
    "paid": "Payé",
    "reserve": "Variation des provisions",
    "recovered": "Récupéré",
    "cost": "Charge des sinistres",
    "invoiced": "Facturé TTC",
    "receivables": "Reste à payer TTC",
    "accepted": "Sinistres acceptés",
    "in_force": "Couvertures en vigueur",
    "cover_days": "Jours de couverture",
}
"""What is shown of a closed month."""
for_admins = requires(Role.ADMIN)


@dataclass(frozen=True)
class Filters:
    """What narrows the figures, as the address says it."""

    plan_id: UUID | None
    trade: Trade | None
    commercial_id: UUID | None

    @property
    def query(self) -> dict[str, Any]:
        """The arguments of an address."""
        named = {"formule": self.plan_id, "metier": self.trade, "commercial": self.commercial_id}
        return {name: str(value) for name, value in named.items() if value is not None}


def read_filters(scope: Scope) -> Filters:
    """What the address narrows the figures to. Raises NotFoundError for what is not there, ForbiddenError for whom the
    scope leaves out.
    """
    plan_id, commercial_id = (read(UUID, request.args.get(name)) for name in ("formule", "commercial"))
    if plan_id is not None and plan_id not in dict(list_plan_choices()):
        raise NotFoundError("Cette formule n’existe pas ou plus.")
    if commercial_id is not None:
        find_in_scope(scope, commercial_id)
    return Filters(plan_id, read(Trade, request.args.get("metier")), commercial_id)


def view_of(scope: Scope, period: Period, filters: Filters) -> dict[str, Any]:
    """What a view of the figures is made of."""
    commercial_ids = None if scope.is_all else frozenset(scope.members)
    if filters.commercial_id is not None:
        commercial_ids = frozenset({filters.commercial_id})
    return {
        "first": period.since.replace(day=1),
        "last": period.until.replace(day=1),
        "plan_id": filters.plan_id,
        "trade": filters.trade,
        "commercial_ids": commercial_ids,
    }


def tab_values(scope: Scope, period: Period) -> dict[str, Any]:
    """What the tab shows."""
    filters, at = read_filters(scope), clock.now()
    view = CoverFiguresView(**view_of(scope, period, filters))
    figures, course = count_with_course(view)
    revenue, known_at = find_revenue(view, at=at)
    return {
        "filters": filters,
        "view": view,
        "figures": figures,
        "course": course,
        "revenue": revenue,
        "satisfaction": find_satisfaction(view, at=at),
        "known_at": known_at,
        "is_kept": known_at != at,
        "is_running": view.end > clock.today(),
        "closed_until": closings.last_closed(),
        "plans": [("", "Toutes les formules"), *((str(plan_id), label) for plan_id, label in list_plan_choices())],
        "trades": TRADES,
        "commercials": [
            ("", "Tous les commerciaux"),
            *((str(each.id), each.full_name) for each in list_in_scope(scope)),
        ],
        "reason_label": cover_rows.reason_label,
        "rows_of": lambda figure, **more: rows_address(Figure(figure), period, filters, **more),
    }


@bp.get("/chiffres.<any(csv, xlsx):kind>")
def save(kind: str) -> Response:
    """The figures of the period and of each of its last twelve months, as a file."""
    scope, bar, filters = _read_tab()
    view = CoverFiguresView(**view_of(scope, bar.period, filters))
    figures, course = count_with_course(view)
    rows = [
        [name, *_cells(each)]
        for name, each in [
            (period_name(bar.period), figures),
            *((f"{month:%m/%Y}", each) for month, each in course.items()),
        ]
    ]
    name = f"depanssur-{view.first}-{view.end - DAY}.{kind}"
    return csv_file(name, HEADINGS, rows) if kind == "csv" else xlsx_file(name, "Depanssur", HEADINGS, rows)


def _cells(figures: CoverFigures) -> list[Decimal | int | None]:
    def percentage(ratio: Decimal | None) -> Decimal | None:
        return None if ratio is None else 100 * ratio

    return [
        *(figures.earned, figures.paid, figures.reserve, figures.recovered, figures.cost),
        percentage(figures.loss_ratio),
        *(figures.in_force, figures.cover_days, figures.accepted, figures.frequency, figures.mean_cost),
        *(figures.all_refused, percentage(figures.refused_share), figures.invoiced, figures.receivables, figures.dso),
    ]


@bp.get("/tableau.pdf")
def board_page() -> Response:
    """The figures of the period on one page, for the board."""
    scope, bar, filters = _read_tab()
    view, at = CoverFiguresView(**view_of(scope, bar.period, filters)), clock.now()
    figures, course = count_with_course(view)
    printed = board.print_board(
        figures,
        course,
        find_revenue(view, at=at)[0],
        satisfaction=find_satisfaction(view, at=at),
        told={
            "period": period_name(bar.period).capitalize(),
            "scope": scope.label,
            "filters": " · ".join(_filter_labels(scope, filters)),
        },
        closed_until=closings.last_closed(),
        at=at,
    )
    response = make_response(printed)
    response.mimetype = "application/pdf"
    response.headers["Content-Disposition"] = f'inline; filename="depanssur-{view.first}-{view.end - DAY}.pdf"'
    return response


def _filter_labels(scope: Scope, filters: Filters) -> Iterator[str]:
    """What the figures are narrowed to, in words."""
    if filters.plan_id:
        yield dict(list_plan_choices())[filters.plan_id]
    if filters.trade:
        yield filters.trade.label
    if filters.commercial_id:
        yield find_in_scope(scope, filters.commercial_id).full_name


def _read_tab() -> tuple[Scope, PeriodBar, Filters]:
    scope = figures_scope(current_user())
    filters = read_filters(scope)
    bar = read_period(request.args, "statistics.show", today=clock.today(), onglet="depanssur", **filters.query)
    return scope, in_whole_months(bar), filters


@bp.get("/mois")
@for_admins
def months() -> ResponseReturnValue:
    """The months that are closed, and the next one."""
    return _months_page()


@bp.post("/mois")
@for_admins
def close() -> ResponseReturnValue:
    """Close a month, for good."""
    month = read_day(request.form.get("mois"))
    try:
        if month is None or month.day != 1:
            raise InvalidInputError("Choisissez un mois.", field="mois")
        closings.close_month(month, by=current_user(), at=clock.now())
    except DomainError as error:
        return _months_page(problem=error), error.status
    toast("success", f"{french.month(month).capitalize()} est clôturé.")
    return redirect(url_for("depanssur.months"), 303)


@bp.get("/mois/<string:month>")
@for_admins
def closed_month(month: str) -> ResponseReturnValue:
    """A closed month: what it came to, and whether its entries are still those."""
    closing = closings.find_closing(read_day(month) or date.min)
    return render_template(
        "figures/depanssur/month.html",
        closing=closing,
        is_unchanged=closings.is_unchanged(closing),
        told={label: (name, closing.figures[name]) for name, label in CLOSED.items()},
    )


def _months_page(problem: DomainError | None = None) -> str:
    return render_template(
        "figures/depanssur/months.html",
        closings=closings.list_closings(),
        next_month=closings.next_to_close(today=clock.today()),
        problem=problem,
    )


def rows_address(figure: Figure, period: Period, filters: Filters, **more: Any) -> str:
    """Where a figure leads."""
    group = next(group for group, figures in GROUPS.items() if figure in figures)
    query = {**period_query(period), **filters.query, **more}
    return url_for("depanssur.rows", group=group, figure=figure.value, **query)


@bp.get("/<any(ecritures, couvertures, clients, creances, reponses):group>/<string:figure>")
def rows(group: str, figure: str) -> ResponseReturnValue:
    """The rows behind a figure."""
    view, filters, bar = _read_rows(group, figure)
    page = cover_rows.list_rows(view)
    total, known_at = _find_total(view)
    here = rows_address(view.figure, bar.period, filters, **({"motif": view.reason} if view.reason else {}))
    return render_template(
        "figures/depanssur/rows.html",
        view=view,
        group=group,
        bar=bar,
        rows=page.rows,
        total=total,
        known_at=known_at if known_at != view.at else None,
        back=url_for("statistics.show", onglet="depanssur", **period_query(bar.period), **filters.query),
        next_page=f"{here}&apres={page.next_cursor}" if page.next_cursor else None,
        is_yearly=view.figure in cover_rows.YEARLY,
        is_number=view.figure in cover_rows.NUMBERS,
        reason_label=cover_rows.reason_label,
    )


def _find_total(view: FigureRowsView) -> tuple[Any, datetime]:
    """The figure itself, from where the tab has it, and since when it is known."""
    if view.figure is Figure.MRR:
        return yearly_at_end(view, at=view.at), view.at
    if view.figure in cover_rows.YEARLY:
        revenue, known_at = find_revenue(view, at=view.at)
        return _yearly(revenue, view.figure), known_at
    if view.figure is Figure.SATISFACTION:
        return count_answers(view).answers, view.at
    figures = count_figures(view)
    if view.reason is not None:
        return figures.refused.get(view.reason, 0), view.at
    return _FIGURES[view.figure](figures), view.at


def _yearly(revenue: CoverRevenue, figure: Figure) -> Decimal:
    """What the rows of a figure come to, in a year."""
    if figure is Figure.LEFT:
        return revenue.left
    return revenue.yearly[cover_rows.PARTS[figure]] if figure in cover_rows.PARTS else revenue.yearly_at_end


_FIGURES = {
    Figure.IN_FORCE: lambda figures: figures.in_force,
    Figure.COVER_DAYS: lambda figures: figures.cover_days,
    Figure.EARNED: lambda figures: figures.earned,
    Figure.COST: lambda figures: figures.cost,
    Figure.PAID: lambda figures: figures.paid,
    Figure.RESERVE: lambda figures: figures.reserve,
    Figure.RECOVERED: lambda figures: figures.recovered,
    Figure.ACCEPTED: lambda figures: figures.accepted,
    Figure.REFUSED: lambda figures: figures.all_refused,
    Figure.INVOICED: lambda figures: figures.invoiced,
    Figure.RECEIVABLES: lambda figures: figures.receivables,
}


def _read_rows(group: str, word: str) -> tuple[FigureRowsView, Filters, PeriodBar]:
    figure = read(Figure, word)
    if figure is None or figure not in GROUPS[group]:
        raise NotFoundError()
    scope = figures_scope(current_user())
    filters = read_filters(scope)
    asked = read_period(
        request.args, "depanssur.rows", today=clock.today(), group=group, figure=figure.value, **filters.query
    )
    bar = in_whole_months(asked)
    view = FigureRowsView(
        **view_of(scope, bar.period, filters),
        figure=figure,
        at=clock.now(),
        reason=request.args.get("motif") or None,
        cursor=request.args.get("apres"),
    )
    return view, filters, bar


def read_rows_of(group: str) -> Any:
    """What reads the rows that an address of the group asks for, to export them."""

    def read_view(figure: str) -> FigureRowsView:
        return _read_rows(group, figure)[0]

    return read_view
