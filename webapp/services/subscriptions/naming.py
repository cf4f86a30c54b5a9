"""How a client reads what they are subscribed to: « Panier de saison (S-1042) »."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import select

from webapp.extensions import db
from webapp.models.subscriptions import Subscription, SubscriptionLine

LABELS_SAID = 2


def find_names(subscription_ids: Collection[UUID]) -> dict[UUID, str]:
    """What each subscription is called, in two queries however many there are."""
    ids = set(subscription_ids)
    labels: dict[UUID, list[str]] = {}
    lines = select(SubscriptionLine.subscription_id, SubscriptionLine.label)
    order = SubscriptionLine.subscription_id, SubscriptionLine.position
    for row in db.session.execute(lines.where(SubscriptionLine.subscription_id.in_(ids)).order_by(*order)):
        labels.setdefault(row.subscription_id, []).append(row.label)
    numbers = db.session.execute(select(Subscription.id, Subscription.number).where(Subscription.id.in_(ids)))
    return {row.id: _name(labels.get(row.id, []), f"{Subscription.LETTER}-{row.number}") for row in numbers}


def _name(labels: list[str], code: str) -> str:
    if not labels:
        return f"Abonnement {code}"
    more = "…" if len(labels) > LABELS_SAID else ""
    return f"{', '.join(labels[:LABELS_SAID])}{more} ({code})"
