"""From which cycle a change of preferences holds: the earliest that is not settled.

A cycle is settled once it was given up, or once what it ships stands in a batch that is locked or past its cut-off; not
while it is unpaid, or tried again. One that was paid and ships nothing is settled by the first cut-off after that. A
company that makes no batches settles each cycle when it is charged.
"""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, and_, case, exists, or_, select

from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.charges import Charge, ChargeStatus
from webapp.models.fulfilment import LIVE_LINES, BatchStatus, FulfilmentBatch, FulfilmentBatchLine
from webapp.models.preferences import CutOff
from webapp.models.subscriptions import Subscription
from webapp.services.preferences.cut_offs import next_cut_off

GIVEN_UP = frozenset({ChargeStatus.CANCELED, ChargeStatus.SKIPPED})
FURTHEST_APART = timedelta(days=14)
"""No two cut-offs in a row are further apart, even where a holiday has moved the first."""


def hold_batches(subscription: Subscription) -> None:
    """Let no batch be locked that holds lines of the subscription until the transaction ends.

    Whoever asks ``first_cycle_for_change`` afterwards is right until then.
    """
    lines = exists().where(
        linked(FulfilmentBatch, FulfilmentBatchLine.batch_id), FulfilmentBatchLine.subscription_id == subscription.id
    )
    theirs = select(FulfilmentBatch.id).where(FulfilmentBatch.status == BatchStatus.OPEN, lines)
    db.session.scalars(theirs.order_by(FulfilmentBatch.id).with_for_update(read=True)).all()


def first_cycle_for_change(subscription: Subscription, cut_off: CutOff, *, at: datetime) -> int:
    """The cycle from which a change made at ``at`` holds."""
    if not cut_off.is_active:
        return subscription.cycle_no
    for cycle, paid_at in db.session.execute(_unsettled(subscription, at)):
        if cycle is not None and (paid_at is None or at < next_cut_off(cut_off, paid_at)):
            return min(cycle, subscription.cycle_no)
    return subscription.cycle_no


def _unsettled(subscription: Subscription, at: datetime) -> Select[int | None, datetime | None]:
    """Its cycles that may not be settled, in order; with the instant where the first cut-off after it settles it."""
    is_paid = Charge.status == ChargeStatus.SUCCEEDED
    is_kept = FulfilmentBatchLine.status.in_(LIVE_LINES)
    is_open = and_(
        is_kept,
        FulfilmentBatch.status == BatchStatus.OPEN,
        or_(FulfilmentBatch.cutoff_at.is_(None), FulfilmentBatch.cutoff_at > at),
    )
    awaits_payment = and_(Charge.status.not_in({*GIVEN_UP, ChargeStatus.SUCCEEDED}), ~_has_line(is_kept))
    is_without_lines = and_(is_paid, ~_has_line(), Charge.settled_at > at - FURTHEST_APART)
    return (
        select(Charge.cycle_no, case((is_without_lines, Charge.settled_at)))
        .where(
            Charge.subscription_id == subscription.id,
            Charge.cycle_no.is_not(None),
            or_(_has_line(is_open), awaits_payment, is_without_lines),
        )
        .order_by(Charge.cycle_no)
    )


def _has_line(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether a batch has a line of the charge that meets the conditions."""
    return (
        exists()
        .where(linked(Charge, FulfilmentBatchLine.charge_id), *conditions)
        .where(linked(FulfilmentBatch, FulfilmentBatchLine.batch_id))
    )
