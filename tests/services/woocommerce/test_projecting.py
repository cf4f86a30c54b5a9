"""What each thing that a shop says comes to."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select

from tests import factories
from tests.queries import recorded_statements
from tests.services.woocommerce import bodies
from tests.services.woocommerce.bodies import BOX, SOAP, TEA, gmt, refund
from tests.services.woocommerce.telling import CUSTOMER, ORDER, SUBSCRIPTION, Teller, make_shop, picture
from webapp.extensions import db
from webapp.models.charges import Attention, Charge, ChargeStatus
from webapp.models.clients import Client, ClientStatus, Source
from webapp.models.outbox import OutboxEvent, OutboxKind
from webapp.models.payments import Payment, PaymentKind
from webapp.models.preferences import PreferenceValue
from webapp.models.subscriptions import Collector, Frequency, Subscription, SubscriptionHistory, SubscriptionStatus
from webapp.models.woocommerce import EventState, WooCommerceResource
from webapp.services.woocommerce.outcomes import Outcome

DAY = datetime(2026, 11, 2, 9, tzinfo=UTC)
LATER = DAY + timedelta(days=30)


def begin(teller: Teller, **more: Any) -> Outcome | None:
    """A customer, the order that she began with, and her subscription."""
    teller.tell(CUSTOMER, bodies.customer(2, "camille@example.org", at=DAY))
    teller.tell(ORDER, bodies.order(44, at=DAY, paid_at=DAY))
    return teller.tell(SUBSCRIPTION, bodies.subscription(45, at=DAY, **more))


def the_subscription() -> Subscription:
    db.session.expire_all()
    return db.session.scalars(select(Subscription)).one()


def charges() -> list[Charge]:
    db.session.expire_all()
    return list(db.session.scalars(select(Charge).order_by(Charge.cycle_no)))


def reviewed(teller: Teller, kind: Any, woo_id: int) -> list[str]:
    db.session.expire_all()
    row = db.session.scalars(select(WooCommerceResource).filter_by(kind=kind, woo_id=woo_id)).one()
    return [each["code"] for each in row.review]


# ------------------------------------------------------------------------------------------------ clients


def test_a_customer_becomes_a_client(teller: Teller) -> None:
    teller.tell(CUSTOMER, bodies.customer(2, "Camille@Example.org", at=DAY, billing={"phone": "06 39 98 12 34"}))
    client = db.session.scalars(select(Client)).one()
    assert (client.full_name, client.email, client.phone) == ("Durand Camille", "camille@example.org", "+33639981234")
    assert (client.address_line1, client.postcode, client.city) == ("12 rue des Lilas", "69003", "Lyon")
    assert (client.source, client.status) == (Source.WOOCOMMERCE, ClientStatus.PROSPECT)


def test_a_client_with_the_same_email_is_linked_and_blanks_are_filled(teller: Teller) -> None:
    ours = factories.ClientFactory(email="camille@example.org", last_name="Durant", city=None, phone=None, source=None)
    teller.tell(CUSTOMER, bodies.customer(2, "camille@example.org", at=DAY, billing={"phone": "06 39 98 12 34"}))
    db.session.refresh(ours)
    assert db.session.scalar(select(func.count()).select_from(Client)) == 1
    assert (ours.last_name, ours.phone, ours.source) == ("Durant", "+33639981234", None)


def test_a_client_with_the_same_telephone_is_linked(teller: Teller) -> None:
    ours = factories.ClientFactory(email=None, phone="+33639981234")
    teller.tell(CUSTOMER, bodies.customer(2, "camille@example.org", at=DAY, billing={"phone": "06 39 98 12 34"}))
    db.session.refresh(ours)
    assert ours.email == "camille@example.org"


def test_only_what_changes_in_the_shop_is_applied_later(teller: Teller) -> None:
    teller.tell(CUSTOMER, bodies.customer(2, "camille@example.org", at=DAY))
    client = db.session.scalars(select(Client)).one()
    client.last_name, client.city = "Martin", "Nice"
    db.session.commit()
    moved = {"city": "Dijon", "postcode": "21000"}
    teller.tell(CUSTOMER, bodies.customer(2, "camille@example.org", at=LATER, billing=moved))
    db.session.refresh(client)
    assert (client.last_name, client.city, client.postcode) == ("Martin", "Dijon", "21000")


def test_a_former_email_is_still_that_person(teller: Teller) -> None:
    teller.tell(CUSTOMER, bodies.customer(2, "camille@example.org", at=DAY))
    teller.tell(CUSTOMER, bodies.customer(2, "nouvelle@example.org", at=LATER))
    guest = bodies.person("Camille", "camille@example.org")
    teller.tell(ORDER, bodies.order(50, [SOAP], at=LATER, customer_id=0, billing=guest))
    client = db.session.scalars(select(Client)).one()
    assert client.email == "nouvelle@example.org"


def test_a_registered_customers_word_goes_before_a_guests(teller: Teller) -> None:
    guest = bodies.person("Kam", "camille@example.org", city="Nice")
    teller.tell(ORDER, bodies.order(50, [SOAP], at=LATER, customer_id=0, billing=guest))
    teller.tell(CUSTOMER, bodies.customer(2, "camille@example.org", at=DAY))
    client = db.session.scalars(select(Client)).one()
    assert (client.first_name, client.city) == ("Camille", "Lyon")


def test_somebody_who_has_paid_is_an_active_client(teller: Teller) -> None:
    guest = bodies.person("Kam", "camille@example.org")
    teller.tell(ORDER, bodies.order(50, [SOAP], at=DAY, paid_at=DAY, customer_id=0, billing=guest))
    assert db.session.scalars(select(Client)).one().status is ClientStatus.ACTIVE


def test_two_candidates_wait_for_a_person_and_what_hangs_on_them_waits_too(teller: Teller) -> None:
    for _ in range(2):
        factories.ClientFactory(email="camille@example.org")
    outcome = teller.tell(CUSTOMER, bodies.customer(2, "camille@example.org", at=DAY))
    assert outcome
    assert (outcome.state, outcome.waits_for) == (EventState.WAITING, "client:2")
    assert outcome.sentence == "2 clients ont cet e-mail\u202f: rattachez le bon, ou créez-en un."
    assert reviewed(teller, CUSTOMER, 2) == ["TWO_CANDIDATES"]
    order = teller.tell(ORDER, bodies.order(44, at=DAY, paid_at=DAY))
    held = teller.tell(SUBSCRIPTION, bodies.subscription(45, at=DAY))
    assert order
    assert held
    assert {order.waits_for, held.waits_for} == {"client:2"}
    assert not reviewed(teller, ORDER, 44)
    assert db.session.scalar(select(func.count()).select_from(Payment)) == 0


def test_erased_data_are_not_applied(teller: Teller) -> None:
    begin(teller)
    gone = {"email": "deleted@site.invalid", "first_name": "[deleted]", "last_name": "[deleted]"}
    body = bodies.customer(2, "deleted@site.invalid", at=LATER, billing=gone, first_name="[deleted]")
    teller.tell(CUSTOMER, body)
    client = db.session.scalars(select(Client)).one()
    assert (client.first_name, client.email) == ("Camille", "camille@example.org")
    assert reviewed(teller, CUSTOMER, 2) == ["ERASED"]


def test_an_order_waits_for_its_customer_but_not_for_ever(teller: Teller) -> None:
    body = bodies.order(50, [SOAP], at=DAY, paid_at=DAY)
    outcome = teller.tell(ORDER, body)
    assert outcome
    assert (outcome.state, outcome.waits_for) == (EventState.WAITING, "client:2")
    teller.at += timedelta(hours=2)
    assert teller.look(ORDER, 50).state is EventState.DONE
    assert db.session.scalars(select(Client)).one().email == "camille@example.org"


def test_an_order_of_nobody_is_passed_over(teller: Teller) -> None:
    outcome = teller.tell(ORDER, {"id": 50, "status": "pending", "total": "5.00", "currency": "EUR", "billing": []})
    assert outcome
    assert outcome.state is EventState.IGNORED
    assert outcome.sentence


# ------------------------------------------------------------------------------------------------ subscriptions


def test_a_subscription(teller: Teller) -> None:
    assert begin(teller, next_payment_date_gmt=gmt(LATER)) == Outcome(EventState.DONE)
    ours = the_subscription()
    assert (ours.status, ours.frequency, ours.collected_by) == (
        SubscriptionStatus.ACTIVE,
        Frequency.MONTHLY,
        Collector.SHOP,
    )
    assert (ours.anchor_date, ours.expected_at, ours.next_charge_at) == (date(2026, 11, 2), LATER, None)
    assert (ours.recurring_amount, ours.cycle_no) == (Decimal("30.00"), 1)
    assert (ours.delivery_line1, ours.delivery_city) == ("12 rue des Lilas", "Lyon")
    assert (ours.current_period_start, ours.current_period_end) == (date(2026, 11, 2), date(2026, 12, 2))
    created, activated = db.session.scalars(select(SubscriptionHistory).order_by(SubscriptionHistory.id))
    assert (created.reason, created.at) == ("Boutique «\u00a0Les Savons\u00a0»", DAY)
    assert (activated.old_status, activated.new_status) == (SubscriptionStatus.PENDING, SubscriptionStatus.ACTIVE)


def test_the_anchor_is_the_start_in_the_shops_zone(teller: Teller) -> None:
    begin(teller, start_date_gmt="2026-11-02T23:30:00")
    assert the_subscription().anchor_date == date(2026, 11, 3)


def test_another_rhythm_is_kept_raw_and_listed(teller: Teller) -> None:
    begin(teller, billing_period="week", billing_interval="3")
    ours = the_subscription()
    assert (ours.frequency, ours.shop_period, ours.shop_interval) == (Frequency.OTHER, "week", 3)
    assert ours.revenue_per_year == 0
    assert charges()[0].period_end == date(2026, 11, 23)
    assert reviewed(teller, SUBSCRIPTION, 45) == ["OTHER_FREQUENCY"]


@pytest.mark.parametrize("wrong", [{"billing_period": "fortnight"}, {"billing_interval": "99999"}])
def test_a_rhythm_that_nobody_knows_fails_with_a_sentence(teller: Teller, wrong: dict[str, str]) -> None:
    outcome = begin(teller, **wrong)
    assert outcome
    assert outcome.state is EventState.FAILED
    assert outcome.sentence


def test_another_currency_fails_with_a_sentence(teller: Teller) -> None:
    outcome = begin(teller, currency="USD")
    assert outcome
    assert outcome.state is EventState.FAILED
    assert outcome.sentence == "Cet abonnement est en USD, la société en EUR\u202f: il n’est pas repris."
    assert db.session.scalar(select(func.count()).select_from(Subscription)) == 0


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"status": "pending", "date_paid_gmt": None}, SubscriptionStatus.PENDING),
        ({"status": "active"}, SubscriptionStatus.ACTIVE),
        ({"status": "pending-cancel", "end_date_gmt": gmt(LATER)}, SubscriptionStatus.ACTIVE),
        ({"status": "cancelled"}, SubscriptionStatus.CANCELED),
        ({"status": "switched"}, SubscriptionStatus.CANCELED),
        ({"status": "expired"}, SubscriptionStatus.EXPIRED),
        ({"status": "on-hold"}, SubscriptionStatus.PAUSED),
        ({"status": "trash"}, SubscriptionStatus.PAUSED),
        ({"status": "sur-mesure"}, SubscriptionStatus.ACTIVE),
    ],
)
def test_states(teller: Teller, said: dict[str, Any], expected: SubscriptionStatus) -> None:
    begin(teller, **said)
    assert the_subscription().status is expected


def test_the_end_of_a_period_is_when_it_is_canceled(teller: Teller) -> None:
    begin(teller)
    body = bodies.subscription(45, at=DAY, status="pending-cancel", end_date_gmt=gmt(LATER))
    teller.tell(SUBSCRIPTION, body | {"date_modified_gmt": gmt(LATER)})
    assert the_subscription().cancels_on == LATER.date()
    teller.tell(SUBSCRIPTION, bodies.subscription(45, at=DAY) | {"date_modified_gmt": gmt(LATER + timedelta(hours=1))})
    assert the_subscription().cancels_on is None


def test_on_hold_with_an_unpaid_renewal_is_unpaid(teller: Teller) -> None:
    begin(teller)
    teller.tell(ORDER, bodies.order(50, at=LATER, renews=45, status="failed"))
    held = bodies.subscription(45, at=DAY, status="on-hold")
    teller.tell(SUBSCRIPTION, held | {"date_modified_gmt": gmt(LATER)})
    assert the_subscription().status is SubscriptionStatus.PAST_DUE


def test_on_hold_is_believed_after_ten_minutes(teller: Teller) -> None:
    begin(teller)
    teller.at = LATER + timedelta(minutes=9)
    held = bodies.subscription(45, at=DAY, status="on-hold")
    outcome = teller.tell(SUBSCRIPTION, held | {"date_modified_gmt": gmt(LATER)})
    assert outcome
    assert (outcome.state, outcome.again_at) == (EventState.WAITING, LATER + timedelta(minutes=10))
    assert the_subscription().status is SubscriptionStatus.ACTIVE
    teller.at = LATER + timedelta(minutes=10)
    assert teller.look(SUBSCRIPTION, 45).state is EventState.DONE
    assert the_subscription().status is SubscriptionStatus.PAUSED


def test_never_paid_and_on_hold_is_pending(teller: Teller) -> None:
    teller.tell(CUSTOMER, bodies.customer(2, "camille@example.org", at=DAY))
    teller.tell(ORDER, bodies.order(44, at=DAY, status="on-hold"))
    teller.tell(SUBSCRIPTION, bodies.subscription(45, at=DAY, status="on-hold", date_paid_gmt=None))
    assert the_subscription().status is SubscriptionStatus.PENDING


def test_out_of_a_final_state_only_a_person_leads(teller: Teller) -> None:
    begin(teller, status="cancelled")
    teller.tell(SUBSCRIPTION, bodies.subscription(45, at=DAY) | {"date_modified_gmt": gmt(LATER)})
    assert the_subscription().status is SubscriptionStatus.CANCELED
    assert reviewed(teller, SUBSCRIPTION, 45) == ["MISMATCH"]


def test_a_status_that_nobody_knows_is_listed(teller: Teller) -> None:
    begin(teller, status="sur-mesure")
    assert reviewed(teller, SUBSCRIPTION, 45) == ["UNKNOWN_STATUS"]


def test_what_is_in_the_trash_is_flagged_until_it_is_restored(teller: Teller) -> None:
    begin(teller, status="trash")
    assert reviewed(teller, SUBSCRIPTION, 45) == ["MISSING"]
    teller.tell(SUBSCRIPTION, bodies.subscription(45, at=DAY) | {"date_modified_gmt": gmt(LATER)})
    assert reviewed(teller, SUBSCRIPTION, 45) == []
    assert the_subscription().status is SubscriptionStatus.ACTIVE


def test_other_lines_are_sold_instead_and_the_history_says_who(teller: Teller) -> None:
    begin(teller)
    teller.tell(SUBSCRIPTION, bodies.subscription(45, [TEA], at=DAY) | {"date_modified_gmt": gmt(LATER)})
    assert the_subscription().recurring_amount == Decimal("17.50")
    latest = db.session.scalars(select(SubscriptionHistory).order_by(SubscriptionHistory.id.desc())).first()
    assert latest
    assert (latest.changes["recurring_amount"], latest.at) == (["30.00", "17.50"], LATER)
    assert latest.annual_after - latest.annual_before == -12 * Decimal("12.50")


# ------------------------------------------------------------------------------------------------ cycles


def test_a_renewal_waits_for_its_subscription(teller: Teller) -> None:
    teller.tell(CUSTOMER, bodies.customer(2, "camille@example.org", at=DAY))
    outcome = teller.tell(ORDER, bodies.order(50, at=LATER, paid_at=LATER, renews=45))
    assert outcome
    assert (outcome.state, outcome.waits_for) == (EventState.WAITING, "subscription:45")
    assert outcome.sentence == "Attend l’abonnement n°\u00a045."
    teller.tell(SUBSCRIPTION, bodies.subscription(45, at=DAY))
    assert teller.outcomes[ORDER, 50].state is EventState.DONE
    assert [charge.cycle_no for charge in charges()] == [0]


def test_a_late_arrival_moves_later_cycles_up(teller: Teller) -> None:
    begin(teller)
    ours = the_subscription()
    teller.tell(ORDER, bodies.order(52, at=LATER, paid_at=LATER, renews=45))
    schema = factories.PreferenceSchemaFactory()
    for cycle in (0, 1, 2):
        prefer(ours.id, schema.id, cycle)
    teller.tell(ORDER, bodies.order(51, at=LATER - timedelta(days=10), renews=45, status="failed"))
    assert [(charge.cycle_no, charge.due_on) for charge in charges()] == [
        (0, date(2026, 11, 2)),
        (1, date(2026, 11, 22)),
        (2, date(2026, 12, 2)),
    ]
    assert the_subscription().cycle_no == 3
    values = picture(teller.shop)["subscriptions"][45]["preferences"]
    assert [int(value.split(", ")[1]) for value in values] == [0, 2, 3]


def prefer(subscription_id: UUID, schema_id: UUID, cycle: int) -> None:
    db.session.add(
        PreferenceValue(subscription_id=subscription_id, schema_id=schema_id, effective_from_cycle=cycle, value="x")
    )
    db.session.flush()


def test_an_order_of_two_subscriptions_is_divided(teller: Teller) -> None:
    teller.tell(CUSTOMER, bodies.customer(2, "camille@example.org", at=DAY))
    teller.tell(ORDER, bodies.order(44, [BOX, TEA, SOAP], at=DAY, paid_at=DAY))
    teller.tell(SUBSCRIPTION, bodies.subscription(46, [TEA], at=DAY, shipping=False))
    assert picture(teller.shop)["charges"][44, 46]["paid"] == Decimal("63.00")
    teller.tell(SUBSCRIPTION, bodies.subscription(45, [BOX], at=DAY))
    shown = picture(teller.shop)["charges"]
    assert {key: each["paid"] for key, each in shown.items()} == {
        (44, 45): Decimal("48.00"),  # the box, the soap, shipping
        (44, 46): Decimal("15.00"),
    }
    assert [line["amount"] for line in shown[44, 46]["lines"]] == ["0.00", "12.50", "0.00", "0.00"]


@pytest.mark.parametrize("kind", ["switches", "resubscribes"])
def test_switches_and_single_orders_pay_for_no_cycle(teller: Teller, kind: str) -> None:
    begin(teller)
    teller.tell(ORDER, bodies.order(50, [TEA], at=LATER, paid_at=LATER, **{kind: 45}))
    teller.tell(ORDER, bodies.order(51, [SOAP], at=LATER, paid_at=LATER))
    assert len(charges()) == 1
    assert db.session.scalar(select(func.count()).where(Payment.charge_id.is_(None), Payment.amount > 0)) == 3


@pytest.mark.parametrize("is_told_first", [True, False])
def test_what_takes_an_ended_subscription_up_again_pays_for_no_cycle_of_either(
    teller: Teller, is_told_first: bool
) -> None:
    """The shop ends one for good, and begins another by an order that names the first."""
    begin(teller, status="cancelled", cancelled_date_gmt=gmt(DAY), end_date_gmt=gmt(DAY))
    again = (
        (ORDER, bodies.order(60, at=LATER, paid_at=LATER, resubscribes=45)),
        (SUBSCRIPTION, bodies.subscription(61, at=LATER, parent_id=60)),
    )
    for word in again if is_told_first else reversed(again):
        teller.tell(*word)
    renewal = LATER + timedelta(days=30)
    teller.tell(ORDER, bodies.order(70, at=renewal, paid_at=renewal, renews=61))
    shown = picture(teller.shop)
    assert {woo_id: each["status"] for woo_id, each in shown["subscriptions"].items()} == {
        45: SubscriptionStatus.CANCELED,
        61: SubscriptionStatus.ACTIVE,
    }
    assert {key: each["cycle_no"] for key, each in shown["charges"].items()} == {(44, 45): 0, (70, 61): 0}
    assert shown["money"][60, None] == Decimal("36.00")
    assert len({each["client"] for each in shown["subscriptions"].values()}) == 1


# ------------------------------------------------------------------------------------------------ money


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("pending", ChargeStatus.SCHEDULED),
        ("processing", ChargeStatus.SCHEDULED),
        ("on-hold", ChargeStatus.PROCESSING),
        ("failed", ChargeStatus.FAILED),
        ("cancelled", ChargeStatus.CANCELED),
        ("sur-mesure", ChargeStatus.SCHEDULED),
    ],
)
def test_unpaid_orders(teller: Teller, status: str, expected: ChargeStatus) -> None:
    begin(teller)
    teller.tell(ORDER, bodies.order(50, at=LATER, renews=45, status=status))
    assert charges()[1].status is expected
    assert db.session.scalar(select(func.sum(Payment.amount))) == Decimal("36.00")
    assert reviewed(teller, ORDER, 50) == (["UNKNOWN_STATUS"] if status == "sur-mesure" else [])


def test_a_paid_renewal_is_told_of_once(teller: Teller) -> None:
    begin(teller)
    body = bodies.order(50, at=LATER, paid_at=LATER, renews=45)
    for _ in range(3):
        teller.tell(ORDER, body)
    assert charges()[1].status is ChargeStatus.SUCCEEDED
    assert told(OutboxKind.SUBSCRIPTION_CHARGED) == 2


@pytest.mark.parametrize(("days", "early", "expected"), [(3, False, 1), (3, True, 0), (20, False, 0)])
def test_two_paid_renewals_within_half_a_period_hold_the_second(
    teller: Teller, days: int, early: bool, expected: int
) -> None:
    begin(teller)
    for woo_id, at in ((50, LATER), (51, LATER + timedelta(days=days))):
        teller.tell(ORDER, bodies.order(woo_id, at=at, paid_at=at, renews=45, early=early))
    charged = db.session.scalars(select(OutboxEvent).where(OutboxEvent.kind == OutboxKind.SUBSCRIPTION_CHARGED))
    held = [event.payload for event in charged if "held_reason" in event.payload]
    assert len(held) == expected
    for payload in held:
        assert payload["held_reason"] == "Deux renouvellements payés en moins d’une demi-période"
        assert payload["charge_id"] == str(charges()[2].id)


def test_the_second_is_held_also_where_the_first_is_heard_of_later(teller: Teller) -> None:
    begin(teller)
    for woo_id, at in ((51, LATER + timedelta(days=3)), (50, LATER)):
        teller.tell(ORDER, bodies.order(woo_id, at=at, paid_at=at, renews=45))
        teller.tell(ORDER, bodies.order(woo_id, at=at, paid_at=at, renews=45))
    charged = db.session.scalars(select(OutboxEvent).where(OutboxEvent.kind == OutboxKind.SUBSCRIPTION_CHARGED))
    held = [event.payload["charge_id"] for event in charged if "held_reason" in event.payload]
    assert held == [str(charges()[2].id)]


def test_an_order_that_turns_out_to_renew_nothing_pays_for_no_cycle(teller: Teller) -> None:
    begin(teller)
    for number, at in enumerate((LATER, LATER + timedelta(days=30))):
        teller.tell(ORDER, bodies.order(50 + number, at=at, paid_at=at, renews=45))
    before = {charge.reference: charge.cycle_no for charge in charges()}
    later = {"date_modified_gmt": bodies.gmt(LATER + timedelta(days=40))}
    teller.tell(ORDER, bodies.order(50, at=LATER, paid_at=LATER, **later))
    teller.tell(SUBSCRIPTION, bodies.subscription(45, at=DAY, **later))
    after = {charge.reference: charge.cycle_no for charge in charges()}
    assert list(before.values()) == [0, 1, 2]
    assert [after[reference] for reference in before] == [0, None, 1]


def told(kind: OutboxKind) -> int:
    return db.session.scalar(select(func.count()).select_from(OutboxEvent).where(OutboxEvent.kind == kind)) or 0


def test_what_was_paid_before_the_shop_shipped_here_is_not_boxed(company_id: UUID) -> None:
    teller = Teller(make_shop(company_id, ships_from=DAY + timedelta(days=1)))
    begin(teller)
    assert told(OutboxKind.SUBSCRIPTION_CHARGED) == 0
    assert not any(line["is_shipped"] for line in charges()[0].lines)
    teller.tell(ORDER, bodies.order(50, at=LATER, paid_at=LATER, renews=45))
    assert told(OutboxKind.SUBSCRIPTION_CHARGED) == 1
    assert [line["is_shipped"] for line in charges()[1].lines] == [True, False]


def test_refunds_and_one_that_vanishes(teller: Teller) -> None:
    begin(teller)
    paid = bodies.order(44, at=DAY, paid_at=DAY)

    def say(minutes: int, *refunds: dict[str, str]) -> None:
        teller.tell(
            ORDER, paid | {"refunds": list(refunds), "date_modified_gmt": gmt(DAY + timedelta(minutes=minutes))}
        )

    say(1, refund(60, "6.00", "Cassé"))
    say(2, refund(61, "30.00"), refund(60, "6.00", "Cassé"))
    assert picture(teller.shop)["charges"][44, 45]["paid"] == 0
    assert told(OutboxKind.CHARGE_REFUNDED) == 1
    say(3, refund(60, "6.00", "Cassé"))
    assert picture(teller.shop)["charges"][44, 45]["paid"] == Decimal("30.00")
    assert (told(OutboxKind.CHARGE_REFUNDED), told(OutboxKind.SUBSCRIPTION_CHARGED)) == (1, 2)
    kinds = db.session.scalars(select(Payment.kind).where(Payment.kind != PaymentKind.CAPTURE).order_by(Payment.id))
    assert [kind for kind in kinds if kind is not PaymentKind.REVERSAL] == [
        PaymentKind.REFUND,
        PaymentKind.REFUND,
        PaymentKind.REFUND_FAILURE,
    ]
    say(4, refund(61, "30.00"), refund(60, "6.00", "Cassé"))
    assert picture(teller.shop)["charges"][44, 45]["paid"] == 0


def test_cancelled_after_payment_needs_a_person(teller: Teller) -> None:
    begin(teller)
    paid = bodies.order(44, at=DAY, paid_at=DAY)
    teller.tell(ORDER, paid | {"status": "cancelled", "date_modified_gmt": gmt(LATER)})
    charge = charges()[0]
    assert (charge.status, charge.attention) == (ChargeStatus.SUCCEEDED, Attention.PAID_THEN_CANCELED)
    assert reviewed(teller, ORDER, 44) == ["PAID_THEN_CANCELED"]
    back = {"refunds": [refund(60, "36.00")], "date_modified_gmt": gmt(LATER + timedelta(hours=1))}
    teller.tell(ORDER, paid | {"status": "cancelled"} | back)
    assert charges()[0].attention is None


def test_a_trial_costs_nothing_and_is_paid(teller: Teller) -> None:
    teller.tell(CUSTOMER, bodies.customer(2, "camille@example.org", at=DAY))
    free = {"total": "0.00", "total_tax": "0.00", "line_items": [], "shipping_lines": []}
    teller.tell(ORDER, bodies.order(44, at=DAY, paid_at=DAY, **free))
    teller.tell(SUBSCRIPTION, bodies.subscription(45, at=DAY))
    assert [(charge.status, charge.amount) for charge in charges()] == [(ChargeStatus.SUCCEEDED, Decimal(0))]
    assert db.session.scalar(select(func.count()).select_from(Payment)) == 0


def test_the_money_of_a_new_order_waits_to_know_what_it_is_for(teller: Teller) -> None:
    begin(teller)
    teller.at = LATER + timedelta(seconds=2)
    outcome = teller.tell(ORDER, bodies.order(60, at=LATER, paid_at=LATER))
    assert outcome
    assert (outcome.state, outcome.again_at) == (EventState.WAITING, LATER + timedelta(minutes=2))
    teller.tell(SUBSCRIPTION, bodies.subscription(61, at=LATER, parent_id=60))
    rows = db.session.scalars(select(Payment).where(Payment.external_id.like("60-%"))).all()
    assert [(row.amount, row.charge_id is None) for row in rows] == [(Decimal("36.00"), False)]
    teller.at = LATER + timedelta(minutes=3)
    assert teller.look(ORDER, 60).state is EventState.DONE
    assert db.session.scalar(select(func.count()).where(Payment.external_id.like("60-%"))) == 1


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"currency": "USD"}, "Cette commande est en USD, la société en EUR"),
        ({"currency": ""}, "Cette commande est en devise inconnue, la société en EUR"),
        ({"total": "-1.00"}, "Le montant de cette commande est négatif"),
    ],
)
def test_an_order_that_cannot_be_taken_over_fails_with_a_sentence(
    teller: Teller, wrong: dict[str, str], sentence: str
) -> None:
    teller.tell(CUSTOMER, bodies.customer(2, "camille@example.org", at=DAY))
    outcome = teller.tell(ORDER, bodies.order(50, [SOAP], at=DAY, paid_at=DAY, **wrong))
    assert outcome
    assert outcome.state is EventState.FAILED
    assert (outcome.sentence or "").startswith(sentence + "\u202f:")
    assert db.session.scalar(select(func.count()).select_from(Payment)) == 0


# ------------------------------------------------------------------------------------------------ who charges


def test_the_crm_charges_from_the_next_payment_on(company_id: UUID) -> None:
    teller = Teller(make_shop(company_id, collected_by=Collector.CRM))
    outcome = begin(teller, next_payment_date_gmt="2026-12-30T09:00:00")
    assert outcome == Outcome(EventState.DONE)
    ours = the_subscription()
    assert (ours.collected_by, ours.anchor_date) == (Collector.CRM, date(2026, 12, 30))
    assert (ours.status, ours.next_charge_on) == (SubscriptionStatus.PENDING, date(2026, 12, 30))
    assert charges() == []
    teller.tell(ORDER, bodies.order(50, at=LATER, paid_at=LATER, renews=45))
    assert reviewed(teller, ORDER, 50) == ["MISMATCH"]
    assert charges() == []


def test_the_crm_charges_no_rhythm_that_it_does_not_know(company_id: UUID) -> None:
    teller = Teller(make_shop(company_id, collected_by=Collector.CRM))
    outcome = begin(teller, billing_period="week", billing_interval="3")
    assert outcome
    assert outcome.state is EventState.FAILED


# ------------------------------------------------------------------------------------------------ statements


@pytest.mark.parametrize("renewals", [1, 30])
def test_a_handful_of_statements_whatever_there_is(teller: Teller, renewals: int) -> None:
    begin(teller)
    for number in range(renewals):
        at = DAY + timedelta(days=number + 1)
        teller.tell(ORDER, bodies.order(100 + number, at=at, paid_at=at, renews=45))
    at = DAY + timedelta(days=40)
    with recorded_statements() as statements:
        teller.tell(ORDER, bodies.order(200, at=at, paid_at=at, renews=45))
    assert len(statements) <= 30
