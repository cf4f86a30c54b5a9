"""Deliveries of our own making, and the events that they became."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import orjson
from sqlalchemy import select
from sqlalchemy.orm import undefer

from tests.services.woocommerce.telling import make_shop
from webapp import clock
from webapp.extensions import db
from webapp.models.woocommerce import WooCommerceEvent, WooCommerceShop
from webapp.services.woocommerce import receiving, signing
from webapp.services.woocommerce.receiving import Answer

SECRET = "a-secret-of-ours"


def make_signed_shop(company_id: UUID, *secrets: str, **more: Any) -> WooCommerceShop:
    """A shop that knows its secrets."""
    shop = make_shop(company_id, **more)
    shop.keep_secrets(list(secrets or (SECRET,)))
    db.session.flush()
    return shop


def headers_of(body: bytes, topic: str = "product.updated", *, secret: str = SECRET, **more: str) -> dict[str, str]:
    """What WooCommerce would send with the body."""
    return {
        "X-WC-Webhook-Source": "https://savons.example/",
        "X-WC-Webhook-Topic": topic,
        "X-WC-Webhook-Signature": signing.sign(secret, body),
        "X-WC-Webhook-ID": "7",
        "X-WC-Webhook-Delivery-ID": uuid4().hex,
        **{f"X-WC-Webhook-{name.replace('_', '-')}": value for name, value in more.items()},
    }


def deliver(
    content: object,
    topic: str = "product.updated",
    *,
    at: datetime | None = None,
    shop_id: UUID | None = None,
    **more: str,
) -> Answer:
    """One delivery, signed."""
    body = content if isinstance(content, bytes) else orjson.dumps(content)
    return receiving.receive(headers_of(body, topic, **more), body, shop_id=shop_id, at=at or clock.now())


def events() -> list[WooCommerceEvent]:
    """All that were kept, the oldest first."""
    db.session.expire_all()
    statement = select(WooCommerceEvent).order_by(WooCommerceEvent.received_at, WooCommerceEvent.id)
    return list(db.session.scalars(statement.options(undefer(WooCommerceEvent.body))))
