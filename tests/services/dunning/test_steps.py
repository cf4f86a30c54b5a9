"""Steps are carried out on their days, once, and never for what is paid."""

from datetime import date, timedelta

import pytest
from sqlalchemy import update

from tests.conftest import Cast
from tests.services.dunning.world import DunningWorld
from webapp import clock, links
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.charges import ChargeStatus
from webapp.models.clients import Client
from webapp.models.contracts import PaymentMethod
from webapp.models.dunning import CaseStatus, DunningSequenceStep, StepAction, StepOutcome
from webapp.models.identity import User
from webapp.models.means_requests import MeansRequest, MeansRequestStatus
from webapp.models.messages import HeldReason, MessageKind, MessageStatus
from webapp.models.subscriptions import SubscriptionStatus
from webapp.models.tasks import Task
from webapp.services.charges import decisions
from webapp.services.dunning import listing, sequences, steps
from webapp.services.dunning.listing import CaseGroup, CasesView
from webapp.services.dunning.sequences import DEFAULT_STEPS, StepFields
from webapp.services.means_requests.listing import load_payment_links
from webapp.services.messages.rendering import to_plain_text

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


def test_a_notice_that_came_back_suspends_nothing(world: DunningWorld) -> None:
    world.refuse(world.subscribe())
    world.live_until(_day(10))
    world.post()
    world.put_message(MessageKind.FORMAL_NOTICE, MessageStatus.BOUNCED)
    world.live_until(_day(60))
    assert [action for action, _ in world.steps()] == ["email", "sms", "letter"]


def test_a_client_without_any_address_is_looked_after_by_a_person(world: DunningWorld) -> None:
    subscription = world.subscribe()
    db.session.execute(
        update(Client).where(Client.id == subscription.client_id).values(address_line1=None, email=None, phone=None)
    )
    world.refuse(subscription)
    for day in range(1, 60):
        world.to_day(_day(day))
        steps.carry_out(world.organisation_id, at=clock.now())
    assert {(message.status, message.held_reason) for message in world.messages()} == {
        (MessageStatus.HELD, HeldReason.NO_ADDRESS)
    }
    assert [action for action, _ in world.steps()] == ["email", "sms", "letter"]
    shown = listing.list_cases(CasesView(group=CaseGroup.TO_DO), today=clock.today())
    assert list(shown.rows) == [world.case()]


def test_a_message_that_is_leaving_as_the_case_is_paid_does_not_leave_again(world: DunningWorld, admin: User) -> None:
    world.refuse(world.subscribe())
    world.live_until(_day(3))
    world.put_message(MessageKind.DUNNING_REMINDER, MessageStatus.SENDING)
    _pay(world, admin)
    world.deliver()
    assert world.case().status is CaseStatus.PAID
    message = world.find_message(MessageKind.DUNNING_REMINDER)
    assert message.status is MessageStatus.SENDING
    assert message.expires_at is not None
    assert message.expires_at <= clock.now()


def test_a_termination_is_told_of_even_if_the_client_pays_afterwards(world: DunningWorld, admin: User) -> None:
    world.refuse(world.subscribe())
    world.live_until(_day(10))
    world.post()
    world.live_until(_day(50))
    world.put_message(MessageKind.SUSPENSION_NOTICE, MessageStatus.HELD)
    world.put_message(MessageKind.TERMINATION_NOTICE, MessageStatus.HELD)
    _pay(world, admin)
    world.deliver()
    assert world.case().status is CaseStatus.PAID
    assert world.find_message(MessageKind.SUSPENSION_NOTICE).status is MessageStatus.CANCELED
    assert world.find_message(MessageKind.TERMINATION_NOTICE).status is MessageStatus.HELD


def test_a_message_has_the_link_by_which_its_charge_may_be_paid(world: DunningWorld) -> None:
    subscription = world.subscribe()
    world.refuse(subscription)
    request = MeansRequest(
        organisation_id=world.organisation_id,
        id=new_id(),
        client_id=subscription.client_id,
        provider_account_id=world.account.id,
        charge_id=world.charge().id,
        takes_payment=True,
        status=MeansRequestStatus.SENT,
        expires_at=clock.now() + timedelta(days=14),
    )
    request.keep_token("the-token")
    db.session.add(request)
    db.session.commit()
    world.live_until(_day(3))
    body = world.find_message(MessageKind.DUNNING_REMINDER).content_in_clear()["body"]
    assert links.giving_means("the-token") in to_plain_text(body)
    assert not load_payment_links([world.charge().id], at=request.expires_at), "it can be answered no more"


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


def test_a_task_is_the_commercial_s_of_the_client(world: DunningWorld, cast: Cast) -> None:
    general = sequences.load_default(at=clock.now())
    call = (StepFields(1, StepAction.TASK, title="Appeler"),)
    sequences.change_sequence(general.id, name="Tout", is_insurance=False, steps=call, by=None, at=clock.now())
    subscription = world.subscribe()
    db.session.get_one(Client, (world.organisation_id, subscription.client_id)).commercial_id = cast.sales_rep.id
    world.refuse(subscription)
    world.live_until(_day(1))
    [task] = db.session.query(Task)
    assert (task.user_id, task.due_on) == (cast.commercial.id, _day(1))
    assert task.title.startswith("Impayé de 24,00")
    assert task.title.endswith(": Appeler")
