"""Dying at a chosen point: before or after a commit, before or after a call of the provider.

``python -m tests.services.charges.crashing`` is a worker that starts from cold and dies there.
"""

import sys
import threading
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from sqlalchemy.orm import Session

from tests.forking import die, fork
from tests.services.charges.ledger import Ledger
from webapp import clock, tenancy
from webapp.config import load_settings
from webapp.factory import create_app
from webapp.gateways.providers.protocol import PaymentOutcome, PaymentRequest, ProviderRefund
from webapp.models.runs import RunTrigger
from webapp.services.charges import runs, sweeping
from webapp.services.providers import accounts

Death = Callable[[], object]


class Killed(BaseException):
    """Stands for kill -9 where the process has to live on: nothing catches it."""


def raise_killed() -> None:
    """Die as far as the engine can tell."""
    raise Killed


class CrashPoints:
    """Counts the points that are passed, and dies at the one numbered ``fatal`` (0 is the first)."""

    def __init__(self, fatal: int | None, death: Death) -> None:
        self.passed = 0
        self._fatal, self._die = fatal, death
        self._lock = threading.Lock()

    def pass_one(self) -> None:
        """One point is reached."""
        with self._lock:
            number, self.passed = self.passed, self.passed + 1
        if number == self._fatal:
            self._die()

    def __enter__(self) -> "CrashPoints":
        commit = self._commit = Session.commit

        def commit_between_points(session: Session) -> None:
            self.pass_one()
            commit(session)
            self.pass_one()

        Session.commit = commit_between_points  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        Session.commit = self._commit  # type: ignore[method-assign]


def fork_dying(what: Callable[[CrashPoints], object], *, fatal: int | None) -> int:
    """Begin ``what``, which is given its points, in a forked process that dies at the fatal one; returns its id."""

    def live() -> None:
        with CrashPoints(fatal, die) as points:
            what(points)

    return fork(live)


class MortalLedger(Ledger):
    """A provider whose caller may die on the way there, or on the way back."""

    points: CrashPoints | None = None

    def create_payment(self, request: PaymentRequest) -> PaymentOutcome:
        """See PaymentProvider."""
        self._pass_one()
        outcome = super().create_payment(request)
        self._pass_one()
        return outcome

    def find_payment(self, attempt_id: UUID, *, provider_payment_id: str | None = None) -> PaymentOutcome | None:
        """See PaymentProvider."""
        self._pass_one()
        outcome = super().find_payment(attempt_id, provider_payment_id=provider_payment_id)
        self._pass_one()
        return outcome

    def refund(
        self, provider_payment_id: str, amount: Decimal, *, idempotency_key: str, refund_id: UUID
    ) -> ProviderRefund:
        """See PaymentProvider."""
        self._pass_one()
        told = super().refund(provider_payment_id, amount, idempotency_key=idempotency_key, refund_id=refund_id)
        self._pass_one()
        return told

    def _pass_one(self) -> None:
        if self.points is not None:
            self.points.pass_one()


def charge(organisation_id: UUID) -> None:
    """What a worker does in an hour."""
    with tenancy.organisation(organisation_id):
        run_id, _ = runs.start(trigger=RunTrigger.SCHEDULED, at=clock.now(), enqueue=False)
    runs.carry_out(organisation_id, run_id)
    sweeping.sweep(organisation_id)


def work(
    organisation_id: UUID,
    ledger: MortalLedger,
    *,
    fatal: int | None,
    death: Death,
    what: Callable[[UUID], object] = charge,
) -> int:
    """``what`` a worker does, up to the fatal point; returns how many points it passed."""
    with CrashPoints(fatal, death) as points:
        ledger.points = points
        try:
            what(organisation_id)
        finally:
            ledger.points = None
    return points.passed


def fork_worker(
    organisation_id: UUID, ledger: MortalLedger, *, fatal: int | None, what: Callable[[UUID], object] = charge
) -> int:
    """A worker in a forked process, which dies at the fatal point; returns its process id."""
    return fork(lambda: work(organisation_id, ledger, fatal=fatal, death=die, what=what))


def main(organisation_id: str, ledger_path: str, mode: str, instant: str, fatal: str) -> None:
    """A worker of its own: the application is made here, the clock starts at ``instant``."""
    app = create_app(load_settings())
    ledger = MortalLedger(Path(ledger_path))
    ledger.behave(mode)
    accounts.provider_for = lambda *_, **__: ledger  # type: ignore[assignment]
    clock.start_at(datetime.fromisoformat(instant))
    with app.app_context():
        work(UUID(organisation_id), ledger, fatal=int(fatal), death=die)


if __name__ == "__main__":
    main(*sys.argv[1:])
