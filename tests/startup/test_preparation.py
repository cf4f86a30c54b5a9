"""A start prepares the database again only when there is something to do."""

import os
from collections.abc import Iterator

import psycopg
import pytest
from flask import Flask
from sqlalchemy.engine import make_url

from demo.preparation import is_prepared, mark_prepared
from webapp.config import Settings


@pytest.fixture
def owner(app: Flask, settings: Settings) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """The owner of a migrated database in which somebody has begun to work."""
    url = make_url(settings.database_owner_url or "").set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        connection.execute(
            "INSERT INTO organisations (id, slug, name, created_at)"
            " VALUES (gen_random_uuid(), 'prepared', 'Prête', now())"
        )
        yield connection
        connection.execute("DELETE FROM organisations WHERE slug = 'prepared'")
        connection.execute("COMMENT ON TABLE alembic_version IS NULL")


@pytest.fixture
def url(settings: Settings) -> str:
    return settings.database_owner_url or ""


def test_a_migrated_database_is_not_prepared_until_it_was_seeded(owner: psycopg.Connection, url: str) -> None:
    assert not is_prepared(url)
    mark_prepared(url)
    assert is_prepared(url)


def test_migrating_by_hand_asks_for_preparing_again(owner: psycopg.Connection, url: str) -> None:
    mark_prepared(url)
    revision = owner.execute("SELECT version_num FROM alembic_version").fetchone()
    owner.execute("UPDATE alembic_version SET version_num = 'older'")
    assert not is_prepared(url)
    owner.execute("UPDATE alembic_version SET version_num = %s", revision)
    assert is_prepared(url)


def test_emptying_the_database_asks_for_preparing_again(owner: psycopg.Connection, url: str) -> None:
    mark_prepared(url)
    owner.execute("DELETE FROM organisations WHERE slug = 'prepared'")
    assert not is_prepared(url)


def test_a_database_without_tables_is_not_prepared() -> None:
    assert not is_prepared(os.environ["CRM_TEST_DATABASE_ADMIN_URL"])
