"""Rows of shops, for tests that need no shop that answers."""

from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any
from uuid import UUID

import orjson

from tests.conftest import NOW
from tests.factories import default_company
from webapp import crypto
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.clients import Client
from webapp.models.events import EventState
from webapp.models.woocommerce import ResourceKind, WooCommerceEvent, WooCommerceResource, WooCommerceShop

KEYS = {"consumer_key": "ck_0123456789", "consumer_secret": "cs_9876543210"}


def make_shop(number: int = 1, **values: Any) -> WooCommerceShop:
    """A shop of the default company."""
    usual = {
        "name": f"Boutique {number}",
        "url": f"https://boutique-{number}.example.org/",
        "source": f"boutique-{number}.example.org",
    }
    shop = WooCommerceShop(id=new_id(), company_id=default_company().id, **usual | values)
    db.session.add(shop)
    db.session.flush()
    return shop


def make_order(shop: WooCommerceShop, woo_id: int, client: Client | None = None, **values: Any) -> WooCommerceResource:
    """An order that is kept, ten euros, paid a minute after it was placed."""
    usual: dict[str, Any] = {
        "kind": ResourceKind.ORDER,
        "number": str(woo_id),
        "status": "processing",
        "placed_at": NOW,
        "paid_at": NOW + timedelta(minutes=1),
        "total": Decimal("10.00"),
        "currency": "EUR",
    }
    return make_resource(shop, woo_id, client, **usual | values)


def make_resource(
    shop: WooCommerceShop, woo_id: int, client: Client | None = None, *, body: Any = None, **values: Any
) -> WooCommerceResource:
    """A resource that is kept, with ``body`` as its JSON."""
    content = orjson.dumps(body or {"id": woo_id})
    row = WooCommerceResource(
        id=new_id(),
        organisation_id=shop.organisation_id,
        shop_id=shop.id,
        woo_id=woo_id,
        client_id=client.id if client else None,
        modified_at=NOW,
        rank=0,
        hash=sha256(content).digest(),
        **values,
    )
    row.body = crypto.keyring().encrypt(content, place=row.place_of("body"))
    db.session.add(row)
    db.session.flush()
    return row


def make_event(
    shop: WooCommerceShop,
    number: int = 1,
    state: EventState = EventState.DONE,
    *,
    body: Any = None,
    received_at: datetime | None = None,
    **values: Any,
) -> WooCommerceEvent:
    """A notification of order ``number``, received that many minutes after NOW."""
    content = body if isinstance(body, bytes) else orjson.dumps(body or {"id": number, "status": "processing"})
    usual: dict[str, Any] = {
        "topic": "order.updated",
        "kind": ResourceKind.ORDER,
        "woo_id": number,
        "webhook_id": 7,
        "delivery_id": f"d{number}",
        "reason": None if state in (EventState.RECEIVED, EventState.PROCESSING, EventState.DONE) else "Une raison.",
        "next_attempt_at": None,
        "lease_until": NOW + timedelta(hours=1) if state is EventState.PROCESSING else None,
        "handled_at": NOW if state in (EventState.DONE, EventState.IGNORED) else None,
    }
    event = WooCommerceEvent(
        id=new_id(),
        organisation_id=shop.organisation_id,
        shop_id=shop.id,
        body_hash=sha256(content).digest(),
        received_at=received_at or NOW + timedelta(minutes=number),
        state=state,
        **usual | values,
    )
    event.body = crypto.keyring().encrypt(content, place=event.place_of("body"))
    db.session.add(event)
    db.session.flush()
    return event


def reload_event(event_id: UUID) -> WooCommerceEvent:
    """An event as it stands now."""
    db.session.expire_all()
    return db.session.query(WooCommerceEvent).filter_by(id=event_id).one()
