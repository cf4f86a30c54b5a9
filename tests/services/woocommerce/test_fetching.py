"""What something waits for is fetched at once, where the shop can be asked."""

import orjson
import pytest
from sqlalchemy import select

from tests.conftest import NOW, Cast
from tests.services.woocommerce.conftest import Connected, Pull
from webapp import queue
from webapp.extensions import db
from webapp.models.events import EventState
from webapp.models.woocommerce import ResourceKind, WooCommerceEvent, WooCommerceResource
from webapp.services.woocommerce import fetching, handling, pulling, pulls


def bells() -> list[tuple[str, tuple[str, ...]]]:
    """What rings on the queue of pulls."""
    return [(job.func_name, tuple(job.args)) for job in queue.queue("sync").jobs]


def subscriptions() -> set[int]:
    return set(
        db.session.scalars(
            select(WooCommerceResource.woo_id).where(WooCommerceResource.kind == ResourceKind.SUBSCRIPTION)
        )
    )


def renewal(connected: Connected) -> tuple[int, bytes]:
    """A subscription that we do not know, and a renewal of it."""
    world = connected.shop.world
    (subscription_id,) = world.subscribe()
    return subscription_id, orjson.dumps(world.bodies["orders"][world.renew(subscription_id)])


def test_what_a_renewal_waits_for_is_fetched_one_after_the_other(connected: Connected, cast: Cast) -> None:
    subscription_id, order = renewal(connected)
    customer_id = connected.shop.world.bodies["subscriptions"][subscription_id]["customer_id"]
    outcome = handling.apply(connected.row, ResourceKind.ORDER, order, at=NOW)
    assert outcome.state is EventState.WAITING
    fetched = []
    for kind, woo_id in (("customer", customer_id), ("subscription", subscription_id)):
        wanted = (str(cast.organisation.id), str(connected.row.id), kind, str(woo_id))
        fetched.append((pulls.FETCH_JOB, wanted) in bells())
        fetching.carry_out(cast.organisation.id, connected.row.id, kind, woo_id)
        handling.handle_due(cast.organisation.id)
    assert fetched == [True, True]
    assert subscriptions() == {subscription_id}
    event = db.session.scalars(select(WooCommerceEvent)).one()
    db.session.refresh(event)
    assert event.state is EventState.DONE


def test_what_has_come_meanwhile_is_not_asked_for(connected: Connected, cast: Cast, pull: Pull) -> None:
    subscription_id, _ = renewal(connected)
    pull()
    connected.shop.manners.asked.clear()
    fetching.carry_out(cast.organisation.id, connected.row.id, "subscription", subscription_id)
    assert connected.shop.manners.asked == []


def test_what_the_shop_does_not_have_goes_on_being_awaited(connected: Connected, cast: Cast) -> None:
    fetching.carry_out(cast.organisation.id, connected.row.id, "subscription", 4711)
    assert subscriptions() == set()


def test_without_a_key_nothing_is_asked_for(connected: Connected, cast: Cast) -> None:
    _, order = renewal(connected)
    connected.row.credentials = None
    db.session.commit()
    handling.apply(connected.row, ResourceKind.ORDER, order, at=NOW)
    assert bells() == []
    fetching.carry_out(cast.organisation.id, connected.row.id, "subscription", 4711)
    assert connected.shop.manners.asked == []


@pytest.mark.parametrize("awaited", [None, "", "17", "subscription:", "subscription:x", "decision:17"])
def test_only_resources_are_fetched(awaited: str | None, connected: Connected) -> None:
    pulls.ask_for(connected.row, awaited)
    assert bells() == []


def test_a_resource_that_fails_unexpectedly_costs_itself_only(
    connected: Connected, pull: Pull, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = connected.shop.world.buy(), connected.shop.world.buy()
    project_all = handling.projecting.project_all

    def fail_for_one(words: object, names: list[tuple[ResourceKind, int]], **options: object) -> object:
        if (ResourceKind.ORDER, bad) in names:
            raise ZeroDivisionError
        return project_all(words, names, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(handling.projecting, "project_all", fail_for_one)
    ended = pull()
    assert (ended.applied, ended.failed) == (1, 1)
    kept = db.session.scalars(
        select(WooCommerceResource.woo_id).where(WooCommerceResource.kind == ResourceKind.ORDER)
    ).all()
    assert kept == [good]
    event = db.session.scalars(select(WooCommerceEvent)).one()
    assert (event.woo_id, event.state) == (bad, EventState.FAILED)
    assert "ZeroDivisionError" in (event.reason or "")
    assert pulling.COUNTED[event.state] == "failed"
