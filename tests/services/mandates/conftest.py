"""A client with an account, to give mandates on."""

from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest

from tests import factories
from tests.conftest import Cast
from webapp.extensions import db
from webapp.models.banking import BankAccount, Mandate, MandateStatus
from webapp.models.base import new_id
from webapp.models.clients import Client
from webapp.services.mandates.commands import MandateFields

AT = datetime(2026, 11, 20, 9, tzinfo=UTC)

Fields = Callable[..., MandateFields]


@pytest.fixture
def owner(cast: Cast) -> Client:
    """Whose mandates they are."""
    owner: Client = factories.ClientFactory(last_name="Durand", first_name="Léa", address_line1="1 rue Basse")
    return owner


@pytest.fixture
def bank_account(owner: Client) -> BankAccount:
    """Their account."""
    account = factories.make_bank_account(owner)
    db.session.commit()
    return account


@pytest.fixture
def fields(bank_account: BankAccount) -> Fields:
    """A mandate as it is written down: signed, without a reference, unless said otherwise."""
    company_id = factories.default_company().id

    def make(**values: object) -> MandateFields:
        usual = {"bank_account_id": bank_account.id, "company_id": company_id, "signed_on": date(2026, 11, 3)}
        return MandateFields(**usual | values)  # type: ignore[arg-type]

    return make


@pytest.fixture
def declared(owner: Client, bank_account: BankAccount) -> Mandate:
    """What WinLeadPlus says of a mandate: that there is one."""
    mandate = Mandate(
        id=new_id(), client_id=owner.id, bank_account_id=bank_account.id, status=MandateStatus.DECLARED, created_at=AT
    )
    db.session.add(mandate)
    db.session.commit()
    return mandate
