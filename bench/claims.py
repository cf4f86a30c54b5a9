"""Deciding claims: each of a cover of its own, with what three years of claims left in its ledger.

Floor: the rows that a decision needs, by the same number of statements, through bare psycopg, in turns with ours. What
is held to twice that is the decision itself, which reads nothing; beside it stands the whole of « Est-ce couvert ? »,
which loads the rows as objects, too.
"""

import random
import statistics
import sys
import time
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import psycopg

from bench.charge_data import ORGANISATION, filler
from bench.databases import dsn, open_database, settings_of, without_triggers
from bench.report import Line, Report
from webapp import tenancy
from webapp.extensions import db
from webapp.factory import create_app
from webapp.models.covers import Trade
from webapp.services.covers import ledger, loading
from webapp.services.covers.claims import Claim
from webapp.services.covers.deciding import decide

LIMIT = 2.0
ASKED = 300
WARM_UP = 20
AT = datetime(2026, 11, 20, 11, tzinfo=UTC)

_COVER = "(lpad(to_hex(4), 8, '0') || '00007000' || '8000' || lpad(to_hex(i), 12, '0'))::uuid"
_CLIENT, _SUBSCRIPTION, _HOME, _CLAIM = (_COVER.replace("hex(4)", f"hex({kind})") for kind in (1, 3, 5, 6))
FILL = (
    """INSERT INTO cover_plans (organisation_id, id, company_id, code, label, created_at)
    SELECT organisation_id, id, id, 'CONFORT', 'Confort', now() FROM companies""",
    """INSERT INTO cover_plan_versions (organisation_id, id, plan_id, version, nature, year, trades, waiting_days,
      deductible, cap_per_claim, cap_per_year, claims_per_year, home_kinds, price, vat_rate, created_at)
    SELECT organisation_id, id, id, 1, 'insurance', 'anniversary', '{electricity,plumbing}', 30, 50, 500, 1200, 3,
      '{flat,house}', 9.9, 0, now() FROM cover_plans""",
    """INSERT INTO cover_plan_options (organisation_id, id, version_id, code, label, trades, waiting_days, deductible,
      cap_per_claim, cap_per_year, price)
    SELECT organisation_id, id, id, 'SERRURERIE', 'Serrurerie', '{locksmith}', 15, 50, 300, 300, 3
    FROM cover_plan_versions""",
    "UPDATE cover_plan_versions SET published_at = '2020-01-01T00:00Z'",
    f"""INSERT INTO covered_homes (organisation_id, id, client_id, kind, occupancy, address_line1, postcode, city,
      created_at)
    SELECT %(organisation)s, {_HOME}, {_CLIENT}, 'flat', 'owner', '1 rue du Port', '59000', 'Lille', now()
    FROM generate_series(1, %(size)s) i""",
    f"""INSERT INTO covers (organisation_id, id, subscription_id, client_id, concluded_on, effective_on, created_at)
    SELECT %(organisation)s, {_COVER}, {_SUBSCRIPTION}, {_CLIENT}, day, day, now()
    FROM generate_series(1, %(size)s) i, LATERAL (SELECT date '2023-01-01' + i %% 300 AS day) days""",
    """INSERT INTO cover_periods (organisation_id, cover_id, since, version_id, at)
    SELECT c.organisation_id, c.id, effective_on, v.id, now() FROM covers c, cover_plan_versions v""",
    """INSERT INTO cover_options (organisation_id, id, cover_id, option_id, since, at)
    SELECT c.organisation_id, gen_random_uuid(), c.id, o.id, effective_on, now() FROM covers c, cover_plan_options o""",
    f"""INSERT INTO cover_homes (organisation_id, cover_id, since, home_id, at)
    SELECT %(organisation)s, {_COVER}, date '2023-01-01', {_HOME}, now() FROM generate_series(1, %(size)s) i""",
    """INSERT INTO cover_facts (organisation_id, id, cover_id, cause, since, at)
    SELECT organisation_id, gen_random_uuid(), id, cause, effective_on + hours * interval '1 hour', now()
    FROM covers, (VALUES ('activation', 0), ('unpaid', 4000), ('payment', 4300)) told (cause, hours)""",
    f"""INSERT INTO claims (organisation_id, id, reference, cover_id, client_id, trade, event_on, declared_on, channel,
      status, changed_at, created_at)
    SELECT %(organisation)s, {_CLAIM}, 'DEP-' || i, {_COVER}, {_CLIENT}, 'plumbing', '2026-06-01', '2026-06-01',
      'phone', 'closed', now(), now() FROM generate_series(1, %(size)s) i""",
    """INSERT INTO claim_entries (organisation_id, id, claim_id, cover_id, kind, amount, event_on, at)
    SELECT organisation_id, gen_random_uuid(), id, cover_id, 'covered', 150, date '2023-06-01' + 150 * k, now()
    FROM claims, generate_series(0, 7) k""",
)
BARE = (
    "SELECT * FROM covers WHERE organisation_id = %s AND id = %s",
    """SELECT c.* FROM clients c JOIN covers v ON v.organisation_id = c.organisation_id AND v.client_id = c.id
    WHERE v.organisation_id = %s AND v.id = %s""",
    """SELECT s.* FROM subscriptions s JOIN covers v ON v.organisation_id = s.organisation_id
      AND v.subscription_id = s.id WHERE v.organisation_id = %s AND v.id = %s""",
    "SELECT * FROM cover_periods WHERE organisation_id = %s AND cover_id = %s",
    """SELECT v.* FROM cover_periods p JOIN cover_plan_versions v ON v.organisation_id = p.organisation_id
      AND v.id = p.version_id WHERE p.organisation_id = %s AND p.cover_id = %s""",
    """SELECT l.* FROM cover_periods p JOIN cover_plan_versions v ON v.organisation_id = p.organisation_id
      AND v.id = p.version_id JOIN cover_plans l ON l.organisation_id = v.organisation_id AND l.id = v.plan_id
    WHERE p.organisation_id = %s AND p.cover_id = %s""",
    """SELECT o.* FROM cover_periods p JOIN cover_plan_options o ON o.organisation_id = p.organisation_id
      AND o.version_id = p.version_id WHERE p.organisation_id = %s AND p.cover_id = %s""",
    """SELECT c.*, o.* FROM cover_options c JOIN cover_plan_options o ON o.organisation_id = c.organisation_id
      AND o.id = c.option_id WHERE c.organisation_id = %s AND c.cover_id = %s""",
    "SELECT * FROM cover_homes WHERE organisation_id = %s AND cover_id = %s",
    """SELECT h.* FROM cover_homes c JOIN covered_homes h ON h.organisation_id = c.organisation_id AND h.id = c.home_id
    WHERE c.organisation_id = %s AND c.cover_id = %s""",
    "SELECT * FROM cover_facts WHERE organisation_id = %s AND cover_id = %s ORDER BY at, id",
    """SELECT claim_id, event_on, amount, option_code, draws_on_main, counts, holds_place FROM claim_entries
    WHERE organisation_id = %s AND cover_id = %s AND kind = 'covered' ORDER BY at, id""",
)


def run(size: int = 100_000) -> Report:
    """Decide ``ASKED`` claims of as many covers out of ``size``, and load the same rows bare."""
    environment = open_database(
        f"bench_claims_{size}", fill=lambda owner: _fill(owner, size), is_full="SELECT count(*) > 0 FROM claim_entries"
    )
    app = create_app(settings_of(environment))
    chosen = random.Random(1)
    ids = [UUID(f"00000004-0000-7000-8000-{chosen.randint(1, size):012x}") for _ in range(ASKED + WARM_UP)]
    bare, whole, decided = [], [], []
    with (
        app.app_context(),
        tenancy.organisation(ORGANISATION),
        psycopg.connect(dsn(environment["DATABASE_URL"]), autocommit=True) as plain,
    ):
        for cover_id in ids:
            bare.append(_load_bare(plain, cover_id))
            loaded, spent = _ask(cover_id)
            whole.append(loaded + spent)
            decided.append(spent)
            db.session.rollback()
    floor = _median(bare)
    lines = [
        Line("the decision itself", _median(decided), floor, "ms", LIMIT),
        Line("« Est-ce couvert ? », loading included", _median(whole), floor, "ms"),
    ]
    return Report("claims", size, lines, [f"median of {ASKED}; {len(BARE)} statements; eight entries in each ledger"])


def _fill(owner: psycopg.Connection, size: int) -> None:
    print(f"{size:,} covers", file=sys.stderr, flush=True)
    with without_triggers(owner.info.dbname) as writer:
        filler(size)(writer)
        for statement in FILL:
            writer.execute(statement.encode(), {"organisation": ORGANISATION, "size": size})
    owner.execute("VACUUM ANALYZE")


def _load_bare(plain: psycopg.Connection, cover_id: UUID) -> float:
    started = time.perf_counter()
    for statement in BARE:
        plain.execute(statement.encode(), (ORGANISATION, cover_id)).fetchall()
    return time.perf_counter() - started


def _ask(cover_id: UUID) -> tuple[float, float]:
    """Seconds of loading, and of deciding."""
    claim = Claim(
        trade=Trade.PLUMBING,
        event_on=date(2026, 11, 19),
        declared_on=date(2026, 11, 20),
        asked=Decimal(420),
    )
    started = time.perf_counter()
    life = loading.life_of(loading.find_cover(cover_id))
    entries = ledger.list_entries(cover_id)
    loaded = time.perf_counter()
    decision = decide(life, claim, entries, AT)
    ended = time.perf_counter()
    if not decision.lines:
        raise RuntimeError("nothing was decided")
    return loaded - started, ended - loaded


def _median(seconds: list[float]) -> float:
    return 1000 * statistics.median(seconds[WARM_UP:])
