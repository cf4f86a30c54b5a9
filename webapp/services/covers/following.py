"""A cover follows its subscription: what happens to that becomes facts of the cover, each once, whatever came first."""

from datetime import date, datetime

from sqlalchemy import ColumnElement, Select, select

from webapp import clock, french
from webapp.extensions import db
from webapp.models.base import linked, new_id
from webapp.models.covers import Cover, CoverCause, CoverFact, CoverNature
from webapp.models.outbox import OutboxEvent
from webapp.models.subscriptions import Subscription, SubscriptionHistory, SubscriptionStatus
from webapp.services.clients import tasks
from webapp.services.clients.tasks import NewTask
from webapp.services.covers import intervals, loading, owed
from webapp.services.dunning import days, suspending
from webapp.services.subscriptions import lifecycle
from webapp.transactions import transaction

REFUND_TITLE = "Rembourser {amount} TTC\u202f: résiliation de la couverture {code}"
BEGUN = (SubscriptionStatus.ACTIVE, SubscriptionStatus.PAST_DUE, SubscriptionStatus.PAUSED)

IS_PAUSED = (SubscriptionHistory.new_status == SubscriptionStatus.PAUSED) & (
    SubscriptionHistory.old_status != SubscriptionStatus.PAUSED
)
IS_TO_END = SubscriptionHistory.changes.has_key("cancels_on")


def follow(event: OutboxEvent) -> None:
    """Listens to the outbox: a subscription began, stopped, went on or ended."""
    cover = loading.find_of_subscription(event.subject_id)
    if cover is not None:
        with transaction():
            catch_up(loading.find_for_update(cover.id), at=event.occurred_at)


def catch_up(cover: Cover, *, at: datetime) -> bool:
    """Write down what happened to the subscription since the cover was made, as far as it is not told yet.

    The caller has the cover locked, and reads it again afterwards. Returns whether anything was written.
    """
    changes = db.session.scalars(untold(cover).order_by(SubscriptionHistory.at, SubscriptionHistory.id)).all()
    is_news = False
    for change in changes:
        fact = _fact_of(cover, change)
        if fact is not None:
            db.session.add(fact)
            cover.facts.append(fact)
            is_news = True
            if fact.cause is CoverCause.TERMINATION:
                _ask_for_refund(cover, at=at)
    if is_news:
        db.session.flush()
    return is_news


def _ask_for_refund(cover: Cover, *, at: datetime) -> None:
    """What was paid for the days after a termination is owed back: a person refunds it, as after a renunciation."""
    total = owed.total_of(owed.list_owed_at_end(cover))
    if total and not cover.client.erased_at:
        title = REFUND_TITLE.format(amount=french.money(total), code=cover.code)
        tasks.add_and_tell([NewTask(cover.client_id, title, days.local(at))], at=at)


def untold(cover: Cover) -> Select[SubscriptionHistory]:
    """What happened to the subscription since the cover was made, and is no fact of it. Some never will be one."""
    is_told = select(CoverFact.id).where(
        CoverFact.cover_id == cover.id, linked(SubscriptionHistory, CoverFact.history_id)
    )
    return select(SubscriptionHistory).where(
        SubscriptionHistory.subscription_id == cover.subscription_id,
        SubscriptionHistory.at >= cover.created_at,
        SubscriptionHistory.old_status.is_not(None),
        SubscriptionHistory.old_status != SubscriptionHistory.new_status,
        ~is_told.exists(),
    )


def begin(cover: Cover, subscription: Subscription, *, at: datetime) -> None:
    """The first facts of a new cover: its subscription may have begun before, and stand still."""
    if subscription.status not in BEGUN:
        return  # it takes effect when the subscription begins
    facts = [_fact(cover, CoverCause.ACTIVATION, clock.start_of(cover.effective_on), at=at)]
    if subscription.status is SubscriptionStatus.PAUSED:
        facts.append(_fact(cover, _cause_of_pause(_latest_reason(subscription)), at, at=at))
    db.session.add_all(facts)
    db.session.flush()


def _fact_of(cover: Cover, change: SubscriptionHistory) -> CoverFact | None:
    old, new, at = change.old_status, change.new_status, change.at
    if old is SubscriptionStatus.PENDING and new is SubscriptionStatus.ACTIVE:
        return _activation(cover, change)
    if new is SubscriptionStatus.PAUSED:
        return _fact(cover, _cause_of_pause(change.reason), at, change)
    if old is SubscriptionStatus.PAUSED and new is SubscriptionStatus.ACTIVE:
        return _resumption(cover, change)
    if new.is_final:
        cause = CoverCause.RENUNCIATION if change.reason == lifecycle.RENOUNCED else CoverCause.TERMINATION
        since = _planned_instant(change, "cancels_on", IS_TO_END)
        return _fact(cover, cause, since, change, note=change.reason or new.label)
    return None  # unpaid for now, or paid again before anything was suspended: the cover goes on


def _activation(cover: Cover, change: SubscriptionHistory) -> CoverFact:
    """It takes effect on its day; where the subscription begins later, with that day."""
    begun_on = change.at.astimezone(clock.PARIS).date()
    cover.effective_on = max(cover.effective_on, begun_on)
    return _fact(cover, CoverCause.ACTIVATION, clock.start_of(cover.effective_on), change)


def _resumption(cover: Cover, change: SubscriptionHistory) -> CoverFact:
    """What was suspended for non-payment goes on by the law's rule where it is an insurance; a pause at once."""
    facts = [loading.fact_of(row) for row in cover.facts]
    standing = intervals.intervals_of(facts)
    if standing and standing[-1].cause is CoverCause.UNPAID:
        paid_at = suspending.find_paid_at(cover.subscription_id, resumed_at=change.at) or change.at
        paid = intervals.paid(paid_at, facts, is_insurance=nature_of(cover) is CoverNature.INSURANCE)
        return _fact(cover, CoverCause.PAYMENT, paid.since, change)
    return _fact(cover, CoverCause.RESUMPTION, _planned_instant(change, "resume_on", IS_PAUSED), change)


def _planned_instant(change: SubscriptionHistory, name: str, written: ColumnElement[bool]) -> datetime:
    """When a change has its effect on the cover: what comes by itself does with its day, however late it was noted.

    ``written`` are the rows of the history in which the day may stand, under ``name``: the latest one says it.
    """
    if change.user_id is not None:
        return change.at
    rows = select(SubscriptionHistory.changes[name][1].astext).where(
        SubscriptionHistory.subscription_id == change.subscription_id, SubscriptionHistory.at < change.at, written
    )
    day = db.session.scalar(rows.order_by(SubscriptionHistory.at.desc(), SubscriptionHistory.id.desc()).limit(1))
    return min(change.at, clock.start_of(date.fromisoformat(day))) if day else change.at


def nature_of(cover: Cover) -> CoverNature:
    """What the law sees in the cover: an insurance, or a service."""
    return cover.periods[-1].version.nature


def _cause_of_pause(reason: str | None) -> CoverCause:
    return CoverCause.UNPAID if reason == lifecycle.UNPAID else CoverCause.PAUSE


def _latest_reason(subscription: Subscription) -> str | None:
    statement = select(SubscriptionHistory.reason).where(
        SubscriptionHistory.subscription_id == subscription.id,
        SubscriptionHistory.new_status == SubscriptionStatus.PAUSED,
        SubscriptionHistory.old_status != SubscriptionStatus.PAUSED,
    )
    return db.session.scalar(statement.order_by(SubscriptionHistory.at.desc(), SubscriptionHistory.id.desc()).limit(1))


def _fact(
    cover: Cover,
    cause: CoverCause,
    since: datetime,
    change: SubscriptionHistory | None = None,
    *,
    at: datetime | None = None,
    note: str = "",
) -> CoverFact:
    return CoverFact(
        id=new_id(),
        cover_id=cover.id,
        cause=cause,
        since=since,
        note=note,
        history_id=change.id if change else None,
        user_id=change.user_id if change else None,
        at=change.at if change else at,
    )
