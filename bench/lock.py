"""Locking a batch of 100,000 lines, each of a client of its own, with three preferences of two values each.

Floor: one ``INSERT … SELECT`` of the finished rows into a table that is equal to theirs, with its indexes and checks,
but without foreign keys, which would slow it down; in turns, each rolled back. Dead rows are cleared away in between.
"""

import gc
import statistics
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from uuid import UUID

import psycopg

from bench.charge_data import ACCOUNT as ACCOUNT_ID
from bench.charge_data import CLIENT, COMPANY, ORGANISATION, STATEMENTS, SUBSCRIPTION
from bench.databases import dsn, open_database, settings_of
from bench.report import Line, Report
from webapp import tenancy
from webapp.extensions import db
from webapp.factory import create_app
from webapp.services.fulfilment import locking

BATCH = UUID("00000000-0000-7000-8000-00000000000a")
CHARGED_AT, CUT_OFF = datetime(2026, 2, 1, 8, tzinfo=UTC), datetime(2026, 2, 2, 11, tzinfo=UTC)
WARM_UP, TURNS = 1, 5
LIMIT = 3.0

_ID = "(lpad(to_hex({kind}), 8, '0') || '00007000' || '8000' || lpad(to_hex(i), 12, '0'))::uuid"
CHARGE, LINE, SCHEMA = (_ID.format(kind=kind) for kind in (4, 5, 6))

FILL = (
    """UPDATE clients SET address_line1 = '12 bis rue des Lilas', postcode = '59000', city = 'Lille',
      phone = '+33612345678'""",
    f"""INSERT INTO charges (organisation_id, id, subscription_id, cycle_no, client_id, company_id, reference, due_on,
      period_start, period_end, amount_before_tax, amount, status, created_at)
    SELECT %(organisation)s, {CHARGE}, {SUBSCRIPTION}, 0, {CLIENT}, %(company)s, 'charge-' || i, '2026-02-01',
      '2026-02-01', '2026-03-01', 20, 24, 'succeeded', now()
    FROM generate_series(1, %(size)s) AS i""",
    f"""INSERT INTO preference_schemas (organisation_id, id, code, label, value_type, allowed_values, position,
      created_at)
    SELECT %(organisation)s, {SCHEMA}, 'champ-' || i, 'Champ ' || i, 'enum', '["Un", "Deux"]', i, now()
    FROM generate_series(1, 3) AS i""",
    f"""INSERT INTO preference_values (organisation_id, id, subscription_id, schema_id, effective_from_cycle, value,
      changed_at)
    SELECT %(organisation)s, gen_random_uuid(), {SUBSCRIPTION}, schema.id, 0,
      CASE WHEN i >> (schema.position - 1) & 1 = 0 THEN '"Un"'::jsonb ELSE '"Deux"'::jsonb END, now()
    FROM generate_series(1, %(size)s) AS i, preference_schemas schema""",
    """INSERT INTO fulfilment_batches (organisation_id, id, company_id, number, status, cutoff_at, created_at)
    VALUES (%(organisation)s, %(batch)s, %(company)s, 1, 'open', %(cut_off)s, now())""",
    f"""INSERT INTO fulfilment_batch_lines (organisation_id, id, batch_id, charge_id, position, subscription_id,
      cycle_no, client_id, label, quantity, status, charged_at, created_at)
    SELECT %(organisation)s, {LINE}, %(batch)s, {CHARGE}, 0, {SUBSCRIPTION}, 0, {CLIENT}, 'Coffret', 1, 'pending',
      %(charged_at)s, now()
    FROM generate_series(1, %(size)s) AS i""",
)
TABLE = "fulfilment_batch_lines"


def run(size: int = 100_000) -> Report:
    """Measure at ``size`` lines."""
    print(f"{size:,} lines: preparing", file=sys.stderr, flush=True)
    environment = open_database(
        f"bench_lock_{size}",
        fill=lambda owner: _fill(owner, size),
        is_full="SELECT has_table_privilege('public', 'equal_lines', 'INSERT')",
    )
    app = create_app(settings_of(environment))
    ours: list[float] = []
    floor: list[float] = []
    with (
        app.app_context(),
        tenancy.organisation(ORGANISATION),
        closing(psycopg.connect(dsn(environment["DATABASE_OWNER_URL"]), autocommit=True)) as owner,
    ):
        gc.collect()
        for turn in range(WARM_UP + TURNS):
            times = _lock_and_insert(size)
            owner.execute(f"VACUUM ANALYZE {TABLE}, equal_lines")
            if turn >= WARM_UP:
                ours.append(times[0])
                floor.append(times[1])
        db.engine.dispose()
    line = Line("a batch locked", statistics.median(ours), statistics.median(floor), limit=LIMIT)
    return Report("lock", size, [line], [f"p50 of {TURNS} turns, each rolled back"])


def _lock_and_insert(size: int) -> tuple[float, float]:
    """Milliseconds for the lock, and for inserting the rows that it left into a table equal to theirs."""
    session = db.session()
    session.info.update(in_transaction=True, after_commit=[])  # the lock joins a transaction that is rolled back
    try:
        start = time.perf_counter()
        locked = locking.lock(BATCH, by=None, at=CUT_OFF)
        taken = time.perf_counter() - start
        if locked.to_prepare != size:
            raise RuntimeError("lines were left out")
        session.execute(db.text(f"CREATE TEMPORARY TABLE finished AS TABLE {TABLE}"))
        with session.connection().connection.driver_connection.cursor() as cursor:  # type: ignore[union-attr]
            return taken * 1000, _insert(cursor)
    finally:
        session.rollback()
        del session.info["in_transaction"], session.info["after_commit"]


def _insert(cursor: psycopg.Cursor) -> float:
    cursor.execute("ANALYZE finished")
    start = time.perf_counter()
    cursor.execute("INSERT INTO equal_lines SELECT * FROM finished")
    return (time.perf_counter() - start) * 1000


def _fill(owner: psycopg.Connection, size: int) -> None:
    values = {
        "organisation": ORGANISATION,
        "company": COMPANY,
        "account": ACCOUNT_ID,
        "batch": BATCH,
        "charged_at": CHARGED_AT,
        "cut_off": CUT_OFF,
        "size": size,
    }
    for statement in (*STATEMENTS, *FILL):
        owner.execute(statement.encode(), values)
    owner.execute(f"CREATE TABLE equal_lines (LIKE {TABLE} INCLUDING ALL)")
    owner.execute("GRANT INSERT ON equal_lines TO PUBLIC")
    owner.execute("VACUUM ANALYZE")
