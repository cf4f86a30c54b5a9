"""Who handles which event: claims with lease and fence, what becomes of them, and what was forgotten."""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Uuid,
    and_,
    any_,
    bindparam,
    case,
    literal,
    null,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.orm import undefer

from webapp import queue, tenancy
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.woocommerce import EventState, ResourceKind, WooCommerceEvent, WooCommerceShop
from webapp.services.woocommerce.kept import Name
from webapp.services.woocommerce.outcomes import Outcome
from webapp.services.woocommerce.receiving import JOB, QUEUE
from webapp.transactions import transaction

BATCH = 200
"""Events that are claimed at once."""
LEASE = timedelta(minutes=3)
RETRIES = tuple(timedelta(seconds=seconds) for seconds in (10, 30, 60, 180, 600, 1200, 2400, 3600))
"""How long after each failure in a row an event is tried again; after the last one, a person decides."""
PATIENCE = timedelta(seconds=10)
"""How long an event may be due before the sweep thinks that its bell was not heard."""
BODIES_KEPT = timedelta(days=90)
PRUNED_AT_ONCE = 2_000
LONG_WAIT = timedelta(days=1)
"""After so long, what waits for something that does not come is to be reviewed."""
BROKEN_OFF = "Le traitement s’est interrompu neuf fois de suite."


class Claimed(NamedTuple):
    """An event that is ours while its fence is ``fence``."""

    id: UUID
    fence: int
    attempts: int
    shop_id: UUID
    kind: ResourceKind | None
    woo_id: int | None


def claim(*, at: datetime) -> Sequence[Claimed]:
    """Take the organisation's events that are due, the longest due first; what waits until now is received again.

    One that was tried before is taken alone: it may be what ends its worker, and would take others with it.
    """
    with transaction():
        due = (
            select(WooCommerceEvent.id, WooCommerceEvent.attempts, WooCommerceEvent.state)
            .where(
                WooCommerceEvent.next_attempt_at <= at,
                WooCommerceEvent.state.in_((EventState.RECEIVED, EventState.WAITING)),
            )
            .order_by(WooCommerceEvent.next_attempt_at, WooCommerceEvent.id)
            .limit(BATCH)
            .with_for_update(skip_locked=True)
        )
        found = db.session.execute(due).all()
        if not found:
            return []
        taking = found[:1] if found[0].attempts else [each for each in found if not each.attempts]
        ids = [each.id for each in taking]
        if any(each.state is EventState.WAITING for each in taking):
            _set(_is_one_of(ids), WooCommerceEvent.state == EventState.WAITING, state=EventState.RECEIVED)
        taken = db.session.execute(
            update(WooCommerceEvent)
            .where(_is_one_of(ids), WooCommerceEvent.state == EventState.RECEIVED)
            .values(
                state=EventState.PROCESSING,
                lease_until=at + LEASE,
                fence=WooCommerceEvent.fence + 1,
                attempts=WooCommerceEvent.attempts + 1,
            )
            .returning(
                WooCommerceEvent.id,
                WooCommerceEvent.fence,
                WooCommerceEvent.attempts,
                WooCommerceEvent.shop_id,
                WooCommerceEvent.kind,
                WooCommerceEvent.woo_id,
            )
            .execution_options(synchronize_session=False)
        ).all()
    place = {event_id: number for number, event_id in enumerate(ids)}
    return sorted((Claimed(*row) for row in taken), key=lambda each: place[each.id])


def _is_one_of(ids: Iterable[UUID]) -> ColumnElement[bool]:
    """As ``in_``, by one parameter: the statement is the same however many there are."""
    return WooCommerceEvent.id == any_(literal(list(ids), ARRAY(Uuid)))


def lock(claimed: Sequence[Claimed]) -> list[WooCommerceEvent]:
    """Those of the claimed events that are still ours, with their bodies, the oldest first.

    They belong to no session: ``write_ends`` writes what came of them.
    """
    fences = {each.id: each.fence for each in claimed}
    rows = db.session.scalars(
        select(WooCommerceEvent)
        .where(_is_one_of(fences), WooCommerceEvent.state == EventState.PROCESSING)
        .order_by(WooCommerceEvent.received_at, WooCommerceEvent.id)
        .options(undefer(WooCommerceEvent.body))
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    for row in rows:
        db.session.expunge(row)
    return [row for row in rows if row.fence == fences[row.id]]


_ROW = WooCommerceEvent.__table__.c
_ENDED = ("state", "reason", "lease_until", "waits_for", "next_attempt_at", "attempts", "handled_at", "woo_id")
_END = (
    update(WooCommerceEvent.__table__)  # type: ignore[arg-type]
    .where(_ROW.organisation_id == bindparam("its_organisation"), _ROW.id == bindparam("its_id"))
    .values({name: bindparam(name) for name in _ENDED})
)


def end(event: WooCommerceEvent, outcome: Outcome, *, at: datetime) -> None:
    """Say in an event that we hold what came of it, at ``at``."""
    event.state, event.reason, event.lease_until = outcome.state, outcome.sentence, None
    event.waits_for, event.next_attempt_at = None, None
    if outcome.state is EventState.WAITING:
        event.attempts = 0
        event.waits_for = outcome.waits_for
        late_at = event.received_at + LONG_WAIT
        event.next_attempt_at = outcome.again_at or (late_at if at < late_at else None)
    elif outcome.state is not EventState.FAILED:
        event.handled_at = at


def write_ends(events: Sequence[WooCommerceEvent]) -> None:
    """Write what came of locked events, all at once."""
    rows = [
        {"its_organisation": event.organisation_id, "its_id": event.id}
        | {name: getattr(event, name) for name in _ENDED}
        for event in events
    ]
    db.session.connection().execute(_END, rows)


def forget(events: Sequence[WooCommerceEvent]) -> None:
    """Drop the bodies of locked events."""
    if events:
        _set(WooCommerceEvent.id.in_([event.id for event in events]), body=None)


def put_off(claimed: Sequence[Claimed], reason: str, *, at: datetime) -> None:
    """Something failed that may pass: try again later, the more seldom the more often it failed."""
    with transaction():
        for each in claimed:
            may_retry = each.attempts <= len(RETRIES)
            _set(
                WooCommerceEvent.id == each.id,
                WooCommerceEvent.fence == each.fence,
                WooCommerceEvent.state == EventState.PROCESSING,
                state=EventState.RECEIVED if may_retry else EventState.FAILED,
                next_attempt_at=at + RETRIES[each.attempts - 1] if may_retry else None,
                reason=reason,
                lease_until=None,
            )


def wake(shop: WooCommerceShop, names: Collection[Name], *, but: Collection[UUID] = (), at: datetime) -> int:
    """Take up what waits for these resources, and what waits or failed on themselves: it may be replaced by now.

    To be called in the transaction in which they came to something.
    """
    waits = and_(
        WooCommerceEvent.waits_for.in_([name_of(*name) for name in names]),
        WooCommerceEvent.state == EventState.WAITING,
    )
    is_theirs = and_(
        tuple_(WooCommerceEvent.kind, WooCommerceEvent.woo_id).in_(names),
        WooCommerceEvent.state.in_((EventState.WAITING, EventState.FAILED)),
        WooCommerceEvent.id.not_in(but),
    )
    return _set(
        WooCommerceEvent.shop_id == shop.id,
        or_(waits, is_theirs),
        state=EventState.RECEIVED,
        next_attempt_at=at,
        attempts=0,
    )


def wake_waiting(shop: WooCommerceShop, name: str, *, at: datetime) -> int:
    """Take up what waits for ``name`` (``client:17``)."""
    return _set(
        WooCommerceEvent.shop_id == shop.id,
        WooCommerceEvent.waits_for == name,
        WooCommerceEvent.state == EventState.WAITING,
        state=EventState.RECEIVED,
        next_attempt_at=at,
        attempts=0,
    )


def name_of(kind: ResourceKind, woo_id: int) -> str:
    """What others wait for by: ``subscription:282``; of an account, ``client:17``."""
    return f"{'client' if kind is ResourceKind.CUSTOMER else kind.value}:{woo_id}"


def keep_of_pull(
    shop: WooCommerceShop,
    kind: ResourceKind,
    woo_id: int | None,
    body: bytes,
    outcome: Outcome,
    *,
    at: datetime,
) -> None:
    """Make an event of a resource of a pull that failed or waits, so that it is seen and tried again; once."""
    body_hash = hashlib.sha256(body).digest()
    which = (
        WooCommerceEvent.shop_id == shop.id,
        WooCommerceEvent.webhook_id == 0,
        WooCommerceEvent.topic == f"pull.{kind.value}",
        WooCommerceEvent.delivery_id == "",
        WooCommerceEvent.body_hash == body_hash,
    )
    if db.session.scalar(select(WooCommerceEvent.id).where(*which)) is not None:
        _set(
            *which,
            WooCommerceEvent.state.in_((EventState.WAITING, EventState.FAILED)),
            state=EventState.RECEIVED,
            next_attempt_at=at,
        )
        return
    event = WooCommerceEvent(
        organisation_id=shop.organisation_id,
        id=new_id(),
        shop_id=shop.id,
        topic=f"pull.{kind.value}",
        kind=kind,
        woo_id=woo_id,
        body_hash=body_hash,
        received_at=at,
    )
    event.keep_body(body)
    end(event, outcome, at=at)
    db.session.add(event)


def ring(organisation_id: UUID) -> None:
    """Have due events handled once the transaction has committed."""
    queue.enqueue_once_after_commit(JOB, organisation_id, on=QUEUE)


def sweep(*, at: datetime) -> int:
    """Free what somebody claimed and never ended, and ring where events are due; returns how many organisations."""
    gives_up = WooCommerceEvent.attempts > len(RETRIES)
    with tenancy.across_organisations(), transaction():
        _set(
            WooCommerceEvent.state == EventState.PROCESSING,
            WooCommerceEvent.lease_until < at,
            state=case((gives_up, EventState.FAILED), else_=EventState.RECEIVED),
            next_attempt_at=case((gives_up, null()), else_=at),
            reason=case((gives_up, BROKEN_OFF), else_=WooCommerceEvent.reason),
            lease_until=None,
        )
        waiting = db.session.scalars(
            select(WooCommerceEvent.organisation_id)
            .where(
                WooCommerceEvent.state.in_((EventState.RECEIVED, EventState.WAITING)),
                WooCommerceEvent.next_attempt_at <= at - PATIENCE,
            )
            .distinct()
        ).all()
    for organisation_id in waiting:
        ring(organisation_id)
    return len(waiting)


def prune(*, at: datetime) -> int:
    """Empty some bodies that were handled long ago; returns how many. The rest goes with the next ticks."""
    with tenancy.across_organisations(), transaction():
        old = (
            select(WooCommerceEvent.organisation_id, WooCommerceEvent.id)
            .where(WooCommerceEvent.handled_at < at - BODIES_KEPT, WooCommerceEvent.body.is_not(None))
            .order_by(WooCommerceEvent.handled_at)
            .limit(PRUNED_AT_ONCE)
            .with_for_update(skip_locked=True)
        )
        keys = [(row.organisation_id, row.id) for row in db.session.execute(old)]
        return _set(tuple_(WooCommerceEvent.organisation_id, WooCommerceEvent.id).in_(keys), body=None)


def _set(*which: ColumnElement[bool], **values: Any) -> int:
    """Update events set-based; returns how many."""
    statement = update(WooCommerceEvent).where(*which).values(values)
    result = db.session.execute(statement.execution_options(synchronize_session=False))
    return int(result.rowcount)  # type: ignore[attr-defined]
