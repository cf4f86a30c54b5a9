"""« Opérateurs »: keys are made, shown once, and revoked, by admins."""

import re
from uuid import uuid4

import pytest
from flask.testing import FlaskClient

from webapp.extensions import db
from webapp.models.operators import CoverOperator

ADDRESS = "/couvertures/operateurs"
pytestmark = pytest.mark.usefixtures("cast")


def test_a_key_is_shown_once(admin_client: FlaskClient) -> None:
    answer = admin_client.post(ADDRESS, data={"nom": "Standard de Lille"})
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    key = re.search(r"dep_[\w-]{43}", answer.text)
    assert key
    page = admin_client.get(ADDRESS).text
    assert "Standard de Lille" in page
    assert key[0] not in page
    assert key[0][:10] in page


def test_a_key_is_revoked_for_good(admin_client: FlaskClient) -> None:
    admin_client.post(ADDRESS, data={"nom": "Standard"})
    operator = db.session.query(CoverOperator).one()
    for _ in range(2):
        assert admin_client.post(f"{ADDRESS}/{operator.id}/revoquer").status_code == 303
    assert "Révoquée le" in admin_client.get(ADDRESS).text


@pytest.mark.parametrize("name", ["", "   ", "x" * 101])
def test_an_operator_without_a_fit_name_is_refused(admin_client: FlaskClient, name: str) -> None:
    answer = admin_client.post(ADDRESS, data={"nom": name})
    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.text
    assert db.session.query(CoverOperator).count() == 0


def test_keys_are_of_admins(manager_client: FlaskClient, client: FlaskClient) -> None:
    for browser in (manager_client, client):
        assert browser.get(ADDRESS).status_code == 403
        assert browser.post(ADDRESS, data={"nom": "Standard"}).status_code == 403


def test_an_outsider_revokes_nothing_of_ours(admin_client: FlaskClient, outsider_client: FlaskClient) -> None:
    admin_client.post(ADDRESS, data={"nom": "Standard"})
    operator = db.session.query(CoverOperator).one()
    assert outsider_client.post(f"{ADDRESS}/{operator.id}/revoquer").status_code == 404
    assert admin_client.post(f"{ADDRESS}/{uuid4()}/revoquer").status_code == 404
    assert "Standard" not in re.sub(r"par exemple.*", "", outsider_client.get(ADDRESS).text)
