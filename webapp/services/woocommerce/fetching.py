"""One resource, read from the shop because something waits for it: a renewal may come before its subscription."""

from uuid import UUID

from sqlalchemy import select

from webapp import clock, queue, tenancy
from webapp.extensions import db
from webapp.gateways import woocommerce
from webapp.models.woocommerce import ResourceKind, WooCommerceResource, WooCommerceShop
from webapp.services.event_engine import Outcome
from webapp.services.woocommerce import handling, pulls, stages, trying
from webapp.transactions import let_go


def carry_out(organisation_id: UUID, shop_id: UUID, kind: str, woo_id: int) -> None:
    """Fetch it, unless it has come meanwhile or the shop cannot be asked. Safe to call at any time, and again.

    Raises ShopError where the shop does not answer: the next pull brings what waits.
    """
    queue.heard(pulls.FETCH_JOB, organisation_id, shop_id, kind, woo_id)
    with tenancy.organisation(organisation_id):
        shop = db.session.scalar(select(WooCommerceShop).where(WooCommerceShop.id == shop_id))
        if shop is not None and pulls.can_be_read(shop) and not _has_come(shop_id, kind, woo_id):
            fetch(shop, ResourceKind(kind), woo_id)


def fetch(shop: WooCommerceShop, kind: ResourceKind, woo_id: int) -> Outcome | None:
    """Read a resource and bring it to our rows; None where the shop has none of that id. Raises ShopError."""
    with woocommerce.connected(trying.access_of(shop), while_waiting=let_go) as connection:
        asked_at = clock.now()
        body = connection.show(f"{stages.COLLECTIONS[kind]}/{woo_id}")
    return None if body is None else handling.apply(shop, kind, body, at=asked_at)


def _has_come(shop_id: UUID, kind: str, woo_id: int) -> bool:
    kept = select(WooCommerceResource.id).where(
        WooCommerceResource.shop_id == shop_id,
        WooCommerceResource.kind == kind,
        WooCommerceResource.woo_id == woo_id,
        WooCommerceResource.hash.is_not(None),
    )
    return db.session.scalar(kept) is not None
