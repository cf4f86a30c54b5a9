"""What the user sees when something is refused or breaks."""

from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.conftest import HTMX
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
