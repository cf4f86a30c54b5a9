"""What the user sees when something is refused or breaks."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from tests import factories
from tests.conftest import HTMX, Cast, SignIn
from webapp import errors
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.views.layout import toast

Answer = Callable[[Callable[[], Any]], None]


@pytest.fixture
def answer(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Answer:
    """Lets /sante/vivant, for a signed-in user, do something else for the length of a test."""
    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)  # as outside tests: faults are answered
    return lambda view: monkeypatch.setitem(app.view_functions, "health.live", view)


def _raise(error: Exception) -> Callable[[], NoReturn]:
    def view() -> NoReturn:
        raise error

    return view


def test_an_unknown_address_is_a_page_in_the_shell(client: FlaskClient) -> None:
    page = client.get("/nulle-part")
    assert page.status_code == 404
    assert "Page introuvable" in page.text
    assert 'data-testid="nav"' in page.text


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.NotFoundError(), 404),
        (errors.ForbiddenError("Réservé aux managers."), 403),
        (errors.InvalidInputError("Date inconnue."), 422),
        (errors.TooManyRequestsError("Patientez."), 429),
        (errors.UnavailableError("WinLeadPlus ne répond pas."), 503),
        (errors.DomainError("Déjà fait."), 409),
    ],
)
def test_a_refusal_is_told_in_its_own_words(
    client: FlaskClient, answer: Answer, error: errors.DomainError, status: int
) -> None:
    answer(_raise(error))
    page = client.get("/sante/vivant")
    assert page.status_code == status
    assert error.message in page.text


def test_a_refusal_under_htmx_is_a_toast_that_swaps_nothing_else(client: FlaskClient, answer: Answer) -> None:
    answer(_raise(errors.DomainError("Déjà fait.")))
    fragment = client.get("/sante/vivant", headers=HTMX)
    assert fragment.status_code == 409
    assert fragment.headers["HX-Reswap"] == "none"
    assert fragment.headers["HX-Push-Url"] == "false"
    assert fragment.text.lstrip().startswith("<hx-partial")
    assert 'data-kind="error"' in fragment.text
    assert "Déjà fait." in fragment.text


def test_a_bug_is_answered_with_the_reference_that_its_log_line_carries(
    client: FlaskClient, answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    answer(_raise(ZeroDivisionError("un secret")))
    page = client.get("/sante/vivant")
    assert page.status_code == 500
    assert "un secret" not in page.text
    assert page.headers["X-Request-Id"][:12] in page.text
    assert "un secret" in caplog.text


def test_a_bug_rolls_back_what_the_request_had_begun(client: FlaskClient, answer: Answer) -> None:
    def view() -> NoReturn:
        db.session.add(Client(last_name="À MOITIÉ"))
        db.session.flush()
        raise ZeroDivisionError

    answer(view)
    client.get("/sante/vivant")
    assert db.session.query(Client).filter_by(last_name="À MOITIÉ").count() == 0


LOST = OperationalError("SELECT 1", {}, psycopg.errors.AdminShutdown("terminating connection"))


@pytest.mark.parametrize("error", [RedisConnectionError("refused"), PoolTimeoutError("none is free"), LOST])
def test_while_a_server_is_away_people_are_asked_for_patience(
    client: FlaskClient, answer: Answer, error: Exception
) -> None:
    answer(_raise(error))
    page = client.get("/sante/vivant")
    assert page.status_code == 503
    assert "Le service est momentanément indisponible. Réessayez dans un instant." in page.text
    assert page.headers["Retry-After"] == "30"
    assert "refused" not in page.text
    assert "Le service est momentanément indisponible" in client.get("/sante/vivant", headers=HTMX).text


def test_pages_are_answered_in_french_and_work_again_after_the_database_went_away(
    app: Flask, committed: None, sign_in: SignIn, answer: Answer
) -> None:
    """Whatever the moment: before the view is done, or when the session is closed after it."""
    cast: Cast = factories.make_cast(Cast)
    db.session.commit()
    browser = sign_in(cast.commercial)

    def view(*, is_done: bool) -> str:
        own = db.session.scalar(text("SELECT pg_backend_pid()"))
        with db.engine.connect() as other:
            other.execute(text("SELECT pg_terminate_backend(:own, 5000)"), {"own": own})
        if not is_done:
            db.session.execute(text("SELECT 1"))
        return "fait"

    def get(address: str) -> tuple[int, str]:
        page = browser.get(address)
        return page.status_code, page.text

    with ThreadPoolExecutor(1) as server:  # where no context is open yet, each request ends its own
        answer(lambda: view(is_done=False))
        status, page = server.submit(get, "/sante/vivant").result()
        assert (status, "Réessayez dans un instant." in page) == (503, True)
        answer(lambda: view(is_done=True))
        assert server.submit(get, "/sante/vivant").result() == (200, "fait")
        assert server.submit(get, "/clients").result()[0] == 200


def test_a_method_that_is_not_allowed_names_those_that_are(client: FlaskClient) -> None:
    page = client.put("/sante/vivant")
    assert page.status_code == 405
    assert "GET" in page.headers["Allow"]


def test_somebody_without_a_role_gets_a_clear_page(app: Flask, cast: Any, sign_in: Any) -> None:
    cast.commercial.roles = []
    db.session.commit()
    page = sign_in(cast.commercial).get("/")
    assert page.status_code == 403
    assert "n’a pas encore de rôle" in page.text


def test_a_toast_rides_on_a_fragment(client: FlaskClient, answer: Answer) -> None:
    def view() -> str:
        toast("success", "C’est fait <b>.")
        return "<p>le fragment</p>"

    answer(view)
    fragment = client.get("/sante/vivant", headers=HTMX).text
    assert fragment.startswith("<p>le fragment</p>")
    assert 'data-kind="success"' in fragment
    assert "C’est fait &lt;b&gt;." in fragment


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_a_toast_waits_for_the_page_that_a_redirect_leads_to(
    client: FlaskClient, answer: Answer, headers: dict[str, str]
) -> None:
    def view() -> tuple[str, int, dict[str, str]]:
        toast("info", "Plus loin.")
        return "", 200 if headers else 303, {"HX-Redirect" if headers else "Location": "/nulle-part"}

    answer(view)
    client.get("/sante/vivant", headers=headers)
    assert "Plus loin." in client.get("/nulle-part").text
    assert "Plus loin." not in client.get("/nulle-part").text
