"""What was charged joins the open batch once, and leaves it where the money goes back."""

from datetime import datetime
from decimal import Decimal

import pytest
from sqlalchemy import select, update

from tests import factories
from tests.services.fulfilment.world import CUT_OFF, FulfilmentWorld
from webapp import clock
from webapp.extensions import db
from webapp.gateways.providers.protocol import PaymentState
from webapp.models.base import new_id
from webapp.models.charges import ChargeStatus, RefusalClass
from webapp.models.contracts import PaymentMethod
from webapp.models.fulfilment import LineFlag, LineStatus
from webapp.models.outbox import OutboxEvent
from webapp.models.preferences import CutOff
from webapp.models.providers import Milestone
from webapp.models.subscriptions import SubscriptionLine
from webapp.services import outbox
from webapp.services.charges import decisions
from webapp.services.fulfilment import gathering


def test_what_was_charged_joins_the_open_batch(world: FulfilmentWorld) -> None:
    subscription = world.subscribe()
    factories.SubscriptionLineFactory(subscription_id=subscription.id, label="Moulin", quantity=Decimal(2))
    world.charge_all()
    batch = world.open_batch()
    assert (batch.number, batch.cutoff_at) == (1, CUT_OFF)
    charge = world.charge(subscription)
    assert [
        (line.charge_id, line.position, line.label, line.quantity, line.status, line.cycle_no)
        for line in world.lines(batch)
    ] == [
        (charge.id, 0, "Coffret découverte", 1, LineStatus.PENDING, 0),
        (charge.id, 1, "Moulin", 2, LineStatus.PENDING, 0),
    ]


def test_an_event_that_comes_twice_adds_one_line(world: FulfilmentWorld) -> None:
    world.subscribe()
    world.charge_all()
    for event in db.session.scalars(select(OutboxEvent)).all() * 2:
        gathering.gather(event)
    assert len(world.lines()) == 1


def test_what_is_refused_or_awaited_joins_nothing(world: FulfilmentWorld) -> None:
    world.subscribe()
    world.charge_all("hard")
    world.subscribe()
    world.charge_all("process")
    assert world.lines() == []
    assert world.batches() == []


def test_what_does_not_ship_makes_no_line(world: FulfilmentWorld) -> None:
    lines = [
        {"label": "Coffret", "product_id": None, "quantity": "1", "is_shipped": True},
        {"label": "Assurance", "product_id": None, "quantity": "1", "is_shipped": False},
        {"label": "Coupon", "product_id": None, "quantity": "1", "kind": "coupon"},
        {"label": "Ancienne ligne", "product_id": None, "quantity": "2"},
    ]
    assert [(line.position, line.label) for line in gathering.shipped_lines(lines)] == [
        (0, "Coffret"),
        (3, "Ancienne ligne"),
    ]


def test_what_costs_nothing_ships(world: FulfilmentWorld) -> None:
    world.subscribe("0.00")
    world.charge_all()
    assert world.charge().status is ChargeStatus.SUCCEEDED
    assert world.states() == [LineStatus.PENDING]


def test_a_company_without_a_cut_off_makes_no_batches(world: FulfilmentWorld) -> None:
    db.session.add(CutOff(company_id=factories.default_company().id, is_active=False))
    world.subscribe()
    world.charge_all()
    assert world.batches() == []


def test_a_batch_that_a_person_locks_has_no_cut_off(world: FulfilmentWorld) -> None:
    db.session.add(CutOff(company_id=factories.default_company().id, locks_itself=False))
    world.subscribe()
    world.charge_all()
    assert world.open_batch().cutoff_at is None


def test_each_company_has_its_own_batch(world: FulfilmentWorld) -> None:
    other = factories.CompanyFactory(name="Autre société")
    world.subscribe()
    world.subscribe(company_id=other.id)
    world.charge_all()
    assert {(batch.company_id, batch.number) for batch in world.batches()} == {
        (factories.default_company().id, 1),
        (other.id, 1),
    }


def test_a_product_that_is_gone_leaves_the_label(world: FulfilmentWorld) -> None:
    subscription = world.subscribe()
    product = factories.ProductFactory()
    db.session.execute(
        update(SubscriptionLine)
        .where(SubscriptionLine.subscription_id == subscription.id)
        .values(product_id=product.id)
    )
    world.ledger.behave("succeed")
    world.run()
    db.session.delete(product)
    db.session.commit()
    world.deliver()
    assert (world.line().product_id, world.line().label) == (None, "Coffret découverte")


# ---------------------------------------------------------------------------------------- before the lock


def test_what_is_taken_back_before_the_lock_is_withdrawn_and_joins_again_once_paid(world: FulfilmentWorld) -> None:
    world.subscribe()
    world.charge_all()
    charge = world.charge()
    world.reverse(charge)
    world.deliver()
    line = world.line()
    assert (line.status, line.flag) == (LineStatus.WITHDRAWN, LineFlag.REJECTED)
    assert line.reason == "Le prélèvement n’est plus payé."
    admin = factories.UserFactory(roles=["admin"])
    decisions.mark_paid(charge.id, method=PaymentMethod.TRANSFER, paid_on=clock.today(), by=admin, at=clock.now())
    world.deliver()
    assert world.states() == [LineStatus.WITHDRAWN, LineStatus.PENDING]


def test_what_is_refunded_whole_is_withdrawn_and_a_part_is_not(world: FulfilmentWorld) -> None:
    world.subscribe()
    world.charge_all()
    charge = world.charge()
    world.refund(charge, "10.00")
    gathering.review([charge.id], charged_at=None, at=clock.now())
    assert world.states() == [LineStatus.PENDING]
    world.refund(charge, "14.00", key="re_2")
    gathering.review([charge.id], charged_at=None, at=clock.now())
    assert (world.line().status, world.line().flag) == (LineStatus.WITHDRAWN, LineFlag.REFUNDED)


def test_a_refund_that_failed_lets_it_ship_again(world: FulfilmentWorld) -> None:
    world.subscribe()
    world.charge_all()
    charge = world.charge()
    world.refund(charge)
    gathering.review([charge.id], charged_at=None, at=clock.now())
    world.refund(charge, failed=True)
    world.deliver()
    assert world.states() == [LineStatus.WITHDRAWN, LineStatus.PENDING]


# ---------------------------------------------------------------------------------------- early shipping


@pytest.fixture
def early(world: FulfilmentWorld) -> FulfilmentWorld:
    """The account's setting lets things ship before the payment is confirmed."""
    world.account.ship_at = Milestone.PROCESSING
    db.session.commit()
    world.subscribe()
    world.charge_all("process")
    return world


def test_an_account_may_let_ship_what_is_on_its_way(early: FulfilmentWorld) -> None:
    assert early.charge().status is ChargeStatus.PROCESSING
    assert early.states() == [LineStatus.PENDING]


def test_a_debit_that_comes_back_refused_is_withdrawn_and_joins_with_the_next_one(early: FulfilmentWorld) -> None:
    early.told(early.charge(), PaymentState.REFUSED, refusal_class=RefusalClass.SOFT)
    early.deliver()
    assert early.states() == [LineStatus.WITHDRAWN]
    early.wait(days=4)
    early.ledger.behave("process")
    early.run()
    early.deliver()
    assert early.charge().status is ChargeStatus.PROCESSING
    assert early.states() == [LineStatus.WITHDRAWN, LineStatus.PENDING]
    early.told(early.charge(), PaymentState.SUCCEEDED)
    early.deliver()
    assert early.states() == [LineStatus.WITHDRAWN, LineStatus.PENDING]


def test_a_debit_is_told_once_however_often_it_is_looked_at(early: FulfilmentWorld) -> None:
    for _ in range(3):
        early.told(early.charge(), PaymentState.PROCESSING)
    early.told(early.charge(), PaymentState.SUCCEEDED)
    assert early.events() == ["subscription.charged"]


# ---------------------------------------------------------------------------------------- after the lock


def test_what_is_taken_back_after_the_lock_is_flagged_until_it_is_paid_again(world: FulfilmentWorld) -> None:
    world.subscribe()
    world.charge_all()
    world.to_cut_off()
    world.lock()
    charge = world.charge()
    world.reverse(charge)
    world.deliver()
    assert (world.line().status, world.line().flag) == (LineStatus.TO_PREPARE, LineFlag.REJECTED)
    admin = factories.UserFactory(roles=["admin"])
    decisions.mark_paid(charge.id, method=PaymentMethod.TRANSFER, paid_on=clock.today(), by=admin, at=clock.now())
    world.deliver()
    assert (world.line().status, world.line().flag) == (LineStatus.TO_PREPARE, None)


def test_what_a_person_let_leave_all_the_same_is_flagged_no_more(world: FulfilmentWorld) -> None:
    world.subscribe()
    world.charge_all()
    world.to_cut_off()
    world.lock()
    world.line().flag, world.line().ships_anyway_at = LineFlag.REJECTED, clock.now()
    world.reverse(world.charge())
    world.deliver()
    assert world.line().ships_anyway_at is not None
    assert world.line().status is LineStatus.TO_PREPARE


def test_what_comes_too_late_for_the_lock_is_in_the_next_batch_and_says_so(world: FulfilmentWorld) -> None:
    world.subscribe()
    world.charge_all()
    world.subscribe()
    world.run()  # paid before the cut-off, but nobody has heard of it
    world.to_cut_off()
    world.lock()
    world.deliver()
    first, second = world.batches()
    assert [line.is_late for line in world.lines(first)] == [False]
    assert [line.is_late for line in world.lines(second)] == [True]
    world.subscribe()
    world.charge_all()
    assert [line.is_late for line in world.lines(second)] == [True, False]
    assert second.cutoff_at == datetime.fromisoformat("2026-02-09T12:00+01:00")


def test_what_a_person_withdrew_while_it_was_paid_stays_withdrawn(world: FulfilmentWorld) -> None:
    world.subscribe()
    world.charge_all()
    world.line().status, world.line().reason = LineStatus.WITHDRAWN, "Le client n’en veut pas"
    gathering.review([world.charge().id], charged_at=None, at=clock.now())
    assert world.states() == [LineStatus.WITHDRAWN]


def test_fulfilment_hears_of_everything_that_moves_money() -> None:
    listening = {kind.value for kind, names in outbox.SUBSCRIBERS.items() if outbox._GATHER in names}
    assert listening == {
        "subscription.charged",
        "subscription.charge_failed",
        "charge.reversed",
        "charge.refunded",
        "charge.settled",
    }


def test_another_organisations_charge_is_not_found(world: FulfilmentWorld) -> None:
    assert gathering.review([new_id()], charged_at=None, at=clock.now()) == 0
