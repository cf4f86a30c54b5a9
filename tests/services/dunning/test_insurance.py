"""A few weeks of L113-3 by hand, to the hour: notice, suspension, termination, and cover that resumes at noon."""

from datetime import date, datetime, timedelta

import pytest
from sqlalchemy import select, update

from tests import factories
from tests.conftest import Cast
from tests.services.covers.test_following import HOME
from tests.services.dunning.world import DunningWorld
from webapp import clock
from webapp.clock import PARIS
from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.charges import ChargeStatus
from webapp.models.contracts import PaymentMethod
from webapp.models.covers import CoverCause
from webapp.models.dunning import CaseStatus, DunningSuspension, StepAction
from webapp.models.messages import MessageKind
from webapp.models.money import INSURANCE_TAX
from webapp.models.subscriptions import Subscription, SubscriptionLine, SubscriptionStatus
from webapp.services.charges import decisions, preview
from webapp.services.charges.preview import Fate
from webapp.services.covers import loading, profile, selling
from webapp.services.covers.selling import CoverRequest
from webapp.services.dunning import sequences
from webapp.services.dunning.sequences import DEFAULT_STEPS, StepFields


@pytest.fixture
def insured(world: DunningWorld, cast: Cast, request: pytest.FixtureRequest) -> Subscription:
    """A premium due on 20 February 2026 and refused that morning: the sequence is of insurance, or its tax tells."""
    world.to_day(date(2026, 2, 20))
    general = sequences.load_default(at=clock.now())
    subscription = world.subscribe(anchor=date(2026, 2, 20))
    if getattr(request, "param", "sequence") == "sequence":
        sequences.change_sequence(
            general.id, name="Assurance", is_insurance=True, steps=DEFAULT_STEPS, by=cast.admin.id, at=clock.now()
        )
    else:
        _tax(subscription)
    world.refuse(subscription)
    return subscription


def _tax(subscription: Subscription) -> None:
    """What it sells bears the tax on insurance."""
    lines = update(SubscriptionLine).where(SubscriptionLine.subscription_id == subscription.id)
    db.session.execute(lines.values(vat_rate=INSURANCE_TAX))
    db.session.commit()


def _hours(world: DunningWorld, since: datetime, until: datetime) -> None:
    """Dun every hour of the last day of a stretch, and twice a day before: what came too early would stand there."""
    at = since
    while at <= until:
        world.move_to(at)
        world.dun()
        at += timedelta(hours=12 if until - at > timedelta(hours=36) else 1)


def _at(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=PARIS)


@pytest.mark.parametrize("insured", ["sequence", "tax"], indirect=True)
def test_the_cover_is_suspended_on_the_thirty_first_day_and_ended_ten_days_later(
    world: DunningWorld, insured: Subscription
) -> None:
    _hours(world, _at(date(2026, 2, 21), 0), _at(date(2026, 3, 2), 7))
    assert [action for action, _ in world.steps()] == ["email", "sms"]
    _hours(world, _at(date(2026, 3, 2), 8), _at(date(2026, 3, 2), 8))
    assert world.steps()[-1] == ("letter", date(2026, 3, 2))  # ten days after the due date, not before
    assert "L113-3" in world.find_message(MessageKind.FORMAL_NOTICE).content_in_clear()["body"]
    world.post(_at(date(2026, 3, 4), 17, 30))  # over the night of 29 March, which has 23 hours
    _hours(world, _at(date(2026, 3, 4), 18), _at(date(2026, 4, 4), 7))
    assert len(world.steps()) == 3
    assert world.reload(insured).status is SubscriptionStatus.PAST_DUE
    _hours(world, _at(date(2026, 4, 4), 8), _at(date(2026, 4, 4), 8))
    assert world.steps()[-1] == ("suspend", date(2026, 4, 4))  # thirty full days: the day of sending does not count
    [suspension] = db.session.scalars(select(DunningSuspension)).all()
    assert suspension.suspended_at.astimezone(PARIS).hour == 8
    _hours(world, _at(date(2026, 4, 4), 9), _at(date(2026, 4, 14), 7))
    assert world.case().status is CaseStatus.OPEN
    _hours(world, _at(date(2026, 4, 14), 8), _at(date(2026, 4, 14), 8))
    assert world.steps()[-1] == ("terminate", date(2026, 4, 14))
    assert world.reload(insured).status is SubscriptionStatus.CANCELED


@pytest.mark.parametrize(
    ("insured", "hour"),
    [("sequence", 8), ("sequence", 12), ("sequence", 19), ("sequence", 23), ("tax", 12)],
    indirect=["insured"],
)
def test_what_is_paid_in_between_is_covered_from_noon_of_the_day_after(
    world: DunningWorld, insured: Subscription, cast: Cast, hour: int
) -> None:
    asked = CoverRequest(version_id=factories.CoverPlanVersionFactory().id, home=HOME)
    cover = selling.add_cover(insured.id, asked, by=cast.admin, at=clock.now())
    world.live_until(date(2026, 3, 2))
    world.post()
    world.live_until(date(2026, 4, 3))
    assert world.reload(insured).status is SubscriptionStatus.PAUSED
    paid_on = date(2026, 4, 6)
    world.move_to(_at(paid_on, hour, 30))
    decisions.mark_paid(
        world.charge().id, method=PaymentMethod.TRANSFER, paid_on=paid_on, by=cast.admin, at=clock.now()
    )
    world.deliver()
    assert world.case().status is CaseStatus.PAID
    noon = _at(paid_on + timedelta(days=1), 12)
    assert profile.find_profile(cover.id, at=clock.now()).resumes_at == noon
    _hours(world, _at(paid_on, 23, 59), _at(paid_on + timedelta(days=1), 11, 59))
    assert world.reload(insured).status is SubscriptionStatus.PAUSED
    _hours(world, _at(paid_on + timedelta(days=1), 12), _at(paid_on + timedelta(days=1), 12))
    assert world.reload(insured).status is SubscriptionStatus.ACTIVE
    [suspension] = db.session.scalars(select(DunningSuspension)).all()
    assert suspension.ended_at is not None
    assert suspension.ended_at.astimezone(PARIS).replace(microsecond=0) == _at(paid_on + timedelta(days=1), 12)
    world.deliver()
    resumed = loading.life_of(loading.find_cover(cover.id)).intervals[-1]
    assert (resumed.cause, resumed.since) == (CoverCause.PAYMENT, _at(paid_on + timedelta(days=1), 12))


def test_money_that_goes_back_before_noon_leaves_the_cover_suspended(
    world: DunningWorld, insured: Subscription, cast: Cast
) -> None:
    world.live_until(date(2026, 3, 2))
    world.post()
    world.live_until(date(2026, 4, 6))
    charge = world.charge()
    decisions.retry(charge.id, by=cast.admin, at=clock.now())
    world.sweep()
    world.deliver()
    assert world.case().status is CaseStatus.PAID
    world.reverse_latest()
    assert [case.status for case in world.cases()] == [CaseStatus.PAID, CaseStatus.OPEN]
    world.live_until(date(2026, 4, 9), hour=13)
    assert world.reload(insured).status is SubscriptionStatus.PAUSED


@pytest.mark.parametrize(
    ("steps", "position"),
    [
        ([StepFields(9, StepAction.LETTER, "formal_notice")], 0),
        ([StepFields(10, StepAction.EMAIL, "formal_notice")], 0),
        ([StepFields(10, StepAction.LETTER, "formal_notice", in_working_days=True)], 0),
        ([StepFields(10, StepAction.LETTER, "formal_notice"), StepFields(39, StepAction.SUSPEND)], 1),
        (
            [
                StepFields(10, StepAction.LETTER, "formal_notice"),
                StepFields(40, StepAction.SUSPEND),
                StepFields(49, StepAction.TERMINATE),
            ],
            2,
        ),
        ([StepFields(10, StepAction.LETTER, "formal_notice"), StepFields(49, StepAction.TERMINATE)], 1),
    ],
)
def test_an_insurance_sequence_keeps_the_days_of_the_law(steps: list[StepFields], position: int) -> None:
    with pytest.raises(InvalidInputError) as refused:
        sequences.check_steps(steps, is_insurance=True)
    assert refused.value.field == f"step-{position}"


def test_a_premium_due_for_less_than_ten_days_is_in_no_notice(world: DunningWorld, insured: Subscription) -> None:
    second = world.subscribe(anchor=date(2026, 2, 27))
    db.session.execute(update(Subscription).where(Subscription.id == second.id).values(client_id=insured.client_id))
    db.session.commit()
    world.live_until(date(2026, 2, 27))
    world.refuse(second)
    world.live_until(date(2026, 3, 2))
    assert world.steps()[-1] == ("letter", date(2026, 3, 2))
    assert [(claim.is_noticed, claim.since.day) for claim in world.claims()] == [(True, 20), (False, 27)]


@pytest.mark.parametrize(("insured", "asked"), [("tax", True), ("sequence", False)], indirect=["insured"])
def test_a_premium_that_falls_due_while_one_is_unpaid_is_asked_for_once(
    world: DunningWorld, insured: Subscription, cast: Cast, asked: bool
) -> None:
    """The insurance covers until it is suspended; of what bears no tax on insurance, the cycle is skipped."""
    world.live_until(date(2026, 3, 19))
    assert world.reload(insured).status is SubscriptionStatus.PAST_DUE
    world.to_day(date(2026, 3, 20))
    fates = [group.fate for group in preview.preview(at=clock.now()).groups]
    assert fates == [Fate.ASKED if asked else Fate.SKIPPED]
    for _ in range(2):
        world.run()
        world.sweep()
    first, second = world.charges(insured)
    assert (first.cycle_no, second.cycle_no) == (0, 1)
    assert (second.period_start, second.period_end) == (date(2026, 3, 20), date(2026, 4, 20))
    assert second.status is (ChargeStatus.SUCCEEDED if asked else ChargeStatus.SKIPPED)
