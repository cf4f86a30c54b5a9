"""Pages about one thing and pages of figures, at a million clients and two million contracts.

Requests for a page and for its floor (bench/page_floor.py) take turns.
"""

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote
from uuid import UUID

import psycopg

from bench.client_data import ORGANISATION
from bench.clients import _free_port, _say, _sign_in, _wait_for
from bench.databases import dsn, open_database
from bench.page_data import ADMIN, MANAGER, TODAY, make_pages
from bench.report import Line, Report
from bench.turns import REQUESTS, ROUNDS, Page, Server, Times, take_turns

ROOT = Path(__file__).resolve().parent.parent
RATIO_LIMIT = 2.0
FIGURES_LIMIT = 150.0
"""Milliseconds that 95 of 100 pages of figures take at most."""
CONTENT = b'id="contenu"'


def run(size: int = 1_000_000) -> Report:
    """Measure every page at ``size`` clients."""
    environment = open_database(
        f"bench_pages_{size}",
        fill=lambda owner: make_pages(owner, size, _say),
        is_full=f"SELECT count(*) = {size} AND EXISTS (SELECT FROM subscriptions) FROM clients",
    )
    with psycopg.connect(dsn(environment["DATABASE_OWNER_URL"]), autocommit=True) as owner:
        owner.execute("VACUUM ANALYZE")  # as autovacuum keeps it: migrations since may have rewritten tables
    with psycopg.connect(dsn(environment["DATABASE_URL"])) as connection:
        row = connection.execute("SELECT count(*) FROM contracts").fetchone()
        pages = _pages(connection)
    with serve(environment) as port:
        cookies = {user: _sign_in(environment | {"PORT": str(port)}, user) for user in (ADMIN, MANAGER)}
        value, floor = Server(port), Server(port)
        compared = {
            name: {
                "value": Page(value, path, cookies[user], CONTENT),
                "floor": Page(floor, f"/plancher?page={quote(path, safe='')}", cookies[user], CONTENT),
            }
            for name, (user, path) in pages.items()
        }
        lines = [_line(name, times) for name, times in take_turns(compared).items()]
    return Report(
        "pages",
        size,
        lines,
        [
            f"{row[0] if row else 0:,} contracts; value and floor: p50 of {ROUNDS * REQUESTS} requests that took turns",
            f"{os.cpu_count()} cores, loopback, web server 1 × 4",
        ],
    )


def _pages(connection: psycopg.Connection) -> dict[str, tuple[UUID, str]]:
    """Who asks for which page, by the page's name."""
    commercials = connection.execute(
        "SELECT commercial_id FROM contracts WHERE commercial_id IS NOT NULL"
        " GROUP BY 1 ORDER BY abs(count(*) - 50000) LIMIT 1"
    ).fetchone()
    clients = connection.execute(
        "SELECT id FROM clients WHERE organisation_id = %s AND contracts_count = 4 LIMIT 1", [ORGANISATION]
    ).fetchone()
    commercial, client = (row[0] if row else ORGANISATION for row in (commercials, clients))
    of_commercial = f"/commerciaux/{commercial}"
    kpi = "/statistiques?onglet=commercial"
    return {
        "dashboard, month": (ADMIN, "/?periode=mois"),
        "dashboard, year": (ADMIN, "/?periode=annee"),
        "dashboard, any days": (ADMIN, "/?du=2026-01-15&au=2026-11-10"),
        "dashboard of a team, year": (MANAGER, "/?periode=annee"),
        "KPI, month": (ADMIN, kpi),
        "KPI, year": (ADMIN, f"{kpi}&periode=annee"),
        "KPI, any days": (ADMIN, f"{kpi}&du=2024-02-15&au=2026-11-10"),
        "statistics, direction": (ADMIN, "/statistiques?periode=annee"),
        "statistics, direction, any days": (ADMIN, "/statistiques?du=2026-01-15&au=2026-11-10"),
        "statistics, risks": (ADMIN, "/statistiques?onglet=risques"),
        "statistics, risks of a team": (MANAGER, "/statistiques?onglet=risques"),
        "statistics, subscriptions, month": (ADMIN, "/statistiques?onglet=abonnements"),
        "statistics, subscriptions, year": (ADMIN, "/statistiques?onglet=abonnements&periode=annee"),
        "statistics, subscriptions of a team, year": (MANAGER, "/statistiques?onglet=abonnements&periode=annee"),
        "subscriptions": (ADMIN, "/abonnements"),
        "commercials": (ADMIN, "/commerciaux"),
        "commercial, overview": (ADMIN, of_commercial),
        "commercial, contracts": (ADMIN, f"{of_commercial}?onglet=contrats"),
        "commercial, activity": (ADMIN, f"{of_commercial}?onglet=activites"),
        "commercial, documents": (ADMIN, f"{of_commercial}?onglet=documents"),
        "client": (ADMIN, f"/clients/{client}"),
        "client, payments": (ADMIN, f"/clients/{client}?onglet=paiements"),
        "client, activity": (ADMIN, f"/clients/{client}?onglet=activites"),
        "client, documents": (ADMIN, f"/clients/{client}?onglet=documents"),
        "search by two words": (ADMIN, "/recherche?q=martin+jean"),
        "search by a fragment": (ADMIN, "/recherche?q=ouss"),
        "search by digits": (ADMIN, "/recherche?q=6399"),
        "search by a reference": (ADMIN, "/recherche?q=ct0000123"),
        "contracts": (ADMIN, "/contrats"),
        "contracts behind a number": (ADMIN, f"/contrats?statut=signes&commercial={commercial}&total=exact"),
        "contracts of any days, exact": (ADMIN, "/contrats?statut=signes&du=2026-01-15&au=2026-11-10&total=exact"),
        "contracts without mandate": (ADMIN, "/contrats?mandat=sans&total=exact"),
        "contracts by a name": (ADMIN, "/contrats?q=martin+jean"),
        "contracts by a reference": (ADMIN, "/contrats?q=ct0000123"),
    }


@contextmanager
def serve(environment: dict[str, str]) -> Iterator[int]:
    """The application and the floor, at the port that this gives."""
    port = _free_port()
    environment = environment | {
        "PORT": str(port),
        "WEB_CONCURRENCY": "1",
        "PYTHONPATH": str(ROOT),
        "CRM_NOW": f"{TODAY}T10:00:00Z",
    }
    command = [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py", "bench.page_floor:app"]
    with subprocess.Popen(command, env=environment, cwd=ROOT) as process:
        try:
            _wait_for(port)
            yield port
        finally:
            process.terminate()


def _line(name: str, times: Times) -> Line:
    value, floor = (statistics.median(times[each]) for each in ("value", "floor"))
    p95 = statistics.quantiles(times["value"], n=20)[-1]
    is_figures = name.startswith(("KPI", "statistics", "dashboard"))
    return Line(
        name,
        value,
        floor,
        limit=RATIO_LIMIT,
        details={"p95": p95},
        detail_limits={"p95": FIGURES_LIMIT} if is_figures else {},
    )
