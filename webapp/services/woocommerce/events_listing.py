"""The list of what shops have told us, and of what became of it; where a resource of a shop stands here."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, select, tuple_
from sqlalchemy.orm import contains_eager, undefer

from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.models.events import EventState
from webapp.models.woocommerce import (
    MappingKind,
    ResourceKind,
    WooCommerceEvent,
    WooCommerceMapping,
    WooCommerceResource,
)
from webapp.services import keyset
from webapp.services.event_engine import NO_EVENT, state_is
from webapp.services.keyset import Position

PAGE_SIZE = 50
BY_RECEPTION = "-received_at"


@dataclass(frozen=True, kw_only=True)
class EventsView:
    """Which events are shown; ``cursor`` is where the page starts."""

    state: EventState | None = None
    shop_id: UUID | None = None
    topic: str | None = None
    cursor: str | None = None


Key = tuple[UUID, ResourceKind, int]
"""A resource: its shop, kind, and id there."""


class Ours(NamedTuple):
    """The row of ours that a resource became: ``what`` is ``client``, ``subscription`` or ``charge``."""

    what: str
    id: UUID


class EventRow(NamedTuple):
    """A line of the list; ``ours`` is empty where nothing of ours has come of the resource yet."""

    event: WooCommerceEvent
    ours: Ours | None


def list_events(view: EventsView, *, size: int = PAGE_SIZE) -> keyset.Page[EventRow]:
    """The events of the view, the latest first, each with its shop and our row."""
    statement = narrowed(select(WooCommerceEvent), view)
    statement = statement.join(WooCommerceEvent.shop).options(contains_eager(WooCommerceEvent.shop))

    def read(start: Position | None) -> Sequence[WooCommerceEvent]:
        order = [WooCommerceEvent.received_at, WooCommerceEvent.id]
        return db.session.scalars(keyset.cut(statement, order, start, is_descending=True, size=size)).all()

    start = keyset.decode(view.cursor, sort=BY_RECEPTION, kind=datetime)
    page = keyset.page(read, start, place=lambda each: (each.received_at, each.id), sort=BY_RECEPTION, size=size)
    ours = find_ours([key for each in page.rows if (key := key_of(each)) is not None])

    def show(event: WooCommerceEvent) -> EventRow:
        key = key_of(event)
        return EventRow(event, ours.get(key) if key else None)

    return page.map(show)


def select_all(view: EventsView) -> Select[*tuple[Any, ...]]:
    """Every event of a view in that order, joined with shops: an export adds the columns."""
    statement: Select[*tuple[Any, ...]] = narrowed(select(WooCommerceEvent.id).join(WooCommerceEvent.shop), view)
    return statement.order_by(WooCommerceEvent.received_at.desc(), WooCommerceEvent.id.desc())


def narrowed(statement: Any, view: EventsView) -> Any:
    """A statement on events with the filters of the view."""
    return statement.where(*conditions(view))


def conditions(view: EventsView) -> list[ColumnElement[bool]]:
    """What narrows events to those of the view."""
    return [
        *state_is(WooCommerceEvent.state, view.state),
        *([WooCommerceEvent.shop_id == view.shop_id] if view.shop_id is not None else []),
        *([WooCommerceEvent.topic == view.topic] if view.topic is not None else []),
    ]


def key_of(event: WooCommerceEvent) -> Key | None:
    """The resource that an event is about, where it names one."""
    if event.kind is None or event.woo_id is None:
        return None
    return event.shop_id, event.kind, event.woo_id


def find_event(event_id: UUID) -> EventRow:
    """An event with its shop and body, and our row. Raises NotFoundError."""
    event = db.session.scalar(
        select(WooCommerceEvent)
        .join(WooCommerceEvent.shop)
        .where(WooCommerceEvent.id == event_id)
        .options(contains_eager(WooCommerceEvent.shop), undefer(WooCommerceEvent.body))
    )
    if event is None:
        raise NotFoundError(NO_EVENT)
    key = key_of(event)
    return EventRow(event, find_ours([key]).get(key) if key else None)


def find_ours(keys: Collection[Key]) -> dict[Key, Ours]:
    """Where each of the resources stands here: its own row, else the client whose it is. Two queries."""
    if not keys:
        return {}
    wanted = [(shop_id, kind, woo_id) for shop_id, kind, woo_id in set(keys)]
    found: dict[Key, Ours] = {}
    for shop_id, kind, woo_id, client_id in db.session.execute(_clients_of(wanted)):
        if client_id is not None:
            found[shop_id, kind, woo_id] = Ours("client", client_id)
    for mapping in db.session.scalars(_mappings_of(wanted)):
        kind = ResourceKind.CUSTOMER if mapping.kind is MappingKind.CLIENT else ResourceKind(mapping.kind.value)
        what = {ResourceKind.CUSTOMER: "client", ResourceKind.ORDER: "charge"}.get(kind, "subscription")
        found[mapping.shop_id, kind, mapping.woo_id or 0] = Ours(what, mapping.our_id)
    return found


def _clients_of(keys: Sequence[Key]) -> Select[UUID, ResourceKind, int, UUID | None]:
    row = WooCommerceResource
    return select(row.shop_id, row.kind, row.woo_id, row.client_id).where(
        tuple_(row.shop_id, row.kind, row.woo_id).in_(keys), row.client_id.is_not(None)
    )


def _mappings_of(keys: Sequence[Key]) -> Select[WooCommerceMapping]:
    """Of an order that is divided, the first part last: it is the one that is shown."""
    kinds = {
        ResourceKind.CUSTOMER: MappingKind.CLIENT,
        ResourceKind.ORDER: MappingKind.ORDER,
        ResourceKind.SUBSCRIPTION: MappingKind.SUBSCRIPTION,
    }
    named = [(shop_id, kinds[kind], woo_id) for shop_id, kind, woo_id in keys if kind in kinds]
    row = WooCommerceMapping
    return select(row).where(tuple_(row.shop_id, row.kind, row.woo_id).in_(named)).order_by(row.part.desc())
