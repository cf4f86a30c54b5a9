"""A form sent after the session ended is given back to its writer as it was, and to nobody else."""

import re
from datetime import timedelta

import pytest
from flask import Flask
from itsdangerous import URLSafeTimedSerializer
from redis import Redis

from tests.conftest import HTMX, Cast, SignIn
from webapp import kept_forms
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.identity import User

TYPED = {"last_name": "N’Diaye", "city": "Évry", "iban": "FR1420041010050500013M02606"}
PAGE = "/clients/nouveau"


def _token(app: Flask, user: User) -> str:
    return str(URLSafeTimedSerializer(app.secret_key, salt="wtf-csrf-token").dumps(kept_forms.csrf_secret(user.id)))


def _word(location: str) -> str:
    (word,) = re.findall(r"repris%3D([\w-]+)", location)
    return str(word)


def _lose(app: Flask, user: User, *, is_swap: bool = False, **more: str) -> str:
    """Send the form without a session any more; returns where the browser is sent."""
    stranger = app.test_client()
    headers = {"Referer": f"http://localhost{PAGE}?a=1"}
    if is_swap:
        headers = HTMX | {"HX-Current-URL": f"http://localhost{PAGE}?a=1", "X-CSRFToken": _token(app, user)}
    else:
        more = {"csrf_token": _token(app, user), **more}
    answer = stranger.post(PAGE, data=TYPED | more, headers=headers)
    return answer.headers["HX-Redirect"] if is_swap else answer.location


@pytest.mark.parametrize("is_swap", [False, True])
def test_what_was_typed_waits_for_its_writer(app: Flask, cast: Cast, sign_in: SignIn, is_swap: bool) -> None:
    location = _lose(app, cast.commercial, is_swap=is_swap)
    assert location.startswith("/connexion?next=/clients/nouveau?a%3D1%26repris%3D") or "%3Fa%3D1%26repris" in location
    word = _word(location)
    browser = sign_in(cast.commercial)
    page = browser.get(f"{PAGE}?repris={word}").text
    assert f'data-kept-form="/connexion/formulaire/{word}"' in page
    assert "N’Diaye" not in page
    assert TYPED["iban"] not in page
    kept = browser.get(f"/connexion/formulaire/{word}").get_json()
    assert kept == {"action": PAGE, "fields": [[name, value] for name, value in TYPED.items()]}
    assert db.session.query(Client).count() == 0


def test_nobody_else_is_given_it(app: Flask, cast: Cast, sign_in: SignIn) -> None:
    word = _word(_lose(app, cast.commercial))
    for somebody in (cast.colleague, cast.admin, cast.outsider):
        browser = sign_in(somebody)
        assert "data-kept-form" not in browser.get(f"{PAGE}?repris={word}").text
        assert browser.get(f"/connexion/formulaire/{word}").status_code == 404
    assert app.test_client().get(f"/connexion/formulaire/{word}").status_code == 303


def test_it_is_sealed_and_kept_for_a_quarter_of_an_hour(app: Flask, cast: Cast, sign_in: SignIn) -> None:
    word = _word(_lose(app, cast.commercial))
    redis: Redis = app.config["SESSION_REDIS"]
    stored, left = redis.get(f"form:{word}"), redis.ttl(f"form:{word}")
    assert isinstance(stored, bytes)
    assert TYPED["iban"].encode() not in stored
    assert timedelta(minutes=14) < timedelta(seconds=left) <= timedelta(minutes=15)  # type: ignore[arg-type]
    redis.delete(f"form:{word}")
    page = sign_in(cast.commercial).get(f"{PAGE}?repris={word}").text
    assert "n’a été gardé que quinze minutes" in page


@pytest.mark.parametrize(
    "token", ["", "forged", "eyJ.a.b", "InNvbWV0aGluZyI.aQ.b"], ids=["none", "text", "broken", "unsigned"]
)
def test_a_form_that_we_did_not_make_is_not_kept(app: Flask, cast: Cast, token: str) -> None:
    answer = app.test_client().post(
        PAGE, data=TYPED | {"csrf_token": token}, headers={"Referer": f"http://localhost{PAGE}"}
    )
    assert answer.location == "/connexion?next=/clients/nouveau"


def test_neither_is_one_that_is_too_large(app: Flask, cast: Cast) -> None:
    assert "repris" not in _lose(app, cast.commercial, notes="x" * kept_forms.LARGEST)


def test_a_session_that_was_begun_names_its_user_in_its_tokens(app: Flask, cast: Cast) -> None:
    with app.test_request_context():
        assert kept_forms._owner_of(_token(app, cast.admin)) == str(cast.admin.id)
