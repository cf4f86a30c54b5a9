"""What a shop sends is read as it was meant, however it was written; what cannot be is refused with a sentence."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.woocommerce import Delivery, deliveries, examples
from webapp.models.woocommerce import ResourceKind
from webapp.services.woocommerce import reading
from webapp.services.woocommerce.reading import (
    Attribute,
    Customer,
    Deleted,
    Order,
    Problem,
    Product,
    Subscription,
    Word,
)
from webapp.services.woocommerce.values import UnreadableError

PARIS = ZoneInfo("Europe/Paris")
ORDER, CUSTOMER, SUBSCRIPTION = ResourceKind.ORDER, ResourceKind.CUSTOMER, ResourceKind.SUBSCRIPTION


def read(kind: ResourceKind, content: Any) -> Any:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return reading.read(kind, body, PARIS)


def real(seq: int) -> Any:
    delivery = next(each for each in deliveries() if each.seq == seq)
    assert delivery.kind
    return read(delivery.kind, delivery.body)


SIGNED = [each for each in deliveries() if each.kind]


@pytest.mark.parametrize("delivery", SIGNED, ids=lambda delivery: f"{delivery.seq:04}-{delivery.topic}")
def test_every_real_delivery_is_read(delivery: Delivery) -> None:
    assert delivery.kind
    content = json.loads(delivery.body)
    said = read(delivery.kind, delivery.body)
    if "code" in content:
        assert said == Problem(reading.GONE)
    elif len(content) == 1:
        assert said == Deleted(delivery.kind, content["id"])
    else:
        assert isinstance(said, Word)
        assert said.woo_id == content["id"]
        assert said.modified_at == datetime.fromisoformat(content["date_modified_gmt"]).replace(tzinfo=UTC)
        assert said.status == content.get("status", content.get("role"))


@pytest.mark.parametrize("name", examples())
def test_every_example_is_read(name: str) -> None:
    kind = ResourceKind(name.partition("_")[0])
    said = read(kind, examples()[name])
    assert isinstance(said, Word)
    assert said.woo_id == examples()[name]["id"]


@pytest.mark.parametrize("delivery", SIGNED, ids=lambda delivery: f"{delivery.seq:04}")
def test_what_is_kept_reads_as_what_was_said(delivery: Delivery) -> None:
    assert delivery.kind
    said = read(delivery.kind, delivery.body)
    if isinstance(said, Word):
        assert read(delivery.kind, said.canonical) == said


@pytest.mark.parametrize("delivery", SIGNED, ids=lambda delivery: f"{delivery.seq:04}")
def test_skimming_tells_the_same_as_reading(delivery: Delivery) -> None:
    assert delivery.kind
    said = read(delivery.kind, delivery.body)
    skimmed = reading.skim(delivery.kind, delivery.body, PARIS)
    if isinstance(said, Word):
        assert isinstance(skimmed, Word)
        assert skimmed.standing == said.standing
    else:
        assert skimmed == said


def test_a_subscription() -> None:
    said = real(175 + 4)
    assert isinstance(said, Subscription)
    assert (said.period, said.interval, said.parent_id, said.customer_id) == ("week", 2, 69, 16)
    assert said.starts_at == datetime(2026, 11, 27, 7, 8, 47, tzinfo=UTC)
    assert said.next_payment_at == datetime(2026, 12, 11, 7, 8, 47, tzinfo=UTC)
    assert (said.ends_at, said.cancelled_at, said.trial_ends_at) == (None, None, None)
    assert said.total == Decimal("25.88")
    assert said.tax_rates == ((1, Decimal("20.00")),)


def test_a_renewal_names_its_subscription() -> None:
    said = read(ORDER, examples()["order_created_renewal_ios526"])
    assert isinstance(said, Order)
    assert said.renewal_of == (282,)
    assert said.paid_at == datetime(2023, 4, 18, 17, 16, 11, tzinfo=UTC)
    assert said.items[0].attributes == (Attribute("As a Gift", "No", "As a Gift", "No"),)


def test_refunds_are_positive_and_in_the_order_of_their_ids() -> None:
    said = real(75)
    assert [(refund.woo_id, refund.amount, refund.reason) for refund in said.refunds] == [
        (34, Decimal("39.00"), "Colis abîmé"),
        (35, Decimal("5.00"), ""),
    ]


def test_entities_are_decoded_and_tags_taken_out() -> None:
    product = real(44)
    assert isinstance(product, Product)
    assert product.name == "Savon d'Alep & lavande"
    assert real(47).items[0].label == "Atelier initiation – 1 place"
    assert real(75).items[1].label == "Coffret « découverte » 🌿"


def test_an_account_and_its_billing_address_have_an_email_each() -> None:
    customer = real(29)
    assert isinstance(customer, Customer)
    assert (customer.email, customer.billing.email) == ("camille.durand@example.org", "camille.facture@example.org")
    assert customer.billing.phone == "+33639980011"
    assert real(47).billing.email == "camille.durand@example.org"


def test_an_order_without_email_or_billing() -> None:
    assert real(72).billing.email == ""
    for billing in (None, [], "", {}):
        said = read(ORDER, {"id": 5, "status": "pending", "billing": billing, "total": "1"})
        assert said.billing == reading.Address()


def test_ids_and_amounts_as_text_and_as_floats() -> None:
    written = {
        "id": "12",
        "customer_id": "3",
        "parent_id": 0.0,
        "total": 19.99,
        "date_modified_gmt": "2026-11-20T08:00:00",
    }
    said = read(ORDER, written | {"line_items": [{"id": "4", "total": 12.083333, "quantity": "2", "product_id": "9"}]})
    assert (said.woo_id, said.customer_id, said.parent_id, said.total) == (12, 3, 0, Decimal("19.99"))
    assert (said.items[0].total, said.items[0].quantity, said.items[0].product_id) == (Decimal("12.08"), 2, 9)


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        ({"date_modified_gmt": "2026-07-01T10:00:00"}, datetime(2026, 7, 1, 10, tzinfo=UTC)),
        ({"date_modified": "2026-07-01T12:00:00"}, datetime(2026, 7, 1, 10, tzinfo=UTC)),
        ({"date_modified": "2026-12-01T11:00:00", "date_modified_gmt": ""}, datetime(2026, 12, 1, 10, tzinfo=UTC)),
        ({"date_modified_gmt": "2026-07-01T10:00:00Z"}, datetime(2026, 7, 1, 10, tzinfo=UTC)),
        (
            {"date_modified": None, "date_modified_gmt": None, "date_created": "2026-07-01T12:00:00"},
            datetime(2026, 7, 1, 10, tzinfo=UTC),
        ),
        ({}, datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_date_without_gmt_is_local_to_the_shop(dates: dict[str, Any], expected: datetime) -> None:
    assert read(CUSTOMER, {"id": 5, "email": "a@example.org", **dates}).modified_at == expected


def test_empty_dates_of_a_subscription() -> None:
    written = {"id": 5, "status": "active", "billing_period": "month", "billing_interval": "1"}
    for nothing in ("", None, 0, "0", "0000-00-00 00:00:00"):
        said = read(SUBSCRIPTION, written | {"next_payment_date_gmt": nothing, "end_date": nothing})
        assert (said.next_payment_at, said.ends_at) == (None, None)


def test_text_that_no_database_takes() -> None:
    body = b'{"id": 5, "email": "a@example.org", "first_name": "Zo\\u0000\\ud800\\u00e9", "last_name": "\\u202eX\\nY"}'
    said = read(CUSTOMER, body)
    assert (said.first_name, said.last_name) == ("Zo\ufffdé", "X Y")
    assert read(CUSTOMER, said.canonical).standing == said.standing
    said.canonical.decode()


def test_five_hundred_lines() -> None:
    lines = [{"id": number, "name": "Savon", "total": "1.00"} for number in range(1, 501)]
    assert len(read(ORDER, {"id": 5, "status": "pending", "line_items": lines}).items) == 500


def test_a_list_that_php_wrote_as_an_object() -> None:
    written = {"id": 5, "line_items": {"0": {"id": 1, "total": "1"}, "2": {"id": 3, "total": "2"}}}
    assert [item.woo_id for item in read(ORDER, written).items] == [1, 3]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (ORDER, b"webhook_id=2"),
        (ORDER, b""),
        (ORDER, b"\xff\xfe"),
        (ORDER, b"[" * 100_000),
        (ORDER, b'{"id": NaN}'),
        (ORDER, b"3"),
        (ORDER, b'"x"'),
        (ORDER, b"[1]"),
        (ORDER, b"{}"),
        (ORDER, b'{"id": 0}'),
        (ORDER, b'{"id": -1}'),
        (ORDER, b'{"id": true}'),
        (ORDER, b'{"id": {"a": 1}}'),
        (ORDER, b'{"id": "x1"}'),
        (ORDER, b'{"id": ' + b"9" * 40 + b"}"),
        (ORDER, b'{"id": "' + b"9" * 40 + b'"}'),
        (ORDER, b'{"id": 5, "customer_id": ' + b"9" * 40 + b"}"),
        (ORDER, b'{"id": 5, "total": "abc"}'),
        (ORDER, b'{"id": 5, "total": "1e999"}'),
        (ORDER, b'{"id": 5, "total": "NaN"}'),
        (ORDER, b'{"id": 5, "date_paid_gmt": "hier"}'),
        (ORDER, b'{"id": 5, "date_paid_gmt": 17}'),
        (ORDER, b'{"id": 5, "line_items": "x"}'),
        (SUBSCRIPTION, b'{"id": 5, "billing_interval": "x"}'),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_sentence(kind: ResourceKind, body: bytes) -> None:
    with pytest.raises(UnreadableError) as refusal:
        read(kind, body)
    assert refusal.value.sentence.endswith((".", "»"))


def test_the_legacy_api_is_named() -> None:
    with pytest.raises(UnreadableError, match="choisissez l’API v3"):
        read(ORDER, {"order": {"id": 5}})


def test_signed_bodies_that_are_not_the_resource() -> None:
    assert read(SUBSCRIPTION, b"[]") == Problem(reading.EMPTY)
    denied = read(CUSTOMER, {"code": "woocommerce_rest_cannot_view", "message": "Sorry", "data": {"status": 401}})
    assert denied == Problem(reading.NOT_ALLOWED, is_fault=True)
    other = read(CUSTOMER, {"code": "rest_oops", "message": "Oh&nbsp;<b>no</b>"})
    assert other == Problem(reading.ERROR.format(message="Oh no"), is_fault=True)


def test_the_later_word_of_one_second_has_the_greater_rank() -> None:
    def rank(kind: ResourceKind, **more: Any) -> int:
        rank: int = read(kind, {"id": 5, "total": "1", **more}).rank
        return rank

    paid = {"date_paid_gmt": "2026-11-20T08:00:00"}
    ranks = [
        rank(ORDER, status="checkout-draft"),
        rank(ORDER, status="pending"),
        rank(ORDER, status="failed"),
        rank(ORDER, status="processing"),
        rank(ORDER, status="cancelled"),
        rank(ORDER, status="pending", **paid),
        rank(ORDER, status="processing", **paid),
        rank(ORDER, status="processing", refunds=[{"id": 1, "total": "-1"}], **paid),
        rank(ORDER, status="completed", **paid),
        rank(ORDER, status="refunded", **paid),
    ]
    assert ranks == sorted(set(ranks))
    states = ("pending", "on-hold", "active", "pending-cancel", "cancelled", "expired")
    ranks = [rank(SUBSCRIPTION, status=status) for status in states]
    assert ranks == sorted(set(ranks))
    assert rank(SUBSCRIPTION, status="sur-mesure") not in ranks
