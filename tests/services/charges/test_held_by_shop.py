"""What a shop holds is changed there: every command here refuses, and nothing of ours ever asks for its money."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from tests import factories
from tests.conftest import Cast
from tests.services.charges.world import World
from webapp import clock
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.charges import Attention, Charge, ChargeStatus
from webapp.models.dunning import DunningCase
from webapp.models.invoices import Invoice
from webapp.models.messages import Message
from webapp.models.outbox import OutboxEvent, OutboxKind
from webapp.models.plan_changes import Settlement
from webapp.models.preferences import PreferenceValue
from webapp.models.subscriptions import Subscription, SubscriptionStatus
from webapp.services.bank_files import notices
from webapp.services.charges import decisions, preview, reconciling, resuming
from webapp.services.charges.decisions import Decision
from webapp.services.charges.reconciling import Differences
from webapp.services.dunning import cases
from webapp.services.invoices import drafting
from webapp.services.message_triggers import subscriptions as messages
from webapp.services.plan_changes import changing
from webapp.services.preferences import values
from webapp.services.refunds import commands as refunds
from webapp.services.subscriptions import (
    coupons,
    deletion,
    delivery,
    editing,
    forecasting,
    lifecycle,
    opening,
    planning,
    rhythm,
    scheduling,
    selling_company,
    skipping,
)
from webapp.services.subscriptions.delivery import DeliveryFields
from webapp.services.subscriptions.fields import Opening, SubscriptionLineFields
from webapp.services.subscriptions.lifecycle import HELD_BY_SHOP, HeldByShopError
from webapp.services.subscriptions.means import PaymentFields

LINES = [SubscriptionLineFields(label="Autre", unit_price=Decimal(5), vat_rate=Decimal(20))]
ALL_STATUSES = list(SubscriptionStatus)


@pytest.fixture
def held(world: World) -> Subscription:
    """An active subscription that a shop collects every three weeks."""
    subscription: Subscription = factories.ShopSubscriptionFactory(
        client_id=factories.ClientFactory().id, recurring_amount=Decimal("20.00"), cycle_no=1
    )
    factories.SubscriptionLineFactory(subscription_id=subscription.id)
    db.session.commit()
    return subscription


def _charge(subscription: Subscription, **more: Any) -> Charge:
    charge: Charge = factories.ShopChargeFactory(
        subscription_id=subscription.id, client_id=subscription.client_id, **more
    )
    db.session.commit()
    return charge


COMMANDS: dict[str, Callable[[Subscription, dict[str, Any]], object]] = {
    "activate": lambda it, who: lifecycle.activate(it.id, **who),
    "pause": lambda it, who: lifecycle.pause(it.id, reason="Vacances", **who),
    "resume": lambda it, who: lifecycle.resume(it.id, **who),
    "mark_past_due": lambda it, who: lifecycle.mark_past_due(it, reason="Impayé", **who),
    "cancel": lambda it, who: lifecycle.cancel(it.id, reason="Départ", **who),
    "cancel_later": lambda it, who: lifecycle.cancel(it.id, reason="Départ", at_period_end=True, **who),
    "cancel_on": lambda it, who: lifecycle.cancel_on(it.id, date(2027, 1, 1), reason="Départ", **who),
    "withdraw_cancellation": lambda it, who: lifecycle.withdraw_cancellation(it.id, **who),
    "expire": lambda it, who: lifecycle.expire(it.id, **who),
    "delete": lambda it, who: deletion.delete_subscription(it.id, **who),
    "skip": lambda it, who: skipping.skip_cycle(it.id, it.cycle_no, **who),
    "charge_after_all": lambda it, who: skipping.charge_after_all(it.id, it.cycle_no, **who),
    "change_payment": lambda it, who: editing.change_payment(
        it.id, PaymentFields(method="transfer"), version=it.version, **who
    ),
    "change_end": lambda it, who: editing.change_end(it.id, date(2027, 1, 1), version=it.version, **who),
    "plan_lines": lambda it, who: planning.plan_lines(it.id, LINES, version=it.version, **who),
    "withdraw_plan": lambda it, who: planning.withdraw_plan(it.id, version=it.version, **who),
    "withdraw_lines": lambda it, who: planning.withdraw_lines(it.id, version=it.version, **who),
    "change_now": lambda it, who: changing.change_now(
        it.id,
        LINES,
        day=None,
        settlement=None,
        shown=Decimal(0),
        adjustment_id=new_id(),
        version=it.version,
        **who,
    ),
    "settle_now": lambda it, who: changing.settle_now(new_id(), Settlement.REFUND, subscription_id=it.id, **who),
    "change_rhythm": lambda it, who: rhythm.change_rhythm(it.id, "weekly", None, version=it.version, **who),
    "change_opening": lambda it, who: opening.change_opening(it.id, Opening(), version=it.version, **who),
    "apply_coupon": lambda it, who: coupons.apply_coupon(it.id, "ETE", version=it.version, **who),
    "remove_coupon": lambda it, who: coupons.remove_coupon(it.id, version=it.version, **who),
    "change_company": lambda it, who: selling_company.change_company(
        it.id, company_id=it.company_id, contract_id=None, version=it.version, **who
    ),
}


@pytest.mark.parametrize("status", [SubscriptionStatus.PENDING, SubscriptionStatus.ACTIVE, SubscriptionStatus.PAUSED])
@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_refuses_what_a_shop_holds(
    cast: Cast, held: Subscription, name: str, status: SubscriptionStatus
) -> None:
    held.status = status
    db.session.commit()
    before = (held.version, held.cycle_no, held.recurring_amount)
    with pytest.raises(HeldByShopError) as refused:
        COMMANDS[name](held, {"by": cast.manager, "at": clock.now()})
    assert refused.value.message == HELD_BY_SHOP
    db.session.rollback()
    db.session.refresh(held)
    assert (held.status, (held.version, held.cycle_no, held.recurring_amount)) == (status, before)


def test_the_walk_leaves_no_command_out() -> None:
    """Every public function of these modules that is given a version, or who does it, is walked, or named here."""
    modules = (lifecycle, skipping, deletion, editing, planning, rhythm, opening, coupons, selling_company, changing)
    # What mirrors the shop, or passes over it.
    mirrors = {"change_status", "suspend_unpaid", "mark_paid", "pay_by_saved", "create_coupon"}
    walked = {*COMMANDS, "withdraw_plan", "delete_subscription", "skip_cycle", "charge_after_all", "new_plan"}
    found = {
        function.__name__
        for module in modules
        for function in vars(module).values()
        if callable(function)
        and getattr(function, "__module__", "") == module.__name__
        and "by" in getattr(function, "__annotations__", {})
        and not function.__name__.startswith("_")
    }
    assert found - walked == mirrors


def test_preferences_and_gifts_stay_ours(cast: Cast, held: Subscription) -> None:
    schema = factories.PreferenceSchemaFactory(code="mouture")
    db.session.commit()
    who: dict[str, Any] = {"by": cast.manager, "at": clock.now()}
    values.set_values(held.id, {"mouture": "Grains"}, **who)
    written = DeliveryFields(gift_message="Joyeux Noël")
    delivery.change_delivery(held.id, written, version=held.version, **who)
    found = db.session.scalars(select(PreferenceValue)).one()
    assert (found.schema_id, found.value) == (schema.id, "Grains")
    assert held.gift_message == "Joyeux Noël"


# --- nothing of ours asks for its money ---


@pytest.mark.parametrize("status", ALL_STATUSES)
def test_nothing_falls_due_whatever_its_state(held: Subscription, status: SubscriptionStatus) -> None:
    held.status = status
    scheduling.schedule(held, 4)
    db.session.flush()
    assert (held.cycle_no, held.next_charge_at, held.next_charge_on) == (4, None, None)


def test_a_run_and_the_sweep_pass_over_it(world: World, held: Subscription) -> None:
    charge = _charge(held, status=ChargeStatus.FAILED)
    world.move_to(datetime.fromisoformat("2027-01-31T08:00+01:00"))
    assert world.run().total == 0
    world.sweep()
    assert resuming.resume_all(by=factories.UserFactory(), at=clock.now()) == (0, 0)
    assert preview.preview(at=clock.now()).groups == []
    assert reconciling.reconcile(held.organisation_id, at=clock.now()) == Differences()
    assert world.charge(held).id == charge.id
    assert (world.attempts(), world.payments()) == ([], [])


@pytest.mark.parametrize("action", list(Decision))
@pytest.mark.parametrize(
    "status", [ChargeStatus.SCHEDULED, ChargeStatus.PROCESSING, ChargeStatus.FAILED, ChargeStatus.SUCCEEDED]
)
def test_every_decision_on_its_charge_is_refused(held: Subscription, status: ChargeStatus, action: Decision) -> None:
    charge = _charge(held, status=status)
    assert decisions.actions_of(charge) == []
    assert not refunds.may_refund(charge)
    with pytest.raises(HeldByShopError), decisions.deciding(charge.id, action):
        raise AssertionError("allowed")


def test_what_a_person_has_seen_is_dismissed(cast: Cast, held: Subscription) -> None:
    charge = _charge(held, attention=Attention.PAID_THEN_CANCELED, attention_at=clock.now())
    assert decisions.actions_of(charge) == [Decision.DISMISS]
    decisions.dismiss(charge.id, reason="Vu avec la boutique", by=cast.manager, at=clock.now())
    assert (charge.attention, charge.status) == (None, ChargeStatus.SUCCEEDED)


def test_its_charges_have_neither_invoice_nor_case_nor_message(held: Subscription) -> None:
    charge = _charge(held, status=ChargeStatus.FAILED)
    drafting.draft_for_charge(charge, at=clock.now())
    assert cases.review_charge(charge.id, at=clock.now()) is None
    for kind in (OutboxKind.SUBSCRIPTION_CHARGED, OutboxKind.SUBSCRIPTION_CHARGE_FAILED):
        event = OutboxEvent(
            kind=kind, subject_id=held.id, occurred_at=clock.now(), payload={"charge_id": str(charge.id)}
        )
        messages.welcome(event)
        messages.tell_refused(event)
    notices.announce_due(at=clock.now())
    notices.announce_waiting(at=clock.now())
    for table in (Invoice, DunningCase, Message):
        assert db.session.scalars(select(table)).all() == []


def test_the_timetable_ends_and_resumes_nothing_of_a_shop(held: Subscription) -> None:
    held.cancels_on = date(2026, 1, 1)
    db.session.commit()
    assert (lifecycle.end_due(at=clock.now()), lifecycle.resume_due(at=clock.now())) == (0, 0)
    assert lifecycle.suspend_unpaid(held.id, by=None, at=clock.now()) is False
    assert lifecycle.mark_paid(held.id, at=clock.now()) is False
    assert held.status is SubscriptionStatus.ACTIVE


def test_the_forecast_is_what_the_shop_has_announced(held: Subscription) -> None:
    (only,) = forecasting.forecast(held, at=clock.now())
    assert (only.cycle, only.on, only.amount) == (1, date(2026, 2, 21), Decimal("20.00"))
    held.expected_at = None
    assert forecasting.forecast(held, at=clock.now()) == []
    held.expected_at, held.status = clock.now() + timedelta(days=1), SubscriptionStatus.CANCELED
    assert forecasting.forecast(held, at=clock.now()) == []


def test_a_rhythm_of_a_shop_is_never_reckoned_with(held: Subscription) -> None:
    assert held.rhythm_label == "Toutes les 3 semaines"
    assert held.revenue_per_year == 0
    with pytest.raises(ValueError, match="never reckoned with"):
        scheduling.due_of(held, 3)
