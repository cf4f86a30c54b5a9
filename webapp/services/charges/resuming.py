"""Charges that waited for a means of payment, tried again in one go once their clients have given one."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, select, tuple_

from webapp import queue, tenancy
from webapp.extensions import db
from webapp.models.charges import Attention, Charge
from webapp.models.identity import User
from webapp.models.subscriptions import Subscription
from webapp.services.charges import decisions, sweeping
from webapp.services.charges.decisions import Decision
from webapp.services.subscriptions import scheduling
from webapp.services.subscriptions.means import DEBITED, Means, load_means
from webapp.transactions import transaction

AT_A_TIME = 500
_WAITING = select(Charge).where(Charge.attention == Attention.NO_PAYMENT_METHOD, Charge.lease_until.is_(None))


class Resumed(NamedTuple):
    """How many charges are tried again, and how many still have nothing to be paid by."""

    resumed: int
    waiting: int


def resume_all(*, client_id: UUID | None = None, by: User, at: datetime) -> Resumed:
    """Have a new attempt made of every charge, or every one of a client, that waited for means of payment it has now.

    Safe to repeat: one that is to be tried already is left alone, and not counted.
    """
    resumed = waiting = 0
    after: tuple[datetime | None, UUID] | None = None
    while True:
        with transaction():
            charges = _lock_next(after, client_id)
            if not charges:
                return Resumed(resumed, waiting)
            after = charges[-1].attention_at, charges[-1].id
            ready = _find_ready(charges, at=at)
            for charge in ready:
                charge.next_attempt_at = at
                decisions.tell(charge, Decision.RETRY, None, by=by, at=at)
            if ready:
                queue.enqueue_once_after_commit(sweeping.JOB, tenancy.current_organisation_id(), on="charges")
        resumed += len(ready)
        waiting += len(charges) - len(ready)


def count_waiting(*subscription_ids: UUID) -> int:
    """How many charges of these subscriptions wait for a means of payment."""
    waiting = _WAITING.where(Charge.subscription_id.in_(subscription_ids)).subquery()
    return db.session.execute(select(func.count()).select_from(waiting)).scalar_one()


def _lock_next(after: tuple[datetime | None, UUID] | None, client_id: UUID | None) -> list[Charge]:
    """Those that nobody is at work on and that are not about to be tried, the longest waiting first."""
    order = Charge.attention_at, Charge.id
    statement = _WAITING.where(Charge.next_attempt_at.is_(None)).order_by(*order).limit(AT_A_TIME)
    if client_id is not None:
        statement = statement.where(Charge.client_id == client_id)
    if after is not None:
        statement = statement.where(tuple_(*order) > after)
    statement = statement.with_for_update(skip_locked=True).execution_options(populate_existing=True)
    return list(db.session.scalars(statement))


def _find_ready(charges: list[Charge], *, at: datetime) -> list[Charge]:
    wanted = {charge.subscription_id for charge in charges}
    subscriptions = {row.id: row for row in db.session.scalars(select(Subscription).where(Subscription.id.in_(wanted)))}
    means = load_means(list(subscriptions.values()))

    def is_ready(charge: Charge) -> bool:
        subscription = subscriptions[charge.subscription_id]
        return Decision.RETRY in decisions.actions_of(charge) and _may_be_asked(
            subscription, means[subscription.id], at
        )

    return [charge for charge in charges if is_ready(charge)]


def _may_be_asked(subscription: Subscription, means: Means, at: datetime) -> bool:
    today = scheduling.local_date(at, subscription.timezone)
    return not subscription.status.is_final and means.method in DEBITED and means.obstacle(today) is None
