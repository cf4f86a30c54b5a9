"""Accounts with carriers: opened once for each service, their keys sealed, one of them the usual one."""

from dataclasses import replace
from uuid import uuid4

import pytest
from sqlalchemy import select

from demo.carrier import Carrier as Pretend
from tests.conftest import Cast
from tests.factories import CompanyFactory, default_company
from tests.services.fulfilment.carrying import pretend as pretend  # noqa: PLC0414  the fixture
from webapp import tenancy
from webapp.config import Settings
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.gateways.carriers import registry
from webapp.gateways.carriers.protocol import CarrierRejectedError
from webapp.models.carriers import Carrier, CarrierAccount
from webapp.services.carriers import accounts, settings
from webapp.services.carriers.accounts import AccountFields, ConnectionFailedError, NoAccountError, usual_fields
from webapp.services.carriers.settings import SettingsFields

pytestmark = pytest.mark.usefixtures("cast")


def test_the_sandbox_is_opened_where_there_is_one_and_checked_without_a_label(pretend: Pretend) -> None:
    account = accounts.open_account(default_company().id, Carrier.SANDBOX, usual_fields(Carrier.SANDBOX))
    assert (account.service, account.calls_per_second, account.longest_delay_seconds) == ("standard", 50, 60)
    accounts.check_connection(account.id)
    pretend.order({"mode": "down"})
    with pytest.raises(ConnectionFailedError, match="ne répond pas"):
        accounts.check_connection(account.id)
    assert pretend.labels == {}


def test_what_the_environment_does_not_name_is_not_opened() -> None:
    with pytest.raises(NotFoundError):
        accounts.open_account(default_company().id, Carrier.SANDBOX, usual_fields(Carrier.SANDBOX))


def test_an_account_whose_carrier_has_gone_says_so(pretend: Pretend, settings: Settings) -> None:
    account = accounts.open_account(default_company().id, Carrier.SANDBOX, usual_fields(Carrier.SANDBOX))
    registry.use(settings)
    with pytest.raises(ConnectionFailedError, match="pas prêt"):
        accounts.check_connection(account.id)
    with pytest.raises(CarrierRejectedError):
        accounts.carrier_of(account)


@pytest.mark.usefixtures("pretend")
def test_a_company_has_one_account_for_a_service() -> None:
    company_id, usual = default_company().id, usual_fields(Carrier.SANDBOX)
    first = accounts.open_account(company_id, Carrier.SANDBOX, usual)
    with pytest.raises(InvalidInputError) as refused:
        accounts.open_account(company_id, Carrier.SANDBOX, usual)
    assert refused.value.field == "service"
    second = accounts.open_account(company_id, Carrier.SANDBOX, replace(usual, service="express"))
    with pytest.raises(InvalidInputError):
        accounts.change_account(second.id, usual)
    assert accounts.change_account(first.id, replace(usual, is_active=False)).is_active is False
    accounts.open_account(CompanyFactory().id, Carrier.SANDBOX, usual)


@pytest.mark.usefixtures("pretend")
@pytest.mark.parametrize(
    ("field", "wrong"), [("service", "fusée"), ("calls_per_second", 0), ("calls_per_second", 1001)]
)
def test_what_makes_no_sense_is_refused_at_its_field(field: str, wrong: object) -> None:
    fields = replace(usual_fields(Carrier.SANDBOX), **{field: wrong})
    with pytest.raises(InvalidInputError) as refused:
        accounts.open_account(default_company().id, Carrier.SANDBOX, fields)
    assert refused.value.field == field
    assert db.session.scalars(select(CarrierAccount)).all() == []


def test_nothing_can_be_asked_where_there_is_no_carrier() -> None:
    account = accounts.open_account(default_company().id, Carrier.NONE, usual_fields(Carrier.NONE))
    with pytest.raises(NotFoundError):
        accounts.check_connection(account.id)


def test_accounts_of_others_are_not_there(cast: Cast) -> None:
    company_id = default_company().id
    account = accounts.open_account(company_id, Carrier.NONE, usual_fields(Carrier.NONE))
    with tenancy.organisation(cast.other_organisation.id):
        for refused in (
            lambda: accounts.open_account(company_id, Carrier.NONE, usual_fields(Carrier.NONE)),
            lambda: accounts.change_account(account.id, usual_fields(Carrier.NONE)),
            lambda: accounts.find_account(account.id),
            lambda: accounts.default_account(company_id),
        ):
            with pytest.raises(NotFoundError):
                refused()


def colissimo(**credentials: str) -> AccountFields:
    return replace(usual_fields(Carrier.COLISSIMO), credentials=credentials)


def test_keys_are_sealed_and_an_empty_one_is_kept() -> None:
    company_id = default_company().id
    wanted = colissimo(contract_number=" 123456 ", password="very_secret", other="x")
    account = accounts.open_account(company_id, Carrier.COLISSIMO, wanted)
    assert b"very_secret" not in (account.credentials or b"")
    assert account.credentials_in_clear() == {"contract_number": "123456", "password": "very_secret"}
    accounts.change_account(account.id, colissimo(contract_number="", password="new", tracking_key="okapi"))
    kept = accounts.find_account(account.id)
    assert kept.credentials_in_clear() == {"contract_number": "123456", "password": "new", "tracking_key": "okapi"}
    assert accounts.known_credentials(kept) == {"contract_number", "password", "tracking_key"}


@pytest.mark.parametrize(
    ("credentials", "field"),
    [
        ({"password": "x"}, "contract_number"),
        ({"contract_number": "1"}, "password"),
        ({"contract_number": "1", "password": "a b"}, "password"),
        ({"contract_number": "1", "password": "é"}, "password"),
        ({"contract_number": "1\r\nX", "password": "x"}, "contract_number"),
        ({"contract_number": "1", "password": "x" * 201}, "password"),
    ],
)
def test_without_its_keys_an_account_is_not_opened(credentials: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        accounts.open_account(default_company().id, Carrier.COLISSIMO, colissimo(**credentials))
    assert refused.value.field == field
    assert db.session.scalars(select(CarrierAccount)).all() == []


class TestUsualAccount:
    def test_with_none_parcels_go_without_a_carrier(self) -> None:
        company_id = default_company().id
        account = accounts.default_account(company_id)
        assert account.carrier is Carrier.NONE
        assert accounts.default_account(company_id).id == account.id

    @pytest.mark.usefixtures("pretend")
    def test_the_only_one_is_taken_and_of_several_the_one_that_was_chosen(self) -> None:
        company_id, usual = default_company().id, usual_fields(Carrier.SANDBOX)
        first = accounts.open_account(company_id, Carrier.SANDBOX, usual)
        assert accounts.default_account(company_id).id == first.id
        second = accounts.open_account(company_id, Carrier.SANDBOX, replace(usual, service="express"))
        with pytest.raises(NoAccountError):
            accounts.default_account(company_id)
        settings.save_settings(company_id, SettingsFields(default_account_id=second.id))
        assert accounts.default_account(company_id).id == second.id

    def test_the_usual_one_stays_active(self) -> None:
        company_id, usual = default_company().id, usual_fields(Carrier.NONE)
        account = accounts.open_account(company_id, Carrier.NONE, usual)
        settings.save_settings(company_id, SettingsFields(default_account_id=account.id))
        with pytest.raises(InvalidInputError) as refused:
            accounts.change_account(account.id, replace(usual, is_active=False))
        assert refused.value.field == "is_active"
        settings.save_settings(company_id, SettingsFields())
        accounts.change_account(account.id, replace(usual, is_active=False))
        with pytest.raises(NoAccountError):
            accounts.default_account(company_id)

    def test_of_no_company_nothing_is_opened(self) -> None:
        with pytest.raises(NotFoundError):
            accounts.default_account(uuid4())
