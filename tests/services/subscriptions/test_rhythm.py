"""Another frequency or day: no day is charged twice, none is free, cycles are counted on."""

import itertools
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import factories
from tests.conftest import Cast
from tests.services.charges.conftest import ledger, world
from tests.services.charges.world import World
from webapp import clock, tenancy
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.contracts import PaymentMethod
from webapp.models.plan_changes import PlannedChange
from webapp.models.subscriptions import RHYTHMS, Frequency, Subscription, SubscriptionStatus
from webapp.services.invoices import finalising
from webapp.services.subscriptions import rhythm, selling_company
from webapp.services.subscriptions.selling_company import StillOpenError
from webapp.services.subscriptions.terms import Terms

__all__ = ["ledger", "world"]


@pytest.fixture
def sold(world: World) -> Subscription:
    """30 € a month, paid for June; July is next."""
    world.move_to(datetime.fromisoformat("2026-06-01T08:00+02:00"))
    subscription = world.subscribe("30.00", anchor=date(2026, 6, 1))
    world.run()
    return subscription


def _change(world: World, subscription: Subscription, frequency: str, day: date | None = None) -> None:
    version = world.reload(subscription).version
    rhythm.change_rhythm(subscription.id, frequency, day, version=version, by=None, at=clock.now())


def _run_on(world: World, *days: date) -> None:
    for day in days:
        world.move_to(datetime(day.year, day.month, day.day, 8, tzinfo=clock.PARIS))
        world.run()


def test_another_frequency_begins_at_the_end_of_what_is_paid(world: World, sold: Subscription) -> None:
    _change(world, sold, "quarterly")
    assert world.reload(sold).frequency is Frequency.MONTHLY
    _run_on(world, date(2026, 7, 1), date(2026, 8, 1), date(2026, 10, 1))
    periods = [(each.cycle_no, each.period_start, each.period_end) for each in world.charges(sold)]
    assert periods == [
        (0, date(2026, 6, 1), date(2026, 7, 1)),
        (1, date(2026, 7, 1), date(2026, 10, 1)),
        (2, date(2026, 10, 1), date(2027, 1, 1)),
    ]
    assert world.reload(sold).annual_amount == Decimal(120)


def test_the_days_until_another_day_are_a_shorter_cycle(world: World, sold: Subscription) -> None:
    shown = rhythm.preview_rhythm(sold, "monthly", date(2026, 7, 16), at=clock.now())
    assert [each.period.start for each in shown[:3]] == [date(2026, 7, 1), date(2026, 7, 16), date(2026, 8, 16)]
    _change(world, sold, "monthly", date(2026, 7, 16))
    _run_on(world, date(2026, 7, 1), date(2026, 7, 16), date(2026, 8, 16))
    charges = world.charges(sold)
    assert [charge.amount for charge in charges[1:]] == [each.totals.with_tax for each in shown[:3]]
    assert charges[1].amount == Decimal("17.42")  # 15 days of 31
    assert [charge.cycle_no for charge in charges] == [0, 1, 2, 3]


@pytest.mark.parametrize("day", [date(2026, 6, 30), date(2026, 8, 1)])
def test_a_day_that_would_charge_twice_or_leave_too_long_a_gap_is_refused(
    world: World, sold: Subscription, day: date
) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        _change(world, sold, "monthly", day)
    assert refusal.value.field == "anchor_date"


def test_while_nothing_was_charged_it_changes_at_once(world: World) -> None:
    subscription = world.subscribe("30.00", anchor=date(2026, 3, 1), status=SubscriptionStatus.PENDING)
    _change(world, subscription, "weekly", date(2026, 3, 4))
    changed = world.reload(subscription)
    assert (changed.frequency, changed.next_charge_on) == (Frequency.WEEKLY, date(2026, 3, 4))
    with pytest.raises(InvalidInputError, match="déjà celui"):
        _change(world, subscription, "weekly")


@given(
    anchor=st.dates(date(2026, 1, 1), date(2026, 12, 31)),
    old=st.sampled_from(RHYTHMS),
    new=st.sampled_from(RHYTHMS),
    cycle=st.integers(0, 30),
    gap=st.integers(0, 400),
)
def test_periods_follow_each_other_without_gap_or_overlap(
    anchor: date, old: Frequency, new: Frequency, cycle: int, gap: int
) -> None:
    terms = Terms(lines=(), frequency=old, anchor_date=anchor)
    start = terms.due_on(cycle)
    planned = PlannedChange(frequency=new, anchor_date=start + timedelta(days=gap))
    changed = Terms(lines=(), frequency=old, anchor_date=anchor, planned=planned)
    periods = []
    for each in range(cycle, cycle + 8):
        asked, changed = changed.ask(each)
        periods.append(asked.period)
    assert periods[0].start == start
    assert all(sooner.end == later.start for sooner, later in itertools.pairwise(periods))
    assert all(period.start < period.end for period in periods)


# Company and contract


def test_the_company_changes_while_nothing_is_open_and_what_does_not_fit_is_taken_away(
    world: World, cast: Cast, sold: Subscription
) -> None:
    other = factories.CompanyFactory(name="Autre")
    db.session.commit()
    with pytest.raises(StillOpenError, match="facture"):
        _sell_by(world, sold, other.id)
    finalising.finalise_drafts(world.organisation_id, at=clock.now())
    assert selling_company.list_open(sold.id) == []
    _sell_by(world, sold, other.id)
    changed = world.reload(sold)
    assert (changed.company_id, changed.saved_method_id, changed.payment_method) == (other.id, None, None)


def _sell_by(world: World, subscription: Subscription, company_id: object) -> None:
    version = world.reload(subscription).version
    selling_company.change_company(
        subscription.id,
        company_id=company_id,  # type: ignore[arg-type]
        contract_id=None,
        version=version,
        by=None,
        at=clock.now(),
    )


def test_an_open_charge_keeps_the_company(world: World, cast: Cast) -> None:
    subscription = world.subscribe("30.00")
    world.ledger.behave("process")
    world.run()
    with pytest.raises(StillOpenError, match="1 prélèvement"):
        _sell_by(world, subscription, factories.CompanyFactory().id)


def test_what_the_client_pays_by_transfer_fits_every_company(world: World, cast: Cast) -> None:
    subscription = world.subscribe("30.00", status=SubscriptionStatus.PENDING)
    subscription.payment_method = PaymentMethod.TRANSFER
    subscription.saved_method_id = subscription.provider_account_id = None
    db.session.commit()
    _sell_by(world, subscription, factories.CompanyFactory().id)
    assert world.reload(subscription).payment_method is PaymentMethod.TRANSFER


def test_an_outsider_changes_no_rhythm(world: World, cast: Cast, sold: Subscription) -> None:
    with tenancy.organisation(cast.other_organisation.id), pytest.raises(NotFoundError):
        rhythm.change_rhythm(sold.id, "weekly", None, version=1, by=None, at=clock.now())
