"""Charging what is due, with a provider that answers at once and with one that takes 100 ms; by one worker and by two.

Floor: the same rows by bare psycopg, in three transactions per charge, on the same database in the same run.
"""

import os
import resource
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select

from bench import charge_floor
from bench.charge_data import ORGANISATION, filler
from bench.databases import dsn, open_database, settings_of
from bench.report import Line, Report
from webapp import clock, tenancy
from webapp.extensions import db
from webapp.factory import create_app
from webapp.gateways.providers.protocol import PaymentOutcome, PaymentRequest, PaymentState
from webapp.models.charges import Charge, ChargeStatus
from webapp.models.runs import RunTrigger
from webapp.services.charges import runs
from webapp.services.invoices import finalising
from webapp.services.providers import accounts

START = datetime(2026, 1, 1, tzinfo=UTC)
FLOOR_SAMPLE, SLOW_SAMPLE = 3000, 2000
CALL_SECONDS = 0.1
RATIO_LIMIT = 2.5
MOST_MS_PER_CHARGE = 10.0
"""100 charges a second by one worker process."""


@dataclass
class Obliging:
    """A provider that always collects, ``seconds`` after it was asked."""

    seconds: float = 0.0
    honoured_key_age = timedelta(hours=20)
    longest_delay = timedelta(minutes=5)

    def create_payment(self, request: PaymentRequest) -> PaymentOutcome:
        """See Provider."""
        if self.seconds:
            time.sleep(self.seconds)
        return PaymentOutcome(
            PaymentState.SUCCEEDED,
            provider_payment_id=f"pay_{request.attempt_id}",
            amount=request.amount,
            currency=request.currency,
        )

    def find_payment(self, attempt_id: UUID, *, provider_payment_id: str | None = None) -> PaymentOutcome | None:
        """See Provider."""
        return None


@dataclass(frozen=True)
class Measure:
    """Seconds of the wall and of the processor that so many charges took, and how much memory the process grew."""

    number: int
    wall: float
    cpu: float
    grown: float = 0.0

    @property
    def per_charge(self) -> float:
        """Milliseconds."""
        return 1000 * self.wall / self.number

    @property
    def busy(self) -> float:
        """Processors kept busy by this process, in percent."""
        return 100 * self.cpu / self.wall


def run(size: int = 100_000) -> Report:
    """Measure with ``size`` charges for the instant provider."""
    everything = size + FLOOR_SAMPLE + 3 * SLOW_SAMPLE
    environment = open_database("crm_bench_charges", filler(everything), "SELECT false")
    app = create_app(settings_of(environment))
    with app.app_context(), tenancy.organisation(ORGANISATION):
        instant = _charge(1, size, Obliging())
        floor = _measure_floor(dsn(environment["DATABASE_URL"]))
        slow = _charge(size + FLOOR_SAMPLE + 1, SLOW_SAMPLE, Obliging(CALL_SECONDS))
        two = _charge(size + FLOOR_SAMPLE + SLOW_SAMPLE + 1, 2 * SLOW_SAMPLE, Obliging(CALL_SECONDS), workers=2)
        _check(everything)
    at_once = {"grown MiB": instant.grown, "busy %": instant.busy}
    waiting = {"busy %": slow.busy, "each": slow.per_charge}
    lines = [
        Line("at once", instant.per_charge, floor.per_charge, limit=RATIO_LIMIT, details=at_once),
        Line("100 ms", slow.per_charge, details=waiting, detail_limits={"each": MOST_MS_PER_CHARGE}),
        Line("100 ms, two workers", two.per_charge),
    ]
    notes = [
        "milliseconds per charge; at once: invoices are numbered as well;"
        f" one worker: {1000 / instant.per_charge:.0f}/s at once,"
        f" {1000 / slow.per_charge:.0f}/s at 100 ms; two workers: {1000 / two.per_charge:.0f}/s at 100 ms",
        f"floor: {FLOOR_SAMPLE:,} charges in three transactions each, {floor.busy:.0f} % busy; {os.cpu_count()} cores"
        " shared with PostgreSQL",
    ]
    return Report("charges", size, lines, notes)


def _charge(first: int, number: int, provider: Obliging, *, workers: int = 1) -> Measure:
    """Charge ``number`` subscriptions from the ``first`` on, and number their invoices."""
    print(f"{number:,} charges, {workers} worker(s)", file=sys.stderr, flush=True)
    accounts.provider_for = lambda *_, **__: provider  # type: ignore[assignment]
    clock.start_at(START + timedelta(seconds=first + number - 1, milliseconds=500))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu = time.perf_counter(), time.process_time()
    run_id, _ = runs.start(trigger=RunTrigger.COMMAND, at=clock.now(), enqueue=False)
    helpers = [_fork(run_id) for _ in range(workers - 1)]
    runs.carry_out(ORGANISATION, run_id)
    for helper in helpers:
        os.waitpid(helper, 0)
    charged = time.perf_counter() - wall
    while finalising.finalise_drafts(ORGANISATION, at=clock.now()):
        pass
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if provider.seconds:
        wall = charged  # invoices are numbered by another worker meanwhile
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024
    return Measure(number, wall, cpu, grown)


def _fork(run_id: UUID) -> int:
    child = os.fork()
    if child:
        return child
    try:
        db.engine.dispose(close=False)
        runs.carry_out(ORGANISATION, run_id)
    finally:
        os._exit(0)


def _measure_floor(address: str) -> Measure:
    print(f"floor: {FLOOR_SAMPLE:,} charges", file=sys.stderr, flush=True)
    wall, cpu = time.perf_counter(), time.process_time()
    charge_floor.charge(address, FLOOR_SAMPLE)
    return Measure(FLOOR_SAMPLE, time.perf_counter() - wall, time.process_time() - cpu)


def _check(everything: int) -> None:
    """Every one charged, or the figures mean nothing."""
    paid = select(func.count()).where(Charge.organisation_id == ORGANISATION, Charge.status == ChargeStatus.SUCCEEDED)
    found = db.session.execute(paid).scalar_one()
    if found != everything:
        raise RuntimeError(f"{found} of {everything} charged")
