"""What a shop was paid for joins the batch of its company, and follows what becomes of its order."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from tests.conftest import NOW
from tests.services.woocommerce import bodies
from tests.services.woocommerce.bodies import BOX, SOAP, TEA, gmt, refund
from tests.services.woocommerce.telling import CUSTOMER, ORDER, SUBSCRIPTION, Teller
from webapp.extensions import db
from webapp.models.fulfilment import FulfilmentBatchLine, LineStatus
from webapp.services import outbox

DAY = datetime(2026, 11, 2, 9, tzinfo=UTC)


def boxed(teller: Teller) -> list[tuple[str, int]]:
    """What lies in the batch once everybody has heard what happened: labels and cycles."""
    outbox.deliver(teller.shop.organisation_id, at=NOW + timedelta(days=60))
    lines = db.session.scalars(select(FulfilmentBatchLine).where(FulfilmentBatchLine.status == LineStatus.PENDING))
    return sorted((line.label, line.cycle_no) for line in lines)


def begin(teller: Teller, products: list[int], subscriptions: dict[int, list[int]]) -> None:
    teller.tell(CUSTOMER, bodies.customer(2, "camille@example.org", at=DAY))
    teller.tell(ORDER, bodies.order(44, products, at=DAY, paid_at=DAY))
    for woo_id, sold in subscriptions.items():
        teller.tell(SUBSCRIPTION, bodies.subscription(woo_id, sold, at=DAY))


def test_what_is_paid_is_boxed_once(teller: Teller) -> None:
    begin(teller, [BOX], {45: [BOX]})
    assert boxed(teller) == [("Box mensuelle", 0)]
    teller.look(SUBSCRIPTION, 45)
    assert boxed(teller) == [("Box mensuelle", 0)]


def test_another_rhythm_is_paid_and_boxed_like_any_other(teller: Teller) -> None:
    begin(teller, [BOX], {})
    teller.tell(SUBSCRIPTION, bodies.subscription(45, [BOX], at=DAY, billing_period="week", billing_interval="3"))
    renewal = DAY + timedelta(weeks=3)
    teller.tell(ORDER, bodies.order(50, [BOX], at=renewal, paid_at=renewal, renews=45))
    assert boxed(teller) == [("Box mensuelle", 0), ("Box mensuelle", 1)]


def test_a_single_order_is_not_boxed(teller: Teller) -> None:
    begin(teller, [SOAP], {})
    assert boxed(teller) == []


def test_a_refund_takes_the_box_out_and_its_end_puts_it_in_again(teller: Teller) -> None:
    begin(teller, [BOX], {45: [BOX]})
    paid = bodies.order(44, at=DAY, paid_at=DAY)

    def say(minutes: int, *refunds: Any) -> None:
        teller.tell(ORDER, paid | {"refunds": refunds, "date_modified_gmt": gmt(DAY + timedelta(minutes=minutes))})

    assert len(boxed(teller)) == 1
    say(1, refund(60, "6.00"))
    assert len(boxed(teller)) == 1
    say(2, refund(60, "6.00"), refund(61, "30.00"))
    assert boxed(teller) == []
    say(3, refund(60, "6.00"))
    assert boxed(teller) == [("Box mensuelle", 0)]


def test_what_another_subscription_pays_goes_over_to_it(teller: Teller) -> None:
    begin(teller, [BOX, TEA, SOAP], {46: [TEA]})
    everything = [("Box de thé", 0), ("Box mensuelle", 0), ("Savon d'Alep & lavande", 0)]
    assert boxed(teller) == everything
    teller.tell(SUBSCRIPTION, bodies.subscription(45, [BOX], at=DAY))
    assert boxed(teller) == everything
    charges = db.session.scalars(
        select(FulfilmentBatchLine.charge_id).where(FulfilmentBatchLine.status == LineStatus.PENDING)
    )
    assert len(set(charges)) == 2


def test_a_late_arrival_moves_the_boxes_up(teller: Teller) -> None:
    begin(teller, [BOX], {45: [BOX]})
    late = DAY + timedelta(days=10)
    last = DAY + timedelta(days=14)
    teller.tell(ORDER, bodies.order(52, at=last, paid_at=last, renews=45))
    assert boxed(teller) == [("Box mensuelle", 0), ("Box mensuelle", 1)]
    teller.tell(ORDER, bodies.order(51, at=late, paid_at=late, renews=45))
    assert boxed(teller) == [("Box mensuelle", 0), ("Box mensuelle", 1), ("Box mensuelle", 2)]


def test_the_second_of_two_renewals_paid_too_soon_is_held(teller: Teller) -> None:
    begin(teller, [BOX], {45: [BOX]})
    for woo_id, days in ((51, 10), (52, 13)):
        at = DAY + timedelta(days=days)
        teller.tell(ORDER, bodies.order(woo_id, at=at, paid_at=at, renews=45))
    assert len(boxed(teller)) == 3
    held = db.session.execute(select(FulfilmentBatchLine.cycle_no, FulfilmentBatchLine.held_reason))
    assert {cycle: reason for cycle, reason in held if reason} == {
        2: "Deux renouvellements payés en moins d’une demi-période"
    }
