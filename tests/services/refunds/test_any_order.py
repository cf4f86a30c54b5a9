"""Whatever happens to refunds in whatever order, no more goes back than was captured, and the books say what did.

Hypothesis decides: refunds through the provider, by hand and at the provider's own site, some of which fail at once or
later, gestures, deaths at any point, faults of the provider, its words at any time.
"""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import select

from tests import factories
from tests.examples import run_in_any_order
from tests.services.charges.crash_loop import START
from tests.services.charges.crashing import Killed, MortalLedger, raise_killed, work
from tests.services.charges.world import World
from tests.services.refunds.refund_loop import POINTS, recover
from webapp import clock, tenancy
from webapp.errors import DomainError
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.charges import Attention, Charge, Refund, RefundStatus
from webapp.models.contracts import PaymentMethod
from webapp.models.invoices import Invoice
from webapp.models.money import Totals
from webapp.models.payments import Payment, PaymentKind
from webapp.services.charges import decisions, reconciling, recording
from webapp.services.invoices import crediting, finalising, listing
from webapp.services.providers import accounts
from webapp.services.refunds import commands, sending

AMOUNTS = st.decimals(min_value="0.01", max_value=24, places=2)
FAULTS = st.sampled_from(["succeed", "succeed", "hard", "lost", "timeout", "late", "down", "failing"])
WAITS = st.sampled_from([timedelta(seconds=45), timedelta(minutes=4), timedelta(minutes=25), timedelta(hours=21)])
CAPTURED = Decimal("24.00")


class Till(RuleBasedStateMachine):
    """One charge of 24 € that the provider captured, and one that the client pays by transfer."""

    ledger: MortalLedger

    @initialize()
    def begin(self) -> None:
        self.ledger.forget()
        self.ledger.behave("succeed")
        organisation = factories.OrganisationFactory()
        tenancy.enter_organisation(organisation.id)
        factories.CompanyFactory(is_default=True)
        account = factories.ProviderAccountFactory(rate_per_second=100_000, max_concurrency=1)
        self.user = factories.UserFactory(roles=["manager"])
        self.world = World(organisation.id, self.ledger, account)
        self.world.move_to(START)
        paid = self.world.subscribe("20.00")
        awaited = self.world.subscribe("20.00", payment_method=PaymentMethod.TRANSFER, saved_method_id=None)
        self.world.run()
        self.paid, self.awaited = self.world.charge(paid).id, self.world.charge(awaited).id

    @rule(amount=AMOUNTS)
    def ask(self, amount: Decimal) -> None:
        self.listen()  # what went back at its own site and nobody has told us yet, nobody can count
        self._try(commands.refund, self.paid, refund_id=new_id(), amount=amount)

    @rule(amount=AMOUNTS)
    def give_by_hand(self, amount: Decimal) -> None:
        self.listen()
        self._try(
            commands.note_refund,
            self.paid,
            refund_id=new_id(),
            amount=amount,
            method=PaymentMethod.TRANSFER,
            paid_on=clock.today(),
            reference="VIR",
        )

    @rule(amount=AMOUNTS)
    def give_at_the_provider(self, amount: Decimal) -> None:
        """Somebody does so at its own site, as far as it has not gone back by hand: nobody can keep them from it."""
        by_hand = sum(-row.amount for row in self._refunds() if row.attempt_id is None)
        on_its_way = sum(refund.amount for refund in commands.list_not_given_back(self.paid))
        given = sum(told.amount for told in self.ledger.refunds())
        if amount + by_hand + on_its_way + given <= CAPTURED:
            self.ledger.behave("succeed")
            self.ledger.give_back(self.ledger.attempts()[0], amount, key=str(new_id()))

    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        """The client's bank does not take a refund."""
        if made := self.ledger.refunds():
            self.ledger.fail_refund(data.draw(st.sampled_from(made)).external_id)

    @rule(data=st.data())
    def hear_late(self, data: st.DataObject) -> None:
        """Somebody still tells a refund as it was when it was made."""
        booked = {row.external_id for row in self._refunds()}
        if made := [told for told in self.ledger.told_refunds() if told.external_id in booked]:
            told = data.draw(st.sampled_from(made))
            attempt_id = self.ledger.attempts()[0]
            recording.apply_refund(attempt_id, replace(told, failure=None, failed_at=None), at=clock.now())

    @rule(amount=AMOUNTS)
    def waive(self, amount: Decimal) -> None:
        finalising.finalise_drafts(self.world.organisation_id, at=clock.now())
        invoice_id = crediting.lock_invoice_of(self.awaited).id
        self._try(commands.waive, invoice_id, note_id=new_id(), amount=amount)

    @rule()
    def credit(self) -> None:
        self._try(commands.credit_refunds, self.paid)

    @rule(mode=FAULTS, fatal=st.none() | st.integers(0, POINTS), time=WAITS)
    def live(self, mode: str, fatal: int | None, time: timedelta) -> None:
        """A worker passes and perhaps dies, with a provider in this or that mood; then time passes."""
        self.ledger.behave(mode)
        try:
            work(self.world.organisation_id, self.ledger, fatal=fatal, death=raise_killed, what=sending.carry_out)
        except Killed:
            db.session.rollback()
        self.world.move_to(clock.now() + time)

    @rule()
    def listen(self) -> None:
        mode, self.ledger.mode = self.ledger.mode, "succeed"
        reconciling.reconcile(self.world.organisation_id, at=clock.now())
        self.ledger.mode = mode

    def _try(self, command: object, *arguments: object, **values: object) -> None:
        try:
            command(*arguments, **values, reason="Retour", by=self.user, at=clock.now())  # type: ignore[operator]
        except DomainError:
            db.session.rollback()

    def _refunds(self) -> list[Payment]:
        """What went out, and what came back of it."""
        kinds = (PaymentKind.REFUND, PaymentKind.REFUND_FAILURE)
        return list(db.session.scalars(select(Payment).where(Payment.kind.in_(kinds))))

    @invariant()
    def no_more_goes_back_than_was_captured(self) -> None:
        if not hasattr(self, "world"):
            return
        by_hand = sum(-row.amount for row in self._refunds() if row.attempt_id is None)
        assert sum(told.amount for told in self.ledger.refunds()) + by_hand <= CAPTURED

    @invariant()
    def no_invoice_is_credited_beyond_a_rate(self) -> None:
        if not hasattr(self, "world"):
            return
        for charge_id in (self.paid, self.awaited):
            invoice = crediting.lock_invoice_of(charge_id)
            (whole,) = Totals.from_json(invoice.vat).shares
            notes = [Totals.from_json(note.vat).shares[0] for note in listing.list_credit_notes(invoice.id)]
            assert -sum(note.base for note in notes) <= whole.base
            assert -sum(note.tax for note in notes) <= whole.tax
            assert -sum(note.with_tax for note in notes) == invoice.credited

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        recover(self.world.organisation_id, self.ledger)
        self.listen()
        self.credit()
        finalising.finalise_drafts(self.world.organisation_id, at=clock.now())
        assert db.session.scalars(select(Refund).where(Refund.next_attempt_at.is_not(None))).all() == []
        given = sum(told.amount for told in self.ledger.refunds())
        booked = sum(-row.amount for row in self._refunds() if row.attempt_id is not None)
        assert booked == given
        for status, told in (
            (RefundStatus.SUCCEEDED, self.ledger.refunds()),
            (RefundStatus.FAILED, [each for each in self.ledger.told_refunds() if each.failure]),
        ):
            made = {each.refund_id for each in told} - {None}
            assert made == set(db.session.scalars(select(Refund.id).where(Refund.status == status)))
        assert db.session.scalars(select(Charge).where(Charge.attention == Attention.CREDIT_NOTE)).all() == []
        self._check_numbers_and_balances()
        self._make_again_what_failed()
        self.no_more_goes_back_than_was_captured()
        self.no_invoice_is_credited_beyond_a_rate()

    def _check_numbers_and_balances(self) -> None:
        notes = db.session.scalars(select(Invoice.number).where(Invoice.corrects_id.is_not(None)))
        numbers = sorted(number for number in notes if number is not None)
        assert numbers == list(range(1, len(numbers) + 1))
        for charge_id in (self.paid, self.awaited):
            invoice = crediting.lock_invoice_of(charge_id)
            (balance,) = listing.balances_of_client(invoice.client_id)
            assert balance.total == invoice.balance
            assert balance.owed == max(invoice.balance, 0)

    def _make_again_what_failed(self) -> None:
        """What is owed to the client is on the list; given back, it brings no other credit note."""
        invoice, charge = crediting.lock_invoice_of(self.paid), decisions.find_charge(self.paid)
        assert (charge.attention is Attention.REFUND_AGAIN) is (invoice.overpaid > 0)
        credited = invoice.credited
        if invoice.overpaid:
            self.give_by_hand(invoice.overpaid)
        invoice, charge = crediting.lock_invoice_of(self.paid), decisions.find_charge(self.paid)
        assert (invoice.balance, invoice.credited) == (0, credited)
        assert charge.attention is not Attention.REFUND_AGAIN
        assert credited == sum(-row.amount for row in self._refunds())


def test_any_order_of_refunds(
    session: None, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    Till.ledger = MortalLedger(tmp_path_factory.mktemp("provider") / "provider.sqlite")
    monkeypatch.setattr(accounts, "provider_for", lambda *_, **__: Till.ledger)
    run_in_any_order(Till, examples=25, steps=15)
