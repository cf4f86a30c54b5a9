"""Selling other lines at once. What it comes to is shown first, and made only as it was shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import joinedload

from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.charges import Charge, ChargeStatus
from webapp.models.identity import User
from webapp.models.invoices import Invoice
from webapp.models.money import Totals
from webapp.models.plan_changes import PlannedChange, Settlement, SubscriptionAdjustment
from webapp.models.subscriptions import Subscription, SubscriptionStatus
from webapp.services.charges import supplements
from webapp.services.clients import tasks
from webapp.services.plan_changes.prorating import Proration, list_adjustments_of, prorate
from webapp.services.refunds import commands as refunds
from webapp.services.subscriptions import history, lifecycle, proration, scheduling
from webapp.services.subscriptions.editing import editing
from webapp.services.subscriptions.fields import SubscriptionLineFields, check_lines
from webapp.services.subscriptions.planning import replace_lines
from webapp.services.subscriptions.terms import ADJUSTMENT, Line, is_open, plain_line, prices_of, totals_of
from webapp.transactions import transaction

REASON = "Changement de formule en cours de période"
NOT_REFUNDABLE = (
    "Ce crédit ne peut pas être remboursé en une fois par le prestataire\u202f: il est déduit des prochaines échéances."
)


class OtherAmountError(DomainError):
    """What the change comes to is no longer what was shown."""


class NotChosenError(InvalidInputError):
    """The change calls for something to be settled, and nobody said how."""


class NotToBeSettledError(DomainError):
    """There is nothing left of the adjustment, or it cannot be settled in this way now."""


@dataclass(frozen=True)
class ChangePreview:
    """What a change at once comes to, and how it may be settled, the first being proposed."""

    proration: Proration
    ways: list[Settlement]


def preview_change(
    subscription_id: UUID, lines: Sequence[SubscriptionLineFields], *, day: date | None, at: datetime
) -> ChangePreview:
    """What selling ``lines`` from ``day`` on (today where the subscription lives) comes to; nothing is written.

    Raises NotFoundError; InvalidInputError, naming the field.
    """
    subscription = lifecycle.find_subscription(subscription_id)
    found = _prorate(subscription, lines, day, at)
    return ChangePreview(found, _ways(subscription, found.base, found.totals))


def _prorate(
    subscription: Subscription, lines: Sequence[SubscriptionLineFields], day: date | None, at: datetime
) -> Proration:
    today = scheduling.local_date(at, subscription.timezone)
    return prorate(subscription, check_lines(lines), day or today, today=today)


def _ways(subscription: Subscription, base: Charge | None, total: Totals) -> list[Settlement]:
    """How so much may be settled. An unpaid or paused subscription is asked for nothing apart from its cycles."""
    amount = total.with_tax
    if base is None or not any(share.base for share in total.shares):
        return []
    if amount > 0 and subscription.status is SubscriptionStatus.ACTIVE:
        ways = [Settlement.OWN_CHARGE, Settlement.NEXT_CYCLE]
        return ways if subscription.next_charge_on else ways[:1]
    if amount < 0 and _find_refundable(base, total) is not None:
        return [Settlement.NEXT_CYCLE, Settlement.REFUND]
    return [Settlement.NEXT_CYCLE]


def _find_refundable(base: Charge, total: Totals) -> Charge | None:
    """The charge of the cycle, or a supplement of it, whose provider can give all of a credit back at once."""
    if any(share.base > 0 for share in total.shares):
        return None
    supplements_of = [each.charge_id for each in list_adjustments_of(base) if each.charge_id]
    statement = select(Charge).where(
        Charge.id.in_([base.id, *supplements_of]), Charge.status == ChargeStatus.SUCCEEDED, Charge.lease_until.is_(None)
    )
    for charge in db.session.scalars(statement.order_by(Charge.id)):
        if refunds.find_refundable(charge).by_provider >= -total.with_tax and _has_invoice(charge):
            return charge
    return None


def _has_invoice(charge: Charge) -> bool:
    return db.session.scalar(select(Invoice.id).where(Invoice.charge_id == charge.id)) is not None


def change_now(
    subscription_id: UUID,
    lines: Sequence[SubscriptionLineFields],
    *,
    day: date | None,
    settlement: Settlement | None,
    shown: Decimal,
    adjustment_id: UUID,
    version: int,
    by: User,
    at: datetime,
) -> Subscription:
    """Sell ``lines`` from ``day`` on, settled as chosen. ``shown`` (with tax) is what the preview told.

    ``adjustment_id`` is the form's: sent twice, it is done once. What was planned for the next cycle is taken back.
    Raises NotFoundError, EditConflictError, EndedError; OtherAmountError; InvalidInputError, naming the field.
    """
    with transaction():
        if _find(adjustment_id) is not None:
            return lifecycle.find_subscription(subscription_id)
        lock_charges(subscription_id)
        with editing(subscription_id, version) as subscription:
            found = _prorate(subscription, lines, day, at)
            if found.amount != shown:
                raise OtherAmountError("Les montants ont changé depuis l’aperçu\u202f: vérifiez-les, puis confirmez.")
            ways = _ways(subscription, found.base, found.totals)
            if ways and settlement not in ways:
                raise NotChosenError("Choisissez comment ce changement est réglé.", field="settlement")
            _sell(subscription, lines, found, by=by, at=at)
            if found.base is not None:
                adjustment = _adjust(subscription, found, found.base, adjustment_id, by=by, at=at)
                if settlement in (Settlement.OWN_CHARGE, Settlement.REFUND) and ways:
                    _settle_apart(subscription, adjustment, found.base, settlement, by=by, at=at)
    return subscription


def lock_charges(subscription_id: UUID) -> None:
    """Charges are locked before their subscription, as everybody does: a refund of one of them may follow."""
    statement = select(Charge.id).where(Charge.subscription_id == subscription_id).order_by(Charge.id)
    db.session.execute(statement.with_for_update())


def _sell(
    subscription: Subscription, lines: Sequence[SubscriptionLineFields], found: Proration, *, by: User, at: datetime
) -> None:
    before, old = subscription.revenue_per_year, subscription.recurring_amount
    replace_lines(subscription, check_lines(lines))
    subscription.recurring_amount = found.recurring
    changes: dict[str, Any] = {"recurring_amount": [str(old), str(found.recurring)]}
    if found.amount:
        changes["prorated"] = [None, str(found.amount)]
    plan = db.session.scalar(select(PlannedChange).where(PlannedChange.subscription_id == subscription.id))
    if plan is not None and plan.lines is not None:
        plan.lines = None
        changes["planned_change"] = ["prévu", "retiré"]
        if plan.frequency is None and plan.anchor_date is None:
            db.session.execute(delete(PlannedChange).where(PlannedChange.subscription_id == subscription.id))
    history.record_change(subscription, changes=changes, before=before, by=by, at=at)


def _adjust(
    subscription: Subscription, found: Proration, base: Charge, adjustment_id: UUID, *, by: User, at: datetime
) -> SubscriptionAdjustment:
    adjustment = SubscriptionAdjustment(
        id=adjustment_id,
        subscription_id=subscription.id,
        base_charge_id=base.id,
        position=len(list_adjustments_of(base)),
        at=at,
        user_id=by.id,
        starts_on=found.day,
        ends_on=base.period_end,
        lines=[line | {"adjustment_id": str(adjustment_id)} for line in found.lines],
        vat=found.totals.as_json(),
        amount=found.amount,
        price=proration.as_json(found.price),
        settlement=Settlement.NEXT_CYCLE,
        left_over=proration.as_json(prices_of(found.lines)),
    )
    db.session.add(adjustment)
    db.session.flush()
    return adjustment


def settle_now(
    adjustment_id: UUID, settlement: Settlement, *, subscription_id: UUID, by: User, at: datetime
) -> SubscriptionAdjustment:
    """Settle apart what an adjustment left to cycles to come: ask for it, or give it back.

    Raises NotFoundError; NotToBeSettledError.
    """
    with transaction():
        lock_charges(subscription_id)
        subscription = lifecycle.find_ours_for_update(subscription_id)
        adjustment = _find(adjustment_id)
        if adjustment is None or adjustment.subscription_id != subscription.id:
            raise NotFoundError("Ce changement n’existe pas ou plus.")
        if not adjustment.left_over:
            raise NotToBeSettledError("Il ne reste rien à régler de ce changement.")
        if settlement not in ways_of(subscription, adjustment):
            raise NotToBeSettledError(NOT_REFUNDABLE if adjustment.amount < 0 else NOT_ASKABLE)
        base = db.session.scalars(select(Charge).where(Charge.id == adjustment.base_charge_id)).one()
        _settle_apart(subscription, adjustment, base, settlement, by=by, at=at)
        changes = {"settlement": [Settlement.NEXT_CYCLE.label, settlement.label]}
        history.record_change(subscription, changes=changes, by=by, at=at)
        if not any(left_of(each).with_tax > 0 for each in list_open(subscription.id)):
            tasks.settle([task_key(subscription.id)], by=by.id, at=at)
    return adjustment


NOT_ASKABLE = (
    "Un complément se demande à part d’un abonnement actif ou terminé\u202f: celui-ci viendra avec une échéance."
)


def task_key(subscription_id: UUID) -> str:
    """Names the task about what an ended subscription still owes."""
    return f"left-over:{subscription_id}"


def ways_of(subscription: Subscription, adjustment: SubscriptionAdjustment) -> list[Settlement]:
    """How what is left of an adjustment may be settled now, apart from the cycles to come."""
    if not adjustment.left_over:
        return []
    total = totals_of(_left_lines(adjustment))
    base = db.session.scalars(select(Charge).where(Charge.id == adjustment.base_charge_id)).one()
    if total.with_tax < 0:
        return [Settlement.REFUND] if _find_refundable(base, total) else []
    is_askable = subscription.status is SubscriptionStatus.ACTIVE or subscription.status.is_final
    return [Settlement.OWN_CHARGE] if total.with_tax > 0 and is_askable else []


def list_open(subscription_id: UUID) -> list[SubscriptionAdjustment]:
    """Adjustments of which something is left to be settled, the first first, each with the charge that it is of."""
    statement = (
        select(SubscriptionAdjustment)
        .where(SubscriptionAdjustment.subscription_id == subscription_id, is_open())
        .options(joinedload(SubscriptionAdjustment.base_charge))
        .order_by(SubscriptionAdjustment.at, SubscriptionAdjustment.id)
    )
    return list(db.session.scalars(statement))


def left_of(adjustment: SubscriptionAdjustment) -> Totals:
    """What is still to be settled."""
    return totals_of(_left_lines(adjustment))


def _left_lines(adjustment: SubscriptionAdjustment) -> list[Line]:
    left = proration.from_json(adjustment.left_over)
    if left == {rate: base for rate, base in prices_of(adjustment.lines).items() if base}:
        return adjustment.lines
    label = f"Reste du changement du {adjustment.starts_on:%d/%m/%Y}"
    more = {"adjustment_id": str(adjustment.id)}
    return [plain_line(label, rate, base, ADJUSTMENT, **more) for rate, base in left.items()]


def _settle_apart(
    subscription: Subscription,
    adjustment: SubscriptionAdjustment,
    base: Charge,
    settlement: Settlement,
    *,
    by: User,
    at: datetime,
) -> None:
    lines = _left_lines(adjustment)
    adjustment.settlement, adjustment.left_over = settlement, []
    if settlement is Settlement.OWN_CHARGE:
        charge = supplements.ask(
            subscription, adjustment.id, lines, since=adjustment.starts_on, until=adjustment.ends_on, at=at
        )
        adjustment.charge_id = charge.id
        return
    owed = -totals_of(lines)
    charge_to_refund = _find_refundable(base, -owed)
    if charge_to_refund is None:
        raise NotToBeSettledError(NOT_REFUNDABLE)
    adjustment.refund_id = new_id()
    refunds.refund(
        charge_to_refund.id,
        refund_id=adjustment.refund_id,
        amount=owed.with_tax,
        reason=REASON,
        by=by,
        at=at,
        wanted=owed,
    )


def _find(adjustment_id: UUID) -> SubscriptionAdjustment | None:
    statement = select(SubscriptionAdjustment).where(SubscriptionAdjustment.id == adjustment_id)
    return db.session.scalar(statement.execution_options(populate_existing=True))
