"""Changes that wait for the next cycle: shown, taken back, and made exactly once, with the charge of that cycle."""

from datetime import date, datetime
from decimal import Decimal

import pytest
from sqlalchemy import select

from tests.conftest import Cast
from tests.services.charges.conftest import ledger, world
from tests.services.charges.world import World
from webapp import clock
from webapp.extensions import db
from webapp.models.plan_changes import PlannedChange
from webapp.models.subscriptions import Subscription, SubscriptionHistory, SubscriptionStatus
from webapp.services.charges import preview
from webapp.services.subscriptions import forecasting, history, lifecycle, planning
from webapp.services.subscriptions.fields import SubscriptionLineFields
from webapp.services.subscriptions.planning import NothingPlannedError

__all__ = ["ledger", "world"]

BIG = SubscriptionLineFields(label="Grand coffret", unit_price=Decimal("60.00"))


@pytest.fixture
def sold(world: World) -> Subscription:
    """30 € a month, charged for June; July is next."""
    world.move_to(datetime.fromisoformat("2026-06-01T08:00+02:00"))
    subscription = world.subscribe("30.00", anchor=date(2026, 6, 1))
    world.run()
    return subscription


def _plan(world: World, cast: Cast, subscription: Subscription) -> None:
    version = world.reload(subscription).version
    planning.plan_lines(subscription.id, [BIG], version=version, by=cast.manager, at=clock.now())


def _july(world: World) -> None:
    world.move_to(datetime.fromisoformat("2026-07-01T08:00+02:00"))
    world.run()


def _last_change(subscription: Subscription) -> SubscriptionHistory:
    return history.list_history(subscription.id)[0]


def test_it_is_made_with_the_charge_of_the_next_cycle_and_moves_the_revenue_then(
    world: World, cast: Cast, sold: Subscription
) -> None:
    _plan(world, cast, sold)
    assert world.reload(sold).recurring_amount == Decimal("30.00")
    assert _last_change(sold).annual_after == Decimal(360)
    _july(world)
    assert world.charges(sold)[1].amount == Decimal("72.00")
    changed = world.reload(sold)
    assert (changed.recurring_amount, [line.label for line in changed.lines]) == (Decimal("60.00"), ["Grand coffret"])
    row = _last_change(sold)
    assert (row.annual_before, row.annual_after, row.reason) == (
        Decimal(360),
        Decimal(720),
        "Changement prévu pour cette échéance",
    )
    assert db.session.scalars(select(PlannedChange)).all() == []


def test_it_is_made_once_however_often_the_engine_runs(world: World, cast: Cast, sold: Subscription) -> None:
    _plan(world, cast, sold)
    _july(world)
    world.run()
    assert len(world.charges(sold)) == 2
    moves = [row for row in history.list_history(sold.id) if row.annual_before != row.annual_after]
    assert len(moves) == 1


def test_it_can_be_taken_back(world: World, cast: Cast, sold: Subscription) -> None:
    _plan(world, cast, sold)
    planning.withdraw_plan(sold.id, version=world.reload(sold).version, by=cast.manager, at=clock.now())
    _july(world)
    assert world.charges(sold)[1].amount == Decimal("36.00")
    with pytest.raises(NothingPlannedError):
        planning.withdraw_plan(sold.id, version=world.reload(sold).version, by=cast.manager, at=clock.now())


def test_a_second_plan_takes_the_place_of_the_first(world: World, cast: Cast, sold: Subscription) -> None:
    _plan(world, cast, sold)
    small = SubscriptionLineFields(label="Petit", unit_price=Decimal("10.00"))
    version = world.reload(sold).version
    planning.plan_lines(sold.id, [small], version=version, by=cast.manager, at=clock.now())
    _july(world)
    assert world.charges(sold)[1].amount == Decimal("12.00")


def test_the_forecast_and_the_preview_of_a_run_know_of_it(world: World, cast: Cast, sold: Subscription) -> None:
    _plan(world, cast, sold)
    amounts = [each.amount for each in forecasting.forecast(sold, at=clock.now(), months=2)]
    assert amounts == [Decimal("60.00")]
    world.move_to(datetime.fromisoformat("2026-07-01T08:00+02:00"))
    assert preview.preview(at=clock.now()).amounts == {"EUR": Decimal("72.00")}
    world.run()
    assert world.charges(sold)[1].amount == Decimal("72.00")


def test_a_skipped_cycle_makes_it_too(world: World, cast: Cast, sold: Subscription) -> None:
    _plan(world, cast, sold)
    lifecycle.mark_past_due(lifecycle.find_for_update(sold.id), reason="Impayé", at=clock.now())
    db.session.commit()
    _july(world)
    assert world.reload(sold).status is SubscriptionStatus.PAST_DUE
    assert world.reload(sold).recurring_amount == Decimal("60.00")


def test_while_nothing_was_charged_there_is_nothing_to_wait_for(world: World, cast: Cast) -> None:
    subscription = world.subscribe("30.00", anchor=date(2026, 3, 1), status=SubscriptionStatus.PENDING)
    _plan(world, cast, subscription)
    assert world.reload(subscription).recurring_amount == Decimal("60.00")
    assert planning.find_plan(subscription.id) is None
