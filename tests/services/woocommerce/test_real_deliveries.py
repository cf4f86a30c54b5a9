"""The 92 deliveries of a real shop come to the same rows, in whatever order they are told."""

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from uuid import UUID

import pytest
from sqlalchemy import func, select

from tests import factories
from tests.services.woocommerce.telling import CUSTOMER, ORDER, SUBSCRIPTION, Picture, Teller, make_shop, picture
from tests.woocommerce import Delivery, deliveries
from webapp import tenancy
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.events import EventState
from webapp.models.payments import Payment, PaymentKind
from webapp.models.subscriptions import Frequency, SubscriptionStatus
from webapp.models.woocommerce import WooCommerceMapping

TOLD = list(deliveries())
SOON_AFTER = TOLD[-1].received_at + timedelta(minutes=15)
"""Nothing of it is too new to be believed, and no customer is given up waiting for."""


def tell(company_id: UUID, told: list[Delivery]) -> Teller:
    teller = Teller(make_shop(company_id), at=SOON_AFTER)
    teller.tell_all(told)
    return teller


def picture_of(told: list[Delivery]) -> Picture:
    """What is told to an organisation of its own comes to."""
    with tenancy.organisation(factories.OrganisationFactory().id):
        return picture(tell(factories.CompanyFactory().id, told).shop)


@cache
def in_order() -> Picture:
    """What they come to as they were received: told once for all tests, which only compare with it."""
    return picture_of(TOLD)


def test_what_they_come_to(company_id: UUID) -> None:
    teller = tell(company_id, TOLD)
    shown = picture(teller.shop)
    assert db.session.scalar(select(func.count()).select_from(Client)) == 15
    assert {number: (each["status"], each["frequency"]) for number, each in shown["subscriptions"].items()} == {
        45: (SubscriptionStatus.ACTIVE, Frequency.MONTHLY),
        47: (SubscriptionStatus.ACTIVE, Frequency.WEEKLY),
        68: (SubscriptionStatus.CANCELED, Frequency.MONTHLY),
        70: (SubscriptionStatus.CANCELED, Frequency.BIWEEKLY),
        72: (SubscriptionStatus.ACTIVE, Frequency.ANNUAL),
        74: (SubscriptionStatus.EXPIRED, Frequency.BIMONTHLY),
    }
    box = shown["subscriptions"][45]
    assert box["anchor_date"] == date(2026, 11, 27)
    assert box["expected_at"] == datetime(2026, 12, 27, 7, 4, 13, tzinfo=UTC)
    assert (box["recurring_amount"], box["next_charge_at"], box["cycle_no"]) == (Decimal("29.82"), None, 1)
    assert [(line["label"], line["is_shipped"]) for line in box["lines"]] == [
        ("Box mensuelle", True),
        ("Colissimo", False),
    ]
    charge = shown["charges"][44, 45]
    assert (charge["cycle_no"], charge["amount"], charge["paid"]) == (0, Decimal("35.78"), Decimal("35.78"))
    assert charge["vat"] == [{"rate": "20", "base": "29.82", "tax": "5.96"}]
    assert {key: amount for key, amount in shown["money"].items() if isinstance(key, tuple)} == {
        (29, None): Decimal("52.78"),
        (44, (44, 45)): Decimal("35.78"),
        (46, (46, 47)): Decimal("23.88"),
        (67, (67, 68)): Decimal("35.78"),
        (69, (69, 70)): Decimal("25.88"),
        (71, (71, 72)): Decimal("125.00"),
        (73, (73, 74)): Decimal("50.88"),
    }


def test_a_guest_with_a_customers_email_is_that_customer(company_id: UUID) -> None:
    shop = tell(company_id, TOLD).shop
    resources = picture(shop)["resources"]
    assert resources["order", 26][-1] == resources["customer", 2][-1]
    assert "camille.durand@example.org" in resources["order", 26][-1]
    # What somebody else's order was billed to does not make them one.
    assert resources["order", 32][-1] == resources["customer", 5][-1]


def test_a_refused_checkout_is_no_order(company_id: UUID) -> None:
    shown = picture(tell(company_id, TOLD).shop)
    assert {("order", 42), ("order", 43)}.isdisjoint(shown["resources"])


def test_everything_is_done_in_the_end(company_id: UUID) -> None:
    teller = tell(company_id, TOLD)
    assert {outcome.state for outcome in teller.outcomes.values()} == {EventState.DONE}


def test_reversed(organisation_id: UUID) -> None:
    assert picture_of(TOLD[::-1]) == in_order()


@pytest.mark.parametrize("seed", range(3))
def test_shuffled_and_repeated(organisation_id: UUID, seed: int) -> None:
    chance = random.Random(seed)
    told = TOLD + chance.sample(TOLD, 20)
    chance.shuffle(told)
    assert picture_of(told) == in_order()


def test_again_changes_nothing(company_id: UUID) -> None:
    teller = tell(company_id, TOLD)
    before = picture(teller.shop), _count_rows()
    for kind, woo_id in [(kind, woo_id) for kind in (ORDER, SUBSCRIPTION, CUSTOMER) for woo_id in range(100)]:
        if (kind, woo_id) in teller.outcomes:
            teller.look(kind, woo_id)
    assert (picture(teller.shop), _count_rows()) == before


def _count_rows() -> list[int | None]:
    return [
        db.session.scalar(select(func.count()).select_from(model)) for model in (Payment, Client, WooCommerceMapping)
    ]


def test_refunds_are_rows_of_their_own(company_id: UUID) -> None:
    tell(company_id, TOLD)
    refunds = db.session.scalars(select(Payment.amount).where(Payment.kind == PaymentKind.REFUND))
    assert sorted(refunds) == [Decimal("-96.78"), Decimal("-96.78"), Decimal("-39.00"), Decimal("-5.00")]
