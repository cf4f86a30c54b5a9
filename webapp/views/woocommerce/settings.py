"""The settings of a shop: connected, changed, switched off. For admins. Keys go in, and never come out again."""

from datetime import datetime
from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import InvalidInputError
from webapp.models.subscriptions import Collector
from webapp.models.woocommerce import WooCommerceShop
from webapp.services.organisations import list_companies
from webapp.services.preferences.schemas import list_schemas
from webapp.services.woocommerce import shops
from webapp.services.woocommerce.shops import ShopFields
from webapp.views.layout import toast
from webapp.views.lists import YEARS, read
from webapp.views.woocommerce.shops import for_admins

bp = Blueprint("shop_settings", __name__, url_prefix="/integrations/woocommerce")

EMPTY_PAIRS = 3
"""Lines of the table of attributes that wait to be filled in."""
MOST_PAIRS = 60
ZONES = (
    ("Europe/Paris", "Paris"),
    ("Europe/Brussels", "Bruxelles"),
    ("Europe/Luxembourg", "Luxembourg"),
    ("Europe/Zurich", "Zurich"),
    ("America/Guadeloupe", "Guadeloupe"),
    ("America/Martinique", "Martinique"),
    ("America/Cayenne", "Guyane"),
    ("America/Miquelon", "Saint-Pierre-et-Miquelon"),
    ("Indian/Reunion", "La Réunion"),
    ("Indian/Mayotte", "Mayotte"),
    ("Pacific/Noumea", "Nouvelle-Calédonie"),
    ("Pacific/Tahiti", "Tahiti"),
    ("UTC", "UTC"),
)
LOCAL = "%Y-%m-%dT%H:%M"


@bp.route("/nouvelle", methods=["GET", "POST"])
@for_admins
def new() -> ResponseReturnValue:
    """The form of a shop that is to be connected; its connection."""
    if request.method == "GET":
        companies = list_companies()
        usual = ShopFields(name="", url="", company_id=companies[0].id if companies else None, ships_from=clock.now())
        return _page(None, _shown(usual, has_keys=False))
    try:
        shop = shops.create_shop(_written(), at=clock.now())
    except InvalidInputError as error:
        return _page(None, _given(), error), error.status
    toast("success", f"{shop.name} est enregistrée. Créez maintenant ses webhooks\u202f: les étapes sont ci-dessous.")
    return redirect(url_for("shops.show", shop_id=shop.id), 303)


@bp.route("/<uuid:shop_id>/reglages", methods=["GET", "POST"])
@for_admins
def edit(shop_id: UUID) -> ResponseReturnValue:
    """The form of a shop, and its change."""
    shop = shops.find_shop(shop_id)
    if request.method == "GET":
        return _page(shop, _shown(shops.fields_of(shop), has_keys=shop.has_keys))
    try:
        shops.change_shop(shop_id, _written(), at=clock.now())
    except InvalidInputError as error:
        return _page(shop, _given(), error), error.status
    toast("success", f"Réglages de {shop.name} enregistrés.")
    return redirect(url_for("shops.show", shop_id=shop_id), 303)


@bp.post("/<uuid:shop_id>/desactivation")
@for_admins
def switch_off(shop_id: UUID) -> ResponseReturnValue:
    """Take nothing from the shop any more."""
    shop = shops.set_active(shop_id, is_active=False)
    toast("success", f"{shop.name} est désactivée\u202f: plus rien n’y est pris.")
    return redirect(url_for("shops.show", shop_id=shop_id), 303)


@bp.post("/<uuid:shop_id>/activation")
@for_admins
def switch_on(shop_id: UUID) -> ResponseReturnValue:
    """Take part again."""
    shop = shops.set_active(shop_id, is_active=True)
    toast("success", f"{shop.name} est réactivée. Relevez-la pour rattraper ce qui s’y est passé.")
    return redirect(url_for("shops.show", shop_id=shop_id), 303)


def _written() -> ShopFields:
    """Raises InvalidInputError for what cannot be read."""
    form = request.form
    collector = read(Collector, form.get("encaissement"))
    if collector is None:
        raise InvalidInputError("Choisissez qui encaisse.", field="collected_by")
    return ShopFields(
        name=form.get("nom", ""),
        url=form.get("adresse", ""),
        company_id=read(UUID, form.get("societe")),
        timezone=form.get("fuseau", ""),
        collected_by=collector,
        ships_from=_instant(form.get("expedition", "")),
        attribute_codes=_pairs(),
        keys={name: form.get(name, "") for name in ("consumer_key", "consumer_secret")},
        forgets_keys="oublier" in form,
    )


def _instant(text: str) -> datetime:
    """A local time as browsers write it (2026-11-20T09:00), in Paris."""
    at = read(datetime.fromisoformat, text)
    if at is None or at.tzinfo is not None or at.year not in YEARS:
        raise InvalidInputError("Choisissez un jour et une heure.", field="ships_from")
    return at.replace(tzinfo=clock.PARIS)


def _pairs() -> list[tuple[str, str]]:
    names, codes = request.form.getlist("attribut")[:MOST_PAIRS], request.form.getlist("preference")[:MOST_PAIRS]
    return list(zip(names, codes, strict=False))


def _given() -> dict[str, Any]:
    """What was written, to be shown again beside the refusal; keys are to be given again."""
    shown: dict[str, Any] = request.form.to_dict()
    return shown | {"attributs": _padded(_pairs())}


def _shown(fields: ShopFields, *, has_keys: bool) -> dict[str, Any]:
    ships_from = fields.ships_from.astimezone(clock.PARIS).strftime(LOCAL) if fields.ships_from else ""
    return {
        "nom": fields.name,
        "adresse": fields.url,
        "societe": str(fields.company_id or ""),
        "fuseau": fields.timezone,
        "encaissement": fields.collected_by.value,
        "expedition": ships_from,
        "attributs": _padded(list(fields.attribute_codes)),
        "has_keys": has_keys,
    }


def _padded(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    filled = [(name, code) for name, code in pairs if name or code]
    return filled + [("", "")] * EMPTY_PAIRS


def _page(shop: WooCommerceShop | None, written: dict[str, Any], problem: InvalidInputError | None = None) -> str:
    zones = list(ZONES)
    if shop is not None and shop.timezone not in dict(zones):
        zones.append((shop.timezone, shop.timezone))
    return render_template(
        "woocommerce/form.html",
        shop=shop,
        written=written,
        problem=problem,
        zones=zones,
        companies=[(str(company.id), company.name) for company in list_companies()],
        collectors=[(each.value, each.label) for each in (Collector.SHOP, Collector.CRM)],
        preferences=[("", "Choisir…"), *((schema.code, schema.label) for schema in list_schemas())],
    )
