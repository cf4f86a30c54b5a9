"""Steps are carried out on their days, once, and never for what is paid."""

from datetime import date, timedelta

import pytest
from sqlalchemy import update

from tests.conftest import Cast
from tests.services.dunning.world import DunningWorld
from webapp import clock
from webapp.extensions import db
from webapp.models.charges import ChargeStatus
from webapp.models.contracts import PaymentMethod
from webapp.models.dunning import CaseStatus, DunningSequenceStep, StepOutcome
from webapp.models.identity import User
from webapp.models.subscriptions import SubscriptionStatus
from webapp.services.charges import decisions
from webapp.services.dunning import sequences
from webapp.services.dunning.sequences import DEFAULT_STEPS

REFUSED = date(2026, 1, 31)


def _day(number: int) -> date:
    return REFUSED + timedelta(days=number)


@pytest.fixture
def admin(cast: Cast) -> User:
    """Who notes payments."""
    return cast.admin


def _pay(world: DunningWorld, by: User) -> None:
    for charge in world.charges():
        if decisions.Decision.MARK_PAID in decisions.actions_of(charge):
            decisions.mark_paid(charge.id, method=PaymentMethod.TRANSFER, paid_on=clock.today(), by=by, at=clock.now())


def test_a_refused_charge_opens_a_case_whose_first_step_is_three_days_later(world: DunningWorld) -> None:
    world.refuse(world.subscribe())
    case = world.case()
    assert (case.status, case.amount, case.since, case.next_on) == (CaseStatus.OPEN, 24, REFUSED, _day(3))
    assert world.dun() == 0


def test_steps_come_on_their_days_and_the_sequence_runs_to_its_end(world: DunningWorld) -> None:
    subscription = world.subscribe()
    world.refuse(subscription)
    world.live_until(_day(10))
    assert world.steps() == [("email", _day(3)), ("sms", _day(7)), ("letter", _day(10))]
    world.post()
    world.live_until(_day(39))
    assert len(world.steps()) == 3
    world.live_until(_day(60))
    assert world.steps()[3:] == [("suspend", _day(40)), ("terminate", _day(50))]
    assert world.reload(subscription).status is SubscriptionStatus.CANCELED
    assert world.case().status is CaseStatus.TERMINATED
    assert [message.kind.value for message in world.messages()] == [
        "dunning_reminder", "dunning_sms", "formal_notice", "suspension_notice", "termination_notice",
    ]  # fmt: skip


def test_nothing_is_suspended_before_thirty_days_after_the_notice_was_really_posted(world: DunningWorld) -> None:
    world.refuse(world.subscribe())
    world.live_until(_day(20))
    world.post()
    world.live_until(_day(49))
    assert [action for action, _ in world.steps()] == ["email", "sms", "letter"]
    world.live_until(_day(70))
    assert world.steps()[3:] == [("suspend", _day(50)), ("terminate", _day(60))]


def test_a_notice_that_is_never_posted_suspends_nothing(world: DunningWorld) -> None:
    subscription = world.subscribe()
    world.refuse(subscription)
    world.live_until(_day(90))
    assert [action for action, _ in world.steps()] == ["email", "sms", "letter"]
    assert world.reload(subscription).status is SubscriptionStatus.PAST_DUE


def test_of_missed_steps_the_latest_message_alone_is_sent(world: DunningWorld) -> None:
    world.refuse(world.subscribe())
    world.to_day(_day(45))
    assert world.dun() == 1
    assert world.dun() == 0
    assert world.steps() == [("letter", _day(45))]
    assert world.steps(StepOutcome.PASSED_OVER) == [("email", _day(45)), ("sms", _day(45))]
    world.live_until(_day(46))
    assert len(world.steps()) == 1


def test_a_case_that_is_paid_gets_no_step_even_before_its_event_is_delivered(world: DunningWorld, admin: User) -> None:
    world.refuse(world.subscribe())
    world.to_day(_day(3))
    _pay(world, admin)
    assert world.dun() == 0
    assert world.case().status is CaseStatus.PAID
    world.deliver()
    assert (world.case().status, world.steps(None)) == (CaseStatus.PAID, [])


def test_what_suspended_is_resumed_once_it_is_paid(world: DunningWorld, admin: User) -> None:
    subscription = world.subscribe()
    world.refuse(subscription)
    world.live_until(_day(10))
    world.post()
    world.live_until(_day(42))
    assert world.reload(subscription).status is SubscriptionStatus.PAUSED
    _pay(world, admin)
    world.deliver()
    assert world.reload(subscription).status is SubscriptionStatus.ACTIVE
    assert world.case().status is CaseStatus.PAID
    assert world.steps()[-1] == ("resume", _day(42))
    world.live_until(_day(60))
    assert world.steps()[-1] == ("resume", _day(42))


def test_a_step_waits_for_the_retry_of_its_day(world: DunningWorld) -> None:
    subscription = world.subscribe()
    world.refuse(subscription, "soft")
    assert world.charge().status is ChargeStatus.RETRYING
    world.to_day(_day(3), 8)
    assert world.dun() == 0
    world.to_day(_day(3), 9)
    world.sweep()  # the retry of the day succeeds
    world.deliver()
    assert (world.charge().status, world.case().status) == (ChargeStatus.SUCCEEDED, CaseStatus.PAID)
    assert world.dun() == 0
    assert world.steps(None) == []


def test_a_step_follows_the_retry_of_its_day_that_was_refused(world: DunningWorld) -> None:
    world.refuse(world.subscribe(), "soft")
    world.to_day(_day(3), 9)
    world.ledger.behave("soft")
    world.sweep()
    assert world.dun() == 1
    assert world.steps() == [("email", _day(3))]


@pytest.mark.parametrize(("hour", "steps"), [(7, 0), (8, 1), (19, 1), (20, 0), (23, 0)])
def test_steps_are_carried_out_between_eight_and_twenty_in_paris(world: DunningWorld, hour: int, steps: int) -> None:
    world.refuse(world.subscribe())
    world.to_day(_day(3), hour)
    assert world.dun() == steps


def test_a_case_that_fails_does_not_stop_the_others(world: DunningWorld, admin: User) -> None:
    world.refuse(world.subscribe())
    first = sequences.load_default(at=clock.now())
    sequences.change_sequence(
        first.id, name="Relances", is_insurance=False, steps=DEFAULT_STEPS, by=None, at=clock.now()
    )
    second = world.subscribe(anchor=_day(1))
    world.to_day(_day(1))
    world.refuse(second)
    broken = update(DunningSequenceStep).where(DunningSequenceStep.sequence_id == first.id)
    db.session.execute(broken.values(message_kind="unheard_of"))
    db.session.commit()
    world.to_day(_day(4))
    assert world.dun() == 1
    assert [message.client_id for message in world.messages()] == [second.client_id]
