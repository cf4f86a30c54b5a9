"""A subscription of a client, what happens to it, and what the client is told."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import delete, select
from sqlalchemy.orm import undefer

from tests import factories
from tests.conftest import Cast
from webapp import clock
from webapp.extensions import db
from webapp.models.charges import Charge, ChargeStatus
from webapp.models.clients import Client
from webapp.models.messages import Message, MessageKind
from webapp.models.outbox import OutboxDelivery, OutboxEvent, OutboxKind
from webapp.models.subscriptions import Subscription
from webapp.services import outbox
from webapp.services.messages import rendering
from webapp.tenancy import current_organisation_id

NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)


@dataclass
class Told:
    """Who subscribes to what, and what they were told."""

    client: Client
    subscription: Subscription

    def charge(self, **values: Any) -> Charge:
        """A charge of the subscription."""
        given = {"status": ChargeStatus.SUCCEEDED, "attempts_count": 1} | values
        return factories.ChargeFactory(subscription_id=self.subscription.id, client_id=self.client.id, **given)

    def happens(self, kind: OutboxKind, charge: Charge, **payload: Any) -> None:
        """Something happens to a charge, and is told."""
        outbox.emit(kind, self.subscription.id, at=NOW, payload={"charge_id": str(charge.id)} | payload)
        db.session.commit()

    def deliver(self) -> None:
        """What happened is delivered, and once more, as after a kill."""
        outbox.deliver(current_organisation_id(), at=clock.now())
        again = select(OutboxEvent.id)
        db.session.execute(delete(OutboxDelivery).where(OutboxDelivery.event_id.in_(again)))
        for event in db.session.scalars(select(OutboxEvent).order_by(OutboxEvent.id.desc())).all():
            for name in outbox.SUBSCRIBERS.get(event.kind, ()):
                outbox._resolve(name)(event)
        db.session.commit()

    def messages(self) -> Sequence[Message]:
        """What was written, the earliest first."""
        statement = select(Message).order_by(Message.id).options(undefer(Message.content))
        return db.session.scalars(statement).all()

    def kinds(self) -> list[MessageKind]:
        """On what occasions."""
        return [message.kind for message in self.messages()]

    def text(self) -> str:
        """The words of the only message."""
        [message] = self.messages()
        content = message.content_in_clear()
        return f"{content['subject']}\n{rendering.to_plain_text(content['body'])}"


@pytest.fixture
def told(cast: Cast) -> Told:
    """A client of the organisation, with an active subscription."""
    clock.start_at(NOW)
    client = factories.ClientFactory()
    subscription = factories.SubscriptionFactory(client_id=client.id, recurring_amount=Decimal(20))
    factories.SubscriptionLineFactory(subscription_id=subscription.id, label="Panier de saison")
    db.session.commit()
    return Told(client, subscription)
