"""Two colleagues at one client in the same instant: new means are used only where they can be."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event
from uuid import UUID

from flask import Flask
from sqlalchemy import select

from tests import factories
from tests.conftest import NOW, Cast
from tests.waiting import until_somebody_waits
from webapp import tenancy
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.means_requests import MeansRequest, MeansRequestStatus
from webapp.models.subscriptions import Subscription
from webapp.services.means_requests import commands
from webapp.transactions import transaction


def test_a_subscription_that_goes_to_another_company_is_not_paid_to_the_first(app: Flask, committed: None) -> None:
    cast = factories.make_cast(Cast)
    client_id: UUID = factories.ClientFactory().id
    moving, staying = (factories.SubscriptionFactory(client_id=client_id).id for _ in range(2))
    other_company: UUID = factories.CompanyFactory().id
    request_id = _answered_request(client_id)
    organisation_id, by = cast.organisation.id, cast.admin
    db.session.commit()
    is_moved = Event()

    def move() -> None:
        """Give one to the other company, and commit only once somebody waits for it."""
        with app.app_context(), tenancy.organisation(organisation_id):
            with transaction():
                db.session.scalars(
                    select(Subscription).where(Subscription.id == moving)
                ).one().company_id = other_company
                db.session.flush()
                is_moved.set()
                until_somebody_waits()
            db.session.remove()

    def use() -> None:
        with app.app_context(), tenancy.organisation(organisation_id):
            assert is_moved.wait(10)
            commands.use_for_waiting(client_id, request_id, by=by, at=NOW)
            db.session.remove()

    with ThreadPoolExecutor(2) as threads:
        for work in [threads.submit(move), threads.submit(use)]:
            work.result(30)
    db.session.rollback()
    rows = db.session.execute(select(Subscription.id, Subscription.saved_method_id))
    paid_by = {row.id: row.saved_method_id for row in rows}
    assert paid_by[moving] is None
    assert paid_by[staying] is not None


def _answered_request(client_id: UUID) -> UUID:
    account = factories.ProviderAccountFactory()
    saved = factories.SavedPaymentMethodFactory(client_id=client_id, provider_account_id=account.id, expires_on=None)
    request = MeansRequest(
        organisation_id=tenancy.current_organisation_id(),
        id=new_id(),
        client_id=client_id,
        provider_account_id=account.id,
        status=MeansRequestStatus.DONE,
        expires_at=NOW + timedelta(days=14),
        ended_at=NOW,
        saved_method_id=saved.id,
    )
    request.keep_token("a token")
    db.session.add(request)
    db.session.flush()
    return request.id
