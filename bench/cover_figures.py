"""The tab « Depanssur » and the rows behind its numbers: ``size`` covers, twice as many claims.

Each cover has a life of three years, two paid cycles of three months, and an invoice; a claim in five was refused. The
book is filled by the functions that triggers call, at once and without its indexes, and is then looked through; a
team has 5 of 40 commercials.
"""

import os
import statistics
import sys
from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

import psycopg
from redis import Redis
from sqlalchemy import func, insert, select

from bench.charge_data import COMPANY, ORGANISATION, filler
from bench.claims import FILL as COVERS
from bench.clients import _sign_in
from bench.databases import dsn, open_database, settings_of, without_triggers
from bench.page_data import ADMIN, MANAGER
from bench.pages import CONTENT, serve
from bench.report import Line, Report
from bench.turns import Page, Server, take_turns
from webapp import tenancy
from webapp.extensions import db
from webapp.factory import create_app
from webapp.models.covers import Cover
from webapp.models.figures import FigureEntry, FigureWork
from webapp.services.figures import in_force

LIMIT = 150.0
"""Milliseconds that 95 of 100 requests for a page take at most."""
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
      effective_on + step * interval '1 year', CASE step WHEN 0 THEN 'pending' ELSE 'active' END,
      CASE WHEN ends THEN 'canceled' ELSE 'active' END, 100 * sign(step) + 10 * step,
      CASE WHEN ends THEN 0 ELSE 110 + 10 * step END
    FROM covers, generate_series(0, 3) step, LATERAL (SELECT step = 3 AND number %% 20 = 0 AS ends) lives""",
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


FIRST = ("tab, month", "tab, year", "tab of a team, year", "tab of a plan and a trade, year")
"""Pages that are also asked for with nothing kept, FEW requests each: the first look in ten minutes."""
FEW = 40
CHECKED = 500
"""Covers of which the book is looked through."""
BOOKED = ("payments", "claims", "invoices")
FILLED_LAST = ("figure_entries", "cover_revenue_months")
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
        is_full="SELECT EXISTS (SELECT FROM cover_revenue_months)",
    )
    with psycopg.connect(dsn(environment["DATABASE_OWNER_URL"]), autocommit=True) as owner:
        owner.execute("VACUUM ANALYZE")
        counts = owner.execute(
            "SELECT (SELECT count(*) FROM claims), (SELECT count(*) FROM figure_entries),"
            " (SELECT count(*) FROM figure_tallies)"
        ).fetchone()
        plan = owner.execute("SELECT id FROM cover_plans LIMIT 1").fetchone()
    _check_book(environment)
    pages = _pages(plan[0] if plan else ORGANISATION)
    with serve(environment) as port:
        cookies = {user: _sign_in(environment | {"PORT": str(port)}, user) for user in (ADMIN, MANAGER)}
        server = Server(port)
        asked = {name: Page(server, path, cookies[user], CONTENT) for name, (user, path) in pages.items()}
        for page in asked.values():
            page.server.ask(page.path, page.cookie, holds=page.holds)
        lines = [_line(f"{name}, first look", _look_first(asked[name], environment)) for name in FIRST]
        compared = {name: {"value": page} for name, page in asked.items()}
        lines += [_line(name, times["value"]) for name, times in take_turns(compared).items()]
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
    with without_triggers(owner.info.dbname) as writer:
        indexes = _drop_indexes(writer)
        filler(size)(writer)
        for statement in (*PEOPLE, *COVERS[:-1], *LIVES):
            _say(" ".join(statement.split())[:60])
            writer.execute(statement.encode(), given)
        _make_indexes(writer, [each for each in indexes if each.table not in FILLED_LAST])
        writer.execute("VACUUM ANALYZE")
        for table in BOOKED:
            _say(f"booking {table}")
            writer.execute(f"SELECT book_{table}(%s, (SELECT array_agg(id) FROM {table}))".encode(), (ORGANISATION,))
        writer.execute(IN_FORCE.encode())
        writer.execute("SET session_replication_role = origin")  # what is booked of revenue is tallied by triggers
        for tallies in ("figure_tallies", "cover_revenue"):
            _say(f"adding up {tallies}")
            writer.execute(f"SELECT rebuild_{tallies}(%s)".encode(), (ORGANISATION,))
        _make_indexes(writer, [each for each in indexes if each.table in FILLED_LAST])
    owner.execute("VACUUM ANALYZE")


def _check_book(environment: dict[str, str]) -> None:
    """Of some covers, the book says what it would have been told by triggers and timetable: booking adds nothing."""
    with create_app(settings_of(environment)).app_context(), tenancy.organisation(ORGANISATION):
        some = select(Cover.organisation_id, Cover.id).order_by(Cover.id).limit(CHECKED)
        db.session.execute(insert(FigureWork).from_select(["organisation_id", "cover_id"], some))
        db.session.commit()
        count = select(func.count()).select_from(FigureEntry)
        before = db.session.execute(count).scalar_one()
        in_force.book()
        if db.session.execute(count).scalar_one() != before:
            raise RuntimeError("the book is not what the triggers would have written")
        db.engine.dispose()


class _Index(NamedTuple):
    table: str
    name: str
    definition: str


def _drop_indexes(writer: psycopg.Connection) -> list[_Index]:
    """Every index that is no constraint's: to make one of all rows is quicker than to keep it row by row."""
    rows = writer.execute(
        "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
        " AND indexname NOT IN (SELECT conname FROM pg_constraint)"
    ).fetchall()
    indexes = [_Index(*row) for row in rows]
    for each in indexes:
        writer.execute(f"DROP INDEX {each.name}".encode())
    return indexes


def _make_indexes(writer: psycopg.Connection, indexes: Iterable[_Index]) -> None:
    for each in indexes:
        writer.execute(each.definition.encode())


def _pages(plan_id: UUID) -> dict[str, tuple[UUID, str]]:
    """Who asks for which page, by the page's name."""
    tab, rows = "/statistiques?onglet=depanssur", "/statistiques/depanssur"
    month, year = "periode=mois&du=2026-10-01", "periode=annee"
    narrow = f"formule={plan_id}&metier=plumbing"
    return {
        "tab, month": (ADMIN, f"{tab}&{month}"),
        "tab, year": (ADMIN, f"{tab}&{year}"),
        "tab of a team, year": (MANAGER, f"{tab}&{year}"),
        "tab of a plan and a trade, year": (ADMIN, f"{tab}&{year}&{narrow}"),
        "rows: premium": (ADMIN, f"{rows}/ecritures/primes?{month}"),
        "rows: premium, year": (ADMIN, f"{rows}/ecritures/primes?{year}"),
        "rows: premium of a team": (MANAGER, f"{rows}/ecritures/primes?{month}"),
        "rows: cost of claims": (ADMIN, f"{rows}/ecritures/charge?{month}"),
        "rows: cost of claims, year": (ADMIN, f"{rows}/ecritures/charge?{year}"),
        "rows: reserves": (ADMIN, f"{rows}/ecritures/provisions?{month}"),
        "rows: accepted": (ADMIN, f"{rows}/ecritures/acceptes?{month}"),
        "rows: refused": (ADMIN, f"{rows}/ecritures/refuses?{month}"),
        "rows: refused for a reason": (ADMIN, f"{rows}/ecritures/refuses?{month}&motif=waiting"),
        "rows: invoiced": (ADMIN, f"{rows}/ecritures/facture?{month}"),
        "rows: receivables": (ADMIN, f"{rows}/creances/creances?{month}"),
        "rows: covers in force": (ADMIN, f"{rows}/couvertures/en-vigueur?{month}"),
        "rows: covers in force of a team": (MANAGER, f"{rows}/couvertures/en-vigueur?{month}"),
        "rows: exposure": (ADMIN, f"{rows}/couvertures/exposition?{month}"),
        "rows: MRR": (ADMIN, f"{rows}/couvertures/mrr?{month}"),
        "rows: MRR of a team": (MANAGER, f"{rows}/couvertures/mrr?{month}"),
        "rows: MRR of a plan and a trade": (ADMIN, f"{rows}/couvertures/mrr?{month}&{narrow}"),
        "rows: expansion": (ADMIN, f"{rows}/clients/expansion?{month}"),
        "rows: expansion of a team": (MANAGER, f"{rows}/clients/expansion?{month}"),
        "rows: expansion of a plan and a trade": (ADMIN, f"{rows}/clients/expansion?{month}&{narrow}"),
        "rows: expansion, year": (ADMIN, f"{rows}/clients/expansion?{year}"),
        "rows: churn, year": (ADMIN, f"{rows}/clients/attrition?{year}"),
        "rows: reactivation, year (none)": (ADMIN, f"{rows}/clients/reactivation?{year}"),
        "rows: clients who left": (ADMIN, f"{rows}/clients/partis?{month}"),
    }


def _look_first(page: Page, environment: dict[str, str]) -> list[float]:
    times = []
    with Redis.from_url(environment["REDIS_URL"]) as redis:
        for _ in range(FEW):
            for key in redis.scan_iter("kept:*"):
                redis.delete(key)
            times.append(page.server.ask(page.path, page.cookie, holds=page.holds))
    return [each for each in times if each is not None]


def _line(name: str, times: list[float]) -> Line:
    p95 = statistics.quantiles(times, n=20)[-1]
    return Line(name, statistics.median(times), details={"p95": p95}, detail_limits={"p95": LIMIT})


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)
