"""Who may see an IBAN in clear, and what stays of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from tests.conftest import Cast
from tests.factories import ClientFactory, make_bank_account
from webapp import tenancy
from webapp.errors import ForbiddenError, NotFoundError
from webapp.extensions import db
from webapp.models.banking import BankAccount
from webapp.models.clients import Client
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.clients import identity_card
from webapp.services.clients.banking import reveal
from webapp.services.clients.editing import edit_client
from webapp.services.clients.fields import ClientFields

AT = datetime(2026, 11, 20, 14, 0, tzinfo=UTC)
IBAN = "FR1420041010050500013M02606"


@pytest.fixture
def account(cast: Cast) -> BankAccount:
    """An account of a client of the commercial's."""
    client: Client = ClientFactory(commercial_id=cast.sales_rep.id)
    account = make_bank_account(client, IBAN)
    db.session.commit()
    return account


@pytest.mark.parametrize("who", ["commercial", "manager", "admin"])
def test_an_iban_is_shown_to_its_commercial_a_manager_an_admin(cast: Cast, account: BankAccount, who: str) -> None:
    assert reveal(account.client_id, account.id, by=getattr(cast, who), at=AT).iban == IBAN


def test_each_reveal_is_told_without_the_iban(cast: Cast, account: BankAccount) -> None:
    for _ in range(2):
        reveal(account.client_id, account.id, by=cast.manager, at=AT)
    events = db.session.query(TimelineEvent).filter_by(client_id=account.client_id).all()
    assert [(event.kind, event.user_id, event.at) for event in events] == [
        (EventKind.IBAN_REVEALED, cast.manager.id, AT)
    ] * 2
    assert all(IBAN not in str(event.changes) for event in events)


def test_a_colleague_may_not_see_it_and_nothing_is_told(cast: Cast, account: BankAccount) -> None:
    with pytest.raises(ForbiddenError):
        reveal(account.client_id, account.id, by=cast.colleague, at=AT)
    assert db.session.query(TimelineEvent).count() == 0


def test_without_a_commercial_only_manager_and_admin_see_it(cast: Cast) -> None:
    account = make_bank_account(ClientFactory(), IBAN)
    db.session.commit()
    with pytest.raises(ForbiddenError):
        reveal(account.client_id, account.id, by=cast.commercial, at=AT)
    assert reveal(account.client_id, account.id, by=cast.admin, at=AT).bic is None


def test_an_account_is_only_found_under_its_own_client(cast: Cast, account: BankAccount) -> None:
    other = ClientFactory()
    for client_id, account_id in ((other.id, account.id), (account.client_id, uuid4())):
        with pytest.raises(NotFoundError):
            reveal(client_id, account_id, by=cast.admin, at=AT)


def test_an_account_of_another_organisation_is_not_found(cast: Cast, account: BankAccount) -> None:
    with tenancy.organisation(cast.other_organisation.id), pytest.raises(NotFoundError):
        reveal(account.client_id, account.id, by=cast.outsider, at=AT)


def test_who_takes_a_client_sees_its_bank_details_a_day_later(cast: Cast) -> None:
    client: Client = ClientFactory()
    account = make_bank_account(client, IBAN)
    db.session.commit()
    written = replace(ClientFields.of(client), commercial_id=cast.sales_rep.id)
    edit_client(client.id, written, version=1, bank=None, confirmed=False, by=cast.commercial, at=AT)
    for minutes in (0, 24 * 60 - 1):
        with pytest.raises(ForbiddenError, match="moins de 24 heures"):
            reveal(client.id, account.id, by=cast.commercial, at=AT + timedelta(minutes=minutes))
        with pytest.raises(ForbiddenError, match="moins de 24 heures"):
            identity_card.reveal(client.id, by=cast.commercial, at=AT + timedelta(minutes=minutes))
    assert reveal(client.id, account.id, by=cast.manager, at=AT).iban == IBAN
    assert reveal(client.id, account.id, by=cast.commercial, at=AT + timedelta(hours=24)).iban == IBAN
