"""« Documents à renouveler »: what expires, of the clients that somebody looks after."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.security import current_user
from webapp.services.clients import expiring
from webapp.services.clients.expiring import Belonging, ExpiringView, Expiry
from webapp.services.figures.scope import Scope, figures_scope, list_in_scope
from webapp.views.layout import is_fragment_request, list_part
from webapp.views.lists import read
from webapp.views.rate_limits import paced

bp = Blueprint("expiring", __name__, url_prefix="/taches/documents")

EXPIRIES = [("", "Toutes les dates"), *((each.value, each.label) for each in Expiry)]
BELONGINGS = [("", "Toutes les pièces"), *((each.value, each.label) for each in Belonging)]


@bp.get("")
@paced
def index() -> ResponseReturnValue:
    """The list, as the address says. What cannot be read in it is ignored."""
    scope, today = figures_scope(current_user()), clock.today()
    view = _view(scope)
    page = expiring.list_expiring(view, today=today)
    values: dict[str, Any] = {
        "view": view,
        "rows": page.rows,
        "today": today,
        "first_page": _address(view, cursor=None) if view.cursor else None,
        "next_page": _address(view, cursor=page.next_cursor) if page.next_cursor else None,
    }
    if not is_fragment_request():
        people = [("", "Tous les commerciaux"), *((str(each.id), each.full_name) for each in list_in_scope(scope))]
        return render_template(
            "clients/expiring.html", **values, scope=scope, people=people, expiries=EXPIRIES, belongings=BELONGINGS
        )
    part = render_template("clients/_expiring.html", **values)
    return list_part("expiring", part, address=_address(view, cursor=None))


def read_view() -> ExpiringView:
    """The view that the address asks for. What cannot be read in it is ignored."""
    return _view(figures_scope(current_user()))


def _view(scope: Scope) -> ExpiringView:
    return ExpiringView(
        search=" ".join(request.args.get("q", "").split()),
        expiry=read(Expiry, request.args.get("echeance")),
        belonging=read(Belonging, request.args.get("piece")),
        commercial_id=read(UUID, request.args.get("commercial")),
        commercial_ids=None if scope.is_all else frozenset(scope.members),
        cursor=request.args.get("apres"),
    )


def _address(view: ExpiringView, **changes: Any) -> str:
    target = replace(view, **changes)
    query: dict[str, Any] = {
        "q": target.search,
        "echeance": target.expiry,
        "piece": target.belonging,
        "commercial": target.commercial_id,
        "apres": target.cursor,
    }
    return url_for("expiring.index", **{name: value for name, value in query.items() if value})
