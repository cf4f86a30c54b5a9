"""Rows that are there get their numbers while the application goes on writing, even if that is broken off."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import psycopg
import pytest
from flask import Flask
from flask_migrate import upgrade
from psycopg import sql
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from tests.databases import named
from webapp.config import Settings
from webapp.extensions import db
from webapp.factory import create_app

CHARGES = 12_000
LOT = 5_000
ORGANISATION = UUID(int=1)
OLD_ROWS = (
    "INSERT INTO organisations (id, slug, name, created_at) VALUES (%(ours)s, 'essai', 'Essai', now())",
    "INSERT INTO companies (organisation_id, id, name, created_at) VALUES (%(ours)s, %(ours)s, 'Essai', now())",
    """INSERT INTO clients (organisation_id, id, status, last_name, first_name, changed_at, created_at)
    VALUES (%(ours)s, %(ours)s, 'active', 'Durand', 'Zoé', now(), now())""",
    """INSERT INTO subscriptions (organisation_id, id, company_id, client_id, status, frequency, anchor_date,
      changed_at, created_at)
    VALUES (%(ours)s, %(ours)s, %(ours)s, %(ours)s, 'active', 'monthly', '2026-01-01', now(), now())""",
)
# Ids say nothing of the order of making, which is that of the cycles.
CHARGE = """
INSERT INTO charges (organisation_id, id, subscription_id, cycle_no, client_id, company_id, reference, due_on,
  period_start, period_end, amount_before_tax, amount, status, created_at)
SELECT %(ours)s, gen_random_uuid(), %(ours)s, cycle, %(ours)s, %(ours)s, cycle, '2026-01-01', '2026-01-01',
  '2026-01-31', 20, 24, 'scheduled', '2020-01-01'::timestamptz + cycle * interval '1 hour'
FROM generate_series(%(first)s::integer, %(last)s::integer) AS cycle
"""

# Stops whoever numbers a charge of the second lot, until the test lets go.
HOLD = f"""
CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  PERFORM pg_advisory_xact_lock_shared(1);
  RETURN NEW;
END $$;
CREATE TRIGGER hold BEFORE UPDATE ON charges FOR EACH ROW WHEN (NEW.cycle_no = {LOT + 1000}) EXECUTE FUNCTION hold()
"""


@pytest.fixture
def old(settings: Settings) -> Iterator[Flask]:
    """An application on a database of its own, as it was before there were numbers, with charges."""
    name = f"{make_url(settings.database_url).database}_{uuid4().hex[:8]}"
    owner = make_url(settings.database_owner_url or "").username or ""
    database, role = sql.Identifier(name), sql.Identifier(owner)
    with _connect(os.environ["CRM_TEST_DATABASE_ADMIN_URL"]) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, role))
    urls = {each: named(getattr(settings, each) or "", name) for each in ("database_url", "database_owner_url")}
    app = create_app(settings.model_copy(update=urls))
    with app.app_context():
        upgrade(revision="0019")
    with _as_owner(app) as connection:
        for statement in OLD_ROWS:
            connection.execute(statement.encode(), {"ours": ORGANISATION})
    _charge(_as_owner(app), 1, CHARGES)
    yield app
    with app.app_context():
        db.engine.dispose()
    with _connect(os.environ["CRM_TEST_DATABASE_ADMIN_URL"]) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))


def _connect(url: str) -> psycopg.Connection:
    address = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(address, autocommit=True)


def _as_owner(app: Flask) -> psycopg.Connection:
    return _connect(app.extensions["settings"].database_owner_url)


def _as_application(app: Flask) -> psycopg.Connection:
    return _connect(app.extensions["settings"].database_url)


def _charge(connection: psycopg.Connection, first: int, last: int) -> None:
    with connection:
        connection.execute(CHARGE.encode(), {"ours": ORGANISATION, "first": first, "last": last})


def _migrate(app: Flask) -> None:
    with app.app_context():
        upgrade(revision="0020")


def _wait_until_it_waits(connection: psycopg.Connection, kind: str, mode: str) -> int:
    """The process of the migration, once another one's lock of that kind keeps it from going on."""
    deadline = time.monotonic() + 30
    waiting = """SELECT pid FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE application_name = 'crm-migrate' AND datname = current_database()
      AND locktype = %s AND mode = %s AND NOT granted"""
    while (found := connection.execute(waiting.encode(), [kind, mode]).fetchone()) is None:
        assert time.monotonic() < deadline, "the migration does not come to the lock"
    return int(found[0])


def _numbers(connection: psycopg.Connection) -> list[int | None]:
    return [row[0] for row in connection.execute("SELECT number FROM charges ORDER BY created_at").fetchall()]


def test_a_migration_that_is_killed_goes_on_where_it_stood(old: Flask) -> None:
    # Seen to fail: with the column added as an identity (the INSERT waits), without the grant, with one lot for all,
    # with IF NOT EXISTS taken away (the second run), with numbers drawn in the order of ids.
    with ThreadPoolExecutor(1) as threads, _as_owner(old) as looking:
        looking.execute(HOLD)
        looking.execute("SELECT pg_advisory_lock(1)")
        migration = threads.submit(_migrate, old)
        process = _wait_until_it_waits(looking, "advisory", "ShareLock")
        assert sum(each is not None for each in _numbers(looking)) == LOT
        writing = _as_application(old)
        writing.execute("SET lock_timeout = '100ms'")
        _charge(writing, CHARGES + 1, CHARGES + 1)
        looking.execute("SELECT pg_terminate_backend(%s)", [process])
        with pytest.raises(SQLAlchemyError):
            migration.result(30)
        _charge(_as_application(old), CHARGES + 2, CHARGES + 2)
        looking.execute("SELECT pg_advisory_unlock(1)")
        _migrate(old)
        _charge(_as_application(old), CHARGES + 3, CHARGES + 3)

        numbers = [each for each in _numbers(looking) if each is not None]
        assert len(set(numbers)) == CHARGES + 3
        assert numbers[:CHARGES] == sorted(numbers[:CHARGES])
        assert numbers[:LOT] == list(range(1, LOT + 1))
        with pytest.raises(psycopg.errors.UniqueViolation):
            looking.execute("UPDATE charges SET number = 1 WHERE cycle_no = 2")
        with pytest.raises(psycopg.errors.NotNullViolation):
            looking.execute("UPDATE charges SET number = NULL WHERE cycle_no = 2")
        assert looking.execute("SELECT FROM pg_class WHERE relname LIKE '%interim'").fetchall() == []
        assert looking.execute("SELECT version_num FROM alembic_version").fetchone() == ("0020",)


def test_a_long_transaction_does_not_make_writers_wait_behind_the_migration(old: Flask) -> None:
    # Seen to fail without lock_timeout.
    with ThreadPoolExecutor(1) as threads, _as_application(old) as long, _as_owner(old) as looking:
        with long.transaction():
            long.execute("SELECT FROM subscriptions")
            migration = threads.submit(_migrate, old)
            _wait_until_it_waits(looking, "relation", "AccessExclusiveLock")
            with _as_application(old) as writing:
                writing.execute("SET lock_timeout = '10s'")
                writing.execute("UPDATE subscriptions SET changed_at = now()")
            with pytest.raises(OperationalError, match="lock timeout"):
                migration.result(30)
        _migrate(old)
        assert looking.execute("SELECT number FROM subscriptions").fetchall() == [(1,)]
