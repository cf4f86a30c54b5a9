"""What a client has ordered in shops, for the card « Boutique », and where that stands in the shop's admin."""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import contains_eager

from webapp.extensions import db
from webapp.models.woocommerce import ResourceKind, WooCommerceResource

ROWS = 10
STATES = {
    "pending": "Attente de paiement",
    "processing": "En cours",
    "on-hold": "En attente",
    "completed": "Terminée",
    "cancelled": "Annulée",
    "refunded": "Remboursée",
    "failed": "Échouée",
    "trash": "À la corbeille",
}
"""The states of orders, as WooCommerce says them in French; others are shown as they are."""


class ShopOrder(NamedTuple):
    """An order: the shop's word on it, with the shop, and where it stands in the shop's admin."""

    order: WooCommerceResource
    state: str
    address: str


class ShopOrders(NamedTuple):
    """A client's last orders, and how many there are in all."""

    rows: list[ShopOrder]
    total: int


def list_of_client(client_id: UUID, *, size: int = ROWS) -> ShopOrders:
    """The last orders of a client, in any shop, the newest first."""
    of_client = (WooCommerceResource.client_id == client_id, WooCommerceResource.kind == ResourceKind.ORDER)
    total = select(func.count()).select_from(WooCommerceResource).where(*of_client).scalar_subquery()
    found = db.session.execute(
        select(WooCommerceResource, total)
        .join(WooCommerceResource.shop)
        .where(*of_client)
        .options(contains_eager(WooCommerceResource.shop))
        .order_by(WooCommerceResource.placed_at.desc().nulls_last(), WooCommerceResource.id.desc())
        .limit(size)
    ).all()
    rows = [ShopOrder(order, STATES.get(order.status, order.status), admin_address(order)) for order, _total in found]
    return ShopOrders(rows, found[0][1] if found else 0)


def admin_address(resource: WooCommerceResource) -> str:
    """Where the shop's own admin shows a resource. Woo leads on from the old address of orders to the new one."""
    admin = f"{resource.shop.url.rstrip('/')}/wp-admin"
    if resource.kind is ResourceKind.CUSTOMER:
        return f"{admin}/user-edit.php?user_id={resource.woo_id}"
    return f"{admin}/post.php?post={resource.woo_id}&action=edit"
