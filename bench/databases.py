"""A database for each benchmark and size, kept from one run to the next."""

import os
from collections.abc import Callable

import psycopg
from flask_migrate import upgrade
from psycopg import sql
from sqlalchemy.engine import make_url

from webapp.config import Settings, load_settings
from webapp.factory import create_app


def open_database(name: str, fill: Callable[[psycopg.Connection], None], is_full: str) -> dict[str, str]:
    """The environment of an application on the database ``name``, migrated and filled.

    ``is_full`` is a query that answers true once ``fill`` has done its work; else the database is made anew.
    """
    environment = _environment(name)
    if not _is_ready(environment["DATABASE_OWNER_URL"], is_full):
        _create(name, make_url(environment["DATABASE_OWNER_URL"]).username or "")
        _migrate(environment)
        with psycopg.connect(dsn(environment["DATABASE_OWNER_URL"]), autocommit=True) as owner:
            fill(owner)
    else:
        _migrate(environment)
    return environment


def settings_of(environment: dict[str, str]) -> Settings:
    """The settings of an application on such a database."""
    return load_settings(environment)


def dsn(url: str) -> str:
    """psycopg's form of an SQLAlchemy address."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def without_triggers(database: str) -> psycopg.Connection:
    """A connection that fires no trigger, foreign keys included: only a superuser may have it."""
    address = make_url(os.environ["DATABASE_ADMIN_URL"]).set(database=database)
    writer = psycopg.connect(dsn(address.render_as_string(hide_password=False)), autocommit=True)
    for setting in ("session_replication_role = replica", "work_mem = '256MB'", "maintenance_work_mem = '512MB'"):
        writer.execute(f"SET {setting}".encode())
    return writer


def _environment(name: str) -> dict[str, str]:
    """Ours, on that database; nothing here talks to the identity provider or to WinLeadPlus."""
    nowhere = "http://127.0.0.1:9"
    return {
        **os.environ,
        "DATABASE_URL": _named(os.environ["DATABASE_URL"], name),
        "DATABASE_OWNER_URL": _named(os.environ["DATABASE_OWNER_URL"], name),
        "OIDC_ISSUER": f"{nowhere}/realms/crm",
        "OIDC_CLIENT_SECRET": "unused",
        "WINLEADPLUS_CLIENT_SECRET": "unused",
        "EXTERNAL_API_URL": nowhere,
        "LOG_LEVEL": "WARNING",
    }


def _named(url: str, database: str) -> str:
    return make_url(url).set(database=database).render_as_string(hide_password=False)


def _is_ready(url: str, is_full: str) -> bool:
    try:
        with psycopg.connect(dsn(url)) as connection:
            row = connection.execute(is_full.encode()).fetchone()
            return bool(row and row[0])
    except (psycopg.OperationalError, psycopg.errors.UndefinedTable):
        return False


def _create(name: str, owner: str) -> None:
    database = sql.Identifier(name)
    with psycopg.connect(dsn(os.environ["DATABASE_ADMIN_URL"]), autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(database))
        admin.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, sql.Identifier(owner)))


def _migrate(environment: dict[str, str]) -> None:
    with create_app(load_settings(environment)).app_context():
        upgrade()
