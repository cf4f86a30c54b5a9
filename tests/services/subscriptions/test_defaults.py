"""A client's default means: subscriptions follow it unless they name their own."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from sqlalchemy import select

from tests import factories
from tests.conftest import Cast
from tests.queries import recorded_statements
from webapp import tenancy
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.banking import Mandate, MandateStatus
from webapp.models.base import new_id
from webapp.models.clients import Client
from webapp.models.contracts import PaymentMethod
from webapp.models.providers import DefaultMeans, Provider, ProviderAccount, SavedPaymentMethod
from webapp.models.subscriptions import Subscription, SubscriptionStatus
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.subscriptions import defaults, editing
from webapp.services.subscriptions.creation import create_subscription
from webapp.services.subscriptions.fields import SubscriptionFields, SubscriptionLineFields
from webapp.services.subscriptions.means import PaymentFields

AT = datetime(2026, 11, 20, 9, tzinfo=UTC)
NOTHING = PaymentFields()


@pytest.fixture
def owner(cast: Cast) -> Client:
    owner: Client = factories.ClientFactory()
    return owner


@pytest.fixture
def account(owner: Client) -> ProviderAccount:
    found: ProviderAccount = factories.ProviderAccountFactory(provider=Provider.SANDBOX)
    return found


@pytest.fixture
def card(owner: Client, account: ProviderAccount) -> PaymentFields:
    saved: SavedPaymentMethod = factories.SavedPaymentMethodFactory(
        client_id=owner.id, provider_account_id=account.id, expires_on=date(2030, 1, 31)
    )
    db.session.commit()
    return PaymentFields(method="card", saved_method_id=saved.id)


@pytest.fixture
def mandate(owner: Client, account: ProviderAccount) -> PaymentFields:
    mandate = Mandate(
        id=new_id(),
        client_id=owner.id,
        bank_account_id=factories.make_bank_account(owner).id,
        company_id=account.company_id,
        umr="MD-1",
        status=MandateStatus.ACTIVE,
        signed_on=date(2026, 1, 2),
    )
    db.session.add(mandate)
    db.session.commit()
    return PaymentFields(method="sepa", mandate_id=mandate.id)


def subscribe(owner: Client, payment: PaymentFields | None = None) -> Subscription:
    fields = SubscriptionFields(
        client_id=owner.id,
        frequency="monthly",
        anchor_date=AT.date(),
        lines=[SubscriptionLineFields(label="Coffret", unit_price=Decimal(20))],
        **({} if payment is None else {"payment": payment}),
    )
    return create_subscription(fields, by=None, at=AT)


def means_of(subscription: Subscription) -> tuple[object, ...]:
    db.session.refresh(subscription)
    return subscription.payment_method, subscription.saved_method_id, subscription.mandate_id


def test_a_new_subscription_follows_the_default_and_one_with_its_own_does_not(
    owner: Client, account: ProviderAccount, card: PaymentFields, mandate: PaymentFields, cast: Cast
) -> None:
    before = subscribe(owner)
    assert means_of(before) == (None, None, None)
    assert defaults.set_default(owner.id, account.company_id, card, by=cast.commercial, at=AT) == [before]
    after, own = subscribe(owner), subscribe(owner, mandate)
    assert means_of(before) == means_of(after) == (PaymentMethod.CARD, card.saved_method_id, None)
    followers = defaults.set_default(owner.id, account.company_id, mandate, by=cast.commercial, at=AT)
    assert followers == [before, after]
    assert means_of(before) == means_of(after) == means_of(own) == (PaymentMethod.SEPA, None, mandate.mandate_id)
    assert {each.provider_account_id for each in (before, after)} == {account.id}
    defaults.set_default(owner.id, account.company_id, NOTHING, by=cast.commercial, at=AT)
    assert means_of(before) == (None, None, None)
    assert means_of(own) == (PaymentMethod.SEPA, None, mandate.mandate_id)
    assert db.session.scalars(select(DefaultMeans)).all() == []


def test_one_that_names_its_own_follows_no_more_and_again_when_asked(
    owner: Client, account: ProviderAccount, card: PaymentFields, mandate: PaymentFields, cast: Cast
) -> None:
    defaults.set_default(owner.id, account.company_id, card, by=cast.commercial, at=AT)
    subscription = subscribe(owner)
    for payment, method in ((mandate, PaymentMethod.SEPA), (PaymentFields(follows_default=True), PaymentMethod.CARD)):
        version = subscription.version
        editing.change_payment(subscription.id, payment, version=version, by=cast.commercial, at=AT)
        assert (subscription.payment_method, subscription.means_inherited) == (method, payment.follows_default)


def test_the_same_default_twice_changes_nothing_and_the_timeline_tells_once(
    owner: Client, account: ProviderAccount, card: PaymentFields, cast: Cast
) -> None:
    subscription = subscribe(owner)
    for _ in range(2):
        defaults.set_default(owner.id, account.company_id, card, by=cast.commercial, at=AT)
    assert subscription.version == 2
    kind = TimelineEvent.kind == EventKind.DEFAULT_MEANS_CHANGED
    [event] = db.session.scalars(select(TimelineEvent).where(kind))
    assert event.changes["payment_method"] == [None, "Carte\u202f: Visa •••• 4242"]


def test_what_has_ended_and_other_companies_are_left_alone(
    owner: Client, account: ProviderAccount, card: PaymentFields, cast: Cast
) -> None:
    elsewhere = factories.CompanyFactory()
    ended = factories.SubscriptionFactory(client_id=owner.id, means_inherited=True, status=SubscriptionStatus.CANCELED)
    other = factories.SubscriptionFactory(client_id=owner.id, means_inherited=True, company_id=elsewhere.id)
    db.session.commit()
    assert defaults.set_default(owner.id, account.company_id, card, by=cast.commercial, at=AT) == []
    assert means_of(ended) == means_of(other) == (None, None, None)
    with pytest.raises(InvalidInputError):
        defaults.set_default(owner.id, elsewhere.id, card, by=cast.commercial, at=AT)


def test_a_stranger_means_is_refused_and_an_outsider_finds_nothing(
    owner: Client, account: ProviderAccount, card: PaymentFields, cast: Cast
) -> None:
    stranger: Client = factories.ClientFactory()
    db.session.commit()
    for payment in (card, PaymentFields(method="transfer")):
        with pytest.raises(InvalidInputError):
            defaults.set_default(stranger.id, account.company_id, payment, by=cast.commercial, at=AT)
    with tenancy.organisation(cast.other_organisation.id), pytest.raises(NotFoundError):
        defaults.set_default(owner.id, account.company_id, card, by=cast.outsider, at=AT)


def test_the_number_of_statements_does_not_grow_with_what_follows(
    owner: Client, account: ProviderAccount, card: PaymentFields, mandate: PaymentFields, cast: Cast
) -> None:
    counts = []
    for payment, number in ((card, 2), (mandate, 6)):
        for _ in range(number):
            subscribe(owner)
        db.session.expire_all()
        with recorded_statements() as statements:
            defaults.set_default(owner.id, account.company_id, payment, by=cast.commercial, at=AT)
        counts.append(len(statements))
    assert abs(counts[0] - counts[1]) <= 2  # the default that was there is read the second time
