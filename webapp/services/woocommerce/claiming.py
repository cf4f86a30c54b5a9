"""Who handles which event of a shop: the engine of events, and what a shop's events wait for besides."""

import hashlib
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import and_, or_, select, tuple_

from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.events import EventState
from webapp.models.woocommerce import ResourceKind, WooCommerceEvent, WooCommerceShop
from webapp.services import event_engine
from webapp.services.event_engine import Engine, Outcome
from webapp.services.woocommerce.kept import Name
from webapp.services.woocommerce.receiving import JOB

ENGINE = Engine(WooCommerceEvent, job=JOB, about=("shop_id", "kind", "woo_id"), told=("woo_id",))


class Claimed(NamedTuple):
    """An event that is ours while its fence is ``fence``."""

    id: UUID
    fence: int
    attempts: int
    shop_id: UUID
    kind: ResourceKind | None
    woo_id: int | None


def claim(*, at: datetime) -> Sequence[Claimed]:
    """Take the organisation's events that are due, the longest due first."""
    return [Claimed(each.id, each.fence, each.attempts, *each.about) for each in ENGINE.claim(at=at)]


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
    return ENGINE.wake(WooCommerceEvent.shop_id == shop.id, or_(waits, is_theirs), at=at)


def wake_waiting(shop: WooCommerceShop, name: str, *, at: datetime) -> int:
    """Take up what waits for ``name`` (``client:17``)."""
    return ENGINE.wake(
        WooCommerceEvent.shop_id == shop.id,
        WooCommerceEvent.waits_for == name,
        WooCommerceEvent.state == EventState.WAITING,
        at=at,
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
        ENGINE.set(
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
    event_engine.end(event, outcome, at=at)
    db.session.add(event)


def sweep(*, at: datetime) -> int:
    """Free what somebody claimed and never ended, and ring where events are due; returns how many organisations."""
    return ENGINE.sweep(at=at)


def prune(*, at: datetime) -> int:
    """Empty some bodies that were handled long ago; returns how many. The rest goes with the next ticks."""
    return ENGINE.prune(at=at)
