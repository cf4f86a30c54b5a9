"""What the supervisor of the process is told."""

import os
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.engine import make_url

from webapp import clock
from webapp.config import Settings
from webapp.extensions import db
from webapp.models.schedule import ScheduleTick
from webapp.services import health


@pytest.fixture
def supervisor(app: Flask, committed: None, settings: Settings) -> FlaskClient:
    """Somebody who asks, and reads only what stands in the database for all."""
    return app.test_client()


def tick(minutes_ago: float) -> None:
    at = clock.now() - timedelta(minutes=minutes_ago)
    db.session.add(ScheduleTick(job="a-job", tick=at, taken_at=at))
    db.session.commit()


def ask(supervisor: FlaskClient) -> tuple[int, dict[str, Any]]:
    answer = supervisor.get("/sante/pret")
    body: dict[str, Any] = answer.get_json()
    return answer.status_code, body


def with_settings(app: Flask, settings: Settings, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    monkeypatch.setitem(app.extensions, "settings", settings.model_copy(update=changes))


def test_the_process_says_that_it_lives(stranger: FlaskClient) -> None:
    assert stranger.get("/sante/vivant").get_json() == {"status": "ok"}


def test_everything_in_order_is_ok(supervisor: FlaskClient) -> None:
    tick(minutes_ago=1)
    status, body = ask(supervisor)
    assert status == 200
    assert 60 <= body.pop("scheduler_age") < 120  # the first look reads all migrations, which takes a while
    assert body == {
        "status": "ok",
        "database": "ok",
        "redis": "ok",
        "migrations": "ok",
        "scheduler": "ok",
        "role": "ok",
    }


def test_a_late_scheduler_degrades_and_does_not_stop_the_pages(supervisor: FlaskClient) -> None:
    tick(minutes_ago=6)
    status, body = ask(supervisor)
    assert (status, body["status"], body["scheduler"]) == (200, "degraded", "late")


def test_a_scheduler_that_never_ran_degrades(supervisor: FlaskClient) -> None:
    status, body = ask(supervisor)
    assert (status, body["status"], body["scheduler"], body["scheduler_age"]) == (200, "degraded", "never", None)


def test_a_scheduler_that_is_off_is_in_order(
    supervisor: FlaskClient, app: Flask, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_settings(app, settings, monkeypatch, crm_schedule=False)
    status, body = ask(supervisor)
    assert (status, body["status"], body["scheduler"]) == (200, "ok", "off")


def test_without_redis_it_is_not_ready(
    supervisor: FlaskClient, app: Flask, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_settings(app, settings, monkeypatch, redis_url="redis://127.0.0.1:9")
    status, body = ask(supervisor)
    assert (status, body["status"], body["redis"], body["database"]) == (503, "failed", "failed", "ok")


def test_without_database_it_is_not_ready_and_says_nothing_of_why(
    supervisor: FlaskClient, app: Flask, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_settings(app, settings, monkeypatch, database_url="postgresql+psycopg://crm_app:secret@127.0.0.1:9/crm")
    status, body = ask(supervisor)
    assert (status, body["status"], body["database"], body["migrations"]) == (503, "failed", "failed", "unknown")
    assert "secret" not in str(body)
    assert "127.0.0.1" not in str(body)


@pytest.mark.parametrize(
    ("revision", "state"), [("0002", "ok"), ("0001", "behind"), ("0003", "ahead"), (None, "missing")]
)
def test_a_revision_is_placed_among_those_we_know(revision: str | None, state: str) -> None:
    assert health.migrations_state(revision, ["0002", "0001"]) == state


@pytest.mark.parametrize(("state", "status"), [("ahead", "ok"), ("behind", "failed"), ("missing", "failed")])
def test_pages_need_the_present_schema_or_a_newer_one(state: str, status: str) -> None:
    assert health.Readiness("ok", "ok", state, "ok", 1).status == status


def test_in_production_a_powerful_role_is_not_ready_and_does_not_start(
    supervisor: FlaskClient, app: Flask, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings.database_owner_url
    owner, production = {"database_url": settings.database_owner_url}, {"crm_env": "production"}
    for changes, code in ((owner, 200), (production, 200), (owner | production, 503)):
        with_settings(app, settings, monkeypatch, **changes)
        status, body = ask(supervisor)
        assert (status, body["role"]) == (code, "ok" if code == 200 else "powerful")
    with pytest.raises(SystemExit, match=r"DATABASE_URL: the application's role may CREATE in the schema"):
        health.refuse_powerful_role(settings.model_copy(update=owner | production))
    health.refuse_powerful_role(settings.model_copy(update=production))
    health.refuse_powerful_role(settings.model_copy(update=owner))


def test_a_superuser_is_told(settings: Settings) -> None:
    fault = health.role_fault(os.environ["CRM_TEST_DATABASE_ADMIN_URL"])
    assert fault is not None
    assert "is a superuser" in fault


def test_a_database_that_does_not_answer_is_no_reason_not_to_start(settings: Settings) -> None:
    away = "postgresql+psycopg://crm_app:secret@127.0.0.1:9/crm"
    health.refuse_powerful_role(settings.model_copy(update={"crm_env": "production", "database_url": away}))


def test_a_database_without_our_tables_is_not_ready(
    supervisor: FlaskClient, app: Flask, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = make_url(settings.database_url).set(database="postgres").render_as_string(hide_password=False)
    with_settings(app, settings, monkeypatch, database_url=empty)
    status, body = ask(supervisor)
    assert (status, body["migrations"]) == (503, "missing")


def test_the_newest_migration_is_the_one_that_tests_run_on(session: None) -> None:
    assert health.known_revisions()[0] == db.session.scalar(text("SELECT version_num FROM alembic_version"))
