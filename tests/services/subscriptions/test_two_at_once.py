"""Two colleagues at one client in the same instant: a new subscription follows the default that stands afterwards."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from threading import Event
from uuid import UUID

from flask import Flask
from sqlalchemy import select

from tests import factories
from tests.conftest import Cast
from tests.waiting import until_somebody_waits
from webapp import tenancy
from webapp.extensions import db
from webapp.models.providers import Provider
from webapp.models.subscriptions import Subscription
from webapp.services.subscriptions import defaults
from webapp.services.subscriptions.creation import create_subscription
from webapp.services.subscriptions.fields import SubscriptionFields, SubscriptionLineFields
from webapp.services.subscriptions.means import PaymentFields
from webapp.transactions import transaction

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
    is_changed = Event()

    def change() -> None:
        """Change the default, and commit only once somebody waits for it."""
        with app.app_context(), tenancy.organisation(organisation_id):
            with transaction():
                fields = PaymentFields(method="card", saved_method_id=new)
                defaults.set_default(client_id, company_id, fields, by=None, at=AT)
                is_changed.set()
                until_somebody_waits()
            db.session.remove()

    def create() -> UUID:
        with app.app_context(), tenancy.organisation(organisation_id):
            assert is_changed.wait(10)
            written = SubscriptionFields(
                client_id=client_id,
                company_id=company_id,
                frequency="monthly",
                anchor_date=date(2026, 12, 1),
                lines=[SubscriptionLineFields(label="Formule", unit_price=Decimal(10))],
                payment=PaymentFields(follows_default=True),
            )
            made = create_subscription(written, by=None, at=AT).id
            db.session.remove()
            return made

    with ThreadPoolExecutor(2) as threads:
        changing, creating = threads.submit(change), threads.submit(create)
        changing.result(30)
        made = creating.result(30)
    db.session.rollback()
    assert db.session.scalars(select(Subscription.saved_method_id).where(Subscription.id == made)).one() == new
