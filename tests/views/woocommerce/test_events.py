"""Pages of events: filters, what is masked, who sees it in clear, and a person's decisions."""

import re
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from tests.conftest import HTMX, NOW, Cast
from tests.factories import ClientFactory, SubscriptionFactory
from tests.queries import recorded_queries
from tests.woocommerce_rows import make_event, make_order, make_resource, make_shop, reload_event
from webapp import queue
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.events import EventState
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.models.woocommerce import MappingKind, ResourceKind, WooCommerceMapping, WooCommerceShop
from webapp.services.woocommerce import events_listing

PAGE = "/integrations/woocommerce/evenements"
PERSONAL = {
    "id": 282,
    "status": "processing",
    "total": "10.00",
    "number": "282",
    "customer_note": "Chez Mme Durand",
    "billing": {"first_name": "Jeanne", "last_name": "Durand", "phone": "0639981234", "postcode": 59000},
    "shipping": {"address_1": "8 quai du Commerce", "city": "Lille"},
    "meta_data": [
        {"id": 1, "key": "_gift_for", "value": "Léa"},
        {"id": 2, "key": "_subscription_renewal", "value": "7"},
    ],
    "line_items": [{"id": 3, "name": "Café du mois", "meta_data": [{"key": "Gravure", "value": "Pour Paul"}]}],
    "jeanne@example.org": "x",
}
SECRETS = (
    "Durand", "Jeanne", "jeanne@", "0639981234", "59000", "quai du Commerce", "Lille", "Léa", "Paul",
)  # fmt: skip
pytestmark = pytest.mark.usefixtures("cast")


@pytest.fixture
def shop() -> WooCommerceShop:
    """A shop of the cast's organisation."""
    return make_shop()


def shown(page: str) -> list[UUID]:
    return [UUID(each) for each in re.findall(r'data-event-id="([^"]+)"', page)]


def handling_jobs() -> list[str]:
    return [job.func_name for job in queue.queue("webhooks").jobs]


def test_a_commercial_sees_and_does_nothing(client: FlaskClient, shop: WooCommerceShop) -> None:
    event = make_event(shop, 1, EventState.FAILED)
    db.session.commit()
    assert client.get(PAGE).status_code == 403
    assert client.get(f"{PAGE}/{event.id}").status_code == 403
    for word in ("reessayer", "classer", "en-clair"):
        assert client.post(f"{PAGE}/{event.id}/{word}").status_code == 403
    assert client.post(f"{PAGE}/reessayer").status_code == 403
    assert reload_event(event.id).state is EventState.FAILED


def test_an_outsider_finds_and_changes_nothing(outsider_client: FlaskClient, shop: WooCommerceShop) -> None:
    event = make_event(shop, 1, EventState.FAILED)
    db.session.commit()
    assert shown(outsider_client.get(PAGE).text) == []
    assert outsider_client.get(f"{PAGE}/{event.id}").status_code == 404
    for word in ("reessayer", "classer", "en-clair"):
        assert outsider_client.post(f"{PAGE}/{event.id}/{word}").status_code == 404
    assert outsider_client.post(f"{PAGE}/reessayer", data={"boutique": str(shop.id)}).status_code == 303
    assert reload_event(event.id).state is EventState.FAILED


def test_managers_retry_and_neither_close_nor_see_in_clear(manager_client: FlaskClient, shop: WooCommerceShop) -> None:
    event = make_event(shop, 1, EventState.FAILED, body=PERSONAL)
    db.session.commit()
    page = manager_client.get(f"{PAGE}/{event.id}").text
    assert "reveal-body" not in page
    assert 'data-action="close"' not in page
    assert manager_client.post(f"{PAGE}/{event.id}/classer").status_code == 403
    assert manager_client.post(f"{PAGE}/{event.id}/en-clair").status_code == 403
    assert manager_client.post(f"{PAGE}/{event.id}/reessayer").status_code == 303
    assert reload_event(event.id).state is EventState.RECEIVED
    assert handling_jobs() == ["jobs.woocommerce.handle"]


def test_the_latest_come_first_with_state_topic_and_why(manager_client: FlaskClient, shop: WooCommerceShop) -> None:
    done = make_event(shop, 1)
    failed = make_event(shop, 2, EventState.FAILED, reason="Une autre monnaie que celle de la société.")
    strange = make_event(shop, 3, EventState.IGNORED, topic="", kind=None, woo_id=None)
    db.session.commit()
    page = manager_client.get(PAGE).text
    assert shown(page) == [strange.id, failed.id, done.id]
    assert "Une autre monnaie" in page
    assert page.count('data-action="retry"') == 1
    assert 'data-state="failed"' in page
    assert 'data-topic="order.updated"' in page
    assert 'data-resource-id="2"' in page
    assert "Commande n°" in page


def test_events_are_narrowed_by_state_shop_and_topic(manager_client: FlaskClient, shop: WooCommerceShop) -> None:
    other = make_shop(2)
    done, failed = make_event(shop, 1), make_event(shop, 2, EventState.FAILED)
    elsewhere = make_event(other, 3, topic="customer.created", kind=ResourceKind.CUSTOMER)
    db.session.commit()
    for query, wanted in {
        "etat=failed": [failed.id],
        f"boutique={other.id}": [elsewhere.id],
        "sujet=order.updated": [failed.id, done.id],
        f"boutique={shop.id}&etat=done": [done.id],
        "etat=nul&boutique=x&apres=%00&sujet=%00": [elsewhere.id, failed.id, done.id],
        "sujet=" + "x" * 101: [elsewhere.id, failed.id, done.id],
        "sujet=inconnu": [],
        "sujet=%ED%A0%80": [],
    }.items():
        assert shown(manager_client.get(f"{PAGE}?{query}", headers=HTMX).text) == wanted, query


def test_the_address_names_only_the_filters_that_filter(manager_client: FlaskClient) -> None:
    headers = HTMX | {"HX-Source": "form#events-filters"}
    answer = manager_client.get(f"{PAGE}?etat=failed&boutique=&sujet=", headers=headers)
    assert answer.headers["HX-Push-Url"] == f"{PAGE}?etat=failed"


def test_pages_follow_each_other(
    manager_client: FlaskClient, shop: WooCommerceShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_listing.list_events, "__kwdefaults__", {"size": 2})
    made = [make_event(shop, number, EventState.FAILED) for number in range(1, 4)]
    db.session.commit()
    first = manager_client.get(f"{PAGE}?etat=failed").text
    assert shown(first) == [made[2].id, made[1].id]
    following = re.findall(r'href="([^"]+apres=[^"]+)"', first)[0].replace("&amp;", "&")
    assert shown(manager_client.get(following).text) == [made[0].id]


def test_a_resource_leads_to_our_row(manager_client: FlaskClient, shop: WooCommerceShop) -> None:
    buyer = ClientFactory()
    subscription = SubscriptionFactory(client_id=buyer.id)
    make_order(shop, 7, buyer)
    make_resource(shop, 8, buyer, kind=ResourceKind.SUBSCRIPTION)
    db.session.add(
        WooCommerceMapping(
            id=new_id(), shop_id=shop.id, kind=MappingKind.SUBSCRIPTION, woo_id=8, subscription_id=subscription.id
        )
    )
    make_event(shop, 7)
    make_event(shop, 8, kind=ResourceKind.SUBSCRIPTION, topic="subscription.updated")
    db.session.commit()
    page = manager_client.get(PAGE).text
    assert f"/clients/{buyer.id}" in page
    assert f"/abonnements/{subscription.id}" in page


def test_the_body_is_shown_masked(admin_client: FlaskClient, shop: WooCommerceShop) -> None:
    event = make_event(shop, 282, body=PERSONAL)
    db.session.commit()
    page = admin_client.get(f"{PAGE}/{event.id}").text
    for secret in SECRETS:
        assert secret not in page, secret
    for word in ("processing", "10.00", "Café du mois", "_subscription_renewal"):
        assert word in page
    assert db.session.scalar(select(TimelineEvent.id)) is None
    assert "Durand" not in admin_client.get(PAGE).text


def test_an_admin_sees_it_in_clear_and_the_clients_timeline_tells(
    admin_client: FlaskClient, shop: WooCommerceShop, cast: Cast
) -> None:
    buyer = ClientFactory()
    make_order(shop, 282, buyer)
    event = make_event(shop, 282, body=PERSONAL)
    db.session.commit()
    page = admin_client.post(f"{PAGE}/{event.id}/en-clair").text
    assert "Jeanne" in page
    assert "8 quai du Commerce" in page
    told = db.session.scalars(select(TimelineEvent).where(TimelineEvent.client_id == buyer.id)).one()
    assert (told.kind, told.user_id) == (EventKind.SHOP_BODY_REVEALED, cast.admin.id)
    assert "affichée en clair" in admin_client.get(f"/clients/{buyer.id}").text
    assert "Jeanne" not in admin_client.get(f"{PAGE}/{event.id}").text
    assert admin_client.get(f"{PAGE}/{event.id}/en-clair").status_code == 303


@pytest.mark.parametrize("body", [b"not json", b"\xff\xfe", b'{"a": "\\ud800"}', b"[" * 5000, b"", b'{"a": "\x00"}'])
def test_whatever_came_has_a_page(admin_client: FlaskClient, shop: WooCommerceShop, body: bytes) -> None:
    event = make_event(shop, 1, EventState.FAILED, body=body, kind=None, woo_id=None)
    db.session.commit()
    assert admin_client.get(f"{PAGE}/{event.id}").status_code == 200
    assert admin_client.post(f"{PAGE}/{event.id}/en-clair").status_code == 200


def test_a_body_that_was_let_go_is_said_to_be(admin_client: FlaskClient, shop: WooCommerceShop) -> None:
    event = make_event(shop, 1)
    event.body = None
    db.session.commit()
    page = admin_client.get(f"{PAGE}/{event.id}").text
    assert "n’est gardé que 90 jours" in page
    assert "reveal-body" not in page
    assert admin_client.post(f"{PAGE}/{event.id}/en-clair").status_code == 404
    assert admin_client.get(f"{PAGE}/{uuid4()}").status_code == 404


def test_a_closed_event_says_by_whom_and_is_tried_no_more(admin_client: FlaskClient, shop: WooCommerceShop) -> None:
    event = make_event(shop, 1, EventState.FAILED)
    db.session.commit()
    answer = admin_client.post(f"{PAGE}/{event.id}/classer", data={"etat": "failed"})
    assert (answer.status_code, answer.headers["Location"]) == (303, f"{PAGE}?etat=failed")
    closed = reload_event(event.id)
    assert closed.state is EventState.IGNORED
    assert "Classé par" in (closed.reason or "")
    assert closed.handled_at is not None
    for word in ("reessayer", "classer"):
        refused = admin_client.post(f"{PAGE}/{event.id}/{word}")
        assert refused.status_code == 409
        assert "rien à décider" in refused.text


def test_all_of_the_filter_are_retried_and_nothing_else(manager_client: FlaskClient, shop: WooCommerceShop) -> None:
    other = make_shop(2)
    mine = [make_event(shop, 1, EventState.FAILED), make_event(shop, 2, EventState.WAITING, waits_for="client:1")]
    kept = [make_event(shop, 3), make_event(other, 4, EventState.FAILED)]
    db.session.commit()
    answer = manager_client.post(f"{PAGE}/reessayer", data={"boutique": str(shop.id)})
    assert (answer.status_code, answer.headers["Location"]) == (303, f"{PAGE}?boutique={shop.id}")
    assert [reload_event(each.id).state for each in mine] == [EventState.RECEIVED] * 2
    assert [reload_event(each.id).state for each in kept] == [EventState.DONE, EventState.FAILED]
    assert handling_jobs() == ["jobs.woocommerce.handle"]
    again = manager_client.post(f"{PAGE}/reessayer", data={"boutique": str(shop.id)}, follow_redirects=True)
    assert "rien n’a été réessayé" in again.text


def test_the_number_of_queries_does_not_grow_with_the_rows(manager_client: FlaskClient, shop: WooCommerceShop) -> None:
    def queries(**headers: Any) -> int:
        db.session.commit()
        with recorded_queries() as statements:
            assert manager_client.get(PAGE).status_code == 200
        return len(statements)

    make_event(shop, 1)
    before = queries()
    for number in range(2, 30):
        buyer = ClientFactory()
        make_order(shop, number, buyer)
        make_event(shop, number, EventState.FAILED, received_at=NOW - timedelta(minutes=number))
    assert queries() == before <= 6
