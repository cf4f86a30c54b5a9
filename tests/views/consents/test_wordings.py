"""The page of the texts that clients agree to."""

import html
import re

import pytest
from flask.testing import FlaskClient

from tests.conftest import Cast
from tests.queries import recorded_queries
from webapp import tenancy
from webapp.extensions import db
from webapp.models.consents import ConsentWording

PAGE = "/reglages/consentements"
TEXT = "J’accepte vos offres par e-mail, jusqu’à ce que je change d’avis."

pytestmark = pytest.mark.usefixtures("cast")


def versions(page: str) -> list[str]:
    part = page.split('data-purpose="prospection_email"')[1].split("data-purpose=", maxsplit=1)[0]
    return re.findall(r'data-testid="wording-row" data-version="(\d+)"', part)


def form(**values: str) -> dict[str, str]:
    return {"texte": TEXT, "date": "", "version": "1"} | values


def test_an_admin_publishes_a_version(admin_client: FlaskClient) -> None:
    assert versions(admin_client.get(PAGE).text) == ["1"]
    answer = admin_client.post(f"{PAGE}/prospection_email", data=form())
    assert answer.status_code == 303
    page = html.unescape(admin_client.get(PAGE).text)
    assert versions(page) == ["2", "1"]
    assert TEXT in page
    assert "Version 2 publiée" in page


@pytest.mark.parametrize(
    ("change", "status", "sentence"),
    [
        ({"texte": "Oui"}, 422, "Écrivez un texte"),
        ({"date": "2026-11-19"}, 422, "aujourd’hui ou plus tard"),
        ({"date": "demain"}, 422, "n’est pas possible"),
        ({"version": "0"}, 409, "Un collègue a publié"),
        ({"version": "x"}, 409, "Un collègue a publié"),
    ],
)
def test_what_makes_no_sense_is_refused_in_its_form(
    admin_client: FlaskClient, change: dict[str, str], status: int, sentence: str
) -> None:
    answer = admin_client.post(f"{PAGE}/prospection_email", data=form(**change))
    assert answer.status_code == status
    assert sentence in html.unescape(answer.text)
    assert html.escape(form(**change)["texte"]) in answer.text
    assert answer.text.count('class="consent-entry" open') == 1
    assert db.session.query(ConsentWording).count() == 0


def test_only_admins_see_or_publish(client: FlaskClient, manager_client: FlaskClient) -> None:
    for browser in (client, manager_client):
        assert browser.get(PAGE).status_code == 403
        assert browser.get(f"{PAGE}/partners").status_code == 403
        assert browser.post(f"{PAGE}/prospection_email", data=form()).status_code == 403
    assert db.session.query(ConsentWording).count() == 0


def test_another_organisation_has_its_own(admin_client: FlaskClient, outsider_client: FlaskClient, cast: Cast) -> None:
    admin_client.post(f"{PAGE}/prospection_email", data=form())
    assert versions(outsider_client.get(PAGE).text) == ["1"]
    assert outsider_client.post(f"{PAGE}/prospection_email", data=form()).status_code == 303
    with tenancy.organisation(cast.other_organisation.id):
        assert db.session.query(ConsentWording).count() == 2


def test_an_unknown_purpose_is_not_found(admin_client: FlaskClient) -> None:
    assert admin_client.post(f"{PAGE}/publicite", data=form()).status_code == 404
    assert admin_client.get(f"{PAGE}/publicite").status_code == 404
    assert admin_client.get(f"{PAGE}/partners").location == PAGE


def test_the_number_of_queries_does_not_grow(admin_client: FlaskClient) -> None:
    numbers = []
    for version in ("1", "2", "3"):
        admin_client.post(f"{PAGE}/prospection_email", data=form(version=version, texte=f"{TEXT} {version}"))
        db.session.expunge_all()
        with recorded_queries() as queries:
            admin_client.get(PAGE)
        numbers.append(len(queries))
    assert numbers[1] == numbers[2] <= 8
