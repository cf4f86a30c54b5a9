"""Finding the next 1,000 due among a million subscriptions, and again after each thousand has been paid.

Floor: the same statement through bare psycopg, in turns. Paying is what an engine does to a subscription: its next date
moves on, and leaves a dead entry at the front of the index, where the next search begins.
"""

import statistics
import sys
import time
from contextlib import closing
from datetime import datetime
from uuid import UUID

import psycopg

from bench.databases import dsn, open_database, settings_of
from bench.report import Line, Report
from webapp import tenancy
from webapp.extensions import db
from webapp.factory import create_app
from webapp.services.subscriptions import scheduling

ORGANISATION = UUID("00000000-0000-7000-8000-000000000001")
COMPANY = UUID("00000000-0000-7000-8000-000000000003")
CLIENTS = 1000
SMALL = 100_000
BATCH = 1000
WARM_UP, TURNS = 5, 40
LIMIT_MS = 20.0
GROWTH_LIMIT = 1.5
NOW = "2026-11-20T12:00:00+00:00"

FIND = """
SELECT id, cycle_no, next_charge_on, next_charge_at FROM subscriptions
WHERE organisation_id = %s AND next_charge_at IS NOT NULL AND next_charge_at <= %s
ORDER BY next_charge_at, id LIMIT %s
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

PAY = """
UPDATE subscriptions SET cycle_no = cycle_no + 1, next_charge_on = next_charge_on + 30,
                         next_charge_at = next_charge_at + interval '30 days'
WHERE organisation_id = %s AND id = ANY(%s)
"""


def run(size: int = 1_000_000) -> Report:
    """Measure at ``size``, and at SMALL for the growth."""
    small, *_ = _measure(SMALL)
    found, floor, times = _measure(size)
    paid = statistics.median(times[-10:]) / statistics.median(times[:10])
    details = {"p95": statistics.quantiles(times, n=20)[-1], "small": small, "growth": found / small, "paid": paid}
    limits = {"p95": LIMIT_MS, "growth": GROWTH_LIMIT, "paid": GROWTH_LIMIT}
    notes = [
        f"p50 of {TURNS} searches of the next {BATCH:,} due, each followed by paying them;"
        f" small: with {SMALL:,} subscriptions; paid: the last ten searches against the first ten"
    ]
    return Report("due", size, [Line("next due", found, floor, details=details, detail_limits=limits)], notes)


def _measure(size: int) -> tuple[float, float, list[float]]:
    """The medians of our search and of the floor, and every time of ours, in milliseconds."""
    print(f"{size:,} subscriptions: preparing", file=sys.stderr, flush=True)
    environment = open_database(
        f"bench_due_{size}",
        fill=lambda owner: _fill(owner, size),
        is_full="SELECT false",  # a run pays what it finds: each begins anew
    )
    ours, floors = [], []
    app = create_app(settings_of(environment))
    with (
        app.app_context(),
        tenancy.organisation(ORGANISATION),
        closing(psycopg.connect(dsn(environment["DATABASE_URL"]), autocommit=True)) as bare,
    ):
        before = datetime.fromisoformat(NOW)
        for turn in range(WARM_UP + TURNS):
            start = time.perf_counter()
            due = scheduling.list_due(before=before, limit=BATCH)
            middle = time.perf_counter()
            rows = bare.execute(FIND, [ORGANISATION, NOW, BATCH]).fetchall()
            end = time.perf_counter()
            db.session.rollback()
            if [row[0] for row in rows] != [subscription_id for subscription_id, _ in due]:
                raise RuntimeError("the floor finds other subscriptions")
            bare.execute(PAY, [ORGANISATION, [subscription_id for subscription_id, _ in due][: size // 1000]])
            if turn >= WARM_UP:
                ours.append((middle - start) * 1000)
                floors.append((end - middle) * 1000)
        db.engine.dispose()
    return statistics.median(ours), statistics.median(floors), ours


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
    owner.execute("VACUUM ANALYZE subscriptions")
