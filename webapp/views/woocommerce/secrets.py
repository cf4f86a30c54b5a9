"""The secret that a shop's webhooks are signed with: made by us, shown once, changed without losing a notification."""

from datetime import datetime
from uuid import UUID

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.services.woocommerce import shops
from webapp.views.layout import toast
from webapp.views.lists import read
from webapp.views.woocommerce.shops import for_admins, page

bp = Blueprint("shop_secrets", __name__, url_prefix="/integrations/woocommerce/<uuid:shop_id>/secrets")


@bp.get("")
@for_admins
def index(shop_id: UUID) -> ResponseReturnValue:
    """Where a form leaves its address: the page that it stands in."""
    shop = shops.find_shop(shop_id)
    return redirect(url_for("shops.show", shop_id=shop.id), 303)


@bp.post("")
@for_admins
def create(shop_id: UUID) -> ResponseReturnValue:
    """Make a secret: this answer alone shows it. Reloaded, it makes no other one."""
    secret = shops.new_secret(shop_id, seen=_seen(), at=clock.now())
    toast("success", "Secret créé. Copiez-le maintenant\u202f: il ne sera plus affiché.")
    return page(shop_id, secret=secret)


@bp.post("/fin")
@for_admins
def end(shop_id: UUID) -> ResponseReturnValue:
    """Let the newest secret alone be good."""
    shops.end_old_secrets(shop_id, seen=_seen(), at=clock.now())
    toast("success", "L’ancien secret n’est plus accepté.")
    return redirect(url_for("shops.show", shop_id=shop_id), 303)


def _seen() -> datetime | None:
    """When the secret had last changed, as the page that the form stands in showed it."""
    return read(datetime.fromisoformat, request.form.get("vu"))
