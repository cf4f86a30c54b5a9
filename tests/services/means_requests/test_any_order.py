"""A set-up told of by webhooks, sweep, reconciliation and people in any order, by a process that may die anywhere.

One method is kept, the first cycle is claimed and captured at most once, and the ledger is the provider's.
"""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.examples import some
from tests.services.charges.crashing import CrashPoints, Killed, raise_killed
from tests.services.means_requests.conftest import Desk
from tests.services.means_requests.setup_loop import MortalSandbox
from webapp import clock
from webapp.errors import DomainError
from webapp.models.charges import AttemptStatus, ChargeStatus
from webapp.models.means_requests import HostedPage, MeansRequestStatus
from webapp.models.providers import SavedPaymentMethod
from webapp.models.subscriptions import SubscriptionStatus
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.charges import decisions, reconciling
from webapp.services.means_requests import commands, looking

STEPS = (
    "open",
    "card",
    "refused_card",
    "page webhook",
    "payment webhook",
    "sweep",
    "person",
    "reconcile",
    "engine",
    "hour",
    "day",
    "cancel",
    "give up",
)


class Visit:
    """One request, whose client and providers do things in whatever order."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.request = desk.ask(takes_payment=True)
        self.page = desk.open(self.request)

    def do(self, step: str) -> None:
        """One step; what is refused is refused."""
        desk, at = self.desk, clock.now()
        if step in ("card", "refused_card"):
            desk.choose(self.page, step)
            return
        steps: dict[str, Callable[[], object]] = {
            "open": self._open,
            "page webhook": desk.tell_of_page,
            "payment webhook": desk.tell_of_payments,
            "sweep": lambda: looking.look_at_due(desk.organisation_id, at=at),
            "person": lambda: commands.look_up(desk.client.id, self.request.id, at=at),
            "reconcile": lambda: reconciling.reconcile(desk.organisation_id, at=at),
            "engine": desk.run,
            "hour": lambda: desk.wait(hours=1),
            "day": lambda: desk.wait(hours=25),
            "cancel": lambda: commands.cancel(desk.client.id, self.request.id, by=desk.by, at=at),
            "give up": lambda: decisions.give_up(desk.charge().id, reason="Geste", by=desk.by, at=at),
        }
        try:
            steps[step]()
        except DomainError:
            return

    def _open(self) -> None:
        visit = self.desk.open(self.request)
        self.page = visit if visit.url else self.page

    def check(self) -> None:
        """Nothing is taken or kept twice, and the books are the provider's."""
        captures = self.desk.bank.ledger()["captures"]
        assert len(captures) <= 1
        assert len(self.desk.rows(SavedPaymentMethod)) <= 1
        events = self.desk.rows(TimelineEvent)
        assert sum(event.kind is EventKind.MEANS_SAVED for event in events) <= 1
        booked = sum((payment.amount for payment in self.desk.payments()), Decimal(0))
        assert booked <= sum(Decimal(row["amount"]) for row in captures)

    def settle(self) -> None:
        """Time passes until everybody has heard of everything."""
        for _ in range(3):
            self.desk.wait(hours=3)
            looking.look_at_due(self.desk.organisation_id, at=clock.now())
        self.desk.tell_of_payments()


@given(steps=st.lists(st.sampled_from(STEPS), max_size=12))
@settings(
    max_examples=some(40),
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_in_any_order_a_first_payment_is_taken_once_and_one_method_is_kept(desk: Desk, steps: list[str]) -> None:
    desk.begin_anew()
    visit = Visit(desk)
    for step in steps:
        visit.do(step)
        visit.check()
    visit.settle()
    visit.check()
    captures = desk.bank.ledger()["captures"]
    booked = sum((payment.amount for payment in desk.payments()), Decimal(0))
    assert booked == sum(Decimal(row["amount"]) for row in captures)
    if captures:
        assert desk.request().status is MeansRequestStatus.DONE
        assert desk.charge().status is ChargeStatus.SUCCEEDED
        assert desk.saved().id == desk.request().saved_method_id
    open_attempts = [attempt for attempt in desk.attempts() if attempt.status is AttemptStatus.AUTHENTICATING]
    assert bool(open_attempts) == any(page.attempt_id and not page.has_ended for page in desk.rows(HostedPage))


def _live(desk: Desk) -> None:
    """All of a set-up, from the link to the recorded first payment, by whoever is alive."""
    visit = desk.open(desk.request())
    if visit.url:
        desk.choose(visit, "card")
        desk.tell_of_page()
    desk.tell_of_payments()
    looking.look_at_due(desk.organisation_id, at=clock.now() + timedelta(hours=1))


def test_wherever_the_process_dies_the_next_one_ends_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webapp.gateways.providers.registry.Sandbox", MortalSandbox)
    fatal, has_died = 0, True
    while has_died:
        desk.begin_anew()
        desk.ask(takes_payment=True)
        MortalSandbox.points = CrashPoints(fatal, raise_killed)
        try:
            with MortalSandbox.points:
                _live(desk)
            has_died = False
        except Killed:
            has_died = True
        finally:
            MortalSandbox.points = None
        _live(desk)
        captures = desk.bank.ledger()["captures"]
        assert [row["cycle"] for row in captures] == ["0"], f"died at point {fatal}"
        assert [payment.amount for payment in desk.payments()] == [Decimal("24.00")]
        assert (desk.request().status, desk.saved().id) == (MeansRequestStatus.DONE, desk.request().saved_method_id)
        assert (desk.charge().status, desk.reload().status) == (ChargeStatus.SUCCEEDED, SubscriptionStatus.ACTIVE)
        fatal += 1
    assert fatal > 20, "commits and calls are points"
