"""Who pays what of an order that several subscriptions share. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from webapp.services.woocommerce.reading import Item, Order, Subscription
from webapp.services.woocommerce.sold import lines_of


@dataclass(frozen=True, slots=True)
class Part:
    """What a subscription pays of an order: ``amount`` with tax; ``items`` is None where it pays all."""

    amount: Decimal
    items: tuple[Item, ...] | None = None


def divide(order: Order, subscriptions: Sequence[Subscription]) -> dict[int, Part]:
    """The part of each subscription, by its id in the shop: what has the same product and variation.

    The rest (shipping, fees, single purchases, what nobody knows) is the lowest id's.
    """
    ordered = sorted(subscriptions, key=lambda each: each.woo_id)
    if len(ordered) == 1:
        return {ordered[0].woo_id: Part(order.total)}
    left = list(order.items)
    parts: dict[int, tuple[Item, ...]] = {each.woo_id: _take(each, left) for each in ordered}
    lowest = ordered[0].woo_id
    others = [sold.item for sold in lines_of(order) if not sold.is_thing]
    parts[lowest] += (*left, *others)
    amounts = {woo_id: sum((item.total + item.tax for item in items), Decimal(0)) for woo_id, items in parts.items()}
    amounts[lowest] += order.total - sum(amounts.values())
    if min(amounts.values()) < 0:  # a discount that exceeds what is left: nobody is asked for less than nothing
        amounts = dict.fromkeys(amounts, Decimal(0)) | {lowest: order.total}
    return {woo_id: Part(amounts[woo_id], items) for woo_id, items in parts.items()}


def _take(subscription: Subscription, left: list[Item]) -> tuple[Item, ...]:
    """One line of the order for each line of the subscription, taken out of ``left``."""
    taken = []
    for wanted in subscription.items:
        key = (wanted.product_id, wanted.variation_id)
        found = next((item for item in left if key != (0, 0) and (item.product_id, item.variation_id) == key), None)
        if found is not None:
            left.remove(found)
            taken.append(found)
    return tuple(taken)
