"""What people decide about events that failed or wait: « Réessayer », « Classer », « Afficher en clair »."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy import select
from sqlalchemy.orm import undefer

from webapp.errors import ForbiddenError, NotFoundError
from webapp.extensions import db
from webapp.models.events import EventState
from webapp.models.identity import Role, User
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.models.woocommerce import ResourceKind, WooCommerceEvent, WooCommerceResource
from webapp.services import event_engine
from webapp.services.woocommerce import claiming, events_listing
from webapp.services.woocommerce.events_listing import EventsView
from webapp.services.woocommerce.flags import STILL_WAITING
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction

log = structlog.get_logger()


def retry_event(event_id: UUID, *, at: datetime) -> None:
    """Have an event handled once more, now. Raises NotFoundError, EventStateError."""
    claiming.ENGINE.retry(event_id, at=at)


def retry_all(view: EventsView, *, at: datetime) -> int:
    """Have every event of the view that failed or waits handled once more; returns how many."""
    return claiming.ENGINE.retry_all(*events_listing.conditions(view), at=at)


def close_event(event_id: UUID, *, by: User, at: datetime) -> None:
    """A person has seen to an event: it is IGNORED, and says by whom. Raises NotFoundError, EventStateError."""
    with transaction():
        _close([claiming.ENGINE.find_decidable(event_id)], by=by, at=at)


def close_waiting(shop_id: UUID, kind: ResourceKind, woo_id: int, *, by: User, at: datetime) -> None:
    """Whatever waits on a resource is waited for no more; in the caller's transaction."""
    events = db.session.scalars(
        select(WooCommerceEvent)
        .where(
            WooCommerceEvent.shop_id == shop_id,
            WooCommerceEvent.kind == kind,
            WooCommerceEvent.woo_id == woo_id,
            WooCommerceEvent.state == EventState.WAITING,
        )
        .order_by(WooCommerceEvent.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    _close(events, by=by, at=at)


def _close(events: Sequence[WooCommerceEvent], *, by: User, at: datetime) -> None:
    event_engine.close(events, by=by, at=at)
    for event in events:
        _lift_waiting(event)


def _lift_waiting(event: WooCommerceEvent) -> None:
    """What waited for too long is on the list of what is to be looked at no more."""
    row = db.session.scalar(
        select(WooCommerceResource)
        .where(
            WooCommerceResource.shop_id == event.shop_id,
            WooCommerceResource.kind == event.kind,
            WooCommerceResource.woo_id == event.woo_id,
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if row is not None:
        row.review = [each for each in row.review if each["code"] != STILL_WAITING]


def reveal_body(event_id: UUID, *, by: User, at: datetime) -> bytes:
    """The body as it came, for admins; the timeline of whose it is tells who looked.

    Raises NotFoundError, also once the body has been let go, and ForbiddenError.
    """
    if not by.has_role(Role.ADMIN):
        raise ForbiddenError("Seul un administrateur peut afficher une notification en clair.")
    with transaction():
        event = db.session.scalar(
            select(WooCommerceEvent).where(WooCommerceEvent.id == event_id).options(undefer(WooCommerceEvent.body))
        )
        body = event.body_in_clear() if event is not None else None
        if event is None or body is None:
            raise NotFoundError("Cet événement, ou son contenu, n’existe plus.")
        client_id = find_client_id(event)
        if client_id is not None:
            told = {"shop_event": [None, f"{event.topic} {event.woo_id}"]}
            kind = EventKind.SHOP_BODY_REVEALED
            db.session.add(TimelineEvent(client_id=client_id, kind=kind, at=at, user_id=by.id, changes=told))
        log.info("shop_body_revealed", event_id=str(event_id), organisation_id=str(current_organisation_id()))
        return body


def find_client_id(event: WooCommerceEvent) -> UUID | None:
    """Whose the resource of an event is, as far as that is known."""
    if event.woo_id is None:
        return None
    return db.session.scalar(
        select(WooCommerceResource.client_id).where(
            WooCommerceResource.shop_id == event.shop_id,
            WooCommerceResource.kind == event.kind,
            WooCommerceResource.woo_id == event.woo_id,
        )
    )
