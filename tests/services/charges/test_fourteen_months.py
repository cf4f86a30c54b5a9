"""Fourteen months of one organisation, day by day, against a ledger worked out by hand."""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from sqlalchemy import func, select

from tests.conftest import Cast
from tests.services.charges.world import World
from webapp import clock
from webapp.extensions import db
from webapp.models.charges import ChargeStatus
from webapp.models.contracts import PaymentMethod
from webapp.models.invoices import Invoice
from webapp.models.payments import Payment
from webapp.models.subscriptions import Frequency, Subscription, SubscriptionStatus
from webapp.services.charges import decisions, reconciling, runs, sweeping
from webapp.services.subscriptions import lifecycle

FIRST, LAST = date(2026, 1, 1), date(2027, 2, 28)
MORNING, EVENING = time(9), time(18)


def _at(day: date, hour: time) -> datetime:
    return datetime.combine(day, hour, clock.PARIS)


def _live(world: World, events: dict[date, Callable[[], object]]) -> None:
    """What the timetable does, on every day; ``events`` happen in the morning, before it."""
    day = FIRST
    while day <= LAST:
        world.move_to(_at(day, MORNING))
        events.get(day, lambda: None)()
        lifecycle.resume_due(at=clock.now())
        lifecycle.end_due(at=clock.now())
        if runs.list_organisations_waiting(at=clock.now()):
            world.run()
        world.move_to(_at(day, EVENING))
        if sweeping.find_waiting(at=clock.now()):
            world.sweep()
        day += timedelta(days=1)


def _ledger(subscription: Subscription) -> list[tuple[str, str]]:
    rows = db.session.scalars(
        select(Payment).where(Payment.client_id == subscription.client_id).order_by(Payment.recorded_at, Payment.id)
    )
    return [(f"{row.recorded_at.astimezone(clock.PARIS):%Y-%m-%d}", str(row.amount)) for row in rows]


def _each(amount: str, *days: str) -> list[tuple[str, str]]:
    return [(day, amount) for day in days]


def test_fourteen_months(world: World, cast: Cast) -> None:
    world.move_to(_at(FIRST, time(8)))
    monthly = world.subscribe("20.00", anchor=date(2026, 1, 31))
    quarterly = world.subscribe("10.00", anchor=date(2026, 1, 15), frequency=Frequency.QUARTERLY)
    refused = world.subscribe("15.00", anchor=date(2026, 3, 11))
    unpaid = world.subscribe("8.00", anchor=date(2026, 2, 5))
    weekly = world.subscribe("5.00", anchor=date(2026, 10, 5), frequency=Frequency.WEEKLY)
    yearly = world.subscribe("100.00", anchor=date(2024, 2, 29), frequency=Frequency.ANNUAL, cycle_no=2)
    behave = world.ledger.behave

    def reverse_april() -> None:
        (april,) = [each for each in world.charges(quarterly) if each.due_on == date(2026, 4, 15)]
        world.ledger.reverse(april.attempts[-1].id)
        reconciling.reconcile(world.organisation_id, at=clock.now())

    def note_paid(subscription: Subscription, method: PaymentMethod) -> Callable[[], object]:
        def note() -> None:
            (owed,) = [each for each in world.charges(subscription) if each.attention is not None]
            decisions.mark_paid(owed.id, method=method, paid_on=clock.today(), by=cast.manager, at=clock.now())

        return note

    def pause_weekly() -> None:
        lifecycle.pause(weekly.id, reason="Vacances", by=cast.manager, at=clock.now(), resume_on=date(2026, 11, 23))

    def cancel_weekly() -> None:
        lifecycle.cancel(weekly.id, reason="Déménagement", by=cast.manager, at=clock.now(), at_period_end=True)

    _live(
        world,
        {
            # The client of the quarterly one has April returned by the bank, and transfers it.
            date(2026, 5, 5): reverse_april,
            date(2026, 5, 20): note_paid(quarterly, PaymentMethod.TRANSFER),
            # June is refused three times, and paid on the seventh day.
            date(2026, 6, 11): lambda: behave("soft"),
            date(2026, 6, 12): lambda: behave("succeed"),
            date(2026, 6, 14): lambda: behave("soft"),
            date(2026, 6, 17): lambda: behave("succeed"),
            # August is refused to the end; a cheque comes in October.
            date(2026, 8, 5): lambda: behave("soft"),
            date(2026, 8, 6): lambda: behave("succeed"),
            date(2026, 8, 8): lambda: behave("soft"),
            date(2026, 8, 9): lambda: behave("succeed"),
            date(2026, 8, 10): lambda: behave("soft"),
            date(2026, 8, 11): lambda: behave("succeed"),
            date(2026, 8, 12): lambda: behave("soft"),
            date(2026, 8, 13): lambda: behave("succeed"),
            date(2026, 10, 20): note_paid(unpaid, PaymentMethod.CHEQUE),
            # The provider answers nobody on the last day of the year, and had captured all the same.
            date(2026, 12, 31): lambda: behave("timeout"),
            date(2027, 1, 1): lambda: behave("succeed"),
            date(2026, 11, 1): pause_weekly,
            date(2026, 12, 15): cancel_weekly,
        },
    )

    assert _ledger(monthly) == _each(
        "24.00",
        *("2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31", "2026-06-30", "2026-07-31"),
        *("2026-08-31", "2026-09-30", "2026-10-31", "2026-11-30", "2026-12-31", "2027-01-31", "2027-02-28"),
    )
    assert _ledger(quarterly) == [
        ("2026-01-15", "12.00"),
        ("2026-04-15", "12.00"),
        ("2026-05-05", "-12.00"),
        ("2026-05-20", "12.00"),
        *_each("12.00", "2026-07-15", "2026-10-15", "2027-01-15"),
    ]
    assert _ledger(refused) == _each(
        "18.00",
        *("2026-03-11", "2026-04-11", "2026-05-11", "2026-06-18", "2026-07-11", "2026-08-11", "2026-09-11"),
        *("2026-10-11", "2026-11-11", "2026-12-11", "2027-01-11", "2027-02-11"),
    )
    assert _ledger(unpaid) == _each(
        "9.60",
        *("2026-02-05", "2026-03-05", "2026-04-05", "2026-05-05", "2026-06-05", "2026-07-05"),
        *("2026-10-20", "2026-11-05", "2026-12-05", "2027-01-05", "2027-02-05"),
    )
    assert [each.due_on for each in world.charges(unpaid) if each.status is ChargeStatus.SKIPPED] == [
        date(2026, 9, 5),
        date(2026, 10, 5),
    ]
    assert _ledger(weekly) == _each(
        "6.00",
        *("2026-10-05", "2026-10-12", "2026-10-19", "2026-10-26"),
        *("2026-11-23", "2026-11-30", "2026-12-07", "2026-12-14"),
    )
    assert _ledger(yearly) == _each("120.00", "2026-02-28", "2027-02-28")

    assert [world.reload(each).status for each in (monthly, quarterly, refused, unpaid, weekly, yearly)] == [
        *[SubscriptionStatus.ACTIVE] * 4,
        SubscriptionStatus.CANCELED,
        SubscriptionStatus.ACTIVE,
    ]
    # 14 × 24 + 5 × 12 + 12 × 18 + 11 × 9.60 + 8 × 6 + 2 × 120
    captured = db.session.execute(select(func.sum(Payment.amount))).scalar_one()
    assert captured == Decimal("1005.60")
    assert db.session.execute(select(func.sum(Invoice.total))).scalar_one() == captured
    assert db.session.execute(select(func.sum(Invoice.paid))).scalar_one() == captured
    # What the provider has, and what came by transfer and by cheque.
    assert sum(amount for *_, amount in world.ledger.captures()) == captured - Decimal("12.00") - Decimal("9.60")
