"""The receiver: a signature in the place of session and CSRF, and an answer at once."""

import socket
from collections import Counter
from uuid import UUID, uuid4

import pytest
from flask.testing import FlaskClient
from redis import Redis
from werkzeug.datastructures import Headers

from tests import factories
from tests.conftest import Cast
from tests.queries import recorded_statements
from tests.services.woocommerce.deliveries import SECRET, events, headers_of, make_signed_shop
from tests.woocommerce import SECRET as REAL_SECRET
from tests.woocommerce import deliveries
from webapp import queue, tenancy
from webapp.config import Settings
from webapp.extensions import db
from webapp.factory import create_app
from webapp.models.woocommerce import EventState, ResourceKind, WooCommerceShop

ADDRESS = "/webhooks/woocommerce"
BODY = b'{"id":11,"name":"Savon"}'
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def shop(cast: Cast) -> WooCommerceShop:
    return make_signed_shop(factories.default_company().id)


def test_a_signed_delivery_is_kept_and_answered_at_once(shop: WooCommerceShop, stranger: FlaskClient) -> None:
    answer = stranger.post(ADDRESS, data=BODY, headers=headers_of(BODY))
    assert (answer.status_code, answer.data) == (200, b"")
    (event,) = events()
    assert (event.shop_id, event.state) == (shop.id, EventState.RECEIVED)
    assert (event.topic, event.kind, event.woo_id) == ("product.updated", ResourceKind.PRODUCT, 11)
    assert event.webhook_id == 7
    assert event.body_in_clear() == BODY
    assert BODY not in (event.body or b"")
    assert "Set-Cookie" not in answer.headers


def test_it_costs_two_statements(shop: WooCommerceShop, stranger: FlaskClient) -> None:
    stranger.post(ADDRESS, data=BODY, headers=headers_of(BODY))
    with recorded_statements() as statements:
        assert stranger.post(ADDRESS, data=BODY, headers=headers_of(BODY)).status_code == 200
    assert [each.split()[0] for each in statements if "SAVEPOINT" not in each] == ["SELECT", "INSERT"]


def test_the_same_delivery_is_one_event(shop: WooCommerceShop, stranger: FlaskClient) -> None:
    headers = headers_of(BODY)
    for _ in range(3):
        assert stranger.post(ADDRESS, data=BODY, headers=headers).status_code == 200
    assert len(events()) == 1


def test_one_delivery_id_covers_many_orders(shop: WooCommerceShop, stranger: FlaskClient) -> None:
    for woo_id in range(15):
        body = b'{"id":%d,"status":"processing"}' % (woo_id + 1)
        stranger.post(ADDRESS, data=body, headers=headers_of(body, "order.created", Delivery_ID="same"))
    assert [event.woo_id for event in events()] == list(range(1, 16))


@pytest.mark.parametrize("address", [ADDRESS, f"{ADDRESS}/{UUID(int=7)}"])
def test_a_ping_is_answered_and_nothing_is_done(cast: Cast, stranger: FlaskClient, address: str) -> None:
    answer = stranger.post(address, data=b"webhook_id=2", headers=FORM)
    assert answer.status_code == 200
    assert events() == []


@pytest.mark.parametrize("body", [b"webhook_id=2&x=1", b"webhook_id=", b"", BODY])
def test_nothing_else_goes_unsigned(shop: WooCommerceShop, stranger: FlaskClient, body: bytes) -> None:
    assert stranger.post(ADDRESS, data=body, headers=FORM).status_code == 401
    assert stranger.post(f"{ADDRESS}/{shop.id}", data=body, headers=FORM).status_code == 401
    assert events() == []


def test_a_wrong_signature_is_refused(shop: WooCommerceShop, stranger: FlaskClient) -> None:
    for headers in (
        headers_of(BODY, secret="other"),
        headers_of(b"{}"),
        headers_of(BODY) | {"X-WC-Webhook-Signature": "é"},
    ):
        assert stranger.post(ADDRESS, data=BODY, headers=headers).status_code == 401
    assert events() == []


def test_an_unknown_shop_is_not_found(shop: WooCommerceShop, stranger: FlaskClient) -> None:
    elsewhere = headers_of(BODY, Source="https://other.example/")
    assert stranger.post(ADDRESS, data=BODY, headers=elsewhere).status_code == 404
    assert stranger.post(f"{ADDRESS}/{uuid4()}", data=BODY, headers=headers_of(BODY)).status_code == 404
    assert stranger.post(ADDRESS, data=BODY, headers=headers_of(BODY, Source="")).status_code == 404


@pytest.mark.parametrize("source", ["http://SAVONS.example", "https://savons.example", "https://savons.example:443/"])
def test_the_source_is_folded(shop: WooCommerceShop, stranger: FlaskClient, source: str) -> None:
    assert stranger.post(ADDRESS, data=BODY, headers=headers_of(BODY, Source=source)).status_code == 200


def test_the_shops_own_address_takes_it_in_any_language(shop: WooCommerceShop, stranger: FlaskClient) -> None:
    headers = headers_of(BODY, Source="https://savons.example/en/")
    assert stranger.post(f"{ADDRESS}/{shop.id}", data=BODY, headers=headers).status_code == 200
    assert events()[0].state is EventState.RECEIVED


def test_a_copy_of_the_shop_is_shown_and_passed_over(shop: WooCommerceShop, stranger: FlaskClient) -> None:
    headers = headers_of(BODY, Source="https://staging.savons.example/")
    assert stranger.post(f"{ADDRESS}/{shop.id}", data=BODY, headers=headers).status_code == 200
    (event,) = events()
    assert event.state is EventState.IGNORED
    assert event.reason == "Envoyée par une copie de la boutique\u202f: staging.savons.example."


def test_what_a_shop_that_is_switched_off_says_is_passed_over(shop: WooCommerceShop, stranger: FlaskClient) -> None:
    shop.is_active = False
    db.session.flush()
    assert stranger.post(ADDRESS, data=BODY, headers=headers_of(BODY)).status_code == 200
    assert events()[0].reason == "La boutique est désactivée ici."


def test_several_secrets_during_a_rotation(shop: WooCommerceShop, stranger: FlaskClient) -> None:
    shop.keep_secrets(["the-new-one", SECRET])
    db.session.flush()
    for secret in ("the-new-one", SECRET):
        assert stranger.post(ADDRESS, data=BODY, headers=headers_of(BODY, secret=secret)).status_code == 200
    shop.keep_secrets(["the-new-one"])
    db.session.flush()
    assert stranger.post(ADDRESS, data=BODY, headers=headers_of(BODY)).status_code == 401


def test_of_two_organisations_with_one_shop_the_secret_decides(
    cast: Cast, shop: WooCommerceShop, stranger: FlaskClient
) -> None:
    with tenancy.organisation(cast.outsider.organisation_id):
        theirs = make_signed_shop(factories.CompanyFactory().id, "their-secret")
    stranger.post(ADDRESS, data=BODY, headers=headers_of(BODY, secret="their-secret"))
    stranger.post(ADDRESS, data=BODY, headers=headers_of(BODY))
    with tenancy.across_organisations():
        assert Counter(event.shop_id for event in events()) == {shop.id: 1, theirs.id: 1}


def test_two_mebibytes_are_the_limit(shop: WooCommerceShop, stranger: FlaskClient) -> None:
    most = b'{"id":1,"x":"' + b"x" * (2 * 1024 * 1024 - 15) + b'"}'
    assert stranger.post(ADDRESS, data=most, headers=headers_of(most)).status_code == 200
    more = most + b" "
    assert stranger.post(ADDRESS, data=more, headers=headers_of(more)).status_code == 413


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"null",
        b'{"code":"x","message":"y"}',
        b'{"id":' + b"9" * 40 + b"}",
        b'{"id":"\x00\xed\xa0\x80"}',
    ],
)
def test_signed_rubbish_is_kept(shop: WooCommerceShop, stranger: FlaskClient, body: bytes) -> None:
    headers = Headers(headers_of(body, "order.updated", ID="x" * 300, Delivery_ID="y" * 300))
    assert stranger.post(ADDRESS, data=body, headers=headers).status_code == 200
    (event,) = events()
    assert event.body_in_clear() == body
    assert event.woo_id is None


def test_only_posts_are_taken(shop: WooCommerceShop, stranger: FlaskClient) -> None:
    assert stranger.get(ADDRESS).status_code == 405


def test_every_real_delivery_by_its_own_headers(cast: Cast, stranger: FlaskClient) -> None:
    shop = make_signed_shop(factories.default_company().id, REAL_SECRET, source="127.0.0.1:8870")
    told = deliveries()
    for delivery in told:
        headers = {name: value for name, value in delivery.headers.items() if name not in ("Host", "Content-Length")}
        assert stranger.post(ADDRESS, data=delivery.body, headers=headers).status_code == 200, delivery.seq
    kept = events()
    assert len(kept) == 92
    assert {event.shop_id for event in kept} == {shop.id}
    assert Counter(event.body_in_clear() for event in kept) == Counter(each.body for each in told if each.kind)


def test_redis_away_the_delivery_is_kept_all_the_same(
    shop: WooCommerceShop, stranger: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "_redis", Redis(host="127.0.0.1", port=9, socket_connect_timeout=1))
    assert stranger.post(ADDRESS, data=BODY, headers=headers_of(BODY)).status_code == 200
    assert len(events()) == 1


def test_of_a_redis_that_does_not_answer_one_delivery_waits_and_no_other(
    shop: WooCommerceShop, stranger: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        monkeypatch.setattr(
            queue, "_redis", queue.connect(f"redis://127.0.0.1:{silent.getsockname()[1]}", patience=0.2)
        )
        monkeypatch.setattr(queue, "_paused_until", 0.0)
        for body in (BODY, BODY + b" ", BODY + b"  "):
            assert stranger.post(ADDRESS, data=body, headers=headers_of(body)).status_code == 200
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()
    assert [event.state for event in events()] == [EventState.RECEIVED] * 3


def test_postgresql_away_the_shop_is_told_so(settings: Settings) -> None:
    nowhere = settings.model_copy(update={"database_url": "postgresql+psycopg://crm_app@127.0.0.1:9/crm"})
    receiver = create_app(nowhere).test_client()
    answer = receiver.post(ADDRESS, data=BODY, headers=headers_of(BODY))
    create_app(settings)  # the process's keys, clock and queue are the tests' again
    assert (answer.status_code, answer.text) == (503, "Base de données indisponible.")
    assert receiver.post(ADDRESS, data=b"webhook_id=2", headers=FORM).status_code == 200, "a ping needs none"
