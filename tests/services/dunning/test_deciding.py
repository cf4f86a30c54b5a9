"""What a person decides: promises, plans, disputes, losses."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from tests.conftest import Cast
from tests.services.dunning.world import DunningWorld
from webapp import clock
from webapp.errors import DomainError
from webapp.extensions import db
from webapp.models.charges import ChargeStatus
from webapp.models.contracts import PaymentMethod
from webapp.models.dunning import CaseStatus, ClaimOutcome, DunningInstalment
from webapp.models.identity import User
from webapp.models.invoices import Invoice, InvoiceStatus
from webapp.models.messages import MessageKind, MessageStatus
from webapp.models.money import Totals, VatShare
from webapp.models.subscriptions import Subscription, SubscriptionStatus
from webapp.services.charges import decisions
from webapp.services.dunning import deciding, plans
from webapp.services.dunning.cases import CaseStateError
from webapp.services.invoices import finalising
from webapp.services.refunds import commands

REFUSED = date(2026, 1, 31)


def _day(number: int) -> date:
    return REFUSED + timedelta(days=number)


@pytest.fixture
def admin(cast: Cast) -> User:
    """Who decides."""
    return cast.admin


@pytest.fixture
def unpaid(world: DunningWorld) -> Subscription:
    """A subscription whose first charge was refused for good."""
    subscription = world.subscribe()
    world.refuse(subscription)
    return subscription


def test_a_promise_holds_steps_and_retries_until_it_has_passed(world: DunningWorld, admin: User) -> None:
    world.refuse(world.subscribe(), "soft")
    deciding.promise(world.case().id, until=_day(6), note="", by=admin, at=clock.now())
    retry = world.charge().next_attempt_at
    assert retry is not None
    assert retry.date() == _day(7)
    world.live_until(_day(6))
    assert world.steps(None) == []
    world.ledger.behave("soft")
    world.to_day(_day(7))
    world.sweep()
    world.deliver()
    world.live_until(_day(9))
    assert world.case().paused_days == 7
    assert world.steps() == []
    world.live_until(_day(10))
    assert world.steps() == [("email", _day(10))]  # three days after the refusal, and seven of pause


def test_a_promise_that_is_kept_ends_the_case(world: DunningWorld, unpaid: Subscription, admin: User) -> None:
    deciding.promise(world.case().id, until=_day(6), note="", by=admin, at=clock.now())
    world.live_until(_day(2))
    method = PaymentMethod.TRANSFER
    decisions.mark_paid(world.charge().id, method=method, paid_on=_day(2), by=admin, at=clock.now())
    world.deliver()
    world.live_until(_day(30))
    assert (world.case().status, world.steps(None)) == (CaseStatus.PAID, [])


def test_what_was_written_and_has_not_left_is_withdrawn(world: DunningWorld, unpaid: Subscription, admin: User) -> None:
    world.live_until(_day(10))
    decisions.mark_paid(world.charge().id, method=PaymentMethod.TRANSFER, paid_on=_day(10), by=admin, at=clock.now())
    world.deliver()
    assert {message.status for message in world.messages()} <= {MessageStatus.CANCELED, MessageStatus.SENT}
    assert world.messages()[-1].status is MessageStatus.CANCELED


def test_a_notice_that_was_not_posted_before_a_promise_comes_again_after_it(
    world: DunningWorld, unpaid: Subscription, admin: User
) -> None:
    world.live_until(_day(10))
    deciding.promise(world.case().id, until=_day(12), note="", by=admin, at=clock.now())
    assert world.messages()[-1].status is MessageStatus.CANCELED
    world.live_until(_day(60))
    assert world.steps() == [("email", _day(3)), ("sms", _day(7)), ("letter", _day(13))]
    assert world.messages()[-1].status is MessageStatus.QUEUED
    world.post()
    world.live_until(_day(95))
    assert world.steps()[3] == ("suspend", _day(90))


def test_a_pause_leaves_alone_what_tells_of_a_suspension(
    world: DunningWorld, unpaid: Subscription, admin: User
) -> None:
    world.live_until(_day(10))
    world.post()
    world.live_until(_day(40))
    world.put_message(MessageKind.SUSPENSION_NOTICE, MessageStatus.QUEUED)
    deciding.promise(world.case().id, until=_day(45), note="", by=admin, at=clock.now())
    assert world.find_message(MessageKind.SUSPENSION_NOTICE).status is MessageStatus.QUEUED
    assert world.steps()[-1] == ("suspend", _day(40))


def test_a_dispute_stops_all_until_a_person_goes_on(world: DunningWorld, admin: User) -> None:
    world.refuse(world.subscribe(), "soft")
    deciding.dispute(world.case().id, note="Jamais reçu", by=admin, at=clock.now())
    assert (world.charge().status, world.charge().next_attempt_at) == (ChargeStatus.FAILED, None)
    world.live_until(_day(20))
    assert world.steps(None) == []
    deciding.go_on(world.case().id, by=admin, at=clock.now())
    world.live_until(_day(23))
    assert world.steps() == [("email", _day(23))]


def test_instalments_take_the_place_of_what_was_owed(world: DunningWorld, unpaid: Subscription, admin: User) -> None:
    replaced = world.charge()
    deciding.make_plan(world.case().id, first_on=_day(5), count=3, fortnightly=False, note="", by=admin, at=clock.now())
    assert (world.case().status, world.case().amount) == (CaseStatus.PAUSED, 24)
    world.live_until(_day(4))
    assert [(charge.id, charge.status) for charge in world.charges()] == [(replaced.id, ChargeStatus.CANCELED)]
    assert decisions.actions_of(world.charge()) == []
    world.live_until(_day(5))
    world.sweep()
    world.deliver()
    assert world.case().amount == 16
    for _ in range(70):
        world.live_until(clock.today() + timedelta(days=1))
        world.sweep()
        world.deliver()
    instalments = [charge for charge in world.charges() if charge.reference.endswith(tuple(_instalment_ids()))]
    assert [charge.amount for charge in instalments] == [8, 8, 8]
    assert {charge.status for charge in instalments} == {ChargeStatus.SUCCEEDED}
    assert world.case().status is CaseStatus.PAID
    assert world.steps(None) == []
    invoiced = db.session.scalars(select(Invoice.total).where(Invoice.charge_id.in_([c.id for c in instalments])))
    assert sum(invoiced) == 24


def _instalment_ids() -> list[str]:
    return [str(each) for each in db.session.scalars(select(DunningInstalment.id))]


def test_an_invoice_that_was_issued_is_credited_when_a_plan_takes_its_place(world: DunningWorld, admin: User) -> None:
    world.subscribe()
    world.run()
    world.reverse_latest()
    finalising.finalise_drafts(world.organisation_id, at=clock.now())
    deciding.make_plan(
        world.case().id, first_on=clock.today(), count=2, fortnightly=True, note="", by=admin, at=clock.now()
    )
    [invoice] = db.session.scalars(select(Invoice).where(Invoice.charge_id.is_not(None))).all()
    assert (invoice.status, invoice.balance) == (InvoiceStatus.PAID, 0)
    world.sweep()
    world.deliver()
    world.live_until(clock.today() + timedelta(days=14))
    world.sweep()
    world.deliver()
    assert world.case().status is CaseStatus.PAID
    assert sum(db.session.scalars(select(Invoice.total))) == 24


def test_an_instalment_that_is_refused_breaks_the_plan_and_begins_a_round(
    world: DunningWorld, unpaid: Subscription, admin: User
) -> None:
    world.live_until(_day(4))
    deciding.make_plan(world.case().id, first_on=_day(5), count=2, fortnightly=True, note="", by=admin, at=clock.now())
    world.ledger.behave("hard")
    world.live_until(_day(5))
    world.sweep()
    world.deliver()
    case = world.case()
    assert (case.status, case.round, case.since) == (CaseStatus.OPEN, 2, _day(5))
    world.ledger.behave("succeed")
    world.live_until(_day(8))
    assert world.steps() == [("email", _day(3)), ("email", _day(8))]


def test_what_a_plan_had_still_to_ask_is_asked_when_a_person_ends_it(
    world: DunningWorld, unpaid: Subscription, admin: User
) -> None:
    deciding.make_plan(world.case().id, first_on=_day(5), count=3, fortnightly=False, note="", by=admin, at=clock.now())
    deciding.go_on(world.case().id, by=admin, at=clock.now())
    world.sweep()
    world.deliver()
    assert world.case().status is CaseStatus.PAID
    world.live_until(_day(90))
    assert sum(payment.amount for payment in world.payments() if payment.amount == 8) == 24


def test_no_plan_while_money_may_be_on_its_way(world: DunningWorld, unpaid: Subscription, admin: User) -> None:
    decisions.retry(world.charge().id, by=admin, at=clock.now())
    world.ledger.behave("timeout")
    world.sweep()
    with pytest.raises(CaseStateError, match="en cours"):
        deciding.make_plan(
            world.case().id, first_on=_day(5), count=2, fortnightly=False, note="", by=admin, at=clock.now()
        )
    with pytest.raises(CaseStateError, match="en cours"):
        deciding.write_off(world.case().id, reason="x", by=admin, at=clock.now())


@given(
    count=st.integers(2, 24),
    shares=st.lists(
        st.tuples(st.sampled_from(["2.1", "5.5", "10", "20"]), st.decimals("0.01", "9999", places=2)),
        min_size=1,
        max_size=3,
        unique_by=lambda share: share[0],
    ),
)
def test_instalments_come_to_what_they_replace_by_rate(count: int, shares: list[tuple[str, Decimal]]) -> None:
    whole = Totals(
        tuple(
            VatShare(Decimal(rate), base, (base * Decimal(rate) / 100).quantize(Decimal("0.01")))
            for rate, base in sorted(shares, key=lambda share: Decimal(share[0]))
        )
    )
    parts = list(plans.split(whole, count))
    assert sum(part.with_tax for part in parts) == whole.with_tax
    for share in whole.shares:
        same = [each for part in parts for each in part.shares if each.rate == share.rate]
        assert (sum(each.base for each in same), sum(each.tax for each in same)) == (share.base, share.tax)


def test_a_loss_asks_for_nothing_more(world: DunningWorld, unpaid: Subscription, admin: User) -> None:
    world.live_until(_day(3))
    deciding.write_off(world.case().id, reason="Insolvable", by=admin, at=clock.now())
    world.deliver()
    assert (world.case().status, world.case().amount, world.charge().status) == (
        CaseStatus.WRITTEN_OFF,
        0,
        ChargeStatus.CANCELED,
    )
    assert [claim.outcome for claim in world.claims()] == [ClaimOutcome.WRITTEN_OFF]
    world.live_until(_day(60))
    assert len(world.steps()) == 1


def test_what_is_handed_over_is_not_retried_and_may_still_be_paid(world: DunningWorld, admin: User) -> None:
    world.refuse(world.subscribe(), "soft")
    deciding.hand_over(world.case().id, note="", by=admin, at=clock.now())
    assert world.charge().next_attempt_at is None
    world.live_until(_day(60))
    assert world.steps(None) == []
    method = PaymentMethod.TRANSFER
    decisions.mark_paid(world.charge().id, method=method, paid_on=clock.today(), by=admin, at=clock.now())
    world.deliver()
    assert world.case().status is CaseStatus.PAID


def test_a_gesture_takes_its_part_off_the_case(world: DunningWorld, admin: User) -> None:
    world.subscribe()
    world.run()
    world.reverse_latest()
    finalising.finalise_drafts(world.organisation_id, at=clock.now())
    [invoice] = db.session.scalars(select(Invoice)).all()
    commands.waive(invoice.id, note_id=admin.id, amount=Decimal(10), reason="Geste", by=admin, at=clock.now())
    world.deliver()
    assert world.case().amount == 14


def test_what_takes_away_is_not_hurried(world: DunningWorld, unpaid: Subscription, admin: User) -> None:
    world.live_until(_day(10))
    world.post()
    world.live_until(_day(11))
    case = world.case()
    assert case.next_step_id is not None
    with pytest.raises(DomainError, match="avant le 12/03/2026"):
        deciding.send_now(case.id, step_id=case.next_step_id, by=admin, at=clock.now())
    assert world.reload(unpaid).status is SubscriptionStatus.PAST_DUE


def test_a_person_who_resumes_has_dunning_forget_what_it_suspended(
    world: DunningWorld, unpaid: Subscription, admin: User
) -> None:
    from webapp.services.subscriptions import lifecycle

    world.live_until(_day(10))
    world.post()
    world.live_until(_day(41))
    lifecycle.resume(unpaid.id, by=admin, at=clock.now())
    world.deliver()
    world.wait(minutes=1)
    lifecycle.pause(unpaid.id, reason="Vacances", by=admin, at=clock.now())
    decisions.mark_paid(
        world.charges()[0].id, method=PaymentMethod.TRANSFER, paid_on=clock.today(), by=admin, at=clock.now()
    )
    world.deliver()
    assert world.reload(unpaid).status is SubscriptionStatus.PAUSED


def test_what_fails_later_joins_and_gets_a_round_of_its_own(
    world: DunningWorld, unpaid: Subscription, admin: User
) -> None:
    second = world.subscribe(anchor=_day(12))
    db.session.execute(update(Subscription).where(Subscription.id == second.id).values(client_id=unpaid.client_id))
    db.session.commit()
    first = world.charge()
    world.live_until(_day(12))
    world.post()
    world.refuse(second)
    assert (world.case().amount, world.case().round) == (48, 1)
    decisions.mark_paid(first.id, method=PaymentMethod.TRANSFER, paid_on=_day(12), by=admin, at=clock.now())
    world.deliver()
    case = world.case()
    assert (case.round, case.since, case.amount) == (2, _day(12), 24)
    world.live_until(_day(45))
    assert world.steps()[3:] == [("email", _day(15)), ("sms", _day(19)), ("letter", _day(22))]


def test_a_client_who_pays_without_us_is_dunned_from_the_due_date(world: DunningWorld) -> None:
    world.subscribe(payment_method=PaymentMethod.TRANSFER)
    world.run()
    world.deliver()
    assert world.cases() == []
    world.live_until(_day(3))
    assert world.case().since == REFUSED
    assert world.steps() == [("email", _day(3))]
