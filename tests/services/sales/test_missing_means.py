"""Who signed and gave no means of payment is a task of the commercial, once, until the means has come."""

from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update

from tests import factories
from tests.conftest import NOW, Cast
from tests.services.means_requests.conftest import Desk, bank, desk
from tests.views.sales.journey import find, ready, send, sent_link
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.contracts import PaymentMethod
from webapp.models.covers import Cover
from webapp.models.providers import ProviderAccount
from webapp.models.subscriptions import Subscription
from webapp.models.tasks import Task
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.clients import activities
from webapp.services.sales import missing_means
from webapp.services.subscriptions import lifecycle

__all__ = ["bank", "desk"]
SIGNED = NOW
DUE = SIGNED + missing_means.PATIENCE + timedelta(minutes=1)


@pytest.fixture
def subscription(client: FlaskClient, stranger: FlaskClient, desk: Desk, cast: Cast) -> Subscription:
    """Of a client who accepted by the link, and was asked for a means of payment."""
    sale_id = ready(client, paiement={"paiement": "lien"})
    sale = find(sale_id)
    db.session.execute(update(Client).where(Client.id == sale.client_id).values(commercial_id=cast.sales_rep.id))
    send(client, sale_id, "signature/lien")
    assert stranger.post(sent_link(sale_id)).status_code == 200
    cover = db.session.scalars(select(Cover)).one()
    return db.session.scalars(select(Subscription).where(Subscription.id == cover.subscription_id)).one()


def tasks() -> list[Task]:
    return list(db.session.scalars(select(Task).order_by(Task.id).execution_options(populate_existing=True)))


def test_after_three_days_it_is_a_task_of_the_commercial_once(cast: Cast, subscription: Subscription) -> None:
    assert missing_means.look(at=SIGNED + timedelta(days=3) - timedelta(minutes=1)) == 0
    assert [missing_means.look(at=DUE), missing_means.look(at=DUE + timedelta(days=30))] == [1, 0]
    (task,) = tasks()
    assert (task.user_id, task.client_id) == (cast.commercial.id, subscription.client_id)
    assert task.title.endswith("signée le 20/11/2026\u202f: le client n’a donné aucun moyen de paiement")
    activities.set_done(task.client_id, task.id, True, by=cast.commercial, at=DUE)
    assert missing_means.look(at=DUE + timedelta(days=31)) == 0, "who ticked it off knows"


def test_it_is_ticked_off_once_the_means_has_come(subscription: Subscription) -> None:
    missing_means.look(at=DUE)
    subscription.payment_method = PaymentMethod.CARD
    db.session.flush()
    missing_means.look(at=DUE + timedelta(hours=1))
    assert tasks()[0].done_at is None, "a card is only meant"
    account = db.session.scalars(select(ProviderAccount)).one()
    saved = factories.SavedPaymentMethodFactory(client_id=subscription.client_id, provider_account_id=account.id)
    subscription.saved_method_id = saved.id
    db.session.flush()
    for hours in (2, 3):
        assert missing_means.look(at=DUE + timedelta(hours=hours)) == 0
    assert tasks()[0].done_at == DUE + timedelta(hours=2)
    done = db.session.scalars(select(TimelineEvent).where(TimelineEvent.kind == EventKind.TASK_DONE)).one()
    assert done.user_id is None


def test_who_pays_by_transfer_lacks_nothing_nor_does_what_has_ended(cast: Cast, subscription: Subscription) -> None:
    subscription.payment_method = PaymentMethod.TRANSFER
    db.session.flush()
    assert missing_means.look(at=DUE) == 0
    subscription.payment_method = None
    db.session.flush()
    assert missing_means.look(at=DUE) == 1
    lifecycle.cancel(subscription.id, reason="Renonciation", by=cast.commercial, at=DUE)
    assert missing_means.look(at=DUE + timedelta(hours=1)) == 0
    assert tasks()[0].done_at is not None
