"""Accounts with providers, their keys sealed."""

import json

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import undefer

from demo.payment_bank import Bank
from tests.conftest import Cast
from tests.factories import default_company
from webapp import tenancy
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.gateways.providers.protocol import ProviderRejectedError
from webapp.models.providers import CreditorFault, Milestone, Provider, ProviderAccount
from webapp.services.providers import accounts
from webapp.services.providers.accounts import ConnectionFailedError, Terms

BANK = {"iban": "FR14 2004 1010 0505 0001 3M02 606", "bic": "psstfrpp"}
ICS = "FR72 ZZZ 123456"
KEYS = {"api_key": "sk_live_secret", "webhook_secret": "whsec_secret"}


def test_keys_are_sealed_and_only_known_ones_are_kept(cast: Cast) -> None:
    account = accounts.save_account(default_company().id, Provider.STRIPE, credentials={**KEYS, "other": "x"})
    assert b"sk_live_secret" not in (account.credentials or b"")
    assert account.credentials_in_clear() == KEYS


def test_a_company_has_one_account_with_a_provider(cast: Cast) -> None:
    first = accounts.save_account(default_company().id, Provider.STRIPE, credentials=KEYS)
    second = accounts.save_account(default_company().id, Provider.STRIPE, is_active=False)
    assert (first.id, second.is_active) == (second.id, False)
    assert second.credentials_in_clear() == KEYS
    assert len(accounts.list_accounts()) == 1


def test_what_is_left_out_stays_as_it_is(cast: Cast) -> None:
    company_id = default_company().id
    terms = Terms(ship_at=Milestone.PROCESSING, invoice_at=Milestone.SUCCEEDED, rate_per_second=5, max_concurrency=2)
    accounts.save_account(company_id, Provider.STRIPE, credentials=KEYS, terms=terms)
    account = accounts.save_account(
        company_id, Provider.STRIPE, credentials={"api_key": " sk_new ", "webhook_secret": ""}
    )
    assert account.credentials_in_clear() == KEYS | {"api_key": "sk_new"}
    assert (account.ship_at, account.rate_per_second) == (Milestone.PROCESSING, 5)


@pytest.mark.parametrize(
    ("field", "value"), [("rate_per_second", 0), ("rate_per_second", 1001), ("max_concurrency", 65)]
)
def test_limits_are_bounded(cast: Cast, field: str, value: int) -> None:
    terms = Terms(Milestone.SUCCEEDED, Milestone.SUCCEEDED, rate_per_second=5, max_concurrency=2)._replace(
        **{field: value}
    )
    with pytest.raises(InvalidInputError) as refused:
        accounts.save_account(default_company().id, Provider.STRIPE, credentials=KEYS, terms=terms)
    assert refused.value.field == field


def test_of_what_is_kept_only_the_end_of_the_iban_is_shown(cast: Cast) -> None:
    company_id = default_company().id
    bank = accounts.save_account(company_id, Provider.SEPA_FILE, credentials=BANK, ics=ICS)
    assert accounts.describe_credentials(bank) == {"iban": "FR•• •••• 2606", "bic": "conservé"}
    keys = accounts.save_account(company_id, Provider.STRIPE, credentials=KEYS)
    assert set(accounts.describe_credentials(keys).values()) == {"conservé"}
    assert accounts.describe_credentials(None) == {}


def test_the_sandbox_is_offered_where_there_is_one(cast: Cast) -> None:
    company_id = default_company().id
    assert [offer.provider for offer in accounts.list_offers()] == [Provider.STRIPE, Provider.SEPA_FILE]
    with pytest.raises(NotFoundError):
        accounts.find_offer(company_id, Provider.SANDBOX)
    accounts.save_account(company_id, Provider.SANDBOX)  # one that is there stays within reach
    assert accounts.find_offer(company_id, Provider.SANDBOX) in accounts.list_offers()


class TestConnection:
    def test_a_provider_that_answers_is_connected(self, account: ProviderAccount, bank: Bank) -> None:
        accounts.check_connection(account.id)
        assert bank.payments == {}

    def test_one_that_is_down_is_not(self, account: ProviderAccount, bank: Bank) -> None:
        bank.order({"mode": "down"})
        with pytest.raises(ConnectionFailedError, match="échoué"):
            accounts.check_connection(account.id)

    def test_an_account_that_is_not_set_up_says_so(self, cast: Cast) -> None:
        account = accounts.save_account(default_company().id, Provider.SANDBOX)
        with pytest.raises(ConnectionFailedError, match="pas prêt"):
            accounts.check_connection(account.id)

    def test_neither_a_bank_file_nor_another_organisations_account_is_asked(self, cast: Cast) -> None:
        files = accounts.save_account(default_company().id, Provider.SEPA_FILE, credentials=BANK, ics=ICS)
        keys = accounts.save_account(default_company().id, Provider.STRIPE, credentials=KEYS)
        with pytest.raises(NotFoundError):
            accounts.check_connection(files.id)
        with tenancy.organisation(cast.other_organisation.id), pytest.raises(NotFoundError):
            accounts.check_connection(keys.id)


def test_a_bank_account_is_checked_and_compact(cast: Cast) -> None:
    account = accounts.save_account(default_company().id, Provider.SEPA_FILE, credentials=BANK, ics=ICS)
    assert account.credentials_in_clear()["iban"] == "FR1420041010050500013M02606"
    assert account.ics == "FR72ZZZ123456"


@pytest.mark.parametrize(
    ("provider", "credentials", "ics", "field"),
    [
        (Provider.STRIPE, None, None, "api_key"),
        (Provider.STRIPE, {"api_key": "x"}, None, "webhook_secret"),
        (Provider.STRIPE, KEYS | {"api_key": "sk_é"}, None, "api_key"),
        (Provider.STRIPE, KEYS | {"webhook_secret": "whsec\n_1"}, None, "webhook_secret"),
        (Provider.SEPA_FILE, BANK, None, "ics"),
        (Provider.SEPA_FILE, BANK, "FR00ZZZ123456", "ics"),
        (Provider.SEPA_FILE, BANK, "n’importe quoi", "ics"),
        (Provider.SEPA_FILE, BANK | {"iban": "FR00"}, ICS, "iban"),
        (Provider.SEPA_FILE, BANK | {"iban": "TN59 1000 6035 1835 9847 8831"}, ICS, "iban"),  # right, and not of SEPA
        (Provider.SEPA_FILE, BANK | {"bic": "?"}, ICS, "bic"),
    ],
)
def test_what_is_missing_or_wrong_is_named(
    cast: Cast, provider: Provider, credentials: dict[str, str] | None, ics: str | None, field: str
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        accounts.save_account(default_company().id, provider, credentials=credentials, ics=ics)
    assert refused.value.field == field


def test_a_company_whose_name_no_bank_can_read_collects_by_no_file(cast: Cast) -> None:
    company = default_company()
    company.name = "★ ★ ★"
    with pytest.raises(InvalidInputError, match="ni lettre ni chiffre") as refused:
        accounts.save_account(company.id, Provider.SEPA_FILE, credentials=BANK, ics=ICS)
    assert refused.value.field == "name"
    accounts.save_account(company.id, Provider.SEPA_FILE, credentials=BANK, ics=ICS, is_active=False)
    accounts.save_account(company.id, Provider.STRIPE, credentials=KEYS)


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({}, None),
        ({"name": ""}, CreditorFault.NAME),
        ({"name": "★"}, CreditorFault.NAME),
        ({"name": "Société & Cie"}, None),
        ({"ics": None}, CreditorFault.ICS),
        ({"ics": "FR73ZZZ123456"}, CreditorFault.ICS),
        ({"iban": None}, CreditorFault.IBAN),
        ({"iban": "FR1520041010050500013M02606"}, CreditorFault.IBAN),
        ({"iban": "TN5910006035183598478831"}, CreditorFault.IBAN),
        ({"bic": "psst"}, CreditorFault.BIC),
    ],
)
def test_what_a_bank_would_refuse_of_a_company_is_named(
    cast: Cast, wrong: dict[str, str | None], fault: CreditorFault | None
) -> None:
    told = {"name": "Essai", "ics": "FR72ZZZ123456", "iban": "FR1420041010050500013M02606", "bic": "PSSTFRPP"} | wrong
    account = ProviderAccount(provider=Provider.SEPA_FILE, ics=told["ics"])
    account.keep_credentials({name: value for name in ("iban", "bic") if (value := told[name])})
    assert account.creditor_fault(told["name"] or "") is fault


def test_a_company_of_another_organisation_is_not_found(cast: Cast) -> None:
    company_id = default_company().id
    with tenancy.organisation(cast.other_organisation.id), pytest.raises(NotFoundError):
        accounts.save_account(company_id, Provider.SANDBOX)


def test_an_account_without_its_environment_cannot_be_used(cast: Cast) -> None:
    account = accounts.save_account(default_company().id, Provider.SANDBOX)
    with pytest.raises(ProviderRejectedError):
        accounts.provider_of(account)


def test_the_command_reads_secrets_from_its_input_and_shows_none(cast: Cast, app: Flask) -> None:
    run = app.test_cli_runner().invoke
    command = ["payments", "set-account", "--organisation", cast.organisation.slug, "--provider", "stripe"]
    assert run(args=command).exit_code == 1
    assert run(args=[*command, "--credentials-stdin"], input="not json").exit_code == 1
    saved = run(args=[*command, "--credentials-stdin"], input=json.dumps(KEYS))
    assert saved.exit_code == 0, saved.output
    shown = run(args=["payments", "accounts", "--organisation", cast.organisation.slug])
    assert "stripe" in shown.output
    assert "secret" not in saved.output + shown.output
    account = db.session.scalars(select(ProviderAccount).options(undefer(ProviderAccount.credentials))).one()
    assert account.credentials_in_clear() == KEYS
