"""Whether this process can serve: its database, its Redis, the schema it expects, and the scheduler's pulse."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import psycopg
import structlog
from alembic.script import ScriptDirectory
from redis import Redis, RedisError
from sqlalchemy.engine import make_url

from webapp.config import Settings

log = structlog.get_logger()

PATIENCE_SECONDS = 2
LATE_AFTER = timedelta(minutes=5)
MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"


@dataclass(frozen=True)
class Readiness:
    """Each part in one word. ``scheduler_age`` is in seconds, None where no tick was ever taken or none is read."""

    database: str
    redis: str
    migrations: str
    scheduler: str
    scheduler_age: int | None
    role: str = "ok"

    @property
    def can_serve(self) -> bool:
        """Pages need the database, its present schema and sessions; they do without the scheduler."""
        return (self.database, self.redis, self.role) == ("ok", "ok", "ok") and self.migrations in ("ok", "ahead")

    @property
    def status(self) -> str:
        """ok, degraded (it serves, and somebody should look) or failed."""
        if not self.can_serve:
            return "failed"
        return "ok" if self.scheduler in ("ok", "off") else "degraded"


def check(*, database_url: str, redis_url: str, schedule_is_on: bool, is_production: bool, at: datetime) -> Readiness:
    """Look at every part, within a few seconds, on connections of its own: a full pool says nothing of the server.

    Only in production must the database's role be one that reads and writes rows, and no more.
    """
    redis = _redis_state(redis_url)
    try:
        with _connect(database_url) as connection:
            role = "powerful" if is_production and _powers(connection) else "ok"
            row = connection.execute(_REVISION_AND_LAST_TICK).fetchone()
    except psycopg.errors.UndefinedTable:
        return Readiness("ok", redis, "missing", "unknown", None, role)
    except psycopg.Error:
        return Readiness("failed", redis, "unknown", "unknown", None, "ok")
    revision, last_tick = row or (None, None)
    age = int((at - last_tick).total_seconds()) if last_tick else None
    schema, scheduler = migrations_state(revision, known_revisions()), _scheduler_state(age, is_on=schedule_is_on)
    return Readiness("ok", redis, schema, scheduler, age, role)


def role_fault(database_url: str) -> str | None:
    """What the role of DATABASE_URL may and should not, in English for whoever installs; None where all is well.

    Raises psycopg.Error while the database does not answer.
    """
    with _connect(database_url) as connection:
        powers = _powers(connection)
    if not powers:
        return None
    return f"DATABASE_URL: the application's role {' and '.join(powers)}; see deploy/postgres/roles.sql"


def refuse_powerful_role(settings: Settings) -> None:
    """In production, end the process whose database role may more than read and write rows. Raises SystemExit.

    A database that does not answer yet is no reason to stay down: ``check`` looks again.
    """
    if not settings.is_production:
        return
    try:
        fault = role_fault(settings.database_url)
    except psycopg.Error:
        log.warning("database_unreachable")
        return
    if fault:
        raise SystemExit(fault)


_POWERS = """
    SELECT rolsuper, rolcreaterole OR rolcreatedb, rolbypassrls,
           has_schema_privilege(current_user, 'public', 'CREATE'),
           has_database_privilege(current_user, current_database(), 'CREATE')
    FROM pg_roles WHERE rolname = current_user
"""
_REVISION_AND_LAST_TICK = """
    SELECT (SELECT version_num FROM alembic_version), (SELECT max(taken_at) FROM schedule_ticks)
"""
_POWER_NAMES = (
    "is a superuser",
    "may create roles or databases",
    "passes by row security",
    "may CREATE in the schema",
    "may CREATE schemas",
)


def _redis_state(url: str) -> str:
    redis = Redis.from_url(url, socket_timeout=PATIENCE_SECONDS, socket_connect_timeout=PATIENCE_SECONDS)
    try:
        redis.ping()
    except RedisError:
        return "failed"
    finally:
        redis.close()
    return "ok"


def _powers(connection: psycopg.Connection) -> list[str]:
    row = connection.execute(_POWERS).fetchone()
    return [name for name, has_it in zip(_POWER_NAMES, row or (), strict=True) if has_it]


def _connect(url: str) -> psycopg.Connection:
    address = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    options = f"-c statement_timeout={PATIENCE_SECONDS * 1000}"
    return psycopg.connect(address, connect_timeout=PATIENCE_SECONDS, options=options)


def migrations_state(revision: str | None, known: list[str]) -> str:
    """How the database's revision stands to those that this code knows, the newest first.

    « ahead » is well: while a new version is rolled out, the old one serves on the new schema.
    """
    if revision is None:
        return "missing"
    if revision not in known:
        return "ahead"
    return "ok" if revision == known[0] else "behind"


@cache
def known_revisions() -> list[str]:
    """The revisions that this code knows, the newest first."""
    return [script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()]


def _scheduler_state(age: int | None, *, is_on: bool) -> str:
    if not is_on:
        return "off"
    if age is None:
        return "never"
    return "ok" if age <= LATE_AFTER.total_seconds() else "late"
