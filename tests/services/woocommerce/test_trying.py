"""« Tester »: what a shop can be asked, and which of its webhooks lead here."""

import pytest

from tests.conftest import NOW
from tests.services.woocommerce.conftest import Connected
from webapp.extensions import db
from webapp.gateways.woocommerce import KeyRefusedError, UnreachableError
from webapp.services.woocommerce import trying


def test_it_finds_out_whether_subscriptions_honour_the_date(connected: Connected) -> None:
    connected.shop.world.subscribe()
    found = trying.try_shop(connected.row.id, at=NOW)
    assert (found.has_subscriptions, found.honours_modified_after) == (True, True)
    assert (found.version, found.currency) == ("11.0.1", "EUR")
    assert found.sentence() == "La boutique répond (WooCommerce 11.0.1)."
    connected.shop.order({"honours_modified_after": False})
    assert "ne se filtrent pas par date" in trying.try_shop(connected.row.id, at=NOW).sentence()
    connected.shop.order({"has_subscriptions": False})
    assert "n’a pas l’extension d’abonnements" in trying.try_shop(connected.row.id, at=NOW).sentence()


def test_without_any_subscription_nobody_can_tell(connected: Connected) -> None:
    assert not trying.try_shop(connected.row.id, at=NOW).honours_modified_after


def test_webhooks_that_woocommerce_disabled_are_named_and_those_of_others_are_not_ours(connected: Connected) -> None:
    courier = connected.shop.courier
    courier.add("order.updated", "https://ailleurs.example/hook", "s")
    ours = courier.add("order.updated", "https://crm.example/webhooks/woocommerce/1", "s")
    courier.add("order.created", "https://crm.example/webhooks/woocommerce", "s")
    courier.set_status(ours.id, "disabled")
    found = trying.try_shop(connected.row.id, at=NOW)
    assert found.disabled_topics == ["order.updated"]
    assert "WooCommerce a désactivé des webhooks\u202f: order.updated." in found.sentence()
    db.session.refresh(connected.row)
    assert {topic: hook["status"] for topic, hook in connected.row.topics.items()} == {
        "order.updated": "disabled",
        "order.created": "active",
    }
    assert connected.row.topics["order.updated"]["webhook_id"] == ours.id


def test_of_two_webhooks_on_one_topic_the_active_one_counts(connected: Connected) -> None:
    courier = connected.shop.courier
    for _ in range(2):
        courier.add("order.updated", "https://crm.example/webhooks/woocommerce", "s")
    courier.set_status(1, "disabled")
    assert trying.try_shop(connected.row.id, at=NOW).disabled_topics == []


def test_what_is_wrong_is_said(connected: Connected) -> None:
    connected.shop.order({"mode": "401"})
    with pytest.raises(KeyRefusedError):
        trying.try_shop(connected.row.id, at=NOW)
    connected.row.url = "http://127.0.0.1:9/"
    db.session.flush()
    with pytest.raises(UnreachableError):
        trying.try_shop(connected.row.id, at=NOW)
