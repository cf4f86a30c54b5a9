"""Which state of ours a shop's word comes to, and on which way. Pure."""

from collections.abc import Iterable
from datetime import timedelta
from itertools import pairwise

from webapp.models.charges import ChargeStatus
from webapp.models.subscriptions import TRANSITIONS, SubscriptionStatus
from webapp.services.woocommerce.reading import Order, Subscription

PENDING, ACTIVE = SubscriptionStatus.PENDING, SubscriptionStatus.ACTIVE
PAUSED, PAST_DUE = SubscriptionStatus.PAUSED, SubscriptionStatus.PAST_DUE
CANCELED, EXPIRED = SubscriptionStatus.CANCELED, SubscriptionStatus.EXPIRED

SETTLING = timedelta(minutes=10)
"""How long a subscription is on hold before that is believed."""

DRAFT, ON_HOLD, PENDING_CANCEL, TRASH = "checkout-draft", "on-hold", "pending-cancel", "trash"
NAMED = {
    "pending": PENDING,
    "active": ACTIVE,
    PENDING_CANCEL: ACTIVE,
    "cancelled": CANCELED,
    "switched": CANCELED,
    "expired": EXPIRED,
}
KNOWN_SUBSCRIPTIONS = frozenset({*NAMED, ON_HOLD, TRASH})

UNPAID_ORDERS = {
    "pending": ChargeStatus.SCHEDULED,
    "processing": ChargeStatus.SCHEDULED,
    "on-hold": ChargeStatus.PROCESSING,
    "failed": ChargeStatus.FAILED,
    "cancelled": ChargeStatus.CANCELED,
    # Given away unpaid, or given back without ever having been paid: nothing more is to come.
    "completed": ChargeStatus.SCHEDULED,
    "refunded": ChargeStatus.CANCELED,
    TRASH: ChargeStatus.CANCELED,
}
KNOWN_ORDERS = frozenset({*UNPAID_ORDERS, DRAFT})
CANCELING = frozenset({PENDING_CANCEL, "cancelled", "switched"})
"""States of a subscription whose end date is not its natural one."""
ENDING = frozenset({"cancelled", "switched", "expired", TRASH})
"""States of a subscription after which no payment is expected."""
OWED = frozenset({"pending", "on-hold", "failed"})
"""States of an unpaid renewal that the shop still wants money for."""


def status_of(subscription: Subscription, orders: Iterable[Order]) -> SubscriptionStatus:
    """The state that the shop's word comes to, with what is known of its orders.

    In the trash, it is ended where the shop says when it ended, else paused: it may be restored.
    A state that we do not know is at work once something was paid.
    """
    if named := NAMED.get(subscription.status):
        return named
    orders = list(orders)
    was_paid = subscription.paid_at is not None or any(order.paid_at is not None for order in orders)
    if subscription.status == ON_HOLD:
        if any(_is_unpaid_renewal(order) for order in orders):
            return PAST_DUE
        return PAUSED if was_paid else PENDING
    if subscription.status == TRASH:
        if subscription.cancelled_at is not None:
            return CANCELED
        return PAUSED if was_paid else PENDING
    return ACTIVE if was_paid else PENDING


def _is_unpaid_renewal(order: Order) -> bool:
    return bool(order.renewal_of) and order.paid_at is None and order.status in OWED


def way(current: SubscriptionStatus, wanted: SubscriptionStatus) -> list[SubscriptionStatus]:
    """The states to go through, ``wanted`` the last; empty where nothing leads there.

    Through ACTIVE where nothing leads directly. Out of a final state only a person leads.
    """
    for path in ([wanted], [ACTIVE, wanted]):
        if all(after in TRANSITIONS[before] for before, after in pairwise([current, *path])):
            return path
    return []


def charge_status_of(order: Order) -> ChargeStatus:
    """What an order is as a charge: paid means that it has a date of payment, and nothing else."""
    if order.paid_at is not None:
        return ChargeStatus.SUCCEEDED
    return UNPAID_ORDERS.get(order.status, ChargeStatus.SCHEDULED)
