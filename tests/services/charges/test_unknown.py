"""A result that nobody knows: looked up, sent again with the same key, and never asked for twice."""

from datetime import timedelta

import pytest

from tests.services.charges.ledger import LONGEST_DELAY
from tests.services.charges.world import World
from webapp import clock
from webapp.gateways.providers.protocol import PaymentOutcome, PaymentState
from webapp.models.charges import Attention, ChargeStatus, RefusalClass
from webapp.models.runs import RunTrigger
from webapp.services.charges import claiming, recording, runs
from webapp.services.charges.calling import Callers
from webapp.services.charges.recording import KeyLimits, Result


def test_a_timeout_is_unknown_and_not_failed(world: World) -> None:
    subscription = world.subscribe()
    world.ledger.behave("timeout")
    run = world.run()
    assert (world.charge().status, run.unknown, run.failed) == (ChargeStatus.UNKNOWN, 1, 0)
    assert world.reload(subscription).cycle_no == 1, "the schedule goes on"


def test_what_was_captured_before_the_timeout_is_found(world: World) -> None:
    world.subscribe()
    world.ledger.behave("timeout")
    world.run()
    world.ledger.behave("succeed")
    world.wait(seconds=31)
    world.sweep()
    assert world.charge().status is ChargeStatus.SUCCEEDED
    assert (world.ledger.count_calls("create"), len(world.payments())) == (1, 1)


def test_what_was_lost_is_sent_again_with_its_key_after_the_longest_delay(world: World) -> None:
    world.subscribe()
    world.ledger.behave("lost")
    world.run()
    world.ledger.behave("succeed")
    world.wait(seconds=31)
    world.sweep()
    assert world.ledger.count_calls("create") == 1, "a lost request may still arrive"
    world.wait(seconds=LONGEST_DELAY.total_seconds())
    world.sweep()
    (attempt,) = world.attempts()
    assert (world.charge().status, attempt.sends) == (ChargeStatus.SUCCEEDED, 2)
    assert len(world.ledger.captures()) == 1


def test_a_payment_that_commits_late_is_found_and_not_doubled(world: World) -> None:
    world.subscribe()
    world.ledger.behave("late")
    world.run()
    for _ in range(12):
        world.wait(seconds=31)
        world.sweep()
    assert world.charge().status is ChargeStatus.SUCCEEDED
    assert world.ledger.count_calls("create") == 1


def test_after_an_hour_a_person_is_told_and_after_twenty_the_key_is_not_sent_any_more(world: World) -> None:
    world.subscribe()
    world.ledger.behave("down")
    world.run()
    world.wait(minutes=55)
    world.sweep()
    assert world.charge().attention is None
    world.wait(minutes=6)
    world.sweep()
    assert world.charge().attention is Attention.UNKNOWN
    world.wait(hours=20)
    world.ledger.behave("succeed")
    for _ in range(5):
        world.sweep()
        world.wait(hours=2)
    charge = world.charge()
    assert (charge.status, charge.explanation) == (ChargeStatus.UNKNOWN, recording.LOST)
    assert (world.ledger.captures(), world.ledger.count_calls("create")) == ([], 1)


def test_a_stored_fault_that_is_replayed_is_only_looked_up(world: World) -> None:
    world.subscribe()
    world.ledger.behave("down")
    world.run()
    (attempt,) = world.attempts()
    recording.apply_outcome(attempt.id, PaymentOutcome(PaymentState.UNKNOWN, is_replay=True), at=clock.now())
    world.ledger.behave("succeed")
    world.wait(hours=1)
    world.sweep()
    assert world.ledger.count_calls("create") == 1


def test_a_refusal_of_a_second_sending_says_nothing_about_the_first(world: World) -> None:
    world.subscribe()
    world.ledger.behave("lost")
    world.run()
    (attempt,) = world.attempts()
    attempt.sends = 2
    refusal = PaymentOutcome(PaymentState.REFUSED, refusal_class=RefusalClass.HARD, code="invalid_request")
    recording.apply_outcome(attempt.id, refusal, at=clock.now())
    assert world.charge().status is ChargeStatus.UNKNOWN


def test_a_worker_that_vanished_after_its_claim_is_replaced_once_its_lease_has_run_out(world: World) -> None:
    subscription = world.subscribe()
    claiming.claim_due(before=clock.now(), limit=10, at=clock.now())
    world.sweep()
    assert world.charge().status is ChargeStatus.SENDING
    world.wait(minutes=4)
    world.sweep()
    assert (world.charge().status, world.ledger.count_calls("create")) == (ChargeStatus.UNKNOWN, 0)
    world.wait(minutes=6)
    world.sweep()
    assert world.charge().status is ChargeStatus.SUCCEEDED
    assert world.reload(subscription).cycle_no == 1


def _claim_and_call(world: World) -> Result:
    ((claim,), _) = claiming.claim_due(before=clock.now(), limit=10, at=clock.now())
    return Result(claim, world.ledger.create_payment(claim.request), KeyLimits.of(world.ledger))


def test_a_worker_that_comes_back_after_its_lease_changes_nothing_but_records_the_money_once(world: World) -> None:
    world.subscribe()
    world.ledger.behave("succeed")
    late = _claim_and_call(world)
    world.wait(minutes=4)
    world.sweep()
    assert len(world.payments()) == 1
    recording.record([late], at=clock.now())
    assert (world.charge().status, len(world.payments())) == (ChargeStatus.SUCCEEDED, 1)
    assert world.events() == ["subscription.charged"]


def test_an_older_fence_does_not_overwrite_what_a_newer_one_found(world: World) -> None:
    world.subscribe()
    world.ledger.behave("down")
    late = _claim_and_call(world)
    world.wait(minutes=4)
    world.sweep()
    fence = world.charge().fence
    refused = PaymentOutcome(PaymentState.REFUSED, refusal_class=RefusalClass.HARD)
    recording.record([Result(late.claim, refused, late.patience)], at=clock.now())
    assert (world.charge().status, world.charge().fence) == (ChargeStatus.UNKNOWN, fence)


def test_a_payment_that_is_told_while_a_worker_looks_it_up_in_vain_stays_as_told(world: World) -> None:
    world.subscribe()
    world.ledger.behave("timeout")
    world.run()
    world.wait(minutes=1)
    ((claim,), _) = claiming.claim_look_ups(limit=10, at=clock.now())
    attempt_id = claim.request.attempt_id
    told = world.ledger.peek(attempt_id)
    assert told is not None
    recording.apply_outcome(attempt_id, told, at=clock.now())
    recording.record([Result(claim, None, KeyLimits.of(world.ledger))], at=clock.now())
    charge = world.charge()
    assert (charge.status, charge.attention, len(world.payments())) == (ChargeStatus.SUCCEEDED, None, 1)


def test_a_look_up_that_a_worker_has_in_hand_is_left_to_it(world: World) -> None:
    world.subscribe()
    world.ledger.behave("timeout")
    world.run()
    world.wait(minutes=1)
    assert len(claiming.claim_look_ups(limit=10, at=clock.now()).claims) == 1
    assert claiming.claim_look_ups(limit=10, at=clock.now()).is_empty
    world.wait(minutes=4)
    assert len(claiming.claim_look_ups(limit=10, at=clock.now()).claims) == 1, "its lease has run out"


def test_what_a_worker_has_in_hand_does_not_hide_what_is_due_behind_it(world: World) -> None:
    for _ in range(3):
        world.subscribe()
    claimed = [claiming.claim_due(before=clock.now(), limit=1, at=clock.now()) for _ in range(4)]
    assert [len(each.claims) for each in claimed] == [1, 1, 1, 0]


def test_a_call_that_comes_up_after_its_lease_is_not_made(world: World) -> None:
    world.subscribe()
    ((claim,), _) = claiming.claim_due(before=clock.now(), limit=10, at=clock.now())
    world.wait(minutes=2, seconds=45)
    with Callers() as callers:
        callers.submit([claim])
        assert callers.collect(linger=0) == []
    assert world.ledger.count_calls("create") == 0


@pytest.mark.parametrize("fault", ["timeout", "lost", "late"])
def test_two_runs_and_the_sweeper_at_any_moment_never_ask_twice(world: World, fault: str) -> None:
    world.subscribe()
    world.ledger.behave(fault)
    world.run()
    world.ledger.behave("succeed")
    for _ in range(30):
        world.wait(seconds=45)
        world.sweep()
        world.run()
    assert world.charge().status is ChargeStatus.SUCCEEDED
    assert len(world.ledger.captures()) == len(world.payments()) == 1


def test_a_run_whose_workers_all_died_is_rung_for_again(world: World) -> None:
    run_id, is_new = runs.start(trigger=RunTrigger.MANUAL, at=clock.now(), enqueue=False)
    assert is_new
    assert runs.start(trigger=RunTrigger.MANUAL, at=clock.now(), enqueue=False) == (run_id, False)
    assert runs.ring_abandoned(at=clock.now() + timedelta(seconds=10)) == 0
    assert runs.ring_abandoned(at=clock.now() + timedelta(seconds=31)) == 1
