"""A cycle that falls due is charged once, recorded whole, and the next one has its date."""

from datetime import date, datetime
from decimal import Decimal

import pytest
from sqlalchemy import select

from tests import factories
from tests.conftest import Cast
from tests.queries import recorded_queries
from tests.services.charges.world import World
from webapp import clock, keeping
from webapp.extensions import db
from webapp.models.banking import Mandate, MandateStatus
from webapp.models.charges import AttemptStatus, Attention, ChargeStatus
from webapp.models.clients import Client
from webapp.models.contracts import PaymentMethod
from webapp.models.invoices import Invoice, InvoiceStatus
from webapp.models.providers import Milestone, SavedPaymentMethod
from webapp.models.runs import RunStatus
from webapp.models.subscriptions import Frequency, SubscriptionStatus
from webapp.services.charges import preview
from webapp.services.charges.preview import Fate
from webapp.services.fulfilment.gathering import shipped_lines
from webapp.services.subscriptions import lifecycle


def _invoices() -> list[Invoice]:
    return list(db.session.scalars(select(Invoice).order_by(Invoice.id)))


def test_a_due_cycle_is_charged_and_recorded_whole(world: World) -> None:
    subscription = world.subscribe("20.00")
    run = world.run()
    charge, (attempt,), (payment,) = world.charge(), world.attempts(), world.payments()
    assert (charge.status, charge.amount, charge.attempts_count) == (ChargeStatus.SUCCEEDED, Decimal("24.00"), 1)
    assert (attempt.status, attempt.provider_payment_id) == (AttemptStatus.SUCCEEDED, f"pay_{attempt.id}")
    assert (payment.amount, payment.attempt_id) == (Decimal("24.00"), attempt.id)
    assert world.ledger.captures() == [(subscription.id, 0, Decimal("24.00"))]
    assert world.events() == ["subscription.charged"]
    assert (run.status, run.charged, run.total) == (RunStatus.SUCCESS, 1, 1)
    (invoice,) = _invoices()
    assert (invoice.charge_id, invoice.total, invoice.paid) == (charge.id, Decimal("24.00"), Decimal("24.00"))
    subscription = world.reload(subscription)
    assert (subscription.cycle_no, subscription.next_charge_on) == (1, date(2026, 2, 28))
    assert subscription.current_period_end == date(2026, 2, 28)


def test_what_ships_is_frozen_with_the_charge(world: World) -> None:
    subscription = world.subscribe(setup_fee=Decimal(10), setup_vat_rate=Decimal(20))
    sold = {"unit_price": Decimal(5), "vat_rate": Decimal(20)}
    factories.SubscriptionLineFactory(subscription_id=subscription.id, position=9999, is_shipped=False, **sold)
    db.session.commit()
    world.run()
    lines = world.charge().lines
    assert [line.get("is_shipped") for line in lines] == [True, False, None]
    assert [shipped.position for shipped in shipped_lines(lines)] == [0]
    before_there_was_a_choice = [{name: line[name] for name in line if name != "is_shipped"} for line in lines]
    assert [shipped.position for shipped in shipped_lines(before_there_was_a_choice)] == [0, 1]


def test_a_second_run_at_once_asks_for_nothing(world: World) -> None:
    world.subscribe()
    world.run()
    assert world.run().total == 0
    assert world.ledger.count_calls("create") == 1


def test_the_first_payment_begins_a_pending_subscription(world: World) -> None:
    subscription = world.subscribe(status=SubscriptionStatus.PENDING)
    world.run()
    assert world.reload(subscription).status is SubscriptionStatus.ACTIVE
    assert world.events() == ["subscription.charged", "subscription.activated"]


def test_a_refused_first_charge_leaves_the_subscription_pending_and_asks_for_no_other_cycle(world: World) -> None:
    subscription = world.subscribe(status=SubscriptionStatus.PENDING, frequency=Frequency.WEEKLY)
    world.ledger.behave("soft")
    world.run()
    world.wait(days=8)
    world.run()
    assert world.reload(subscription).status is SubscriptionStatus.PENDING
    assert [charge.status for charge in world.charges()] == [ChargeStatus.FAILED, ChargeStatus.SKIPPED]


def test_a_late_run_charges_every_cycle_that_fell_due_and_moves_no_date(world: World) -> None:
    subscription = world.subscribe()
    world.move_to(datetime.fromisoformat("2026-04-02T10:00+02:00"))
    world.run()
    assert [charge.due_on for charge in world.charges()] == [
        date(2026, 1, 31),
        date(2026, 2, 28),
        date(2026, 3, 31),
    ]
    assert world.reload(subscription).next_charge_on == date(2026, 4, 30)
    assert len(world.ledger.captures()) == 3


def test_nothing_to_pay_is_paid_without_asking_anybody(world: World) -> None:
    subscription = world.subscribe("0.00", status=SubscriptionStatus.PENDING)
    world.run()
    assert world.charge().status is ChargeStatus.SUCCEEDED
    assert world.ledger.count_calls("create") == 0
    assert world.payments() == []
    assert [invoice.total for invoice in _invoices()] == [Decimal("0.00")]
    assert world.reload(subscription).status is SubscriptionStatus.ACTIVE


def test_without_means_of_payment_nothing_is_attempted_and_a_person_is_told_why(world: World) -> None:
    subscription = world.subscribe(saved_method_id=None)
    run = world.run()
    charge = world.charge()
    assert (charge.status, charge.attention) == (ChargeStatus.SCHEDULED, Attention.NO_PAYMENT_METHOD)
    assert charge.explanation == "Aucune carte n’est enregistrée pour ce client."
    assert (run.skipped, run.status, world.attempts()) == (1, RunStatus.SUCCESS, [])
    assert world.reload(subscription).cycle_no == 1


def test_who_pays_by_transfer_is_invoiced_and_awaited(world: World) -> None:
    world.subscribe(payment_method=PaymentMethod.TRANSFER, saved_method_id=None)
    world.run()
    charge, (invoice,) = world.charge(), _invoices()
    assert (charge.status, charge.attention) == (ChargeStatus.SCHEDULED, Attention.BY_HAND)
    assert (invoice.charge_id, invoice.paid) == (charge.id, Decimal(0))


def test_an_unpaid_subscription_accrues_nothing_and_says_so(world: World) -> None:
    subscription = world.subscribe(status=SubscriptionStatus.PAST_DUE)
    world.run()
    charge = world.charge()
    assert charge.status is ChargeStatus.SKIPPED
    assert charge.explanation == "L’abonnement est impayé\u202f: cette échéance n’est pas prélevée."
    assert world.reload(subscription).next_charge_on == date(2026, 2, 28)


def test_a_paused_subscription_is_not_charged_nor_is_it_afterwards_for_the_pause(world: World, cast: Cast) -> None:
    subscription = world.subscribe()
    lifecycle.pause(subscription.id, reason="Vacances", by=cast.admin, at=clock.now())
    world.run()
    world.move_to(datetime.fromisoformat("2026-03-15T10:00+01:00"))
    lifecycle.resume(subscription.id, by=cast.admin, at=clock.now())
    world.run()
    assert world.charges() == []
    assert world.reload(subscription).next_charge_on == date(2026, 3, 31)


def test_what_is_confirmed_later_is_processing_until_then(world: World) -> None:
    subscription = world.subscribe(frequency=Frequency.WEEKLY)
    world.ledger.behave("process")
    assert world.run().processing == 1
    (attempt,) = world.attempts()
    assert world.charge().status is ChargeStatus.PROCESSING
    assert world.payments() == []
    assert world.reload(subscription).cycle_no == 1, "the next cycle does not wait for the confirmation"
    world.ledger.confirm(attempt.id)
    world.wait(hours=1)
    world.sweep()
    assert world.charge().status is ChargeStatus.SUCCEEDED
    assert len(world.payments()) == 1


@pytest.mark.parametrize("milestone", list(Milestone))
def test_the_account_says_which_moment_releases_shipping_and_makes_the_invoice(
    world: World, milestone: Milestone
) -> None:
    world.account.ship_at = world.account.invoice_at = milestone
    world.subscribe()
    world.ledger.behave("process")
    world.run()
    is_early = milestone is Milestone.PROCESSING
    assert world.events() == (["subscription.charged"] if is_early else [])
    assert [invoice.status for invoice in _invoices()] == ([InvoiceStatus.DRAFT] if is_early else [])
    world.ledger.confirm(world.attempts()[0].id)
    world.wait(hours=1)
    world.sweep()
    assert world.events() == ["subscription.charged"]
    assert [invoice.paid for invoice in _invoices()] == [Decimal("24.00")]


def test_the_preview_tells_what_a_run_would_do(world: World) -> None:
    world.subscribe("20.00")
    world.subscribe("10.00")
    world.subscribe("0.00")
    world.subscribe(saved_method_id=None)
    world.subscribe(payment_method=PaymentMethod.CHEQUE, saved_method_id=None)
    world.subscribe(status=SubscriptionStatus.PAST_DUE)
    world.subscribe(anchor=date(2026, 2, 1))
    expired = world.subscribe()
    db.session.get_one(SavedPaymentMethod, (expired.organisation_id, expired.saved_method_id)).expires_on = date(
        2026, 1, 30
    )
    db.session.commit()
    found = preview.preview(at=clock.now())
    assert (found.count, found.amounts) == (2, {"EUR": Decimal("36.00")})
    assert {group.fate: group.count for group in found.not_asked} == {
        Fate.FREE: 1,
        Fate.BY_HAND: 1,
        Fate.NO_MEANS: 2,
        Fate.SKIPPED: 1,
    }
    run = world.run()
    assert run.charged == found.count + 1, "what is free is paid at once"
    assert preview.preview(at=clock.now()).groups == []


def test_the_preview_knows_that_an_account_is_switched_off(world: World) -> None:
    world.subscribe()
    world.account.is_active = False
    db.session.commit()
    assert {group.fate: group.count for group in preview.preview(at=clock.now()).groups} == {Fate.NO_MEANS: 1}
    assert world.run().charged == 0


def test_the_next_cycles_of_many_cost_as_many_statements_as_those_of_few(world: World) -> None:
    world.subscribe()
    with recorded_queries() as few:
        world.run()
    for _ in range(20):
        world.subscribe()
    with recorded_queries() as many:
        world.run()
    assert len(many) <= len(few) + 25, "batches, however the calls happen to come back"


@pytest.mark.parametrize(("last_used_on", "fate"), [(date(2023, 2, 1), Fate.ASKED), (date(2023, 1, 31), Fate.NO_MEANS)])
def test_the_preview_knows_when_a_mandate_has_been_idle_for_36_months(
    world: World, last_used_on: date, fate: Fate
) -> None:
    subscription = world.subscribe(payment_method=PaymentMethod.SEPA, saved_method_id=None)
    client = db.session.get_one(Client, (subscription.organisation_id, subscription.client_id))
    account = factories.make_bank_account(client)
    mandate = Mandate(
        client_id=client.id,
        bank_account_id=account.id,
        status=MandateStatus.ACTIVE,
        umr="RUM-1",
        signed_on=date(2020, 1, 1),
        last_used_on=last_used_on,
    )
    db.session.add(mandate)
    db.session.flush()
    subscription.mandate_id = mandate.id
    db.session.commit()
    assert clock.today() == date(2026, 1, 31)
    assert [group.fate for group in preview.preview(at=clock.now()).groups] == [fate]


def test_a_preview_that_took_long_is_kept_until_the_next_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "LONG", 0.0)
    world.subscribe("20.00")
    first = preview.find_preview(at=clock.now())
    assert first.count == 1
    world.subscribe("30.00")
    world.wait(minutes=5)
    assert preview.find_preview(at=clock.now()) == first
    world.run()
    assert preview.find_preview(at=clock.now()).count == 0


def test_a_preview_that_took_no_time_is_of_this_instant(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "LONG", 60.0)  # no time, on any machine
    for number in (1, 2):
        world.subscribe("20.00")
        assert preview.find_preview(at=clock.now()).count == number
