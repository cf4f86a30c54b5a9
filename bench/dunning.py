"""Choosing the day's steps among 100,000 cases.

Floor: the same statement through bare psycopg, in turns. One case in five is due. Measured beside: what the engine does
to take a batch and say which step each case of it has, which locks charges and cases and reads what they hold, against
the locking and reading alone.
"""

import gc
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime
from typing import Any, TypeVar
from uuid import UUID

import psycopg

from bench.charge_data import ACCOUNT as ACCOUNT_ID
from bench.charge_data import CLIENT, COMPANY, ORGANISATION, STATEMENTS, SUBSCRIPTION
from bench.databases import dsn, open_database, settings_of
from bench.report import Line, Report
from webapp import tenancy
from webapp.extensions import db
from webapp.factory import create_app
from webapp.services.dunning import steps

Found = TypeVar("Found")

SEQUENCE = UUID("00000000-0000-7000-8000-000000000009")
TODAY = date(2026, 2, 10)
WARM_UP, TURNS = 3, 20
LIMIT = 2.0
FOUND, TAKEN = "the day's steps chosen", "a batch taken"

CHOOSE = """
SELECT next_on, id FROM dunning_cases
WHERE organisation_id = %(organisation)s AND next_on <= %(today)s
  AND (next_on, id) > (%(on)s, %(id)s)
ORDER BY next_on, id LIMIT %(limit)s
"""

_ID = "(lpad(to_hex({kind}), 8, '0') || '00007000' || '8000' || lpad(to_hex(i), 12, '0'))::uuid"
CHARGE, CASE, CLAIM, STEP = (_ID.format(kind=kind) for kind in (4, 5, 6, 7))

FILL = (
    """INSERT INTO dunning_sequences (organisation_id, id, name, version, created_at)
    VALUES (%(organisation)s, %(sequence)s, 'Bench', 1, now())""",
    f"""INSERT INTO dunning_sequence_steps (organisation_id, id, sequence_id, position, day, action, message_kind)
    SELECT %(organisation)s, {STEP}, %(sequence)s, i - 1, (ARRAY[3, 7, 10, 40, 50])[i],
      (ARRAY['email', 'sms', 'letter', 'suspend', 'terminate'])[i],
      (ARRAY['dunning_reminder', 'dunning_sms', 'formal_notice', 'suspension_notice', 'termination_notice'])[i]
    FROM generate_series(1, 5) AS i""",
    f"""INSERT INTO charges (organisation_id, id, subscription_id, cycle_no, client_id, company_id, reference, due_on,
      period_start, period_end, amount_before_tax, amount, status, first_refused_at, created_at)
    SELECT %(organisation)s, {CHARGE}, {SUBSCRIPTION}, 0, {CLIENT}, %(company)s, 'charge-' || i, '2026-02-07',
      '2026-02-07', '2026-03-07', 20, 24, 'failed', '2026-02-07T08:00Z', now()
    FROM generate_series(1, %(size)s) AS i""",
    f"""INSERT INTO dunning_cases (organisation_id, id, client_id, company_id, sequence_id, status, since, amount,
      next_on, next_step_id, created_at)
    SELECT %(organisation)s, {CASE}, {CLIENT}, %(company)s, %(sequence)s, 'open', '2026-02-07', 24,
      CASE WHEN i %% 5 = 0 THEN '2026-02-10'::date ELSE '2026-02-11'::date + (i %% 30)::integer END,
      (SELECT id FROM dunning_sequence_steps WHERE position = 0), now()
    FROM generate_series(1, %(size)s) AS i""",
    f"""INSERT INTO dunning_claims (organisation_id, id, case_id, charge_id, since, amount, joined_at)
    SELECT %(organisation)s, {CLAIM}, {CASE}, {CHARGE}, '2026-02-07', 24, now()
    FROM generate_series(1, %(size)s) AS i""",
)
LOCK_CHARGES = """
SELECT * FROM charges WHERE organisation_id = %(organisation)s AND id IN (
  SELECT charge_id FROM dunning_claims
  WHERE organisation_id = %(organisation)s AND case_id = ANY(%(ids)s) AND left_at IS NULL)
ORDER BY id FOR UPDATE
"""
LOCK_CASES = """
SELECT * FROM dunning_cases WHERE organisation_id = %(organisation)s AND id = ANY(%(ids)s) AND next_on <= %(today)s
ORDER BY id FOR UPDATE SKIP LOCKED
"""
READ = (
    """SELECT c.*, h.* FROM dunning_claims c
    JOIN charges h ON h.organisation_id = c.organisation_id AND h.id = c.charge_id
    WHERE c.organisation_id = %(organisation)s AND c.case_id = ANY(%(ids)s) AND c.left_at IS NULL
    ORDER BY c.since, c.id""",
    "SELECT * FROM dunning_steps WHERE organisation_id = %(organisation)s AND case_id = ANY(%(ids)s)",
)
BATCH = 1000
"""Cases found at once, so that the statement is what is measured."""
NOBODY = UUID(int=0)
AT = datetime(2026, 2, 10, 9, tzinfo=UTC)


def run(size: int = 100_000) -> Report:
    """Measure at ``size`` cases."""
    print(f"{size:,} cases: preparing", file=sys.stderr, flush=True)
    environment = open_database(
        f"bench_dunning_{size}", fill=lambda owner: _fill(owner, size), is_full="SELECT true FROM dunning_cases LIMIT 1"
    )
    app = create_app(settings_of(environment))
    times: dict[str, list[float]] = {}
    with (
        app.app_context(),
        tenancy.organisation(ORGANISATION),
        closing(psycopg.connect(dsn(environment["DATABASE_URL"]), autocommit=True, prepare_threshold=None)) as bare,
    ):
        gc.collect()
        gc.freeze()  # what the application is made of is looked through no more: a worker's job is a process of its own
        for turn in range(WARM_UP + TURNS):
            kept = times if turn >= WARM_UP else {}
            ours = _timed(kept, FOUND, _choose_all)
            floor = _timed(kept, f"{FOUND}, floor", lambda: _choose_all_bare(bare))
            if ours != floor:
                raise RuntimeError("the floor chooses other cases")
            ids = [case_id for _, case_id in ours[turn * steps.BATCH :][: steps.BATCH]]
            _timed(kept, TAKEN, lambda: steps.preview(ids, at=AT))  # noqa: B023
            db.session.rollback()
            with bare.transaction():
                _timed(kept, f"{TAKEN}, floor", lambda: _take_bare(bare, ids))  # noqa: B023
        db.engine.dispose()
    lines = [
        Line(name, statistics.median(times[name]), statistics.median(times[f"{name}, floor"]), limit=limit)
        for name, limit in ((FOUND, LIMIT), (TAKEN, None))
    ]
    notes = [
        f"p50 of {TURNS} turns: {len(ours):,} steps found by {BATCH:,};"
        f" {steps.BATCH} cases taken, each with its charge, and told which step"
    ]
    return Report("dunning", size, lines, notes)


def _choose_all() -> list[Any]:
    found: list[Any] = []
    after = None
    while due := steps.choose_due(TODAY, after=after, limit=BATCH):
        found += due
        after = due[-1]
    db.session.rollback()
    return found


def _choose_all_bare(bare: psycopg.Connection) -> list[Any]:
    found: list[Any] = []
    values = {"organisation": ORGANISATION, "today": TODAY, "limit": BATCH, "on": date.min, "id": NOBODY}
    while rows := bare.execute(CHOOSE, values).fetchall():
        found += rows
        values |= {"on": rows[-1][0], "id": rows[-1][1]}
    return found


def _take_bare(bare: psycopg.Connection, ids: list[UUID]) -> None:
    values = {"organisation": ORGANISATION, "today": TODAY, "ids": ids}
    for statement in (LOCK_CHARGES, LOCK_CASES, *READ):
        bare.execute(statement, values).fetchall()


def _timed(times: dict[str, list[float]], name: str, work: Callable[[], Found]) -> Found:
    start = time.perf_counter()
    found = work()
    times.setdefault(name, []).append((time.perf_counter() - start) * 1000)
    return found


def _fill(owner: psycopg.Connection, size: int) -> None:
    values = {
        "organisation": ORGANISATION,
        "company": COMPANY,
        "account": ACCOUNT_ID,
        "sequence": SEQUENCE,
        "size": size,
    }
    for statement in (*STATEMENTS, *FILL):
        owner.execute(statement.encode(), values)
    owner.execute("VACUUM ANALYZE")
