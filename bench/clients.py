"""The clients page at a million clients: each view's time against its floor, and against ten thousand clients.

Requests for the page, for its floor (bench/client_floor.py) and for the same view of a small organisation take turns.
"""

import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode
from uuid import UUID

import psycopg

from bench.client_data import ORGANISATION, USER, make_assets, make_clients, make_consents
from bench.databases import dsn, open_database, settings_of
from bench.report import Line, Report
from bench.turns import REQUESTS, ROUNDS, Page, Server, Times, take_turns
from webapp import clock
from webapp.factory import create_app
from webapp.gateways.identity import Tokens
from webapp.services import keyset
from webapp.services.clients import columns as offered
from webapp.services.clients.selection import Asset, ClientSort
from webapp.sessions import keep_tokens

ROOT = Path(__file__).resolve().parent.parent
SMALL = 10_000
RATIO_LIMIT = 2.0
GROWTH_LIMIT = 1.5
PAGE_LIMIT = 40.0
SEARCH_LIMIT = 60.0
PATIENCE = 30
"""Seconds for gunicorn to start."""
COMMON = "common: "
"""Views that find thousands far apart, as nobody means to: they may grow with the clients, within SEARCH_LIMIT."""


def run(size: int = 1_000_000) -> Report:
    """Measure every view at ``size``, and at SMALL for the growth."""
    with ExitStack() as stack:
        large = stack.enter_context(_serve(size))
        small = stack.enter_context(_serve(SMALL)) if size > SMALL else None
        times = take_turns({name: _compared(name, large, small) for name in large.views})
        lines = [_line(name, found) for name, found in times.items()]
    return Report(
        "clients",
        size,
        lines,
        [
            f"value and floor: p50 of {ROUNDS * REQUESTS} requests that took turns; small: p50 with {SMALL:,} clients",
            f"{os.cpu_count()} cores, loopback, web server 1 × 4, whole pages of 50 rows",
        ],
    )


@dataclass(frozen=True)
class Organisation:
    """Served by a gunicorn of its own: who asks, and the views that its data can show."""

    servers: dict[str, Server]
    cookie: str
    views: dict[str, str]

    def page(self, path: str, view: str) -> Page:
        """One of its views, at the address of the application or of the floor."""
        return Page(self.servers[path], f"{path}?{self.views[view]}", self.cookie, b"clients-list")


@contextmanager
def _serve(size: int) -> Iterator[Organisation]:
    """The application on ``size`` clients, with somebody signed in."""
    _say(f"{size:,} clients: preparing")
    environment = open_database(
        f"bench_clients_{size}",
        fill=lambda owner: _fill(owner, size),
        is_full=f"SELECT count(*) = {size} AND EXISTS (SELECT FROM last_contacts) FROM clients",
    )
    port = _free_port()
    environment |= {"PORT": str(port), "WEB_CONCURRENCY": "1", "PYTHONPATH": str(ROOT)}
    cookie = _sign_in(environment)
    command = [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py", "bench.client_floor:app"]
    with subprocess.Popen(command, env=environment, cwd=ROOT) as process:
        try:
            _wait_for(port)
            servers = {path: Server(port) for path in ("/clients", "/plancher")}
            yield Organisation(servers, cookie, _views(environment["DATABASE_URL"], size))
        finally:
            process.terminate()


def _fill(owner: psycopg.Connection, size: int) -> None:
    make_clients(owner, size, _say)
    make_consents(owner, _say)
    make_assets(owner, _say)


def _views(database_url: str, size: int) -> dict[str, str]:
    """Each view's query string by its name."""
    with psycopg.connect(dsn(database_url)) as connection:
        by_size = connection.execute(
            "SELECT commercial_id FROM clients WHERE commercial_id IS NOT NULL GROUP BY 1 ORDER BY count(*)"
        ).fetchall()
        middle = connection.execute(
            "SELECT name_key, id FROM clients WHERE organisation_id = %s ORDER BY name_key, id OFFSET %s LIMIT 1",
            [ORGANISATION, size // 2],
        ).fetchone() or ("", ORGANISATION)
    smallest, largest = by_size[0][0], by_size[-1][0]
    deep = keyset.encode(keyset.Position(*middle), sort=ClientSort.NAME)
    views: dict[str, dict[str, object]] = {
        "first page": {},
        "deep page": {"apres": deep},
        **{f"sort {sort}": {"tri": sort} for sort in ClientSort if sort is not ClientSort.NAME},
        **{f"source {source}": {"source": source} for source in ("crm", "winleadplus", "woocommerce")},
        **{f"status {status}": {"statut": status} for status in ("active", "prospect", "inactive")},
        "commercial, 0.1 %": {"commercial": smallest},
        "commercial, largest": {"commercial": largest},
        "no commercial": {"commercial": "sans-commercial"},
        "crm, last changed": {"source": "crm", "tri": "-modification"},
        "prospects, most contracts": {"statut": "prospect", "tri": "-contrats"},
        "commercial, 0.1 %, by town": {"commercial": smallest, "tri": "-ville"},
        "source and status": {"source": "crm", "statut": "inactive"},
        "consent given by 95 %": {"consentement": "prospection_phone.donne"},
        "consent given by 40 %": {"consentement": "prospection_email.donne"},
        f"{COMMON}consent given by 0.5 %": {"consentement": "prospection_sms.donne", "tri": "-modification"},
        "consent given by a dozen": {"consentement": "partners.donne"},
        f"{COMMON}consent not given by 5 %": {"consentement": "prospection_phone.non-donne"},
        "consent not given by 60 %": {"consentement": "prospection_email.non-donne"},
        "consent not given by all": {"consentement": "satisfaction.non-donne", "tri": "-ville"},
        f"{COMMON}consent withdrawn by 3 %": {"consentement": "prospection_email.retire"},
        "consent and source": {"consentement": "prospection_email.donne", "source": "crm"},
        "every column": {"colonnes": ",".join(offered.BY_KEY)},
        "three commercials": {"commercial": [row[0] for row in by_size[1:4]]},
        "town": {"lieu": "lyon"},
        "postcode": {"lieu": "69"},
        "postcode of few": {"lieu": "69003"},
        "created in a week": {"cree_du": "2026-03-01", "cree_au": "2026-03-07", "tri": "-creation"},
        f"{COMMON}created in a week, by name": {"cree_du": "2026-03-01", "cree_au": "2026-03-07"},
        "changed since, last changed first": {"modifie_du": "2026-10-15", "tri": "-modification"},
        f"{COMMON}last contact in a month": {"contact_du": "2026-10-01", "contact_au": "2026-10-31"},
        "last contact on a day": {"contact_du": "2026-10-01", "contact_au": "2026-10-01"},
        "no contact since": {"sans_contact_depuis": "2026-09-01"},
        **{f"with {asset}": {asset.value: "avec"} for asset in Asset if asset is not Asset.SUBSCRIPTION},
        **{f"without {asset}": {asset.value: "sans"} for asset in Asset},
        "with IBAN, without contract, a town": {"iban": "avec", "contrat": "sans", "lieu": "lyon"},
        "search two words": {"q": "martin jean"},
        "search e-mail fragment": {"q": "jmartin1"},
        "search telephone digits": {"q": "06 39 98 1"},
        "search and filter": {"q": "dubois", "source": "winleadplus", "tri": "-modification"},
        f"{COMMON}surname": {"q": "martin"},
        f"{COMMON}first name": {"q": "marie"},
        f"{COMMON}telephone prefix": {"q": "+33 6 39 98"},
        f"{COMMON}reference prefix": {"q": "ct00004"},
        f"{COMMON}letter": {"q": "m"},
        f"{COMMON}domain": {"q": "example.org"},
    }
    return {name: urlencode(query, doseq=True) for name, query in views.items()}


def _compared(name: str, large: Organisation, small: Organisation | None) -> dict[str, Page]:
    pages = {"value": large.page("/clients", name), "floor": large.page("/plancher", name)}
    return pages | ({"small": small.page("/clients", name)} if small else {})


def _line(name: str, times: Times) -> Line:
    middle = {each: statistics.median(found) for each, found in times.items()}
    details = {"p95": statistics.quantiles(times["value"], n=20)[-1]}
    limits = {"p95": SEARCH_LIMIT if name.startswith(("search", COMMON)) else PAGE_LIMIT}
    if "small" in middle:
        details |= {"small": middle["small"], "growth": middle["value"] / middle["small"]}
        limits |= {} if name.startswith(COMMON) else {"growth": GROWTH_LIMIT}
    return Line(name, middle["value"], middle["floor"], limit=RATIO_LIMIT, details=details, detail_limits=limits)


def _sign_in(environment: dict[str, str], user: UUID = USER) -> str:
    """A session in Redis, as signing in makes it. Returns the cookie."""
    app = create_app(settings_of(environment))
    browser = app.test_client()
    with app.app_context(), browser.session_transaction() as session:
        session["user_id"], session["organisation_id"] = str(user), str(ORGANISATION)
        a_day = int(timedelta(days=1).total_seconds())
        keep_tokens(session, Tokens("access", "refresh", "id", expires_in=a_day), at=clock.now())
    name = app.config["SESSION_COOKIE_NAME"]
    cookie = browser.get_cookie(name)
    return f"{name}={cookie.value if cookie else ''}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
