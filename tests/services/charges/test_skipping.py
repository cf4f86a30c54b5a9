"""A cycle that its client asked to skip: no money, nothing used up, and the next one as if nothing had been."""

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from flask import Flask

from tests import factories
from tests.concurrency import in_turn
from tests.conftest import Cast
from tests.services.charges.ledger import Ledger
from tests.services.charges.world import World
from webapp import clock
from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.models.charges import ChargeStatus
from webapp.models.identity import User
from webapp.models.invoices import Invoice
from webapp.models.subscriptions import Subscription, SubscriptionHistory, SubscriptionStatus
from webapp.models.timeline import TimelineEvent
from webapp.services.charges import claiming, preview
from webapp.services.charges.preview import Fate
from webapp.services.subscriptions import lifecycle, skipping
from webapp.services.subscriptions.forecasting import forecast
from webapp.services.subscriptions.skipping import NotToSkipError

EVE = datetime.fromisoformat("2026-01-30T08:00+01:00")
DUE = datetime.fromisoformat("2026-01-31T08:00+01:00")


def _skip(subscription: Subscription, cycle: int = 0, *, by: User | None = None) -> None:
    skipping.skip_cycle(subscription.id, cycle, by=by, at=clock.now())


def _charge(subscription: Subscription, cycle: int = 0) -> None:
    skipping.charge_after_all(subscription.id, cycle, by=None, at=clock.now())


def test_nothing_is_asked_for_it_and_the_next_one_is_asked_for(world: World) -> None:
    subscription = world.subscribe()
    _skip(subscription)
    run = world.run()
    charge = world.charge()
    assert (charge.status, charge.explanation) == (ChargeStatus.SKIPPED, "Sautée à la demande du client.")
    assert (run.skipped, run.charged) == (1, 0)
    assert (world.attempts(), world.payments(), db.session.query(Invoice).count()) == ([], [], 0)
    assert "subscription.charged" not in world.events()
    subscription = world.reload(subscription)
    assert (subscription.cycle_no, subscription.next_charge_on) == (1, date(2026, 2, 28))
    assert subscription.status is SubscriptionStatus.ACTIVE
    assert subscription.recurring_amount == Decimal("20.00")
    world.move_to(datetime.fromisoformat("2026-02-28T08:00+01:00"))
    assert world.run().charged == 1
    assert world.ledger.captures() == [(subscription.id, 1, Decimal("24.00"))]


def test_a_run_that_is_repeated_skips_it_once(world: World) -> None:
    _skip(world.subscribe())
    for _ in range(2):
        world.run()
    assert world.charge().status is ChargeStatus.SKIPPED


def test_trial_and_set_up_fee_wait_for_a_cycle_that_is_not_skipped(world: World) -> None:
    subscription = world.subscribe(trial_cycles_left=1, setup_fee=Decimal(10), setup_vat_rate=Decimal(20))
    _skip(subscription)
    world.run()
    subscription = world.reload(subscription)
    assert (subscription.trial_cycles_left, subscription.setup_fee) == (1, Decimal(10))


def test_preview_and_forecast_show_it_skipped(world: World) -> None:
    subscription = world.subscribe()
    world.subscribe("10.00")
    _skip(subscription)
    found = preview.preview(at=clock.now())
    assert (found.count, found.amounts) == (1, {"EUR": Decimal("12.00")})
    assert {group.fate: group.count for group in found.not_asked} == {Fate.SKIPPED: 1}
    first, second, *_ = forecast(world.reload(subscription), at=clock.now())
    assert (first.cycle, first.amount, first.is_skipped) == (0, Decimal(0), True)
    assert (second.cycle, second.amount, second.is_skipped) == (1, Decimal("20.00"), False)


def test_the_wish_is_told_once_and_withdrawn_until_the_cycle_is_due(world: World) -> None:
    subscription = world.subscribe()
    world.move_to(EVE)
    for act in (_skip, _skip, _charge, _charge):
        act(subscription)
    rows = db.session.query(SubscriptionHistory).order_by(SubscriptionHistory.id).all()
    assert [row.changes["skips_cycle"] for row in rows] == [[None, "2026-01-31"], ["2026-01-31", None]]
    assert db.session.query(TimelineEvent).count() == 2
    world.move_to(DUE)
    assert world.run().charged == 1


def test_a_wish_that_is_due_stays(world: World) -> None:
    subscription = world.subscribe()
    _skip(subscription)
    with pytest.raises(NotToSkipError, match="est arrivée"):
        _charge(subscription)


@pytest.mark.parametrize("act", [_skip, _charge])
@pytest.mark.parametrize("cycle", [-1, 0, 2, 10**30])
def test_what_is_charged_or_not_the_next_is_not_skipped(world: World, act: object, cycle: int) -> None:
    subscription = world.subscribe()
    world.run()
    with pytest.raises(NotToSkipError, match="n’est plus à venir"):
        act(subscription, cycle)  # type: ignore[operator]


@pytest.mark.parametrize("status", [status for status in SubscriptionStatus if status is not SubscriptionStatus.ACTIVE])
def test_only_an_active_subscription_skips(world: World, status: SubscriptionStatus) -> None:
    subscription = world.subscribe(status=status)
    with pytest.raises(NotToSkipError, match="abonnement actif"):
        _skip(subscription)


def test_what_was_paused_over_its_cycle_skips_no_other(world: World) -> None:
    subscription = world.subscribe()
    world.move_to(EVE)
    _skip(subscription)
    lifecycle.pause(subscription.id, reason="Voyage", by=None, at=clock.now())
    world.move_to(datetime.fromisoformat("2026-02-28T08:00+01:00"))
    lifecycle.resume(subscription.id, by=None, at=clock.now())
    assert world.run().charged == 1


def test_nothing_of_another_organisation_is_skipped(world: World) -> None:
    with pytest.raises(NotFoundError):
        skipping.skip_cycle(UUID(int=1), 0, by=None, at=clock.now())


def test_a_wish_that_comes_while_its_cycle_is_claimed_is_refused(app: Flask, committed: None, ledger: Ledger) -> None:
    organisation_id = factories.make_cast(Cast).organisation.id
    world = World(organisation_id, ledger, factories.ProviderAccountFactory())
    world.move_to(DUE)
    subscription_id = world.subscribe().id

    def claim() -> int:
        return len(claiming.claim_due(before=DUE, limit=10, at=DUE).claims)

    def wish() -> str:
        try:
            skipping.skip_cycle(subscription_id, 0, by=None, at=DUE)
        except NotToSkipError as refusal:
            return refusal.message
        return "skipped"

    assert "en cours de l’être" in in_turn(app, organisation_id, claim, wish)
