"""What reaches the log: enough to follow a request, nothing about a person."""

import ast
import json
import logging
from pathlib import Path
from typing import Any

import pytest
import structlog
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tests.conftest import Cast, SignIn
from webapp import logs
from webapp.config import Settings
from webapp.extensions import db

PERSON = {"name": "Élodie DUPONT", "email": "elodie@example.org", "iban": "FR1420041010050500013M02606"}
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


@pytest.fixture(autouse=True)
def _configured(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """Logging as in production, to the stderr that this test reads."""
    logs.configure(settings)
    structlog.contextvars.clear_contextvars()


class Log:
    """What was written since it was last read."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.text = ""

    def lines(self) -> list[dict[str, Any]]:
        self.text = self._capsys.readouterr().err
        return [json.loads(line) for line in self.text.splitlines()]

    def says_nothing_of(self, *secrets: str) -> None:
        assert self.text
        for secret in secrets:
            assert secret not in self.text
            assert json.dumps(secret)[1:-1] not in self.text


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str]) -> Log:
    return Log(capsys)


def test_a_field_that_is_not_listed_is_dropped(log: Log) -> None:
    structlog.get_logger().info("client_created", count=3, **PERSON, token=TOKEN, path="/clients/dupont")
    (line,) = log.lines()
    assert (line["event"], line["count"], line["level"]) == ("client_created", 3, "info")
    assert set(line) == {"event", "count", "level", "timestamp"}


def test_an_exception_says_what_and_where_and_not_what_it_says(log: Log) -> None:
    def look_up() -> None:
        try:
            {}[PERSON["email"]]
        except KeyError as error:
            raise ValueError(f"cannot read {PERSON['iban']}") from error

    try:
        look_up()
    except ValueError:
        structlog.get_logger().exception("failed")
    (line,) = log.lines()
    log.says_nothing_of(*PERSON.values())
    assert line["exc_type"] == "ValueError"
    assert "KeyError" in line["exception"]
    assert any("test_logs.py" in place for place in line["exception"])


def test_a_databases_complaint_does_not_quote_the_row(log: Log, session: None) -> None:
    try:
        db.session.execute(text("SELECT CAST(:value AS integer)"), {"value": PERSON["iban"]})
    except DBAPIError:
        structlog.get_logger().exception("failed")
    (line,) = log.lines()
    log.says_nothing_of(*PERSON.values())
    assert line["exc_type"] == "DataError"


def test_other_libraries_are_heard_without_what_they_speak_of(log: Log) -> None:
    logging.getLogger("some.library").warning("cannot deliver to %s", PERSON["email"])
    (line,) = log.lines()
    assert (line["event"], line["logger"]) == ("cannot deliver to %s", "some.library")


def test_migrations_are_named_in_full(log: Log) -> None:
    logging.getLogger("alembic.runtime").info("Running upgrade %s -> %s", "0001", "0002")
    assert log.lines()[0]["event"] == "Running upgrade 0001 -> 0002"


@pytest.mark.parametrize("name", ["httpx", "httpx2", "werkzeug"])
def test_addresses_that_libraries_call_are_not_logged(log: Log, name: str) -> None:
    logging.getLogger(name).info("GET https://api.example/?q=dupont")
    assert log.lines() == []


def test_a_request_leaves_one_line(log: Log, cast: Cast, client: FlaskClient) -> None:
    answer = client.get(f"/sonde?q={PERSON['email']}", headers={"X-Request-Id": "planted", "Referer": "/?q=dupont"})
    (line,) = log.lines()
    assert line.pop("duration_ms") >= 0
    assert line.pop("timestamp")
    assert line == {
        "event": "request",
        "level": "info",
        "method": "GET",
        "endpoint": "probe.look",
        "status": 200,
        "request_id": answer.headers["X-Request-Id"],
        "user_id": str(cast.commercial.id),
        "organisation_id": str(cast.organisation.id),
    }
    assert line["request_id"] != "planted"


def test_a_strangers_line_does_not_carry_the_last_users_id(
    log: Log, client: FlaskClient, stranger: FlaskClient
) -> None:
    client.get("/sonde")
    stranger.get("/sonde")
    assert "user_id" not in log.lines()[-1]


def test_a_bug_is_logged_under_the_requests_id_without_its_message(
    log: Log, app: Flask, cast: Cast, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)
    answer = sign_in(cast.commercial).get("/sonde/panne?q=dupont")
    bug, request = log.lines()
    log.says_nothing_of(*PERSON.values(), "dupont")
    assert (answer.status_code, request["status"]) == (500, 500)
    assert bug["request_id"] == request["request_id"] == answer.headers["X-Request-Id"]
    assert bug["exc_type"] == "ValueError"
    assert any("probe.py" in place for place in bug["exception"])
    assert bug["request_id"][:12] in answer.text


ROOT = Path(__file__).resolve().parent.parent
OF_STRUCTLOG = {"exc_info"}


def _passed_fields() -> set[tuple[str, str]]:
    """The fields that calls like ``log.info(…)`` pass, each with the file that does."""
    sources = [*(ROOT / "webapp").rglob("*.py"), *(ROOT / "jobs").rglob("*.py")]
    return {
        (keyword.arg, source.name)
        for source in sources
        for call in ast.walk(ast.parse(source.read_text()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
        if isinstance(call.func.value, ast.Name) and call.func.value.id == "log"
        for keyword in call.keywords
        if keyword.arg is not None
    }


def test_what_calls_pass_is_listed() -> None:
    passed = _passed_fields()
    assert len(passed) > 20
    assert {(name, file) for name, file in passed if name not in logs.ALLOWED | OF_STRUCTLOG} == set()
