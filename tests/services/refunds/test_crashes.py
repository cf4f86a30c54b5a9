"""kill -9 at every point of a refund, and two people at once: nothing goes back twice, and nothing is forgotten."""

import random
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from flask import Flask

from tests import factories
from tests.services.charges.crash_loop import START
from tests.services.charges.crashing import Killed, MortalLedger, charge, raise_killed, work
from tests.services.charges.world import World
from tests.services.refunds import refund_loop
from tests.services.refunds.refund_loop import RefundToll
from webapp import clock, tenancy
from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.gateways.providers import protocol
from webapp.models.base import new_id
from webapp.models.providers import Provider
from webapp.services.invoices import finalising
from webapp.services.providers import accounts
from webapp.services.refunds import commands, sending


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MortalLedger:
    """The provider behind every account, shared by all processes."""
    found = MortalLedger(tmp_path / "provider.sqlite")

    def provider_for(
        kind: Provider, credentials: Mapping[str, str], *, longest_delay: timedelta
    ) -> protocol.PaymentProvider:
        return found

    monkeypatch.setattr(accounts, "provider_for", provider_for)
    return found


@pytest.fixture
def world(committed: None, ledger: MortalLedger) -> Iterator[World]:
    """An organisation whose rows are really committed."""
    organisation = factories.OrganisationFactory()
    tenancy.enter_organisation(organisation.id)
    factories.CompanyFactory(is_default=True)
    account = factories.ProviderAccountFactory(rate_per_second=100_000, max_concurrency=2)
    db.session.commit()
    world = World(organisation.id, ledger, account)
    world.move_to(START)
    yield world
    clock.start_at(None)


def pay(world: World, count: int) -> None:
    """So many charges of 24 € that were captured, with their numbered invoices."""
    for _ in range(count):
        world.subscribe("20.00")
    charge(world.organisation_id)
    finalising.finalise_drafts(world.organisation_id, at=clock.now())
    db.session.commit()


@pytest.mark.parametrize("mode", ["succeed", "timeout", "lost", "failing"])
@pytest.mark.parametrize("fatal", range(refund_loop.POINTS))
def test_whoever_dies_at_any_point_the_refund_is_made_once(world: World, fatal: int, mode: str) -> None:
    pay(world, 1)
    refund_loop.ask_for_each(world.charges(), Decimal("10.00"))
    world.ledger.behave(mode)
    try:
        work(world.organisation_id, world.ledger, fatal=fatal, death=raise_killed, what=sending.carry_out)
    except Killed:
        db.session.rollback()
    refund_loop.recover(world.organisation_id, world.ledger)
    assert refund_loop.toll(world.organisation_id, world.ledger, 0) == RefundToll(0, doubles=0, lost=0)
    assert [told.amount for told in world.ledger.told_refunds()] == [Decimal("10.00")]
    assert sum(payment.amount for payment in world.payments()) == (24 if world.ledger.refunds() == [] else 14)


def test_workers_killed_and_forked_again(app: Flask, world: World) -> None:
    pay(world, 25)
    refund_loop.ask_for_each(world.charges(), Decimal("10.00"))
    kills = refund_loop.crash_refunds(world.organisation_id, world.ledger, 25, random.Random(2026))
    refund_loop.recover(world.organisation_id, world.ledger)
    assert refund_loop.toll(world.organisation_id, world.ledger, kills) == RefundToll(kills, doubles=0, lost=0)
    assert len(world.ledger.refunds()) == 25
    assert kills >= 30, "most of the fatal points are reached"


def test_two_people_at_once_give_no_more_back_than_was_captured(app: Flask, world: World) -> None:
    pay(world, 1)
    charge_id, user_id = world.charge().id, factories.UserFactory(roles=["manager"]).id
    db.session.commit()

    def ask(_: int) -> bool:
        with app.app_context(), tenancy.organisation(world.organisation_id):
            user = db.session.get_one(factories.UserFactory._meta.model, (world.organisation_id, user_id))
            try:
                commands.refund(
                    charge_id, refund_id=new_id(), amount=Decimal(10), reason="Retour", by=user, at=clock.now()
                )
            except InvalidInputError:
                return False
            finally:
                db.session.remove()
            return True

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(ask, range(6))) == 2
    refund_loop.recover(world.organisation_id, world.ledger)
    assert sum(told.amount for told in world.ledger.refunds()) == Decimal(20)


def test_two_workers_take_each_refund_once(app: Flask, world: World) -> None:
    pay(world, 12)
    refund_loop.ask_for_each(world.charges(), Decimal("10.00"))

    def carry_out(_: int) -> int:
        with app.app_context():
            done = sending.carry_out(world.organisation_id)
            db.session.remove()
            return done

    with ThreadPoolExecutor(3) as threads:
        assert sum(threads.map(carry_out, range(6))) == 12
    assert world.ledger.count_calls("refund") == 12
