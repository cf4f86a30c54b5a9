"""How what a shop has is shown: in its own words, and where its staff finds it."""

from webapp.models.woocommerce import ResourceKind, WooCommerceResource, WooCommerceShop
from webapp.services.woocommerce.topics import TOPICS

ORDER_LABELS = {
    "pending": "En attente de paiement",
    "processing": "En cours",
    "on-hold": "En attente",
    "completed": "Terminée",
    "cancelled": "Annulée",
    "refunded": "Remboursée",
    "failed": "Échouée",
    "trash": "À la corbeille",
}
"""WooCommerce's own words in French, so that its admin and our page say the same."""


def order_label(status: str) -> str:
    """The status of an order on the screen; one that the shop has made up, as it is."""
    return ORDER_LABELS.get(status, status)


def topic_label(topic: str) -> str:
    """What an event tells, as WooCommerce names it; of a topic that is not followed, its own name."""
    if topic.startswith("pull."):  # no webhook told it: claiming.keep_of_pull
        return "Relevé"
    return TOPICS.get(topic, topic) or "Sans sujet"


def movement_label(external_id: str) -> str:
    """What of the shop a movement of the ledger stands for, told by its external id (``money.py``)."""
    order_id, *rest = external_id.split("-")
    label = f"Commande n°\u00a0{order_id}"
    refund_id = rest[0].removeprefix("r") if len(rest) > 1 else ""
    return f"{label}, remboursement n°\u00a0{refund_id}" if refund_id else label


def admin_url(resource: WooCommerceResource) -> str:
    """Where the shop's staff sees the resource. Its shop must be loaded, or is."""
    return url_in_admin(resource.shop, resource.kind, resource.woo_id)


def url_in_admin(shop: WooCommerceShop, kind: ResourceKind, woo_id: int) -> str:
    """Where the shop's staff sees a customer, an order, a subscription or a product."""
    page = f"user-edit.php?user_id={woo_id}" if kind is ResourceKind.CUSTOMER else f"post.php?post={woo_id}&action=edit"
    return f"{shop.url.rstrip('/')}/wp-admin/{page}"
