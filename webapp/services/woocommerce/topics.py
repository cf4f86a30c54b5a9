"""The ten topics that a shop's webhooks tell us of, and how each stands: heard lately, silent, or switched off."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, ScalarSelect, SQLColumnExpression, Text, cast, func, literal, select

from webapp import french
from webapp.extensions import db
from webapp.models.woocommerce import WooCommerceEvent, WooCommerceShop

TOPICS: Mapping[str, str] = {
    "customer.created": "Client créé",
    "customer.updated": "Client mis à jour",
    "customer.deleted": "Client supprimé",
    "order.created": "Commande créée",
    "order.updated": "Commande mise à jour",
    "order.deleted": "Commande supprimée",
    "order.restored": "Commande restaurée",
    "subscription.created": "Abonnement créé",
    "subscription.updated": "Abonnement mis à jour",
    "subscription.deleted": "Abonnement supprimé",
}
"""As WooCommerce names them in its list of topics."""
SILENT_AFTER = timedelta(hours=1)


class Topic(NamedTuple):
    """One of the ten. ``state`` is ``never``, ``heard``, ``silent``, ``paused`` or ``disabled``."""

    name: str
    label: str
    state: str
    sentence: str


def list_topics(shop: WooCommerceShop, *, at: datetime) -> list[Topic]:
    """The ten topics, as they stand."""
    heard = dict(_heard_at(shop))
    return [
        Topic(name, label, *_standing(shop.topics.get(name, {}).get("status"), heard.get(name), at))
        for name, label in TOPICS.items()
    ]


def _heard_at(shop: WooCommerceShop) -> Sequence[tuple[str, datetime | None]]:
    """When each topic was last told of: the end of its part of the index, however many events there are."""
    named = func.unnest(cast(list(TOPICS), ARRAY(Text))).table_valued("topic").render_derived()
    last_at = last_told_at(literal(shop.organisation_id), literal(shop.id), named.c.topic)
    return [(topic, at) for topic, at in db.session.execute(select(named.c.topic, last_at))]


def last_told_at(
    organisation_id: SQLColumnExpression[UUID], shop_id: SQLColumnExpression[UUID], topic: SQLColumnExpression[str]
) -> ScalarSelect[datetime]:
    """When a shop last sent a delivery on a topic, as an expression."""
    return (
        select(func.max(WooCommerceEvent.received_at))
        .where(
            WooCommerceEvent.organisation_id == organisation_id,
            WooCommerceEvent.shop_id == shop_id,
            WooCommerceEvent.topic == topic,
        )
        .scalar_subquery()
    )


def _standing(status: str | None, heard_at: datetime | None, at: datetime) -> tuple[str, str]:
    """What WooCommerce says of the hook comes first: nothing more comes from one that is off."""
    if status == "disabled":
        return "disabled", "désactivé par WooCommerce"
    if status == "paused":
        return "paused", "en pause dans WooCommerce"
    if heard_at is None:
        return "never", "rien reçu encore"
    if at - heard_at < SILENT_AFTER:
        return "heard", f"reçu {french.ago(heard_at, at)}"
    return "silent", f"silencieux depuis {_since(at - heard_at)}"


def _since(elapsed: timedelta) -> str:
    hours = int(elapsed.total_seconds() // 3600)
    return f"{hours}\u00a0h" if hours < 48 else french.counted(hours // 24, "jour")
