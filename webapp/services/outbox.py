"""The outbox: what happened is written with the change it tells of, and delivered inside the application afterwards.

At least once, in no promised order, to each subscriber on its own: a subscriber keeps its own unique key and does
nothing the second time. What it writes and the note that it was delivered commit together, so that only a subscriber
that reaches outside PostgreSQL can ever see an event twice.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any, NamedTuple
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, Select, delete, func, select, text, update
from sqlalchemy.orm import selectinload

from webapp import queue, tenancy
from webapp.extensions import db
from webapp.models.base import linked, new_id
from webapp.models.organisations import Organisation
from webapp.models.outbox import OutboxDelivery, OutboxEvent, OutboxKind
from webapp.services import each_organisation
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction

log = structlog.get_logger()

Subscriber = Callable[[OutboxEvent], object]

_REVIEW = "webapp.services.dunning.cases.review"
_FORGET = "webapp.services.dunning.suspending.forget"
_TRIGGERS = "webapp.services.message_triggers"
_GATHER = "webapp.services.fulfilment.gathering.gather"
_FOLLOW = "webapp.services.covers.following.follow"
_LEFT_OVER = "webapp.services.plan_changes.left_over.tell_ended"
_DOUBT = "webapp.services.claims.doubting.follow"

SUBSCRIBERS: dict[OutboxKind, tuple[str, ...]] = {
    OutboxKind.SUBSCRIPTION_CHARGED: (_GATHER, f"{_TRIGGERS}.subscriptions.welcome"),
    OutboxKind.SUBSCRIPTION_CHARGE_FAILED: (_REVIEW, _GATHER, f"{_TRIGGERS}.subscriptions.tell_refused"),
    OutboxKind.CHARGE_REVERSED: (_REVIEW, _GATHER),
    OutboxKind.CHARGE_REFUNDED: (_REVIEW, _GATHER),
    OutboxKind.CHARGE_SETTLED: (_REVIEW, _GATHER),
    OutboxKind.SUBSCRIPTION_ACTIVATED: (_FOLLOW, _DOUBT),
    OutboxKind.SUBSCRIPTION_PAUSED: (
        _FOLLOW,
        _DOUBT,
        f"{_TRIGGERS}.subscriptions.tell_paused",
    ),
    OutboxKind.SUBSCRIPTION_RESUMED: (_FOLLOW, _DOUBT, _FORGET, f"{_TRIGGERS}.subscriptions.tell_resumed"),
    OutboxKind.SUBSCRIPTION_CANCELED: (
        _FOLLOW,
        _DOUBT,
        _FORGET,
        _LEFT_OVER,
        f"{_TRIGGERS}.subscriptions.tell_canceled",
    ),
    OutboxKind.SUBSCRIPTION_EXPIRED: (
        _FOLLOW,
        _DOUBT,
        _LEFT_OVER,
        f"{_TRIGGERS}.subscriptions.tell_ended",
    ),
    OutboxKind.INVOICE_ISSUED: (f"{_TRIGGERS}.invoices.send_issued",),
    OutboxKind.CREDIT_NOTE_ISSUED: (f"{_TRIGGERS}.invoices.send_issued",),
    OutboxKind.MANDATE_REVOKED: (f"{_TRIGGERS}.mandates.tell_revoked",),
    OutboxKind.CLAIM_CHANGED: ("webapp.services.operators.telling.follow",),
    OutboxKind.SHIPMENT_HANDED_OVER: (f"{_TRIGGERS}.shipments.tell_sent",),
}
"""Who listens to what, by dotted name ("webapp.services.module.function"), so that nobody imports in a circle.

A subscriber hears what happens from the deployment that lists it on; what came before stays undelivered to it.
"""

JOB = "jobs.outbox.deliver"
FIRST_WAIT = timedelta(seconds=10)
LONGEST_WAIT = timedelta(hours=1)
PATIENCE = timedelta(seconds=10)
"""How long a delivery may be due before the sweeper thinks that its bell was not heard."""
KEPT = timedelta(days=400)
"""How long an event is kept. The charge engine reads whether a cycle was told of as charged, and bank files from which
day it was announced: neither asks once a debit can no longer come back, 13 months after it (SEPA rulebook)."""
PRUNED_AT_ONCE = 2_000


class Emitted(NamedTuple):
    """What happened to ``subject_id``; ``payload`` holds ids and plain values, never personal data."""

    subject_id: UUID
    payload: dict[str, Any]


def emit(kind: OutboxKind, subject_id: UUID, *, at: datetime, payload: dict[str, Any] | None = None) -> None:
    """Write that something happened, in the caller's transaction, and ring for its delivery after the commit.

    ``payload`` holds ids and plain values, never personal data.
    """
    emit_many(kind, [Emitted(subject_id, payload or {})], at=at)


def emit_many(kind: OutboxKind, happened: Sequence[Emitted], *, at: datetime) -> None:
    """As ``emit``, of many subjects: they are written together, at the end of the transaction at the latest."""
    subscribers = SUBSCRIBERS.get(kind, ())
    with transaction():
        db.session.add_all(
            OutboxEvent(
                id=new_id(),
                kind=kind,
                subject_id=each.subject_id,
                payload=each.payload,
                occurred_at=at,
                deliveries=[OutboxDelivery(subscriber=subscriber, next_attempt_at=at) for subscriber in subscribers],
            )
            for each in happened
        )
        if subscribers and happened:
            queue.enqueue_once_after_commit(JOB, current_organisation_id(), on="outbox")


def emit_in_set(kind: OutboxKind, subjects: str, *, new_id: str, at: datetime) -> None:
    """As ``emit``, of as many subjects as one likes: ``subjects`` is a query of ours that gives their ids.

    ``new_id`` is an expression of SQL that makes an id of version 7.
    """
    organisation_id, subscribers = current_organisation_id(), list(SUBSCRIBERS.get(kind, ()))
    statement = f"""
    WITH event AS (
      INSERT INTO outbox_events (organisation_id, id, kind, subject_id, payload, occurred_at)
      SELECT :organisation_id, {new_id}, :kind, subject.id, '{{}}', :at FROM ({subjects}) subject(id)
      RETURNING id
    )
    INSERT INTO outbox_deliveries (organisation_id, event_id, subscriber, next_attempt_at)
    SELECT :organisation_id, event.id, subscriber, :at FROM event, unnest(CAST(:subscribers AS text[])) subscriber
    """  # noqa: S608  expressions of ours
    values = {"organisation_id": organisation_id, "kind": kind.value, "at": at, "subscribers": subscribers}
    with transaction():
        db.session.execute(text(statement), values)
        if subscribers:
            queue.enqueue_once_after_commit(JOB, organisation_id, on="outbox")


def deliver(organisation_id: UUID, *, at: datetime) -> int:
    """Deliver what is due at ``at`` in the organisation, each in a transaction of its own; returns how many succeeded.

    Several may run at once: a delivery that another one holds is passed over.
    """
    queue.heard(JOB, organisation_id)
    succeeded = 0
    with tenancy.organisation(organisation_id):
        while (is_delivered := _deliver_next(at)) is not None:
            succeeded += is_delivered
    return succeeded


def hurry(subscriber: str, *, before: datetime, company_id: UUID, at: datetime) -> None:
    """Have one subscriber hear at once what happened to a company's charges before, also where it failed lately."""
    with transaction():
        waiting = select(OutboxDelivery.event_id).join(OutboxEvent, linked(OutboxEvent, OutboxDelivery.event_id))
        db.session.execute(
            update(OutboxDelivery)
            .where(
                OutboxDelivery.subscriber == subscriber,
                OutboxDelivery.next_attempt_at > at,
                OutboxDelivery.event_id.in_(waiting.where(*_earlier(subscriber, before, company_id))),
            )
            .values(next_attempt_at=at)
            .execution_options(synchronize_session=False)
        )


def deliver_earlier(subscriber: str, *, before: datetime, company_id: UUID, at: datetime) -> bool:
    """Deliver to one subscriber one thing that happened to a company's charges before; whether there was one to take.

    What another process holds is passed over: see ``count_earlier``.
    """
    return _deliver_next(at, *_earlier(subscriber, before, company_id)) is not None


def count_earlier(subscriber: str, *, before: datetime, company_id: UUID) -> int:
    """How much one subscriber has not heard yet of what happened to a company's charges before."""
    statement = (
        select(func.count()).select_from(OutboxDelivery).join(OutboxEvent, linked(OutboxEvent, OutboxDelivery.event_id))
    )
    return db.session.scalars(
        statement.where(
            OutboxDelivery.organisation_id == current_organisation_id(), *_earlier(subscriber, before, company_id)
        )
    ).one()


def _earlier(subscriber: str, before: datetime, company_id: UUID) -> tuple[ColumnElement[bool], ...]:
    return (
        OutboxDelivery.delivered_at.is_(None),
        OutboxDelivery.subscriber == subscriber,
        OutboxEvent.occurred_at < before,
        OutboxEvent.payload["company_id"].astext == str(company_id),
    )


def _deliver_next(at: datetime, *which: ColumnElement[bool]) -> bool | None:
    """Deliver one; None when none is left that is due."""
    with transaction():
        row = db.session.execute(
            select(OutboxDelivery, OutboxEvent)
            .join(
                OutboxEvent,
                linked(OutboxEvent, OutboxDelivery.event_id),
            )
            .where(OutboxDelivery.delivered_at.is_(None), OutboxDelivery.next_attempt_at <= at, *which)
            .order_by(OutboxDelivery.next_attempt_at, OutboxDelivery.event_id)
            .limit(1)
            .with_for_update(skip_locked=True, of=OutboxDelivery)
        ).first()
        if row is None:
            return None
        delivery, event = row
        delivery.attempts += 1
        try:
            with db.session.begin_nested():  # what a failing subscriber wrote goes, the note of its failure stays
                _resolve(delivery.subscriber)(event)
        except Exception as error:
            log.exception("outbox_delivery_failed", subscriber=delivery.subscriber, event_id=str(delivery.event_id))
            delivery.error = f"{type(error).__name__}: {error}"[:500]
            delivery.next_attempt_at = at + min(FIRST_WAIT * 2 ** min(delivery.attempts - 1, 20), LONGEST_WAIT)
            return False
        delivery.delivered_at, delivery.error = at, None
        return True


def _resolve(name: str) -> Subscriber:
    module, _, function = name.rpartition(".")
    subscriber: Subscriber = getattr(import_module(module), function)
    return subscriber


def sweep(*, at: datetime) -> int:
    """Ring again for every organisation with deliveries that nobody made in time; returns how many organisations."""
    waiting = select(OutboxDelivery.organisation_id).where(
        OutboxDelivery.delivered_at.is_(None), OutboxDelivery.next_attempt_at <= at - PATIENCE
    )
    return each_organisation.ring(JOB, waiting, on="outbox")


def prune(*, at: datetime) -> int:
    """Let go of some events of each organisation that were delivered long ago; returns how many.

    Bounded, for the timetable: the rest goes with the next ticks.
    """
    return each_organisation.work(lambda: _prune_batch(at - KEPT), select(Organisation.id))


def _prune_batch(before: datetime) -> int:
    """Their deliveries go with them. Events with one that is still to be made stay, however old."""
    is_open = (
        select(OutboxDelivery.event_id)
        .where(
            linked(OutboxEvent, OutboxDelivery.event_id),
            OutboxDelivery.delivered_at.is_(None),
        )
        .exists()
    )
    with transaction():
        ids = db.session.scalars(
            select(OutboxEvent.id)
            .where(OutboxEvent.occurred_at < before, ~is_open)
            .order_by(OutboxEvent.occurred_at, OutboxEvent.id)
            .limit(PRUNED_AT_ONCE)
            .with_for_update(skip_locked=True)
        ).all()
        db.session.execute(
            delete(OutboxEvent).where(OutboxEvent.id.in_(ids)).execution_options(synchronize_session=False)
        )
    return len(ids)


def list_events(subject_id: UUID, *, limit: int = 50) -> list[OutboxEvent]:
    """What happened to a subject, the latest first, each with its deliveries."""
    return list(
        db.session.scalars(
            select(OutboxEvent)
            .where(OutboxEvent.subject_id == subject_id)
            .order_by(OutboxEvent.id.desc())
            .limit(limit)
            .options(selectinload(OutboxEvent.deliveries))
        )
    )


def list_latest(*, before: UUID | None = None, limit: int = 50) -> list[OutboxEvent]:
    """What happened in the current organisation, the latest first, each with its deliveries; ``before`` an event."""
    statement = select(OutboxEvent).order_by(OutboxEvent.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(OutboxEvent.id < before)
    return list(db.session.scalars(statement.options(selectinload(OutboxEvent.deliveries))))


def select_all() -> Select[*tuple[Any, ...]]:
    """Every event in that order: an export adds the columns."""
    return select(OutboxEvent.id).order_by(OutboxEvent.id.desc())


def count_undelivered() -> int:
    """How many deliveries of the current organisation are still to be made."""
    return db.session.execute(
        select(func.count())
        .select_from(OutboxDelivery)
        .where(
            OutboxDelivery.organisation_id == current_organisation_id(),
            OutboxDelivery.delivered_at.is_(None),
        )
    ).scalar_one()
