"""Databases of the tests' server. Its tables are migrated once, in a database of which all others are copies."""

import hashlib
import os
from contextlib import closing
from pathlib import Path

import psycopg
from flask_migrate import upgrade
from psycopg import sql
from sqlalchemy.engine import make_url

from webapp.config import Settings, load_settings
from webapp.factory import create_app

TEST_KEY = "test:" + "A" * 42 + "A="
MIGRATIONS = Path(__file__).resolve().parents[1] / "migrations"
MIGRATED = "crm_migrated"
MIGRATED_BY = f"SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = '{MIGRATED}'"


def named(url: str, database: str) -> str:
    """The address of a server's other database."""
    return make_url(url).set(database=database).render_as_string(hide_password=False)


def admin_url(database: str | None = None) -> str:
    """The address at which a superuser reaches a database of the tests' server, by default its own."""
    url = make_url(os.environ["CRM_TEST_DATABASE_ADMIN_URL"]).set(drivername="postgresql")
    return url.set(database=database or url.database).render_as_string(hide_password=False)


def settings_for(database: str, home: Path, redis_database: int = 0) -> Settings:
    """Settings of an application that works on a database of the tests' server."""
    return load_settings(
        {
            "CRM_ENV": "test",
            "CRM_HOME": str(home),
            "DATABASE_URL": named(os.environ["CRM_TEST_DATABASE_URL"], database),
            "DATABASE_OWNER_URL": named(os.environ["CRM_TEST_DATABASE_OWNER_URL"], database),
            "REDIS_URL": f"{os.environ['CRM_TEST_REDIS_URL'].rstrip('/')}/{redis_database}",
            "SECRET_KEY": "a secret key that only tests know, long enough",
            "CRM_DATA_KEYS": TEST_KEY,
            "OIDC_ISSUER": "http://127.0.0.1:9/realms/crm",
            "OIDC_CLIENT_SECRET": "client-secret",
            "WINLEADPLUS_CLIENT_SECRET": "sync-secret",
            "EXTERNAL_API_URL": "http://127.0.0.1:9/api/prospects",
        }
    )


def create_migrated(name: str) -> None:
    """A database without rows at the newest migration, in the place of one that may be there from an earlier run."""
    with closing(psycopg.connect(admin_url(), autocommit=True)) as admin:
        admin.execute("SELECT pg_advisory_lock(0)")  # until this connection ends: one process migrates, the others wait
        if admin.execute(MIGRATED_BY).fetchone() != (_digest(),):
            _migrate(admin)
        _create(admin, name, MIGRATED)


def _digest() -> str:
    """Of the migrations that there are."""
    texts = [path.name.encode() + path.read_bytes() for path in sorted(MIGRATIONS.rglob("*.py"))]
    return hashlib.sha256(b"".join(texts)).hexdigest()


def _migrate(admin: psycopg.Connection) -> None:
    """The comment comes last: it tells the next run that the database is whole, and by which migrations."""
    _create(admin, MIGRATED)
    with create_app(settings_for(MIGRATED, Path(os.environ["CRM_HOME"]))).app_context():
        upgrade()
    admin.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(MIGRATED), _digest()))


def _create(admin: psycopg.Connection, name: str, source: str = "template1") -> None:
    owner = make_url(os.environ["CRM_TEST_DATABASE_OWNER_URL"]).username or ""
    admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
    names = map(sql.Identifier, (name, owner, source))
    admin.execute(sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}").format(*names))
