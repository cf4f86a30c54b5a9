"""« Dossiers »: the claim files of an organisation, the latest declared first."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.models.claims import ClaimStatus, WaitsFor
from webapp.models.covers import Trade
from webapp.models.identity import Role
from webapp.security import current_user
from webapp.services.claims import listing
from webapp.services.claims.listing import ClaimsView, FollowUp
from webapp.services.covers.listing import list_plan_choices
from webapp.services.figures.scope import figures_scope
from webapp.views.layout import is_fragment_request, list_part
from webapp.views.lists import read, read_day
from webapp.views.rate_limits import paced

bp = Blueprint("claims", __name__, url_prefix="/dossiers")

STATUSES = [("", "Tous les états"), *((each.value, each.label) for each in ClaimStatus)]
TRADES = [("", "Tous les métiers"), *((each.value, each.label) for each in Trade)]
TURNS = [("", "En attente de tous"), *((each.value, f"En attente\u202f: {each.label.lower()}") for each in WaitsFor)]
TEAMS = [("", "Toute l’organisation"), ("1", "Mon équipe")]
FOLLOW_UPS = [("", "Tous les suivis"), *((each.value, each.label) for each in FollowUp)]


@bp.get("")
@paced
def index() -> ResponseReturnValue:
    """The list, as the address says. What cannot be read in it is ignored."""
    view = read_view()
    page = listing.list_claims(view)
    values: dict[str, Any] = {
        "view": view,
        "rows": page.rows,
        "first_page": _address(view, cursor=None) if view.cursor else None,
        "next_page": _address(view, cursor=page.next_cursor) if page.next_cursor else None,
    }
    if not is_fragment_request():
        plans = [("", "Toutes les formules"), *((str(plan_id), label) for plan_id, label in list_plan_choices())]
        return render_template(
            "claims/list.html",
            **values,
            plans=plans,
            statuses=STATUSES,
            trades=TRADES,
            turns=TURNS,
            follow_ups=FOLLOW_UPS,
            teams=TEAMS if _find_team() is not None else None,
            is_admin=current_user().has_role(Role.ADMIN),
        )
    return list_part("claims", render_template("claims/_list.html", **values), address=_address(view, cursor=None))


def _find_team() -> frozenset[UUID] | None:
    """Those in the teams that a manager leads; None of who leads none in particular."""
    if not current_user().has_role(Role.MANAGER):
        return None
    scope = figures_scope(current_user())
    return None if scope.is_all else frozenset(scope.members)


def read_view() -> ClaimsView:
    """The view that the address asks for. What cannot be read in it is ignored."""
    follow_up = read(FollowUp, request.args.get("suivi"))
    return ClaimsView(
        search=" ".join(request.args.get("q", "").split()),
        status=read(ClaimStatus, request.args.get("etat")),
        trade=read(Trade, request.args.get("metier")),
        plan_id=read(UUID, request.args.get("formule")),
        waits_for=read(WaitsFor, request.args.get("attente")),
        declared_before=read_day(request.args.get("avant")),
        follow_up=follow_up,
        untouched_since=follow_up.before(clock.today()) if follow_up else None,
        commercial_ids=_find_team() if request.args.get("equipe") == "1" else None,
        cursor=request.args.get("apres"),
    )


def _address(view: ClaimsView, **changes: Any) -> str:
    target = replace(view, **changes)
    query: dict[str, Any] = {
        "q": target.search,
        "etat": target.status,
        "metier": target.trade,
        "formule": target.plan_id,
        "attente": target.waits_for,
        "avant": target.declared_before,
        "suivi": target.follow_up,
        "equipe": "1" if target.commercial_ids is not None else None,
        "apres": target.cursor,
    }
    return url_for("claims.index", **{name: value for name, value in query.items() if value})
