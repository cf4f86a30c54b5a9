"""The tab « Depanssur » and the rows behind its numbers: ``size`` covers, twice as many claims.

Each cover has a life of three years, two paid cycles of three months, and an invoice; a claim in five was refused. The
book is filled by the functions that write it in production, without its indexes and triggers; a team has 5 of 40
commercials.
"""

import os
import statistics
import sys
import time
from uuid import UUID

import psycopg

from bench.charge_data import COMPANY, ORGANISATION, filler
from bench.claims import FILL as COVERS
from bench.clients import _sign_in
from bench.databases import dsn, open_database
from bench.page_data import ADMIN, MANAGER
from bench.pages import CONTENT, serve
from bench.report import Line, Report
from bench.turns import Page, Server, take_turns

LIMIT = 150.0
"""Milliseconds that 95 of 100 requests for the tab take at most."""
SILENT = (
    *(
        "covers",
        "cover_facts",
        "cover_periods",
        "cover_options",
        "covered_homes",
        "subscriptions",
        "clients",
        "charges",
    ),
    *("payments", "claims", "claim_entries", "claim_changes", "claim_decisions", "invoices", "allocations"),
    "subscription_history",
)
"""Tables that are filled with their triggers off."""
PEOPLE = (
    """INSERT INTO users (organisation_id, id, first_name, last_name, roles, created_at)
    VALUES (%(organisation)s, %(admin)s, 'Amélie', 'Banc', '{admin}', now()),
      (%(organisation)s, %(manager)s, 'Martine', 'Banc', '{manager}', now())""",
    """INSERT INTO teams (organisation_id, id, name, created_at)
    SELECT %(organisation)s, gen_random_uuid(), 'Équipe ' || n, now() FROM generate_series(1, 8) n""",
    """INSERT INTO team_leaders (organisation_id, team_id, user_id)
    SELECT organisation_id, id, %(manager)s FROM teams ORDER BY name LIMIT 1""",
    """INSERT INTO commercials (organisation_id, id, external_id, first_name, last_name, team_id, created_at)
    SELECT %(organisation)s, gen_random_uuid(), n::text, 'Dominique', 'Vendeur ' || n, ids[1 + n %% 8], now()
    FROM generate_series(1, 40) n, (SELECT array_agg(id ORDER BY name) AS ids FROM teams) teams""",
)
LIVES = (
    """UPDATE clients SET commercial_id = ids[1 + abs(hashtextextended(clients.id::text, 0) %% 40)]
    FROM (SELECT array_agg(id ORDER BY external_id) AS ids FROM commercials) sellers""",
    "UPDATE covers c SET commercial_id = k.commercial_id FROM clients k WHERE k.id = c.client_id",
    "UPDATE subscriptions s SET commercial_id = k.commercial_id FROM clients k WHERE k.id = s.client_id",
    """INSERT INTO subscription_history (organisation_id, id, subscription_id, client_id, currency, at, old_status,
      new_status, annual_before, annual_after)
    SELECT organisation_id, gen_random_uuid(), subscription_id, client_id, 'EUR',
      effective_on + step * interval '1 year',
      CASE step WHEN 0 THEN 'pending' ELSE 'active' END, 'active', 100 * sign(step) + 10 * step, 110 + 10 * step
    FROM covers, generate_series(0, 2) step""",
    """INSERT INTO charges (organisation_id, id, subscription_id, cycle_no, client_id, company_id, reference, due_on,
      period_start, period_end, amount_before_tax, amount, status, created_at)
    SELECT organisation_id, gen_random_uuid(), subscription_id, n, client_id, %(company)s, subscription_id || ':' || n,
      day, day, day + 90, 29.70, 32.37, 'succeeded', now()
    FROM covers, generate_series(0, 1) n,
      LATERAL (SELECT date '2026-07-01' + 90 * n + number::int %% 30 AS day) days""",
    """INSERT INTO payments (organisation_id, id, company_id, client_id, charge_id, kind, amount, happened_at,
      recorded_at)
    SELECT organisation_id, gen_random_uuid(), company_id, client_id, id, 'capture', amount, due_on, due_on
    FROM charges""",
    """INSERT INTO invoices (organisation_id, id, company_id, client_id, charge_id, status, series, number, reference,
      issued_on, due_on, amount_before_tax, total, paid, created_at)
    SELECT organisation_id, id, company_id, client_id, id, 'paid', 'FA', row_number() OVER (ORDER BY due_on, id),
      'FA-' || row_number() OVER (ORDER BY due_on, id), due_on, due_on, 29.70, 32.37, 32.37, now()
    FROM charges WHERE cycle_no = 1""",
    """INSERT INTO allocations (organisation_id, id, payment_id, invoice_id, amount, at)
    SELECT p.organisation_id, gen_random_uuid(), p.id, i.id, p.amount, p.happened_at
    FROM payments p JOIN invoices i ON i.id = p.charge_id WHERE i.number %% 20 > 0""",
    """INSERT INTO claims (organisation_id, id, reference, cover_id, client_id, trade, event_on, declared_on, channel,
      status, changed_at, created_at)
    SELECT organisation_id, gen_random_uuid(), 'DEP-B-' || number, cover_id, client_id,
      CASE number %% 3 WHEN 0 THEN 'plumbing' ELSE 'electricity' END,
      event_on + 90, event_on + 90, 'phone', 'closed', now(), now()
    FROM (SELECT *, row_number() OVER () AS number FROM claims) first""",
    """UPDATE claims SET event_on = day, declared_on = day,
      status = CASE WHEN die %% 5 = 0 THEN 'refused' ELSE 'closed' END
    FROM (SELECT id AS claim_id, abs(hashtextextended(id::text, 0) %% 1000003)::int AS die FROM claims) drawn,
      LATERAL (SELECT date '2026-11-19' - die %% 700 AS day) days
    WHERE claim_id = id""",
    """INSERT INTO claim_changes (organisation_id, id, claim_id, old_status, new_status, at)
    SELECT organisation_id, gen_random_uuid(), id, 'declared',
      CASE status WHEN 'closed' THEN 'accepted' ELSE status END, declared_on FROM claims""",
    """INSERT INTO claim_decisions (organisation_id, id, claim_id, at, status, covered, content)
    SELECT organisation_id, gen_random_uuid(), id, declared_on, 'refused', 0, jsonb_build_object('lines',
      jsonb_build_array(jsonb_build_object('step', CASE length(reference) %% 2 WHEN 0 THEN 'waiting' ELSE 'trade' END,
        'outcome', 'refused'))) FROM claims WHERE status = 'refused'""",
    """INSERT INTO claim_entries (organisation_id, id, claim_id, cover_id, kind, amount, event_on, at)
    SELECT organisation_id, gen_random_uuid(), id, cover_id, kind, amount, event_on,
      declared_on + days * interval '1 day'
    FROM claims, (VALUES ('reserve', 200, 0), ('covered', 150, 0), ('paid', 150, 20), ('reserve', -200, 20)) told
      (kind, amount, days)
    WHERE status <> 'refused'""",
)


BOOKED = ("payments", "claims", "invoices")
LOT = 50_000
IN_FORCE = """INSERT INTO figure_entries (organisation_id, id, month, day, kind, amount, cover_id, plan_id, trades,
    commercial_id)
  SELECT f.organisation_id, gen_random_uuid(), date_trunc('month', day::timestamp), day, 'in_force',
    CASE cause WHEN 'unpaid' THEN -1 ELSE 1 END, cover_id, plan_id, trades, c.commercial_id
  FROM cover_facts f JOIN covers c ON c.id = f.cover_id
  CROSS JOIN LATERAL (SELECT timezone('Europe/Paris', f.since)::date AS day) days
  CROSS JOIN LATERAL cover_promise(f.organisation_id, f.cover_id, day) promise"""
"""What ``services/figures/in_force.py`` makes of the facts of these covers."""


def run(size: int = 200_000) -> Report:
    """Ask for the tab, and for what its numbers open, at ``size`` covers."""
    environment = open_database(
        f"bench_cover_figures_{size}",
        fill=lambda owner: _fill(owner, size),
        is_full="SELECT EXISTS (SELECT FROM figure_tallies)",
    )
    with psycopg.connect(dsn(environment["DATABASE_OWNER_URL"]), autocommit=True) as owner:
        owner.execute("VACUUM ANALYZE")
        counts = owner.execute(
            "SELECT (SELECT count(*) FROM claims), (SELECT count(*) FROM figure_entries),"
            " (SELECT count(*) FROM figure_tallies)"
        ).fetchone()
        plan = owner.execute("SELECT id FROM cover_plans LIMIT 1").fetchone()
    pages = _pages(plan[0] if plan else ORGANISATION)
    with serve(environment) as port:
        cookies = {user: _sign_in(environment | {"PORT": str(port)}, user) for user in (ADMIN, MANAGER)}
        server = Server(port)
        asked = {name: {"value": Page(server, path, cookies[user], CONTENT)} for name, (user, path) in pages.items()}
        lines = [_line(name, times["value"]) for name, times in take_turns(asked).items()]
    claims, entries, rows = counts or (0, 0, 0)
    notes = [
        f"p50; {claims:,} claims, {entries:,} entries of the book in {rows:,} tallies",
        f"{os.cpu_count()} cores, loopback, web server 1 × 4; what is kept for ten minutes was told before",
    ]
    return Report("cover_figures", size, lines, notes)


def _fill(owner: psycopg.Connection, size: int) -> None:
    given = {
        "organisation": ORGANISATION,
        "company": COMPANY,
        "admin": ADMIN,
        "manager": MANAGER,
        "size": size,
    }
    filler(size)(owner)
    for table in SILENT:
        owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER".encode())
    for statement in (*PEOPLE, *COVERS[:-1], *LIVES):
        _say(" ".join(statement.split())[:60])
        owner.execute(statement.encode(), given)
    for table in SILENT:
        owner.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER".encode())
    owner.execute("ANALYZE")
    _book(owner)
    owner.execute("VACUUM ANALYZE")


def _book(owner: psycopg.Connection) -> None:
    """Fill the book, then make its indexes and its tallies."""
    indexes = owner.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'figure_entries' AND indexname NOT LIKE 'pk_%'"
    ).fetchall()
    for name, _ in indexes:
        owner.execute(f"DROP INDEX {name}".encode())
    owner.execute("ALTER TABLE figure_entries DISABLE TRIGGER USER")
    started = time.perf_counter()
    for table in BOOKED:
        rows = owner.execute(f"SELECT id FROM {table} ORDER BY id".encode()).fetchall()
        for start in range(0, len(rows), LOT):
            lot = [row[0] for row in rows[start : start + LOT]]
            owner.execute(f"SELECT book_{table}(%s, %s)".encode(), (ORGANISATION, lot))
        _say(f"{table} booked after {time.perf_counter() - started:.0f} s")
    owner.execute(IN_FORCE.encode())
    owner.execute("ALTER TABLE figure_entries ENABLE TRIGGER USER")
    for _, definition in indexes:
        owner.execute(definition.encode())
    owner.execute("SELECT rebuild_figure_tallies(%s)", (ORGANISATION,))
    _say(f"tallied after {time.perf_counter() - started:.0f} s")


def _pages(plan_id: UUID) -> dict[str, tuple[UUID, str]]:
    """Who asks for which page, by the page's name."""
    tab, rows, month = "/statistiques?onglet=depanssur", "/statistiques/depanssur", "periode=mois&du=2026-10-01"
    return {
        "tab, month": (ADMIN, f"{tab}&{month}"),
        "tab, year": (ADMIN, f"{tab}&periode=annee"),
        "tab of a team, year": (MANAGER, f"{tab}&periode=annee"),
        "tab of a plan and a trade, year": (ADMIN, f"{tab}&periode=annee&formule={plan_id}&metier=plumbing"),
        "rows: premium": (ADMIN, f"{rows}/ecritures/primes?{month}"),
        "rows: cost of claims": (ADMIN, f"{rows}/ecritures/charge?{month}"),
        "rows: refused": (ADMIN, f"{rows}/ecritures/refuses?{month}"),
        "rows: covers in force": (ADMIN, f"{rows}/couvertures/en-vigueur?{month}"),
        "rows: receivables": (ADMIN, f"{rows}/creances/creances?{month}"),
        "rows: MRR": (ADMIN, f"{rows}/couvertures/mrr?{month}"),
    }


def _line(name: str, times: list[float]) -> Line:
    p95 = statistics.quantiles(times, n=20)[-1]
    limits = {"p95": LIMIT} if name.startswith("tab") else {}
    return Line(name, statistics.median(times), details={"p95": p95}, detail_limits=limits)


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)
