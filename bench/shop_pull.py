"""Pulling a shop of about 2,000 orders once more, with nothing new.

Floor: reading the same resources as deliveries are read, from memory. The shop answers from memory, too, and the pace
that it is asked in is lifted. The first pull keeps only: what projecting costs is measured by ``bench webhooks``.
"""

import contextlib
import gc
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from unittest.mock import patch
from uuid import UUID
from zoneinfo import ZoneInfo

from bench.databases import open_database, settings_of
from bench.report import Line, Report
from bench.shop_upstream import MONTHS, SECRET
from demo.woocommerce_shop import keys_of
from webapp import clock, tenancy
from webapp.extensions import db
from webapp.factory import create_app
from webapp.gateways import woocommerce
from webapp.gateways.woocommerce import Connection, Page, Params
from webapp.models.base import new_id
from webapp.models.organisations import Company, Organisation
from webapp.models.runs import RunTrigger
from webapp.models.woocommerce import PullScope, ResourceKind, WooCommercePull, WooCommerceShop
from webapp.services.woocommerce import outcomes, projecting, pulling, pulls, reading, stages

LIMIT = 2.0
TURNS = 5
KINDS = {collection: kind for kind, collection in stages.COLLECTIONS.items()}
PARIS = ZoneInfo("Europe/Paris")


def run(size: int = 2_000) -> Report:
    """Measure with about ``size`` orders."""
    environment = open_database(f"bench_shop_pull_{size}", fill=lambda _owner: None, is_full="SELECT false")
    woocommerce.REQUESTS_PER_SECOND = 1_000_000
    with (
        _upstream(size) as url,
        create_app(settings_of(environment)).app_context(),
        tenancy.organisation(_organisation()),
    ):
        return _measure(_connect(url), size)


def _measure(shop_id: UUID, size: int) -> Report:
    since = datetime.now(UTC) - timedelta(days=31 * (MONTHS + 1))
    with patch.object(projecting, "project_all", lambda _words, names, **_: dict.fromkeys(names, outcomes.DONE)):
        _pull(shop_id, since)
    bodies = _bodies(shop_id, since)
    ours, floor = [], []
    before = _peak()
    gc.collect()
    for _ in range(TURNS):
        took, again = _pull(shop_id, since)
        if again.applied or again.done != len(bodies):
            raise RuntimeError(f"{again.applied} applied of {again.done}, {len(bodies)} read")
        ours.append(took / len(bodies))
        floor.append(_read(bodies) / len(bodies))
    lines = [
        Line("a pull without news, by resource", statistics.median(ours), statistics.median(floor), limit=LIMIT),
        Line("memory of it", _peak() - before, unit="MiB"),
    ]
    notes = [f"{os.cpu_count()} cores; {len(bodies):,} resources in a pull, p50 of {TURNS}"]
    db.engine.dispose()
    return Report("shop_pull", size, lines, notes)


def _organisation() -> UUID:
    organisation = Organisation(id=new_id(), slug="bench", name="Bench")
    db.session.add(organisation)
    db.session.flush()
    with tenancy.organisation(organisation.id):
        db.session.add(Company(id=new_id(), name="Bench", siren="732829320", is_default=True))
        db.session.commit()
    return organisation.id


def _connect(url: str) -> UUID:
    key, secret = keys_of(SECRET)
    company = db.session.query(Company).one()
    shop = WooCommerceShop(id=new_id(), company_id=company.id, name="Bench", url=url, source=url.split("/")[2])
    shop.keep_credentials({"consumer_key": key, "consumer_secret": secret})
    db.session.add(shop)
    db.session.commit()
    return shop.id


def _pull(shop_id: UUID, since: datetime) -> tuple[float, WooCommercePull]:
    """Milliseconds of a pull, and how it ended."""
    began = time.perf_counter()
    pull_id, _ = pulls.start(
        shop_id, scope=PullScope.FIRST, trigger=RunTrigger.COMMAND, at=clock.now(), since=since, enqueue=False
    )
    pulling.carry_out(tenancy.current_organisation_id(), pull_id)
    took = (time.perf_counter() - began) * 1000
    ended = pulls.find_pull(pull_id)
    if ended is None or ended.error or not ended.is_finished:
        raise RuntimeError(ended.error if ended else "no pull")
    return took, ended


def _bodies(shop_id: UUID, since: datetime) -> list[tuple[ResourceKind, bytes]]:
    """What such a pull reads, as it was handed out."""
    found: list[tuple[ResourceKind, bytes]] = []
    ask = Connection.list_page

    def recorded(connection: Connection, collection: str, params: Params) -> Page:
        page = ask(connection, collection, params)
        if collection in KINDS:
            found.extend((KINDS[collection], body) for body in page.bodies)
        return page

    with patch.object(Connection, "list_page", recorded):
        _pull(shop_id, since)
    return found


def _read(bodies: list[tuple[ResourceKind, bytes]]) -> float:
    """Milliseconds of reading them all."""
    began = time.perf_counter()
    for kind, body in bodies:
        reading.read(kind, body, PARIS)
    return (time.perf_counter() - began) * 1000


@contextlib.contextmanager
def _upstream(size: int) -> Iterator[str]:
    """A shop in a process of its own; its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.shop_upstream", str(size)], stdout=subprocess.PIPE, text=True
    )
    try:
        yield process.stdout.readline().strip() if process.stdout else ""
    finally:
        process.terminate()
        process.wait()


def _peak() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
