"""« Présentation »: the frame of a company's messages, with its preview in frames that run nothing."""

import html
from io import BytesIO
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests import factories
from tests.conftest import HTMX
from tests.queries import recorded_queries
from tests.services.messages.test_frames import png
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.messages import MessageFrame
from webapp.services.messages.frames import find_frame

PAGE = "/reglages/messages/presentation"

pytestmark = pytest.mark.usefixtures("cast")


@pytest.fixture
def page(cast: object) -> str:
    """The address of the company's frame."""
    return f"{PAGE}/{factories.default_company().id}"


def form(**values: Any) -> dict[str, Any]:
    return {"couleur": "#8a1c1c", "pied": "Ouvert le lundi"} | values


def test_an_admin_changes_colour_foot_and_logo(admin_client: FlaskClient, page: str) -> None:
    assert admin_client.get(PAGE).location == page
    answer = admin_client.post(page, data=form(logo=(BytesIO(png()), "logo.png")))
    assert (answer.status_code, answer.location) == (303, page)
    shown = html.unescape(admin_client.get(page).text)
    assert 'value="#8a1c1c"' in shown
    assert "Ouvert le lundi</textarea>" in shown
    frame = find_frame(factories.default_company().id)
    assert frame.logo is not None
    admin_client.post(page, data=form(logo=(BytesIO(b""), "")))
    assert find_frame(frame.company_id).logo == frame.logo
    admin_client.post(page, data=form(sans_logo="1"))
    assert find_frame(frame.company_id).logo is None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"couleur": "#ffee00"}, "trop claire"),
        ({"couleur": "rouge"}, "#1f4e79"),
        ({"pied": "x" * 1001}, "caractères au plus"),
        ({"logo": (BytesIO(b"GIF89a"), "x.png")}, "PNG"),
        ({"logo": (BytesIO(png(padding=200_001)), "x.png")}, "200"),
    ],
)
def test_what_would_not_show_is_refused_with_what_was_written(
    admin_client: FlaskClient, page: str, change: dict[str, Any], sentence: str
) -> None:
    answer = admin_client.post(page, data=form(**change))
    assert answer.status_code == 422
    assert sentence in html.unescape(answer.text)
    assert form(**change)["couleur"] in answer.text
    assert db.session.query(MessageFrame).count() == 0


def test_the_preview_stands_in_frames_that_run_nothing(admin_client: FlaskClient, page: str) -> None:
    answer = admin_client.get(page)
    assert "frame-src 'self'" in answer.headers["Content-Security-Policy"]
    assert answer.text.count("<iframe") == 2
    for theme, wanted in (("clair", "@media not all"), ("sombre", "@media all")):
        shown = admin_client.get(f"{page}/email/{theme}?couleur=%238a1c1c&pied=Bonsoir")
        assert "#8a1c1c" in shown.text
        assert "Bonsoir" in shown.text
        assert wanted in shown.text
        assert shown.headers["X-Frame-Options"] == "SAMEORIGIN"
        assert shown.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert "frame-src" not in admin_client.get("/reglages/messages").headers["Content-Security-Policy"]


def test_the_preview_follows_what_is_typed(admin_client: FlaskClient, page: str) -> None:
    shown = admin_client.get(f"{page}/apercu?couleur=%238A1C1C&pied=Bonsoir", headers=HTMX).text
    assert "couleur=%238A1C1C" in shown
    assert "pied=Bonsoir" in shown
    assert "trop claire" in admin_client.get(f"{page}/apercu?couleur=%23ffff00", headers=HTMX).text
    assert admin_client.get(f"{page}/email/clair?couleur=x").status_code == 422


def test_several_companies_are_listed(admin_client: FlaskClient, page: str) -> None:
    factories.CompanyFactory(name="Autre société")
    db.session.expunge_all()
    with recorded_queries() as queries:
        shown = admin_client.get(PAGE).text
    assert "Autre société" in shown
    assert page in shown
    assert len(queries) <= 4


def test_only_admins(client: FlaskClient, manager_client: FlaskClient, page: str) -> None:
    for browser in (client, manager_client):
        for address in (PAGE, page, f"{page}/apercu", f"{page}/email/clair"):
            assert browser.get(address).status_code == 403
        assert browser.post(page, data=form()).status_code == 403


def test_an_outsider_finds_nothing(admin_client: FlaskClient, outsider_client: FlaskClient, page: str) -> None:
    for address in (page, f"{page}/apercu", f"{page}/email/clair"):
        assert outsider_client.get(address).status_code == 404
    assert outsider_client.post(page, data=form()).status_code == 404
    assert admin_client.get(f"{PAGE}/{new_id()}").status_code == 404
