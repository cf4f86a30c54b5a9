"""What a subscription is collected by, and why it cannot be where it cannot."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

import pytest

from tests import factories
from tests.conftest import Cast
from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.banking import Mandate, MandateFault, MandateStatus
from webapp.models.clients import Client
from webapp.models.contracts import PaymentMethod
from webapp.models.providers import Provider, ProviderAccount, SavedPaymentMethod
from webapp.services.subscriptions import editing, means
from webapp.services.subscriptions.creation import create_subscription
from webapp.services.subscriptions.fields import SubscriptionFields, SubscriptionLineFields
from webapp.services.subscriptions.means import Means, PaymentFields

TODAY = date(2026, 11, 20)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def client_(cast: Cast) -> Client:
    client: Client = factories.ClientFactory()
    return client


@pytest.fixture
def account(cast: Cast) -> ProviderAccount:
    account: ProviderAccount = factories.ProviderAccountFactory()
    return account


def _mandate(client: Client, **values: Any) -> Mandate:
    mandate = Mandate(
        **{
            "client_id": client.id,
            "bank_account_id": factories.make_bank_account(client).id,
            "status": MandateStatus.ACTIVE,
            "umr": "RUM-1",
            "signed_on": date(2026, 1, 5),
        }
        | values
    )
    db.session.add(mandate)
    db.session.flush()
    return mandate


def _find(client: Client, **values: Any) -> Means:
    return means.find_means(PaymentFields(**values), client_id=client.id, company_id=factories.default_company().id)


ACCOUNT = ProviderAccount(is_active=True)
CARD = SavedPaymentMethod(method=PaymentMethod.CARD)
GOOD_MANDATE = Mandate(status=MandateStatus.ACTIVE, umr="RUM-1", signed_on=TODAY)


@pytest.mark.parametrize(
    ("paid_by", "obstacle"),
    [
        (Means(), means.NO_METHOD),
        (Means(method=PaymentMethod.TRANSFER), None),
        (Means(method=PaymentMethod.CHEQUE), None),
        (Means(method=PaymentMethod.CARD), means.NO_CARD),
        (Means(method=PaymentMethod.CARD, mandate=GOOD_MANDATE, account=ACCOUNT), means.NO_CARD),
        (Means(method=PaymentMethod.CARD, saved=CARD, account=ACCOUNT), None),
        (Means(method=PaymentMethod.CARD, saved=CARD), means.NO_ACCOUNT),
        (Means(method=PaymentMethod.CARD, saved=CARD, account=ProviderAccount(is_active=False)), means.NO_ACCOUNT),
        (
            Means(method=PaymentMethod.CARD, saved=SavedPaymentMethod(expires_on=date(2026, 10, 31)), account=ACCOUNT),
            means.METHOD_EXPIRED,
        ),
        (
            Means(method=PaymentMethod.CARD, saved=SavedPaymentMethod(revoked_at=NOON), account=ACCOUNT),
            means.METHOD_REVOKED,
        ),
        (Means(method=PaymentMethod.SEPA, account=ACCOUNT), means.NO_MANDATE),
        (Means(method=PaymentMethod.SEPA, mandate=GOOD_MANDATE, account=ACCOUNT), None),
        (
            Means(method=PaymentMethod.SEPA, mandate=Mandate(status=MandateStatus.DECLARED), account=ACCOUNT),
            MandateFault.DECLARED.sentence,
        ),
        (
            Means(method=PaymentMethod.SEPA, mandate=Mandate(status=MandateStatus.REVOKED), account=ACCOUNT),
            MandateFault.REVOKED.sentence,
        ),
        (
            Means(
                method=PaymentMethod.SEPA,
                mandate=Mandate(status=MandateStatus.ACTIVE, umr="RUM-1", signed_on=date(2020, 1, 1)),
                account=ACCOUNT,
            ),
            MandateFault.IDLE.sentence,
        ),
    ],
)
def test_every_obstacle_is_explained(paid_by: Means, obstacle: str | None) -> None:
    assert paid_by.obstacle(TODAY) == obstacle


def test_a_saved_card_is_collected_by_the_account_that_keeps_it(client_: Client, account: ProviderAccount) -> None:
    saved = factories.SavedPaymentMethodFactory(client_id=client_.id, provider_account_id=account.id)
    found = _find(client_, method="card", saved_method_id=saved.id)
    assert (found.saved, found.account) == (saved, account)
    assert means.list_saved_methods(client_.id, on=TODAY) == [saved]


def test_our_mandates_are_collected_by_bank_file_rather_than_by_the_sandbox(
    client_: Client, account: ProviderAccount
) -> None:
    mandate = _mandate(client_)
    assert _find(client_, method="sepa", mandate_id=mandate.id).account == account
    files = factories.ProviderAccountFactory(provider=Provider.SEPA_FILE)
    assert _find(client_, method="sepa", mandate_id=mandate.id).account == files
    assert means.list_mandates(client_.id) == [mandate]


def test_an_unusable_mandate_may_be_chosen_and_is_explained(client_: Client, account: ProviderAccount) -> None:
    mandate = _mandate(client_, status=MandateStatus.DECLARED, umr=None)
    found = _find(client_, method="sepa", mandate_id=mandate.id)
    assert found.obstacle(TODAY) == MandateFault.DECLARED.sentence


def test_means_of_somebody_else_are_refused(client_: Client, account: ProviderAccount) -> None:
    neighbour = factories.ClientFactory()
    saved = factories.SavedPaymentMethodFactory(client_id=neighbour.id, provider_account_id=account.id)
    other_company = factories.CompanyFactory()
    elsewhere = factories.SavedPaymentMethodFactory(
        client_id=client_.id, provider_account_id=factories.ProviderAccountFactory(company_id=other_company.id).id
    )
    for values in (
        {"method": "gold"},
        {"method": "card", "saved_method_id": saved.id},
        {"method": "card", "saved_method_id": uuid4()},
        {"method": "card", "saved_method_id": elsewhere.id},
        {"method": "sepa", "mandate_id": _mandate(neighbour).id},
        {"method": "sepa", "mandate_id": _mandate(client_, company_id=other_company.id).id},
    ):
        with pytest.raises(InvalidInputError):
            _find(client_, **values)


def test_a_subscription_is_made_and_changed_with_its_means(client_: Client, account: ProviderAccount) -> None:
    saved = factories.SavedPaymentMethodFactory(client_id=client_.id, provider_account_id=account.id)
    subscription = create_subscription(
        SubscriptionFields(
            client_id=client_.id,
            frequency="weekly",
            anchor_date=TODAY,
            lines=[SubscriptionLineFields(label="Coffret", unit_price=factories.Decimal(5))],
            payment=PaymentFields(method="card", saved_method_id=saved.id),
        ),
        by=None,
        at=NOON,
    )
    assert means.load_means([subscription])[subscription.id].obstacle(TODAY) is None
    editing.change_payment(
        subscription.id, PaymentFields(method="transfer"), version=subscription.version, by=None, at=NOON
    )
    assert subscription.payment_method is PaymentMethod.TRANSFER
    assert (subscription.saved_method_id, subscription.provider_account_id) == (None, None)
    assert means.load_means([subscription])[subscription.id] == Means(method=PaymentMethod.TRANSFER)
