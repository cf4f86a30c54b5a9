"""The provider says that a session has ended (OpenID Connect Back-Channel Logout 1.0): so it ends here, at once."""

from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis
from werkzeug.test import TestResponse

from tests.conftest import TEST_KEY
from tests.provider import LocalProvider
from tests.views.test_identity import browser, cookie_of, finish, minutes_pass, organisation, sign_in, start
from webapp import clock, crypto
from webapp.config import Settings

__all__ = ["browser", "organisation"]  # fixtures
ADDRESS = "/deconnexion/par-le-fournisseur"


@pytest.fixture
def signed_in(browser: FlaskClient, provider: LocalProvider) -> FlaskClient:
    sign_in(browser, provider)
    return browser


def announce(app: Flask, token: str) -> TestResponse:
    """The provider's call."""
    return app.test_client().post(ADDRESS, data={"logout_token": token})


def is_in(browser: FlaskClient) -> bool:
    return browser.get("/sonde").status_code == 200


def another(app: Flask, provider: LocalProvider, *, sid: str, sub: str = "subject-1") -> FlaskClient:
    """A further browser, signed in at the provider in a session of its own."""
    provider.claims = {"sid": sid, "sub": sub, "email": f"{sub}@example.org"}
    further = app.test_client()
    sign_in(further, provider)
    provider.claims = {}
    return further


def test_the_session_that_is_named_ends_and_no_other(
    app: Flask, signed_in: FlaskClient, provider: LocalProvider
) -> None:
    elsewhere = another(app, provider, sid="session-2")
    answer = announce(app, provider.logout_token())
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert (is_in(signed_in), is_in(elsewhere)) == (False, True)
    redis: Redis = app.config["SESSION_REDIS"]
    assert len(redis.keys("tokens:*")) == 1  # type: ignore[arg-type]


def test_two_sessions_of_one_sign_in_at_the_provider_end_together(
    app: Flask, signed_in: FlaskClient, provider: LocalProvider
) -> None:
    elsewhere = another(app, provider, sid="session-1")
    announce(app, provider.logout_token())
    assert (is_in(signed_in), is_in(elsewhere)) == (False, False)


def test_a_subject_alone_ends_all_of_that_persons_sessions(
    app: Flask, signed_in: FlaskClient, provider: LocalProvider
) -> None:
    elsewhere = another(app, provider, sid="session-2")
    somebody_else = another(app, provider, sid="session-3", sub="subject-2")
    announce(app, provider.logout_token(sid=None))
    assert [is_in(one) for one in (signed_in, elsewhere, somebody_else)] == [False, False, True]
    sign_in(signed_in, provider)
    assert is_in(signed_in)  # signed out, not locked out


def test_a_token_counts_once(app: Flask, signed_in: FlaskClient, provider: LocalProvider) -> None:
    token = provider.logout_token(sid=None)
    assert announce(app, token).status_code == 200
    sign_in(signed_in, provider)
    assert announce(app, token).status_code == 400
    assert is_in(signed_in)


@pytest.mark.parametrize("changes", [{"aud": "another"}, {"nonce": "n"}, {"events": None}, {"iat": 1_000_000_000}])
def test_a_token_that_does_not_hold_ends_nothing(
    app: Flask, signed_in: FlaskClient, provider: LocalProvider, changes: dict[str, object]
) -> None:
    answer = announce(app, provider.logout_token(**changes))
    assert (answer.status_code, answer.headers["Cache-Control"]) == (400, "no-store")
    assert is_in(signed_in)


def test_whatever_else_is_sent_is_refused(app: Flask, signed_in: FlaskClient, provider: LocalProvider) -> None:
    stranger = app.test_client()
    assert stranger.post(ADDRESS).status_code == 400
    assert stranger.post(ADDRESS, json={"logout_token": provider.logout_token()}).status_code == 400
    assert stranger.get(ADDRESS).status_code == 405
    assert is_in(signed_in)


def test_a_session_that_is_not_known_is_no_fault(app: Flask, provider: LocalProvider, signed_in: FlaskClient) -> None:
    assert announce(app, provider.logout_token(sid="gone-long-ago")).status_code == 200
    assert is_in(signed_in)


def test_without_keys_nothing_is_believed(app: Flask, signed_in: FlaskClient, provider: LocalProvider) -> None:
    token = provider.logout_token(iss="http://127.0.0.1:9/realms/crm")
    assert announce(app, token).status_code == 400
    assert is_in(signed_in)


def test_a_slow_request_does_not_bring_the_session_back(
    app: Flask, signed_in: FlaskClient, provider: LocalProvider
) -> None:
    """It read the session before the sign-out and writes it after."""
    with signed_in.session_transaction() as slow:
        announce(app, provider.logout_token())
        slow["sign_ins"] = {}
    assert not is_in(signed_in)


def test_a_refresh_under_way_does_not_bring_the_session_back(
    app: Flask, signed_in: FlaskClient, provider: LocalProvider
) -> None:
    minutes_pass(6)
    token = provider.logout_token()
    announced: list[int] = []
    original = provider.answer

    def answer(path: str, form: dict[str, str]) -> tuple[int, object]:
        if form.get("grant_type") == "refresh_token":
            announced.append(announce(app, token).status_code)
        return original(path, form)

    provider.answer = answer  # type: ignore[method-assign]
    assert signed_in.get("/sonde").status_code == 303
    assert announced == [200]
    redis: Redis = app.config["SESSION_REDIS"]
    assert redis.keys("tokens:*") == []


def test_a_sign_in_under_way_ends_before_it_begins(app: Flask, browser: FlaskClient, provider: LocalProvider) -> None:
    state = start(browser, provider)
    announce(app, provider.logout_token())
    answer = finish(browser, state)
    assert answer.status_code == 401
    assert "Votre session a pris fin" in answer.text
    assert not is_in(browser)


def test_a_session_that_is_used_all_day_is_still_found(
    app: Flask, signed_in: FlaskClient, provider: LocalProvider
) -> None:
    redis: Redis = app.config["SESSION_REDIS"]
    for key in redis.keys("sessions:*"):  # type: ignore[union-attr]
        redis.expire(key, 60)
    minutes_pass(6)
    assert is_in(signed_in)  # refreshed
    assert all(redis.ttl(key) > 12 * 3600 for key in redis.keys("sessions:*"))  # type: ignore[union-attr,operator]
    announce(app, provider.logout_token())
    assert not is_in(signed_in)


def test_a_session_is_found_after_a_change_of_data_keys(
    app: Flask, signed_in: FlaskClient, provider: LocalProvider
) -> None:
    old = crypto.Keyring.parse(TEST_KEY)
    crypto.use(crypto.Keyring({"new": bytes(32), **old.keys}))
    announce(app, provider.logout_token())
    assert not is_in(signed_in)


def test_once_redis_was_emptied_there_is_nothing_to_end(
    app: Flask, signed_in: FlaskClient, provider: LocalProvider
) -> None:
    app.config["SESSION_REDIS"].flushdb()
    assert announce(app, provider.logout_token()).status_code == 200
    assert not is_in(signed_in)


def test_redis_tells_of_no_subject(app: Flask, signed_in: FlaskClient, settings: Settings) -> None:
    redis: Redis = app.config["SESSION_REDIS"]
    names = b" ".join(redis.keys("*"))  # type: ignore[arg-type]
    assert b"sessions:subject:" in names
    assert b"subject-1" not in names
    assert b"session-1" not in names
    for key in redis.keys("sessions:*"):  # type: ignore[union-attr]
        assert redis.smembers(key) == {cookie_of(signed_in, settings).encode()}


def test_who_signed_out_is_struck_out(app: Flask, signed_in: FlaskClient) -> None:
    page = signed_in.get("/nulle-part").text
    token = page.partition('name="csrf-token" content="')[2].partition('"')[0]
    signed_in.post("/deconnexion", data={"csrf_token": token})
    redis: Redis = app.config["SESSION_REDIS"]
    assert redis.keys("sessions:*") == []


def test_an_address_that_calls_too_often_is_slowed_down(app: Flask, signed_in: FlaskClient) -> None:
    caller = app.test_client()
    answers = [caller.post(ADDRESS).status_code for _ in range(601)]
    assert answers[-1] == 429
    assert set(answers[:-1]) == {400}


def test_it_counts_by_the_wall_clock_alone(app: Flask, signed_in: FlaskClient, provider: LocalProvider) -> None:
    """Tokens live by the provider's clock; CRM_NOW moves ours."""
    clock.start_at(clock.now() + timedelta(minutes=4))
    assert announce(app, provider.logout_token()).status_code == 200
