"""Recurring revenue: what it is, what moved it, who left, what is unpaid."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from dateutil.relativedelta import relativedelta
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import factories
from tests.conftest import Cast
from tests.examples import some
from webapp import clock, tenancy
from webapp.extensions import db
from webapp.models.charges import ChargeStatus
from webapp.models.subscriptions import RHYTHMS, TRANSITIONS, Frequency, Subscription, SubscriptionStatus
from webapp.services.subscriptions import lifecycle, metrics, planning
from webapp.services.subscriptions.creation import create_subscription
from webapp.services.subscriptions.fields import SubscriptionFields, SubscriptionLineFields
from webapp.services.subscriptions.listing import ANY_RECURRING, SubscriptionsView, count_subscriptions
from webapp.services.subscriptions.metrics import MetricsScope, Movements

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
ZERO = Decimal("0.00")


def _day(number: int) -> datetime:
    return START + timedelta(days=number)


def _create(client_id: Any, price: str, at: datetime, frequency: str = "monthly") -> Subscription:
    return create_subscription(
        SubscriptionFields(
            client_id=client_id, frequency=frequency, anchor_date=at.date() + timedelta(days=1), lines=_lines(price)
        ),
        by=None,
        at=at,
    )


def _lines(price: str) -> list[SubscriptionLineFields]:
    return [SubscriptionLineFields(label="Coffret", unit_price=Decimal(price))]


def _begin(price: str, at: datetime, client_id: Any = None, frequency: str = "monthly") -> Subscription:
    subscription = _create(client_id or factories.ClientFactory().id, price, at, frequency)
    return lifecycle.activate(subscription.id, by=None, at=at)


def _reprice(subscription: Subscription, price: str, at: datetime) -> None:
    planning.plan_lines(subscription.id, _lines(price), version=subscription.version, by=None, at=at)


def _movements(since: int, until: int, **scope: Any) -> Movements:
    return metrics.movements(since=_day(since), until=_day(until), scope=MetricsScope(**scope))


def _shown(**view: Any) -> Decimal:
    """The MRR as the list of subscriptions has it, from what they are and not from what they were."""
    totals = count_subscriptions(SubscriptionsView(status=ANY_RECURRING, **view))
    return totals.mrr.get("EUR", ZERO)


def test_each_movement_has_its_name(cast: Cast) -> None:
    grows, shrinks, leaves, returns = (_begin("100", _day(0)) for _ in range(4))
    lifecycle.cancel(returns.id, reason="x", by=None, at=_day(1))
    _reprice(grows, "130", _day(10))
    _reprice(shrinks, "60", _day(11))
    lifecycle.cancel(leaves.id, reason="x", by=None, at=_day(12))
    _begin("20", _day(13), client_id=returns.client_id)
    _begin("7", _day(14))
    amounts = ("300.00", "7.00", "30.00", "40.00", "100.00", "20.00", "217.00")
    assert _movements(5, 20) == Movements(*map(Decimal, amounts))
    assert _shown() == Decimal("217.00")


def test_a_second_subscription_is_expansion_and_the_end_of_one_of_two_is_contraction(cast: Cast) -> None:
    first = _begin("100", _day(0))
    second = _begin("50", _day(10), client_id=first.client_id)
    assert _movements(5, 15).expansion == Decimal("50.00")
    lifecycle.cancel(second.id, reason="x", by=None, at=_day(20))
    assert (_movements(15, 25).contraction, _movements(15, 25).churn) == (Decimal("50.00"), ZERO)


def test_parts_that_are_no_whole_cents_still_add_up(cast: Cast) -> None:
    for day in (0, 10):
        _begin("0.10", _day(day), frequency="weekly")  # 0.4333… a month
    assert _movements(5, 15) == Movements(*map(Decimal, ("0.43", "0.44", "0.00", "0.00", "0.00", "0.00", "0.87")))


def test_an_unpaid_subscription_counts_until_it_ends(cast: Cast) -> None:
    subscription = _begin("100", _day(0))
    lifecycle.mark_past_due(subscription, reason="x", at=_day(10))
    assert _movements(5, 15).end == Decimal("100.00")
    lifecycle.cancel(subscription.id, reason="x", by=None, at=_day(20))
    assert _movements(15, 25).churn == Decimal("100.00")


def test_what_comes_and_goes_within_a_period_moves_nothing(cast: Cast) -> None:
    subscription = _begin("100", _day(10))
    lifecycle.cancel(subscription.id, reason="x", by=None, at=_day(11))
    assert set(_movements(5, 15)) == {ZERO}


def test_figures_can_be_narrowed_to_commercials_and_a_currency(cast: Cast) -> None:
    _begin("100", _day(0), client_id=factories.ClientFactory(commercial_id=cast.sales_rep.id).id)
    _begin("50", _day(0))
    mine = MetricsScope(commercial_ids=[cast.sales_rep.id])
    assert _shown(commercial=cast.sales_rep.id) == Decimal("100.00")
    assert _movements(-1, 1, commercial_ids=[cast.sales_rep.id]).new == Decimal("100.00")
    assert metrics.churn(since=_day(-1), until=_day(1), scope=mine) == (0, 1)
    assert set(_movements(-1, 1, commercial_ids=[])) == {ZERO}
    assert set(_movements(-1, 1, currency="CHF")) == {ZERO}


def test_another_organisation_has_its_own_figures(cast: Cast) -> None:
    _begin("100", _day(0))
    with tenancy.organisation(cast.other_organisation.id):
        assert _shown() == 0
        assert set(_movements(-5, 5)) == {ZERO}
        assert metrics.churn(since=_day(-5), until=_day(5)).rate is None


STEPS = st.lists(
    st.tuples(
        st.integers(0, 3),  # which subscription
        st.sampled_from([*SubscriptionStatus, "reprice"]),
        st.integers(0, 5000),  # new price in cents
        st.integers(0, 9),  # days later
    ),
    max_size=15,
)


@contextmanager
def _organisation_of_its_own() -> Iterator[None]:
    """Each example of a property starts with nothing."""
    with tenancy.organisation(factories.OrganisationFactory().id):
        factories.CompanyFactory(is_default=True)
        yield


@given(steps=STEPS, frequencies=st.lists(st.sampled_from(RHYTHMS), min_size=4, max_size=4))
@settings(max_examples=some(25), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_movements_always_lead_from_the_start_to_the_end(
    session: None, steps: list[Any], frequencies: list[Frequency]
) -> None:
    with _organisation_of_its_own():
        clients = [factories.ClientFactory().id, factories.ClientFactory().id]
        subscriptions = [_create(clients[number % 2], "12.34", START, each) for number, each in enumerate(frequencies)]
        day = _live_through(subscriptions, steps)
        cuts = [-1, day // 3, day // 2, day + 1]
        periods = [_movements(since, until) for since, until in pairwise(cuts)]
        for each in periods:
            total = each.start + each.new + each.expansion - each.contraction - each.churn + each.reactivation
            assert total == each.end
            assert min(each) >= 0
        assert all(before.end == after.start for before, after in pairwise(periods))
        assert periods[-1].end == _shown()
        last = _day(day + 1).date()
        by_month = metrics.revenue_by_month(months=3, until=last)
        assert list(by_month.values())[-1] == _shown()
        for month, revenue in by_month.items():
            after = clock.start_of(month + relativedelta(months=1))
            assert metrics.movements(since=START - timedelta(days=99), until=after).end == revenue


def _live_through(subscriptions: list[Subscription], steps: list[Any]) -> int:
    """Do what the table of transitions allows of ``steps``; returns the last day."""
    day = 0
    for which, step, price, later in steps:
        subscription, day = subscriptions[which], day + later
        if step == "reprice":
            if not subscription.status.is_final:
                _reprice(subscription, str(Decimal(price) / 100), _day(day))
        elif step in TRANSITIONS[subscription.status]:
            lifecycle.change_status(subscription, step, reason=None, by=None, at=_day(day))
            db.session.flush()
    return day


# Rates


def test_the_churn_rate_is_those_who_left_over_those_who_were_here(cast: Cast) -> None:
    assert metrics.churn(since=_day(0), until=_day(30)).rate is None
    stays, leaves = _begin("10", _day(-10)), _begin("10", _day(-10))
    long_gone = _begin("10", _day(-10))
    lifecycle.cancel(long_gone.id, reason="x", by=None, at=_day(-5))
    lifecycle.cancel(leaves.id, reason="x", by=None, at=_day(5))
    _begin("10", _day(6))
    passing = _begin("10", _day(7))
    lifecycle.cancel(passing.id, reason="x", by=None, at=_day(8))
    later = _begin("10", _day(31))
    assert {stays.status, later.status} == {SubscriptionStatus.ACTIVE}
    assert metrics.churn(since=_day(0), until=_day(30)).rate == Decimal(2) / 4


def test_who_never_paid_has_not_left(cast: Cast) -> None:
    never_began = _create(factories.ClientFactory().id, "10", _day(1))
    lifecycle.cancel(never_began.id, reason="x", by=None, at=_day(2))
    assert metrics.churn(since=_day(0), until=_day(30)) == (0, 0)


def test_the_unpaid_rate_is_over_what_was_due(cast: Cast) -> None:
    subscription = _begin("10", _day(0))
    period = {"since": date(2026, 1, 1), "until": date(2026, 2, 1)}
    nothing = metrics.unpaid(**period)
    assert (nothing, nothing.rate) == ((0, 0), None)
    for cycle, status in enumerate(ChargeStatus):
        factories.ChargeFactory(
            subscription_id=subscription.id,
            client_id=subscription.client_id,
            cycle_no=cycle,
            status=status,
            due_on=date(2026, 1, 31),
            amount=Decimal(10),
        )
    factories.ChargeFactory(
        subscription_id=subscription.id, client_id=subscription.client_id, cycle_no=99, due_on=date(2026, 2, 1)
    )
    # Skipped and canceled ones are not owed; sending, processing and succeeded ones are not unpaid.
    assert metrics.unpaid(**period).rate == Decimal(6) / 9
    assert metrics.unpaid(**period, scope=MetricsScope(commercial_ids=[])).rate is None
