"""Sign-in, the life of a session, sign-out."""

import threading
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis
from werkzeug.test import TestResponse

from tests import factories
from tests.conftest import HTMX, Cast
from tests.provider import LocalProvider
from webapp import clock
from webapp.config import Settings
from webapp.extensions import db
from webapp.gateways import identity
from webapp.models.identity import User
from webapp.models.organisations import Organisation
from webapp.views import identity as pages


@pytest.fixture
def organisation(app: Flask, session: None, settings: Settings) -> Organisation:
    """The organisation of tokens that name none."""
    organisation: Organisation = factories.OrganisationFactory(slug=settings.crm_organisation)
    db.session.commit()
    return organisation


@pytest.fixture
def browser(app: Flask, organisation: Organisation) -> FlaskClient:
    return app.test_client()


def start(browser: FlaskClient, provider: LocalProvider, target: str = "/sonde") -> str:
    """Begin a sign-in, whose nonce the provider then knows. Returns its state."""
    sent = browser.get("/connexion", query_string={"next": target})
    assert sent.status_code == 302
    query = parse_qs(urlsplit(sent.location).query)
    provider.nonce = query["nonce"][0]
    return query["state"][0]


def finish(browser: FlaskClient, state: str, **answer: str) -> TestResponse:
    return browser.get("/connexion/retour", query_string={"state": state, "code": "code", **answer})


def sign_in(browser: FlaskClient, provider: LocalProvider, target: str = "/sonde") -> TestResponse:
    return finish(browser, start(browser, provider, target))


def minutes_pass(minutes: float) -> None:
    clock.start_at(clock.now() + timedelta(minutes=minutes))


def cookie_of(browser: FlaskClient, settings: Settings) -> str:
    cookie = browser.get_cookie(settings.session_cookie_name)
    assert cookie is not None
    return cookie.value


# --- signing in ---


def test_after_the_sign_in_the_browser_is_where_it_meant_to_go(browser: FlaskClient, provider: LocalProvider) -> None:
    back = sign_in(browser, provider, "/sonde?q=dupont")
    assert (back.status_code, back.location) == (302, "/sonde?q=dupont")
    assert browser.get("/sonde").json["roles"] == ["commercial"]  # type: ignore[index]


def test_the_code_is_redeemed_with_the_verifier_that_was_promised(
    browser: FlaskClient, provider: LocalProvider
) -> None:
    sign_in(browser, provider)
    assert len(provider.forms[0]["code_verifier"]) >= 43
    assert provider.forms[0]["redirect_uri"] == "http://127.0.0.1:8000/connexion/retour"


def test_the_session_gets_a_new_id(browser: FlaskClient, provider: LocalProvider, settings: Settings) -> None:
    state = start(browser, provider)
    before = cookie_of(browser, settings)
    finish(browser, state)
    assert cookie_of(browser, settings) != before

    planted = browser.application.test_client()
    planted.set_cookie(settings.session_cookie_name, before)
    assert planted.get("/sonde").status_code == 303


def test_no_token_lies_in_clear_in_redis(browser: FlaskClient, provider: LocalProvider, app: Flask) -> None:
    sign_in(browser, provider)
    redis: Redis = app.config["SESSION_REDIS"]
    stored = b"".join(redis.get(key) or b"" for key in redis.keys("session:*") + redis.keys("tokens:*"))  # type: ignore
    assert len(stored) > 1000
    assert b"eyJ" not in stored
    assert b"refresh-" not in stored


def test_who_is_signed_in_goes_straight_on(browser: FlaskClient, provider: LocalProvider) -> None:
    sign_in(browser, provider)
    assert browser.get("/connexion?next=/sonde").location == "/sonde"


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil.example", "x"]
)
def test_next_stays_on_this_site(browser: FlaskClient, provider: LocalProvider, target: str) -> None:
    assert sign_in(browser, provider, target).location == "/"


def test_two_tabs_sign_in_side_by_side(browser: FlaskClient, provider: LocalProvider) -> None:
    first = start(browser, provider, "/sonde?tab=1")
    nonce = provider.nonce
    second = start(browser, provider, "/sonde?tab=2")
    assert finish(browser, second).location == "/sonde?tab=2"
    provider.nonce = nonce
    assert finish(browser, first).location == "/"  # already signed in by the other tab


def test_the_answer_loaded_again_leads_home(browser: FlaskClient, provider: LocalProvider) -> None:
    state = start(browser, provider)
    finish(browser, state)
    assert finish(browser, state).location == "/"


def refused(answer: TestResponse, status: int, sentence: str) -> None:
    assert answer.status_code == status
    assert sentence in answer.text
    assert "Réessayer" in answer.text


def test_a_state_that_this_browser_did_not_send_is_refused(browser: FlaskClient, provider: LocalProvider) -> None:
    start(browser, provider)
    refused(finish(browser, "forged"), 400, "a expiré ou vient d’un autre navigateur")
    assert provider.forms == []


def test_a_state_serves_once(browser: FlaskClient, provider: LocalProvider) -> None:
    state = start(browser, provider)
    provider.refusal = (400, {"error": "invalid_grant"})
    finish(browser, state)
    provider.refusal = None
    refused(finish(browser, state), 400, "a expiré")


def test_a_sign_in_left_open_too_long_is_refused(browser: FlaskClient, provider: LocalProvider) -> None:
    state = start(browser, provider)
    minutes_pass(31)
    refused(finish(browser, state), 400, "a expiré")


def test_an_answer_meant_for_another_sign_in_is_refused(browser: FlaskClient, provider: LocalProvider) -> None:
    state = start(browser, provider)
    provider.nonce = "another"
    refused(finish(browser, state), 400, "n’a pas abouti")
    assert browser.get("/sonde").status_code == 303


def test_an_answer_from_another_issuer_is_refused(browser: FlaskClient, provider: LocalProvider) -> None:
    state = start(browser, provider)
    refused(finish(browser, state, iss="https://evil.example"), 400, "service de connexion attendu")
    assert provider.forms == []


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        ("access_denied", 403, "annulée"),
        ("temporarily_unavailable", 503, "n’a pas pu répondre"),
        ("login_required", 400, "n’a pas abouti"),
    ],
)
def test_what_the_provider_says_instead_of_a_code_becomes_a_page(
    browser: FlaskClient, provider: LocalProvider, error: str, status: int, sentence: str
) -> None:
    state = start(browser, provider, "/sonde?q=1")
    page = browser.get("/connexion/retour", query_string={"state": state, "error": error})
    refused(page, status, sentence)
    assert 'href="/connexion?next=/sonde?q%3D1"' in page.text


def test_a_provider_that_is_down_becomes_a_page(browser: FlaskClient) -> None:
    refused(browser.get("/connexion?next=/sonde"), 503, "ne répond pas")


def test_a_provider_that_goes_down_meanwhile_becomes_a_page(browser: FlaskClient, provider: LocalProvider) -> None:
    state = start(browser, provider)
    provider.refusal = (502, "Bad gateway")
    refused(finish(browser, state), 503, "ne répond pas")


def test_an_unknown_organisation_becomes_a_page_that_lets_one_be_somebody_else(
    browser: FlaskClient, provider: LocalProvider
) -> None:
    provider.access_claims = {"organisation": "nowhere"}
    page = sign_in(browser, provider)
    refused(page, 403, "ne connaît pas")
    assert 'href="/connexion?next=/sonde&amp;autre-compte=1"' in page.text
    assert "prompt=login" in browser.get("/connexion?next=/sonde&autre-compte=1").location


def test_without_a_role_there_is_a_page_and_a_way_out(browser: FlaskClient, provider: LocalProvider) -> None:
    provider.access_claims = {"realm_access": {"roles": ["offline_access"]}}
    sign_in(browser, provider)
    page = browser.get("/sonde")
    assert page.status_code == 403
    assert "pas encore de rôle" in page.text
    assert "Camille Roux" in page.text
    swap = browser.get("/sonde", headers=HTMX)
    assert (swap.status_code, swap.headers["HX-Reswap"]) == (403, "none")
    token = page.text.partition('name="csrf_token" value="')[2].partition('"')[0]
    assert browser.post("/deconnexion", data={"csrf_token": token}).status_code == 303


def test_sign_ins_are_paced(browser: FlaskClient, provider: LocalProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = int(pages.PACE.split()[0])
    answers = [browser.get("/connexion").status_code for _ in range(allowed + 1)]
    assert answers == [302] * allowed + [429]
    assert "Trop de demandes" in browser.get("/connexion").text


# --- the life of a session ---


@pytest.fixture
def signed_in(browser: FlaskClient, provider: LocalProvider) -> FlaskClient:
    sign_in(browser, provider)
    return browser


def test_a_living_token_is_not_refreshed(signed_in: FlaskClient, provider: LocalProvider) -> None:
    minutes_pass(4)
    assert signed_in.get("/sonde").status_code == 200
    assert provider.hits["token"] == 1


def test_a_token_that_ran_out_is_refreshed_and_brings_todays_roles(
    signed_in: FlaskClient, provider: LocalProvider
) -> None:
    provider.access_claims = {"realm_access": {"roles": ["admin"]}}
    minutes_pass(6)
    assert signed_in.get("/sonde").json["roles"] == ["admin"]  # type: ignore[index]
    assert provider.forms[-1]["refresh_token"] == "refresh-1"
    signed_in.get("/sonde")
    assert provider.hits["token"] == 2

    minutes_pass(6)
    signed_in.get("/sonde")
    assert provider.forms[-1]["refresh_token"] == "refresh-2"


def test_a_refused_refresh_leads_to_the_sign_in_and_back(signed_in: FlaskClient, provider: LocalProvider) -> None:
    provider.refusal = (400, {"error": "invalid_grant"})
    minutes_pass(6)
    away = signed_in.get("/sonde?q=dupont")
    assert (away.status_code, away.location) == (303, "/connexion?next=/sonde?q%3Ddupont")
    provider.refusal = None
    assert signed_in.get("/sonde").status_code == 303  # it stays ended


def test_in_the_middle_of_a_swap_it_leads_back_to_the_page_and_not_to_the_fragment(
    signed_in: FlaskClient, provider: LocalProvider
) -> None:
    provider.refusal = (400, {"error": "invalid_grant"})
    minutes_pass(6)
    headers = {**HTMX, "HX-Current-URL": "http://localhost/clients?q=dupont"}
    away = signed_in.post("/sonde", headers=headers)
    assert (away.status_code, away.headers["HX-Redirect"]) == (401, "/connexion?next=/clients?q%3Ddupont")


@pytest.mark.parametrize("address", ["https://evil.example//evil.example/x", "http://["])
def test_a_foreign_current_url_leads_to_our_own_path_only(stranger: FlaskClient, address: str) -> None:
    away = stranger.get("/sonde", headers={**HTMX, "HX-Current-URL": address})
    assert away.headers["HX-Redirect"] == "/connexion?next=/"


@pytest.mark.parametrize(
    ("sent_from", "back"),
    [
        ("http://localhost/clients/nouveau?vue=a", "/clients/nouveau?vue%3Da"),
        ("https://evil.example/clients", "/"),
        ("http://localhost//evil.example", "/"),
        ("http://[", "/"),
        ("", "/"),
    ],
)
def test_a_form_sent_after_the_end_leads_back_to_its_page(browser: FlaskClient, sent_from: str, back: str) -> None:
    away = browser.post("/clients/nouveau", headers={"Referer": sent_from})
    assert (away.status_code, away.location) == (303, f"/connexion?next={back}")


def test_during_an_outage_people_go_on_as_long_as_their_token_lives_and_nobody_is_signed_out(
    signed_in: FlaskClient, provider: LocalProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "OUTAGE_PAUSE", 0.0)
    provider.refusal = (503, "down")
    minutes_pass(4.9)
    assert signed_in.get("/sonde").status_code == 200
    minutes_pass(0.2)
    page = signed_in.get("/sonde")
    assert page.status_code == 503
    assert "Le service de connexion ne répond pas" in page.text
    provider.refusal = None
    assert signed_in.get("/sonde").status_code == 200


def test_nobody_is_sent_to_a_provider_that_has_gone_down(
    signed_in: FlaskClient, provider: LocalProvider, app: Flask
) -> None:
    provider.discovery = {"issuer": "https://broken.example"}
    page = app.test_client().get("/connexion")
    assert page.status_code == 503
    assert "Le service de connexion ne répond pas" in page.text


def test_a_provider_that_is_down_is_not_asked_by_every_session(
    signed_in: FlaskClient, provider: LocalProvider, app: Flask
) -> None:
    other = app.test_client()
    sign_in(other, provider)
    provider.refusal = (503, "down")
    minutes_pass(6)
    assert [browser.get("/sonde").status_code for browser in (signed_in, other)] == [503, 503]
    assert provider.hits["token"] == 3  # two sign-ins, and one refresh for both


def test_the_token_to_pass_on_has_a_minute_to_live(signed_in: FlaskClient, provider: LocalProvider) -> None:
    first = signed_in.get("/sonde/jeton").text
    minutes_pass(3.9)
    assert signed_in.get("/sonde/jeton").text == first
    minutes_pass(0.2)
    assert signed_in.get("/sonde/jeton").text != first


def test_without_a_token_to_pass_on_a_swap_leads_to_the_sign_in(
    signed_in: FlaskClient, provider: LocalProvider
) -> None:
    provider.refusal = (400, {"error": "invalid_grant"})
    minutes_pass(4.5)
    away = signed_in.get("/sonde/jeton", headers={**HTMX, "HX-Current-URL": "http://localhost/clients"})
    assert away.headers["HX-Redirect"] == "/connexion?next=/clients"


def test_a_user_who_is_gone_is_signed_out(signed_in: FlaskClient) -> None:
    db.session.execute(User.__table__.delete())
    db.session.commit()
    assert signed_in.get("/sonde").status_code == 303


def test_requests_at_once_refresh_once(
    app: Flask, committed: None, provider: LocalProvider, settings: Settings
) -> None:
    factories.OrganisationFactory(slug=settings.crm_organisation)
    db.session.commit()
    browser = app.test_client()
    sign_in(browser, provider)
    cookie = cookie_of(browser, settings)
    minutes_pass(6)
    together = threading.Barrier(6)
    statuses: list[int] = []

    def request() -> None:
        tab = app.test_client()
        tab.set_cookie(settings.session_cookie_name, cookie)
        together.wait(5)
        statuses.append(tab.get("/sonde").status_code)

    tabs = [threading.Thread(target=request) for _ in range(6)]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join(20)
    assert statuses == [200] * 6
    assert provider.hits["token"] == 2


def test_tokens_of_an_older_copy_of_the_session_do_not_come_back(
    signed_in: FlaskClient, provider: LocalProvider, app: Flask
) -> None:
    """A slow request that began before a refresh saves the session after it."""
    with signed_in.session_transaction() as browser_session:
        older = dict(browser_session)
    minutes_pass(6)
    signed_in.get("/sonde")
    with signed_in.session_transaction() as browser_session:
        browser_session.update(older)
    signed_in.get("/sonde")
    assert provider.hits["token"] == 2


# --- signing out ---


def sign_out(browser: FlaskClient) -> TestResponse:
    return browser.post("/deconnexion", data={"csrf_token": csrf_token(browser.get("/nulle-part"))})


def csrf_token(page: TestResponse) -> str:
    return page.text.partition('name="csrf-token" content="')[2].partition('"')[0]


def test_signing_out_ends_the_session_here_and_at_the_provider(
    signed_in: FlaskClient, provider: LocalProvider, app: Flask
) -> None:
    away = sign_out(signed_in)
    query: dict[str, Any] = parse_qs(urlsplit(away.location).query)
    assert away.status_code == 303
    assert away.location.startswith(f"{provider.issuer}/protocol/openid-connect/logout?")
    assert query["post_logout_redirect_uri"] == ["http://127.0.0.1:8000/"]
    assert query["id_token_hint"][0].startswith("eyJ")
    assert signed_in.get("/sonde").status_code == 303
    redis: Redis = app.config["SESSION_REDIS"]
    assert redis.keys("tokens:*") == []


def test_signing_out_needs_the_csrf_token(signed_in: FlaskClient) -> None:
    assert signed_in.post("/deconnexion").status_code == 400
    assert signed_in.get("/sonde").status_code == 200


def test_signing_out_is_no_link(signed_in: FlaskClient) -> None:
    assert signed_in.get("/deconnexion").status_code == 405


def test_signing_out_twice_leads_to_the_sign_in(stranger: FlaskClient) -> None:
    assert stranger.post("/deconnexion").location == "/connexion?next=/"


def test_signing_out_works_while_the_provider_is_down(cast: Cast, client: FlaskClient) -> None:
    away = sign_out(client)
    assert away.location == "/deconnexion/faite"
    assert "Vous êtes déconnecté du CRM" in client.get(away.location).text
    assert client.get("/sonde").status_code == 303
