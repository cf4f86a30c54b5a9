"""A pull brings everything that was lost, once, and says what it could not bring."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from demo.woocommerce_bodies import Item
from demo.woocommerce_world import BOX, FORTNIGHT
from tests.conftest import NOW
from tests.services.woocommerce.conftest import Connected, Pull
from webapp import clock
from webapp.extensions import db
from webapp.gateways import woocommerce
from webapp.models.runs import RunStatus
from webapp.models.woocommerce import PullScope, ResourceKind, WooCommerceResource
from webapp.services.woocommerce import pulling

SINCE = NOW - timedelta(days=400)


def kept(kind: ResourceKind) -> dict[int, str]:
    """What is kept and not missing: status by id."""
    rows = db.session.execute(
        select(WooCommerceResource.woo_id, WooCommerceResource.status).where(
            WooCommerceResource.kind == kind, WooCommerceResource.missing_since.is_(None)
        )
    )
    return {row[0]: row[1] for row in rows}


def told(bodies: Mapping[int, Any]) -> dict[int, str]:
    """What the shop has: status by id."""
    return {woo_id: body["status"] for woo_id, body in bodies.items()}


def is_alike(connected: Connected) -> bool:
    """Whether we keep the orders and subscriptions of the shop, and no others."""
    bodies = connected.shop.world.bodies
    return (kept(ResourceKind.ORDER), kept(ResourceKind.SUBSCRIPTION)) == (
        told(bodies["orders"]),
        told(bodies["subscriptions"]),
    )


def later(**by: float) -> None:
    """Time passes."""
    clock.start_at(clock.now() + timedelta(**by))


def test_a_first_pull_takes_over_months_of_a_shop(connected: Connected, pull: Pull) -> None:
    connected.shop.world.populate(5, months=3)
    ended = pull(PullScope.FIRST, since=SINCE)
    assert (ended.status, ended.error, ended.failed, ended.waiting) == (RunStatus.SUCCESS, None, 0, 0)
    assert is_alike(connected)
    assert len(kept(ResourceKind.CUSTOMER)) == 5
    assert ended.done >= len(connected.shop.world.bodies["orders"])


def test_a_second_pull_of_the_same_changes_nothing(connected: Connected, pull: Pull) -> None:
    connected.shop.world.populate(3, months=2)
    pull(PullScope.FIRST, since=SINCE)
    again = pull(PullScope.FIRST, since=SINCE)
    assert (again.applied, again.waiting, again.failed, again.missing) == (0, 0, 0, 0)
    assert again.unchanged == again.done


def test_an_hourly_pull_asks_for_what_has_changed_since(connected: Connected, pull: Pull) -> None:
    connected.shop.world.populate(3, months=2)
    pull(PullScope.FIRST, since=SINCE)
    later(hours=2)
    (subscription_id,) = connected.shop.world.subscribe()
    connected.shop.manners.asked.clear()
    ended = pull()
    assert ended.status is RunStatus.SUCCESS
    assert ended.done < 10
    assert is_alike(connected)
    customer_id = connected.shop.world.bodies["subscriptions"][subscription_id]["customer_id"]
    assert customer_id in kept(ResourceKind.CUSTOMER)
    orders = next(path for path in connected.shop.manners.asked if "/orders?" in path and "modified_after" in path)
    assert "dates_are_gmt=true" in orders


def test_the_cursor_follows_the_clock_of_the_shop(connected: Connected, pull: Pull) -> None:
    """A shop whose clock is an hour behind ours would lose what it changed in that hour."""
    connected.shop.world.now = lambda: clock.now() - timedelta(hours=1)
    connected.row.created_at = NOW - timedelta(days=1)
    connected.shop.world.subscribe()
    pull()
    later(minutes=30)
    connected.shop.world.subscribe()
    pull()
    assert is_alike(connected)


def test_where_the_filter_is_not_honoured_the_living_subscriptions_are_read(connected: Connected, pull: Pull) -> None:
    connected.shop.order({"honours_modified_after": False})
    (made,) = connected.shop.world.subscribe()
    pull()
    later(hours=1)
    connected.shop.world.set_subscription_status(made, "pending-cancel")
    (other,) = connected.shop.world.subscribe()
    pull()
    assert kept(ResourceKind.SUBSCRIPTION) == {made: "pending-cancel", other: "active"}
    later(hours=1)
    connected.shop.world.set_subscription_status(made, "cancelled")
    pull()
    assert kept(ResourceKind.SUBSCRIPTION)[made] == "pending-cancel"  # no longer listed
    pull(PullScope.NIGHTLY)
    assert kept(ResourceKind.SUBSCRIPTION)[made] == "cancelled"


def test_a_shop_without_subscriptions_is_pulled_all_the_same(connected: Connected, pull: Pull) -> None:
    connected.shop.order({"has_subscriptions": False})
    connected.shop.world.buy()
    assert pull().status is RunStatus.SUCCESS
    assert len(kept(ResourceKind.ORDER)) == 1


def test_many_pages_are_read_with_ties_at_their_borders(
    connected: Connected, pull: Pull, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(woocommerce, "PER_PAGE", 3)
    monkeypatch.setattr(pulling, "PER_PAGE", 3)
    connected.shop.order({"same_second": True})
    for _ in range(7):
        connected.shop.world.buy()
    connected.shop.order({"same_second": False})
    for _ in range(4):
        later(seconds=1)
        connected.shop.world.buy()
    assert pull().status is RunStatus.SUCCESS
    assert len(kept(ResourceKind.ORDER)) == 11


# ---- At night


def test_what_vanished_without_a_word_is_found_at_night(connected: Connected, pull: Pull) -> None:
    world = connected.shop.world
    erased, stays, refunded = world.buy(), world.buy(), world.buy()
    (subscription_id,) = world.subscribe()
    customer_id = world.bodies["subscriptions"][subscription_id]["customer_id"]
    world.refund(refunded, "5.00")
    pull()
    later(hours=12)
    world.erase_order(erased)
    world.take_back_refund(refunded)
    world.erase_customer(customer_id)
    assert pull().missing == 0
    night = pull(PullScope.NIGHTLY)
    assert night.status is RunStatus.SUCCESS
    assert night.missing == 3
    assert is_alike(connected)
    assert kept(ResourceKind.CUSTOMER) == {}
    row = db.session.scalars(
        select(WooCommerceResource).where(
            WooCommerceResource.kind == ResourceKind.ORDER, WooCommerceResource.woo_id == refunded
        )
    ).one()
    assert b'"refunds":[]' in (row.body_in_clear() or b"")
    assert stays in kept(ResourceKind.ORDER)


def test_what_is_in_the_trash_is_not_gone(connected: Connected, pull: Pull) -> None:
    order_id = connected.shop.world.buy()
    pull()
    later(hours=12)
    connected.shop.world.trash(order_id)
    assert pull(PullScope.NIGHTLY).missing == 0
    assert kept(ResourceKind.ORDER) == {order_id: "trash"}


def test_the_walk_takes_customers_and_leaves_out_staff_and_readers(connected: Connected, pull: Pull) -> None:
    world = connected.shop.world
    customer = world.sign_up()
    for role in ("administrator", "subscriber", "shop_manager"):
        world.sign_up(role=role)
    (subscription_id,) = world.subscribe()
    subscriber = world.bodies["subscriptions"][subscription_id]["customer_id"]
    pull(PullScope.NIGHTLY)
    assert set(kept(ResourceKind.CUSTOMER)) == {customer, subscriber}


def test_a_customer_who_moved_is_found_at_night(connected: Connected, pull: Pull) -> None:
    customer_id = connected.shop.world.sign_up()
    pull(PullScope.NIGHTLY)
    later(days=1)
    connected.shop.world.change_customer(customer_id, city="Amiens")
    night = pull(PullScope.NIGHTLY)
    assert (night.applied, night.unchanged) == (1, 0)


def test_nothing_is_gone_because_a_list_does_not_show_it(
    connected: Connected, pull: Pull, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plugin that hides everything from lists makes nothing vanish: each is asked for by itself."""
    connected.shop.world.buy()
    pull()
    later(days=1)
    monkeypatch.setattr("demo.woocommerce_rest.find", lambda *_args, **_options: [])
    assert pull(PullScope.NIGHTLY).missing == 0
    assert is_alike(connected)


# ---- Faults


@pytest.mark.parametrize(
    ("mode", "sentence"),
    [("401", "clé REST"), ("500", "problème de son côté"), ("cut", "interrompue"), ("html", "page web")],
)
def test_a_shop_that_cannot_be_read_says_why(mode: str, sentence: str, connected: Connected, pull: Pull) -> None:
    connected.shop.world.buy()
    connected.shop.order({"mode": mode})
    ended = pull()
    assert ended.status is RunStatus.FAILED
    assert sentence in (ended.error or "")
    connected.shop.order({"mode": "ok"})
    assert pull().status is RunStatus.SUCCESS
    assert is_alike(connected)


def test_a_resource_that_cannot_be_reported_stops_nothing(connected: Connected, pull: Pull) -> None:
    world = connected.shop.world
    bad, good = world.buy(), world.buy()
    world.bodies["orders"][bad]["total"] = "n'importe quoi"
    world.bodies["subscriptions"][world.subscribe()[0]]["currency"] = "USD"
    ended = pull()
    assert (ended.status, ended.failed) == (RunStatus.PARTIAL, 3)  # the subscription takes its first order along
    assert "3 ressources n’ont pas pu être reportées" in (ended.error or "")
    assert good in kept(ResourceKind.ORDER)


def test_the_same_basket_in_two_rhythms_comes_as_two_subscriptions(connected: Connected, pull: Pull) -> None:
    made = connected.shop.world.subscribe(items=[Item(BOX), Item(FORTNIGHT)])
    assert pull().failed == 0
    assert set(kept(ResourceKind.SUBSCRIPTION)) == set(made)
