"""The pages of one dispatched batch of 100,000 lines, each of a client of its own, in turns with their floor.

The floor is that of the other pages (bench/page_floor.py): the page's own SQL through bare psycopg, the same template.
"""

import os
import statistics
from urllib.parse import quote
from uuid import UUID

import psycopg
from sqlalchemy import text

from bench.charge_data import COMPANY, ORGANISATION
from bench.clients import _say, _sign_in
from bench.databases import dsn, open_database, settings_of
from bench.dispatch import ACCOUNT
from bench.lock import BATCH, CUT_OFF
from bench.lock import fill as fill_open_batch
from bench.pages import CONTENT, RATIO_LIMIT, serve
from bench.report import Line, Report
from bench.turns import REQUESTS, ROUNDS, Page, Server, Times, take_turns
from webapp import tenancy
from webapp.extensions import db
from webapp.factory import create_app
from webapp.services.fulfilment import dispatching, locking
from webapp.transactions import transaction

USER = UUID("00000000-0000-7000-8000-000000000003")
PATHS = {
    "lines": f"/lots/{BATCH}",
    "lines of a client": f"/lots/{BATCH}?q=client4711",
    "what is to be picked": f"/lots/{BATCH}?onglet=preparation",
    "set aside": f"/lots/{BATCH}?onglet=de-cote",
    "shipments": f"/lots/{BATCH}?onglet=expeditions",
    "documents": f"/lots/{BATCH}?onglet=documents",
    "all shipments": "/expeditions",
}
BEFORE = (
    """INSERT INTO users (organisation_id, id, first_name, last_name, roles, created_at)
    VALUES (%(organisation)s, %(user)s, 'Alix', 'Bench', '{admin}', now())""",
    "UPDATE companies SET address_line1 = '8 quai du Commerce', postcode = '59000', city = 'Lille'",
    """INSERT INTO carrier_accounts (organisation_id, id, company_id, carrier, service, calls_per_second, created_at)
    VALUES (%(organisation)s, %(carrier_account)s, %(company)s, 'sandbox', 'standard', 1000, now())""",
)
PREPARE = (
    "UPDATE fulfilment_batch_lines SET status = 'prepared', prepared_at = now()",
    "UPDATE fulfilment_batches SET work = 'dispatch', work_at = now(), work_account_id = :account",
)


def run(size: int = 100_000) -> Report:
    """Measure at ``size`` lines."""
    environment = open_database(
        f"bench_batches_{size}",
        fill=lambda owner: _fill(owner, size),
        is_full="SELECT EXISTS (SELECT FROM users)",
    )
    _ship(environment)
    with psycopg.connect(dsn(environment["DATABASE_OWNER_URL"]), autocommit=True) as owner:
        owner.execute("VACUUM ANALYZE")
    with serve(environment) as port:
        cookie = _sign_in(environment | {"PORT": str(port)}, USER)
        value, floor = Server(port), Server(port)
        compared = {
            name: {
                "value": Page(value, path, cookie, CONTENT),
                "floor": Page(floor, f"/plancher?page={quote(path, safe='')}", cookie, CONTENT),
            }
            for name, path in PATHS.items()
        }
        lines = [_line(name, times) for name, times in take_turns(compared).items()]
    return Report(
        "batches",
        size,
        lines,
        [f"{os.cpu_count()} cores; value and floor: p50 of {ROUNDS * REQUESTS} requests that took turns"],
    )


def _fill(owner: psycopg.Connection, size: int) -> None:
    _say(f"{size:,} lines: preparing")
    fill_open_batch(owner, size)
    values = {"organisation": ORGANISATION, "company": COMPANY, "user": USER, "carrier_account": ACCOUNT}
    for statement in BEFORE:
        owner.execute(statement.encode(), values)
    owner.execute("VACUUM ANALYZE")


def _ship(environment: dict[str, str]) -> None:
    """Lock, prepare and dispatch the batch, unless an earlier run has."""
    with create_app(settings_of(environment)).app_context(), tenancy.organisation(ORGANISATION):
        if db.session.scalar(text("SELECT status FROM fulfilment_batches")) == "open":
            _say("locking, dispatching")
            locking.lock(BATCH, by=None, at=CUT_OFF)
            with transaction():
                for statement in PREPARE:
                    db.session.execute(text(statement), {"account": ACCOUNT})
                dispatching.dispatch(BATCH, at=CUT_OFF)
        db.engine.dispose()


def _line(name: str, times: Times) -> Line:
    value, floor = (statistics.median(times[each]) for each in ("value", "floor"))
    p95 = statistics.quantiles(times["value"], n=20)[-1]
    return Line(name, value, floor, limit=RATIO_LIMIT, details={"p95": p95})
