"""A client's mandates by their pages: from a bare account to one that can be charged, and back."""

import re

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from tests import factories
from tests.conftest import Cast
from tests.services.mandates.conftest import bank_account, declared, owner
from webapp.extensions import db
from webapp.models.banking import BankAccount, Mandate, MandateStatus
from webapp.models.clients import Client
from webapp.models.providers import Provider
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.providers import accounts

__all__ = ["bank_account", "declared", "owner"]


@pytest.fixture
def form(bank_account: BankAccount) -> dict[str, str]:
    return {
        "societe": str(factories.default_company().id),
        "compte": str(bank_account.id),
        "rum": "",
        "signature": "2026-11-03",
        "lieu": "Lille",
    }


def only_mandate() -> Mandate:
    return db.session.scalars(select(Mandate).execution_options(populate_existing=True)).one()


def test_an_account_without_mandate_leads_to_the_form_and_the_form_back(
    client: FlaskClient, owner: Client, bank_account: BankAccount, form: dict[str, str]
) -> None:
    page = client.get(f"/clients/{owner.id}?onglet=paiements").text
    address = f"/clients/{owner.id}/mandats/nouveau"
    assert f"{address}?compte={bank_account.id}" in page
    assert f'value="{bank_account.id}" selected' in client.get(f"{address}?compte={bank_account.id}").text
    answer = client.post(address, data=form)
    assert (answer.status_code, answer.location) == (303, f"/clients/{owner.id}?onglet=paiements")
    page = client.get(answer.location).text
    assert "Mandat MD-0000001 enregistré" in page
    assert only_mandate().signed_in == "Lille"


def test_a_declared_one_says_what_it_lacks_and_is_completed(
    client: FlaskClient, owner: Client, declared: Mandate, form: dict[str, str]
) -> None:
    address = f"/clients/{owner.id}/mandats/{declared.id}"
    assert address in client.get(f"/clients/{owner.id}?onglet=paiements").text
    assert "complétez sa référence" in client.get(address).text
    assert client.post(address, data=form | {"rum": "WLP-77"}).status_code == 303
    assert (only_mandate().umr, only_mandate().status) == ("WLP-77", MandateStatus.ACTIVE)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"rum": "é"}, "rum"),
        ({"signature": "2026-02-30"}, "signature"),
        ({"signature": "2027-01-01"}, "signature"),
        ({"compte": "x"}, "compte"),
        ({"societe": ""}, "societe"),
    ],
)
def test_what_is_refused_stands_in_the_form_with_the_reason_at_its_field(
    client: FlaskClient, owner: Client, form: dict[str, str], changes: dict[str, str], field: str
) -> None:
    answer = client.post(f"/clients/{owner.id}/mandats/nouveau", data=form | {"lieu": "Roubaix"} | changes)
    assert answer.status_code == 422
    assert f'id="{field}-error"' in answer.text
    assert 'value="Roubaix"' in answer.text
    assert db.session.scalars(select(Mandate)).all() == []


def test_a_form_that_is_sent_twice_makes_one_mandate(
    client: FlaskClient, owner: Client, bank_account: BankAccount, form: dict[str, str]
) -> None:
    address = f"/clients/{owner.id}/mandats/nouveau"
    demand = re.findall(r'name="demande" value="([^"]+)"', client.get(address).text)
    for _ in range(2):
        assert client.post(address, data=form | {"demande": demand[0]}).status_code == 303
    assert only_mandate().umr == "MD-0000001"


def test_it_is_revoked_and_its_account_put_away(
    client: FlaskClient, owner: Client, bank_account: BankAccount, form: dict[str, str]
) -> None:
    client.post(f"/clients/{owner.id}/mandats/nouveau", data=form)
    address = f"/clients/{owner.id}/mandats/{only_mandate().id}"
    assert "Rien n’est prélevé sous ce mandat" in client.get(address).text
    put_away = f"/clients/{owner.id}/comptes/{bank_account.id}/archivage"
    assert put_away in client.get(f"/clients/{owner.id}?onglet=paiements").text
    for answer in (client.get(put_away), client.post(put_away)):
        assert (answer.status_code in (200, 409), "1 mandat ne servira plus" in answer.text) == (True, True)
    assert client.post(f"{address}/revocation").status_code == 303
    client.post(put_away)
    page = client.get(f"/clients/{owner.id}?onglet=paiements").text
    assert "Archivé le" in page
    assert "mandats/nouveau" not in page
    assert "Révoqué le" in client.get(address).text
    answer = client.post(address, data=form)
    assert (answer.status_code, "ne se modifie plus" in answer.text) == (409, True)


def test_the_pdf_holds_the_iban_only_for_those_who_may_see_it_and_the_timeline_tells(
    client: FlaskClient, manager_client: FlaskClient, owner: Client, form: dict[str, str]
) -> None:
    client.post(f"/clients/{owner.id}/mandats/nouveau", data=form)
    address = f"/clients/{owner.id}/mandats/{only_mandate().id}/pdf"
    refused = client.post(address)
    assert (refused.status_code, "ICS" in refused.text) == (409, True)
    assert 'data-testid="mandate-pdf"' in refused.text  # it is said on the mandate's own page
    credentials = {"iban": "FR1420041010050500013M02606", "bic": "PSSTFRPPXXX"}
    company_id = factories.default_company().id
    accounts.save_account(company_id, Provider.SEPA_FILE, credentials=credentials, ics="FR72ZZZ123456")
    reveals = select(TimelineEvent).where(TimelineEvent.kind == EventKind.IBAN_REVEALED)
    for browser, number in ((client, 0), (manager_client, 1)):
        answer = browser.post(address)
        assert (answer.status_code, answer.mimetype, answer.data[:5]) == (200, "application/pdf", b"%PDF-")
        assert answer.headers["Cache-Control"] == "no-store"
        assert len(db.session.scalars(reveals).all()) == number


def test_an_outsider_reaches_none_of_it(
    outsider_client: FlaskClient, owner: Client, declared: Mandate, form: dict[str, str], cast: Cast
) -> None:
    address = f"/clients/{owner.id}/mandats"
    for path in (f"{address}/nouveau", f"{address}/{declared.id}"):
        assert outsider_client.get(path).status_code == 404
    posts = [f"{address}/nouveau", *(f"{address}/{declared.id}{step}" for step in ("", "/revocation", "/pdf"))]
    for path in (*posts, f"/clients/{owner.id}/comptes/{declared.bank_account_id}/archivage"):
        assert outsider_client.post(path, data=form).status_code == 404
    assert only_mandate().status is MandateStatus.DECLARED
