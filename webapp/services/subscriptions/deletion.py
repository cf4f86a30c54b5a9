"""Deleting a subscription that never began: nothing was ever asked for it."""

from datetime import datetime
from uuid import UUID

from webapp.errors import DomainError
from webapp.extensions import db
from webapp.models.identity import User
from webapp.models.outbox import OutboxKind
from webapp.models.subscriptions import Subscription, SubscriptionStatus
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services import outbox
from webapp.services.subscriptions import coupons
from webapp.services.subscriptions.lifecycle import find_ours_for_update
from webapp.services.subscriptions.planning import was_charged
from webapp.transactions import transaction

BEGUN = "Un abonnement qui a commencé ne se supprime pas\u202f: résiliez-le."
CHARGED = "Une échéance de cet abonnement a déjà été traitée\u202f: il ne se supprime plus, résiliez-le."


class BegunError(DomainError):
    """The subscription has begun, or something was asked for it."""


def delete_subscription(subscription_id: UUID, *, by: User | None, at: datetime) -> UUID:
    """Delete a pending subscription with its lines, preferences and history; returns its client's id.

    The client's timeline keeps that it was there. Raises NotFoundError, HeldByShopError, BegunError.
    """
    with transaction():
        subscription = find_ours_for_update(subscription_id)
        if subscription.status is not SubscriptionStatus.PENDING:
            raise BegunError(BEGUN)
        if was_charged(subscription_id):
            raise BegunError(CHARGED)
        if subscription.coupon_id is not None:
            coupons.give_back(subscription.coupon_id)
        _tell(subscription, by=by, at=at)
        client_id = subscription.client_id
        db.session.delete(subscription)
        db.session.flush()
    return client_id


def _tell(subscription: Subscription, *, by: User | None, at: datetime) -> None:
    db.session.add(
        TimelineEvent(
            client_id=subscription.client_id,
            kind=EventKind.SUBSCRIPTION_DELETED,
            at=at,
            user_id=by.id if by else None,
            changes={"subscription": [subscription.code, None]},
        )
    )
    payload = {"client_id": str(subscription.client_id), "company_id": str(subscription.company_id)}
    outbox.emit(OutboxKind.SUBSCRIPTION_DELETED, subscription.id, at=at, payload=payload)
