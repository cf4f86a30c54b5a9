"""Whatever happens in whatever order and however often, what ships has one live line in one batch, frozen as it was.

Hypothesis decides: charged, refused, reversed, refunded, refunds that fail, paid again, held, released, set aside,
taken back, carried over, withdrawn for good, locked, moved house, changed preferences, events late and in any order.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import select

from tests import factories
from tests.examples import run_in_any_order
from tests.services.charges.ledger import Ledger
from tests.services.fulfilment.test_locking import origin, prefer
from tests.services.fulfilment.world import FulfilmentWorld
from webapp import clock, tenancy
from webapp.errors import DomainError
from webapp.extensions import db
from webapp.gateways.providers.protocol import PaymentState
from webapp.models.base import new_id
from webapp.models.charges import Charge, ChargeStatus
from webapp.models.contracts import PaymentMethod
from webapp.models.fulfilment import BatchStatus, FulfilmentBatchLine, LineStatus, TotalKind
from webapp.models.identity import User
from webapp.models.outbox import OutboxDelivery
from webapp.models.providers import Milestone
from webapp.services.charges import decisions
from webapp.services.charges.decisions import Decision
from webapp.services.fulfilment import deciding, gathering, listing, lock_runs, totals
from webapp.services.fulfilment.deciding import LineAction
from webapp.services.preferences import values

START = datetime.fromisoformat("2026-03-20T08:00+01:00")
"""Nine days before the clock is changed."""
WAITS = st.sampled_from([timedelta(minutes=5), timedelta(hours=7), timedelta(days=1), timedelta(days=4)])
MODES = st.sampled_from(["succeed", "succeed", "soft", "hard", "process", "timeout"])
WHICH = st.integers(0, 5)


class Fulfilment(RuleBasedStateMachine):
    """Two weekly subscriptions, one of them with two things in it, a provider, and a company that makes batches."""

    ledger: Ledger

    @initialize(is_early=st.sampled_from([False, False, True]), is_locked=st.booleans())
    def begin(self, is_early: bool, is_locked: bool) -> None:
        self.ledger.forget()
        self.ledger.behave("succeed")
        organisation = factories.OrganisationFactory()
        tenancy.enter_organisation(organisation.id)
        factories.CompanyFactory(is_default=True)
        self.admin: User = factories.UserFactory(roles=["admin"])
        ship_at = Milestone.PROCESSING if is_early else Milestone.SUCCEEDED
        account = factories.ProviderAccountFactory(rate_per_second=100_000, max_concurrency=1, ship_at=ship_at)
        self.world = FulfilmentWorld(organisation.id, self.ledger, account)
        self.world.move_to(START)
        origin(default="Brésil")
        self.subscriptions = [self.world.subscribe(anchor=START.date(), frequency="weekly") for _ in range(2)]
        factories.SubscriptionLineFactory(subscription_id=self.subscriptions[1].id, label="Moulin")
        db.session.commit()
        self.frozen: dict[UUID, tuple[Any, ...]] = {}
        self.kept_out: set[tuple[UUID, int]] = set()
        self.world.charge_all("process" if is_early else "succeed")
        if is_locked:
            self.lock(is_on_time=True)

    @rule(mode=MODES, time=WAITS, is_heard=st.sampled_from([True, True, False]))
    def charge(self, mode: str, time: timedelta, is_heard: bool) -> None:
        """Time passes, and the engine of charges with a provider in this or that mood."""
        self.world.move_to(clock.now() + time)
        self.ledger.behave(mode)
        self.world.run()
        self.world.sweep()
        if is_heard:
            self.world.deliver()

    @rule(is_turned_round=st.booleans())
    def deliver(self, is_turned_round: bool) -> None:
        """Events reach fulfilment, late and in this order or the other."""
        if is_turned_round:
            rows = db.session.scalars(select(OutboxDelivery).where(OutboxDelivery.delivered_at.is_(None))).all()
            for place, row in enumerate(sorted(rows, key=lambda row: str(row.event_id), reverse=True)):
                row.next_attempt_at = clock.now() - timedelta(days=1) + timedelta(seconds=place)
            db.session.commit()
        self.world.deliver()

    @rule(which=WHICH)
    def deliver_again(self, which: int) -> None:
        """An event comes once more."""
        if charges := self.world.charges():
            gathering.review([charges[which % len(charges)].id], charged_at=clock.now(), at=clock.now())

    @rule(which=WHICH)
    def confirm_or_refuse(self, which: int) -> None:
        """What was on its way is paid, or is not."""
        waiting = [each for each in self.world.charges() if each.status is ChargeStatus.PROCESSING]
        if waiting:
            state = PaymentState.SUCCEEDED if which % 2 else PaymentState.REFUSED
            self.world.told(waiting[which % len(waiting)], state)

    @rule(which=WHICH)
    def reverse(self, which: int) -> None:
        """The bank takes a payment back."""
        if paid := self._captured():
            self.world.reverse(paid[which % len(paid)])

    @rule(which=WHICH, amount=st.sampled_from(["5.00", "24.00", "48.00"]))
    def refund(self, which: int, amount: str) -> None:
        """Money goes back, all or some of it; nobody says so to anybody but the ledger, and the next event."""
        if paid := self._captured():
            charge = paid[which % len(paid)]
            if charge.amount >= Decimal(amount):
                self.world.refund(charge, amount, key=f"re_{new_id()}")
                gathering.review([charge.id], charged_at=clock.now(), at=clock.now())

    @rule(which=WHICH)
    def pay(self, which: int) -> None:
        """The client pays otherwise."""
        owed = [each for each in self.world.charges() if Decision.MARK_PAID in decisions.actions_of(each)]
        if owed:
            decisions.mark_paid(
                owed[which % len(owed)].id,
                method=PaymentMethod.TRANSFER,
                paid_on=clock.today(),
                by=self.admin,
                at=clock.now(),
            )

    @rule(which=WHICH, choice=WHICH)
    def decide(self, which: int, choice: int) -> None:
        """A person does something with a line that its state allows."""
        batches = {batch.id: batch for batch in self.world.batches()}
        possible = {line: deciding.actions_of(line, batches[line.batch_id]) for line in self.world.lines()}
        lines = [line for line, actions in possible.items() if actions]
        if not lines:
            return
        line = lines[which % len(lines)]
        action = possible[line][choice % len(possible[line])]
        try:
            deciding.act(line.batch_id, [line.id], action, reason="Essai", by=self.admin, at=clock.now())
        except DomainError:
            db.session.rollback()
            return
        if action is LineAction.WITHDRAW:
            after = next(each for each in self.world.lines() if each.id == line.id)
            if gathering.is_withdrawn_for_good(after):
                self.kept_out.add((after.charge_id, after.position))

    @rule(which=st.integers(0, 1), street=st.sampled_from(["1 rue Haute", "2 rue Basse", None]))
    def move_house(self, which: int, street: str | None) -> None:
        """A client moves, or is left without a street."""
        self.world.client_of(self.subscriptions[which]).address_line1 = street
        db.session.commit()

    @rule(which=st.integers(0, 1), value=st.sampled_from(["Brésil", "Éthiopie"]), cycle=st.integers(0, 3))
    def change_preference(self, which: int, value: str, cycle: int) -> None:
        """A client changes a preference, from this or that cycle on."""
        prefer(self.subscriptions[which], cycle, value)

    @rule(is_on_time=st.booleans())
    def lock(self, is_on_time: bool) -> None:
        """The timetable locks what is due, mostly as soon as it is."""
        for batch in self.world.batches():
            if is_on_time and batch.status is BatchStatus.OPEN and (batch.cutoff_at or clock.now()) > clock.now():
                self.world.to_cut_off(batch.cutoff_at or clock.now())
        for organisation_id, batch_id in lock_runs.list_due(at=clock.now()):
            if organisation_id == self.world.organisation_id:
                lock_runs.carry_out(organisation_id, batch_id)
        self._note_frozen()

    @rule()
    def lock_by_hand(self) -> None:
        """A person locks the open batch before its time."""
        for batch in self.world.batches():
            if batch.status is BatchStatus.OPEN:
                try:
                    lock_runs.request(batch.id, by=self.admin, at=clock.now())
                except DomainError:
                    db.session.rollback()
                self.world.wait(seconds=1)
                lock_runs.carry_out(self.world.organisation_id, batch.id)
        self._note_frozen()

    def _captured(self) -> list[Charge]:
        return [each for each in self.world.charges() if each.status is ChargeStatus.SUCCEEDED and each.attempts_count]

    def _note_frozen(self) -> None:
        """What a lock has just frozen is what is true at this moment."""
        for line in self.world.lines():
            if line.snapshot_at is None or line.id in self.frozen:
                continue
            self.frozen[line.id] = self._frozen(line)
            client = db.session.get_one(type(line.client), (line.organisation_id, line.client_id))
            assert (line.address_snapshot or {})["line1"] == client.address_line1
            (subscription,) = (each for each in self.subscriptions if each.id == line.subscription_id)
            holding = values.list_effective(subscription, cycle=line.cycle_no)
            assert line.preference_snapshot == {
                each.schema.code: {"label": each.schema.label, "value": each.value} for each in holding
            }

    def _frozen(self, line: FulfilmentBatchLine) -> tuple[Any, ...]:
        return line.batch_id, line.consignment_no, line.address_snapshot, line.preference_snapshot, line.label

    @invariant()
    def what_was_frozen_stays(self) -> None:
        if not hasattr(self, "world"):
            return
        for line in self.world.lines():
            if line.id in self.frozen:
                assert self._frozen(line) == self.frozen[line.id]
            elif line.snapshot_at is not None:  # taken back a moment ago
                self._note_frozen()

    @invariant()
    def nothing_has_two_live_lines_and_one_batch_is_open(self) -> None:
        if not hasattr(self, "world"):
            return
        live = [(line.charge_id, line.position) for line in self.world.lines(live=True)]
        assert len(live) == len(set(live))
        assert sum(batch.status is BatchStatus.OPEN for batch in self.world.batches()) <= 1

    @invariant()
    def totals_are_those_of_the_lines(self) -> None:
        if not hasattr(self, "world"):
            return
        for batch in self.world.batches():
            leaving = [
                line
                for line in self.world.lines(batch)
                if line.status in (LineStatus.TO_PREPARE, LineStatus.PREPARED, LineStatus.SHIPPED)
            ]
            picked = totals.list_totals(batch.id, TotalKind.PICKING, limit=100)
            assert sum(each.count for each in picked) == len(leaving)
            assert sum(each.quantity for each in picked) == sum(line.quantity for line in leaving)
            boxes = totals.list_totals(batch.id, TotalKind.BOX, limit=100)
            assert sum(each.count for each in boxes) == len({line.consignment_no for line in leaving})

    def teardown(self) -> None:
        """Once all is heard of, everything that ships has its line, and nothing else waits unflagged."""
        if not hasattr(self, "world"):
            return
        self.world.wait(hours=2)
        self.world.deliver()
        charges = {charge.id: charge for charge in self.world.charges()}
        shipping = gathering.find_shipping(charges)
        wanted = {
            (charge_id, shipped.position)
            for charge_id in shipping
            for shipped in gathering.shipped_lines(charges[charge_id].lines)
        }
        live = {(line.charge_id, line.position): line for line in self.world.lines(live=True)}
        assert wanted - self.kept_out <= live.keys()
        for key, line in live.items():
            if key in wanted:
                assert line.flag is None
            else:
                assert line.flag is not None or line.ships_anyway_at is not None
                assert line.status is not LineStatus.PENDING or line.ships_anyway_at is not None
        for open_batch in listing.list_open():
            assert open_batch.waiting + open_batch.held == sum(
                line.status is LineStatus.PENDING for line in live.values()
            )


@pytest.mark.usefixtures("session")
def test_any_order(ledger: Ledger) -> None:
    Fulfilment.ledger = ledger
    try:
        run_in_any_order(Fulfilment, examples=75, steps=30)
    finally:
        clock.start_at(None)
