"""Events: handled once, in any order, tried again, woken, swept and pruned."""

from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest
from sqlalchemy import func, select

from tests import factories
from tests.conftest import Cast
from tests.queries import recorded_statements
from tests.services.woocommerce.deliveries import deliver, events, make_signed_shop
from tests.woocommerce import deliveries
from webapp import clock
from webapp.extensions import db
from webapp.models.events import EVENT_TRANSITIONS, EventState
from webapp.models.payments import Payment
from webapp.models.subscriptions import Subscription, SubscriptionStatus
from webapp.models.woocommerce import ResourceKind, WooCommerceEvent, WooCommerceResource, WooCommerceShop
from webapp.services import event_engine
from webapp.services.woocommerce import claiming, handling, projecting

REAL = {each.seq: orjson.loads(each.body) for each in deliveries() if each.kind}
CUSTOMER, PARENT, BOX = REAL[93], REAL[92], REAL[96]
"""Customer 8, her order 44 and the subscription 45 that it began."""
LATER = datetime.fromisoformat("2026-11-28T09:00:00+00:00")


@pytest.fixture
def shop(cast: Cast) -> WooCommerceShop:
    clock.start_at(LATER)
    return make_signed_shop(factories.default_company().id)


def product(name: str = "Savon", modified: str = "2026-11-20T08:00:00", **more: Any) -> dict[str, Any]:
    return {"id": 11, "name": name, "status": "publish", "date_modified_gmt": modified, **more}


def work(cast: Cast) -> list[EventState]:
    """What a worker does; the states of all events, the oldest first."""
    handling.handle_due(cast.organisation.id)
    return [event.state for event in events()]


def reasons() -> list[str | None]:
    return [event.reason for event in events()]


def resource(kind: ResourceKind, woo_id: int) -> WooCommerceResource:
    which = WooCommerceResource.kind == kind, WooCommerceResource.woo_id == woo_id
    return db.session.scalars(select(WooCommerceResource).where(*which)).one()


def renewal(woo_id: int = 90, *, of: int = 45) -> dict[str, Any]:
    meta = [{"id": 1, "key": "_subscription_renewal", "value": str(of)}]
    return PARENT | {"id": woo_id, "number": str(woo_id), "created_via": "subscription", "meta_data": meta}


def test_the_table_of_transitions_is_whole() -> None:
    r, p, d, i, w, f = EventState
    assert {(before, after) for before in EventState for after in EventState if after in EVENT_TRANSITIONS[before]} == {
        (r, p),
        (p, r),
        (p, d),
        (p, i),
        (p, w),
        (p, f),
        (w, r),
        (w, i),
        (f, r),
        (f, i),
    }
    for before in EventState:
        for after in EventState:
            assert WooCommerceEvent(state=before).can_become(after) is (after in EVENT_TRANSITIONS[before])


def test_a_family_comes_to_a_client_a_subscription_and_a_payment(cast: Cast, shop: WooCommerceShop) -> None:
    deliver(PARENT, "order.updated")
    deliver(CUSTOMER, "customer.created")
    deliver(PARENT, "order.created")
    deliver(BOX, "subscription.updated")
    states = work(cast)
    assert sorted(states) == [EventState.DONE] * 3 + [EventState.IGNORED]
    subscription = db.session.scalars(select(Subscription)).one()
    assert subscription.status is SubscriptionStatus.ACTIVE
    assert db.session.scalar(select(func.count()).select_from(Payment)) == 1
    assert all(event.handled_at == event.handled_at and event.lease_until is None for event in events())


def test_again_under_another_delivery_id_is_known(cast: Cast, shop: WooCommerceShop) -> None:
    for _ in range(2):
        deliver(product())
        work(cast)
    assert [event.state for event in events()] == [EventState.DONE, EventState.IGNORED]
    assert reasons() == [None, "Déjà connue\u202f: rien n’a changé."]


def test_of_several_waiting_the_greatest_is_handled(cast: Cast, shop: WooCommerceShop) -> None:
    for name, modified in (("A", "2026-11-20T08:00:01"), ("C", "2026-11-20T08:00:03"), ("B", "2026-11-20T08:00:02")):
        deliver(product(name, modified))
    assert work(cast) == [EventState.IGNORED, EventState.DONE, EventState.IGNORED]
    assert reasons() == [handling.REPLACED, None, handling.REPLACED]
    assert b'"C"' in (resource(ResourceKind.PRODUCT, 11).body_in_clear() or b"")


def test_what_comes_late_is_passed_over(cast: Cast, shop: WooCommerceShop) -> None:
    deliver(product("B", "2026-11-20T08:00:02"))
    work(cast)
    deliver(product("A", "2026-11-20T08:00:01"))
    assert work(cast) == [EventState.DONE, EventState.IGNORED]
    assert reasons()[1] == handling.OLDER


@pytest.mark.parametrize(
    ("content", "topic", "state"),
    [
        ([], "subscription.updated", EventState.IGNORED),
        ({"code": "woocommerce_rest_shop_order_invalid_id", "message": "x"}, "order.updated", EventState.IGNORED),
        ({"code": "woocommerce_rest_cannot_view", "message": "x"}, "order.updated", EventState.FAILED),
        ({"order": {"id": 3}}, "order.updated", EventState.FAILED),
        (b"{", "order.updated", EventState.FAILED),
        (b"\xff\x00", "order.updated", EventState.FAILED),
        (b'{"id":' + b"9" * 40 + b',"name":"x"}', "product.updated", EventState.FAILED),
        ({"id": 3, "name": "x"}, "coupon.updated", EventState.IGNORED),
        ({"id": 3}, "", EventState.IGNORED),
        (REAL[90], "order.updated", EventState.IGNORED),
    ],
)
def test_rubbish_ends_with_a_sentence(
    cast: Cast, shop: WooCommerceShop, content: Any, topic: str, state: EventState
) -> None:
    deliver(content, topic)
    assert work(cast) == [state]
    assert (reasons()[0] or "").endswith(".")


def test_a_refused_checkout_leaves_nothing(cast: Cast, shop: WooCommerceShop) -> None:
    deliver(REAL[90], "order.updated")
    work(cast)
    assert db.session.scalar(select(func.count()).select_from(WooCommerceResource)) == 0


def test_a_renewal_waits_for_its_subscription_and_is_woken(cast: Cast, shop: WooCommerceShop) -> None:
    deliver(CUSTOMER, "customer.created")
    deliver(renewal(), "order.created")
    assert work(cast) == [EventState.DONE, EventState.WAITING]
    waiting = events()[1]
    assert waiting.waits_for == "subscription:45"
    assert waiting.reason == "Attend l’abonnement n°\u00a045."
    assert waiting.next_attempt_at == waiting.received_at + timedelta(days=1)
    deliver(BOX, "subscription.created")
    assert work(cast) == [EventState.DONE] * 3
    assert db.session.scalar(select(func.count()).select_from(Payment)) == 1


def test_what_waits_for_a_day_is_reviewed_until_it_comes(cast: Cast, shop: WooCommerceShop) -> None:
    deliver(CUSTOMER, "customer.created")
    deliver(renewal(), "order.created")
    work(cast)
    clock.start_at(LATER + timedelta(days=1, minutes=1))
    assert work(cast)[1] is EventState.WAITING
    (flag,) = resource(ResourceKind.ORDER, 90).review
    assert flag["code"] == "STILL_WAITING"
    assert events()[1].next_attempt_at is None
    deliver(BOX, "subscription.created")
    work(cast)
    assert resource(ResourceKind.ORDER, 90).review == []


def test_a_suspension_waits_ten_minutes_for_what_follows(cast: Cast, shop: WooCommerceShop) -> None:
    deliver(CUSTOMER, "customer.created")
    deliver(PARENT, "order.created")
    deliver(BOX, "subscription.created")
    work(cast)
    hold = BOX | {"status": "on-hold", "date_modified_gmt": "2026-11-28T08:59:59"}
    deliver(hold, "subscription.updated")
    assert work(cast)[-1] is EventState.WAITING
    assert db.session.scalars(select(Subscription)).one().status is SubscriptionStatus.ACTIVE
    deliver(BOX | {"date_modified_gmt": "2026-11-28T09:00:01"}, "subscription.updated")
    assert work(cast)[-2:] == [EventState.IGNORED, EventState.DONE]
    assert db.session.scalars(select(Subscription)).one().status is SubscriptionStatus.ACTIVE


def test_a_suspension_that_lasts_is_believed(cast: Cast, shop: WooCommerceShop) -> None:
    deliver(CUSTOMER, "customer.created")
    deliver(PARENT, "order.created")
    deliver(BOX, "subscription.created")
    deliver(BOX | {"status": "on-hold", "date_modified_gmt": "2026-11-28T08:59:59"}, "subscription.updated")
    work(cast)
    clock.start_at(LATER + timedelta(minutes=11))
    assert work(cast)[-1] is EventState.DONE
    assert db.session.scalars(select(Subscription)).one().status is SubscriptionStatus.PAUSED


def test_deleted_is_flagged_and_restored_lifts_it(cast: Cast, shop: WooCommerceShop) -> None:
    deliver(product())
    deliver({"id": 11}, "product.deleted", at=LATER + timedelta(seconds=1))
    clock.start_at(LATER + timedelta(seconds=5))
    work(cast)
    assert resource(ResourceKind.PRODUCT, 11).missing_since == LATER + timedelta(seconds=1)
    deliver({"id": 11}, "product.deleted", at=LATER + timedelta(seconds=2))
    assert work(cast)[-1] is EventState.IGNORED
    deliver(product(modified="2026-11-20T08:00:09"), "product.restored", at=LATER + timedelta(seconds=3))
    work(cast)
    assert resource(ResourceKind.PRODUCT, 11).missing_since is None


def test_a_deletion_that_is_handled_after_the_restoration_changes_nothing(cast: Cast, shop: WooCommerceShop) -> None:
    deliver(product(), "product.restored", at=LATER)
    clock.start_at(LATER + timedelta(seconds=5))
    work(cast)
    deliver({"id": 11}, "product.deleted", at=LATER - timedelta(seconds=1))
    work(cast)
    assert resource(ResourceKind.PRODUCT, 11).missing_since is None


def test_what_was_never_seen_may_be_deleted(cast: Cast, shop: WooCommerceShop) -> None:
    deliver({"id": 11}, "product.deleted")
    assert work(cast) == [EventState.IGNORED]
    assert resource(ResourceKind.PRODUCT, 11).missing_since is not None


def test_what_fails_unexpectedly_is_tried_eight_times_ever_more_seldom(
    cast: Cast, shop: WooCommerceShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_more: object) -> None:
        raise ZeroDivisionError("secret of a client")

    with monkeypatch.context() as broken:
        broken.setattr(projecting, "project_all", fail)
        deliver(product())
        waits = []
        while work(cast) == [EventState.RECEIVED]:
            (event,) = events()
            assert event.next_attempt_at
            waits.append((event.next_attempt_at - clock.now()).total_seconds())
            clock.start_at(event.next_attempt_at + timedelta(milliseconds=1))
    assert [round(each) for each in waits] == [10, 30, 60, 180, 600, 1200, 2400, 3600]
    (event,) = events()
    assert (event.state, event.next_attempt_at) == (EventState.FAILED, None)
    assert event.reason == "Erreur inattendue (ZeroDivisionError)\u202f: elle est dans le journal."
    assert db.session.scalar(select(func.count()).select_from(WooCommerceResource)) == 0


def test_what_failed_is_replaced_by_what_follows(cast: Cast, shop: WooCommerceShop) -> None:
    deliver(CUSTOMER, "customer.created")
    deliver(PARENT, "order.created")
    deliver(BOX | {"currency": "USD"}, "subscription.created")
    assert work(cast)[-1] is EventState.FAILED
    deliver(BOX | {"date_modified_gmt": "2026-11-28T08:00:00"}, "subscription.updated")
    assert work(cast)[-2:] == [EventState.IGNORED, EventState.DONE]


def test_a_claim_whose_owner_died_is_freed_by_the_sweep(cast: Cast, shop: WooCommerceShop) -> None:
    deliver(product())
    (claimed,) = claiming.claim(at=clock.now())
    assert claiming.claim(at=clock.now()) == []
    assert claiming.sweep(at=clock.now()) == 0
    clock.start_at(LATER + event_engine.LEASE + timedelta(seconds=1))
    assert claiming.sweep(at=clock.now()) == 0, "due now, not for long"
    assert work(cast) == [EventState.DONE]
    handling.handle([claimed], at=clock.now())
    assert work(cast) == [EventState.DONE], "whoever was given up for dead writes nothing more"


def test_one_that_kills_its_worker_again_and_again_is_for_a_person(cast: Cast, shop: WooCommerceShop) -> None:
    deliver(product())
    for _ in range(9):
        assert len(claiming.claim(at=clock.now())) == 1
        clock.start_at(clock.now() + event_engine.LEASE + timedelta(seconds=1))
        claiming.sweep(at=clock.now())
    (event,) = events()
    assert (event.state, event.reason) == (EventState.FAILED, event_engine.BROKEN_OFF)


def test_the_sweep_rings_for_what_nobody_heard(cast: Cast, shop: WooCommerceShop) -> None:
    deliver(product())
    assert claiming.sweep(at=clock.now() + event_engine.PATIENCE) == 1
    assert claiming.sweep(at=clock.now()) == 0


def test_handled_bodies_go_after_ninety_days(cast: Cast, shop: WooCommerceShop) -> None:
    deliver(product())
    deliver(b"{", "order.updated")
    work(cast)
    assert claiming.prune(at=LATER + timedelta(days=90)) == 0
    assert claiming.prune(at=LATER + timedelta(days=90, minutes=1)) == 1
    assert [event.body is None for event in events()] == [True, False], "one that failed is still to be looked at"


def test_pulls_and_deliveries_come_to_the_same(cast: Cast, shop: WooCommerceShop) -> None:
    deliver(product("A"))
    work(cast)
    shown = handling.apply(shop, ResourceKind.PRODUCT, orjson.dumps(product("B")), at=clock.now())
    assert shown.state is EventState.DONE, "what the shop shows now holds against a word of the same second"
    deliver(product("A"))
    assert work(cast)[-1] is EventState.IGNORED
    assert b'"B"' in (resource(ResourceKind.PRODUCT, 11).body_in_clear() or b"")


def test_what_a_pull_cannot_report_is_an_event_once(cast: Cast, shop: WooCommerceShop) -> None:
    handling.apply(shop, ResourceKind.CUSTOMER, orjson.dumps(CUSTOMER), at=clock.now())
    for _ in range(2):
        handling.apply(shop, ResourceKind.ORDER, orjson.dumps(renewal()), at=clock.now())
    (event,) = events()
    assert (event.topic, event.woo_id, event.waits_for) == ("pull.order", 90, "subscription:45")
    work(cast)
    assert events()[0].state is EventState.WAITING
    handling.apply(shop, ResourceKind.SUBSCRIPTION, orjson.dumps(BOX), at=clock.now())
    assert work(cast) == [EventState.DONE]


def test_an_event_costs_few_statements_however_many_lines(cast: Cast, shop: WooCommerceShop) -> None:
    deliver(CUSTOMER, "customer.created")
    deliver(BOX, "subscription.created")
    deliver(PARENT, "order.created")
    work(cast)
    with recorded_statements() as few:
        deliver(renewal(91), "order.created")
        work(cast)
    lines = [line | {"id": 1000 + number} for number in range(100) for line in PARENT["line_items"]]
    with recorded_statements() as many:
        deliver(renewal(92) | {"line_items": lines}, "order.created")
        work(cast)
    assert len(many) <= len(few) + 2


def test_every_query_stays_within_the_organisation(cast: Cast, shop: WooCommerceShop) -> None:
    deliver(product())
    assert handling.handle_due(cast.outsider.organisation_id) == 0
    assert events()[0].state is EventState.RECEIVED


def test_what_fails_costs_itself_only_though_it_was_claimed_with_others(
    cast: Cast, shop: WooCommerceShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    project_all = projecting.project_all

    def fail_for_one(words: Any, names: Any, **options: Any) -> Any:
        if (ResourceKind.PRODUCT, 11) in names:
            raise ZeroDivisionError
        return project_all(words, names, **options)

    monkeypatch.setattr(projecting, "project_all", fail_for_one)
    for woo_id in (10, 11, 12):
        deliver(product() | {"id": woo_id})
    assert work(cast) == [EventState.DONE, EventState.RECEIVED, EventState.DONE]
    assert reasons()[1] == "Erreur inattendue (ZeroDivisionError)\u202f: elle est dans le journal."


def test_many_families_cost_as_many_statements_as_one(cast: Cast, shop: WooCommerceShop) -> None:
    def tell(families: range) -> int:
        for number in families:
            customer, order, box = 1_000 + number, 2_000 + number, 3_000 + number
            email = {"email": f"client{number}@example.org"}
            deliver(CUSTOMER | {"id": customer} | email, "customer.created")
            deliver(PARENT | {"id": order, "customer_id": customer}, "order.created")
            deliver(BOX | {"id": box, "customer_id": customer, "parent_id": order}, "subscription.created")
        work(cast)
        at = {"date_modified_gmt": "2026-11-28T08:30:00"}
        for number in families:
            deliver(renewal(4_000 + number, of=3_000 + number) | at | {"customer_id": 1_000 + number}, "order.created")
        with recorded_statements() as statements:
            work(cast)
        return len(statements)

    assert tell(range(1, 11)) <= tell(range(1)) + 2
    assert db.session.scalar(select(func.count()).select_from(Payment)) == 22
