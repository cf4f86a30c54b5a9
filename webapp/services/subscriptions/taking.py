"""What changes about a subscription when one of its cycles is taken: in the transaction that makes the charge."""

from datetime import datetime
from typing import Any

from sqlalchemy import delete, update

from webapp.extensions import db
from webapp.models.plan_changes import PlannedChange, SubscriptionAdjustment
from webapp.models.subscriptions import Subscription, SubscriptionLine
from webapp.services.subscriptions import history, proration
from webapp.services.subscriptions.terms import AskedCycle, Terms, set_lines

REACHED = "Changement prévu pour cette échéance"


def take(subscription: Subscription, agreed: Terms, asked: AskedCycle, after: Terms, *, at: datetime) -> None:
    """Keep the terms that follow a cycle of the locked subscription, and tell what they change about its revenue.

    ``agreed`` are those from before it. Where nothing changes, which is the rule, nothing is written.
    """
    if after == agreed and asked.recurring == subscription.recurring_amount:
        return
    before, changes = subscription.revenue_per_year, _changes(subscription, agreed, asked, after)
    if agreed.planned is not None:
        _apply_planned(subscription, agreed.planned, after)
    subscription.coupon_id = after.coupon.id if after.coupon else None
    subscription.coupon_cycles_left = after.coupon_cycles_left
    subscription.trial_cycles_left = after.trial_cycles_left
    subscription.setup_fee, subscription.setup_vat_rate = after.setup_fee, after.setup_vat_rate
    subscription.recurring_amount = asked.recurring
    for adjustment_id, left_over in asked.left_over.items():
        db.session.execute(
            update(SubscriptionAdjustment)
            .where(SubscriptionAdjustment.id == adjustment_id)
            .values(left_over=proration.as_json(left_over))
        )
    if changes:
        reason = REACHED if agreed.planned is not None else None
        history.record_change(subscription, changes=changes, before=before, reason=reason, by=None, at=at)


def _changes(subscription: Subscription, agreed: Terms, asked: AskedCycle, after: Terms) -> dict[str, Any]:
    """Field → ``[old, new]`` of what people see."""
    changes: dict[str, Any] = {}
    if asked.recurring != subscription.recurring_amount:
        changes["recurring_amount"] = [str(subscription.recurring_amount), str(asked.recurring)]
    if agreed.coupon is not None and after.coupon is None:
        changes["coupon"] = [agreed.coupon.code, None]
    if after.frequency is not agreed.frequency:
        changes["frequency"] = [agreed.frequency.label, after.frequency.label]
    if after.anchor_date != agreed.anchor_date:
        changes["anchor_date"] = [agreed.anchor_date.isoformat(), after.anchor_date.isoformat()]
    return changes


def _apply_planned(subscription: Subscription, planned: PlannedChange, after: Terms) -> None:
    if planned.lines is not None:
        db.session.execute(delete(SubscriptionLine).where(SubscriptionLine.subscription_id == subscription.id))
        set_lines(subscription, after.lines)
        db.session.expire(subscription, ["lines"])
    subscription.frequency = after.frequency
    subscription.anchor_date, subscription.anchor_cycle = after.anchor_date, after.anchor_cycle
    db.session.execute(delete(PlannedChange).where(PlannedChange.subscription_id == subscription.id))
