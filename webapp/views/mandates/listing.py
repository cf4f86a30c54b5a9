"""The mandates that lack something. For managers."""

from typing import Any

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.models.identity import Role
from webapp.security import requires
from webapp.services.mandates import listing
from webapp.services.mandates.listing import Lack, MandatesView
from webapp.views.layout import is_fragment_request, list_part
from webapp.views.lists import read
from webapp.views.rate_limits import paced

bp = Blueprint("mandates_to_complete", __name__, url_prefix="/prelevements/mandats")


@bp.get("")
@requires(Role.MANAGER, Role.ADMIN)
@paced
def index() -> ResponseReturnValue:
    """The list, as the address says."""
    view, today = read_view(), clock.today()
    page = listing.list_mandates(view, today=today)
    values: dict[str, Any] = {
        "view": view,
        "rows": page.rows,
        "lacks": list(Lack),
        "counts": listing.count_by_lack(today=today),
        "first_page": _address(view, apres=None) if view.cursor else None,
        "next_page": _address(view, apres=page.next_cursor) if page.next_cursor else None,
        "address_of": lambda lack: _address(view, manque=lack, apres=None),
    }
    if not is_fragment_request():
        return render_template("mandates/list.html", **values)
    return list_part("mandates", render_template("mandates/_list.html", **values), address=_address(view, apres=None))


def read_view() -> MandatesView:
    """The view that the address asks for. What cannot be read in it is ignored."""
    return MandatesView(
        lack=read(Lack, request.args.get("manque")),
        search=" ".join(request.args.get("q", "").split()),
        cursor=request.args.get("apres"),
    )


def _address(view: MandatesView, **changes: Any) -> str:
    query: dict[str, Any] = {"q": view.search, "manque": view.lack, "apres": view.cursor} | changes
    return url_for("mandates_to_complete.index", **{name: value for name, value in query.items() if value})
