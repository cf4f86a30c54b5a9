"""Changes that hold from the next cycle on: kept until it is claimed, and taken back if somebody wants.

While nothing was ever charged there is nothing to wait for: they are made at once.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import delete, exists, select

from webapp.errors import DomainError
from webapp.extensions import db
from webapp.models.charges import Charge
from webapp.models.identity import User
from webapp.models.plan_changes import PlannedChange
from webapp.models.subscriptions import Subscription, SubscriptionLine
from webapp.services.subscriptions import history
from webapp.services.subscriptions.editing import editing
from webapp.services.subscriptions.fields import CheckedLine, SubscriptionLineFields, check_lines
from webapp.services.subscriptions.terms import AskedCycle, find_terms, set_lines
from webapp.tenancy import current_organisation_id

NOTHING_PLANNED = "Aucun changement n’est prévu pour cet abonnement."


class NothingPlannedError(DomainError):
    """There is no planned change to take back."""


def was_charged(subscription_id: UUID) -> bool:
    """Whether one of its cycles was ever taken, whatever became of the charge."""
    statement = select(
        exists().where(
            Charge.organisation_id == current_organisation_id(),
            Charge.subscription_id == subscription_id,
            Charge.cycle_no.is_not(None),
        )
    )
    return bool(db.session.scalar(statement))


def preview_lines(subscription: Subscription, lines: Sequence[SubscriptionLineFields]) -> AskedCycle:
    """What the next cycle would ask for with ``lines``. Raises InvalidInputError, naming the field."""
    terms = find_terms(subscription)
    planned = PlannedChange(lines=[line.as_json() for line in check_lines(lines)])
    if terms.planned is not None:
        planned.frequency, planned.anchor_date = terms.planned.frequency, terms.planned.anchor_date
    return replace(terms, planned=planned).ask(subscription.cycle_no)[0]


def plan_lines(
    subscription_id: UUID, lines: Sequence[SubscriptionLineFields], *, version: int, by: User | None, at: datetime
) -> Subscription:
    """Sell ``lines`` from the next cycle on; at once while nothing was charged.

    Raises NotFoundError, EditConflictError, EndedError; InvalidInputError, naming the field.
    """
    with editing(subscription_id, version) as subscription:
        checked = check_lines(lines)
        if was_charged(subscription_id):
            plan = find_plan(subscription_id) or new_plan(subscription_id, by=by, at=at)
            plan.lines = [line.as_json() for line in checked]
            per_cycle = sum((line.amount for line in checked), Decimal("0.00"))
            changes: dict[str, Any] = {"planned_amount": [None, str(per_cycle)]}
            history.record_change(subscription, changes=changes, by=by, at=at)
        else:
            before, old = subscription.revenue_per_year, subscription.recurring_amount
            replace_lines(subscription, checked)
            restate(subscription)
            changes = {"recurring_amount": [str(old), str(subscription.recurring_amount)]}
            history.record_change(subscription, changes=changes, before=before, by=by, at=at)
    return subscription


def find_plan(subscription_id: UUID) -> PlannedChange | None:
    """What changes with the next cycle, if anything does."""
    return db.session.scalar(select(PlannedChange).where(PlannedChange.subscription_id == subscription_id))


def new_plan(subscription_id: UUID, *, by: User | None, at: datetime) -> PlannedChange:
    """A plan that is to be filled, in the caller's transaction."""
    plan = PlannedChange(subscription_id=subscription_id, planned_at=at, user_id=by.id if by else None)
    db.session.add(plan)
    return plan


def replace_lines(subscription: Subscription, lines: Sequence[CheckedLine]) -> None:
    """Sell ``lines`` instead of those that are there, on the locked subscription."""
    db.session.execute(delete(SubscriptionLine).where(SubscriptionLine.subscription_id == subscription.id))
    set_lines(subscription, lines)
    db.session.expire(subscription, ["lines"])


def restate(subscription: Subscription) -> None:
    """Set the recurring amount to what the next cycle asks for: what holds while none was charged."""
    subscription.recurring_amount = find_terms(subscription).ask(subscription.cycle_no)[0].recurring


def withdraw_lines(subscription_id: UUID, *, version: int, by: User | None, at: datetime) -> Subscription:
    """Sell with the next cycle what is sold now; another rhythm that is planned stays. Raises as ``withdraw_plan``."""
    with editing(subscription_id, version) as subscription:
        plan = find_plan(subscription_id)
        if plan is None or plan.lines is None:
            raise NothingPlannedError(NOTHING_PLANNED)
        plan.lines = None
        if plan.frequency is None and plan.anchor_date is None:
            db.session.delete(plan)
        history.record_change(subscription, changes={"planned_change": ["prévu", "retiré"]}, by=by, at=at)
    return subscription


def withdraw_plan(subscription_id: UUID, *, version: int, by: User | None, at: datetime) -> Subscription:
    """Change nothing with the next cycle. Raises NotFoundError, EditConflictError, EndedError, NothingPlannedError."""
    with editing(subscription_id, version) as subscription:
        plan = find_plan(subscription_id)
        if plan is None:
            raise NothingPlannedError(NOTHING_PLANNED)
        db.session.delete(plan)
        history.record_change(subscription, changes={"planned_change": ["prévu", "retiré"]}, by=by, at=at)
    return subscription
