"""« Sociétés »: an admin says who sells, by the browser alone."""

from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from tests import factories
from tests.queries import recorded_queries
from webapp.extensions import db
from webapp.models.organisations import Company

PAGE = "/societes"
FORM = {
    "nom": "Verger & Cie",
    "siren": "732 829 320",
    "tva": "fr 44 732829320",
    "forme": "SAS",
    "capital": "10 000,50",
    "greffe": "Lille",
    "adresse": "1 rue des Lilas",
    "complement": "",
    "code_postal": "59000",
    "ville": "Lille",
    "email": "Bonjour@verger.example",
    "telephone": "01 99 00 00 01",
    "modele_rum": "VG-{numero}",
}
pytestmark = pytest.mark.usefixtures("cast")


def test_only_admins_come_here(client: FlaskClient, manager_client: FlaskClient) -> None:
    company = factories.default_company()
    for browser in (client, manager_client):
        for address in (PAGE, f"{PAGE}/nouvelle", f"{PAGE}/{company.id}"):
            assert browser.get(address).status_code == 403
        for address in (f"{PAGE}/nouvelle", f"{PAGE}/{company.id}"):
            assert browser.post(address, data=FORM).status_code == 403
        assert f'href="{PAGE}"' not in browser.get("/clients").text


def test_an_outsider_finds_and_changes_nothing(outsider_client: FlaskClient) -> None:
    company = factories.default_company()
    name = company.name
    assert str(company.id) not in outsider_client.get(PAGE).text
    for company_id in (company.id, uuid4()):
        assert outsider_client.get(f"{PAGE}/{company_id}").status_code == 404
        assert outsider_client.post(f"{PAGE}/{company_id}", data=FORM).status_code == 404
    assert _kept(company.id).name == name


def test_an_admin_describes_the_company_and_reads_it_again(admin_client: FlaskClient) -> None:
    company = factories.default_company()
    assert f'href="{PAGE}"' in admin_client.get("/clients").text
    assert admin_client.post(f"{PAGE}/{company.id}", data=FORM).status_code == 303
    kept = _kept(company.id)
    assert (kept.name, kept.siren, kept.vat_number) == ("Verger & Cie", "732829320", "FR44732829320")
    assert (kept.share_capital, kept.umr_pattern) == (Decimal("10000.50"), "VG-{numero}")
    page = admin_client.get(f"{PAGE}/{company.id}").text
    for shown in ("Verger &amp; Cie", "732829320", "10000,50", "+33199000001", "VG-{numero}"):
        assert f'value="{shown}"' in page


def test_what_is_emptied_goes_but_the_name_and_the_pattern_are_needed(admin_client: FlaskClient) -> None:
    company = factories.default_company()
    admin_client.post(f"{PAGE}/{company.id}", data=FORM)
    admin_client.post(f"{PAGE}/{company.id}", data=FORM | {"siren": " ", "capital": ""})
    assert (_kept(company.id).siren, _kept(company.id).share_capital) == (None, None)
    for word in ("nom", "modele_rum"):
        answer = admin_client.post(f"{PAGE}/{company.id}", data=FORM | {word: " ", "ville": "Nice"})
        assert answer.status_code == 422
        assert f'aria-describedby="{word}' in answer.text
        assert 'value="Nice"' in answer.text  # what was written is still there
    assert _kept(company.id).city == "Lille"


@pytest.mark.parametrize(
    ("word", "text"), [("siren", "123"), ("tva", "44"), ("capital", "beaucoup"), ("email", "x"), ("telephone", "x")]
)
def test_a_refusal_stands_beside_its_field(admin_client: FlaskClient, word: str, text: str) -> None:
    answer = admin_client.post(f"{PAGE}/nouvelle", data=FORM | {word: text})
    assert answer.status_code == 422
    assert f'id="{word}-error"' in answer.text
    assert db.session.scalar(select(Company).where(Company.name == FORM["nom"])) is None


def test_another_company_is_made_once_by_its_name_and_does_not_become_the_default(admin_client: FlaskClient) -> None:
    default = factories.default_company()
    assert 'value="MD-{numero}"' in admin_client.get(f"{PAGE}/nouvelle").text
    assert admin_client.post(f"{PAGE}/nouvelle", data=FORM).status_code == 303
    made = db.session.scalars(select(Company).where(Company.name == FORM["nom"])).one()
    assert (made.is_default, made.city, made.umr_pattern) == (False, "Lille", "VG-{numero}")
    for address in (f"{PAGE}/nouvelle", f"{PAGE}/{default.id}"):
        answer = admin_client.post(address, data=FORM)
        assert answer.status_code == 422
        assert "Une société porte déjà ce nom." in answer.text
    assert admin_client.post(f"{PAGE}/{made.id}", data=FORM).status_code == 303


def test_the_list_says_what_invoices_will_lack(admin_client: FlaskClient) -> None:
    company = factories.default_company()
    admin_client.post(f"{PAGE}/{company.id}", data=FORM | {"siren": "", "ville": ""})
    assert "il manque le SIREN, la ville" in admin_client.get(PAGE).text
    admin_client.post(f"{PAGE}/{company.id}", data=FORM)
    with recorded_queries() as queries:
        page = admin_client.get(PAGE).text
    assert "il manque" not in page
    assert len([query for query in queries if "FROM companies" in str(query)]) == 1


def _kept(company_id: UUID) -> Company:
    db.session.expire_all()
    return db.session.scalars(select(Company).where(Company.id == company_id)).one()
