"""Finding the next 1,000 due among a million subscriptions, and again after each thousand has been paid.

Floor: the same statement through bare psycopg, in turns. Paying is what the engine does to a subscription: its cycle
gets a charge, its next date moves on and leaves a dead entry at the front of the index, where the next search begins.
Measured beside: what the engine itself does to take a batch, which looks into the charges and locks.
"""

import statistics
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import psycopg

from bench.databases import dsn, open_database, settings_of
from bench.report import Line, Report
from webapp import tenancy
from webapp.extensions import db
from webapp.factory import create_app
from webapp.services.charges import due, loop
from webapp.services.subscriptions import scheduling

Found = TypeVar("Found")

ORGANISATION = UUID("00000000-0000-7000-8000-000000000001")
COMPANY = UUID("00000000-0000-7000-8000-000000000003")
CLIENTS = 1000
SMALL = 100_000
BATCH = 1000
WARM_UP, TURNS = 5, 40
FOUND, TAKEN = "next due", "taken by the engine"
LIMIT_MS = 20.0
PAID_LIMIT = 1.5
NOW = "2026-11-20T12:00:00+00:00"

FIND = """
SELECT id, cycle_no, next_charge_on, next_charge_at FROM subscriptions
WHERE organisation_id = %s AND next_charge_at IS NOT NULL AND next_charge_at <= %s
ORDER BY next_charge_at, id LIMIT %s
"""

TAKE = """
SELECT s.* FROM subscriptions s
WHERE organisation_id = %(organisation)s AND next_charge_at IS NOT NULL AND next_charge_at <= %(before)s
  AND NOT EXISTS (SELECT FROM charges c WHERE c.organisation_id = s.organisation_id AND c.subscription_id = s.id
                  AND c.cycle_no = s.cycle_no)
ORDER BY next_charge_at, id LIMIT %(limit)s FOR UPDATE OF s SKIP LOCKED
"""

# One in twenty is paused and one ended; of the others five in a hundred are due, over the last week.
SUBSCRIPTIONS = """
INSERT INTO subscriptions (organisation_id, id, company_id, client_id, status, frequency, anchor_date, cycle_no,
                           next_charge_on, next_charge_at, recurring_amount, changed_at, created_at)
SELECT %(organisation)s, gen_random_uuid(), %(company)s, clients[1 + i %% array_length(clients, 1)], status, frequency,
       (next_at - interval '6 months')::date, 6, CASE WHEN is_scheduled THEN next_at::date END,
       CASE WHEN is_scheduled THEN next_at END, 10 + i %% 50, %(now)s, %(now)s
FROM (SELECT array_agg(id) AS clients FROM clients) AS everybody, generate_series(1, %(size)s) AS i,
LATERAL (
  SELECT CASE i %% 20 WHEN 0 THEN 'paused' WHEN 1 THEN 'canceled' WHEN 2 THEN 'past_due' ELSE 'active' END AS status,
         (ARRAY['weekly', 'monthly', 'monthly', 'quarterly', 'annual'])[1 + i %% 5] AS frequency,
         i %% 20 > 1 AS is_scheduled,
         %(now)s::timestamptz + CASE WHEN i %% 100 >= 95 THEN - random() * interval '7 days'
                                     ELSE interval '1 second' + random() * interval '30 days' END AS next_at
) AS drawn
"""

# The cycle before has been charged for everybody.
CHARGE = """
INSERT INTO charges (organisation_id, id, subscription_id, cycle_no, client_id, company_id, reference, due_on,
                     period_start, period_end, amount_before_tax, amount, status, created_at)
SELECT organisation_id, gen_random_uuid(), id, cycle_no - %(before)s, client_id, company_id,
       id || ':' || cycle_no - %(before)s, anchor_date, anchor_date, anchor_date, 20, 24, 'succeeded', %(now)s
FROM subscriptions WHERE organisation_id = %(organisation)s AND (%(ids)s::uuid[] IS NULL OR id = ANY(%(ids)s))
"""

PAY = """
UPDATE subscriptions SET cycle_no = cycle_no + 1, next_charge_on = next_charge_on + 30,
                         next_charge_at = next_charge_at + interval '30 days'
WHERE organisation_id = %s AND id = ANY(%s)
"""


def run(size: int = 1_000_000) -> Report:
    """Measure at ``size``, and at SMALL for the growth."""
    small, large = _measure(SMALL), _measure(size)
    limits = {"p95": LIMIT_MS, "paid": PAID_LIMIT}
    lines = [
        Line(
            name,
            statistics.median(large[name]),
            statistics.median(large[f"{name}, floor"]),
            details={
                "p95": statistics.quantiles(large[name], n=20)[-1],
                "small": statistics.median(small[name]),
                "growth": statistics.median(large[name]) / statistics.median(small[name]),
                "paid": statistics.median(large[name][-10:]) / statistics.median(large[name][:10]),
            },
            detail_limits=limits,
        )
        for name in (FOUND, TAKEN)
    ]
    notes = [
        f"p50 of {TURNS} searches of the next {BATCH:,} due, and of taking the first {loop.BATCH} of them,"
        f" each followed by paying a thousandth; small: with {SMALL:,} subscriptions;"
        " paid: the last ten against the first ten"
    ]
    return Report("due", size, lines, notes)


def _measure(size: int) -> dict[str, list[float]]:
    """Every time of ours and of the floors, in milliseconds."""
    print(f"{size:,} subscriptions: preparing", file=sys.stderr, flush=True)
    environment = open_database(
        f"bench_due_{size}",
        fill=lambda owner: _fill(owner, size),
        is_full="SELECT false",  # a run pays what it finds: each begins anew
    )
    times: dict[str, list[float]] = {}
    app = create_app(settings_of(environment))
    with (
        app.app_context(),
        tenancy.organisation(ORGANISATION),
        closing(psycopg.connect(dsn(environment["DATABASE_URL"]), autocommit=True)) as bare,
    ):
        for turn in range(WARM_UP + TURNS):
            rows = _take_turn(bare, times if turn >= WARM_UP else {})
            ids = [row[0] for row in rows][: size // 1000]
            bare.execute(CHARGE, {"organisation": ORGANISATION, "before": 0, "now": NOW, "ids": ids})
            bare.execute(PAY, [ORGANISATION, ids])
        db.engine.dispose()
    return times


def _take_turn(bare: psycopg.Connection, times: dict[str, list[float]]) -> list[Any]:
    """Search and take once, by us and by the floors; the rows found."""
    before = datetime.fromisoformat(NOW)
    values = {"organisation": ORGANISATION, "before": NOW, "limit": loop.BATCH}
    found = _timed(times, FOUND, lambda: scheduling.list_due(before=before, limit=BATCH))
    db.session.rollback()
    rows = _timed(times, f"{FOUND}, floor", lambda: bare.execute(FIND, [ORGANISATION, NOW, BATCH]).fetchall())
    taken = _timed(times, TAKEN, lambda: due.lock_due(before=before, limit=loop.BATCH))
    first = [each.id for each in taken]
    db.session.rollback()
    with bare.transaction():
        locked = _timed(times, f"{TAKEN}, floor", lambda: bare.execute(TAKE, values).fetchall())
    everything = [row[0] for row in rows]
    if everything != [each for each, _ in found] or first != everything[: len(first)] or len(locked) != len(first):
        raise RuntimeError("the floor finds other subscriptions")
    return rows


def _timed(times: dict[str, list[float]], name: str, work: Callable[[], Found]) -> Found:
    start = time.perf_counter()
    found = work()
    times.setdefault(name, []).append((time.perf_counter() - start) * 1000)
    return found


def _fill(owner: psycopg.Connection, size: int) -> None:
    values = {"organisation": ORGANISATION, "company": COMPANY, "now": NOW, "size": size, "clients": CLIENTS}
    owner.execute("INSERT INTO organisations VALUES (%(organisation)s, 'bench', 'Bench', %(now)s)", values)
    owner.execute(
        "INSERT INTO companies (organisation_id, id, name, created_at)"
        " VALUES (%(organisation)s, %(company)s, 'B', %(now)s)",
        values,
    )
    owner.execute(
        "INSERT INTO clients (organisation_id, id, status, changed_at, created_at)"
        " SELECT %(organisation)s, gen_random_uuid(), 'active', %(now)s, %(now)s"
        " FROM generate_series(1, %(clients)s)",
        values,
    )
    owner.execute(SUBSCRIPTIONS, values)
    owner.execute(CHARGE, {"organisation": ORGANISATION, "before": 1, "now": NOW, "ids": None})
    owner.execute("VACUUM ANALYZE")
