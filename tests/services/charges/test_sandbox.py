"""The whole way: the engine, the gateway over HTTP, and the pretend provider in its worst mood."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import pytest
from sqlalchemy import func, select

from demo.payment_bank import Bank
from tests import factories
from tests.conftest import Cast
from tests.gateways.payments.conftest import SECRET, bank
from tests.services.charges.ledger import Ledger
from tests.services.charges.world import World
from webapp import clock
from webapp.config import Settings
from webapp.extensions import db
from webapp.gateways.payments import registry
from webapp.models.payments import Payment
from webapp.services.charges import reconciling

__all__ = ["bank"]


@pytest.fixture
def world(cast: Cast, bank: Bank, settings: Settings) -> Iterator[World]:
    """An organisation that collects through the pretend provider."""
    registry.use(settings.model_copy(update={"payment_sandbox_url": bank.url, "payment_sandbox_secret": SECRET}))
    account = factories.ProviderAccountFactory(rate_per_second=1000, max_concurrency=8)
    world = World(cast.organisation.id, Ledger.__new__(Ledger), account)
    world.move_to(datetime.fromisoformat("2026-01-31T08:00+01:00"))
    yield world
    clock.start_at(None)
    registry.close()
    registry.use(settings)


def test_whatever_the_provider_does_its_ledger_is_ours(world: World, bank: Bank) -> None:
    bank.behaviour = replace(bank.behaviour, mode="chaos", seed=4, delay=0.2, webhooks="off")
    for _ in range(40):
        world.subscribe("20.00")
    run = world.run()
    assert run.charged > 0
    assert run.failed > 0
    assert run.unknown > 0
    for hours in (0.2, 1, 3, 20, 48, 72, 96, 120, 240):
        world.wait(hours=hours)
        world.sweep()
        reconciling.reconcile(world.organisation_id, at=clock.now())
    booked = db.session.execute(select(func.sum(Payment.amount))).scalar_one()
    kept = [row for row in bank.ledger()["captures"] if row["reversed_at"] is None]
    assert booked == sum(Decimal(row["amount"]) for row in kept)
    assert len({(row["subscription"], row["cycle"]) for row in kept}) == len(kept)
    for charge in world.charges():
        assert charge.status.is_settled or charge.attention is not None


def test_a_provider_that_is_down_costs_nothing_but_time(world: World, bank: Bank) -> None:
    world.subscribe("20.00")
    bank.behaviour = replace(bank.behaviour, mode="down")
    assert world.run().unknown == 1
    bank.behaviour = replace(bank.behaviour, mode="ok")
    world.wait(minutes=10)
    world.sweep()
    assert [row["cycle"] for row in bank.ledger()["captures"]] == ["0"]
    assert len(world.payments()) == 1
