"""Refunds: never more than was captured, known by whoever tells of them first, and in the books once."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import select

from tests.conftest import Cast
from tests.services.charges.ledger import FAILURE
from tests.services.charges.world import World
from webapp import clock, tenancy
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.gateways.providers import protocol
from webapp.models.base import new_id
from webapp.models.charges import (
    REFUND_TRANSITIONS,
    Attention,
    Charge,
    ChargeStatus,
    Refund,
    RefundStatus,
)
from webapp.models.contracts import PaymentMethod
from webapp.models.invoices import Invoice, InvoiceStatus
from webapp.models.payments import PaymentKind
from webapp.models.providers import Provider
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.charges import decisions, reconciling, recording
from webapp.services.charges.decisions import Decision, NotAllowedError
from webapp.services.invoices import finalising, listing
from webapp.services.refunds import commands, sending, sweeping

WORDS = "Carte expirée ou résiliée"


@pytest.fixture
def paid(world: World) -> Charge:
    """A charge of 24 € that the provider captured, with its numbered invoice."""
    world.subscribe("20.00")
    world.run()
    finalising.finalise_drafts(world.organisation_id, at=clock.now())
    return world.charge()


def ask(charge: Charge, amount: str, cast: Cast, *, refund_id: UUID | None = None) -> None:
    commands.refund(
        charge.id,
        refund_id=refund_id or new_id(),
        amount=Decimal(amount),
        reason="Colis abîmé",
        by=cast.manager,
        at=clock.now(),
    )


def only_refund() -> Refund:
    return db.session.scalars(select(Refund).execution_options(populate_existing=True)).one()


def invoice() -> Invoice:
    statement = select(Invoice).where(Invoice.corrects_id.is_(None)).execution_options(populate_existing=True)
    return db.session.scalars(statement).one()


def notes() -> list[Decimal]:
    return [note.total for note in listing.list_credit_notes(invoice().id)]


def assert_given_back_once(world: World, amount: str = "10.00") -> None:
    """In our ledger, in the provider's, and on one credit note; and nobody is needed."""
    given = Decimal(amount)
    assert [row.amount for row in world.payments() if row.kind is PaymentKind.REFUND] == [-given]
    assert [told.amount for told in world.ledger.refunds()] == [given]
    assert notes() == [-given]
    assert (invoice().credited, invoice().balance, invoice().status) == (given, Decimal(0), InvoiceStatus.PAID)
    assert only_refund().status is RefundStatus.SUCCEEDED
    assert world.charge().attention is None


# --- the way that goes well ---


def test_a_refund_goes_back_and_brings_its_credit_note(world: World, paid: Charge, cast: Cast) -> None:
    ask(paid, "10.00", cast)
    assert (world.ledger.refunds(), notes()) == ([], [])  # nothing happens before the job
    assert sending.carry_out(world.organisation_id) == 1
    assert_given_back_once(world)
    assert sending.carry_out(world.organisation_id) == 0
    assert finalising.finalise_drafts(world.organisation_id, at=clock.now()) == 1
    assert listing.list_credit_notes(invoice().id)[0].reference == "AV-000001"


def test_the_timeline_tells_who_asked_for_how_much(world: World, paid: Charge, cast: Cast) -> None:
    ask(paid, "10.00", cast)
    sending.carry_out(world.organisation_id)
    told = {event.kind: event for event in db.session.scalars(select(TimelineEvent))}
    decided, credited = told[EventKind.CHARGE_DECIDED], told[EventKind.CREDIT_NOTE_MADE]
    assert decided.changes["charge_amount"] == [None, "10.00 EUR"]
    asked = db.session.scalars(select(Refund)).one()
    assert (decided.changes["charge"], decided.changes["refund"]) == ([None, paid.code], [None, asked.code])
    assert decided.user_id == credited.user_id == cast.manager.id


# --- never too much ---


@pytest.mark.parametrize("amount", ["24.01", "0.00", "-1.00", "1.005", "NaN", "Infinity"])
def test_an_amount_that_cannot_go_back_is_refused(paid: Charge, cast: Cast, amount: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        ask(paid, amount, cast)
    assert refusal.value.field == "amount"


def test_what_is_on_its_way_cannot_go_back_again(world: World, paid: Charge, cast: Cast) -> None:
    ask(paid, "20.00", cast)
    with pytest.raises(InvalidInputError, match="4,00 au plus"):
        ask(paid, "4.01", cast)
    sending.carry_out(world.organisation_id)
    ask(paid, "4.00", cast)
    sending.carry_out(world.organisation_id)
    with pytest.raises(InvalidInputError, match="plus rien"):
        ask(paid, "0.01", cast)
    assert sum(told.amount for told in world.ledger.refunds()) == Decimal(24)
    assert sum(notes()) == -invoice().total
    assert invoice().status is InvoiceStatus.PAID


def test_a_form_sent_twice_asks_once(world: World, paid: Charge, cast: Cast) -> None:
    refund_id = new_id()
    for _ in range(2):
        ask(paid, "10.00", cast, refund_id=refund_id)
    sending.carry_out(world.organisation_id)
    assert_given_back_once(world)


def test_what_was_not_paid_is_not_refunded(world: World, cast: Cast) -> None:
    world.subscribe("20.00")
    world.ledger.behave("hard")
    world.run()
    with pytest.raises(NotAllowedError):
        ask(world.charge(), "1.00", cast)


def test_a_payment_made_twice_goes_back_without_a_credit_note(world: World, paid: Charge, cast: Cast) -> None:
    _capture_again(world, paid)
    assert world.charge().attention is Attention.MISMATCH
    for amount, attention_after in (("4.00", Attention.MISMATCH), ("20.00", None)):
        ask(paid, amount, cast)
        sending.carry_out(world.organisation_id)
        assert world.charge().attention is attention_after
    assert (notes(), invoice().status) == ([], InvoiceStatus.PAID)
    assert commands.find_refundable(world.charge()).in_all == Decimal(24)


def _capture_again(world: World, charge: Charge) -> None:
    """A second attempt that was captured too, as when a person had noted another payment meanwhile."""
    first = world.attempts()[0]
    values = {name: getattr(first, name) for name in ("charge_id", "provider_account_id", "provider", "amount")}
    second = type(first)(id=new_id(), number=2, provider_payment_id=None, **values)
    db.session.add(second)
    db.session.flush()
    told = protocol.PaymentOutcome(
        protocol.PaymentState.SUCCEEDED, provider_payment_id=f"pay_{second.id}", amount=charge.amount, currency="EUR"
    )
    recording.apply_outcome(second.id, told, at=clock.now())


# --- results that do not come ---


def test_a_refund_that_was_made_without_an_answer_is_found(world: World, paid: Charge, cast: Cast) -> None:
    ask(paid, "10.00", cast)
    world.ledger.behave("timeout")
    sending.carry_out(world.organisation_id)
    assert (only_refund().status, notes()) == (RefundStatus.UNKNOWN, [])
    world.ledger.behave("succeed")
    world.wait(seconds=31)
    assert sweeping.sweep(at=clock.now()) == 1
    sending.carry_out(world.organisation_id)
    assert_given_back_once(world)
    assert world.ledger.count_calls("refund") == 1


def test_one_that_never_arrived_is_sent_again_with_its_key_once_it_can_no_longer_arrive(
    world: World, paid: Charge, cast: Cast
) -> None:
    ask(paid, "10.00", cast)
    world.ledger.behave("lost")
    sending.carry_out(world.organisation_id)
    world.ledger.behave("succeed")
    for seconds in (31, 31):  # it may still arrive
        world.wait(seconds=seconds)
        sending.carry_out(world.organisation_id)
    assert world.ledger.count_calls("refund") == 1
    world.wait(minutes=5)
    sending.carry_out(world.organisation_id)
    assert_given_back_once(world)
    assert (only_refund().sends, only_refund().external_id) == (2, f"re_{only_refund().idempotency_key}")


def test_one_that_comes_late_is_made_once(world: World, paid: Charge, cast: Cast) -> None:
    ask(paid, "10.00", cast)
    world.ledger.behave("late")
    sending.carry_out(world.organisation_id)
    world.ledger.behave("succeed")
    for _ in range(8):
        world.wait(minutes=1)
        sending.carry_out(world.organisation_id)
    assert_given_back_once(world)


def test_one_that_the_provider_never_knew_is_refused_when_its_key_is_honoured_no_more(
    world: World, paid: Charge, cast: Cast
) -> None:
    ask(paid, "10.00", cast)
    world.ledger.behave("lost")
    for _ in range(30):
        sending.carry_out(world.organisation_id)
        world.wait(hours=1)
    refund = only_refund()
    assert (refund.status, refund.next_attempt_at) == (RefundStatus.REFUSED, None)
    assert (world.charge().attention, notes()) == (Attention.REFUND, [])
    world.ledger.behave("succeed")
    ask(paid, "24.00", cast)  # nothing of it is on its way any more
    assert world.charge().attention is None


def test_one_that_is_unknown_for_an_hour_is_for_a_person_until_it_is_known(
    world: World, paid: Charge, cast: Cast
) -> None:
    ask(paid, "10.00", cast)
    world.ledger.behave("lost")
    for _ in range(3):
        sending.carry_out(world.organisation_id)
        world.wait(minutes=40)
    assert world.charge().attention is Attention.REFUND
    world.ledger.behave("succeed")
    sending.carry_out(world.organisation_id)
    assert_given_back_once(world)


def test_a_refused_one_is_for_a_person_who_may_ask_again(world: World, paid: Charge, cast: Cast) -> None:
    ask(paid, "10.00", cast)
    world.ledger.behave("hard")
    sending.carry_out(world.organisation_id)
    assert only_refund().status is RefundStatus.REFUSED
    charge = world.charge()
    assert (charge.attention, notes()) == (Attention.REFUND, [])
    assert "refusé" in (charge.explanation or "")
    assert decisions.actions_of(charge) == [Decision.REFUND, Decision.DISMISS]
    assert commands.find_refundable(charge).by_provider == Decimal(24)


def test_an_account_that_is_not_set_up_keeps_it_waiting(
    world: World, paid: Charge, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_account: object) -> protocol.PaymentProvider:
        raise protocol.ProviderRejectedError("keys are missing")

    ask(paid, "10.00", cast)
    with monkeypatch.context() as patch:
        patch.setattr(sending, "provider_of", missing)
        sending.carry_out(world.organisation_id)
    assert (only_refund().status, only_refund().sends) == (RefundStatus.REQUESTED, 0)
    world.wait(minutes=1)
    sending.carry_out(world.organisation_id)
    assert_given_back_once(world)


# --- told by the provider, too, in any order ---


@pytest.mark.parametrize("order", ["told first", "recorded first", "told instead"])
def test_whoever_tells_of_it_first_it_is_in_the_books_once(world: World, paid: Charge, cast: Cast, order: str) -> None:
    ask(paid, "10.00", cast)
    attempt = world.attempts()[0]
    if order == "told instead":  # the worker dies on its way back
        world.ledger.give_back(attempt.id, Decimal("10.00"), key="k", refund_id=only_refund().id)
        reconciling.reconcile(world.organisation_id, at=clock.now())
    elif order == "told first":
        world.ledger.behave("timeout")
        sending.carry_out(world.organisation_id)
        world.ledger.behave("succeed")
        reconciling.reconcile(world.organisation_id, at=clock.now())
    for _ in range(2):
        sending.carry_out(world.organisation_id)
        reconciling.reconcile(world.organisation_id, at=clock.now())
    assert_given_back_once(world)
    assert sweeping.sweep(at=clock.now() + timedelta(days=2)) == 0


def test_a_stale_no_changes_nothing_and_a_stale_yes_is_money(world: World, paid: Charge, cast: Cast) -> None:
    ask(paid, "10.00", cast)
    claim = sending._claim(at=clock.now())
    assert claim is not None
    world.wait(minutes=10)
    newer = sending._claim(at=clock.now())
    assert newer is not None
    sending._record(claim, sending.RefundAnswer(is_refused=True, message="no"), at=clock.now())
    assert only_refund().status is RefundStatus.REQUESTED
    world.ledger.give_back(claim.attempt_id, Decimal("10.00"), key=claim.key, refund_id=claim.refund_id)
    sending._record(claim, sending.RefundAnswer(world.ledger.refunds()[0]), at=clock.now())
    sending._record(newer, sending.RefundAnswer(is_refused=True, message="no"), at=clock.now())
    assert_given_back_once(world)


def test_one_made_at_the_providers_own_site_waits_for_a_person_to_credit_it(
    world: World, paid: Charge, cast: Cast
) -> None:
    world.ledger.give_back(world.attempts()[0].id, Decimal("10.00"), key="theirs")
    for _ in range(2):
        reconciling.reconcile(world.organisation_id, at=clock.now())
    charge = world.charge()
    assert (charge.attention, charge.explanation) == (Attention.CREDIT_NOTE, recording.REFUNDED)
    assert Decision.CREDIT in decisions.actions_of(charge)
    assert invoice().status is InvoiceStatus.PAID  # nobody is dunned for it
    with pytest.raises(InvalidInputError, match="motif"):
        commands.credit_refunds(charge.id, reason=" ", by=cast.manager, at=clock.now())
    commands.credit_refunds(charge.id, reason="Vu avec le client", by=cast.manager, at=clock.now())
    assert (notes(), world.charge().attention) == ([Decimal("-10.00")], None)
    with pytest.raises(NotAllowedError):
        commands.credit_refunds(charge.id, reason="Encore", by=cast.manager, at=clock.now())


def test_whatever_else_happens_the_credit_note_is_not_forgotten(world: World, paid: Charge, cast: Cast) -> None:
    ask(paid, "5.00", cast)
    world.ledger.give_back(world.attempts()[0].id, Decimal("10.00"), key="theirs")
    reconciling.reconcile(world.organisation_id, at=clock.now())
    world.ledger.behave("hard")
    sending.carry_out(world.organisation_id)  # refused, which hides nothing
    assert world.charge().attention is Attention.CREDIT_NOTE
    world.ledger.behave("succeed")
    world.ledger.reverse(world.attempts()[0].id)
    reconciling.reconcile(world.organisation_id, at=clock.now())
    assert world.charge().attention is Attention.REVERSED
    today = clock.today()
    decisions.mark_paid(paid.id, method=PaymentMethod.TRANSFER, paid_on=today, by=cast.manager, at=clock.now())
    assert world.charge().attention is Attention.CREDIT_NOTE
    commands.credit_refunds(paid.id, reason="Vu", by=cast.manager, at=clock.now())
    assert (world.charge().attention, notes()) == (None, [Decimal("-10.00")])


# --- that fail after all ---


def fail(world: World) -> None:
    """The client's bank does not take the last refund that was made, and the provider says so."""
    world.ledger.fail_refund(world.ledger.told_refunds()[-1].external_id)
    reconciling.reconcile(world.organisation_id, at=clock.now())


@pytest.fixture
def failed(world: World, paid: Charge, cast: Cast) -> Charge:
    """A charge of 24 €, of which 10 € went back, were credited, and came to us again three days later."""
    ask(paid, "10.00", cast)
    sending.carry_out(world.organisation_id)
    finalising.finalise_drafts(world.organisation_id, at=clock.now())
    world.wait(days=3)
    fail(world)
    return world.charge()


def client_total() -> Decimal:
    (balance,) = listing.balances_of_client(invoice().client_id)
    return balance.total


def standing() -> tuple[Decimal, Decimal, Decimal, InvoiceStatus]:
    found = invoice()
    return found.paid, found.credited, found.balance, found.status


def test_a_refund_that_fails_days_later_is_undone_in_the_ledger_once(world: World, failed: Charge) -> None:
    told = world.ledger.told_refunds()[0]
    reconciling.reconcile(world.organisation_id, at=clock.now())
    recording.apply_refund(world.attempts()[0].id, told, at=clock.now())
    capture, refund, failure = world.payments()
    assert [row.amount for row in (capture, refund, failure)] == [Decimal(24), Decimal(-10), Decimal(10)]
    assert (failure.kind, failure.undoes_id, failure.reason) == (PaymentKind.REFUND_FAILURE, refund.id, WORDS)
    assert failure.happened_at == told.failed_at
    row = only_refund()
    assert (row.status, row.provider_message, row.external_id) == (RefundStatus.FAILED, FAILURE, told.external_id)


def test_its_credit_note_stands_and_so_its_money_is_owed_to_the_client(world: World, failed: Charge) -> None:
    (note,) = listing.list_credit_notes(invoice().id)
    assert (note.reference, note.total) == ("AV-000001", Decimal(-10))
    assert standing() == (Decimal(24), Decimal(10), Decimal(-10), InvoiceStatus.PAID)
    assert client_total() == Decimal(-10)
    assert [each.amount for each in listing.list_settlements(invoice().id)] == [Decimal(24), Decimal(-10), Decimal(10)]


def test_it_is_for_a_person_and_in_the_timeline(failed: Charge) -> None:
    assert (failed.status, failed.attention) == (ChargeStatus.SUCCEEDED, Attention.REFUND_AGAIN)
    assert failed.explanation == (
        "Le remboursement a échoué chez le prestataire\u202f: «\u00a0Carte expirée ou résiliée\u00a0»."
        " Il reste à rendre au client\u202f: 10,00 EUR."
    )
    assert decisions.actions_of(failed) == [Decision.REFUND, Decision.DISMISS]
    told = db.session.scalars(select(TimelineEvent).where(TimelineEvent.kind == EventKind.REFUND_FAILED)).one()
    assert (told.changes["charge_amount"], told.changes["reason"]) == ([None, "10.00 EUR"], [None, WORDS])
    assert told.changes["refund"] == [None, db.session.scalars(select(Refund)).one().code]


@pytest.mark.parametrize("way", ["provider", "hand"])
def test_made_again_it_brings_no_second_credit_note(world: World, failed: Charge, cast: Cast, way: str) -> None:
    assert commands.find_refundable(failed).by_provider == Decimal(24)
    if way == "hand":
        note_by_hand(failed, "10.00", cast, paid_on=clock.today())
    else:
        ask(failed, "10.00", cast)
        assert world.charge().attention is None
        sending.carry_out(world.organisation_id)
    assert notes() == [Decimal(-10)]
    assert standing() == (Decimal(14), Decimal(10), Decimal(0), InvoiceStatus.PAID)
    assert (client_total(), world.charge().attention, world.charge().explanation) == (0, None, None)


def test_made_again_in_part_the_rest_is_still_to_be_made(world: World, failed: Charge, cast: Cast) -> None:
    ask(failed, "4.00", cast)
    sending.carry_out(world.organisation_id)
    charge = world.charge()
    assert (charge.attention, notes()) == (Attention.REFUND_AGAIN, [Decimal(-10)])
    assert charge.explanation == "Il reste à rendre au client\u202f: 6,00 EUR."
    ask(failed, "20.00", cast)
    sending.carry_out(world.organisation_id)
    assert (world.charge().attention, notes()) == (None, [Decimal(-10), Decimal(-14)])
    assert (client_total(), invoice().balance) == (0, 0)


def test_made_again_it_may_fail_again(world: World, failed: Charge, cast: Cast) -> None:
    ask(failed, "10.00", cast)
    sending.carry_out(world.organisation_id)
    fail(world)
    assert sum(row.amount for row in world.payments()) == Decimal(24)
    assert (notes(), invoice().balance) == ([Decimal(-10)], Decimal(-10))
    assert world.charge().attention is Attention.REFUND_AGAIN


@pytest.mark.parametrize("mode", ["hard", "lost"])
def test_another_that_comes_to_nothing_does_not_hide_what_is_owed(
    world: World, failed: Charge, cast: Cast, mode: str
) -> None:
    ask(failed, "4.00", cast)
    world.ledger.behave(mode)
    for _ in range(30):
        sending.carry_out(world.organisation_id)
        world.wait(hours=1)
    assert world.charge().attention is Attention.REFUND_AGAIN
    assert "10,00 EUR" in (world.charge().explanation or "")


def test_one_that_is_long_unknown_does_not_hide_what_is_owed_for_another(
    world: World, paid: Charge, cast: Cast
) -> None:
    ask(paid, "10.00", cast)
    sending.carry_out(world.organisation_id)
    ask(paid, "4.00", cast)
    fail(world)
    world.ledger.behave("lost")
    for _ in range(3):
        sending.carry_out(world.organisation_id)
        world.wait(hours=1)
    assert world.charge().attention is Attention.REFUND_AGAIN
    assert "n’est pas connu" in (world.charge().explanation or "")


def test_made_again_and_long_unknown_it_is_not_to_be_made_once_more(world: World, failed: Charge, cast: Cast) -> None:
    ask(failed, "10.00", cast)
    world.ledger.behave("lost")
    for _ in range(3):
        sending.carry_out(world.organisation_id)
        world.wait(hours=1)
    assert world.charge().attention is Attention.REFUND


def test_a_person_may_leave_it_to_the_client_as_credit(world: World, failed: Charge, cast: Cast) -> None:
    decisions.dismiss(failed.id, reason="Le client le garde en avoir", by=cast.manager, at=clock.now())
    reconciling.reconcile(world.organisation_id, at=clock.now())
    assert (world.charge().attention, client_total()) == (None, Decimal(-10))


@pytest.mark.parametrize("mode", ["failing", "timeout"])
def test_one_that_failed_before_we_heard_of_it_brings_no_credit_note(
    world: World, paid: Charge, cast: Cast, mode: str
) -> None:
    ask(paid, "10.00", cast)
    world.ledger.behave(mode)
    sending.carry_out(world.organisation_id)
    world.ledger.fail_refund(world.ledger.told_refunds()[0].external_id)
    world.ledger.behave("succeed")
    world.wait(seconds=31)
    sending.carry_out(world.organisation_id)
    assert (only_refund().status, only_refund().next_attempt_at) == (RefundStatus.FAILED, None)
    assert [row.amount for row in world.payments()] == [Decimal(24), Decimal(-10), Decimal(10)]
    assert (notes(), standing()[:3]) == ([], (Decimal(24), Decimal(0), Decimal(0)))
    assert (world.charge().attention, client_total()) == (Attention.REFUND, 0)
    assert commands.find_refundable(world.charge()).by_provider == Decimal(24)


def test_a_stale_yes_after_the_failure_changes_nothing(world: World, failed: Charge) -> None:
    stale = replace(world.ledger.told_refunds()[0], failure=None, failed_at=None)
    recording.apply_refund(world.attempts()[0].id, stale, at=clock.now())
    assert only_refund().status is RefundStatus.FAILED
    assert (len(world.payments()), invoice().balance) == (3, Decimal(-10))
    assert world.charge().attention is Attention.REFUND_AGAIN


def test_a_failure_that_is_told_before_anything_else_makes_a_late_yes_harmless(
    world: World, paid: Charge, cast: Cast
) -> None:
    ask(paid, "10.00", cast)
    claim = sending._claim(at=clock.now())
    assert claim is not None
    world.ledger.give_back(claim.attempt_id, claim.amount, key=claim.key, refund_id=claim.refund_id)
    answer = sending.RefundAnswer(world.ledger.refunds()[0])
    fail(world)
    sending._record(claim, answer, at=clock.now())
    assert (only_refund().status, notes(), invoice().balance) == (RefundStatus.FAILED, [], 0)
    assert sum(row.amount for row in world.payments()) == Decimal(24)


def test_one_made_at_the_providers_own_site_that_fails_uncredited_needs_nobody(world: World, paid: Charge) -> None:
    world.ledger.give_back(world.attempts()[0].id, Decimal("10.00"), key="theirs")
    reconciling.reconcile(world.organisation_id, at=clock.now())
    assert world.charge().attention is Attention.CREDIT_NOTE
    fail(world)
    assert (world.charge().attention, world.charge().explanation) == (None, None)
    assert (notes(), standing()[:3], client_total()) == ([], (Decimal(24), Decimal(0), Decimal(0)), 0)


def test_one_made_there_that_fails_once_credited_is_to_be_made_again(world: World, paid: Charge, cast: Cast) -> None:
    world.ledger.give_back(world.attempts()[0].id, Decimal("10.00"), key="theirs")
    reconciling.reconcile(world.organisation_id, at=clock.now())
    commands.credit_refunds(paid.id, reason="Vu", by=cast.manager, at=clock.now())
    fail(world)
    assert world.charge().attention is Attention.REFUND_AGAIN
    assert (notes(), client_total()) == ([Decimal(-10)], Decimal(-10))


def test_a_credit_note_to_be_made_goes_first_and_hides_nothing(world: World, failed: Charge, cast: Cast) -> None:
    world.ledger.give_back(world.attempts()[0].id, Decimal("4.00"), key="theirs")
    reconciling.reconcile(world.organisation_id, at=clock.now())
    assert world.charge().attention is Attention.CREDIT_NOTE
    commands.credit_refunds(failed.id, reason="Vu", by=cast.manager, at=clock.now())
    charge = world.charge()
    assert (charge.attention, notes()) == (Attention.REFUND_AGAIN, [Decimal(-10)])  # 4 € of the 10 € have gone
    assert charge.explanation == "Il reste à rendre au client\u202f: 6,00 EUR."


def test_what_was_paid_twice_and_could_not_go_back_is_owed_without_a_credit_note(
    world: World, paid: Charge, cast: Cast
) -> None:
    _capture_again(world, paid)
    ask(paid, "24.00", cast)
    sending.carry_out(world.organisation_id)
    assert world.charge().attention is None
    fail(world)
    assert (world.charge().attention, notes(), client_total()) == (Attention.REFUND_AGAIN, [], Decimal(-24))


@pytest.mark.parametrize("order", ["fails first", "reversed first"])
def test_a_payment_taken_back_as_well_leaves_what_the_credit_note_leaves(
    world: World, paid: Charge, cast: Cast, order: str
) -> None:
    ask(paid, "10.00", cast)
    sending.carry_out(world.organisation_id)
    steps = [lambda: fail(world), lambda: world.ledger.reverse(world.attempts()[0].id)]
    for step in steps if order == "fails first" else reversed(steps):
        step()
        reconciling.reconcile(world.organisation_id, at=clock.now())
    charge = world.charge()
    assert (charge.status, charge.attention, charge.owed) == (ChargeStatus.REVERSED, Attention.REVERSED, Decimal(14))
    assert standing() == (Decimal(0), Decimal(10), Decimal(14), InvoiceStatus.ISSUED)
    decisions.retry(charge.id, by=cast.manager, at=clock.now())
    world.sweep()
    assert (world.charge().attention, invoice().balance, client_total()) == (None, 0, 0)


# --- by hand ---


def note_by_hand(charge: Charge, amount: str, cast: Cast, **values: object) -> None:
    given = {"method": PaymentMethod.TRANSFER, "paid_on": date(2026, 1, 31), "reference": "VIR 7", "reason": "Retour"}
    commands.note_refund(  # type: ignore[call-arg]
        charge.id,
        amount=Decimal(amount),
        by=cast.manager,
        at=clock.now(),
        **({"refund_id": new_id()} | given | values),  # type: ignore[arg-type]
    )


def test_a_refund_paid_by_hand_is_noted_with_its_credit_note(world: World, paid: Charge, cast: Cast) -> None:
    refund_id = new_id()
    for _ in range(2):
        note_by_hand(paid, "10.00", cast, refund_id=refund_id)
    assert (notes(), world.ledger.refunds()) == ([Decimal("-10.00")], [])
    row = world.payments()[-1]
    assert (row.amount, row.external_id, row.attempt_id) == (Decimal("-10.00"), "VIR 7", None)
    refundable = commands.find_refundable(world.charge())
    assert (refundable.in_all, refundable.by_provider) == (Decimal("14.00"), Decimal("14.00"))


def test_what_is_on_its_way_cannot_go_back_by_hand_either(paid: Charge, cast: Cast) -> None:
    ask(paid, "20.00", cast)
    with pytest.raises(InvalidInputError, match="4,00 au plus"):
        note_by_hand(paid, "4.01", cast)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"paid_on": date(2026, 3, 1)}, "paid_on"),
        ({"paid_on": date(2024, 1, 1)}, "paid_on"),
        ({"reference": " "}, "reference"),
        ({"reference": "x" * 101}, "reference"),
        ({"reason": ""}, "reason"),
    ],
)
def test_a_refund_by_hand_that_makes_no_sense_is_refused(
    paid: Charge, cast: Cast, values: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        note_by_hand(paid, "10.00", cast, **values)
    assert refusal.value.field == field


def test_a_debit_of_a_bank_file_goes_back_by_hand_only(world: World, paid: Charge, cast: Cast) -> None:
    world.attempts()[0].provider = Provider.SEPA_FILE
    db.session.flush()
    refundable = commands.find_refundable(paid)
    assert (refundable.in_all, refundable.by_provider) == (Decimal("24.00"), Decimal(0))
    with pytest.raises(InvalidInputError, match="de cette façon"):
        ask(paid, "1.00", cast)
    note_by_hand(paid, "24.00", cast)
    assert notes() == [Decimal("-24.00")]


# --- a gesture on what is not paid yet ---


def waive(amount: str, cast: Cast, *, note_id: UUID | None = None) -> None:
    commands.waive(
        invoice().id,
        note_id=note_id or new_id(),
        amount=Decimal(amount),
        reason="Retard de livraison",
        by=cast.manager,
        at=clock.now(),
    )


@pytest.fixture
def awaited(world: World) -> Charge:
    """A charge of 24 € that the client pays by transfer, with its numbered invoice."""
    world.subscribe("20.00", payment_method=PaymentMethod.TRANSFER, saved_method_id=None)
    world.run()
    finalising.finalise_drafts(world.organisation_id, at=clock.now())
    return world.charge()


def test_a_gesture_lowers_what_remains_to_be_paid(world: World, awaited: Charge, cast: Cast) -> None:
    note_id = new_id()
    for _ in range(2):
        waive("10.00", cast, note_id=note_id)
    assert (notes(), invoice().balance, world.charge().owed) == ([Decimal(-10)], Decimal(14), Decimal(14))
    today = clock.today()
    decisions.mark_paid(awaited.id, method=PaymentMethod.TRANSFER, paid_on=today, by=cast.manager, at=clock.now())
    assert [row.amount for row in world.payments()] == [Decimal(14)]
    assert (invoice().status, invoice().balance) == (InvoiceStatus.PAID, Decimal(0))


def test_a_gesture_of_all_that_remains_ends_the_asking(world: World, awaited: Charge, cast: Cast) -> None:
    waive("24.00", cast)
    charge = world.charge()
    assert (charge.status, charge.attention, charge.owed) == (ChargeStatus.CANCELED, None, Decimal(0))
    assert (invoice().status, invoice().balance) == (InvoiceStatus.PAID, Decimal(0))
    with pytest.raises(NotAllowedError):
        waive("0.01", cast)


def test_after_a_gesture_the_provider_is_asked_for_the_rest_only(world: World, paid: Charge, cast: Cast) -> None:
    world.ledger.reverse(world.attempts()[0].id)
    reconciling.reconcile(world.organisation_id, at=clock.now())
    waive("10.00", cast)
    decisions.retry(paid.id, by=cast.manager, at=clock.now())
    with pytest.raises(NotAllowedError):  # it is about to be asked for
        waive("1.00", cast)
    world.sweep()
    charge = world.charge()
    assert (charge.status, charge.attention) == (ChargeStatus.SUCCEEDED, None)
    assert world.attempts()[-1].amount == Decimal(14)
    assert (invoice().status, invoice().balance) == (InvoiceStatus.PAID, Decimal(0))


@pytest.mark.parametrize("amount", ["24.01", "0.00"])
def test_a_gesture_beyond_what_remains_is_refused(awaited: Charge, cast: Cast, amount: str) -> None:
    with pytest.raises(InvalidInputError):
        waive(amount, cast)


def test_what_is_paid_has_nothing_to_let_go(paid: Charge, cast: Cast) -> None:
    assert commands.waivable_of(invoice(), paid) == 0
    with pytest.raises(NotAllowedError):
        waive("1.00", cast)


# --- whose, and when ---


def test_another_organisations_money_stays_where_it_is(paid: Charge, cast: Cast) -> None:
    invoice_id = invoice().id
    with tenancy.organisation(cast.other_organisation.id):
        for attempt in (
            lambda: ask(paid, "1.00", cast),
            lambda: note_by_hand(paid, "1.00", cast),
            lambda: commands.credit_refunds(paid.id, reason="x", by=cast.manager, at=clock.now()),
            lambda: commands.waive(
                invoice_id, note_id=new_id(), amount=Decimal(1), reason="x", by=cast.manager, at=clock.now()
            ),
        ):
            with pytest.raises(NotFoundError):
                attempt()


@pytest.mark.parametrize("old", RefundStatus)
@pytest.mark.parametrize("new", RefundStatus)
def test_every_pair_of_states_is_allowed_or_not(old: RefundStatus, new: RefundStatus) -> None:
    allowed = {
        RefundStatus.REQUESTED: {*RefundStatus} - {RefundStatus.REQUESTED},
        RefundStatus.UNKNOWN: {RefundStatus.SUCCEEDED, RefundStatus.REFUSED, RefundStatus.FAILED},
        RefundStatus.REFUSED: {RefundStatus.SUCCEEDED, RefundStatus.FAILED},
        RefundStatus.SUCCEEDED: {RefundStatus.FAILED},
        RefundStatus.FAILED: set(),
    }
    assert Refund(status=old).can_become(new) is (new in allowed[old])
    assert set(REFUND_TRANSITIONS) == set(RefundStatus)
