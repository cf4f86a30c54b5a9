"""What a shop delivers in ten months, in its order: signed requests as bytes, ready to be sent."""

from datetime import UTC, datetime
from uuid import UUID

from demo.woocommerce_bodies import encode
from demo.woocommerce_world import World
from webapp.services.woocommerce import signing

SHOP = UUID("00000000-0000-7000-8000-000000000004")
FLOOR_HOOK = 99
"""The webhook whose rows are the floor's."""
SECRET = "bench"  # noqa: S105  # of nobody
SOURCE = "https://boutique.example/"
MONTHS, GUESTS = 10, 20
DELIVERIES_OF_EACH = 20
"""At least so many a subscriber has."""
COLLECTIONS = {"customer": "customers", "order": "orders", "subscription": "subscriptions", "product": "products"}

Delivery = tuple[str, bytes]
"""A topic, and the body as it left."""


def make_deliveries(number: int) -> list[Delivery]:
    """The first ``number`` deliveries of a shop with subscribers enough."""
    world, found = World("https://boutique.example/"), list[Delivery]()

    def tell(topic: str, woo_id: int) -> None:
        body = world.body(COLLECTIONS[topic.partition(".")[0]], woo_id)
        found.append((topic, encode(body if body is not None else {"id": woo_id})))

    world.tell = tell
    world._live(number // DELIVERIES_OF_EACH + 2, MONTHS, GUESTS, datetime.now(UTC))
    if len(found) < number:
        raise RuntimeError(f"{len(found)} of {number} deliveries")
    return found[:number]


def request_of(delivery: Delivery, number: int, path: str, *, is_floor: bool) -> bytes:
    """The whole request, as WooCommerce sends it; its ``number`` tells it from every other."""
    topic, body = delivery
    head = [
        f"POST {path} HTTP/1.0",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "User-Agent: WooCommerce/11.0.1 Hookshot (WordPress/6.9)",
        f"X-WC-Webhook-Source: {SOURCE}",
        f"X-WC-Webhook-Topic: {topic}",
        f"X-WC-Webhook-Signature: {signing.sign(SECRET, body)}",
        f"X-WC-Webhook-ID: {FLOOR_HOOK if is_floor else 7}",
        f"X-WC-Webhook-Delivery-ID: {number}",
    ]
    return "\r\n".join([*head, "", ""]).encode() + body
