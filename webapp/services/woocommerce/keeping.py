"""Keeping the latest word: of all that a shop says of a resource, the greatest by date, rank of status, and content.

Woo's dates are whole seconds, and nothing promises order: only so does it not matter in which order words are heard.
"""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from webapp import crypto
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.woocommerce import WooCommerceResource, WooCommerceShop
from webapp.services.woocommerce.reading import Customer, Deleted, Order, Resource, Sale


class Kept(StrEnum):
    """What became of a word."""

    NEWER = "newer"
    SAME = "same"
    OLDER = "older"


def keep(shop: WooCommerceShop, resource: Resource | Deleted, *, at: datetime) -> Kept:
    """Keep the word if it is the greatest; ``at`` is when the shop said it. In the caller's transaction.

    A deletion says no date: it holds until the shop shows the resource later than that.
    """
    row = _lock(shop, resource, at=at)
    if isinstance(resource, Deleted):
        if row.seen_at is not None and at <= row.seen_at:
            return Kept.OLDER
        row.missing_since = max(at, row.missing_since or at)
        return Kept.NEWER
    row.seen_at = max(at, row.seen_at or at)
    if row.missing_since is not None and row.missing_since <= row.seen_at:
        row.missing_since = None
    if row.modified_at is not None and row.rank is not None and row.hash is not None:
        standing = row.modified_at, row.rank, row.hash
        if standing >= resource.standing:
            return Kept.SAME if standing == resource.standing else Kept.OLDER
    _set(row, resource, at=at)
    return Kept.NEWER


def _lock(shop: WooCommerceShop, resource: Resource | Deleted, *, at: datetime) -> WooCommerceResource:
    """The row, made where there is none: that of another transaction is waited for."""
    key = {
        "organisation_id": shop.organisation_id,
        "shop_id": shop.id,
        "kind": resource.kind,
        "woo_id": resource.woo_id,
    }
    new = insert(WooCommerceResource).values(id=new_id(), missing_since=at, **key)
    db.session.execute(new.on_conflict_do_nothing(constraint="uq_woocommerce_resources_woo_id"))
    statement = (
        select(WooCommerceResource)
        .filter_by(shop_id=shop.id, kind=resource.kind, woo_id=resource.woo_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return db.session.scalars(statement).one()


def _set(row: WooCommerceResource, resource: Resource, *, at: datetime) -> None:
    row.modified_at, row.rank, row.hash = resource.standing
    row.body = crypto.keyring().encrypt(resource.canonical, place=row.place_of("body"))
    row.status, row.kept_at = resource.status, at
    if isinstance(resource, Customer):
        row.keep_email(resource.email)
    if isinstance(resource, Sale):
        row.keep_email(resource.billing.email)
        row.customer_id, row.parent_id = resource.customer_id or None, resource.parent_id or None
    if isinstance(resource, Order):
        row.related_ids = sorted({*resource.renewal_of, *resource.switch_of, *resource.resubscribes})
        row.number, row.placed_at, row.paid_at = resource.number, resource.created_at, resource.paid_at
        row.total, row.currency = resource.total, resource.currency
