"""What dunning suspends, it resumes once that is paid; what a person resumed or ended meanwhile is left alone."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, update

from webapp import clock
from webapp.extensions import db
from webapp.models.base import linked, new_id
from webapp.models.dunning import (
    DunningCase,
    DunningClaim,
    DunningSequence,
    DunningStep,
    DunningSuspension,
    StepAction,
    StepOutcome,
)
from webapp.models.outbox import OutboxEvent
from webapp.models.payments import Payment, PaymentKind
from webapp.models.subscriptions import Subscription, SubscriptionStatus
from webapp.services.dunning import days, premiums
from webapp.services.subscriptions import lifecycle
from webapp.transactions import transaction


def suspend(case: DunningCase, subscription_ids: Iterable[UUID], *, at: datetime) -> int:
    """Pause subscriptions for a locked case, in the caller's transaction; returns how many were not paused before."""
    suspended = 0
    for subscription_id in sorted(subscription_ids):
        if lifecycle.suspend_unpaid(subscription_id, by=None, at=at):
            suspension = DunningSuspension(
                id=new_id(), case_id=case.id, round=case.round, subscription_id=subscription_id, suspended_at=at
            )
            db.session.add(suspension)
            suspended += 1
    db.session.flush()
    return suspended


def terminate(subscription_ids: Iterable[UUID], *, at: datetime) -> int:
    """Cancel subscriptions, in the caller's transaction; returns how many were not ended before."""
    ended = 0
    for subscription_id in sorted(subscription_ids):
        if not lifecycle.find_for_update(subscription_id).status.is_final:
            lifecycle.cancel(subscription_id, reason=lifecycle.UNPAID, by=None, at=at)
            ended += 1
    return ended


def release(case: DunningCase, *, at: datetime) -> None:
    """What a locked case suspended is paid for: it resumes at once, or, of an insurance, at noon of the day after.

    The sequence says that it is for insurance, or the subscription's own charges are premiums.
    """
    standing = _list_standing(DunningSuspension.case_id == case.id)
    if not standing:
        return
    sequence = db.session.get_one(DunningSequence, (case.organisation_id, case.sequence_id))
    noon, insured = days.noon_after(days.local(_paid_at(case) or at)), premiums.list_subscriptions(case.id)
    for suspension in standing:
        is_insurance = sequence.is_insurance or suspension.subscription_id in insured
        suspension.resume_at = noon if is_insurance else at
        if suspension.resume_at <= at:
            _resume(suspension, case, at=at)


def _paid_at(case: DunningCase) -> datetime | None:
    """When the last of the money came that settled the case."""
    return db.session.scalar(
        select(func.max(Payment.happened_at)).where(
            Payment.kind == PaymentKind.CAPTURE,
            Payment.charge_id.in_(select(DunningClaim.charge_id).where(DunningClaim.case_id == case.id)),
        )
    )


def find_paid_at(subscription_id: UUID, *, resumed_at: datetime) -> datetime | None:
    """When that was paid for which dunning resumed the subscription at that instant; None where it did not."""
    case = (
        select(DunningCase)
        .join(DunningSuspension, linked(DunningCase, DunningSuspension.case_id))
        .where(
            DunningSuspension.subscription_id == subscription_id,
            DunningSuspension.ended_at == resumed_at,
            DunningSuspension.resume_at.is_not(None),
        )
    )
    found = db.session.scalar(case)
    return _paid_at(found) if found else None


def list_resumptions(subscription_ids: Collection[UUID]) -> dict[UUID, datetime]:
    """When those of some suspended subscriptions go on that were paid for, and wait for their hour."""
    statement = select(DunningSuspension.subscription_id, DunningSuspension.resume_at).where(
        DunningSuspension.subscription_id.in_(subscription_ids),
        DunningSuspension.ended_at.is_(None),
        DunningSuspension.resume_at.is_not(None),
    )
    return {subscription_id: hour for subscription_id, hour in db.session.execute(statement) if hour is not None}


def _list_standing(*conditions: ColumnElement[bool]) -> Sequence[DunningSuspension]:
    statement = select(DunningSuspension).where(DunningSuspension.ended_at.is_(None), *conditions)
    return db.session.scalars(statement.order_by(DunningSuspension.subscription_id)).all()


def _resume(suspension: DunningSuspension, case: DunningCase, *, at: datetime) -> None:
    """End a suspension; the subscription goes on unless somebody has decided otherwise meanwhile."""
    suspension.ended_at = at
    if lifecycle.find_for_update(suspension.subscription_id).status is not SubscriptionStatus.PAUSED:
        return
    lifecycle.resume(suspension.subscription_id, by=None, at=at)
    db.session.add(
        DunningStep(
            id=new_id(),
            case_id=case.id,
            round=case.round,
            action=StepAction.RESUME,
            outcome=StepOutcome.DONE,
            planned_on=days.local(suspension.resume_at or at),
            at=at,
        )
    )


def resume_due(*, at: datetime) -> int:
    """Resume, in the current organisation, what was paid for and whose hour has come; returns how many.

    Each in a transaction of its own, under the lock of its case.
    """
    due = select(DunningSuspension.id, DunningSuspension.case_id).where(
        DunningSuspension.resume_at <= at, DunningSuspension.ended_at.is_(None)
    )
    resumed = 0
    for suspension_id, case_id in db.session.execute(due.order_by(DunningSuspension.id)).all():
        with transaction():
            case = db.session.scalars(select(DunningCase).where(DunningCase.id == case_id).with_for_update()).one()
            for suspension in _list_standing(DunningSuspension.id == suspension_id, DunningSuspension.resume_at <= at):
                _resume(suspension, case, at=at)
                resumed += 1
    return resumed


def take_over(case: DunningCase, subscription_id: UUID) -> None:
    """Money that was to resume a subscription went back before the hour: it stays suspended, for the locked case."""
    for suspension in _list_standing(DunningSuspension.subscription_id == subscription_id):
        suspension.case_id, suspension.round, suspension.resume_at = case.id, case.round, None


def forget(event: OutboxEvent) -> None:
    """Hear that a subscription was resumed or ended: what dunning had suspended of it is its business no more."""
    with transaction():
        db.session.execute(
            update(DunningSuspension)
            .where(
                DunningSuspension.subscription_id == event.subject_id,
                DunningSuspension.ended_at.is_(None),
                DunningSuspension.suspended_at < event.occurred_at,
            )
            .values(ended_at=clock.now())
        )


def list_suspensions(case_id: UUID) -> Sequence[DunningSuspension]:
    """What a case suspended, the first first."""
    statement = select(DunningSuspension).where(DunningSuspension.case_id == case_id)
    return db.session.scalars(statement.order_by(DunningSuspension.suspended_at, DunningSuspension.id)).all()


def list_subscriptions(subscription_ids: Iterable[UUID]) -> Sequence[Subscription]:
    """Some subscriptions, by number."""
    statement = select(Subscription).where(Subscription.id.in_(list(subscription_ids)))
    return db.session.scalars(statement.order_by(Subscription.number)).all()
