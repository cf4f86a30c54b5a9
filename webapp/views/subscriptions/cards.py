"""The cards that have expired, or will soon. For managers."""

from typing import Any

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.models.identity import Role
from webapp.security import requires
from webapp.services.subscriptions import saved_methods
from webapp.services.subscriptions.saved_methods import CardsView, Expiry
from webapp.views.clients.tabs import ClientTab
from webapp.views.layout import is_fragment_request, list_part
from webapp.views.lists import read
from webapp.views.rate_limits import paced

bp = Blueprint("cards", __name__, url_prefix="/prelevements/cartes")


@bp.get("")
@requires(Role.MANAGER, Role.ADMIN)
@paced
def index() -> ResponseReturnValue:
    """The list, as the address says."""
    view, today = read_view(), clock.today()
    page = saved_methods.list_expiring(view, today=today)
    values: dict[str, Any] = {
        "view": view,
        "rows": page.rows,
        "expiries": list(Expiry),
        "counts": saved_methods.count_expiring(today=today),
        "today": today,
        "payments_tab": ClientTab.PAYMENTS,
        "first_page": _address(view, apres=None) if view.cursor else None,
        "next_page": _address(view, apres=page.next_cursor) if page.next_cursor else None,
        "address_of": lambda expiry: _address(view, expiration=expiry, apres=None),
    }
    if not is_fragment_request():
        return render_template("subscriptions/cards.html", **values)
    return list_part(
        "cards", render_template("subscriptions/_cards.html", **values), address=_address(view, apres=None)
    )


def read_view() -> CardsView:
    """The cards that the address asks for."""
    return CardsView(
        expiry=read(Expiry, request.args.get("expiration")),
        search=" ".join(request.args.get("q", "").split()),
        cursor=request.args.get("apres"),
    )


def _address(view: CardsView, **changes: Any) -> str:
    query: dict[str, Any] = {"q": view.search, "expiration": view.expiry, "apres": view.cursor} | changes
    return url_for("cards.index", **{name: value for name, value in query.items() if value})
