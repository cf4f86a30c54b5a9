"""Two colleagues at one client in the same instant: a new subscription follows the default that stands afterwards."""

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

from flask import Flask
from sqlalchemy import select

from tests import factories
from tests.concurrency import in_turn
from tests.conftest import Cast
from webapp.extensions import db
from webapp.models.providers import Provider
from webapp.models.subscriptions import Subscription
from webapp.services.subscriptions import defaults
from webapp.services.subscriptions.creation import create_subscription
from webapp.services.subscriptions.fields import SubscriptionFields, SubscriptionLineFields
from webapp.services.subscriptions.means import PaymentFields

AT = datetime(2026, 11, 20, 9, tzinfo=UTC)


def test_a_subscription_made_while_the_default_changes_follows_the_new_one(app: Flask, committed: None) -> None:
    cast = factories.make_cast(Cast)
    client_id: UUID = factories.ClientFactory().id
    account = factories.ProviderAccountFactory(provider=Provider.SANDBOX)
    old, new = (
        factories.SavedPaymentMethodFactory(
            client_id=client_id, provider_account_id=account.id, expires_on=date(2030, 1, 31)
        ).id
        for _ in range(2)
    )
    company_id, organisation_id = account.company_id, cast.organisation.id
    db.session.commit()
    defaults.set_default(client_id, company_id, PaymentFields(method="card", saved_method_id=old), by=None, at=AT)

    def create() -> UUID:
        written = SubscriptionFields(
            client_id=client_id,
            company_id=company_id,
            frequency="monthly",
            anchor_date=date(2026, 12, 1),
            lines=[SubscriptionLineFields(label="Formule", unit_price=Decimal(10))],
            payment=PaymentFields(follows_default=True),
        )
        return create_subscription(written, by=None, at=AT).id

    changed = PaymentFields(method="card", saved_method_id=new)
    made = in_turn(
        app,
        organisation_id,
        lambda: defaults.set_default(client_id, company_id, changed, by=None, at=AT),
        create,
    )
    db.session.rollback()
    assert db.session.scalars(select(Subscription.saved_method_id).where(Subscription.id == made)).one() == new
