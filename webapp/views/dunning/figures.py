"""Figures of what is unpaid, within what the user may see, and the rows behind each."""

from datetime import date
from typing import Any

from dateutil.relativedelta import relativedelta
from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import NotFoundError
from webapp.models.dunning import StepAction
from webapp.security import current_user
from webapp.services.dunning import figures, listing
from webapp.services.dunning.figures import DocumentsView
from webapp.services.dunning.listing import Age, ClaimsView
from webapp.services.figures.scope import figures_scope
from webapp.views.lists import read, read_day

bp = Blueprint("dunning_figures", __name__, url_prefix="/relances/chiffres")

CURRENCY = "EUR"
BEFORE_ANY = "avant"
NARROWING = ("age", "etape", "du", "au")


@bp.get("")
def index() -> ResponseReturnValue:
    """Unpaid by age, recovered by step since a day, DSO by month."""
    today = clock.today()
    since, until = _period(today)
    scope = figures_scope(current_user())
    members = None if scope.is_all else frozenset(scope.members)
    by_age = figures.unpaid_by_age(commercial_ids=members, today=today)
    return render_template(
        "dunning/figures.html",
        scope=scope,
        by_age=by_age,
        unpaid=figures.Share(
            sum(share.number for share in by_age.values()),
            sum((share.amount for share in by_age.values()), figures.NOTHING),
        ),
        recovered=figures.recovered_by_step(since=since, until=until, commercial_ids=members),
        since=since,
        until=until,
        before_any=BEFORE_ANY,
        months=figures.dso_by_month(currency=CURRENCY, commercial_ids=members, today=today),
    )


def _period(today: date) -> tuple[date, date]:
    """The days that are asked for; by default the last three months. Turned round, they are read the other way."""
    since = read_day(request.args.get("du")) or today - relativedelta(months=3)
    until = read_day(request.args.get("au")) or today
    return min(since, until), max(since, until)


@bp.get("/creances")
def claims() -> ResponseReturnValue:
    """The claims behind a figure, with the same sum."""
    view, today = read_claims(), clock.today()
    page = listing.list_claims_of(view, today=today)
    number, amount = listing.sum_claims(view, today=today)
    query: dict[str, Any] = {name: value for name, value in request.args.items() if name in NARROWING}
    return render_template(
        "dunning/claims.html",
        claims=page.rows,
        number=number,
        amount=amount,
        title=_title_of(view),
        today=today,
        next_page=page.next_cursor and url_for("dunning_figures.claims", **{**query, "apres": page.next_cursor}),
    )


def read_claims() -> ClaimsView:
    """The claims that the address asks for, within what the user may see."""
    scope = figures_scope(current_user())
    step = request.args.get("etape", "")
    return ClaimsView(
        age=read(Age, request.args.get("age")),
        is_recovered="etape" in request.args or "du" in request.args,
        action=read(StepAction, step),
        is_before_any=step == BEFORE_ANY,
        since=read_day(request.args.get("du")),
        until=read_day(request.args.get("au")),
        commercial_ids=None if scope.is_all else frozenset(scope.members),
        cursor=request.args.get("apres"),
    )


def _title_of(view: ClaimsView) -> str:
    if not view.is_recovered:
        return f"Impayés\u202f: {view.age.label.lower()}" if view.age else "Impayés"
    if view.is_before_any:
        return "Recouvré avant toute relance"
    return f"Recouvré après «\u00a0{view.action.label}\u00a0»" if view.action else "Recouvré"


@bp.get("/dso/<mois>/<what>")
def dso(mois: str, what: str) -> ResponseReturnValue:
    """What a month's receivables (``creances``) or revenue (``ventes``) are made of."""
    view, figure = _read_documents(mois)
    if what not in _LISTS:
        raise NotFoundError
    rows = _LISTS[what](view)
    values: dict[str, Any] = {
        "figure": figure,
        "what": what,
        "rows": rows.rows,
        "next_page": rows.next_cursor and url_for("dunning_figures.dso", mois=mois, what=what, apres=rows.next_cursor),
    }
    return render_template("dunning/dso.html", **values)


def _read_documents(month: str) -> tuple[DocumentsView, figures.Dso]:
    scope, today = figures_scope(current_user()), clock.today()
    members = None if scope.is_all else frozenset(scope.members)
    asked = read_day(f"{month}-01")
    known = {each.month: each for each in figures.dso_by_month(currency=CURRENCY, commercial_ids=members, today=today)}
    if asked is None or asked not in known:
        raise NotFoundError
    cursor = request.args.get("apres")
    return DocumentsView(month=asked, currency=CURRENCY, commercial_ids=members, cursor=cursor), known[asked]


def read_documents(mois: str) -> DocumentsView:
    """The month that is in the address, within what the user may see. Raises NotFoundError."""
    return _read_documents(mois)[0]


_LISTS = {"creances": figures.list_receivables, "ventes": figures.list_revenue}
