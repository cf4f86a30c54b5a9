"""« Couvertures »: all of an organisation, the latest first."""

from typing import Any
from uuid import UUID

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp.models.subscriptions import SubscriptionStatus
from webapp.services.covers import listing
from webapp.services.covers.listing import CoversView
from webapp.views.layout import is_fragment_request, list_part
from webapp.views.lists import read
from webapp.views.rate_limits import paced

bp = Blueprint("covers", __name__, url_prefix="/couvertures")


@bp.get("")
@paced
def index() -> ResponseReturnValue:
    """The list, as the address says."""
    view = read_view()
    page = listing.list_covers(view)
    values: dict[str, Any] = {
        "view": view,
        "rows": page.rows,
        "plans": [(str(plan_id), label) for plan_id, label in listing.list_plan_choices()],
        "statuses": [(status.value, status.label) for status in SubscriptionStatus],
        "first_page": _address(view, apres=None) if view.cursor else None,
        "next_page": _address(view, apres=page.next_cursor) if page.next_cursor else None,
    }
    if not is_fragment_request():
        return render_template("covers/list.html", **values)
    return list_part("covers", render_template("covers/_list.html", **values), address=_address(view, apres=None))


def read_view() -> CoversView:
    """The view that the address asks for. What cannot be read in it is ignored."""
    return CoversView(
        search=" ".join(request.args.get("q", "").split()),
        plan_id=read(UUID, request.args.get("formule")),
        status=read(SubscriptionStatus, request.args.get("statut")),
        cursor=request.args.get("apres"),
    )


def _address(view: CoversView, **changes: Any) -> str:
    query: dict[str, Any] = {
        "q": view.search,
        "formule": view.plan_id,
        "statut": view.status,
        "apres": view.cursor,
    } | changes
    return url_for("covers.index", **{name: value for name, value in query.items() if value})
