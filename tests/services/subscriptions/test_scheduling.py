"""Due dates are computed from the anchor, never from the last date, in the subscription's own zone."""

import calendar
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import factories
from tests.conftest import Cast
from webapp import tenancy
from webapp.extensions import db
from webapp.models.subscriptions import PER_YEAR, RHYTHMS, Frequency, Rhythm, Subscription, SubscriptionStatus
from webapp.services.subscriptions import forecasting, scheduling
from webapp.services.subscriptions.fields import CheckedLine
from webapp.services.subscriptions.scheduling import due_date, first_cycle_from, instant_of, period_of
from webapp.services.subscriptions.terms import Terms

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
anchors = st.dates(min_value=date(2020, 1, 1), max_value=date(2030, 12, 31))
frequencies = st.sampled_from(RHYTHMS)


def _subscription(**values: object) -> Subscription:
    return Subscription(
        **{
            "status": SubscriptionStatus.ACTIVE,
            "frequency": Frequency.MONTHLY,
            "anchor_date": date(2026, 1, 31),
            "charge_time": time(0),
            "timezone": "Europe/Paris",
            "cycle_no": 0,
            "recurring_amount": Decimal("20.00"),
        }
        | values
    )


# Dates of cycles


def test_the_31st_is_clamped_to_short_months_and_comes_back() -> None:
    dates = [due_date(date(2027, 1, 31), Frequency.MONTHLY, cycle) for cycle in range(5)]
    assert [day.isoformat() for day in dates] == [
        "2027-01-31",
        "2027-02-28",
        "2027-03-31",
        "2027-04-30",
        "2027-05-31",
    ]


def test_the_29th_of_february_comes_back_in_leap_years() -> None:
    dates = [due_date(date(2024, 2, 29), Frequency.ANNUAL, cycle) for cycle in range(5)]
    assert [(day.month, day.day) for day in dates] == [(2, 29), (2, 28), (2, 28), (2, 28), (2, 29)]


@pytest.mark.parametrize("start_day", range(1, 32))
@pytest.mark.parametrize("frequency", RHYTHMS)
def test_an_anchor_does_not_drift_in_30_years(frequency: Rhythm, start_day: int) -> None:
    anchor = date(2024, 1, start_day)
    for cycle in range(PER_YEAR[frequency] * 30 + 1):
        day = due_date(anchor, frequency, cycle)
        if days := scheduling.DAYS.get(frequency):
            assert (day - anchor).days == days * cycle
        else:
            months = scheduling.MONTHS[frequency] * cycle
            assert (day.year, day.month) == (2024 + months // 12, 1 + months % 12)
            assert day.day == min(start_day, calendar.monthrange(day.year, day.month)[1])


@given(anchors, frequencies, st.integers(0, 30 * 52))
def test_periods_follow_each_other_without_gap_or_overlap(anchor: date, frequency: Frequency, cycle: int) -> None:
    assert period_of(anchor, frequency, cycle).end == period_of(anchor, frequency, cycle + 1).start
    assert period_of(anchor, frequency, cycle).start < period_of(anchor, frequency, cycle).end


@given(anchors, frequencies, st.dates(min_value=date(2019, 1, 1), max_value=date(2060, 12, 31)))
def test_the_first_cycle_from_a_day_is_the_first_not_before_it(anchor: date, frequency: Frequency, day: date) -> None:
    cycle = first_cycle_from(anchor, frequency, day)
    assert cycle >= 0
    assert due_date(anchor, frequency, cycle) >= day
    assert cycle == 0 or due_date(anchor, frequency, cycle - 1) < day


# Instants


def test_a_local_time_that_does_not_exist_moves_forward() -> None:
    instant = instant_of(date(2026, 3, 29), time(2, 30), "Europe/Paris")
    assert instant.astimezone(ZoneInfo("Europe/Paris")).isoformat() == "2026-03-29T03:30:00+02:00"


def test_a_local_time_that_exists_twice_is_the_first_of_the_two() -> None:
    instant = instant_of(date(2026, 10, 25), time(2, 30), "Europe/Paris")
    assert instant == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


@given(
    st.dates(min_value=date(2024, 1, 1), max_value=date(2040, 1, 1)),
    st.sampled_from(["Europe/Paris", "America/Guadeloupe", "Indian/Reunion", "Pacific/Noumea", "Africa/Cairo"]),
)
def test_midnight_of_a_day_falls_on_that_local_date(day: date, zone: str) -> None:
    assert scheduling.local_date(instant_of(day, time(0), zone), zone) == day


# A subscription's own schedule


def test_a_late_run_does_not_move_the_schedule() -> None:
    subscription = _subscription()
    scheduling.schedule(subscription, 0)
    for _ in range(3):
        scheduling.advance(subscription)  # whenever that happens
    assert (subscription.cycle_no, subscription.next_charge_on) == (3, date(2026, 4, 30))
    assert subscription.next_charge_at == datetime(2026, 4, 29, 22, tzinfo=UTC)  # midnight in summer time


@pytest.mark.parametrize("status", [SubscriptionStatus.PAUSED, SubscriptionStatus.CANCELED, SubscriptionStatus.EXPIRED])
def test_nothing_falls_due_in_a_state_without_charges(status: SubscriptionStatus) -> None:
    subscription = _subscription(status=status)
    scheduling.schedule(subscription, 2)
    assert (subscription.cycle_no, subscription.next_charge_on, subscription.next_charge_at) == (2, None, None)


def test_a_cycle_on_the_last_day_is_charged_and_a_later_one_is_not() -> None:
    subscription = _subscription(ends_on=date(2026, 2, 28))
    scheduling.schedule(subscription, 1)
    assert subscription.next_charge_on == date(2026, 2, 28)
    scheduling.advance(subscription)
    assert subscription.next_charge_on is None


def test_no_cycle_falls_due_on_the_day_of_a_planned_cancellation() -> None:
    subscription = _subscription(cancels_on=date(2026, 2, 28))
    scheduling.schedule(subscription, 1)
    assert subscription.next_charge_on is None


def test_skipped_cycles_are_named() -> None:
    subscription = _subscription(cycle_no=2)
    assert list(scheduling.skip_to(subscription, date(2026, 5, 31))) == [2, 3]
    assert subscription.next_charge_on == date(2026, 5, 31)
    assert list(scheduling.skip_to(subscription, date(2026, 1, 1))) == []
    assert subscription.cycle_no == 4


def test_what_is_paid_ends_with_the_paid_period() -> None:
    paid = _subscription(cycle_no=1, current_period_end=date(2026, 2, 28))
    assert scheduling.end_of_paid_period(paid, date(2026, 2, 10)) == date(2026, 2, 28)
    # On the day of the next cycle, before the engine came: nothing more is charged.
    assert scheduling.end_of_paid_period(paid, date(2026, 2, 28)) == date(2026, 2, 28)
    # An engine that is late will still charge the cycle that today falls into.
    assert scheduling.end_of_paid_period(paid, date(2026, 3, 1)) == date(2026, 3, 31)


# What is due


def test_due_ones_come_the_longest_due_first_and_only_those_of_the_organisation(cast: Cast) -> None:
    client = factories.ClientFactory()
    late, later, _ = (
        factories.SubscriptionFactory(client_id=client.id, next_charge_on=at.date(), next_charge_at=at)
        for at in (NOON - timedelta(days=3), NOON, NOON + timedelta(seconds=1))
    )
    factories.SubscriptionFactory(client_id=client.id, status=SubscriptionStatus.PAUSED)
    with tenancy.organisation(cast.other_organisation.id):
        factories.SubscriptionFactory(
            client_id=factories.ClientFactory().id, next_charge_on=NOON.date(), next_charge_at=NOON
        )
    assert [subscription_id for subscription_id, _ in scheduling.list_due(before=NOON)] == [late.id, later.id]
    assert scheduling.count_due(before=NOON) == 2
    assert [scheduling.is_due(each, at=NOON) for each in (late, later)] == [True, True]
    (locked,) = db.session.scalars(
        scheduling.due_statement(before=NOON, limit=1).with_for_update(skip_locked=True)
    ).all()
    assert locked.id == late.id


def test_only_organisations_with_something_due_are_visited(cast: Cast) -> None:
    factories.SubscriptionFactory(
        client_id=factories.ClientFactory().id, next_charge_on=NOON.date(), next_charge_at=NOON
    )
    tenancy.enter_organisation(None)
    assert scheduling.list_organisations_with_due(before=NOON) == [cast.organisation.id]
    assert scheduling.list_organisations_with_due(before=NOON - timedelta(seconds=1)) == []


# What is to come

BOX = CheckedLine(
    label="Coffret",
    unit_price=Decimal("20.00"),
    quantity=Decimal(1),
    vat_rate=Decimal(20),
    discount=Decimal(0),
    product_id=None,
)
TERMS = Terms(lines=(BOX,), frequency=Frequency.MONTHLY, anchor_date=date(2026, 1, 31))


def test_the_forecast_tells_twelve_months_of_charges() -> None:
    charges = forecasting.forecast(_subscription(cycle_no=10), at=NOON, terms=TERMS)
    assert [(charge.cycle, charge.on.isoformat()) for charge in charges[:2]] == [(10, "2026-11-30"), (11, "2026-12-31")]
    assert len(charges) == 12
    assert {charge.amount for charge in charges} == {Decimal("20.00")}


@pytest.mark.parametrize(
    ("values", "first", "number"),
    [
        ({"status": SubscriptionStatus.PAUSED}, None, 0),
        ({"status": SubscriptionStatus.PAUSED, "resume_on": date(2027, 3, 1)}, date(2027, 3, 31), 8),
        ({"status": SubscriptionStatus.CANCELED}, None, 0),
        ({"ends_on": date(2027, 1, 31)}, date(2026, 11, 30), 3),
        ({"cancels_on": date(2026, 12, 31)}, date(2026, 11, 30), 1),
    ],
)
def test_the_forecast_knows_pauses_and_ends(values: dict[str, object], first: date | None, number: int) -> None:
    charges = forecasting.forecast(_subscription(cycle_no=10, **values), at=NOON, terms=TERMS)
    assert len(charges) == number
    assert (charges[0].on if charges else None) == first
