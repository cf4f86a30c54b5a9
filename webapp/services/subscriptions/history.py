"""Telling of a change: a row of the subscription's history, an event in the client's timeline, one in the outbox."""

from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from webapp.extensions import db
from webapp.models.identity import User
from webapp.models.outbox import OutboxKind
from webapp.models.subscriptions import Subscription, SubscriptionHistory, SubscriptionStatus
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services import outbox


class Told(NamedTuple):
    """What a change is called in the client's timeline and in the outbox."""

    timeline: EventKind
    outbox: OutboxKind


CREATED = Told(EventKind.SUBSCRIPTION_CREATED, OutboxKind.SUBSCRIPTION_CREATED)
CHANGED = Told(EventKind.SUBSCRIPTION_CHANGED, OutboxKind.SUBSCRIPTION_CHANGED)


def record(
    subscription: Subscription,
    kinds: Told,
    *,
    old_status: SubscriptionStatus | None,
    before: Decimal,
    reason: str | None,
    changes: dict[str, Any],
    by: User | None,
    at: datetime,
) -> None:
    """Write down a change that has been made to ``subscription``, in the caller's transaction.

    ``before`` is the revenue of a year before the change; ``changes`` maps a field to ``[old, new]``.
    """
    user_id = by.id if by else None
    subscription.changed_at = at
    subscription.version = (subscription.version or 0) + 1
    if subscription in db.session.new:
        db.session.flush()  # its defaults, and a row for its history to point to
    db.session.add(
        SubscriptionHistory(
            subscription_id=subscription.id,
            client_id=subscription.client_id,
            currency=subscription.currency,
            at=at,
            user_id=user_id,
            old_status=old_status,
            new_status=subscription.status,
            reason=reason,
            changes=changes,
            annual_before=before,
            annual_after=subscription.revenue_per_year,
        )
    )
    changed = dict(changes)
    if old_status is not None and old_status is not subscription.status:
        changed["subscription_status"] = [old_status.label, subscription.status.label]
    if reason:
        changed["reason"] = [None, reason]
    db.session.add(
        TimelineEvent(client_id=subscription.client_id, kind=kinds.timeline, at=at, user_id=user_id, changes=changed)
    )
    outbox.emit(
        kinds.outbox,
        subscription.id,
        at=at,
        payload={
            "client_id": str(subscription.client_id),
            "company_id": str(subscription.company_id),
            "status": subscription.status.value,
            "cycle_no": subscription.cycle_no,
        },
    )


def record_change(
    subscription: Subscription,
    *,
    changes: dict[str, Any],
    by: User | None,
    at: datetime,
    reason: str | None = None,
    before: Decimal | None = None,
) -> None:
    """Write down a change that leaves the state as it is; ``before`` is needed where it touches the revenue."""
    record(
        subscription,
        CHANGED,
        old_status=subscription.status,
        before=subscription.revenue_per_year if before is None else before,
        reason=reason,
        changes=changes,
        by=by,
        at=at,
    )


def list_history(subscription_id: UUID, *, limit: int = 100) -> list[SubscriptionHistory]:
    """The changes of a subscription, the latest first, with who made them."""
    return list(
        db.session.scalars(
            select(SubscriptionHistory)
            .where(SubscriptionHistory.subscription_id == subscription_id)
            .order_by(SubscriptionHistory.at.desc(), SubscriptionHistory.id.desc())
            .limit(limit)
            .options(joinedload(SubscriptionHistory.user))
        )
    )
