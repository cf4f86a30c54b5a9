"""Deleting what never began."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from tests import factories
from tests.conftest import Cast
from webapp import tenancy
from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.models.subscriptions import Subscription, SubscriptionHistory, SubscriptionStatus
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.subscriptions import deletion
from webapp.services.subscriptions.deletion import BegunError

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def _make(status: SubscriptionStatus = SubscriptionStatus.PENDING) -> Subscription:
    subscription: Subscription = factories.SubscriptionFactory(client_id=factories.ClientFactory().id, status=status)
    factories.SubscriptionLineFactory(subscription_id=subscription.id)
    db.session.commit()
    return subscription


def test_a_pending_one_that_was_never_charged_goes_and_the_client_remembers(cast: Cast) -> None:
    subscription = _make()
    code, client_id = subscription.code, subscription.client_id
    assert deletion.delete_subscription(subscription.id, by=cast.manager, at=NOON) == client_id
    db.session.commit()
    assert db.session.scalars(select(Subscription)).all() == []
    assert db.session.scalars(select(SubscriptionHistory)).all() == []
    told = db.session.scalars(select(TimelineEvent)).one()
    assert (told.kind, told.changes) == (EventKind.SUBSCRIPTION_DELETED, {"subscription": [code, None]})


@pytest.mark.parametrize("status", [status for status in SubscriptionStatus if status != "pending"])
def test_one_that_has_begun_stays(cast: Cast, status: SubscriptionStatus) -> None:
    with pytest.raises(BegunError, match="résiliez-le"):
        deletion.delete_subscription(_make(status).id, by=cast.manager, at=NOON)


def test_one_that_was_asked_for_stays(cast: Cast) -> None:
    subscription = _make()
    factories.ChargeFactory(subscription_id=subscription.id, client_id=subscription.client_id)
    with pytest.raises(BegunError, match="déjà été traitée"):
        deletion.delete_subscription(subscription.id, by=cast.manager, at=NOON)


def test_an_outsider_finds_nothing_to_delete(cast: Cast) -> None:
    subscription = _make()
    with tenancy.organisation(cast.other_organisation.id), pytest.raises(NotFoundError):
        deletion.delete_subscription(subscription.id, by=cast.outsider, at=NOON)
