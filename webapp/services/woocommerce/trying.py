"""« Tester »: does the shop answer, what can it be asked, and which of its webhooks lead here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import orjson
from sqlalchemy import select

from webapp.extensions import db
from webapp.gateways import woocommerce
from webapp.gateways.woocommerce import Access, Connection, KeyRefusedError, NoSuchPageError, RejectedError
from webapp.models.woocommerce import WooCommerceShop
from webapp.services.woocommerce import pulls
from webapp.services.woocommerce.stages import Abilities
from webapp.transactions import let_go, transaction

FUTURE = "2100-01-01T00:00:00"
"""Nothing was changed after it: a shop that lists something all the same does not honour the filter."""
GOOD_FOR = timedelta(days=1)
OUR_PATH = "/webhooks/woocommerce"
DISABLED = "disabled"


@dataclass(frozen=True)
class Findings:
    """What a test found out. ``version`` and ``currency`` are empty where the key may not read them.

    ``topics`` are the webhooks that lead here: topic → ``{"webhook_id", "status", "delivery_url"}``.
    """

    has_subscriptions: bool
    honours_modified_after: bool
    version: str = ""
    currency: str = ""
    topics: Mapping[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def disabled_topics(self) -> list[str]:
        """The topics whose webhook WooCommerce has switched off."""
        return sorted(topic for topic, hook in self.topics.items() if hook["status"] == DISABLED)

    def sentence(self) -> str:
        """What to tell whoever pressed « Tester »."""
        version = f" (WooCommerce {self.version})" if self.version else ""
        told = [f"La boutique répond{version}."]
        if not self.has_subscriptions:
            told.append("Elle n’a pas l’extension d’abonnements\u202f: seules les commandes et les clients viendront.")
        elif not self.honours_modified_after:
            told.append(
                "Ses abonnements ne se filtrent pas par date\u202f: tous ceux en cours sont relus à chaque relevé."
            )
        if self.disabled_topics:
            told.append(f"WooCommerce a désactivé des webhooks\u202f: {', '.join(self.disabled_topics)}.")
        return " ".join(told)


def access_of(shop: WooCommerceShop) -> Access:
    """Where the shop is, with its key, for the gateway alone."""
    keys = shop.credentials_in_clear()
    return Access(shop.url, keys.get("consumer_key", ""), keys.get("consumer_secret", ""))


def try_shop(shop_id: UUID, *, at: datetime) -> Findings:
    """Ask the shop, and keep what was found. Raises NotFoundError, PullRefusedError or ShopError with the reason."""
    shop = pulls.check_can_be_read(shop_id)
    patience = woocommerce.SOMEONE_WAITS
    with woocommerce.connected(access_of(shop), patience=patience, while_waiting=let_go) as connection:
        findings = _find_out(connection)
    _keep(shop_id, findings, at=at)
    return findings


def look(connection: Connection, shop_id: UUID, *, at: datetime) -> Abilities:
    """What a pull must know: found out once a day; the webhooks are looked at each time. Raises ShopError."""
    kept = db.session.scalars(select(WooCommerceShop.abilities).where(WooCommerceShop.id == shop_id)).one()
    if kept and datetime.fromisoformat(kept["tested_at"]) > at - GOOD_FOR:
        topics = _list_topics(connection)
        _keep_topics(shop_id, topics)
        return Abilities(kept["has_subscriptions"], kept["honours_modified_after"])
    findings = _find_out(connection)
    _keep(shop_id, findings, at=at)
    return Abilities(findings.has_subscriptions, findings.honours_modified_after)


def _find_out(connection: Connection) -> Findings:
    """Orders and customers first: what no pull can do without says best what is wrong."""
    connection.list_page("orders", {"per_page": 1})
    connection.list_page("customers", {"per_page": 1, "role": "all"})
    has_subscriptions, honours = _try_subscriptions(connection)
    version, currency = _describe(connection)
    return Findings(has_subscriptions, honours, version, currency, _list_topics(connection))


def _try_subscriptions(connection: Connection) -> tuple[bool, bool]:
    """Whether there are any to ask for, and whether the date of change filters them: nothing can tell without one."""
    try:
        some = connection.list_page("subscriptions", {"per_page": 1})
        if not some.bodies:
            return True, False
        future: dict[str, str | int] = {"per_page": 1, "modified_after": FUTURE, "dates_are_gmt": "true"}
        return True, not connection.list_page("subscriptions", future).bodies
    except NoSuchPageError:
        return False, False
    except RejectedError:
        return True, False  # a version that does not know the filter refuses it


def _describe(connection: Connection) -> tuple[str, str]:
    """Version and currency: nice to know, and a key need not have the right to read them."""
    try:
        said = connection.describe()
    except (KeyRefusedError, NoSuchPageError):
        return "", ""
    environment, settings = said.get("environment"), said.get("settings")
    version = environment.get("version") if isinstance(environment, dict) else ""
    currency = settings.get("currency") if isinstance(settings, dict) else ""
    return str(version or "")[:20], str(currency or "")[:3]


def _list_topics(connection: Connection) -> dict[str, dict[str, Any]]:
    """The webhooks that lead here, by topic; of two on one topic, the active one. Empty where the key sees none."""
    try:
        page = connection.list_page("webhooks", {})
    except (KeyRefusedError, NoSuchPageError):
        return {}
    found: dict[str, dict[str, Any]] = {}
    for body in page.bodies:
        topic, hook = _read_hook(body)
        if hook and (topic not in found or hook["status"] == "active"):
            found[topic] = hook
    return found


def _read_hook(body: bytes) -> tuple[str, dict[str, Any] | None]:
    """The topic of a webhook, and what we keep of it; None where it leads elsewhere or cannot be read."""
    try:
        said = orjson.loads(body)
        topic, url, status = (str(said[name])[:500] for name in ("topic", "delivery_url", "status"))
        leads_here = urlsplit(url).path.startswith(OUR_PATH)
        return topic, {"webhook_id": int(said["id"]), "status": status, "delivery_url": url} if leads_here else None
    except (ValueError, KeyError, TypeError):
        return "", None


def _keep(shop_id: UUID, findings: Findings, *, at: datetime) -> None:
    with transaction():
        shop = _lock(shop_id)
        shop.topics = dict(findings.topics)
        shop.abilities = {
            "tested_at": at.isoformat(),
            "has_subscriptions": findings.has_subscriptions,
            "honours_modified_after": findings.honours_modified_after,
            "version": findings.version,
            "currency": findings.currency,
        }


def _keep_topics(shop_id: UUID, topics: dict[str, dict[str, Any]]) -> None:
    with transaction():
        _lock(shop_id).topics = topics


def _lock(shop_id: UUID) -> WooCommerceShop:
    statement = select(WooCommerceShop).where(WooCommerceShop.id == shop_id).with_for_update(key_share=True)
    return db.session.scalars(statement.execution_options(populate_existing=True)).one()
