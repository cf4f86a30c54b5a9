"""From which cycle a change of preferences holds, by what became of the money and of the box.

Cycle 0 falls due on Saturday 31 January 2026; the first cut-off is on Monday 2 February at noon in Paris.
"""

from collections.abc import Iterator
from datetime import datetime, time, timedelta

import pytest
from flask import Flask

from tests import factories
from tests.concurrency import in_turn
from tests.services.charges.ledger import Ledger
from tests.services.fulfilment.conftest import ledger, world
from tests.services.fulfilment.world import CUT_OFF, FulfilmentWorld
from webapp import clock, tenancy
from webapp.extensions import db
from webapp.models.charges import ChargeStatus
from webapp.models.fulfilment import LineStatus
from webapp.models.preferences import ValueType
from webapp.models.subscriptions import Frequency, Subscription
from webapp.services.fulfilment import gathering, locking
from webapp.services.preferences import cut_offs, settling, values
from webapp.services.subscriptions import skipping

__all__ = ["ledger", "world"]

MINUTE = timedelta(minutes=1)


def _first(world: FulfilmentWorld, subscription: Subscription, at: datetime | None = None) -> int:
    subscription = world.reload(subscription)
    cut_off = cut_offs.find_cut_off(subscription.company_id)
    return settling.first_cycle_for_change(subscription, cut_off, at=at or clock.now())


def test_until_its_batch_is_locked_or_past_its_cut_off(world: FulfilmentWorld) -> None:
    subscription = world.subscribe()
    assert _first(world, subscription) == 0
    world.charge_all()
    assert _first(world, subscription, CUT_OFF - MINUTE) == 0
    assert _first(world, subscription, CUT_OFF) == 1
    world.lock()
    assert _first(world, subscription) == 1


def test_what_is_paid_after_weeks_of_retries_is_settled_with_its_box(world: FulfilmentWorld) -> None:
    subscription = world.subscribe(frequency=Frequency.WEEKLY)
    world.charge_all("soft")
    world.move_to(datetime.fromisoformat("2026-02-03T08:00+01:00"))
    world.charge_all("soft")
    assert world.charge().status is ChargeStatus.RETRYING
    assert _first(world, subscription) == 0
    world.move_to(datetime.fromisoformat("2026-02-05T08:00+01:00"))
    world.charge_all()
    assert world.line().cycle_no == 0
    assert _first(world, subscription) == 0
    assert _first(world, subscription, CUT_OFF + timedelta(days=7)) == 1


def test_the_earliest_of_several_counts(world: FulfilmentWorld) -> None:
    subscription = world.subscribe(frequency=Frequency.WEEKLY)
    world.charge_all("hard")
    world.move_to(datetime.fromisoformat("2026-02-07T08:00+01:00"))
    world.charge_all()
    assert [charge.status for charge in world.charges()] == [ChargeStatus.FAILED, ChargeStatus.SKIPPED]
    assert _first(world, subscription) == 0


@pytest.mark.parametrize("status", [ChargeStatus.CANCELED, ChargeStatus.SKIPPED])
def test_what_was_given_up_is_settled(world: FulfilmentWorld, status: ChargeStatus) -> None:
    subscription = world.subscribe()
    world.charge_all("hard")
    assert _first(world, subscription) == 0
    world.charge().status = status
    db.session.commit()
    assert _first(world, subscription) == 1


def test_what_was_refunded_before_the_lock_is_settled_and_what_was_rejected_is_not(world: FulfilmentWorld) -> None:
    refunded, rejected = world.subscribe(), world.subscribe()
    world.charge_all()
    world.refund(world.charge(refunded))
    world.reverse(world.charge(rejected))
    gathering.review([charge.id for charge in world.charges()], charged_at=None, at=clock.now())
    assert world.states() == [LineStatus.WITHDRAWN, LineStatus.WITHDRAWN]
    assert (_first(world, refunded), _first(world, rejected)) == (1, 0)


def test_what_was_rejected_after_the_lock_stays_settled(world: FulfilmentWorld) -> None:
    subscription = world.subscribe()
    world.charge_all()
    world.to_cut_off()
    world.lock()
    world.reverse(world.charge())
    world.deliver()
    assert (world.line().flag is not None, _first(world, subscription)) == (True, 1)


def test_a_line_that_is_held_is_settled_with_the_batch_that_takes_it(world: FulfilmentWorld) -> None:
    subscription = world.subscribe()
    world.subscribe()
    world.charge_all()
    held = next(line for line in world.lines() if line.subscription_id == subscription.id)
    held.held_reason = "Rupture"
    db.session.commit()
    world.to_cut_off()
    assert _first(world, subscription) == 1
    world.lock()
    assert _first(world, subscription) == 0


def test_where_a_person_locks_it_is_open_until_then(world: FulfilmentWorld) -> None:
    subscription = world.subscribe()
    cut_off = {"weekday": 0, "at": time(12), "timezone": "Europe/Paris", "is_active": True, "locks_itself": False}
    cut_offs.set_cut_off(subscription.company_id, **cut_off)  # type: ignore[arg-type]
    world.charge_all()
    world.to_cut_off()
    assert _first(world, subscription) == 0
    world.lock()
    assert _first(world, subscription) == 1


def test_what_ships_nothing_is_settled_by_the_first_cut_off_after_it_was_paid(world: FulfilmentWorld) -> None:
    subscription = world.subscribe()
    subscription.lines[0].is_shipped = False
    db.session.commit()
    world.charge_all()
    assert world.lines() == []
    assert [_first(world, subscription, at) for at in (CUT_OFF - MINUTE, CUT_OFF)] == [0, 1]


def test_a_company_without_batches_settles_what_is_charged(world: FulfilmentWorld) -> None:
    subscription = world.subscribe()
    cut_offs.set_cut_off(subscription.company_id, weekday=0, at=time(12), timezone="Europe/Paris", is_active=False)
    world.charge_all("hard")
    assert _first(world, subscription) == 1


def test_a_skipped_cycle_is_settled(world: FulfilmentWorld) -> None:
    subscription = world.subscribe()
    skipping.skip_cycle(subscription.id, 0, by=None, at=clock.now())
    world.charge_all()
    assert _first(world, subscription) == 1


@pytest.fixture
def committed_world(committed: None, ledger: Ledger) -> Iterator[FulfilmentWorld]:
    organisation = factories.OrganisationFactory()
    tenancy.enter_organisation(organisation.id)
    factories.CompanyFactory(is_default=True)
    world = FulfilmentWorld(organisation.id, ledger, factories.ProviderAccountFactory(rate_per_second=100_000))
    world.move_to(datetime.fromisoformat("2026-01-31T08:00+01:00"))
    yield world
    clock.start_at(None)


def test_a_change_while_its_batch_is_locked_holds_for_the_next(app: Flask, committed_world: FulfilmentWorld) -> None:
    world = committed_world
    factories.PreferenceSchemaFactory(code="mouture", value_type=ValueType.STRING, default="Grains")
    subscription_id = world.subscribe().id
    world.charge_all()
    batch_id, before = world.open_batch().id, clock.now()
    cycle = in_turn(
        app,
        world.organisation_id,
        lambda: locking.lock(batch_id, by=None, at=before),
        lambda: values.set_values(subscription_id, {"mouture": "Moulu"}, by=None, at=before),
    )
    db.session.rollback()
    assert cycle == 1
    assert (world.line().preference_snapshot or {})["mouture"]["value"] == "Grains"


def test_a_lock_while_preferences_change_takes_the_new_ones(app: Flask, committed_world: FulfilmentWorld) -> None:
    world = committed_world
    factories.PreferenceSchemaFactory(code="mouture", value_type=ValueType.STRING, default="Grains")
    subscription_id = world.subscribe().id
    world.charge_all()
    batch_id, before = world.open_batch().id, clock.now()
    in_turn(
        app,
        world.organisation_id,
        lambda: values.set_values(subscription_id, {"mouture": "Moulu"}, by=None, at=before),
        lambda: locking.lock(batch_id, by=None, at=before),
    )
    db.session.rollback()
    assert (world.line().preference_snapshot or {})["mouture"]["value"] == "Moulu"
