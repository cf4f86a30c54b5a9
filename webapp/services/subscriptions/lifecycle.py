"""The life of a subscription. Every change of state is checked, made, written into the subscription's history and the
client's timeline, and told through the outbox, in one transaction, under a lock.

``by`` is who did it, None for the application itself; ``reason`` is kept as it was written.
"""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from webapp import tenancy
from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.charges import Charge
from webapp.models.identity import User
from webapp.models.outbox import OutboxKind
from webapp.models.subscriptions import Collector, Subscription, SubscriptionHistory, SubscriptionStatus
from webapp.models.timeline import EventKind
from webapp.services.contact import clean_text
from webapp.services.subscriptions import history, scheduling
from webapp.transactions import transaction

log = structlog.get_logger()

PENDING, ACTIVE = SubscriptionStatus.PENDING, SubscriptionStatus.ACTIVE
PAUSED, PAST_DUE = SubscriptionStatus.PAUSED, SubscriptionStatus.PAST_DUE
CANCELED, EXPIRED = SubscriptionStatus.CANCELED, SubscriptionStatus.EXPIRED
REASON_LENGTH = 500
UNPAID = "Impayé"
"""The reason of what dunning suspends and ends."""
RENOUNCED = "Renonciation dans les quatorze jours"
"""The reason of a subscription that ends with the renunciation of its cover."""
EARLIEST_ZONE = timedelta(hours=14)
HELD_BY_SHOP = "Cet abonnement est tenu par la boutique\u202f: modifiez-le là-bas."


class TransitionRefusedError(DomainError):
    """The subscription's state does not allow this."""


class HeldByShopError(DomainError):
    """A shop holds the subscription: it is changed there, and follows from there."""


# What each transition is called: in the client's timeline, in the outbox, and in a refusal.
_TOLD: dict[tuple[SubscriptionStatus, SubscriptionStatus], tuple[EventKind, OutboxKind]] = {
    (PENDING, ACTIVE): (EventKind.SUBSCRIPTION_ACTIVATED, OutboxKind.SUBSCRIPTION_ACTIVATED),
    (PAUSED, ACTIVE): (EventKind.SUBSCRIPTION_RESUMED, OutboxKind.SUBSCRIPTION_RESUMED),
    (PAST_DUE, ACTIVE): (EventKind.SUBSCRIPTION_RECOVERED, OutboxKind.SUBSCRIPTION_RECOVERED),
    (ACTIVE, PAUSED): (EventKind.SUBSCRIPTION_PAUSED, OutboxKind.SUBSCRIPTION_PAUSED),
    (PAST_DUE, PAUSED): (EventKind.SUBSCRIPTION_PAUSED, OutboxKind.SUBSCRIPTION_PAUSED),
    (ACTIVE, PAST_DUE): (EventKind.SUBSCRIPTION_PAST_DUE, OutboxKind.SUBSCRIPTION_PAST_DUE),
    (ACTIVE, EXPIRED): (EventKind.SUBSCRIPTION_EXPIRED, OutboxKind.SUBSCRIPTION_EXPIRED),
} | {
    (status, CANCELED): (EventKind.SUBSCRIPTION_CANCELED, OutboxKind.SUBSCRIPTION_CANCELED)
    for status in (PENDING, ACTIVE, PAUSED, PAST_DUE)
}


def find_subscription(subscription_id: UUID) -> Subscription:
    """The subscription. Raises NotFoundError."""
    return _found(db.session.scalar(select(Subscription).where(Subscription.id == subscription_id)))


def find_for_update(subscription_id: UUID) -> Subscription:
    """The subscription, locked until the transaction ends, as it stands now. Raises NotFoundError."""
    statement = select(Subscription).where(Subscription.id == subscription_id).with_for_update()
    return _found(db.session.scalar(statement.execution_options(populate_existing=True)))


def _found(subscription: Subscription | None) -> Subscription:
    if subscription is None:
        raise NotFoundError("Cet abonnement n’existe pas ou plus.")
    return subscription


def refuse_of_shop(held: Subscription | Charge) -> None:
    """Raise HeldByShopError for what a shop collects: of it, only preferences, holds and gifts are changed here."""
    if held.is_of_shop:
        raise HeldByShopError(HELD_BY_SHOP)


def find_ours(subscription_id: UUID) -> Subscription:
    """The subscription, to be changed here. Raises NotFoundError, HeldByShopError."""
    subscription = find_subscription(subscription_id)
    refuse_of_shop(subscription)
    return subscription


def find_ours_for_update(subscription_id: UUID) -> Subscription:
    """The subscription, locked, to be changed here. Raises NotFoundError, HeldByShopError."""
    subscription = find_for_update(subscription_id)
    refuse_of_shop(subscription)
    return subscription


def activate(subscription_id: UUID, *, by: User | None, at: datetime, reason: str | None = None) -> Subscription:
    """Begin, by hand, a subscription whose first payment is still to come. Raises TransitionRefusedError."""
    with transaction():
        subscription = _find_in(subscription_id, {PENDING}, "activé")
        change_status(subscription, ACTIVE, reason=reason, by=by, at=at)
    return subscription


def pause(
    subscription_id: UUID, *, reason: str, by: User | None, at: datetime, resume_on: date | None = None
) -> Subscription:
    """Stop charging until it is resumed, by itself on ``resume_on`` if given.

    Raises TransitionRefusedError; InvalidInputError without a reason, or for a date that has come already.
    """
    reason = _checked_reason(reason)
    with transaction():
        subscription = _find_in(subscription_id, {ACTIVE}, "suspendu")
        if resume_on is not None and resume_on <= scheduling.local_date(at, subscription.timezone):
            raise InvalidInputError("La reprise doit être prévue après aujourd’hui.", field="resume_on")
        subscription.resume_on = resume_on
        changes = {"resume_on": [None, resume_on.isoformat()]} if resume_on else {}
        change_status(subscription, PAUSED, reason=reason, by=by, at=at, changes=changes)
    return subscription


def suspend_unpaid(subscription_id: UUID, *, by: User | None, at: datetime) -> bool:
    """Pause what is owed for, until dunning or a person resumes it; returns whether it charged or could have."""
    with transaction():
        subscription = find_for_update(subscription_id)
        if subscription.is_of_shop or subscription.status not in (ACTIVE, PAST_DUE):
            return False
        change_status(subscription, PAUSED, reason=UNPAID, by=by, at=at)
    return True


def resume(subscription_id: UUID, *, by: User | None, at: datetime) -> Subscription:
    """Charge again from the first anchored date not before today; what was skipped is never charged.

    Raises TransitionRefusedError.
    """
    with transaction():
        subscription = _find_in(subscription_id, {PAUSED}, "repris")
        _go_on(subscription, by=by, at=at)
    return subscription


def mark_past_due(subscription: Subscription, *, reason: str, at: datetime, by: User | None = None) -> None:
    """Its retries are used up: it accrues nothing until it is paid. The caller has it locked: they come by hundreds.

    Raises TransitionRefusedError.
    """
    refuse_of_shop(subscription)
    _check_in(subscription, {ACTIVE}, "déclaré impayé")
    change_status(subscription, PAST_DUE, reason=reason, by=by, at=at)


def mark_paid(subscription_id: UUID, *, at: datetime, by: User | None = None) -> bool:
    """A payment came: a pending subscription begins, an unpaid one goes on; in any other state nothing changes.

    Returns whether the state changed: a late payment does not bring a canceled subscription back to life.
    """
    with transaction():
        subscription = find_for_update(subscription_id)
        if subscription.is_of_shop:
            return False
        if subscription.status is PENDING:
            change_status(subscription, ACTIVE, reason=None, by=by, at=at)
        elif subscription.status is PAST_DUE:
            _go_on(subscription, by=by, at=at)
        else:
            return False
    return True


def _go_on(subscription: Subscription, *, by: User | None, at: datetime) -> None:
    """Back to active, at the first anchored date not before today (NEXT_ON_ANCHOR)."""
    skipped = scheduling.skip_to(subscription, scheduling.local_date(at, subscription.timezone))
    changes = {"skipped_cycles": [None, ", ".join(str(cycle + 1) for cycle in skipped)]} if skipped else {}
    change_status(subscription, ACTIVE, reason=None, by=by, at=at, changes=changes)


def cancel(
    subscription_id: UUID, *, reason: str, by: User | None, at: datetime, at_period_end: bool = False
) -> Subscription:
    """End it now, or let it live to the end of its period. Raises TransitionRefusedError; InvalidInputError without a
    reason.
    """
    reason = _checked_reason(reason)
    with transaction():
        subscription = _find_in(subscription_id, {PENDING, ACTIVE, PAUSED, PAST_DUE}, "résilié")
        if at_period_end:
            today = scheduling.local_date(at, subscription.timezone)
            _plan_end(subscription, scheduling.end_of_paid_period(subscription, today), reason=reason, by=by, at=at)
        else:
            change_status(subscription, CANCELED, reason=reason, by=by, at=at)
    return subscription


def cancel_on(subscription_id: UUID, day: date, *, reason: str, by: User | None, at: datetime) -> Subscription:
    """Let it end as a day begins; now where that day has begun. Raises as ``cancel``."""
    reason = _checked_reason(reason)
    with transaction():
        subscription = _find_in(subscription_id, {PENDING, ACTIVE, PAUSED, PAST_DUE}, "résilié")
        if day > scheduling.local_date(at, subscription.timezone):
            _plan_end(subscription, day, reason=reason, by=by, at=at)
        else:
            change_status(subscription, CANCELED, reason=reason, by=by, at=at)
    return subscription


def withdraw_cancellation(subscription_id: UUID, *, by: User | None, at: datetime) -> Subscription:
    """Withdraw the cancellation planned for the end of the period. Raises TransitionRefusedError if there is none."""
    with transaction():
        subscription = find_ours_for_update(subscription_id)
        if subscription.cancels_on is None:
            raise TransitionRefusedError("Aucune résiliation n’est prévue pour cet abonnement.")
        _plan_end(subscription, None, reason=None, by=by, at=at)
    return subscription


def _plan_end(
    subscription: Subscription, day: date | None, *, reason: str | None, by: User | None, at: datetime
) -> None:
    old, subscription.cancels_on = subscription.cancels_on, day
    scheduling.schedule(subscription, subscription.cycle_no)
    changes = {"cancels_on": [old.isoformat() if old else None, day.isoformat() if day else None]}
    history.record_change(subscription, changes=changes, reason=reason, by=by, at=at)


def expire(subscription_id: UUID, *, at: datetime, by: User | None = None) -> Subscription:
    """It has come to its natural end. Raises TransitionRefusedError."""
    with transaction():
        subscription = _find_in(subscription_id, {ACTIVE}, "clos")
        change_status(subscription, EXPIRED, reason=None, by=by, at=at)
    return subscription


def change_status(
    subscription: Subscription,
    status: SubscriptionStatus,
    *,
    reason: str | None,
    by: User | None,
    at: datetime,
    changes: dict[str, Any] | None = None,
) -> None:
    """Make one transition of a locked subscription, in the caller's transaction, and tell of it everywhere.

    Raises TransitionRefusedError where the table of transitions does not lead there.
    """
    if not subscription.can_become(status):
        raise TransitionRefusedError(f"Un abonnement {_word(subscription)} ne peut pas passer à « {status.label} ».")
    with transaction():
        old_status = subscription.status
        timeline_kind, event = _TOLD[old_status, status]
        before = subscription.revenue_per_year
        subscription.status = status
        if status is not PAUSED:
            subscription.resume_on = None
        if status.is_final:
            subscription.cancels_on = None
        scheduling.schedule(subscription, subscription.cycle_no)
        history.record(
            subscription,
            history.Told(timeline_kind, event),
            old_status=old_status,
            before=before,
            reason=reason,
            changes=changes or {},
            by=by,
            at=at,
        )


def _find_in(subscription_id: UUID, statuses: set[SubscriptionStatus], participle: str) -> Subscription:
    subscription = find_ours_for_update(subscription_id)
    _check_in(subscription, statuses, participle)
    return subscription


def _check_in(subscription: Subscription, statuses: set[SubscriptionStatus], participle: str) -> None:
    if subscription.status not in statuses:
        raise TransitionRefusedError(f"Un abonnement {_word(subscription)} ne peut pas être {participle}.")


def _word(subscription: Subscription) -> str:
    return subscription.status.label.lower()


def _checked_reason(reason: str) -> str:
    reason = clean_text(reason)
    if not reason:
        raise InvalidInputError("Indiquez un motif.", field="reason")
    if len(reason) > REASON_LENGTH:
        raise InvalidInputError(f"C’est trop long\u202f: {REASON_LENGTH} caractères au plus.", field="reason")
    return reason


def resume_due(*, at: datetime) -> int:
    """Resume, in every organisation, what was paused until today; returns how many. Shops resume by themselves."""
    is_due = (Subscription.status == PAUSED) & _has_come(Subscription.resume_on, at)
    return _for_each(is_due, lambda subscription: resume(subscription.id, by=None, at=at))


def end_due(*, at: datetime) -> int:
    """End, in every organisation, what was to be canceled by today or has outlived its last day; returns how many.

    What a shop holds ends when the shop says so.
    """
    is_canceled = _has_come(Subscription.cancels_on, at)
    is_over = (Subscription.status == ACTIVE) & _has_come(Subscription.ends_on + 1, at)
    is_ours = Subscription.collected_by == Collector.CRM
    return _for_each(is_ours & or_(is_canceled, is_over), lambda subscription: _end(subscription, at=at))


def _end(subscription: Subscription, *, at: datetime) -> None:
    if subscription.cancels_on is not None and subscription.cancels_on <= scheduling.local_date(
        at, subscription.timezone
    ):
        change_status(subscription, CANCELED, reason=_planned_reason(subscription), by=None, at=at)
    else:
        expire(subscription.id, at=at)


def _planned_reason(subscription: Subscription) -> str:
    """Why it was to end, as it was written when the end was planned."""
    statement = select(SubscriptionHistory.reason).where(
        SubscriptionHistory.subscription_id == subscription.id, SubscriptionHistory.changes.has_key("cancels_on")
    )
    latest = statement.order_by(SubscriptionHistory.at.desc(), SubscriptionHistory.id.desc()).limit(1)
    return db.session.scalar(latest) or "Résiliation prévue"


def _has_come(day: ColumnElement[Any] | InstrumentedAttribute[date | None], at: datetime) -> ColumnElement[bool]:
    """Whether the day has begun where the subscription lives; the first comparison is for the index."""
    return (day <= (at + EARLIEST_ZONE).date()) & (day <= func.date(func.timezone(Subscription.timezone, at)))


def _for_each(condition: ColumnElement[bool], work: Callable[[Subscription], object]) -> int:
    """Do ``work`` on every subscription that meets the condition, still does so under its lock, and is not being
    worked on elsewhere; each in a transaction of its own. One that fails is logged and does not stop the others.
    """
    with tenancy.across_organisations():
        due = db.session.execute(select(Subscription.organisation_id, Subscription.id).where(condition)).all()
    done = 0
    for organisation_id, subscription_id in due:
        try:
            with tenancy.organisation(organisation_id), transaction():
                subscription = db.session.scalar(
                    select(Subscription)
                    .where(Subscription.id == subscription_id, condition)
                    .with_for_update(skip_locked=True)
                    .execution_options(populate_existing=True)
                )
                if subscription is not None:
                    work(subscription)
                    done += 1
        except Exception:
            log.exception("subscription_timetable_failed", subscription_id=str(subscription_id))
    return done
