"""24 hours in which not a single delivery arrives; then a pull, and we know what the shop knows."""

from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from demo.woocommerce_world import World
from tests.conftest import NOW
from tests.services.woocommerce.conftest import Connected, Pull
from webapp import clock
from webapp.extensions import db
from webapp.models.charges import Charge, ChargeStatus
from webapp.models.payments import Payment
from webapp.models.runs import RunStatus
from webapp.models.subscriptions import Subscription, SubscriptionStatus
from webapp.models.woocommerce import MappingKind, PullScope, WooCommerceMapping

SINCE = NOW - timedelta(days=400)
STATUSES = {
    "active": SubscriptionStatus.ACTIVE,
    "pending-cancel": SubscriptionStatus.ACTIVE,
    "on-hold": SubscriptionStatus.PAST_DUE,  # here, always for a renewal that nobody paid
    "cancelled": SubscriptionStatus.CANCELED,
}
UNPAID = {"pending": ChargeStatus.SCHEDULED, "failed": ChargeStatus.FAILED, "processing": ChargeStatus.SCHEDULED}


def live(world: World) -> None:
    """A day in the shop, hour by hour: of everything a bit."""
    for hour in range(24):
        clock.start_at(clock.now() + timedelta(hours=1))
        made = world.subscribe()
        if hour % 3 == 0:
            world.renew(outcome="failed" if hour % 2 else "paid")
        if hour % 4 == 0:
            world.refund(amount="2.50")
        if hour % 6 == 5:
            world.set_subscription_status(made[0], "cancelled")
        if hour % 8 == 7:
            world.set_subscription_status(made[0], "pending-cancel")
        if hour % 12 == 4:
            world.refund(world.bodies["subscriptions"][made[0]]["parent_id"])
        world.buy(is_paid=hour % 2 == 0)
        world.draft()
    clock.start_at(clock.now() + timedelta(hours=1))


def truth(state: dict[str, Any]) -> dict[str, Any]:
    """What the shop's own state comes to: subscriptions, charges, and the money of each order."""
    orders = {order["id"]: order for order in state["orders"] if order["status"] != "checkout-draft"}
    firsts = {each["parent_id"] for each in state["subscriptions"]}
    cycles = {
        number: order
        for number, order in orders.items()
        if number in firsts or any(each["key"] == "_subscription_renewal" for each in order["meta_data"])
    }
    paid = {number: order for number, order in orders.items() if order["date_paid_gmt"]}
    given = {number: sum(Decimal(each["total"]) for each in order["refunds"]) for number, order in paid.items()}
    return {
        "subscriptions": {each["id"]: STATUSES[each["status"]] for each in state["subscriptions"]},
        "charges": {
            number: ChargeStatus.SUCCEEDED if number in paid else UNPAID[order["status"]]
            for number, order in cycles.items()
        },
        "amounts": {number: Decimal(order["total"]) for number, order in cycles.items()},
        "money": {number: left for number, order in paid.items() if (left := Decimal(order["total"]) + given[number])},
    }


def here() -> dict[str, Any]:
    """The same, of our rows."""
    subscriptions = _mapped(MappingKind.SUBSCRIPTION, Subscription, WooCommerceMapping.subscription_id)
    charges = _mapped(MappingKind.ORDER, Charge, WooCommerceMapping.charge_id)
    money: dict[int, Decimal] = defaultdict(Decimal)
    for number, payment in _mapped(MappingKind.PAYMENT, Payment, WooCommerceMapping.payment_id):
        money[number] += payment.amount
    return {
        "subscriptions": {number: row.status for number, row in subscriptions},
        "charges": {number: row.status for number, row in charges},
        "amounts": {number: row.amount for number, row in charges},
        "money": {number: amount for number, amount in money.items() if amount},
    }


def _mapped(kind: MappingKind, model: Any, our_id: Any) -> list[tuple[int, Any]]:
    rows = db.session.execute(
        select(WooCommerceMapping.woo_id, model).join(model, model.id == our_id).where(WooCommerceMapping.kind == kind)
    )
    return [(row[0], row[1]) for row in rows]


@pytest.mark.parametrize("honours", [True, False])
def test_a_day_of_lost_deliveries_is_made_up_for(honours: bool, connected: Connected, pull: Pull) -> None:
    world = connected.shop.world
    world.populate(4, months=2)
    connected.shop.order({"deliveries": "lose", "honours_modified_after": honours})
    pull(PullScope.FIRST, since=SINCE)
    assert here() == truth(connected.shop.state())
    live(world)
    ended = pull() if honours else pull(PullScope.NIGHTLY)
    assert (ended.status, ended.failed) == (RunStatus.SUCCESS, 0)
    assert here() == truth(connected.shop.state())
    again = pull(PullScope.NIGHTLY)
    assert (again.applied, again.failed, again.missing) == (0, 0, 0)
    assert here() == truth(connected.shop.state())
