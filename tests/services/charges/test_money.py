"""The ledger equals the provider's, whatever order its words come in, and however often."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import select

from tests.conftest import Cast
from tests.services.charges.world import World
from webapp import clock, tenancy
from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.gateways.providers.protocol import PaymentOutcome, PaymentState, ProviderRefund
from webapp.models.charges import Attention, ChargeStatus
from webapp.models.invoices import Invoice
from webapp.models.payments import PaymentKind
from webapp.models.subscriptions import SubscriptionStatus
from webapp.services.charges import reconciling, recording

SUCCEEDED = PaymentOutcome(PaymentState.SUCCEEDED, provider_payment_id="pay_1", amount=Decimal("24.00"), currency="EUR")
REVERSED = replace(SUCCEEDED, state=PaymentState.REVERSED, reversal_reason="AM04")
PROCESSING = replace(SUCCEEDED, state=PaymentState.PROCESSING)


def _told(world: World, *outcomes: PaymentOutcome) -> ChargeStatus:
    attempt_id = world.attempts()[-1].id
    for outcome in outcomes:
        recording.apply_outcome(attempt_id, outcome, at=clock.now())
    return world.charge().status


@pytest.fixture
def processing(world: World) -> World:
    """A charge that the provider will confirm later."""
    world.subscribe("20.00")
    world.ledger.behave("process")
    world.run()
    return world


def test_the_same_word_twice_is_recorded_once(processing: World) -> None:
    assert _told(processing, SUCCEEDED, SUCCEEDED) is ChargeStatus.SUCCEEDED
    assert len(processing.payments()) == 1
    assert processing.events() == ["subscription.charged"]


def test_an_older_word_after_a_newer_one_changes_nothing(processing: World) -> None:
    assert _told(processing, SUCCEEDED, PROCESSING, PaymentOutcome(PaymentState.REFUSED)) is ChargeStatus.SUCCEEDED


def test_a_reversal_leaves_the_invoice_unpaid_and_the_charge_to_a_person(processing: World) -> None:
    assert _told(processing, SUCCEEDED, REVERSED, REVERSED) is ChargeStatus.REVERSED
    assert [(row.kind, row.amount, row.reason) for row in processing.payments()] == [
        (PaymentKind.CAPTURE, Decimal("24.00"), None),
        (PaymentKind.REVERSAL, Decimal("-24.00"), "AM04"),
    ]
    invoice = db.session.scalars(select(Invoice).execution_options(populate_existing=True)).one()
    assert (invoice.paid, invoice.total) == (Decimal("0.00"), Decimal("24.00"))
    charge = processing.charge()
    assert (charge.attention, charge.explanation) == (Attention.REVERSED, "Provision insuffisante")
    assert processing.events() == ["subscription.charged", "charge.reversed"]


def test_a_reversal_that_is_told_before_the_success_brings_both(processing: World) -> None:
    assert _told(processing, REVERSED, SUCCEEDED) is ChargeStatus.REVERSED
    assert sum(row.amount for row in processing.payments()) == 0


def test_a_success_after_a_refusal_is_recorded_since_the_money_is_there(world: World) -> None:
    subscription = world.subscribe("20.00")
    world.ledger.behave("hard")
    world.run()
    assert world.reload(subscription).status is SubscriptionStatus.PAST_DUE
    assert _told(world, SUCCEEDED) is ChargeStatus.SUCCEEDED
    assert world.reload(subscription).status is SubscriptionStatus.ACTIVE
    assert len(world.payments()) == 1


def test_another_amount_than_asked_is_recorded_as_it_is_and_shown_to_a_person(processing: World) -> None:
    _told(processing, replace(SUCCEEDED, amount=Decimal("23.00")))
    assert processing.payments()[0].amount == Decimal("23.00")
    charge = processing.charge()
    assert charge.attention is Attention.MISMATCH
    assert "a encaissé 23.00 EUR" in (charge.explanation or "")


def test_a_refund_at_the_provider_is_in_the_ledger_once(processing: World) -> None:
    refund = ProviderRefund("re_1", Decimal("4.00"), datetime(2026, 2, 1, tzinfo=UTC))
    refunded = replace(SUCCEEDED, refunds=(refund,))
    assert _told(processing, SUCCEEDED, refunded, refunded) is ChargeStatus.SUCCEEDED
    assert [row.amount for row in processing.payments()] == [Decimal("24.00"), Decimal("-4.00")]
    assert processing.charge().attention is Attention.CREDIT_NOTE


def test_a_payment_called_off_at_the_provider_is_for_a_person(processing: World) -> None:
    assert _told(processing, PaymentOutcome(PaymentState.CANCELED)) is ChargeStatus.FAILED
    assert processing.charge().attention is Attention.REFUSED


def test_the_subscription_goes_on_only_once_all_that_it_owes_is_paid(world: World) -> None:
    subscription = world.subscribe(frequency="weekly")
    world.ledger.behave("process")
    world.run()
    world.wait(days=7)
    world.run()
    first, second = (each.id for each in world.attempts())
    for attempt_id in (first, second):
        recording.apply_outcome(attempt_id, PaymentOutcome(PaymentState.REFUSED), at=clock.now())
    assert world.reload(subscription).status is SubscriptionStatus.PAST_DUE
    recording.apply_outcome(first, SUCCEEDED, at=clock.now())
    assert world.reload(subscription).status is SubscriptionStatus.PAST_DUE
    recording.apply_outcome(second, SUCCEEDED, at=clock.now())
    assert world.reload(subscription).status is SubscriptionStatus.ACTIVE


def test_the_daily_reconciliation_records_what_no_webhook_told(world: World) -> None:
    world.subscribe()
    world.run()
    world.ledger.reverse(world.attempts()[0].id)
    world.wait(days=1)
    found = reconciling.reconcile(world.organisation_id, at=clock.now())
    assert (found.recorded, found.missing, found.strange) == (1, 0, 0)
    assert world.charge().status is ChargeStatus.REVERSED
    assert reconciling.reconcile(world.organisation_id, at=clock.now()).recorded == 0


def test_what_we_booked_and_the_provider_does_not_know_is_for_a_person(processing: World) -> None:
    _told(processing, SUCCEEDED)
    processing.ledger.forget()
    processing.wait(days=1)
    assert reconciling.reconcile(processing.organisation_id, at=clock.now()).missing == 1
    charge = processing.charge()
    assert (charge.attention, charge.explanation) == (Attention.MISMATCH, reconciling.NOT_THERE)


def test_a_payment_that_is_none_of_ours_is_counted_and_changes_nothing(world: World) -> None:
    world.subscribe()
    world.run()
    world.ledger.invent()
    world.wait(days=1)
    assert reconciling.reconcile(world.organisation_id, at=clock.now()).strange == 1


def test_a_provider_that_is_down_is_reconciled_another_day(world: World) -> None:
    world.subscribe()
    world.run()
    world.ledger.behave("down")
    found = reconciling.reconcile(world.organisation_id, at=clock.now())
    assert (found.recorded, found.missing) == (0, 0)


def test_an_outsider_finds_no_such_attempt(processing: World, cast: Cast) -> None:
    attempt_id = processing.attempts()[0].id
    with tenancy.organisation(cast.other_organisation.id), pytest.raises(NotFoundError):
        recording.apply_outcome(attempt_id, SUCCEEDED, at=clock.now())
