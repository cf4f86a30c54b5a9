"""Over any chain of changes: what was charged less what was credited is what each day cost when it passed."""

import itertools
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import Cast
from tests.examples import some
from tests.services.charges.world import World
from tests.services.plan_changes.selling import adjustments, change, line
from webapp import clock
from webapp.models.charges import Charge
from webapp.models.plan_changes import Settlement
from webapp.models.subscriptions import Subscription, SubscriptionStatus
from webapp.services.charges import recording
from webapp.services.subscriptions import proration
from webapp.services.subscriptions.proration import Days
from webapp.services.subscriptions.terms import prices_of

PARIS = ZoneInfo("Europe/Paris")
PRICES = st.sampled_from(["0.00", "0.01", "7.77", "10.00", "29.99", "33.33", "100.00", "1234.56"])
RATES = st.sampled_from(["20", "5.5", "0"])


class Step(NamedTuple):
    """So many days later, at an hour, other lines: (price, rate) each."""

    days: int
    hour: int
    lines: list[tuple[str, str]]


STEPS = st.builds(
    Step,
    days=st.integers(0, 12),
    hour=st.sampled_from([0, 2, 3, 23]),
    lines=st.lists(st.tuples(PRICES, RATES), min_size=1, max_size=3),
)
# A whole month that a night of the changing clock lies in, a short one, and one that ends on the 31st.
ANCHORS = st.sampled_from(
    [date(2026, 3, 1), date(2026, 10, 10), date(2026, 2, 1), date(2026, 1, 31), date(2026, 12, 31)]
)
FATES = st.sampled_from(["ok", "process", "hard", "insufficient", "reversed", "transfer"])


class Story(NamedTuple):
    """A first price, the first day of a cycle, what becomes of its charge, and what is changed in it."""

    first: str
    anchor: date
    fate: str
    steps: list[Step]
    is_asked_apart: bool


STORIES = st.builds(
    Story,
    first=PRICES,
    anchor=ANCHORS,
    fate=FATES,
    steps=st.lists(STEPS, min_size=1, max_size=6),
    is_asked_apart=st.booleans(),
)


@given(story=STORIES)
@settings(max_examples=some(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_chain_of_changes_gains_or_loses_a_cent(world: World, cast: Cast, story: Story) -> None:
    first, anchor, fate, steps, is_asked_apart = story
    _move(world, anchor, 1)
    subscription = world.subscribe(first, anchor=anchor)
    base = _charge(world, subscription, fate)
    day, prices = anchor, [(anchor, {Decimal(20): Decimal(first)})]
    for step in steps:
        day = min(day + timedelta(days=step.days), base.period_end - timedelta(days=1))
        _move(world, day, step.hour)
        lines = [line(price, rate) for price, rate in step.lines]
        change(world, cast, subscription, *lines, by=None if is_asked_apart else Settlement.NEXT_CYCLE)
        prices.append((day, proration.sum_by_rate((Decimal(rate), Decimal(price)) for price, rate in step.lines)))
        world.sweep()
    asked = [prices_of(base.lines), *(prices_of(each.lines) for each in adjustments(subscription))]
    net = proration.sum_by_rate(pair for each in asked for pair in each.items())
    assert _without_nothing(net) == _without_nothing(_cost_of_days(prices, Days(base.period_start, base.period_end)))


def _move(world: World, day: date, hour: int) -> None:
    world.move_to(datetime(day.year, day.month, day.day, hour, 30, tzinfo=PARIS))


def _charge(world: World, subscription: Subscription, fate: str) -> Charge:
    world.ledger.behave({"reversed": "ok", "transfer": "ok", "insufficient": "soft"}.get(fate, fate))
    if fate == "transfer":
        subscription.payment_method = None
    world.run()
    (base,) = world.charges(subscription)
    if fate == "reversed" and base.amount:
        world.ledger.reverse(base.attempts[0].id)
        outcome = world.ledger.find_payment(base.attempts[0].id)
        assert outcome is not None
        recording.apply_outcome(base.attempts[0].id, outcome, at=clock.now())
    world.ledger.behave("ok")
    return base


def _cost_of_days(prices: list[tuple[date, proration.Prices]], period: Days) -> proration.Prices:
    """Day by day: each costs its part of the price that held on it, rounded along the running sum of its price."""
    pairs = []
    number = period.number
    for each in range(number):
        day = period.start + timedelta(days=each)
        price = next(price for since, price in reversed(prices) if since <= day)
        for rate, whole in price.items():
            until = proration.first_days(whole, each + 1, number)
            pairs.append((rate, until - proration.first_days(whole, each, number)))
    return proration.sum_by_rate(pairs)


def _without_nothing(prices: proration.Prices) -> proration.Prices:
    return {rate: price for rate, price in prices.items() if price}


@given(
    price=st.decimals(0, 10_000, places=2),
    number=st.integers(1, 366),
    cuts=st.lists(st.integers(0, 366), max_size=8),
)
def test_the_parts_of_a_period_come_to_its_price(price: Decimal, number: int, cuts: list[int]) -> None:
    marks = sorted({0, number, *(cut for cut in cuts if cut < number)})
    parts = [
        proration.first_days(price, later, number) - proration.first_days(price, sooner, number)
        for sooner, later in itertools.pairwise(marks)
    ]
    assert sum(parts) == price
    assert all(part >= 0 for part in parts)
    assert all(
        proration.rest(price, mark, number) + proration.first_days(price, mark, number) == price for mark in marks
    )


@given(steps=st.lists(STEPS, min_size=1, max_size=3), first=PRICES)
@settings(max_examples=some(15), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_all_that_changes_left_over_is_settled_with_the_cycles_that_follow(
    world: World, cast: Cast, first: str, steps: list[Step]
) -> None:
    anchor = date(2026, 3, 1)
    _move(world, anchor, 1)
    subscription = world.subscribe(first, anchor=anchor)
    world.run()
    day = anchor
    for step in steps:
        day = min(day + timedelta(days=step.days), date(2026, 3, 31))
        _move(world, day, step.hour)
        change(world, cast, subscription, *(line(p, r) for p, r in step.lines), by=Settlement.NEXT_CYCLE)
    per_cycle = proration.sum_by_rate((Decimal(r), Decimal(p)) for p, r in steps[-1].lines)
    for month in (4, 5, 6, 7):
        _move(world, date(2026, month, 1), 8)
        world.run()
    charges = world.charges(subscription)
    assert all(charge.amount >= 0 for charge in charges)
    charged = proration.sum_by_rate(pair for charge in charges for pair in prices_of(charge.lines).items())
    left = [proration.from_json(each.left_over) for each in adjustments(subscription)]
    total = proration.sum_by_rate([*charged.items(), *(pair for each in left for pair in each.items())])
    made = [prices_of(each.lines) for each in adjustments(subscription)]
    expected = proration.sum_by_rate(
        [
            (Decimal(20), Decimal(first)),
            *((rate, 4 * price) for rate, price in per_cycle.items()),
            *(pair for each in made for pair in each.items()),
        ]
    )
    assert _without_nothing(total) == _without_nothing(expected)


@pytest.mark.parametrize("status", [SubscriptionStatus.PENDING, SubscriptionStatus.ACTIVE])
def test_what_was_never_charged_is_never_credited(world: World, cast: Cast, status: SubscriptionStatus) -> None:
    subscription = world.subscribe("30.00", anchor=date(2026, 3, 1), status=status)
    change(world, cast, subscription, line("10.00"))
    assert adjustments(subscription) == []
