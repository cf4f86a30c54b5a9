"""A cycle that falls due is charged once, recorded whole, and the next one has its date."""

from datetime import date
from decimal import Decimal

from tests.services.charges.world import World
from webapp.models.charges import AttemptStatus, ChargeStatus
from webapp.models.subscriptions import SubscriptionStatus
from webapp.models.winleadplus import RunStatus


def test_a_due_cycle_is_charged_and_recorded_whole(world: World) -> None:
    subscription = world.subscribe("20.00")
    run = world.run()
    charge, (attempt,), (payment,) = world.charge(), world.attempts(), world.payments()
    assert (charge.status, charge.amount, charge.attempts_count) == (ChargeStatus.SUCCEEDED, Decimal("24.00"), 1)
    assert (attempt.status, attempt.provider_payment_id) == (AttemptStatus.SUCCEEDED, f"pay_{attempt.id}")
    assert (payment.amount, payment.attempt_id) == (Decimal("24.00"), attempt.id)
    assert world.ledger.captures() == [(subscription.id, 0, Decimal("24.00"))]
    assert world.events() == ["subscription.charged"]
    assert (run.status, run.charged, run.total) == (RunStatus.SUCCESS, 1, 1)
    subscription = world.reload(subscription)
    assert (subscription.cycle_no, subscription.next_charge_on) == (1, date(2026, 2, 28))
    assert subscription.current_period_end == date(2026, 2, 28)


def test_the_first_payment_begins_a_pending_subscription(world: World) -> None:
    subscription = world.subscribe(status=SubscriptionStatus.PENDING)
    world.run()
    assert world.reload(subscription).status is SubscriptionStatus.ACTIVE
    assert world.events() == ["subscription.charged", "subscription.activated"]
