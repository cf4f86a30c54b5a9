"""« Mes sessions »: where somebody is signed in, and how they end it elsewhere."""

import re
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis

from tests.conftest import Cast
from tests.provider import LocalProvider
from tests.queries import recorded_queries
from tests.views.test_identity import browser, cookie_of, csrf_token, minutes_pass, organisation, sign_in
from webapp import clock, crypto
from webapp.config import Settings

__all__ = ["browser", "organisation"]  # fixtures
PAGE = "/mes-sessions"
DESK = "Firefox sur Windows 192.0.2.x Depuis le 20/11/2026 à 10:00 Dernière activité :"
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Version/19.0 Safari/604.1"


def new_browser(app: Flask, user_agent: str, address: str) -> FlaskClient:
    made = app.test_client()
    made.environ_base |= {"HTTP_USER_AGENT": user_agent, "REMOTE_ADDR": address}
    return made


@pytest.fixture
def desk(app: Flask, browser: FlaskClient, provider: LocalProvider) -> FlaskClient:
    """Where the person sits."""
    desk = new_browser(app, FIREFOX, "192.0.2.17")
    sign_in(desk, provider)
    return desk


@pytest.fixture
def phone(app: Flask, desk: FlaskClient, provider: LocalProvider) -> FlaskClient:
    """Another of their browsers, signed in ten minutes later."""
    clock.start_at(clock.now() + timedelta(minutes=10))
    provider.claims = {"sid": "session-2"}
    phone = new_browser(app, IPHONE, "2001:db8:1:2::3")
    sign_in(phone, provider)
    provider.claims = {}
    return phone


def rows(browser: FlaskClient) -> list[str]:
    """The sessions on the page, each as its words."""
    table = browser.get(PAGE).text.partition("<tbody>")[2].partition("</tbody>")[0]
    return [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in table.split("</tr>") if row.strip()]


def handles(browser: FlaskClient) -> list[str]:
    return re.findall(r'action="/mes-sessions/([0-9a-f]+)/fin"', browser.get(PAGE).text)


def post(browser: FlaskClient, path: str) -> object:
    token = csrf_token(browser.get("/nulle-part"))
    return browser.post(f"{PAGE}/{path}", data={"csrf_token": token})


def test_each_session_is_told_with_device_place_and_times(phone: FlaskClient, desk: FlaskClient) -> None:
    assert rows(phone) == [
        "Safari sur iPhone Cette session 2001:db8:1:x Depuis le 20/11/2026 à 10:10 Dernière activité : à l’instant",
        f"{DESK} il y a 10 min Terminer la session Firefox sur Windows",
    ]
    minutes_pass(20)
    desk.get("/sonde")
    assert rows(phone)[1].startswith(f"{DESK} à l’instant")


def test_the_page_is_in_the_users_menu(desk: FlaskClient) -> None:
    assert f'href="{PAGE}"' in desk.get(PAGE).text


def test_one_is_ended_here_and_at_the_provider(phone: FlaskClient, desk: FlaskClient, provider: LocalProvider) -> None:
    (handle,) = handles(phone)
    answer = post(phone, f"{handle}/fin")
    assert answer.location == PAGE  # type: ignore[attr-defined]
    assert "Session terminée." in phone.get(PAGE).text
    assert desk.get("/sonde").status_code == 303
    assert phone.get("/sonde").status_code == 200
    assert provider.forms[-1]["refresh_token"].startswith("refresh-")
    assert len(rows(phone)) == 1


def test_all_others_are_ended_at_once(
    app: Flask, phone: FlaskClient, desk: FlaskClient, provider: LocalProvider
) -> None:
    third = new_browser(app, "", "192.0.2.18")
    provider.claims = {"sid": "session-3"}
    sign_in(third, provider)
    provider.claims = {}
    post(desk, "autres/fin")
    assert "2 sessions terminées." in desk.get(PAGE).text
    assert [each.get("/sonde").status_code for each in (desk, phone, third)] == [200, 303, 303]
    assert provider.hits["logout"] == 2
    post(desk, "autres/fin")
    assert "Aucune autre session." in desk.get(PAGE).text


def test_a_provider_that_is_down_keeps_no_session_alive(
    phone: FlaskClient, desk: FlaskClient, provider: LocalProvider
) -> None:
    provider.ended = 503, "down"
    post(desk, "autres/fin")
    page = desk.get(PAGE).text
    assert "1 session terminée." in page
    assert "n’a pas pu être prévenu" in page
    assert phone.get("/sonde").status_code == 303


def test_this_session_is_not_ended_here(app: Flask, desk: FlaskClient, settings: Settings) -> None:
    with desk.session_transaction() as content:
        purpose = f"own-session|{content['user_id']}"
    handle = crypto.blind_index(cookie_of(desk, settings), purpose=purpose).hex()
    assert post(desk, f"{handle}/fin").status_code == 404  # type: ignore[attr-defined]
    assert desk.get("/sonde").status_code == 200


def test_ended_twice_it_is_not_found(phone: FlaskClient, desk: FlaskClient) -> None:
    (handle,) = handles(phone)
    post(phone, f"{handle}/fin")
    assert post(phone, f"{handle}/fin").status_code == 404  # type: ignore[attr-defined]


def test_another_persons_session_is_neither_seen_nor_ended(
    app: Flask, phone: FlaskClient, desk: FlaskClient, provider: LocalProvider
) -> None:
    provider.claims = {"sub": "subject-2", "sid": "session-9", "email": "autre@example.org"}
    other = new_browser(app, FIREFOX, "198.51.100.7")
    sign_in(other, provider)
    provider.claims = {}
    assert len(rows(other)) == 1
    (handle,) = handles(phone)
    assert post(other, f"{handle}/fin").status_code == 404  # type: ignore[attr-defined]
    post(other, "autres/fin")
    assert [each.get("/sonde").status_code for each in (desk, phone, other)] == [200, 200, 200]


def test_a_session_slipped_into_somebodys_set_is_not_theirs(
    app: Flask, desk: FlaskClient, provider: LocalProvider, settings: Settings
) -> None:
    """Whoever can write to Redis still cannot show one person's session to another."""
    redis: Redis = app.config["SESSION_REDIS"]
    (mine,) = redis.keys("sessions:subject:*")  # type: ignore[union-attr]
    provider.claims = {"sub": "subject-2", "sid": "session-9", "email": "autre@example.org"}
    other = new_browser(app, FIREFOX, "198.51.100.7")
    sign_in(other, provider)
    redis.sadd(mine, cookie_of(other, settings))
    assert len(rows(desk)) == 1
    post(desk, "autres/fin")
    assert other.get("/sonde").status_code == 200


def test_the_outsider_sees_their_own_session_alone(client: FlaskClient, outsider_client: FlaskClient) -> None:
    assert len(rows(outsider_client)) == 1
    assert handles(outsider_client) == []


@pytest.mark.parametrize("who", ["client", "manager_client", "admin_client"])
def test_everybody_with_a_role_has_the_page(cast: Cast, request: pytest.FixtureRequest, who: str) -> None:
    assert request.getfixturevalue(who).get(PAGE).status_code == 200


def test_no_session_id_is_on_the_page(phone: FlaskClient, desk: FlaskClient, settings: Settings) -> None:
    page = phone.get(PAGE).text
    assert cookie_of(phone, settings) not in page
    assert cookie_of(desk, settings) not in page


def test_a_session_from_before_this_page_is_still_told(client: FlaskClient) -> None:
    assert rows(client) == ["Navigateur inconnu Cette session — Depuis le — Dernière activité : à l’instant"]


def test_a_session_that_ran_out_is_not_told(
    app: Flask, phone: FlaskClient, desk: FlaskClient, settings: Settings
) -> None:
    app.config["SESSION_REDIS"].delete(f"session:{cookie_of(desk, settings)}")
    assert len(rows(phone)) == 1


def test_the_page_asks_the_database_for_the_user_alone(client: FlaskClient) -> None:
    client.get(PAGE)
    with recorded_queries() as queries:
        client.get(PAGE)
    assert len(queries) == 1, queries
