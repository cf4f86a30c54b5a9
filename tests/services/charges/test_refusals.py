"""Refusals by class: which are tried again, when, and when a person takes over."""

from datetime import date, datetime, timedelta

import pytest

from tests.services.charges.world import World
from webapp import clock
from webapp.models.charges import AttemptStatus, Attention, ChargeStatus
from webapp.models.subscriptions import SubscriptionStatus

PAST_DUE, ACTIVE = SubscriptionStatus.PAST_DUE, SubscriptionStatus.ACTIVE


def test_a_soft_refusal_is_tried_again_on_days_3_5_and_7_and_then_the_subscription_is_unpaid(world: World) -> None:
    subscription = world.subscribe()
    world.ledger.behave("soft")
    world.run()
    days = []
    while (next_attempt_at := world.charge().next_attempt_at) is not None:
        days.append(next_attempt_at.astimezone(clock.PARIS).date())
        assert world.reload(subscription).status is ACTIVE
        world.move_to(next_attempt_at)
        world.sweep()
    assert days == [date(2026, 2, 3), date(2026, 2, 5), date(2026, 2, 7)]
    charge = world.charge()
    assert (charge.status, charge.attention) == (ChargeStatus.FAILED, Attention.REFUSED)
    assert len({attempt.idempotency_key for attempt in world.attempts()}) == 4
    assert world.reload(subscription).status is PAST_DUE
    assert world.events() == ["subscription.charge_failed"] * 3 + [
        "subscription.past_due",
        "subscription.charge_failed",
    ]


def test_the_days_are_those_of_the_calendar_also_when_a_night_has_25_hours(world: World) -> None:
    world.move_to(datetime.fromisoformat("2026-10-24T00:05+02:00"))
    world.subscribe(anchor=date(2026, 10, 24))
    world.ledger.behave("soft")
    world.run()
    next_attempt_at = world.charge().next_attempt_at
    assert next_attempt_at is not None
    assert next_attempt_at.astimezone(clock.PARIS).date() == date(2026, 10, 27)


def test_a_retry_that_succeeds_pays_the_same_cycle_and_moves_no_date(world: World) -> None:
    subscription = world.subscribe()
    world.ledger.behave("soft")
    world.run()
    world.ledger.behave("succeed")
    world.wait(days=2)
    world.sweep()
    assert world.charge().status is ChargeStatus.RETRYING, "not before its day"
    world.wait(days=1, seconds=1)
    world.sweep()
    charge = world.charge()
    assert (charge.status, charge.cycle_no, charge.attempts_count) == (ChargeStatus.SUCCEEDED, 0, 2)
    assert [attempt.status for attempt in world.attempts()] == [AttemptStatus.REFUSED, AttemptStatus.SUCCEEDED]
    assert world.reload(subscription).next_charge_on == date(2026, 2, 28)


def test_a_hard_refusal_is_never_tried_again_by_itself(world: World) -> None:
    subscription = world.subscribe()
    world.ledger.behave("hard")
    world.run()
    charge = world.charge()
    assert (charge.status, charge.next_attempt_at, charge.attention) == (ChargeStatus.FAILED, None, Attention.REFUSED)
    assert world.reload(subscription).status is PAST_DUE
    world.ledger.behave("succeed")
    for _ in range(3):
        world.wait(days=40)
        world.sweep()
        world.run()
    assert world.ledger.captures() == []
    assert {each.status for each in world.charges()[1:]} == {ChargeStatus.SKIPPED}


def test_a_technical_fault_is_tried_again_soon_and_few_times(world: World) -> None:
    world.subscribe()
    world.ledger.behave("technical")
    world.run()
    start, waits = clock.now(), []
    while (next_attempt_at := world.charge().next_attempt_at) is not None:
        waits.append(round((next_attempt_at - clock.now()) / timedelta(minutes=1)))
        world.move_to(next_attempt_at)
        world.sweep()
    assert waits[:3] == [10, 60, 360]
    assert len(waits) == 6
    assert clock.now() - start < timedelta(days=8)
    assert world.charge().attention is Attention.REFUSED


def test_a_cycle_that_falls_due_while_an_earlier_one_is_retried_gets_its_own_charge(world: World) -> None:
    world.subscribe(anchor=date(2026, 1, 30), frequency="weekly")
    world.ledger.behave("soft")
    world.run()
    world.ledger.behave("succeed")
    world.move_to(datetime.fromisoformat("2026-02-06T01:00+01:00"))
    world.run()
    assert [charge.status for charge in world.charges()] == [ChargeStatus.SUCCEEDED] * 2
    assert [cycle for _, cycle, _ in world.ledger.captures()] == [0, 1]


@pytest.mark.parametrize("way", ["authenticate", "decline for authentication"])
def test_authentication_is_asked_of_the_client_and_after_seven_days_of_a_person(world: World, way: str) -> None:
    world.subscribe()
    world.ledger.behave(way)
    world.run()
    charge, (attempt,) = world.charge(), world.attempts()
    assert (charge.status, charge.attention) == (ChargeStatus.AUTHENTICATING, None)
    assert attempt.authentication_url == "https://example.org/3ds"
    for _ in range(8):
        world.wait(days=1)
        world.sweep()
    assert world.charge().attention is Attention.AUTHENTICATION
    world.ledger.confirm(attempt.id)
    world.wait(days=1)
    world.sweep()
    charge = world.charge()
    assert (charge.status, charge.attention) == (ChargeStatus.SUCCEEDED, None)


def test_who_cancels_is_not_debited_by_a_retry(world: World) -> None:
    subscription = world.subscribe()
    world.ledger.behave("soft")
    world.run()
    world.cancel(subscription)
    world.ledger.behave("succeed")
    world.wait(days=4)
    world.sweep()
    charge = world.charge()
    assert (charge.status, charge.attention) == (ChargeStatus.FAILED, Attention.REFUSED)
    assert world.ledger.captures() == []


@pytest.mark.parametrize("fault", ["soft", "technical"])
def test_a_means_of_payment_that_ends_meanwhile_stops_the_retries(world: World, fault: str) -> None:
    subscription = world.subscribe()
    world.ledger.behave(fault)
    world.run()
    world.revoke_method(subscription)
    world.wait(days=4)
    world.sweep()
    charge = world.charge()
    assert (charge.status, charge.attention) == (ChargeStatus.FAILED, Attention.NO_PAYMENT_METHOD)
    assert world.reload(subscription).status is PAST_DUE
