"""Whatever happens in whatever order, a paid case gets no step, each step comes at most once a round, and on its day.

Hypothesis decides: refusals, retries, payments, returns, promises, plans, letters posted late, events delivered late
and in any order, the engine passing or not, time jumping over both nights on which the clock is changed.
"""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import func, select, update

from tests import factories
from tests.examples import run_in_any_order
from tests.services.charges.ledger import Ledger
from tests.services.dunning.world import DunningWorld
from webapp import clock, tenancy
from webapp.errors import DomainError
from webapp.extensions import db
from webapp.models.charges import Charge, ChargeStatus
from webapp.models.contracts import PaymentMethod
from webapp.models.dunning import (
    LIVING,
    CaseStatus,
    DunningClaim,
    DunningStep,
    StepAction,
    StepOutcome,
)
from webapp.models.identity import User
from webapp.models.messages import Message
from webapp.models.outbox import OutboxDelivery
from webapp.models.subscriptions import Subscription
from webapp.services.charges import decisions
from webapp.services.charges.decisions import Decision
from webapp.services.dunning import deciding, sequences
from webapp.services.dunning.deciding import CaseAction
from webapp.services.dunning.sequences import DEFAULT_STEPS

STARTS = (datetime(2026, 3, 1, 8, tzinfo=UTC), datetime(2026, 9, 25, 8, tzinfo=UTC))
WAITS = st.sampled_from(
    [timedelta(hours=1), timedelta(hours=9), timedelta(days=1), timedelta(days=3), timedelta(days=11)]
)
MODES = st.sampled_from(["succeed", "soft", "soft", "hard", "hard", "process", "timeout", "authenticate"])


class Dunning(RuleBasedStateMachine):
    """One client with two subscriptions, a provider, an engine of charges and one of dunning."""

    ledger: Ledger

    @initialize(start=st.sampled_from(STARTS), is_insurance=st.booleans())
    def begin(self, start: datetime, is_insurance: bool) -> None:
        self.ledger.forget()
        self.ledger.behave("hard")
        organisation = factories.OrganisationFactory()
        tenancy.enter_organisation(organisation.id)
        factories.CompanyFactory(is_default=True)
        self.admin: User = factories.UserFactory(roles=["admin"])
        account = factories.ProviderAccountFactory(rate_per_second=100_000, max_concurrency=1)
        self.world = DunningWorld(organisation.id, self.ledger, account)
        self.world.move_to(start)
        general = sequences.load_default(at=clock.now())
        if is_insurance:
            sequences.change_sequence(
                general.id, name="A", is_insurance=True, steps=DEFAULT_STEPS, by=None, at=clock.now()
            )
        self.is_insurance = is_insurance
        first = self.world.subscribe(anchor=start.date())
        second = self.world.subscribe(anchor=start.date())
        db.session.execute(update(Subscription).where(Subscription.id == second.id).values(client_id=first.client_id))
        db.session.commit()

    @rule(mode=MODES, is_run=st.booleans())
    def charge(self, mode: str, is_run: bool) -> None:
        """The engine of charges passes, with a provider in this or that mood."""
        self.ledger.behave(mode)
        if is_run:
            self.world.run()
        self.world.sweep()

    @rule(time=WAITS)
    def wait(self, time: timedelta) -> None:
        """Time passes, and nobody does anything."""
        self.world.move_to(clock.now() + time)

    @rule(time=WAITS)
    def dun(self, time: timedelta) -> None:
        """The engine of dunning passes, after some time, perhaps twice."""
        self.world.move_to(clock.now() + time)
        owed = self._owed()
        before = self._done()
        self.world.dun()
        self._check_new(before, owed)
        before = self._done()
        self.world.dun()
        assert self._done() == before, "looking twice does nothing more"

    @rule(is_turned_round=st.booleans())
    def deliver(self, is_turned_round: bool) -> None:
        """Events reach dunning, late and in this order or the other."""
        if is_turned_round:
            rows = db.session.scalars(select(OutboxDelivery).where(OutboxDelivery.delivered_at.is_(None))).all()
            for place, row in enumerate(sorted(rows, key=lambda row: str(row.event_id), reverse=True)):
                row.next_attempt_at = clock.now() - timedelta(days=1) + timedelta(seconds=place)
            db.session.commit()
        self.world.deliver()

    @rule(which=st.integers(0, 3))
    def pay(self, which: int) -> None:
        """The client pays otherwise."""
        charges = [each for each in self.world.charges() if Decision.MARK_PAID in decisions.actions_of(each)]
        if charges:
            charge = charges[which % len(charges)]
            decisions.mark_paid(
                charge.id, method=PaymentMethod.TRANSFER, paid_on=clock.today(), by=self.admin, at=clock.now()
            )

    @rule(which=st.integers(0, 3))
    def reverse(self, which: int) -> None:
        """The bank takes a payment back."""
        attempts = [each for each in self.world.attempts() if each.status.value == "succeeded"]
        if attempts:
            self.world.reverse(attempts[which % len(attempts)].id)

    @rule(days=st.integers(0, 20))
    def promise(self, days: int) -> None:
        """The client promises to pay."""
        for case in self.world.cases():
            if CaseAction.PROMISE in deciding.actions_of(case):
                until = clock.today() + timedelta(days=days)
                try:
                    deciding.promise(case.id, until=until, note="", by=self.admin, at=clock.now())
                except DomainError:
                    db.session.rollback()

    @rule(count=st.integers(2, 4))
    def agree(self, count: int) -> None:
        """A plan is agreed."""
        for case in self.world.cases():
            if CaseAction.PLAN in deciding.actions_of(case):
                try:
                    deciding.make_plan(
                        case.id,
                        first_on=clock.today(),
                        count=count,
                        fortnightly=True,
                        note="",
                        by=self.admin,
                        at=clock.now(),
                    )
                except DomainError:
                    db.session.rollback()

    @rule()
    def post(self) -> None:
        """Letters that wait are posted."""
        self.world.post()

    def _owed(self) -> set[object]:
        """Cases of which anything is owed: what the ledger says, whatever was delivered."""
        rows = db.session.execute(
            select(DunningClaim.case_id)
            .join(Charge, Charge.id == DunningClaim.charge_id)
            .where(
                DunningClaim.left_at.is_(None),
                Charge.status.not_in((ChargeStatus.SUCCEEDED, ChargeStatus.CANCELED, ChargeStatus.SKIPPED)),
            )
        )
        return {row[0] for row in rows}

    def _done(self) -> set[object]:
        statement = select(DunningStep.id).where(DunningStep.action != StepAction.RESUME)
        return set(db.session.scalars(statement))

    def _check_new(self, before: set[object], owed: set[object]) -> None:
        """Every step that was just carried out is of a case that owes, is due, and stands on its notice."""
        statement = select(DunningStep).where(DunningStep.outcome == StepOutcome.DONE)
        for step in db.session.scalars(statement.where(DunningStep.action != StepAction.RESUME)).all():
            if step.id in before:
                continue
            today = clock.today()
            # Instalments that are asked for in the same pass are owed from then on.
            assert step.case_id in owed or step.case_id in self._owed()
            assert step.planned_on <= today
            assert step.amount > 0
            assert 8 <= clock.now().astimezone(clock.PARIS).hour < 20
            if step.action in (StepAction.SUSPEND, StepAction.TERMINATE):
                self._check_notice(step, today)

    def _check_notice(self, step: DunningStep, today: date) -> None:
        sent = db.session.scalar(
            select(func.min(Message.sent_at))
            .join(DunningStep, DunningStep.message_id == Message.id)
            .where(
                DunningStep.case_id == step.case_id,
                DunningStep.round == step.round,
                DunningStep.action == StepAction.LETTER,
            )
        )
        assert sent is not None
        least = 30 if step.action is StepAction.SUSPEND else 40
        assert (today - sent.astimezone(clock.PARIS).date()).days >= least + self.is_insurance

    @invariant()
    def each_step_comes_once_a_round(self) -> None:
        if not hasattr(self, "world"):
            return
        rows = db.session.execute(
            select(DunningStep.case_id, DunningStep.round, DunningStep.step_id, func.count())
            .where(DunningStep.step_id.is_not(None))
            .group_by(DunningStep.case_id, DunningStep.round, DunningStep.step_id)
        )
        assert all(row[3] == 1 for row in rows)

    @invariant()
    def at_most_one_step_a_round_and_day(self) -> None:
        if not hasattr(self, "world"):
            return
        rounds = db.session.execute(
            select(DunningStep.case_id, DunningStep.round, DunningStep.at).where(
                DunningStep.outcome == StepOutcome.DONE, DunningStep.action != StepAction.RESUME
            )
        ).all()
        keys = [(row.case_id, row.round, row.at.astimezone(clock.PARIS).date()) for row in rounds]
        assert len(keys) == len(set(keys))

    @invariant()
    def one_living_case_and_no_charge_in_two(self) -> None:
        if not hasattr(self, "world"):
            return
        living = [case for case in self.world.cases() if case.status in LIVING]
        assert len(living) <= 1
        held = db.session.scalars(select(DunningClaim.charge_id).where(DunningClaim.left_at.is_(None))).all()
        assert len(held) == len(set(held))

    def teardown(self) -> None:
        """Once all is delivered, cases say what the charges say; once all is paid, nothing more ever comes."""
        if not hasattr(self, "world"):
            return
        self.world.wait(hours=2)
        self.world.deliver()
        owed = self._owed()
        for case in self.world.cases():
            if case.status is CaseStatus.PAID:
                assert case.id not in owed
        self._settle_all()
        before = self._done()
        for _ in range(12):
            self.world.move_to(clock.now() + timedelta(days=9, hours=3))
            self.world.dun()
        assert self._done() == before
        for case in self.world.cases():
            assert case.status not in LIVING or self._is_under_way(case.id)

    def _is_under_way(self, case_id: object) -> bool:
        """Whether a provider still has something of the case in hand: nobody may note another payment meanwhile."""
        statement = (
            select(Charge.status)
            .join(DunningClaim, DunningClaim.charge_id == Charge.id)
            .where(DunningClaim.case_id == case_id, DunningClaim.left_at.is_(None))
        )
        return bool(
            set(db.session.scalars(statement))
            & {ChargeStatus.PROCESSING, ChargeStatus.UNKNOWN, ChargeStatus.AUTHENTICATING}
        )

    def _settle_all(self) -> None:
        self.ledger.behave("succeed")
        for _ in range(60):
            self.world.move_to(clock.now() + timedelta(days=3))
            self.world.sweep()
            for charge in self.world.charges():
                if Decision.MARK_PAID in decisions.actions_of(charge):
                    decisions.mark_paid(
                        charge.id, method=PaymentMethod.TRANSFER, paid_on=clock.today(), by=self.admin, at=clock.now()
                    )
            self.world.deliver()
            self.world.dun()
            if all(case.status not in LIVING for case in self.world.cases()):
                return


@pytest.mark.usefixtures("session")
def test_any_order(ledger: Ledger) -> None:
    Dunning.ledger = ledger
    try:
        run_in_any_order(Dunning, examples=40, steps=30)
    finally:
        clock.start_at(None)
