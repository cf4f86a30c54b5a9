"""« Réglages des lots »: admins say who sends and by whom; keys go in and never come out."""

import re
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from demo.carrier import Carrier as Pretend
from tests.factories import CompanyFactory, default_company
from tests.queries import recorded_queries
from tests.services.fulfilment.carrying import pretend as pretend  # noqa: PLC0414  the fixture
from webapp.extensions import db
from webapp.models.carriers import Carrier, CarrierAccount, ShippingSettings
from webapp.services.carriers import accounts

PAGE = "/lots/reglages"
pytestmark = pytest.mark.usefixtures("cast")


def sender_address(company_id: UUID | None = None) -> str:
    return f"{PAGE}/{company_id or default_company().id}/expediteur"


def opening(word: str, company_id: UUID | None = None) -> str:
    return f"{PAGE}/{company_id or default_company().id}/comptes/{word}"


def form(**values: str) -> dict[str, str]:
    usual = {"expediteur": "societe", "emballage": "120", "article": "400", "etiquettes": "a4", "conservation": "30"}
    return usual | values


def another_sender(**values: str) -> dict[str, str]:
    written = {"nom": "Colis", "rue": "8 quai du Commerce", "code_postal": "59000", "ville": "Lille", "pays": "FR"}
    return form(expediteur="autre", **written | values)


def kept() -> list[ShippingSettings]:
    db.session.expire_all()
    return list(db.session.scalars(select(ShippingSettings)))


def account_of(carrier: Carrier = Carrier.NONE) -> CarrierAccount:
    return accounts.open_account(default_company().id, carrier, accounts.usual_fields(carrier))


def test_only_admins_come_here(client: FlaskClient, manager_client: FlaskClient) -> None:
    account = account_of()
    for browser in (client, manager_client):
        for address in (PAGE, sender_address(), opening("sans-transporteur"), f"{PAGE}/comptes/{account.id}"):
            assert browser.get(address).status_code == 403
        assert browser.post(sender_address(), data=form()).status_code == 403
        assert browser.post(opening("sans-transporteur"), data={"actif": "1"}).status_code == 403
        assert browser.post(f"{PAGE}/comptes/{account.id}", data={"actif": "1"}).status_code == 403
        assert browser.post(f"{PAGE}/comptes/{account.id}/verification").status_code == 403


def test_an_outsider_finds_and_changes_nothing(outsider_client: FlaskClient) -> None:
    account = account_of()
    assert str(account.company_id) not in outsider_client.get(PAGE).text
    for address in (
        sender_address(account.company_id),
        opening("sans-transporteur", account.company_id),
        f"{PAGE}/comptes/{account.id}",
    ):
        assert outsider_client.get(address).status_code == 404
        assert outsider_client.post(address, data=form()).status_code == 404
    assert outsider_client.post(f"{PAGE}/comptes/{account.id}/verification").status_code == 404
    assert kept() == []


def test_the_company_sends_unless_another_address_is_written(admin_client: FlaskClient) -> None:
    assert admin_client.post(sender_address(), data=form()).status_code == 303
    (settings,) = kept()
    assert (settings.packaging_weight_g, settings.item_weight_g, settings.labels_kept_days) == (120, 400, 30)
    assert settings.sender_line1 is None
    assert admin_client.post(sender_address(), data=another_sender()).status_code == 303
    page = admin_client.get(PAGE).text
    assert "8 quai du Commerce, 59000 Lille" in page
    assert "A4, conservées 30 jours" in page
    assert 'value="8 quai du Commerce"' in admin_client.get(sender_address()).text


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"emballage": "-1"}, "Un poids de 0 à"),
        ({"emballage": "lourd"}, "Un poids de 0 à"),
        ({"article": "0"}, "Un poids de 1 à"),
        ({"article": "99999999999999999999"}, "Un poids de 1 à"),
        ({"etiquettes": "a5"}, "Choisissez un format"),
        ({"conservation": ""}, "jours"),
        ({"compte": "x"}, "Choisissez un compte actif"),
        ({"compte": str(uuid4())}, "Choisissez un compte actif"),
        ({"nom": ""}, "nécessaire"),
        ({"rue": "\x00"}, "nécessaire"),
        ({"rue": "x" * 101}, "100 caractères au plus"),
        ({"code_postal": "ABC"}, "code postal"),
        ({"telephone": "12"}, "téléphone"),
        ({"courriel": "colis\r\nBcc: x@example.org"}, "e-mail"),
        ({"pays": "Mars"}, "Deux lettres"),
    ],
)
def test_what_makes_no_sense_is_refused_at_its_field(
    admin_client: FlaskClient, change: dict[str, str], sentence: str
) -> None:
    answer = admin_client.post(sender_address(), data=another_sender(**change))
    assert answer.status_code == 422
    assert sentence in answer.text
    assert answer.text.count('aria-invalid="true"') == 1
    assert kept() == []


def test_an_account_is_opened_changed_and_made_the_usual_one(admin_client: FlaskClient, pretend: Pretend) -> None:
    written = {"service": "express", "cadence": "5", "actif": "1"}
    assert admin_client.post(opening("bac-a-sable"), data=written).status_code == 303
    account = db.session.scalars(select(CarrierAccount)).one()
    assert (account.carrier, account.service, account.calls_per_second) == (Carrier.SANDBOX, "express", 5)
    assert admin_client.post(sender_address(), data=form(compte=str(account.id))).status_code == 303
    assert "Compte habituel" in admin_client.get(PAGE).text
    refused = admin_client.post(f"{PAGE}/comptes/{account.id}", data={"service": "express", "cadence": "5"})
    assert refused.status_code == 422
    assert "choisissez-en d’abord un autre" in refused.text
    assert re.search(r'data-carrier="sandbox"\s+data-active="1"', admin_client.get(PAGE).text)


@pytest.mark.usefixtures("pretend")
@pytest.mark.parametrize("change", [{"service": "fusée"}, {"service": ""}, {"cadence": "0"}, {"cadence": "vite"}])
def test_an_account_that_makes_no_sense_is_refused_at_its_field(
    admin_client: FlaskClient, change: dict[str, str]
) -> None:
    written = {"service": "standard", "cadence": "5", "actif": "1"} | change
    answer = admin_client.post(opening("bac-a-sable"), data=written)
    assert answer.status_code == 422
    assert answer.text.count('aria-invalid="true"') == 1
    assert db.session.scalars(select(CarrierAccount)).all() == []


def test_keys_go_in_and_never_come_out(admin_client: FlaskClient) -> None:
    keys = {"contract_number": "very_123456", "password": "very_secret", "tracking_key": "very_okapi"}
    written = {"service": "DOS", "cadence": "5", "actif": "1"} | keys
    refused = admin_client.post(opening("colissimo"), data=written | {"cadence": "0"})
    assert admin_client.post(opening("colissimo"), data=written).status_code == 303
    account = db.session.scalars(select(CarrierAccount)).one()
    form = admin_client.get(f"{PAGE}/comptes/{account.id}").text
    assert "very_" not in refused.text + form + admin_client.get(PAGE).text
    assert form.count("Laissez vide pour garder") == 3
    changed = {"service": "DOS", "cadence": "4", "actif": "1", "contract_number": "", "password": ""}
    assert admin_client.post(f"{PAGE}/comptes/{account.id}", data=changed).status_code == 303
    assert accounts.find_account(account.id).credentials_in_clear() == keys


@pytest.mark.parametrize(("word", "field"), [("colissimo", "contract_number"), ("chronopost", "account_number")])
def test_without_its_keys_an_account_is_not_opened(admin_client: FlaskClient, word: str, field: str) -> None:
    usual = {"colissimo": "DOM", "chronopost": "1"}[word]
    answer = admin_client.post(opening(word), data={"service": usual, "cadence": "5", "actif": "1", "password": "x"})
    assert answer.status_code == 422
    assert re.search(rf'id="{field}"[^>]*aria-invalid="true"', answer.text)


def test_what_nobody_may_open_is_not_there(admin_client: FlaskClient) -> None:
    assert "Bac à sable" not in admin_client.get(PAGE).text  # no sandbox in this environment
    assert admin_client.get(opening("bac-a-sable")).status_code == 404
    assert admin_client.get(opening("pigeon")).status_code == 404
    assert admin_client.get(opening("sans-transporteur", uuid4())).status_code == 404
    assert admin_client.get(f"{PAGE}/comptes/{uuid4()}").status_code == 404


def test_parcels_without_a_carrier_ask_for_nothing(admin_client: FlaskClient) -> None:
    page = admin_client.get(opening("sans-transporteur")).text
    assert 'name="cadence"' not in page
    assert admin_client.post(opening("sans-transporteur"), data={"actif": "1"}).status_code == 303
    assert "check-connection" not in admin_client.get(PAGE).text


def said(browser: FlaskClient, account: CarrierAccount) -> Any:
    page = browser.post(f"{PAGE}/comptes/{account.id}/verification", follow_redirects=True).text
    return re.search(r'data-testid="toast"\s+data-kind="(\w+)"', page)


def test_a_connection_is_tried_without_a_label(admin_client: FlaskClient, pretend: Pretend) -> None:
    account = account_of(Carrier.SANDBOX)
    assert 'data-testid="check-connection"' in admin_client.get(PAGE).text
    assert said(admin_client, account)[1] == "success"
    pretend.order({"mode": "down"})
    assert said(admin_client, account)[1] == "error"
    assert pretend.labels == {}


@pytest.mark.usefixtures("pretend")
def test_trying_has_a_rate(admin_client: FlaskClient) -> None:
    address = f"{PAGE}/comptes/{account_of(Carrier.SANDBOX).id}/verification"
    assert [admin_client.post(address).status_code for _ in range(11)] == [303] * 10 + [429]


def test_a_sender_that_carriers_would_refuse_is_told_of(admin_client: FlaskClient, pretend: Pretend) -> None:
    default_company().city = None
    account_of(Carrier.SANDBOX)
    assert "sender-fault" in admin_client.get(PAGE).text
    admin_client.post(sender_address(), data=another_sender())
    assert "sender-fault" not in admin_client.get(PAGE).text


def test_the_number_of_queries_does_not_grow_with_the_companies(admin_client: FlaskClient) -> None:
    def queries() -> int:
        db.session.commit()
        with recorded_queries() as statements:
            admin_client.get(PAGE)
        return len(statements)

    account_of()
    few = queries()
    for number in range(5):
        company = CompanyFactory(name=f"Société {number}")
        accounts.open_account(company.id, Carrier.NONE, accounts.usual_fields(Carrier.NONE))
    assert queries() == few
