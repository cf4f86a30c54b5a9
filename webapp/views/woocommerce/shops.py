"""« Intégrations »: the shops with WooCommerce, and the page of one. For managers; admins change."""

from datetime import datetime
from typing import Any
from uuid import UUID

from dateutil.relativedelta import relativedelta
from flask import Blueprint, current_app, render_template, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.config import Settings
from webapp.errors import DomainError
from webapp.models.identity import Role
from webapp.security import current_user, requires
from webapp.services.preferences.schemas import list_schemas
from webapp.services.woocommerce import pulls, shops, topics

bp = Blueprint("shops", __name__, url_prefix="/integrations/woocommerce")

for_managers = requires(Role.MANAGER, Role.ADMIN)
for_admins = requires(Role.ADMIN)
LAST_PULLS = 5
TAKEN_BACK = relativedelta(months=13)
"""How far back a first pull goes, unless somebody says otherwise: a year's subscriptions with their last renewal."""


@bp.get("")
@for_managers
def index() -> ResponseReturnValue:
    """The shops, or the first steps while there is none."""
    return render_template("woocommerce/shops.html", rows=shops.list_shops(), now=clock.now(), may_change=may_change())


@bp.get("/<uuid:shop_id>")
@for_managers
def show(shop_id: UUID) -> ResponseReturnValue:
    """One shop: how it is connected, how its webhooks stand, and how it was read."""
    return page(shop_id)


def may_change() -> bool:
    """Whether the user connects and changes shops."""
    return current_user().has_role(Role.ADMIN)


def page(shop_id: UUID, *, secret: str | None = None, problem: DomainError | None = None) -> str:
    """The page of a shop. ``secret`` is shown this once; ``problem`` is why « Reprendre depuis le … » was refused."""
    shop = shops.find_shop(shop_id)
    values: dict[str, Any] = {
        "shop": shop,
        "topics": topics.list_topics(shop, at=clock.now()),
        "old_secrets": max(0, len(shop.secrets_in_clear()) - 1),
        "secret": secret,
        "delivery_url": delivery_url(shop_id),
        "preferences": {schema.code: schema.label for schema in list_schemas()},
        "tested_at": shop.abilities and datetime.fromisoformat(shop.abilities["tested_at"]),
        "taken_over": pulls.has_been_taken_over(shop_id),
        "usual_since": clock.today() - TAKEN_BACK,
        "problem": problem,
        **pull_values(shop_id),
    }
    return render_template("woocommerce/shop.html", **values, today=clock.today(), may_change=may_change())


def delivery_url(shop_id: UUID) -> str:
    """Where WooCommerce is to send what happens in this shop."""
    settings: Settings = current_app.extensions["settings"]
    return settings.base_url + url_for("woocommerce_webhooks.create_delivery", shop_id=shop_id)


def pull_values(shop_id: UUID) -> dict[str, Any]:
    """What ``woocommerce/_pulls.html`` and ``_progress.html`` need."""
    latest = pulls.list_pulls(shop_id, limit=LAST_PULLS)
    running = next((each for each in latest if not each.is_finished), None)
    return {"pulls": latest, "running": running, "sentence_of": pulls.sentence}
