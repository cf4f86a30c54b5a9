"""``flask woocommerce config show`` and ``set``: how shops are connected, by hand. Keys and secrets are never shown."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import IO, Any
from uuid import UUID

import click
from flask.cli import AppGroup

from webapp import clock
from webapp.cli.woocommerce_pulls import json_option, organisation_option, organisation_work, shop_option
from webapp.errors import InvalidInputError
from webapp.models.subscriptions import Collector
from webapp.models.woocommerce import WooCommerceShop
from webapp.services.organisations import list_companies
from webapp.services.woocommerce import pulls, shops
from webapp.services.woocommerce.shops import ShopFields

DAY_AND_HOUR = ["%Y-%m-%d", "%Y-%m-%dT%H:%M"]
KEYS = ("consumer_key", "consumer_secret")


def add_to(group: AppGroup) -> None:
    """Register both commands."""
    group.add_command(config)


@click.group(name="config")
def config() -> None:
    """Montre ou change comment une boutique est connectée."""


@config.command()
@organisation_option
@shop_option
@json_option
def show(slug: str | None, name: str | None, as_json: bool) -> None:
    """Montre les réglages d’une boutique."""
    with organisation_work(slug):
        _say(_described(shops.find_shop(pulls.find_shop_named(name).id)), as_json)


@config.command(name="set")
@organisation_option
@shop_option
@click.option("--connect", is_flag=True, help="Connecte une nouvelle boutique\u202f: --name et --url sont nécessaires.")
@click.option("--name", "new_name", help="Son nom.")
@click.option("--url", help="L’adresse de l’accueil du site.")
@click.option("--company", help="La société qui vend\u202f; par défaut, la principale.")
@click.option("--timezone", help="Le fuseau horaire des réglages de WordPress.")
@click.option("--collected-by", type=click.Choice([each.value for each in Collector]), help="Qui encaisse.")
@click.option(
    "--ships-from", type=click.DateTime(DAY_AND_HOUR), help="Expédie ce qui est payé depuis (heure de Paris)."
)
@click.option(
    "--attribute", "attributes", multiple=True, help="Attribut=code de la préférence\u202f; remplace la table."
)
@click.option("--no-attributes", is_flag=True, help="Vide la table des attributs.")
@click.option(
    "--keys-from", type=click.File("r"), help="Fichier de deux lignes, clé et secret\u202f; « - » les lit sur l’entrée."
)
@click.option("--forget-keys", is_flag=True, help="Oublie la clé REST.")
@click.option("--active/--inactive", "is_active", default=None, help="Y prend part, ou non.")
@click.option("--new-secret", is_flag=True, help="Crée un secret, et le montre cette fois seulement.")
@click.option("--end-old-secrets", is_flag=True, help="N’accepte plus que le dernier secret.")
@json_option
def set_config(slug: str | None, name: str | None, connect: bool, as_json: bool, **given: Any) -> None:
    """Change ce qui est donné, et laisse le reste."""
    with organisation_work(slug):
        shop_id = None if connect else pulls.find_shop_named(name).id
        shop = _save(shop_id, given)
        if given["is_active"] is not None:
            shops.set_active(shop.id, is_active=given["is_active"])
        if given["end_old_secrets"]:
            shops.end_old_secrets(shop.id, seen=shops.find_shop(shop.id).secrets_changed_at, at=clock.now())
        told = {}
        if given["new_secret"]:
            seen = shops.find_shop(shop.id).secrets_changed_at
            told["secret"] = shops.new_secret(shop.id, seen=seen, at=clock.now())
        _say(_described(shops.find_shop(shop.id)) | told, as_json)


def _save(shop_id: UUID | None, given: Mapping[str, Any]) -> WooCommerceShop:
    """Connect the shop, or change what is given of it."""
    if shop_id is None:
        fields = ShopFields(name="", url="", company_id=list_companies()[0].id)
        return shops.create_shop(_changed(fields, given), at=clock.now())
    return shops.change_shop(shop_id, _changed(shops.fields_of(shops.find_shop(shop_id)), given), at=clock.now())


def _changed(fields: ShopFields, given: Mapping[str, Any]) -> ShopFields:
    return ShopFields(
        name=fields.name if given["new_name"] is None else given["new_name"],
        url=fields.url if given["url"] is None else given["url"],
        company_id=_company(given["company"]) if given["company"] is not None else fields.company_id,
        timezone=given["timezone"] or fields.timezone,
        collected_by=Collector(given["collected_by"]) if given["collected_by"] else fields.collected_by,
        ships_from=_in_paris(given["ships_from"]) or fields.ships_from,
        attribute_codes=_pairs(given["attributes"])
        if given["attributes"] or given["no_attributes"]
        else fields.attribute_codes,
        keys=_keys(given["keys_from"]),
        forgets_keys=given["forget_keys"],
    )


def _company(name: str) -> UUID:
    found = [company.id for company in list_companies() if company.name == name]
    if not found:
        raise InvalidInputError("Cette société n’existe pas.", field="company")
    return found[0]


def _in_paris(instant: datetime | None) -> datetime | None:
    return instant.replace(tzinfo=clock.PARIS) if instant else None


def _pairs(written: Sequence[str]) -> list[tuple[str, str]]:
    pairs = [each.rpartition("=") for each in written]
    return [(attribute.strip(), code.strip()) for attribute, _sign, code in pairs]


def _keys(lines: IO[str] | None) -> dict[str, str]:
    """Not from the command line: other users of the machine see that."""
    return dict(zip(KEYS, lines.read().split(), strict=False)) if lines else {}


def _described(shop: WooCommerceShop) -> dict[str, Any]:
    return {
        "id": str(shop.id),
        "name": shop.name,
        "url": shop.url,
        "source": shop.source,
        "company": shop.company.name,
        "timezone": shop.timezone,
        "collected_by": shop.collected_by.value,
        "ships_from": shop.ships_from.isoformat(),
        "active": shop.is_active,
        "has_keys": shop.has_keys,
        "secrets": len(shop.secrets_in_clear()),
        "attributes": dict(shop.attribute_codes),
    }


def _say(values: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(values, ensure_ascii=False, indent=2))
        return
    for name, value in values.items():
        click.echo(f"{name}: {json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value}")
