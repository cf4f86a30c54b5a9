"""The tab « Depanssur » of the statistics: its filters, the rows behind each figure, and months that are closed."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from webapp import clock
from webapp.errors import ForbiddenError, NotFoundError
from webapp.extensions import db
from webapp.models.commercials import Commercial
from webapp.models.covers import Trade
from webapp.security import current_user
from webapp.services.covers.listing import list_plan_choices
from webapp.services.figures import cover_rows
from webapp.services.figures.cover_figures import CoverFiguresView, count_figures, count_with_course
from webapp.services.figures.cover_revenue import find_revenue
from webapp.services.figures.cover_rows import Figure, FigureRowsView
from webapp.services.figures.period import Period
from webapp.services.figures.scope import Scope, figures_scope
from webapp.views.figures.periods import PeriodBar, in_whole_months, period_query, read_period
from webapp.views.lists import read

bp = Blueprint("depanssur", __name__, url_prefix="/statistiques/depanssur")

TRADES = [("", "Tous les métiers"), *((each.value, each.label) for each in Trade)]
GROUPS: dict[str, tuple[Figure, ...]] = {
    "ecritures": tuple(cover_rows.KINDS),
    "couvertures": cover_rows.OF_COVERS,
    "clients": cover_rows.OF_CLIENTS,
    "creances": (Figure.RECEIVABLES,),
}
"""What the rows of figures are, as the address says it."""


@dataclass(frozen=True)
class Filters:
    """What narrows the figures, as the address says it; ``choices`` are the plans, trades and commercials offered."""

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
        if db.session.scalar(select(Commercial.id).where(Commercial.id == commercial_id)) is None:
            raise NotFoundError("Ce commercial n’existe pas ou plus.")
        if not scope.includes(commercial_id):
            raise ForbiddenError("Les chiffres de ce commercial ne sont pas à votre portée.")
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
        "known_at": known_at,
        "is_kept": known_at != at,
        "is_running": view.end > clock.today(),
        "plans": [("", "Toutes les formules"), *((str(plan_id), label) for plan_id, label in list_plan_choices())],
        "trades": TRADES,
        "commercials": [("", "Tous les commerciaux"), *_list_commercials(scope)],
        "reason_label": cover_rows.reason_label,
        "rows_of": lambda figure, **more: rows_address(Figure(figure), period, filters, **more),
    }


def _list_commercials(scope: Scope) -> list[tuple[str, str]]:
    """Whom the reader may choose."""
    there = Commercial.is_active if scope.is_all else Commercial.id.in_(scope.members)
    statement = select(Commercial).where(there).order_by(Commercial.name_key, Commercial.id)
    return [(str(each.id), each.full_name) for each in db.session.scalars(statement)]


def rows_address(figure: Figure, period: Period, filters: Filters, **more: Any) -> str:
    """Where a figure leads."""
    group = next(group for group, figures in GROUPS.items() if figure in figures)
    query = {**period_query(period), **filters.query, **more}
    return url_for("depanssur.rows", group=group, figure=figure.value, **query)


@bp.get("/<any(ecritures, couvertures, clients, creances):group>/<string:figure>")
def rows(group: str, figure: str) -> ResponseReturnValue:
    """The rows behind a figure."""
    view, filters, bar = _read_rows(group, figure)
    page = cover_rows.list_rows(view)
    here = rows_address(view.figure, bar.period, filters, **({"motif": view.reason} if view.reason else {}))
    return render_template(
        "figures/depanssur/rows.html",
        view=view,
        group=group,
        bar=bar,
        rows=page.rows,
        total=_total(view),
        back=url_for("statistics.show", onglet="depanssur", **period_query(bar.period), **filters.query),
        next_page=f"{here}&apres={page.next_cursor}" if page.next_cursor else None,
        is_yearly=view.figure in cover_rows.YEARLY,
        is_number=view.figure in cover_rows.NUMBERS,
        reason_label=cover_rows.reason_label,
    )


def _total(view: FigureRowsView) -> Any:
    """The figure itself, from where the tab has it; of the movements of the MRR, what the rows come to."""
    if view.figure in cover_rows.YEARLY:
        return cover_rows.sum_rows(view)
    figures = count_figures(view)
    if view.reason is not None:
        return figures.refused.get(view.reason, 0)
    return _FIGURES[view.figure](figures)


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
