"""The latest words of a shop, as they are kept: rows together with what they say."""

from collections.abc import Collection, Sequence
from typing import Generic, NamedTuple, TypeVar, cast
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, or_, select
from sqlalchemy.orm import undefer

from webapp.extensions import db
from webapp.models.woocommerce import ResourceKind, WooCommerceResource, WooCommerceShop
from webapp.services.woocommerce import reading
from webapp.services.woocommerce.reading import Customer, Order, Subscription

Said = TypeVar("Said", bound=reading.Word)


class Kept(NamedTuple, Generic[Said]):
    """A resource: its ``row``, and the ``word`` in it."""

    row: WooCommerceResource
    word: Said


Orders = Sequence[Kept[Order]]
Subscriptions = Sequence[Kept[Subscription]]


def find_row(shop: WooCommerceShop, kind: ResourceKind, woo_id: int) -> WooCommerceResource | None:
    """What is kept of a resource, as it stands now."""
    which = WooCommerceResource.kind == kind, WooCommerceResource.woo_id == woo_id
    return db.session.scalar(_select(shop, *which))


def word_of(shop: WooCommerceShop, row: WooCommerceResource) -> reading.Resource | None:
    """What it says; None where only its deletion was heard of."""
    body = row.body_in_clear()
    if body is None:
        return None
    said = reading.read(row.kind, body, ZoneInfo(shop.timezone))
    return said if isinstance(said, Customer | Order | Subscription | reading.Product) else None


def find_customer(shop: WooCommerceShop, woo_id: int) -> Kept[Customer] | None:
    """The customer, where the shop has told of her."""
    found = _load(shop, ResourceKind.CUSTOMER, WooCommerceResource.woo_id == woo_id) if woo_id else []
    return cast("Kept[Customer]", found[0]) if found else None


def list_subscriptions(
    shop: WooCommerceShop, woo_ids: Collection[int], *, parents: Collection[int] = ()
) -> list[Kept[Subscription]]:
    """The subscriptions with these ids, and those that one of the orders ``parents`` began; by id."""
    which = or_(WooCommerceResource.woo_id.in_(woo_ids), WooCommerceResource.parent_id.in_(parents))
    return cast("list[Kept[Subscription]]", _load(shop, ResourceKind.SUBSCRIPTION, which))


def list_orders(shop: WooCommerceShop, subscriptions: Collection[Subscription]) -> list[Kept[Order]]:
    """The orders that began these subscriptions, renewed, switched or took them up again, in the order of cycles."""
    which = or_(
        WooCommerceResource.woo_id.in_([each.parent_id for each in subscriptions if each.parent_id]),
        WooCommerceResource.related_ids.overlap([each.woo_id for each in subscriptions]),
    )
    found = cast("list[Kept[Order]]", _load(shop, ResourceKind.ORDER, which))
    return sorted(found, key=lambda each: (each.word.created_at, each.word.woo_id))


def has_subscriptions(shop: WooCommerceShop) -> bool:
    """Whether the shop has told of any."""
    which = WooCommerceResource.shop_id == shop.id, WooCommerceResource.kind == ResourceKind.SUBSCRIPTION
    return db.session.scalar(select(WooCommerceResource.id).where(*which).limit(1)) is not None


def _load(shop: WooCommerceShop, kind: ResourceKind, which: ColumnElement[bool]) -> list[Kept[reading.Resource]]:
    rows = db.session.scalars(_select(shop, WooCommerceResource.kind == kind, which)).all()
    return [Kept(row, word) for row in rows if (word := word_of(shop, row)) is not None]


def _select(shop: WooCommerceShop, *which: ColumnElement[bool]) -> Select[WooCommerceResource]:
    return (
        select(WooCommerceResource)
        .where(WooCommerceResource.shop_id == shop.id, *which)
        .order_by(WooCommerceResource.woo_id)
        .options(undefer(WooCommerceResource.body))
        .execution_options(populate_existing=True)
    )
