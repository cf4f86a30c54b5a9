"""Companies' accounts with payment providers: opened and changed by admins; keys go in and never come out."""

import re
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import undefer

from demo.payment_bank import Bank
from tests import factories
from tests.queries import recorded_queries
from tests.services.provider_events.conftest import account, bank
from webapp.extensions import db
from webapp.models.providers import Milestone, Provider, ProviderAccount
from webapp.services.providers import accounts

__all__ = ["account", "bank"]

PAGE = "/prelevements/prestataires"
KEYS = {"api_key": "sk_test_very_secret", "webhook_secret": "whsec_very_secret"}
BANK = {"ics": "FR72 ZZZ 123456", "iban": "FR14 2004 1010 0505 0001 3M02 606", "bic": "PSSTFRPPXXX"}
pytestmark = pytest.mark.usefixtures("cast")


def address(word: str, company_id: UUID | None = None) -> str:
    return f"{PAGE}/{company_id or factories.default_company().id}/{word}"


def form(**values: str) -> dict[str, str]:
    usual = {"actif": "1", "livraison": "succeeded", "facture": "succeeded", "cadence": "50", "simultanes": "16"}
    return usual | values


def kept() -> list[ProviderAccount]:
    db.session.expire_all()
    statement = select(ProviderAccount).options(undefer(ProviderAccount.credentials))
    return list(db.session.scalars(statement.execution_options(populate_existing=True)))


def open_stripe() -> ProviderAccount:
    return accounts.save_account(factories.default_company().id, Provider.STRIPE, credentials=KEYS)


def test_only_admins_come_here(client: FlaskClient, manager_client: FlaskClient) -> None:
    account = open_stripe()
    for browser in (client, manager_client):
        assert browser.get(PAGE).status_code == 403
        assert browser.get(address("stripe")).status_code == 403
        assert browser.post(address("stripe"), data=form()).status_code == 403
        assert browser.post(f"{PAGE}/{account.id}/essai").status_code == 403
    assert f'href="{PAGE}"' not in manager_client.get("/prelevements").text


def test_an_outsider_finds_and_changes_nothing(outsider_client: FlaskClient) -> None:
    account = open_stripe()
    assert str(account.company_id) not in outsider_client.get(PAGE).text
    assert outsider_client.get(address("stripe", account.company_id)).status_code == 404
    assert outsider_client.post(address("stripe", account.company_id), data=form(**KEYS)).status_code == 404
    assert outsider_client.post(f"{PAGE}/{account.id}/essai").status_code == 404
    assert kept()[0].is_active


def test_an_account_is_opened_with_its_keys_and_rules(admin_client: FlaskClient) -> None:
    assert 'name="api_key"' in admin_client.get(address("stripe")).text
    written = form(**KEYS, livraison="processing", cadence="5", simultanes="2")
    assert admin_client.post(address("stripe"), data=written).status_code == 303
    [account] = kept()
    assert account.credentials_in_clear() == KEYS
    assert (account.ship_at, account.invoice_at) == (Milestone.PROCESSING, Milestone.SUCCEEDED)
    assert (account.rate_per_second, account.max_concurrency) == (5, 2)
    assert re.search(r'data-provider="stripe"\s+data-active="1"', admin_client.get(PAGE).text)


def test_keys_never_come_out_again(admin_client: FlaskClient) -> None:
    refused = admin_client.post(address("stripe"), data=form(**KEYS, cadence="0"))
    assert refused.status_code == 422
    open_stripe()
    pages = refused.text + admin_client.get(address("stripe")).text + admin_client.get(PAGE).text
    assert "very_secret" not in pages
    assert "Laissez vide pour garder" in pages


def test_an_empty_key_is_kept_and_a_new_one_replaces_it(admin_client: FlaskClient) -> None:
    open_stripe()
    admin_client.post(address("stripe"), data=form(api_key="sk_test_new", webhook_secret=""))
    assert kept()[0].credentials_in_clear() == KEYS | {"api_key": "sk_test_new"}


def test_an_account_is_put_out_of_use(admin_client: FlaskClient) -> None:
    open_stripe()
    written = form()
    del written["actif"]
    admin_client.post(address("stripe"), data=written)
    assert not kept()[0].is_active
    assert re.search(r'data-provider="stripe"\s+data-active="0"', admin_client.get(PAGE).text)


def test_a_bank_account_is_kept_and_only_its_end_is_shown(admin_client: FlaskClient) -> None:
    assert admin_client.post(address("fichier-sepa"), data=form(**BANK)).status_code == 303
    [account] = kept()
    assert account.ics == "FR72ZZZ123456"
    assert account.credentials_in_clear() == {"iban": "FR1420041010050500013M02606", "bic": "PSSTFRPPXXX"}
    page = admin_client.get(address("fichier-sepa")).text
    assert "•••• 2606" in page
    assert "20041010" not in page
    assert "Adresse des notifications" not in page
    assert "cadence" not in page


def test_the_days_between_notice_and_debit_are_kept_as_agreed(admin_client: FlaskClient) -> None:
    assert admin_client.post(address("fichier-sepa"), data=form(**BANK, preavis="5")).status_code == 303
    assert [account.notice_days for account in kept()] == [5]
    assert 'value="5"' in admin_client.get(address("fichier-sepa")).text


@pytest.mark.parametrize("written", ["0", "15", "-1", "cinq", "", "1.5", "9" * 30])
def test_a_number_of_days_that_the_rulebook_does_not_allow_is_refused(admin_client: FlaskClient, written: str) -> None:
    answer = admin_client.post(address("fichier-sepa"), data=form(**BANK, preavis=written))
    assert answer.status_code == 422
    assert "Un nombre de jours de 1 à 14 est attendu." in answer.text
    assert kept() == []


def test_the_address_for_webhooks_is_the_accounts_own(admin_client: FlaskClient) -> None:
    assert re.search(r'value="http://[^"]+/webhooks/stripe"', admin_client.get(address("stripe")).text)
    account = open_stripe()
    assert f'/webhooks/stripe/{account.id}"' in admin_client.get(address("stripe")).text


@pytest.mark.parametrize(
    ("word", "change", "sentence"),
    [
        ("stripe", {"api_key": ""}, "nécessaire"),
        ("stripe", {"api_key": "sk avec espace"}, "forme attendue"),
        ("stripe", {"cadence": "0"}, "de 1 à 1000"),
        ("stripe", {"cadence": "beaucoup"}, "de 1 à 1000"),
        ("stripe", {"simultanes": "99999999999999999999"}, "de 1 à 64"),
        ("stripe", {"livraison": "jamais"}, "Choisissez un moment"),
        ("stripe", {"facture": ""}, "Choisissez un moment"),
        ("fichier-sepa", {"ics": "FR00ZZZ123456"}, "créancier SEPA (ICS) n’est pas valide"),
        ("fichier-sepa", {"ics": ""}, "créancier SEPA (ICS)"),
        ("fichier-sepa", {"iban": "FR00"}, "IBAN n’est pas valide"),
        ("fichier-sepa", {"bic": "?"}, "BIC n’est pas valide"),
    ],
)
def test_what_makes_no_sense_is_refused_at_its_field(
    admin_client: FlaskClient, word: str, change: dict[str, str], sentence: str
) -> None:
    answer = admin_client.post(address(word), data=form(**(KEYS if word == "stripe" else BANK) | change))
    assert answer.status_code == 422
    assert sentence in answer.text
    assert answer.text.count('aria-invalid="true"') == 1
    assert kept() == []


def test_accounts_that_nobody_may_open_are_not_there(admin_client: FlaskClient) -> None:
    assert "Bac à sable" not in admin_client.get(PAGE).text  # no sandbox in this environment
    assert admin_client.post(address("bac-a-sable"), data=form()).status_code == 404
    assert admin_client.get(address("paypal")).status_code == 404
    assert admin_client.get(address("stripe", uuid4())).status_code == 404


def said(browser: FlaskClient, account: ProviderAccount) -> Any:
    page = browser.post(f"{PAGE}/{account.id}/essai", follow_redirects=True).text
    return re.search(r'data-testid="toast"\s+data-kind="(\w+)"', page)


def test_a_connection_is_tried_without_side_effects(
    admin_client: FlaskClient, account: ProviderAccount, bank: Bank
) -> None:
    assert 'data-testid="check-connection"' in admin_client.get(PAGE).text
    assert said(admin_client, account)[1] == "success"
    assert bank.payments == {}
    bank.order({"mode": "down"})
    assert said(admin_client, account)[1] == "error"


def test_the_number_of_queries_does_not_grow_with_the_companies(admin_client: FlaskClient) -> None:
    def queries() -> int:
        db.session.commit()
        with recorded_queries() as statements:
            admin_client.get(PAGE)
        return len(statements)

    open_stripe()
    few = queries()
    for number in range(5):
        company = factories.CompanyFactory(name=f"Société {number}")
        accounts.save_account(company.id, Provider.STRIPE, credentials=KEYS)
    assert queries() == few


def test_trying_keys_has_a_rate(admin_client: FlaskClient) -> None:
    address = f"{PAGE}/{open_stripe().id}/essai"
    answers = [admin_client.post(address).status_code for _ in range(11)]
    assert answers == [303] * 10 + [429]


def test_a_company_that_banks_would_refuse_is_told_so_where_its_account_is_opened(admin_client: FlaskClient) -> None:
    company = factories.default_company()
    company.name = "★"
    db.session.commit()
    refused = admin_client.post(address("fichier-sepa"), data=form(**BANK))
    assert refused.status_code == 422
    assert "ni lettre ni chiffre" in refused.text
    assert kept() == []


def test_an_account_that_banks_came_to_refuse_says_so_on_its_form(admin_client: FlaskClient) -> None:
    admin_client.post(address("fichier-sepa"), data=form(**BANK))
    assert "creditor-fault" not in admin_client.get(address("fichier-sepa")).text
    kept()[0].ics = "FR00ZZZ123456"
    db.session.commit()
    page = admin_client.get(address("fichier-sepa")).text
    assert "creditor-fault" in page
    assert "identifiant créancier SEPA (ICS) manque ou n’est pas valide" in page
