"""« Provisions »: what a claim of each trade usually costs, and when a reserve is looked at again. For admins."""

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import InvalidInputError
from webapp.french import field_amount, read_number
from webapp.models.covers import Trade
from webapp.models.identity import Role
from webapp.security import current_user, requires
from webapp.services.claims import reserves
from webapp.views.layout import toast
from webapp.views.lists import read

bp = Blueprint("claim_settings", __name__, url_prefix="/dossiers/provisions")

for_admins = requires(Role.ADMIN)


@bp.get("")
@for_admins
def show() -> ResponseReturnValue:
    """The settings, to be changed."""
    return _page()


@bp.post("")
@for_admins
def change() -> ResponseReturnValue:
    """Set them for what is declared from now on."""
    costs = {trade: read_number(request.form.get(trade.value, "")) for trade in Trade}
    days = read(int, request.form.get("jours"))
    try:
        reserves.change(costs, review_days=days, by=current_user(), at=clock.now())
    except InvalidInputError as error:
        return _page(error), error.status
    toast("success", "Provisions enregistrées.")
    return redirect(url_for("claim_settings.show"), 303)


def _page(problem: InvalidInputError | None = None) -> str:
    kept = reserves.load()
    written = {trade.value: field_amount(amount) for trade, amount in kept.costs.items()} | {
        "jours": str(kept.review_days)
    }
    return render_template(
        "claims/settings.html",
        trades=list(Trade),
        written=request.form.to_dict() if problem else written,
        problem=problem,
    )
