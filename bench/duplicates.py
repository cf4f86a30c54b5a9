"""The nightly search for duplicates among a million clients.

The clients of ``client_data``, moved into the 6,300 postcodes of France (the largest holds about 0.5 % of them), a
third of them with a birth date; and for one client in fifty a second one, written another way. Measured: the time of
the whole search, that of a second one in which nothing is new, and the memory of the process that works and of
PostgreSQL's for it.
"""

import resource
import sys
import threading
import time
from pathlib import Path

import psycopg
from sqlalchemy import text

from bench.client_data import ORGANISATION, make_clients, without_indexes
from bench.databases import open_database, settings_of
from bench.report import Line, Report
from webapp import clock, tenancy
from webapp.extensions import db
from webapp.factory import create_app
from webapp.models.duplicates import DuplicatePair, DuplicateSearch
from webapp.services.duplicates import searches

LIMIT_SECONDS = 600.0
LIMIT_MEMORY = 250.0
ONE_IN = 50

PLACE = """
UPDATE clients SET postcode = lpad((1000 + floor(6300 * random() ^ 2.2) * 15)::int::text, 5, '0'),
  address_line1 = (1 + floor(random() * 200))::int || ' rue de la Gare',
  birth_date = CASE WHEN random() < 0.33 THEN date '1940-01-01' + floor(random() * 24000)::int END
WHERE organisation_id = %(organisation)s
"""
COPIES = """
INSERT INTO clients (organisation_id, id, status, commercial_id, last_name, first_name, email, phone, city, postcode,
  address_line1, birth_date, contracts_count, contract_references, changed_at, created_at)
SELECT organisation_id, gen_random_uuid(), status, commercial_id,
  CASE WHEN kind = 1 THEN overlay(last_name PLACING 'h' FROM 3 FOR 0) WHEN kind = 2 THEN first_name ELSE last_name END,
  CASE WHEN kind = 2 THEN last_name ELSE first_name END,
  CASE WHEN kind IN (0, 1) THEN NULL ELSE email END, CASE WHEN kind IN (1, 3) THEN NULL ELSE phone END, city, postcode,
  address_line1, birth_date, 0, '', changed_at, created_at
FROM (SELECT *, (row_number() OVER (ORDER BY id))::int %% 4 AS kind FROM clients
  WHERE organisation_id = %(organisation)s AND hashtext(id::text) %% %(one_in)s = 0) drawn
"""


def run(size: int = 1_000_000) -> Report:
    """Search twice among ``size`` clients and their doubles."""
    environment = open_database(
        f"bench_duplicates_{size}",
        fill=lambda owner: _fill(owner, size),
        is_full="SELECT count(*) > 0 FROM clients",
    )
    app = create_app(settings_of(environment))
    with app.app_context(), tenancy.organisation(ORGANISATION):
        db.session.execute(text("DELETE FROM duplicate_pairs"))
        db.session.execute(text("DELETE FROM duplicate_searches"))
        db.session.commit()
        first, second = _search(), _search()
        number = db.session.query(DuplicatePair).count()
        by_score = db.session.execute(
            text("SELECT score, count(*) FROM duplicate_pairs GROUP BY score ORDER BY score")
        ).all()
    limits = {"MiB": LIMIT_MEMORY, "PostgreSQL MiB": LIMIT_MEMORY}
    lines = [
        Line(name, seconds, LIMIT_SECONDS, "s", 1.0, details, limits)
        for name, (seconds, details) in (("whole search", first), ("again, nothing new", second))
    ]
    scores = ", ".join(f"{found:,} of score {score}" for score, found in by_score)
    return Report("duplicates", size, lines, [f"{number:,} pairs: {scores}; the floor is the limit, ten minutes"])


def _search() -> tuple[float, dict[str, float]]:
    """Seconds of a search, and the most memory that it took here and in its backend."""
    search_id = searches.start(at=clock.now())
    if search_id is None:
        raise RuntimeError("a search is running")
    backend = int(db.session.execute(text("SELECT pg_backend_pid()")).scalar_one())
    db.session.commit()
    watch = _Watch(backend)
    started, cpu = time.perf_counter(), time.process_time()
    searches.carry_out(ORGANISATION, search_id)
    seconds = time.perf_counter() - started
    backend_cpu = watch.stop()
    search = db.session.get(DuplicateSearch, (ORGANISATION, search_id))
    if search is None or search.finished_at is None or search.error:
        raise RuntimeError(search.error if search else "the search is gone")
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    details = {"MiB": own, "PostgreSQL MiB": watch.most, "CPU s": time.process_time() - cpu + backend_cpu}
    return seconds, details


class _Watch:
    """The most private memory of a process, looked at ten times a second, and the CPU that it used."""

    def __init__(self, pid: int) -> None:
        self.pid, self.most, self.is_done = pid, 0.0, threading.Event()
        self.cpu = self._cpu()
        self.thread = threading.Thread(target=self._look)
        self.thread.start()

    def _look(self) -> None:
        while not self.is_done.wait(0.1):
            for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
                if line.startswith("RssAnon"):
                    self.most = max(self.most, int(line.split()[1]) / 1024)

    def _cpu(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def stop(self) -> float:
        """Seconds of CPU since the beginning."""
        self.is_done.set()
        self.thread.join()
        return self._cpu() - self.cpu


def _fill(owner: psycopg.Connection, size: int) -> None:
    def say(what: str) -> None:
        print(what, file=sys.stderr, flush=True)

    make_clients(owner, size, say, make_contracts=lambda _: None)
    given = {"organisation": ORGANISATION, "one_in": ONE_IN}
    with owner.transaction(), without_indexes(owner, "clients"):
        owner.execute("SELECT setseed(0.43)")
        owner.execute(PLACE, given)
        owner.execute(COPIES, given)
    owner.execute("VACUUM ANALYZE")
    say("doubles")
