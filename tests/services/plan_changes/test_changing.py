"""Changing at once what is sold: what it comes to, how it is settled, and what it never touches."""

from datetime import date, datetime
from decimal import Decimal

import pytest
from sqlalchemy import select

from tests.conftest import Cast
from tests.services.charges.world import World
from tests.services.plan_changes.selling import adjustments, change, line
from webapp import clock, tenancy
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.charges import ChargeStatus, Refund
from webapp.models.contracts import PaymentMethod
from webapp.models.invoices import Invoice, InvoiceLine
from webapp.models.outbox import OutboxEvent, OutboxKind
from webapp.models.plan_changes import Settlement
from webapp.models.subscriptions import Subscription, SubscriptionHistory, SubscriptionStatus
from webapp.models.tasks import Task
from webapp.services.charges import decisions
from webapp.services.concurrent_edits import EditConflictError
from webapp.services.outbox import SUBSCRIBERS
from webapp.services.plan_changes import changing, left_over
from webapp.services.plan_changes.changing import OtherAmountError
from webapp.services.refunds import sending
from webapp.services.subscriptions import lifecycle

FIRST = date(2026, 6, 1)


@pytest.fixture
def paid(world: World) -> Subscription:
    """30 € before tax a month of 30 days, paid for June; it is the 11th: ten days have passed."""
    world.move_to(datetime.fromisoformat("2026-06-01T08:00+02:00"))
    subscription = world.subscribe("30.00", anchor=FIRST)
    world.run()
    world.move_to(datetime.fromisoformat("2026-06-11T15:00+02:00"))
    return subscription


def _next_month(world: World) -> None:
    world.move_to(datetime.fromisoformat("2026-07-01T08:00+02:00"))
    world.run()


def test_an_upgrade_is_asked_for_at_once_for_the_days_that_are_left(
    world: World, cast: Cast, paid: Subscription
) -> None:
    preview = change(world, cast, paid, line("60.00"), by=Settlement.OWN_CHARGE)
    assert [Decimal(each["amount"]) for each in preview.proration.lines] == [Decimal("-20.00"), Decimal("40.00")]
    assert preview.proration.amount == Decimal("24.00")
    world.sweep()
    cycle, supplement = world.charges(paid)
    assert (cycle.cycle_no, supplement.cycle_no) == (0, None)
    assert (supplement.status, supplement.amount) == (ChargeStatus.SUCCEEDED, Decimal("24.00"))
    assert (supplement.period_start, supplement.period_end) == (date(2026, 6, 11), date(2026, 7, 1))
    assert sum(payment.amount for payment in world.payments()) == Decimal("60.00")
    _next_month(world)
    assert world.charges(paid)[1].amount == Decimal("72.00")


def test_the_invoice_of_a_supplement_says_what_the_preview_said(world: World, cast: Cast, paid: Subscription) -> None:
    preview = change(world, cast, paid, line("60.00", label="Grand coffret"), by=Settlement.OWN_CHARGE)
    world.sweep()
    invoice = db.session.scalars(select(Invoice).where(Invoice.charge_id == world.charges(paid)[1].id)).one()
    lines = db.session.scalars(select(InvoiceLine).where(InvoiceLine.invoice_id == invoice.id))
    printed = [(each.label, each.amount) for each in sorted(lines, key=lambda each: each.position)]
    assert printed == [(each["label"], Decimal(each["amount"])) for each in preview.proration.lines]
    assert printed[1][0] == "Grand coffret (20 jours sur 30, du 11/06/2026 au 30/06/2026)"
    assert (invoice.total, invoice.vat) == (Decimal("24.00"), preview.proration.totals.as_json())


def test_what_an_ended_subscription_still_owes_is_a_task_once_and_can_be_asked_for(
    world: World, cast: Cast, paid: Subscription
) -> None:
    change(world, cast, paid, line("60.00"), by=Settlement.NEXT_CYCLE)
    lifecycle.cancel(paid.id, reason="Déménagement", by=cast.manager, at=clock.now())
    db.session.commit()
    for event in db.session.scalars(select(OutboxEvent).where(OutboxEvent.kind == OutboxKind.SUBSCRIPTION_CANCELED)):
        for _ in range(2):
            left_over.tell_ended(event)
    (task,) = db.session.scalars(select(Task))
    assert task.title == f"Complément de 24,00\u00a0€ TTC jamais demandé\u202f: l’abonnement {paid.code} a pris fin"
    assert left_over.tell_ended.__module__ in {
        name.rpartition(".")[0]
        for kind in (OutboxKind.SUBSCRIPTION_CANCELED, OutboxKind.SUBSCRIPTION_EXPIRED)
        for name in SUBSCRIBERS[kind]
    }
    (waiting,) = adjustments(paid)
    changing.settle_now(waiting.id, Settlement.OWN_CHARGE, subscription_id=paid.id, by=cast.manager, at=clock.now())
    db.session.commit()
    world.sweep()
    assert world.charges(paid)[-1].amount == Decimal("24.00")
    assert db.session.scalars(select(Task.done_at)).one() is not None


@pytest.mark.parametrize("reason", [lifecycle.RENOUNCED, None])
def test_nothing_is_asked_where_nothing_is_owed(
    world: World, cast: Cast, paid: Subscription, reason: str | None
) -> None:
    """After a renunciation all is given back; and a credit is no debt."""
    change(world, cast, paid, line("60.00" if reason else "20.00"), by=Settlement.NEXT_CYCLE)
    lifecycle.cancel(paid.id, reason=reason or "Déménagement", by=cast.manager, at=clock.now())
    db.session.commit()
    for event in db.session.scalars(select(OutboxEvent).where(OutboxEvent.kind == OutboxKind.SUBSCRIPTION_CANCELED)):
        left_over.tell_ended(event)
    assert db.session.scalars(select(Task)).all() == []


def test_a_supplement_can_wait_for_the_next_cycle(world: World, cast: Cast, paid: Subscription) -> None:
    change(world, cast, paid, line("60.00"), by=Settlement.NEXT_CYCLE)
    world.sweep()
    assert len(world.charges(paid)) == 1
    _next_month(world)
    assert world.charges(paid)[1].amount == Decimal("96.00")
    assert adjustments(paid)[0].left_over == []
    world.move_to(datetime.fromisoformat("2026-08-01T08:00+02:00"))
    world.run()
    assert world.charges(paid)[2].amount == Decimal("72.00")


def test_a_credit_is_taken_off_the_next_cycles_and_never_makes_them_negative(
    world: World, cast: Cast, paid: Subscription
) -> None:
    change(world, cast, paid, line("6.00"))
    _next_month(world)
    world.move_to(datetime.fromisoformat("2026-08-01T08:00+02:00"))
    world.run()
    world.move_to(datetime.fromisoformat("2026-09-01T08:00+02:00"))
    world.run()
    world.move_to(datetime.fromisoformat("2026-10-01T08:00+02:00"))
    world.run()
    # 16 € of credit before tax: 6, 6, then 4 of the third cycle's 6.
    assert [charge.amount for charge in world.charges(paid)] == [
        Decimal("36.00"),
        Decimal("0.00"),
        Decimal("0.00"),
        Decimal("2.40"),
        Decimal("7.20"),
    ]
    assert {charge.status for charge in world.charges(paid)} == {ChargeStatus.SUCCEEDED}


def test_a_credit_at_another_rate_makes_the_next_cycle_cheaper_by_what_was_paid(
    world: World, cast: Cast, paid: Subscription
) -> None:
    change(world, cast, paid, line("30.00", "5.5"), by=Settlement.NEXT_CYCLE)
    assert adjustments(paid)[0].amount == Decimal("-2.90")
    _next_month(world)
    charge = world.charges(paid)[1]
    assert charge.amount == Decimal("31.65") + Decimal("21.10") - Decimal("24.00")
    invoice = db.session.scalars(select(Invoice).where(Invoice.charge_id == charge.id)).one()
    assert invoice.total == charge.amount


def test_a_credit_can_be_refunded_with_its_credit_note(world: World, cast: Cast, paid: Subscription) -> None:
    change(world, cast, paid, line("15.00"), by=Settlement.REFUND)
    sending.carry_out(world.organisation_id)
    refund = db.session.scalars(select(Refund)).one()
    assert (refund.amount, refund.vat) == (Decimal("12.00"), [{"rate": "20", "base": "10.00", "tax": "2.00"}])
    note = db.session.scalars(select(Invoice).where(Invoice.corrects_id.is_not(None))).one()
    assert (note.total, note.amount_before_tax) == (Decimal("-12.00"), Decimal("-10.00"))
    _next_month(world)
    assert world.charges(paid)[1].amount == Decimal("18.00")


def test_the_credit_note_takes_back_the_rate_that_was_changed(world: World, cast: Cast, paid: Subscription) -> None:
    change(world, cast, paid, line("30.00"), line("30.00", "5.5", "Café"), by=Settlement.OWN_CHARGE)
    world.sweep()
    _next_month(world)
    world.move_to(datetime.fromisoformat("2026-07-17T08:00+02:00"))
    change(world, cast, paid, line("30.00"), by=Settlement.REFUND)
    sending.carry_out(world.organisation_id)
    note = db.session.scalars(select(Invoice).where(Invoice.corrects_id.is_not(None))).one()
    assert [share["rate"] for share in note.vat] == ["5.5"]


def test_what_was_paid_once_is_credited_once(world: World, cast: Cast, paid: Subscription) -> None:
    """A cycle that was given back by a person has nothing left to be credited."""
    change(world, cast, paid, line("0.00"), by=Settlement.REFUND)
    sending.carry_out(world.organisation_id)
    preview = changing.preview_change(paid.id, [line("30.00")], day=None, at=clock.now())
    assert preview.proration.amount == Decimal("24.00")


def test_a_change_moves_the_revenue_when_it_is_made(world: World, cast: Cast, paid: Subscription) -> None:
    change(world, cast, paid, line("60.00"))
    row = db.session.scalars(select(SubscriptionHistory).order_by(SubscriptionHistory.at.desc())).first()
    assert row is not None
    assert (row.annual_before, row.annual_after, row.user_id) == (Decimal(360), Decimal(720), cast.manager.id)
    assert world.reload(paid).recurring_amount == Decimal("60.00")


def test_a_refused_supplement_leaves_the_subscription_as_it_is(world: World, cast: Cast, paid: Subscription) -> None:
    world.ledger.behave("hard")
    change(world, cast, paid, line("60.00"), by=Settlement.OWN_CHARGE)
    world.sweep()
    supplement = world.charges(paid)[1]
    assert supplement.status is ChargeStatus.FAILED
    assert world.reload(paid).status is SubscriptionStatus.ACTIVE
    assert world.reload(paid).next_charge_on == date(2026, 7, 1)


def test_an_unpaid_supplement_does_not_keep_a_subscription_unpaid(world: World, cast: Cast, paid: Subscription) -> None:
    world.ledger.behave("hard")
    change(world, cast, paid, line("60.00"), by=Settlement.OWN_CHARGE)
    world.sweep()
    _next_month(world)
    assert world.reload(paid).status is SubscriptionStatus.PAST_DUE
    lifecycle.mark_paid(paid.id, at=clock.now())
    assert world.reload(paid).status is SubscriptionStatus.ACTIVE


def test_a_client_who_pays_by_transfer_is_sent_the_invoice_of_the_supplement(
    world: World, cast: Cast, paid: Subscription
) -> None:
    paid.payment_method = PaymentMethod.TRANSFER
    paid.saved_method_id = paid.provider_account_id = None
    db.session.commit()
    change(world, cast, paid, line("60.00"), by=Settlement.OWN_CHARGE)
    supplement = world.charges(paid)[1]
    assert supplement.attention is not None
    assert (
        db.session.scalars(select(Invoice.total).where(Invoice.charge_id == supplement.id)).one() == supplement.amount
    )


def test_an_unpaid_subscription_is_asked_for_nothing_apart(world: World, cast: Cast) -> None:
    world.move_to(datetime.fromisoformat("2026-06-01T08:00+02:00"))
    subscription = world.subscribe("30.00", anchor=FIRST)
    world.ledger.behave("hard")
    world.run()
    assert world.reload(subscription).status is SubscriptionStatus.PAST_DUE
    preview = changing.preview_change(subscription.id, [line("60.00")], day=None, at=clock.now())
    assert preview.ways == [Settlement.NEXT_CYCLE]


def test_a_credit_waits_until_what_it_is_of_was_paid(world: World, cast: Cast) -> None:
    world.move_to(datetime.fromisoformat("2026-06-01T08:00+02:00"))
    subscription = world.subscribe("30.00", anchor=FIRST)
    world.ledger.behave("process")
    world.run()
    world.move_to(datetime.fromisoformat("2026-06-11T08:00+02:00"))
    assert change(world, cast, subscription, line("15.00")).ways == [Settlement.NEXT_CYCLE]
    _next_month(world)
    assert world.charges(subscription)[1].amount == Decimal("18.00")
    assert adjustments(subscription)[0].left_over != []


def test_a_credit_of_a_cycle_that_was_given_up_is_one_of_nothing(world: World, cast: Cast) -> None:
    world.move_to(datetime.fromisoformat("2026-06-01T08:00+02:00"))
    subscription = world.subscribe("30.00", anchor=FIRST)
    world.ledger.behave("hard")
    world.run()
    world.ledger.behave("ok")
    change(world, cast, subscription, line("15.00"))
    assert len(changing.list_open(subscription.id)) == 1
    decisions.give_up(world.charges(subscription)[0].id, reason="Geste", by=cast.manager, at=clock.now())
    assert changing.list_open(subscription.id) == []
    _next_month(world)
    assert world.charges(subscription)[1].amount == Decimal("18.00")


def test_a_pending_subscription_that_was_never_charged_has_nothing_to_prorate(world: World, cast: Cast) -> None:
    subscription = world.subscribe("30.00", anchor=date(2026, 2, 1), status=SubscriptionStatus.PENDING)
    preview = change(world, cast, subscription, line("60.00"))
    assert (preview.proration.base, preview.ways, preview.proration.lines) == (None, [], [])
    assert world.reload(subscription).recurring_amount == Decimal("60.00")


@pytest.mark.parametrize("day", [date(2026, 5, 31), date(2026, 6, 12)])
def test_a_day_outside_the_charged_period_or_to_come_is_refused(world: World, paid: Subscription, day: date) -> None:
    with pytest.raises(InvalidInputError, match="Choisissez un jour") as refusal:
        changing.preview_change(paid.id, [line("60.00")], day=day, at=clock.now())
    assert refusal.value.field == "day"


def test_a_day_before_an_earlier_change_is_refused(world: World, cast: Cast, paid: Subscription) -> None:
    change(world, cast, paid, line("60.00"))
    with pytest.raises(InvalidInputError, match="changement déjà compté"):
        changing.preview_change(paid.id, [line("90.00")], day=date(2026, 6, 10), at=clock.now())


def test_what_is_no_longer_as_it_was_shown_is_refused(world: World, cast: Cast, paid: Subscription) -> None:
    preview = changing.preview_change(paid.id, [line("60.00")], day=None, at=clock.now())
    world.wait(days=1)
    with pytest.raises(OtherAmountError, match="ont changé depuis l’aperçu"):
        _confirm(cast, paid, preview)
    assert adjustments(paid) == []


def _confirm(cast: Cast, subscription: Subscription, preview: changing.ChangePreview, **values: object) -> None:
    arguments = {
        "day": None,
        "settlement": preview.ways[0],
        "shown": preview.proration.amount,
        "adjustment_id": new_id(),
        "version": subscription.version,
        "by": cast.manager,
        "at": clock.now(),
    }
    changing.change_now(subscription.id, [line("60.00")], **(arguments | values))  # type: ignore[arg-type]


def test_a_form_sent_twice_changes_once_and_a_second_person_is_told(
    world: World, cast: Cast, paid: Subscription
) -> None:
    preview = changing.preview_change(paid.id, [line("60.00")], day=None, at=clock.now())
    version, adjustment_id = paid.version, new_id()
    for _ in range(2):
        _confirm(cast, paid, preview, version=version, adjustment_id=adjustment_id)
    assert len(adjustments(paid)) == 1
    assert len(world.charges(paid)) == 2
    with pytest.raises(EditConflictError):
        _confirm(cast, paid, preview, version=version)


def test_a_supplement_that_waits_can_be_asked_for_after_all(world: World, cast: Cast, paid: Subscription) -> None:
    change(world, cast, paid, line("60.00"), by=Settlement.NEXT_CYCLE)
    waiting = adjustments(paid)[0]
    changing.settle_now(waiting.id, Settlement.OWN_CHARGE, subscription_id=paid.id, by=cast.manager, at=clock.now())
    world.sweep()
    assert world.charges(paid)[1].amount == Decimal("24.00")
    _next_month(world)
    assert [charge.amount for charge in world.charges(paid) if not charge.is_supplement][1] == Decimal("72.00")


def test_an_outsider_finds_no_such_subscription(world: World, cast: Cast, paid: Subscription) -> None:
    with tenancy.organisation(cast.other_organisation.id), pytest.raises(NotFoundError):
        changing.preview_change(paid.id, [line("60.00")], day=None, at=clock.now())
