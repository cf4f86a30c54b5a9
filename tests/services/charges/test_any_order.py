"""Whatever happens in whatever order, each cycle is captured at most once and the ledger equals the provider's.

Hypothesis decides: two workers step by step, deaths at any point, faults of the provider, its words in any order and
twice, Redis flushed, time passing over the night of 25 hours.
"""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from sqlalchemy import select

from tests import factories
from tests.examples import run_in_any_order
from tests.services.charges.crashing import Killed, MortalLedger, raise_killed, work
from tests.services.charges.world import World
from webapp import clock, tenancy
from webapp.extensions import db
from webapp.gateways.providers.protocol import PaymentOutcome, PaymentState
from webapp.models.charges import Charge, ChargeAttempt, ChargeStatus
from webapp.models.payments import Payment
from webapp.queue import queue
from webapp.services.charges import claiming, reconciling, recording
from webapp.services.charges.claiming import ChargeClaim, ClaimTask
from webapp.services.charges.recording import KeyLimits, Result
from webapp.services.providers import accounts

BEFORE_THE_LONG_NIGHT = datetime(2026, 10, 24, 21, 50, tzinfo=UTC)
FAULTS = (
    "succeed",
    "succeed",
    "soft",
    "hard",
    "technical",
    "authenticate",
    "process",
    "lost",
    "timeout",
    "late",
    "down",
)
WAITS = st.sampled_from(
    [timedelta(seconds=45), timedelta(minutes=4), timedelta(minutes=25), timedelta(hours=21), timedelta(days=3)]
)
WORKERS = st.sampled_from([0, 1])


class Engine(RuleBasedStateMachine):
    """One organisation with a few subscriptions, a provider, two workers."""

    ledger: MortalLedger

    @initialize(frequency=st.sampled_from(["weekly", "monthly"]), number=st.integers(1, 2))
    def begin(self, frequency: str, number: int) -> None:
        self.ledger.forget()
        self.ledger.behave("succeed")
        organisation = factories.OrganisationFactory()
        tenancy.enter_organisation(organisation.id)
        factories.CompanyFactory(is_default=True)
        account = factories.ProviderAccountFactory(rate_per_second=100_000, max_concurrency=1)
        self.world = World(organisation.id, self.ledger, account)
        self.world.move_to(BEFORE_THE_LONG_NIGHT)
        for _ in range(number):
            self.world.subscribe(anchor=date(2026, 10, 25), frequency=frequency)
        self.claims: list[list[ChargeClaim]] = [[], []]
        self.results: list[list[Result]] = [[], []]
        self.heard: list[tuple[ChargeAttempt, PaymentOutcome]] = []

    @rule(mode=st.sampled_from(FAULTS), fatal=st.none() | st.integers(0, 16), time=WAITS, is_flushed=st.booleans())
    def live(self, mode: str, fatal: int | None, time: timedelta, is_flushed: bool) -> None:
        """A worker passes and perhaps dies, with a provider in this or that mood; then time passes."""
        self.ledger.behave(mode)
        if is_flushed:
            queue("charges").connection.flushdb()
        try:
            work(self.world.organisation_id, self.ledger, fatal=fatal, death=raise_killed)
        except Killed:
            db.session.rollback()
        self.world.move_to(clock.now() + time)

    @rule(worker=WORKERS, kind=st.sampled_from(["due", "look_ups", "taken_up"]))
    def claim(self, worker: int, kind: str) -> None:
        at = clock.now()
        claim = {
            "due": lambda: claiming.claim_due(before=at, limit=10, at=at),
            "look_ups": lambda: claiming.claim_look_ups(limit=10, at=at),
            "taken_up": lambda: claiming.claim_taken_up(limit=10, at=at),
        }[kind]
        self.claims[worker] += claim().claims

    @precondition(lambda self: any(self.claims))
    @rule(worker=WORKERS)
    def call(self, worker: int) -> None:
        for claim in self.claims[worker]:
            if clock.now() + timedelta(seconds=30) >= claim.lease_until:
                continue  # as calling.py does
            if claim.task is ClaimTask.SEND:
                outcome: PaymentOutcome | None = self.ledger.create_payment(claim.request)
            else:
                mode, self.ledger.mode = self.ledger.mode, "succeed"
                outcome = self.ledger.find_payment(claim.request.attempt_id)
                self.ledger.mode = mode
            self.results[worker].append(Result(claim, outcome, KeyLimits.of(self.ledger)))
        self.claims[worker] = []

    @precondition(lambda self: any(self.results))
    @rule(worker=WORKERS)
    def record(self, worker: int) -> None:
        if self.results[worker]:
            self.claims[worker] += recording.record(self.results[worker], at=clock.now()).again
        self.results[worker] = []

    @rule(worker=WORKERS)
    def lose_worker(self, worker: int) -> None:
        self.claims[worker], self.results[worker] = [], []

    @rule()
    def listen(self) -> None:
        """The provider says how each payment stands; the words may be delivered later, and in any order."""
        for attempt in self.world.attempts():
            if (outcome := self.ledger.peek(attempt.id)) is not None:
                self.heard.append((attempt, outcome))

    @precondition(lambda self: self.heard)
    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        attempt, outcome = data.draw(st.sampled_from(self.heard))
        # A webhook only says where to look: what is recorded is what the provider says now.
        recording.apply_outcome(attempt.id, self.ledger.peek(attempt.id) or outcome, at=clock.now())

    @rule(data=st.data(), state=st.sampled_from([PaymentState.SUCCEEDED, PaymentState.REFUSED]))
    def settle_at_provider(self, data: st.DataObject, state: PaymentState) -> None:
        if waiting := self.ledger.waiting():
            self.ledger.confirm(data.draw(st.sampled_from(waiting)), state)

    @rule(data=st.data())
    def reverse(self, data: st.DataObject) -> None:
        if attempts := self.ledger.attempts():
            self.ledger.reverse(data.draw(st.sampled_from(attempts)))

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self._check_never_doubled()
        self.ledger.behave("succeed")
        for hours in (1, 1, 3, 21, 48, 72, 72, 96, 96, 96):  # beyond every patience
            work(self.world.organisation_id, self.ledger, fatal=None, death=raise_killed)
            reconciling.reconcile(self.world.organisation_id, at=clock.now())
            self.world.wait(hours=hours)
        work(self.world.organisation_id, self.ledger, fatal=None, death=raise_killed)
        self._check_never_doubled()
        self._check_ledger()
        for charge in self.world.charges():
            assert charge.status.is_settled or charge.attention is not None, charge.status
        for subscription_charges in self._cycles():
            assert all(after == before + 1 for before, after in pairwise(subscription_charges)), "no cycle is forgotten"

    def _check_never_doubled(self) -> None:
        captured = [(subscription, cycle) for subscription, cycle, _ in self.ledger.captures()]
        assert len(captured) == len(set(captured))

    def _check_ledger(self) -> None:
        booked: dict[object, Decimal] = {}
        for payment in db.session.scalars(select(Payment)):
            booked[payment.attempt_id] = booked.get(payment.attempt_id, Decimal(0)) + payment.amount
        assert sum(booked.values()) == sum(amount for *_, amount in self.ledger.captures())
        paid = db.session.scalars(select(Charge).where(Charge.status == ChargeStatus.SUCCEEDED)).all()
        assert len(paid) == len(self.ledger.captures())

    def _cycles(self) -> list[list[int]]:
        cycles: dict[object, list[int]] = {}
        for charge in self.world.charges():
            cycles.setdefault(charge.subscription_id, []).append(charge.cycle_no)
        return list(cycles.values())


def test_any_order_of_events(
    session: None, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    Engine.ledger = MortalLedger(tmp_path_factory.mktemp("provider") / "provider.sqlite")
    monkeypatch.setattr(accounts, "provider_for", lambda *_, **__: Engine.ledger)
    run_in_any_order(Engine, examples=40, steps=20)
