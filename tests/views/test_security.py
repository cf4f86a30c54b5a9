"""The gate before every view, and what every answer carries."""

from typing import Any
from uuid import uuid4

import pytest
from flask import Flask, Response, session
from flask.testing import FlaskClient
from sqlalchemy import event
from werkzeug.routing import AnyConverter, BaseConverter, Rule

from tests.conftest import HTMX, Cast, SignIn
from webapp import security
from webapp.config import Settings, load_settings
from webapp.extensions import db
from webapp.factory import create_app

SIGNED = {
    "webhooks.create_stripe_event",
    "webhooks.create_sandbox_event",
    "message_webhooks.hear",
    "woocommerce_webhooks.create_delivery",
    "operator_webhooks.create_event",
    "identity.end_by_provider",
}
"""Called by machines: a signature over the body, or a secret in the address, stands for session and CSRF token."""

LINKS = {
    "means_link.show",
    "means_link.thank",
    "means_link.leave",
    "unsubscribe.show",
    "unsubscribe.confirm",
    "sale_link.show",
    "sale_link.accept",
    "sale_link.document",
}
"""Whose address holds a secret that a client was given."""
KEYED = {"operator_api.covers", "operator_api.claim", "operator_api.openapi", "operator_webhooks.openapi"}
"""Asked with a key of one's own, and the contract of these, which is no secret."""
PUBLIC = (
    {"static", "health.live", "health.ready", "identity.start", "identity.finish", "identity.ended"}
    | SIGNED
    | LINKS
    | KEYED
)
"""Whoever adds a view here says that strangers may see it."""

ALMOST = {"string": "x", "uuid": str(uuid4()), "integer": 1, "path": "x"}


def address_of(rule: Rule, app: Flask) -> str:
    """The rule's address, with something of the right shape for each of its values."""
    values = {name: _almost(each) for name, each in rule._converters.items()} | dict(rule.defaults or {})
    with app.test_request_context():
        _domain, path = rule.build({name: str(value) for name, value in values.items()}) or ("", "")
    return path


def _almost(converter: BaseConverter) -> object:
    if isinstance(converter, AnyConverter):
        return min(converter.items)
    return ALMOST.get(type(converter).__name__.removesuffix("Converter").lower(), "x")


def routes(app: Flask) -> list[tuple[str, str, str]]:
    """Every method of every address, with its endpoint."""
    return [
        (rule.endpoint, method, address_of(rule, app))
        for rule in app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]


def test_no_view_answers_a_stranger_but_the_public_ones(app: Flask, stranger: FlaskClient) -> None:
    answered = set()
    for endpoint, method, address in routes(app):
        answer = stranger.open(address, method=method)
        if answer.status_code == 303 and answer.location.startswith("/connexion?next="):
            continue
        answered.add(endpoint)
    assert answered == PUBLIC


def test_no_view_answers_a_stranger_under_htmx(app: Flask, stranger: FlaskClient) -> None:
    for endpoint, method, address in routes(app):
        if endpoint not in PUBLIC:
            answer = stranger.open(address, method=method, headers=HTMX)
            assert (answer.status_code, answer.text) == (401, ""), endpoint
            assert answer.headers["HX-Redirect"].startswith("/connexion?next="), endpoint


def test_no_view_answers_somebody_without_a_role(app: Flask, cast: Cast, sign_in: SignIn) -> None:
    cast.commercial.roles = []
    db.session.commit()
    browser = sign_in(cast.commercial)
    for endpoint, method, address in routes(app):
        if endpoint not in PUBLIC | {"identity.end"}:
            assert browser.open(address, method=method).status_code == 403, endpoint


def test_a_page_of_what_is_not_ours_or_is_not_there_is_not_found(app: Flask, admin_client: FlaskClient) -> None:
    for rule in app.url_map.iter_rules():
        is_of_a_row = any(type(each).__name__ == "UUIDConverter" for each in rule._converters.values())
        if is_of_a_row and "GET" in (rule.methods or ()) and rule.endpoint not in PUBLIC:
            for headers in ({}, HTMX):
                assert admin_client.get(address_of(rule, app), headers=headers).status_code == 404, rule.endpoint


def test_every_write_needs_the_csrf_token(app: Flask, admin_client: FlaskClient) -> None:
    for endpoint, method, address in routes(app):
        if method != "GET" and endpoint not in SIGNED | {
            "unsubscribe.confirm",
            "sale_link.accept",
        }:  # nobody guesses the link
            answer = admin_client.open(address, method=method, headers={"X-CSRFToken": "forged"})
            assert answer.status_code == 400, endpoint
            assert "Rechargez" in answer.text, endpoint


def test_another_organisations_ids_lead_nowhere(app: Flask, admin_client: FlaskClient) -> None:
    """Every address with an id, given one that is not ours."""
    for endpoint, method, address in routes(app):
        if method == "GET" and str(ALMOST["uuid"]) in address:
            assert admin_client.get(address, follow_redirects=True).status_code == 404, endpoint


def test_the_gate_costs_one_query_and_one_session_read(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.get("/sonde")
    queries: list[str] = []
    commands: list[str] = []
    redis = app.config["SESSION_REDIS"]
    ask = redis.execute_command
    monkeypatch.setattr(
        redis, "execute_command", lambda *words, **how: (commands.append(words[0]), ask(*words, **how))[1]
    )
    listener: Any = lambda *arguments: queries.append(arguments[2])  # noqa: E731
    event.listen(db.engines[None], "before_cursor_execute", listener)
    client.get("/sonde")
    event.remove(db.engines[None], "before_cursor_execute", listener)
    assert len([query for query in queries if query.startswith("SELECT")]) == 1
    assert commands == ["GET"]


def test_a_role_opens_its_pages_only(client: FlaskClient, admin_client: FlaskClient) -> None:
    assert admin_client.get("/sonde/admin").status_code == 200
    refused = client.get("/sonde/admin")
    assert refused.status_code == 403
    assert "Votre rôle" in refused.text


def test_a_session_for_another_organisation_than_the_users_is_none(app: Flask, cast: Cast, sign_in: SignIn) -> None:
    browser = sign_in(cast.commercial)
    with browser.session_transaction() as browser_session:
        browser_session["organisation_id"] = str(cast.other_organisation.id)
    assert browser.get("/sonde").status_code == 303


@pytest.mark.parametrize("damage", [{"user_id": "x"}, {"user_id": None}, {"organisation_id": ""}])
def test_a_damaged_session_is_none(cast: Cast, client: FlaskClient, damage: dict[str, Any]) -> None:
    with client.session_transaction() as browser_session:
        browser_session.update(damage)
    assert client.get("/sonde").status_code == 303


def test_a_session_without_tokens_is_none(app: Flask, cast: Cast, client: FlaskClient) -> None:
    with client.session_transaction() as browser_session:
        del browser_session["tokens_checked_until"]
    redis = app.config["SESSION_REDIS"]
    redis.delete(*redis.keys("tokens:*"))
    assert client.get("/sonde").status_code == 303


def test_a_session_that_pickle_wrote_is_not_read(app: Flask, client: FlaskClient) -> None:
    """Unpickling runs what it reads; whoever can write to Redis must not be able to."""
    redis = app.config["SESSION_REDIS"]
    (key,) = redis.keys("session:*")
    redis.set(key, b"cbuiltins\nexec\n(S'raise SystemExit'\ntR.")
    assert client.get("/sonde").status_code == 303


def test_without_redis_there_is_a_page_and_nobody_is_signed_out(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    interface = app.session_interface
    away = type(interface.client).from_url("redis://127.0.0.1:9")  # type: ignore[attr-defined]
    monkeypatch.setattr(interface, "client", away)
    for address in ("/sonde", "/connexion"):
        page = client.get(address)
        assert page.status_code == 503
        assert "Réessayez" in page.text
        assert "Set-Cookie" not in page.headers
    monkeypatch.undo()
    assert client.get("/sonde").status_code == 200


def test_an_unknown_address_is_a_404_to_strangers_too(stranger: FlaskClient) -> None:
    assert stranger.get("/wp-login.php").status_code == 404


def test_a_host_that_is_not_ours_is_refused(stranger: FlaskClient) -> None:
    for address in ("/", "/connexion", "/sante/vivant", "/nulle-part"):
        assert stranger.get(address, headers={"Host": "evil.example"}).status_code == 400


def test_a_body_that_is_too_large_is_refused_in_french(client: FlaskClient, app: Flask) -> None:
    page = client.post("/sonde", data={"q": "x" * (app.config["MAX_CONTENT_LENGTH"] + 1)})
    assert page.status_code == 413
    assert "trop volumineux" in page.text


def test_a_stale_form_says_to_load_the_page_again(client: FlaskClient) -> None:
    page = client.post("/sonde", headers={"X-CSRFToken": "stale"})
    assert page.status_code == 400
    assert "Rechargez-la" in page.text
    swap = client.post("/sonde", headers={"X-CSRFToken": "stale", **HTMX})
    assert (swap.status_code, swap.headers["HX-Reswap"]) == (400, "none")  # what was typed stays


@pytest.mark.parametrize("address", ["/sonde", "/connexion", "/nulle-part", "/sante/vivant"])
def test_every_answer_carries_the_headers(client: FlaskClient, address: str) -> None:
    headers = client.get(address).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "form-action 'self' http://127.0.0.1:9;" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"
    assert len(headers["X-Request-Id"]) == 32
    assert "Strict-Transport-Security" not in headers


@pytest.mark.parametrize(
    ("target", "leads_to"),
    [
        ("/clients?q=dupont&tri=nom", "/clients?q=dupont&tri=nom"),
        ("/", "/"),
        (None, "/"),
        ("", "/"),
        ("clients", "/"),
        ("https://evil.example/", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("\\\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("/\n//evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/" + "x" * 3000, "/"),
    ],
)
def test_next_is_a_path_on_this_site(target: str | None, leads_to: str) -> None:
    assert security.safe_next(target) == leads_to


PRODUCTION = {
    "CRM_ENV": "production",
    "DATABASE_URL": "postgresql://crm_app:7fG2kQ9xLm4P@127.0.0.1:9/crm",
    "REDIS_URL": "redis://:Wq8rT5yU2iO9@127.0.0.1:9/0",
    "SECRET_KEY": "QmVhdXRpZnVsIGlzIGJldHRlciB0aGFuIHVnbHku",
    "CRM_DATA_KEYS": "k1:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
    "PUBLIC_URL": "https://crm.example.fr",
    "OIDC_ISSUER": "https://sso.example.fr/realms/crm",
    "OIDC_CLIENT_SECRET": "hV7sK2pQ4mZ1",
    "WINLEADPLUS_CLIENT_SECRET": "aB3dE5fG7hJ9",
    "EXTERNAL_API_URL": "https://api.winleadplus.example/prospects",
}


@pytest.fixture
def in_production(app: Flask, app_context: Flask, settings: Settings) -> Any:
    """A browser of an application in production, which has yet to sign in."""
    in_redis_of_the_tests = {"redis_url": settings.redis_url}  # which has no password
    production = create_app(load_settings(PRODUCTION).model_copy(update=in_redis_of_the_tests))
    yield production.test_client()
    create_app(settings)  # the process's keys, clock and provider are the tests' again


def proxied(browser: FlaskClient, address: str) -> Any:
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7", "X-Forwarded-Host": "crm.example.fr"}
    return browser.get(address, headers=forwarded)


def test_in_production_the_cookie_is_bound_to_this_host_and_https(in_production: FlaskClient) -> None:
    app = in_production.application
    with app.test_request_context(base_url="https://crm.example.fr"):
        session["csrf_token"] = "x"
        response = Response()
        app.session_interface.save_session(app, session, response)
    cookie = response.headers["Set-Cookie"]
    parts = {part.strip() for part in cookie.split(";")}
    assert cookie.startswith("__Host-session=")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= parts
    assert "domain" not in cookie.lower()


def test_in_production_https_is_insisted_upon(in_production: FlaskClient) -> None:
    headers = proxied(in_production, "/sante/vivant").headers
    assert headers["Strict-Transport-Security"].startswith("max-age=31536000")
    assert "form-action 'self' https://sso.example.fr;" in headers["Content-Security-Policy"]


def test_in_production_the_host_is_the_public_one(in_production: FlaskClient) -> None:
    assert proxied(in_production, "/sante/vivant").status_code == 200
    forged = in_production.get("/sante/vivant", headers={"X-Forwarded-Host": "evil.example"})
    assert forged.status_code == 400


def test_static_files_carry_the_headers_of_pages_and_are_for_nobody_elses_pages(stranger: FlaskClient) -> None:
    page, file = stranger.get("/sante/vivant"), stranger.get("/static/built/app.css")
    assert file.status_code == 200
    for name in security.headers_of_everything(stranger.application.extensions["settings"]):
        assert file.headers[name] == page.headers[name]
    assert "Access-Control-Allow-Origin" not in file.headers
    file.close()
