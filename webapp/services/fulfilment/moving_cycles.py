"""Cycles that move up: a shop's order that is heard of late takes its place among those that are there.

The number of a cycle says in which order it was sold. Charges, preferences and what is not frozen in batches name it,
and move together; what a lock has frozen, and the history of preferences, say what was true then, and stay.
"""

from uuid import UUID

from sqlalchemy import ColumnElement, Update, select, update

from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.charges import Charge
from webapp.models.fulfilment import FulfilmentBatchLine
from webapp.models.preferences import PreferenceValue
from webapp.models.subscriptions import Subscription
from webapp.services.preferences import settling
from webapp.services.subscriptions import lifecycle
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction


def lock_with_charges(subscription_id: UUID) -> Subscription:
    """The subscription, locked after its charges, as whoever decides on a charge locks them. Raises NotFoundError."""
    theirs = select(Charge.id).where(Charge.subscription_id == subscription_id).order_by(Charge.id)
    db.session.scalars(theirs.with_for_update()).all()
    return lifecycle.find_for_update(subscription_id)


def make_room(subscription: Subscription, cycle: int) -> None:
    """Leave ``cycle`` free: what stands there, and all that follows, moves up by one. The caller has it locked.

    Where ``cycle`` is free nothing moves. A preference from the first cycle on is one from the start, and stays. Raises
    ValueError for a subscription of ours: its cycles have dates, and never move.
    """
    if not subscription.is_of_shop:
        raise ValueError("only cycles that a shop counts move")
    with transaction():
        db.session.flush()
        of_it = Charge.subscription_id == subscription.id
        if db.session.scalar(select(Charge.id).where(of_it, Charge.cycle_no == cycle)) is None:
            return
        settling.hold_batches(subscription)
        _move_charges(subscription.id, cycle)
        _move_preferences(subscription.id, max(cycle, 1))
        _move_lines(subscription.id)
        if subscription.cycle_no >= cycle:
            subscription.cycle_no += 1
        db.session.flush()
        db.session.expire_all()


# Numbers are unique at every instant, since those who claim cycles rely on that: what moves goes below zero first.


def _move_charges(subscription_id: UUID, cycle: int) -> None:
    number, theirs = Charge.cycle_no, _of(Charge, subscription_id)
    _execute(update(Charge).where(*theirs, number >= cycle).values(cycle_no=-number - 2))
    _execute(update(Charge).where(*theirs, number < 0).values(cycle_no=-number - 1))


def _move_preferences(subscription_id: UUID, cycle: int) -> None:
    number, theirs = PreferenceValue.effective_from_cycle, _of(PreferenceValue, subscription_id)
    _execute(update(PreferenceValue).where(*theirs, number >= cycle).values(effective_from_cycle=-number - 2))
    _execute(update(PreferenceValue).where(*theirs, number < 0).values(effective_from_cycle=-number - 1))


def _move_lines(subscription_id: UUID) -> None:
    """Lines that no lock has frozen follow their charges."""
    lines = update(FulfilmentBatchLine).where(
        *_of(FulfilmentBatchLine, subscription_id),
        linked(Charge, FulfilmentBatchLine.charge_id),
        FulfilmentBatchLine.snapshot_at.is_(None),
        FulfilmentBatchLine.cycle_no != Charge.cycle_no,
    )
    _execute(lines.values(cycle_no=Charge.cycle_no))


def _of(
    table: type[Charge | PreferenceValue | FulfilmentBatchLine], subscription_id: UUID
) -> list[ColumnElement[bool]]:
    return [table.organisation_id == current_organisation_id(), table.subscription_id == subscription_id]


def _execute(statement: Update) -> None:
    db.session.execute(statement, execution_options={"synchronize_session": False})
