"""« À revoir »: what shops told that a person should look at. Managers read; admins decide."""

from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from webapp import clock
from webapp.errors import InvalidInputError
from webapp.security import current_user
from webapp.services.woocommerce import reviewing, shops
from webapp.services.woocommerce.reviewing import ReviewView
from webapp.views.layout import is_fragment_request, list_part, toast
from webapp.views.lists import read
from webapp.views.rate_limits import paced
from webapp.views.woocommerce.shops import for_admins, for_managers, may_change

bp = Blueprint("shop_reviews", __name__, url_prefix="/integrations/woocommerce/a-revoir")

CODES = [("", "Tous les motifs"), *reviewing.LABELS.items()]


@bp.app_template_global("count_shop_reviews")
def count_reviews() -> int:
    """How many resources wait for somebody to look at them: beside the tab."""
    return reviewing.count_reviews()


@bp.get("")
@for_managers
@paced
def index() -> ResponseReturnValue:
    """What is to be looked at, the latest known first, as the address says."""
    view = view_of(request.args)
    page = reviewing.list_reviews(view)
    values: dict[str, Any] = {
        "rows": page.rows,
        "labels": reviewing.LABELS,
        "filters": _filters(view),
        "first_page": _address(view, None) if view.cursor else None,
        "next_page": _address(view, page.next_cursor) if page.next_cursor else None,
        "may_decide": may_change(),
    }
    if not is_fragment_request():
        names = [(str(shop_id), name) for shop_id, name in shops.list_names()]
        choices = {"codes": CODES, "shops": [("", "Toutes les boutiques"), *names]}
        return render_template("woocommerce/reviews.html", **values, **choices)
    return list_part("reviews", render_template("woocommerce/_reviews.html", **values), address=_address(view, None))


def view_of(query: MultiDict[str, str]) -> ReviewView:
    """What a query asks for; what cannot be read narrows nothing."""
    code = query.get("motif", "")
    return ReviewView(
        code=code if code in reviewing.LABELS else None,
        shop_id=read(UUID, query.get("boutique")),
        cursor=query.get("apres"),
    )


def _filters(view: ReviewView) -> dict[str, str]:
    """The filters that filter, as an address says them."""
    query = {"motif": view.code, "boutique": view.shop_id}
    return {name: str(value) for name, value in query.items() if value}


def _address(view: ReviewView, cursor: str | None) -> str:
    query: dict[str, Any] = _filters(view)
    return url_for("shop_reviews.index", **query, apres=cursor)


@bp.post("/<uuid:resource_id>/rattacher")
@for_admins
def link(resource_id: UUID) -> ResponseReturnValue:
    """The person of the shop is the client ``client``."""
    client_id = read(UUID, request.form.get("client"))
    if client_id is None:
        raise InvalidInputError("Choisissez l’un des clients proposés.")
    name = reviewing.link(resource_id, client_id, by=current_user(), at=clock.now())
    toast("success", f"Rattaché à {name}\u202f: ce qui attendait est repris.")
    return _back()


@bp.post("/<uuid:resource_id>/creer")
@for_admins
def create(resource_id: UUID) -> ResponseReturnValue:
    """The person of the shop is a client of its own."""
    reviewing.create(resource_id, by=current_user(), at=clock.now())
    toast("success", "Client créé\u202f: ce qui attendait est repris.")
    return _back()


@bp.post("/<uuid:resource_id>/classer")
@for_admins
def close(resource_id: UUID) -> ResponseReturnValue:
    """A person has seen to it."""
    reviewing.close(resource_id, by=current_user(), at=clock.now())
    toast("success", "Classé\u202f: il ne reviendra que s’il se passe autre chose.")
    return _back()


def _back() -> ResponseReturnValue:
    """To the list as it was narrowed: whoever decides on one decides on the next."""
    return redirect(_address(view_of(request.form), None), 303)
