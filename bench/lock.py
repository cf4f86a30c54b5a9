"""Locking a batch of 100,000 lines, each of a client of its own, with three preferences of two values each.

Floor: one ``INSERT … SELECT`` of the finished rows into a table that is equal to theirs, with its indexes, checks and
foreign keys; in turns, each rolled back. Dead rows are cleared away in between. The foreign key on the batch is left
out: 100,000 lines that lock the one row of their batch in a single transaction would make the floor ten times as slow.
A second, harsher floor leaves out all foreign keys.
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
COPIES = ("equal_lines", "lines_without_keys")
FOREIGN_KEYS = """
SELECT pg_get_constraintdef(oid) FROM pg_constraint
WHERE contype = 'f' AND conrelid = %s::regclass AND confrelid <> 'fulfilment_batches'::regclass
"""


def run(size: int = 100_000) -> Report:
    """Measure at ``size`` lines."""
    print(f"{size:,} lines: preparing", file=sys.stderr, flush=True)
    environment = open_database(
        f"bench_lock_{size}",
        fill=lambda owner: fill(owner, size),
        is_full="SELECT has_table_privilege('public', 'lines_without_keys', 'INSERT')",
    )
    app = create_app(settings_of(environment))
    turns: list[tuple[float, float, float]] = []
    with (
        app.app_context(),
        tenancy.organisation(ORGANISATION),
        closing(psycopg.connect(dsn(environment["DATABASE_OWNER_URL"]), autocommit=True)) as owner,
    ):
        gc.collect()
        for turn in range(WARM_UP + TURNS):
            times = _lock_and_insert(size)
            owner.execute(f"VACUUM ANALYZE {TABLE}, {', '.join(COPIES)}")
            if turn >= WARM_UP:
                turns.append(times)
        db.engine.dispose()
    ours, equal, without_keys = (statistics.median(column) for column in zip(*turns, strict=True))
    lines = [
        Line("a batch locked", ours, equal, limit=LIMIT),
        Line("against a table without foreign keys", ours, without_keys),
    ]
    return Report("lock", size, lines, [f"p50 of {TURNS} turns, each rolled back"])


def _lock_and_insert(size: int) -> tuple[float, float, float]:
    """Milliseconds for the lock, and for inserting the rows that it left into each of the copies of their table."""
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
            cursor.execute("ANALYZE finished")
            equal, without_keys = (_insert(cursor, copy) for copy in COPIES)
            return taken * 1000, equal, without_keys
    finally:
        session.rollback()
        del session.info["in_transaction"], session.info["after_commit"]


def _insert(cursor: psycopg.Cursor, copy: str) -> float:
    start = time.perf_counter()
    cursor.execute(f"INSERT INTO {copy} SELECT * FROM finished".encode())
    return (time.perf_counter() - start) * 1000


def fill(owner: psycopg.Connection, size: int) -> None:
    """Fill a database with one open batch of ``size`` pending lines, and the copies of its table."""
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
    for copy in COPIES:
        owner.execute(f"CREATE TABLE {copy} (LIKE {TABLE} INCLUDING ALL)".encode())
    for (definition,) in owner.execute(FOREIGN_KEYS, (TABLE,)).fetchall():
        owner.execute(f"ALTER TABLE {COPIES[0]} ADD {definition}".encode())
    for copy in COPIES:
        owner.execute(f"GRANT INSERT ON {copy} TO PUBLIC".encode())
    owner.execute("VACUUM ANALYZE")
