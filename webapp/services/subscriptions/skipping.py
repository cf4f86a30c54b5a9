"""Skipping the next cycle because the client wishes it: nothing is asked for it, and nothing is shipped.

The wish names its cycle. When that cycle falls due, the engine writes a charge that is SKIPPED, under the lock that
both take: a cycle is claimed or skipped, never both.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import exists, select

from webapp.errors import DomainError
from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.charges import Charge
from webapp.models.identity import User
from webapp.models.subscriptions import Subscription, SubscriptionStatus
from webapp.services.subscriptions import history, scheduling
from webapp.services.subscriptions.lifecycle import find_ours_for_update
from webapp.transactions import transaction


class NotToSkipError(DomainError):
    """The cycle cannot be skipped, or can be charged no more."""


def skip_cycle(subscription_id: UUID, cycle: int, *, by: User | None, at: datetime) -> Subscription:
    """Ask nothing for ``cycle``, the next one; once it is to be skipped, doing so again changes nothing.

    Raises NotFoundError; NotToSkipError where the subscription is not active, or the cycle taken or not the next.
    """
    with transaction():
        subscription = find_ours_for_update(subscription_id)
        if subscription.status is not SubscriptionStatus.ACTIVE or subscription.next_charge_on is None:
            raise NotToSkipError("Seule l’échéance à venir d’un abonnement actif peut être sautée.")
        _check_free(subscription, cycle)
        if not subscription.skips_next:
            _record(subscription, cycle, by=by, at=at)
    return subscription


def charge_after_all(subscription_id: UUID, cycle: int, *, by: User | None, at: datetime) -> Subscription:
    """Withdraw the wish while its cycle is not due; without one, nothing changes.

    Raises NotFoundError; NotToSkipError where the cycle is due, taken, or not the next.
    """
    with transaction():
        subscription = find_ours_for_update(subscription_id)
        _check_free(subscription, cycle)
        if subscription.skips_next:
            if scheduling.is_due(subscription, at=at):
                raise NotToSkipError("Cette échéance est arrivée\u202f: elle est sautée, et ne se rétablit plus.")
            _record(subscription, None, by=by, at=at)
    return subscription


def _check_free(subscription: Subscription, cycle: int) -> None:
    is_claimed = exists().where(linked(Subscription, Charge.subscription_id), Charge.cycle_no == cycle)
    taken = select(is_claimed).where(Subscription.id == subscription.id)
    if cycle != subscription.cycle_no or db.session.scalar(taken):
        raise NotToSkipError("Cette échéance n’est plus à venir\u202f: elle est déjà prélevée, ou en cours de l’être.")


def _record(subscription: Subscription, cycle: int | None, *, by: User | None, at: datetime) -> None:
    day = subscription.next_charge_on.isoformat() if subscription.next_charge_on else None
    subscription.skips_cycle = cycle
    changes = {"skips_cycle": [None, day] if cycle is not None else [day, None]}
    history.record_change(subscription, changes=changes, by=by, at=at)
