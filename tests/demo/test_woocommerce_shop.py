"""The pretend WooCommerce shop: it tells, answers and forgets as the real one does."""

import base64
import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from demo.woocommerce_bodies import Item
from demo.woocommerce_hooks import TOPICS, signature
from demo.woocommerce_shop import Shop, create_app, open_shop
from demo.woocommerce_world import BOX, COFFEE, FORTNIGHT, BadActError
from tests.serving import serving
from webapp import clock

AT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
SECRET = "a secret of the shop"


@dataclass
class Listener:
    """Keeps what it is told, and answers as it is told to."""

    url: str = ""
    answer: int = 200
    heard: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    def topics(self) -> list[str]:
        return [headers["x-wc-webhook-topic"] for _, headers, _ in self.deliveries()]

    def deliveries(self) -> list[tuple[str, dict[str, str], bytes]]:
        return [each for each in self.heard if "x-wc-webhook-topic" in each[1]]

    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, _, body in self.deliveries()]


@pytest.fixture
def listener() -> Iterator[Listener]:
    found = Listener()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.heard.append((self.request_version, {k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(found.answer)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with serving(server):
        found.url = f"http://127.0.0.1:{server.server_port}/hook"
        yield found


@pytest.fixture
def shop(listener: Listener) -> Shop:
    clock.start_at(AT)
    shop = Shop("http://boutique.example/", SECRET)
    shop.connect(listener.url)
    shop.courier.deliver_all()
    return shop


@pytest.fixture
def rest(shop: Shop) -> FlaskClient:
    return create_app(shop).test_client()


def read(rest: FlaskClient, shop: Shop, path: str) -> TestResponse:
    return rest.get(f"/wp-json/wc/v3/{path}", auth=(shop.manners.key, shop.manners.secret))


def ids(response: TestResponse) -> list[int]:
    return [each["id"] for each in response.get_json()]


# ---- Deliveries


def test_a_hook_that_is_made_is_pinged_by_a_form(shop: Shop, listener: Listener) -> None:
    assert [body for _, _, body in listener.heard] == [f"webhook_id={hook_id}".encode() for hook_id in range(1, 11)]
    assert all(headers["content-type"] == "application/x-www-form-urlencoded" for _, headers, _ in listener.heard)
    assert {hook.topic for hook in shop.courier.hooks.values()} == set(TOPICS)


def test_a_checkout_is_told_in_the_order_of_woocommerce_by_signed_compact_ascii(shop: Shop, listener: Listener) -> None:
    shop.world.subscribe()
    shop.courier.deliver_all()
    assert listener.topics() == [
        *("order.updated", "customer.created", "customer.updated", "order.created"),
        *("subscription.updated", "subscription.created"),
    ]
    for version, headers, body in listener.deliveries():
        assert (version, headers["connection"]) == ("HTTP/1.1", "close")
        assert body.isascii()
        assert b": " not in body[:20]
        digest = hmac.new(SECRET.encode(), body, hashlib.sha256).digest()
        assert headers["x-wc-webhook-signature"] == base64.b64encode(digest).decode()
        assert headers["x-wc-webhook-source"] == "http://boutique.example/"
    order, subscription = listener.bodies()[0], listener.bodies()[-1]
    assert (order["status"], order["total"]) == ("processing", "35.78")
    assert (subscription["parent_id"], subscription["next_payment_date_gmt"]) == (order["id"], "2026-04-02T09:30:00")


def test_it_speaks_http_1_0_when_told_to(shop: Shop, listener: Listener) -> None:
    shop.order({"protocol": 10})
    shop.world.buy()
    shop.courier.deliver_all()
    assert {version for version, _, _ in listener.deliveries()} == {"HTTP/1.0"}


def test_a_body_is_read_when_it_leaves(shop: Shop, listener: Listener) -> None:
    order_id, gone_id = shop.world.buy(), shop.world.buy()
    shop.world.set_order_status(order_id, "completed")
    shop.world.erase_order(gone_id)
    shop.courier.deliver_all()
    bodies = dict(zip(listener.topics(), listener.bodies(), strict=True))
    assert Counter(listener.topics()) == {"order.created": 2, "order.updated": 2}
    assert bodies["order.created"]["code"] == "woocommerce_rest_shop_order_invalid_id"
    assert {body.get("status") for body in listener.bodies()} == {"completed", None}


def test_all_deliveries_of_a_hook_in_one_second_carry_one_id(shop: Shop, listener: Listener) -> None:
    shop.order({"same_second": True})
    for _ in range(3):
        shop.world.buy()
    shop.courier.deliver_all()
    delivered = {
        (headers["x-wc-webhook-id"], headers["x-wc-webhook-delivery-id"]) for _, headers, _ in listener.deliveries()
    }
    assert (len(delivered), len(listener.deliveries())) == (2, 6)


def test_nothing_is_sent_again_and_the_seventh_failure_switches_a_hook_off(shop: Shop, listener: Listener) -> None:
    listener.answer = 500
    for _ in range(9):
        shop.world.buy()
    shop.courier.deliver_all()
    assert Counter(listener.topics()) == {"order.created": 7, "order.updated": 7}
    off = [hook for hook in shop.courier.hooks.values() if hook.status == "disabled"]
    assert {hook.topic for hook in off} == {"order.created", "order.updated"}
    listener.answer = 200
    shop.world.buy()
    assert shop.courier.deliver_all() == 0  # lost for good
    shop.courier.set_status(off[0].id, "active")
    listener.answer = 410
    shop.world.buy()
    shop.courier.deliver_all()
    assert shop.courier.hooks[off[0].id].status == "disabled"  # one failure was enough


def test_one_success_forgives_what_failed(shop: Shop, listener: Listener) -> None:
    for answer in (500, 302, 500):
        listener.answer = answer
        for _ in range(6 if answer == 500 else 1):
            shop.world.change_customer(shop.world.sign_up())
            shop.courier.deliver_all()
    assert {hook.status for hook in shop.courier.hooks.values()} == {"active"}


@pytest.mark.parametrize(
    ("way", "told"),
    [
        ("repeat", ["order.updated", "order.updated", "order.created", "order.created"]),
        ("lose", []),
        ("ok", ["order.updated", "order.created"]),
    ],
)
def test_deliveries_are_repeated_or_lost_as_ordered(way: str, told: list[str], shop: Shop, listener: Listener) -> None:
    shop.order({"deliveries": way})
    shop.world.buy()
    shop.courier.deliver_all()
    assert listener.topics() == told
    repeated = {headers["x-wc-webhook-delivery-id"] for _, headers, _ in listener.deliveries()}
    assert len(repeated) == len(told)


def test_deliveries_come_in_another_order(shop: Shop, listener: Listener) -> None:
    for way in ("ok", "reorder"):
        shop.order({"deliveries": way, "seed": 3})
        shop.world.subscribe()
        shop.courier.deliver_all()
    usual, other = listener.topics()[:6], listener.topics()[6:]
    assert other != usual
    assert Counter(other) == Counter(usual)


def test_what_a_resource_said_before_comes_late(shop: Shop, listener: Listener) -> None:
    order_id = shop.world.buy()
    shop.courier.deliver_all()
    listener.heard.clear()
    shop.order({"deliveries": "stale"})
    shop.world.set_order_status(order_id, "completed")
    shop.courier.deliver_all()
    assert [body["status"] for body in listener.bodies()] == ["completed", "processing"]


def test_a_secret_with_entities_signs_decoded() -> None:
    assert signature("a&amp;b", b"{}") == signature("a&b", b"{}")
    assert signature("", b"secret") != signature("a", b"secret")


# ---- What happens


def test_a_renewal_is_tied_to_its_subscription_by_its_meta_alone(shop: Shop) -> None:
    (subscription_id,) = shop.world.subscribe()
    order = shop.world.bodies["orders"][shop.world.renew(subscription_id)]
    assert (order["parent_id"], order["created_via"], order["date_paid_gmt"]) == (
        0,
        "subscription",
        "2026-03-02T09:30:00",
    )
    assert {"key": "_subscription_renewal", "value": str(subscription_id)}.items() <= order["meta_data"][-1].items()
    assert len(shop.world.orders_of(subscription_id)) == 2


def test_a_failed_renewal_puts_the_subscription_on_hold_until_it_is_paid(shop: Shop) -> None:
    (subscription_id,) = shop.world.subscribe()
    order_id = shop.world.renew(outcome="failed")
    subscription = shop.world.bodies["subscriptions"][subscription_id]
    assert subscription["status"] == "on-hold"
    shop.world.pay(order_id)
    assert subscription["status"] == "active"


def test_an_early_renewal_moves_the_next_payment_by_one_period(shop: Shop) -> None:
    (subscription_id,) = shop.world.subscribe()
    shop.world.renew(subscription_id, is_early=True)
    assert shop.world.bodies["subscriptions"][subscription_id]["next_payment_date_gmt"] == "2026-05-02T09:30:00"


def test_a_basket_of_two_rhythms_is_two_subscriptions_of_one_first_order(shop: Shop) -> None:
    made = shop.world.subscribe(items=[Item(BOX), Item(COFFEE, option=21), Item(FORTNIGHT)])
    bodies = [shop.world.bodies["subscriptions"][each] for each in made]
    assert len({body["parent_id"] for body in bodies}) == 1
    assert [(body["billing_period"], body["billing_interval"]) for body in bodies] == [("month", "1"), ("week", "2")]
    assert bodies[0]["line_items"][1]["name"] == "Café en grains - Doux"


def test_a_refund_of_all_that_is_left_changes_the_status_and_one_of_a_part_does_not(shop: Shop) -> None:
    order_id = shop.world.buy()
    shop.world.refund(order_id, "10.00")
    order = shop.world.bodies["orders"][order_id]
    assert (order["status"], [each["total"] for each in order["refunds"]]) == ("processing", ["-10.00"])
    shop.world.refund(order_id)
    assert (order["status"], [each["total"] for each in order["refunds"]]) == ("refunded", ["-10.00", "-36.18"])
    with pytest.raises(BadActError):
        shop.world.refund(order_id)


def test_what_woocommerce_keeps_to_itself_is_not_told(shop: Shop, listener: Listener) -> None:
    (subscription_id,) = shop.world.subscribe()
    subscription = shop.world.bodies["subscriptions"][subscription_id]
    order_id, refunded_id = shop.world.buy(), shop.world.buy()
    shop.world.refund(refunded_id, "1.00")
    shop.courier.deliver_all()
    listener.heard.clear()
    shop.world.take_back_refund(refunded_id)
    shop.world.erase_order(order_id)
    shop.world.erase_customer(subscription["customer_id"])
    shop.courier.deliver_all()
    assert list(zip(listener.topics(), listener.bodies(), strict=True)) == [
        ("subscription.updated", []),
        ("subscription.deleted", {"id": subscription_id}),
        ("customer.deleted", {"id": subscription["customer_id"]}),
    ]
    assert shop.world.bodies["orders"][subscription["parent_id"]]["customer_id"] == 0


def test_the_trash_takes_the_subscription_of_a_first_order_along(shop: Shop, listener: Listener) -> None:
    (subscription_id,) = shop.world.subscribe()
    order_id = shop.world.bodies["subscriptions"][subscription_id]["parent_id"]
    shop.courier.deliver_all()
    listener.heard.clear()
    shop.world.trash(order_id)
    shop.world.restore(order_id)
    shop.courier.deliver_all()
    assert listener.topics() == ["subscription.updated", "subscription.deleted", "order.deleted", "order.restored"]
    assert [body.get("status") for body in listener.bodies()] == ["trash", None, None, "processing"]


# ---- REST


def test_lists_have_totals_and_links_without_the_key(shop: Shop, rest: FlaskClient) -> None:
    for _ in range(5):
        shop.world.buy()
    page = read(rest, shop, "orders?per_page=2&page=2&orderby=id&order=asc")
    assert (page.headers["X-WP-Total"], page.headers["X-WP-TotalPages"]) == ("5", "3")
    assert 'rel="prev"' in page.headers["Link"]
    assert 'page=3&orderby=id&order=asc>; rel="next"' in page.headers["Link"]
    assert ids(page) == sorted(shop.world.bodies["orders"])[2:4]
    past = read(rest, shop, "orders?page=9")
    assert (past.get_json(), past.headers["X-WP-Total"]) == ([], "0")
    assert read(rest, shop, "orders?per_page=101").status_code == 400


def test_orders_changed_since_an_instant_are_strictly_behind_it_and_local_unless_said(
    shop: Shop, rest: FlaskClient
) -> None:
    order_id = shop.world.buy()
    assert ids(read(rest, shop, "orders?modified_after=2026-03-02T09:29:59&dates_are_gmt=true")) == [order_id]
    assert ids(read(rest, shop, "orders?modified_after=2026-03-02T09:30:00&dates_are_gmt=true")) == []
    assert ids(read(rest, shop, "orders?modified_after=2026-03-02T09:31:00")) == [order_id]  # 10:30 in Paris
    assert ids(read(rest, shop, "orders?modified_after=2026-03-02T09:31:00Z")) == []
    assert ids(read(rest, shop, "orders?after=2026-03-02T09:29:59&dates_are_gmt=true")) == [order_id]
    assert ids(read(rest, shop, "orders?after=2026-03-02T09:30:00&dates_are_gmt=true")) == []


def test_customers_know_no_such_date_and_subscribers_are_listed_with_role_all_alone(
    shop: Shop, rest: FlaskClient
) -> None:
    shop.world.subscribe()
    plain_id = shop.world.sign_up()
    assert ids(read(rest, shop, "customers?modified_after=2030-01-01T00:00:00")) == [plain_id]
    assert len(ids(read(rest, shop, "customers?role=all"))) == 2
    assert read(rest, shop, "customers?orderby=modified").status_code == 400


def test_subscriptions_honour_the_date_unless_the_extension_is_old(shop: Shop, rest: FlaskClient) -> None:
    made = shop.world.subscribe()
    future = "subscriptions?modified_after=2030-01-01T00:00:00&dates_are_gmt=true"
    assert ids(read(rest, shop, future)) == []
    shop.order({"honours_modified_after": False})
    assert ids(read(rest, shop, future)) == made
    shop.order({"has_subscriptions": False})
    assert read(rest, shop, future).status_code == 404


def test_drafts_and_trash_are_listed_on_demand_and_ids_by_include(shop: Shop, rest: FlaskClient) -> None:
    order_id, trashed_id, draft_id = shop.world.buy(), shop.world.buy(), shop.world.draft()
    shop.world.trash(trashed_id)
    assert ids(read(rest, shop, "orders")) == [order_id]
    assert ids(read(rest, shop, "orders?status=trash")) == [trashed_id]
    assert ids(read(rest, shop, f"orders?include={order_id},{trashed_id},{draft_id},99999&status=any,trash")) == [
        trashed_id,
        order_id,
    ]


def test_a_wrong_key_is_refused(shop: Shop, rest: FlaskClient) -> None:
    refused = rest.get("/wp-json/wc/v3/orders", auth=(shop.manners.key, "wrong"))
    assert (refused.status_code, refused.get_json()["code"]) == (401, "woocommerce_rest_cannot_view")


def test_a_mode_lasts_as_long_as_it_was_ordered_for(shop: Shop, rest: FlaskClient) -> None:
    shop.order({"mode": "429", "times": 1, "retry_after": 7})
    assert read(rest, shop, "orders").headers["Retry-After"] == "7"
    assert read(rest, shop, "orders").status_code == 200
    shop.order({"mode": "html"})
    assert read(rest, shop, "orders").content_type.startswith("text/html")
    shop.order({"mode": "500"})
    assert read(rest, shop, "orders").status_code == 500


def test_hooks_are_listed_and_made_by_rest_without_their_secret(
    shop: Shop, rest: FlaskClient, listener: Listener
) -> None:
    auth = (shop.manners.key, shop.manners.secret)
    asked = {"topic": "product.updated", "delivery_url": listener.url, "secret": "x", "name": "P"}
    made = rest.post("/wp-json/wc/v3/webhooks", json=asked, auth=auth)
    assert (made.status_code, made.get_json()["status"]) == (201, "active")
    assert "secret" not in made.get_json()
    assert len(ids(read(rest, shop, "webhooks?per_page=100"))) == 11
    assert rest.post("/wp-json/wc/v3/webhooks", json=asked | {"topic": "order.sold"}, auth=auth).status_code == 400


def test_the_state_of_a_shop_is_readable(shop: Shop, rest: FlaskClient) -> None:
    assert read(rest, shop, "system_status").get_json()["environment"]["version"] == "11.0.1"


# ---- Pages, control, restarts


def test_its_page_has_things_happen(shop: Shop, rest: FlaskClient) -> None:
    for act, words in (("subscribe", "Une commande est arrivée"), ("renew", "renouvelé"), ("refund", "remboursée")):
        page = rest.post(f"/actes/{act}", follow_redirects=True)
        assert words in page.text
    assert {order["status"] for order in shop.world.bodies["orders"].values()} == {"processing", "refunded"}
    assert shop.manners.key in page.text
    order_id = min(shop.world.bodies["orders"])
    assert rest.get(f"/wp-admin/post.php?post={order_id}&action=edit").get_json()["id"] == order_id
    assert rest.get("/wp-admin/post.php?post=99999&action=edit").status_code == 404
    assert rest.get("/wp-admin/admin.php?page=wc-settings&tab=advanced").location == "/"


def test_a_person_connects_a_crm_on_its_page(shop: Shop, rest: FlaskClient, listener: Listener) -> None:
    rest.post("/reglages/webhooks", data={"delivery_url": listener.url, "secret": "second"})
    assert len(shop.courier.hooks) == 20
    rest.post("/reglages/webhooks/20", data={"status": "paused"})
    assert shop.courier.hooks[20].status == "paused"


def test_acts_can_be_ordered(shop: Shop, rest: FlaskClient) -> None:
    done = rest.post("/_control", json={"act": "subscribe", "count": 2, "articles": [11, 13]}).get_json()["done"]
    assert [len(each) for each in done] == [2, 2]
    failed = rest.post("/_control", json={"act": "renew", "subscription_id": done[0][0], "outcome": "failed"})
    assert failed.status_code == 200
    state = rest.get("/_state").get_json()
    assert Counter(each["status"] for each in state["subscriptions"]) == {"active": 3, "on-hold": 1}


@pytest.mark.parametrize(
    "wanted",
    [
        [],
        {"mode": "dance"},
        {"deliveries": "sing"},
        {"delay": -1},
        {"protocol": 2},
        {"same_second": 1},
        {"seed": "x"},
        {"what": 1},
        {"act": "burn"},
        {"act": "renew"},
        {"act": "renew", "what": 1},
        {"act": "buy", "count": 0},
    ],
)
def test_what_there_is_none_of_is_refused(wanted: object, rest: FlaskClient) -> None:
    before = rest.get("/_control").get_json()
    assert rest.post("/_control", json=wanted).status_code == 400
    assert rest.get("/_control").get_json() == before


def test_a_restart_forgets_nothing_and_follows_the_crm(tmp_path: Path) -> None:
    clock.start_at(AT)
    before = open_shop(tmp_path, "http://127.0.0.1:1/", "http://127.0.0.1:2", SECRET)
    before.world.subscribe()
    after = open_shop(tmp_path, "http://127.0.0.1:1/", "http://127.0.0.1:3", SECRET)
    assert after.world.state() == before.world.state()
    assert {hook.delivery_url for hook in after.courier.hooks.values()} == {"http://127.0.0.1:3/webhooks/woocommerce"}
    assert len(after.courier.hooks) == 10


def test_it_begins_with_some_months_behind_it(shop: Shop) -> None:
    shop.world.populate(5, months=2)
    orders = shop.world.bodies["orders"].values()
    assert min(order["date_created_gmt"] for order in orders) < (AT - timedelta(days=58)).isoformat()
    assert {order["status"] for order in orders} == {"processing", "failed"}
    assert shop.courier.deliver_all() == 0
