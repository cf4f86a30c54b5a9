"""Dispatching a batch of 100,000 prepared lines, each a consignment of its own; then 2,000 labels of 100 ms each.

Floor of the dispatch: the same INSERTs and one bare UPDATE, from ids that lie ready; in turns, each rolled back, dead
rows cleared away in between. Floor of the labels: their waiting alone, sixteen at a time.
"""

import contextlib
import gc
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from uuid import UUID

import httpx
import psycopg
from sqlalchemy import text

from bench.charge_data import ACCOUNT as PROVIDER_ACCOUNT
from bench.charge_data import COMPANY, ORGANISATION, STATEMENTS
from bench.databases import dsn, open_database, settings_of
from bench.lock import BATCH, CHARGED_AT, CUT_OFF, FILL
from bench.report import Line, Report
from webapp import clock, tenancy
from webapp.extensions import db
from webapp.factory import create_app
from webapp.gateways.carriers import registry
from webapp.services.fulfilment import dispatching, labelling

ACCOUNT = UUID("00000000-0000-7000-8000-00000000000b")
WARM_UP, TURNS = 1, 5
LABELS, LABEL_SECONDS = 2_000, 0.1
DISPATCH_LIMIT, LABELS_LIMIT = 2.0, 1.3

PACK = (
    """UPDATE companies SET address_line1 = '8 quai du Commerce', postcode = '59000', city = 'Lille'""",
    """INSERT INTO carrier_accounts (organisation_id, id, company_id, carrier, service, calls_per_second, created_at)
    VALUES (%(organisation)s, %(carrier_account)s, %(company)s, 'sandbox', 'standard', 1000, now())""",
    """UPDATE fulfilment_batches SET status = 'locked', locked_at = now(), work = 'dispatch', work_at = now(),
      work_account_id = %(carrier_account)s""",
    """UPDATE fulfilment_batch_lines line SET status = 'prepared', snapshot_at = now(), consignment_no = numbered.no,
      address_snapshot = '{"recipient": "Client Bench", "line1": "12 bis rue des Lilas", "postcode": "59000",
        "city": "Lille", "country": "FR", "phone": "+33612345678"}',
      preference_snapshot = '{"champ-1": {"label": "Champ 1", "value": "Un"},
        "champ-2": {"label": "Champ 2", "value": "Deux"}, "champ-3": {"label": "Champ 3", "value": "Un"}}',
      pick_key = md5('pick'), box_key = md5('box'), prepared_at = now()
    FROM (SELECT id, row_number() OVER (ORDER BY id) AS no FROM fulfilment_batch_lines) numbered
    WHERE numbered.id = line.id""",
    """CREATE TABLE ready AS
    SELECT id AS line_id, client_id, consignment_no, address_snapshot AS address, gen_random_uuid() AS shipment_id,
      gen_random_uuid() AS parcel_id
    FROM fulfilment_batch_lines ORDER BY consignment_no""",
    "GRANT SELECT ON ready TO PUBLIC",
)
FLOOR = (
    """INSERT INTO shipments
      (organisation_id, id, batch_id, client_id, consignment_no, account_id, status, address, created_at)
    SELECT :organisation, shipment_id, :batch, client_id, consignment_no, :account, 'to_label', address, now()
    FROM ready""",
    """INSERT INTO parcels (organisation_id, id, shipment_id, account_id, weight_g, status, key, next_attempt_at,
      created_at)
    SELECT :organisation, parcel_id, shipment_id, :account, 600, 'to_label', parcel_id::text, now(), now()
    FROM ready""",
    """UPDATE fulfilment_batch_lines line SET shipment_id = ready.shipment_id FROM ready
    WHERE line.organisation_id = :organisation AND line.id = ready.line_id""",
)


def run(size: int = 100_000) -> Report:
    """Measure at ``size`` lines."""
    lines = [_measure_dispatch(size)]
    seconds, memory = _measure_labels()
    lines.append(
        Line(
            f"{LABELS:,} labels", seconds * 1000, LABELS * LABEL_SECONDS / labelling.AT_ONCE * 1000, limit=LABELS_LIMIT
        )
    )
    lines.append(Line("memory of the labels", memory, unit="MiB"))
    return Report("dispatch", size, lines, [f"{os.cpu_count()} cores; p50 of {TURNS} dispatches, each rolled back"])


def _open(size: int) -> dict[str, str]:
    print(f"{size:,} lines: preparing", file=sys.stderr, flush=True)
    return open_database(
        f"bench_dispatch_{size}",
        fill=lambda owner: _fill(owner, size),
        is_full="SELECT has_table_privilege('public', 'ready', 'SELECT')",
    )


def _fill(owner: psycopg.Connection, size: int) -> None:
    values = {
        "organisation": ORGANISATION,
        "company": COMPANY,
        "account": PROVIDER_ACCOUNT,
        "carrier_account": ACCOUNT,
        "batch": BATCH,
        "charged_at": CHARGED_AT,
        "cut_off": CUT_OFF,
        "size": size,
    }
    for statement in (*STATEMENTS, *FILL, *PACK):
        owner.execute(statement.encode(), values)
    owner.execute("VACUUM FULL fulfilment_batch_lines")
    owner.execute("VACUUM ANALYZE")


def _measure_dispatch(size: int) -> Line:
    environment = _open(size)
    ours: list[float] = []
    floor: list[float] = []
    with (
        create_app(settings_of(environment)).app_context(),
        tenancy.organisation(ORGANISATION),
        closing(psycopg.connect(dsn(environment["DATABASE_OWNER_URL"]), autocommit=True)) as owner,
    ):
        gc.collect()
        for turn in range(WARM_UP + TURNS):
            for measured, work in ((ours, _dispatch), (floor, _insert)):
                taken = _rolled_back(work, size)
                owner.execute("VACUUM ANALYZE fulfilment_batch_lines, shipments, parcels")
                if turn >= WARM_UP:
                    measured.append(taken)
        db.engine.dispose()
    return Line("a batch dispatched", statistics.median(ours), statistics.median(floor), limit=DISPATCH_LIMIT)


def _rolled_back(work: Callable[[], int], size: int) -> float:
    """Milliseconds of the work, in a transaction that is undone."""
    session = db.session()
    session.info.update(in_transaction=True, after_commit=[])  # the dispatch joins it
    try:
        start = time.perf_counter()
        number = work()
        if number != size:
            raise RuntimeError("lines were left out")
        return (time.perf_counter() - start) * 1000
    finally:
        session.rollback()
        del session.info["in_transaction"], session.info["after_commit"]


def _dispatch() -> int:
    return dispatching.dispatch(BATCH, at=clock.now())


def _insert() -> int:
    values = {"organisation": ORGANISATION, "batch": BATCH, "account": ACCOUNT}
    number = 0
    for statement in FLOOR:
        number = db.session.execute(text(statement), values).rowcount  # type: ignore[attr-defined]
    return number


def _measure_labels() -> tuple[float, float]:
    """Seconds until all have their labels, and the memory that it took."""
    environment = _open(LABELS)
    with _slow_carrier() as url:
        app = create_app(settings_of({**environment, "CARRIER_SANDBOX_URL": url}))
        with (
            app.app_context(),
            closing(psycopg.connect(dsn(environment["DATABASE_OWNER_URL"]), autocommit=True)) as owner,
        ):
            _empty(owner)
            with tenancy.organisation(ORGANISATION):
                dispatching.dispatch(BATCH, at=clock.now())
            before, start = _peak(), time.perf_counter()
            done = 0
            while number := labelling.carry_out(ORGANISATION, ACCOUNT):
                done += number
            taken = time.perf_counter() - start
            registry.close()
            _empty(owner)
            if done != LABELS:
                raise RuntimeError(f"{done} labels")
            db.engine.dispose()
    return taken, _peak() - before


def _empty(owner: psycopg.Connection) -> None:
    """As before the dispatch; batches do not go back by themselves."""
    owner.execute("ALTER TABLE fulfilment_batches DISABLE TRIGGER fulfilment_batches_forward")
    owner.execute("UPDATE fulfilment_batch_lines SET shipment_id = NULL WHERE shipment_id IS NOT NULL")
    owner.execute("DELETE FROM parcels")
    owner.execute("DELETE FROM shipments")
    owner.execute(
        "UPDATE fulfilment_batches SET status = 'locked', dispatched_at = NULL, work = 'dispatch', work_at = now(),"
        " work_account_id = %s",
        [ACCOUNT],
    )
    owner.execute("ALTER TABLE fulfilment_batches ENABLE TRIGGER fulfilment_batches_forward")
    owner.execute("VACUUM ANALYZE fulfilment_batch_lines, shipments, parcels")


@contextlib.contextmanager
def _slow_carrier() -> Iterator[str]:
    """The pretend carrier, in a process of its own, which takes its time for each label."""
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "CARRIER_PORT": "0", "CRM_HOME": home}
        process = subprocess.Popen(
            [sys.executable, "-m", "demo.carrier"], env=environment, stdout=subprocess.PIPE, text=True
        )
        try:
            said = process.stdout.readline() if process.stdout else ""
            url = said.removeprefix("carrier: ").strip()
            httpx.post(f"{url}/_control", json={"mode": "slow", "delay": LABEL_SECONDS}).raise_for_status()
            yield url
        finally:
            process.terminate()
            process.wait()


def _peak() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
