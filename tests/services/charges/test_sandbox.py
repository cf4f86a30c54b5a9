"""The whole way: the engine, the gateway over HTTP, and the pretend provider in its worst mood."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import orjson
import pytest
from sqlalchemy import func, select

from demo.payment_bank import Bank
from tests import factories
from tests.conftest import Cast
from tests.gateways.providers.conftest import SECRET, bank
from tests.services.charges.ledger import Ledger
from tests.services.charges.world import World
from webapp import clock
from webapp.config import Settings
from webapp.extensions import db
from webapp.gateways.providers import registry
from webapp.gateways.providers.sandbox import SIGNATURE_HEADER, sign
from webapp.models.base import new_id
from webapp.models.charges import Attention, Charge, Refund, RefundStatus
from webapp.models.invoices import Invoice
from webapp.models.payments import Payment, PaymentKind
from webapp.models.providers import Provider
from webapp.services.charges import reconciling
from webapp.services.invoices import finalising, listing
from webapp.services.provider_events import webhooks
from webapp.services.refunds import commands, sending

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
    # What happens to one charge is a matter of its key, which is new in every run: of forty, one run in twenty has no
    # refusal among them, and one in forty million none that is unknown.
    assert run.charged > 0
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


def test_whatever_the_provider_does_it_gives_back_what_we_say_it_did(world: World, bank: Bank, cast: Cast) -> None:
    for _ in range(20):
        world.subscribe("20.00")
    world.run()
    finalising.finalise_drafts(world.organisation_id, at=clock.now())
    bank.behaviour = replace(bank.behaviour, mode="reverse", delay=0.0, webhooks="off")
    for charge in world.charges():
        for amount in (Decimal("10.00"), Decimal("14.00")):
            commands.refund(
                charge.id, refund_id=new_id(), amount=amount, reason="Retour", by=cast.manager, at=clock.now()
            )
    sending.carry_out(world.organisation_id)  # some fail for certain; chance, which is new in every run, has the others
    bank.behaviour = replace(bank.behaviour, mode="chaos", seed=3, delay=0.2)
    for hours in (0, 0.2, 1, 3, 24):
        world.wait(hours=hours)
        while sending.carry_out(world.organisation_id):
            pass
        reconciling.reconcile(world.organisation_id, at=clock.now())
    finalising.finalise_drafts(world.organisation_id, at=clock.now())
    statuses = Counter(db.session.scalars(select(Refund.status)))
    assert statuses.total() == 40
    assert RefundStatus.SUCCEEDED in statuses
    assert set(statuses) <= {RefundStatus.SUCCEEDED, RefundStatus.REFUSED, RefundStatus.FAILED}
    given = sum(Decimal(row["refunded"]) for row in bank.ledger()["captures"])
    booked = -sum(row.amount for row in world.payments() if row.kind is not PaymentKind.CAPTURE)
    assert given == booked > 0
    credited = -sum(db.session.scalars(select(Invoice.total).where(Invoice.corrects_id.is_not(None))))
    balances = [listing.balances_of_client(charge.client_id)[0] for charge in world.charges()]
    assert given - credited == sum(balance.total for balance in balances) < 0
    assert {balance.owed for balance in balances} == {0}
    for charge, balance in zip(world.charges(), balances, strict=True):
        assert (charge.attention is Attention.REFUND_AGAIN) is (balance.total < 0)


def test_a_refund_that_is_told_by_webhook_is_in_the_books_once(world: World, bank: Bank, cast: Cast) -> None:
    world.subscribe("20.00")
    world.run()
    charge = world.charge()
    bank.behaviour = replace(bank.behaviour, mode="timeout", delay=0)
    commands.refund(
        charge.id, refund_id=new_id(), amount=Decimal("10.00"), reason="Retour", by=cast.manager, at=clock.now()
    )
    sending.carry_out(world.organisation_id)
    bank.behaviour = replace(bank.behaviour, mode="ok")
    body = orjson.dumps({"id": "evt_1", "type": "payment.succeeded", "payment": next(iter(bank.payments.values()))})
    headers = {SIGNATURE_HEADER: sign(body, SECRET, at=clock.now())}
    for _ in range(2):
        webhooks.receive(Provider.SANDBOX, headers, body, at=clock.now())
        webhooks.handle_due(world.organisation_id, at=clock.now())
    world.wait(minutes=10)
    sending.carry_out(world.organisation_id)
    assert [row.amount for row in world.payments()] == [Decimal("24.00"), Decimal("-10.00")]
    assert (world.charge().attention, len(listing.list_credit_notes(_invoice_id(charge)))) == (None, 1)


def test_a_refund_that_fails_is_told_by_webhook(world: World, bank: Bank, cast: Cast) -> None:
    world.subscribe("20.00")
    world.run()
    commands.refund(
        world.charge().id, refund_id=new_id(), amount=Decimal("10.00"), reason="Retour", by=cast.manager, at=clock.now()
    )
    sending.carry_out(world.organisation_id)
    world.wait(days=3)
    (payment,) = bank.payments.values()
    bank.fail_refund(payment["refunds"][0]["id"])
    body = orjson.dumps({"id": "evt_1", "type": "payment.succeeded", "payment": payment})
    headers = {SIGNATURE_HEADER: sign(body, SECRET, at=clock.now())}
    for _ in range(2):
        webhooks.receive(Provider.SANDBOX, headers, body, at=clock.now())
        webhooks.handle_due(world.organisation_id, at=clock.now())
    assert [row.amount for row in world.payments()] == [Decimal("24.00"), Decimal("-10.00"), Decimal("10.00")]
    assert world.charge().attention is Attention.REFUND_AGAIN


def _invoice_id(charge: Charge) -> UUID:
    return db.session.scalars(select(Invoice.id).where(Invoice.charge_id == charge.id)).one()
