"""« Opérateurs »: keys are made, shown once, and revoked, by admins."""

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from flask.testing import FlaskClient

from tests.conftest import NOW
from webapp import clock, french
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


def test_a_key_is_made_anew_and_the_one_before_opens_for_a_day(
    admin_client: FlaskClient, manager_client: FlaskClient, outsider_client: FlaskClient, client: FlaskClient
) -> None:
    def key_in(page: str) -> str:
        return re.search(r"dep_[\w-]{43}", page)[0]  # type: ignore[index]

    def asks(key: str) -> int:
        question = "/api/depanssur/v1/covers?reference=V-999&trade=plumbing"
        return client.get(question, headers={"Authorization": f"Bearer {key}"}).status_code

    first = key_in(admin_client.post(ADDRESS, data={"nom": "Standard"}).text)
    operator = db.session.query(CoverOperator).one()
    address, seen = f"{ADDRESS}/{operator.id}/cle", {"vue": first[:10]}
    assert manager_client.post(address, data=seen).status_code == 403
    assert outsider_client.post(address, data=seen).status_code in (403, 404)
    answer = admin_client.post(address, data=seen)
    second = key_in(answer.text)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (201, "no-store")
    assert (asks(first), asks(second)) == (404, 404)
    anew = admin_client.post(address, data=seen)
    assert (anew.status_code, 'data-testid="operator-row"' in anew.text) == (409, True), "the answer was loaded anew"
    assert "La clé a changé" in anew.text
    assert (asks(first), asks(second)) == (404, 404)
    page = admin_client.get(ADDRESS).text
    assert second not in page
    assert f"l’ancienne, {first[:10]}…, ouvre encore jusqu’au {french.moment(NOW + timedelta(days=1))}" in page
    clock.start_at(NOW + timedelta(hours=24, minutes=1))
    assert (asks(first), asks(second)) == (401, 404)
    assert 'data-testid="old-key"' not in admin_client.get(ADDRESS).text
    third = key_in(admin_client.post(address, data={"vue": second[:10]}).text)
    assert (asks(first), asks(second), asks(third)) == (401, 404, 404)
    ending = f"{address}/ancienne/fin"
    assert manager_client.post(ending, data={"vue": second[:10]}).status_code == 403
    assert outsider_client.post(ending, data={"vue": second[:10]}).status_code in (403, 404)
    assert admin_client.post(ending, data={"vue": first[:10]}).status_code == 409, "another one is the old one by now"
    for _ in range(2):
        assert admin_client.post(ending, data={"vue": second[:10]}).status_code == 303
        assert (asks(second), asks(third)) == (401, 404)
    admin_client.post(f"{ADDRESS}/{operator.id}/revoquer")
    assert admin_client.post(address, data={"vue": third[:10]}).status_code == 409
    assert asks(third) == 401


def test_a_form_that_is_sent_twice_makes_one(admin_client: FlaskClient) -> None:
    admin_client.post(ADDRESS, data={"nom": "Standard de Lille"})
    again = admin_client.post(ADDRESS, data={"nom": "standard de  lille"})
    assert (again.status_code, "porte déjà ce nom" in again.text) == (422, True)
    operator = db.session.query(CoverOperator).one()
    admin_client.post(f"{ADDRESS}/{operator.id}/revoquer")
    assert admin_client.post(ADDRESS, data={"nom": "Standard de Lille"}).status_code == 201


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


def test_a_secret_is_shown_once_and_both_hold_while_it_is_changed(admin_client: FlaskClient) -> None:
    admin_client.post(ADDRESS, data={"nom": "Standard"})
    operator = db.session.query(CoverOperator).one()
    page = f"{ADDRESS}/{operator.id}"
    made = admin_client.post(f"{page}/secrets/reception", data={"vu": ""})
    assert (made.status_code, made.headers["Cache-Control"]) == (201, "no-store")
    secret = re.search(r"whsec_[A-Za-z0-9+/=]{44}", made.text)
    assert secret
    assert "whsec_" not in admin_client.get(page).text
    db.session.refresh(operator)
    assert operator.secrets_in_clear("webhook_secrets") == [secret[0]]
    anew = admin_client.post(f"{page}/secrets/reception", data={"vu": ""})
    assert (anew.status_code, 'data-testid="secret"' in anew.text) == (409, True), "the answer was loaded anew"
    assert "Les secrets ont changé" in anew.text
    seen = operator.secrets_changed_at.isoformat() if operator.secrets_changed_at else ""
    assert admin_client.post(f"{page}/secrets/reception", data={"vu": seen}).status_code == 201
    db.session.refresh(operator)
    assert len(operator.secrets_in_clear("webhook_secrets")) == 2
    seen = operator.secrets_changed_at.isoformat() if operator.secrets_changed_at else ""
    assert admin_client.post(f"{page}/secrets/reception/fin", data={"vu": seen}).status_code == 303
    db.session.refresh(operator)
    (left,) = operator.secrets_in_clear("webhook_secrets")
    assert left != secret[0]
    assert admin_client.post(f"{page}/secrets/autre", data={"vu": seen}).status_code == 404


def test_files_go_to_one_operator_whose_address_is_checked(admin_client: FlaskClient) -> None:
    for name in ("Un", "Deux"):
        admin_client.post(ADDRESS, data={"nom": name})
    one, two = db.session.query(CoverOperator).order_by(CoverOperator.name.desc()).all()
    address = "https://operateur.example/webhooks"
    refused = admin_client.post(f"{ADDRESS}/{one.id}/adresse", data={"adresse": address})
    assert refused.status_code == 422
    assert "Créez d’abord un secret d’envoi" in refused.text
    for operator in (one, two):
        assert admin_client.post(f"{ADDRESS}/{operator.id}/secrets/envoi", data={"vu": ""}).status_code == 201
    for wrong in ("ftp://x", "http://169.254.169.254/", "x" * 501):
        answer = admin_client.post(f"{ADDRESS}/{one.id}/adresse", data={"adresse": wrong})
        assert answer.status_code == 422
        assert 'aria-invalid="true"' in answer.text
    assert admin_client.post(f"{ADDRESS}/{one.id}/adresse", data={"adresse": address}).status_code == 303
    second = admin_client.post(f"{ADDRESS}/{two.id}/adresse", data={"adresse": address})
    assert second.status_code == 422
    assert "Un reçoit déjà les dossiers" in second.text
    assert admin_client.post(f"{ADDRESS}/{one.id}/adresse", data={"adresse": ""}).status_code == 303
    assert admin_client.post(f"{ADDRESS}/{two.id}/adresse", data={"adresse": address}).status_code == 303


def test_only_admins_connect_and_no_outsider(
    admin_client: FlaskClient, manager_client: FlaskClient, outsider_client: FlaskClient
) -> None:
    admin_client.post(ADDRESS, data={"nom": "Standard"})
    page = f"{ADDRESS}/{db.session.query(CoverOperator).one().id}"
    for browser, status in ((manager_client, 403), (outsider_client, 404)):
        assert browser.get(page).status_code == status
        for path in ("secrets/reception", "secrets/reception/fin", "adresse"):
            assert browser.post(f"{page}/{path}", data={"vu": ""}).status_code == status


def test_a_revoked_operator_is_connected_no_more(admin_client: FlaskClient) -> None:
    admin_client.post(ADDRESS, data={"nom": "Standard"})
    page = f"{ADDRESS}/{db.session.query(CoverOperator).one().id}"
    admin_client.post(f"{page}/revoquer")
    assert "make-secret" not in admin_client.get(page).text
    assert admin_client.post(f"{page}/secrets/envoi", data={"vu": ""}).status_code == 409
