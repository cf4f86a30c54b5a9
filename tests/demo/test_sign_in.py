"""The CRM signs people in at the pretend provider: two real servers, and a browser that keeps cookies."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from flask import Flask
from redis import Redis
from sqlalchemy import select
from werkzeug.serving import make_server

from tests import factories
from tests.browser.world import eventually
from tests.demo.conftest import PASSWORD, IdentityProvider, claims_of
from tests.serving import serving
from webapp import clock, tenancy
from webapp.config import Settings
from webapp.extensions import db
from webapp.gateways import identity
from webapp.models.commercials import Commercial
from webapp.models.identity import User
from webapp.models.organisations import Organisation


@pytest.fixture
def crm(app: Flask, committed: None, settings: Settings, identity_provider: IdentityProvider) -> Iterator[str]:
    """The address of the CRM, served to the provider's satisfaction, with the demo's two organisations."""
    for slug in ("demo", "autre"):
        factories.OrganisationFactory(slug=slug)
    db.session.commit()
    address = urlsplit(identity_provider.crm_url)
    ours = settings.model_copy(
        update={
            "public_url": identity_provider.crm_url,
            "oidc_issuer": identity_provider.issuer,
            "oidc_client_secret": identity_provider.client_secret,
            "winleadplus_client_secret": identity_provider.sync_secret,
        }
    )
    app.extensions["settings"] = ours
    identity.use(ours)
    server = make_server("127.0.0.1", address.port or 0, app, threaded=True)
    with serving(server):
        yield identity_provider.crm_url
    app.extensions["settings"] = settings
    identity.use(settings)


@pytest.fixture
def browser() -> Iterator[httpx.Client]:
    with httpx.Client(follow_redirects=True, headers={"Accept": "text/html"}) as browser:
        yield browser


def sign_in(browser: httpx.Client, crm: str, username: str, page: str = "/sonde?q=1") -> httpx.Response:
    """Ask for a page, fill in the form that comes instead, and see where that leads."""
    form = browser.get(f"{crm}{page}")
    action = re.search(r'<form method="post" action="([^"]+)"', form.text)
    assert action, form.text
    return browser.post(form.url.join(action[1]), data={"username": username, "password": PASSWORD})


def sign_out(browser: httpx.Client, crm: str) -> httpx.Response:
    token = re.search(r'name="csrf.token" (?:content|value)="([^"]+)"', browser.get(f"{crm}/nulle-part").text)
    assert token
    return browser.post(f"{crm}/deconnexion", data={"csrf_token": token[1]})


def the_user() -> Any:
    """The one user of the CRM, and the commercial that they are."""
    with tenancy.across_organisations():
        return db.session.execute(
            select(User.email, User.roles, User.issuer, Commercial.external_id, User.subject).outerjoin(
                Commercial, Commercial.user_id == User.id
            )
        ).one()


def test_a_commercial_signs_in_and_lands_where_they_meant_to_go(
    browser: httpx.Client, crm: str, identity_provider: IdentityProvider, app: Flask
) -> None:
    page = sign_in(browser, crm, "commercial.nord")
    assert str(page.url) == f"{crm}/sonde?q=1"
    assert page.json()["roles"] == ["commercial"]
    user = the_user()
    assert (user.email, user.issuer) == ("claire.delattre@example.org", identity_provider.issuer)
    assert user.external_id == user.subject
    redis: Redis = app.config["SESSION_REDIS"]
    kept = redis.mget(redis.keys("session:*") + redis.keys("tokens:*"))  # type: ignore[operator]
    assert len(kept) == 2
    assert not any(b"eyJ" in value for value in kept)  # no token in clear


def test_tokens_are_refreshed_and_passed_on(browser: httpx.Client, crm: str) -> None:
    sign_in(browser, crm, "commercial.nord")
    first = browser.get(f"{crm}/sonde/jeton").text
    clock.start_at(clock.now() + timedelta(minutes=6))
    second = browser.get(f"{crm}/sonde/jeton").text
    assert second != first
    assert "winleadplus" in claims_of(second)["aud"]


def test_without_a_role_there_is_a_page_and_a_way_out(browser: httpx.Client, crm: str) -> None:
    page = sign_in(browser, crm, "sans.role")
    assert page.status_code == 403
    assert "pas encore de rôle" in page.text
    assert "Connexion" in sign_out(browser, crm).text  # the provider's form


def test_the_token_names_the_organisation(browser: httpx.Client, crm: str) -> None:
    sign_in(browser, crm, "admin.autre")
    with tenancy.across_organisations():
        slugs = db.session.scalars(select(Organisation.slug).join(User, User.organisation_id == Organisation.id))
        assert slugs.all() == ["autre"]


def test_signing_out_ends_the_session_at_the_provider_too(browser: httpx.Client, crm: str) -> None:
    sign_in(browser, crm, "manager.nord")
    assert browser.get(f"{crm}/connexion?next=/sonde").json()["roles"] == ["manager"]  # straight on
    sign_out(browser, crm)
    assert '<form method="post"' in browser.get(f"{crm}/sonde").text  # asked for the password again


def test_a_session_ended_at_the_provider_ends_here_at_once(browser: httpx.Client, crm: str) -> None:
    sign_in(browser, crm, "manager.nord")
    elsewhere = httpx.Client(cookies=browser.cookies, follow_redirects=True)
    hint = identity.sign_out_address(id_token=None, back_to=f"{crm}/")
    assert hint is not None
    form = elsewhere.get(hint)  # no proof of who asks: the provider does
    question = re.search(r'action="([^"]+)".*name="xsrf" value="([^"]+)"', form.text, re.DOTALL)
    assert question, form.text
    elsewhere.post(form.url.join(question[1]), data={"xsrf": question[2], "logout": "yes"}, follow_redirects=False)
    elsewhere.close()

    ended = eventually(lambda: moved(browser.get(f"{crm}/sonde", follow_redirects=False)), within=2)
    assert (ended.status_code, ended.headers["location"]) == (303, "/connexion?next=/sonde")


def test_a_session_ended_in_my_sessions_ends_at_the_provider_too(browser: httpx.Client, crm: str) -> None:
    sign_in(browser, crm, "manager.nord")
    with httpx.Client(follow_redirects=True, headers={"Accept": "text/html"}) as elsewhere:
        sign_in(elsewhere, crm, "manager.nord")
        page = browser.get(f"{crm}/mes-sessions").text
        (end,) = re.findall(r'action="(/mes-sessions/[0-9a-f]+/fin)"', page)
        token = re.search(r'name="csrf.token" (?:content|value)="([^"]+)"', page)
        assert token
        browser.post(f"{crm}{end}", data={"csrf_token": token[1]})
        assert '<form method="post"' in elsewhere.get(f"{crm}/sonde").text  # asked for the password again
    assert browser.get(f"{crm}/sonde").status_code == 200


def moved(answer: httpx.Response) -> httpx.Response | None:
    """The answer, if it leads elsewhere."""
    return answer if answer.is_redirect else None


def test_the_service_account_has_a_token_of_its_own(crm: str) -> None:
    assert claims_of(identity.service_token())["azp"] == "crm-sync"
