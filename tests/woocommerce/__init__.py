"""What real shops sent, byte for byte, as fixtures. All people in it are invented.

``deliveries.jsonl`` holds 92 signed deliveries of one shop (WooCommerce 11, subscriptions-core 7.6, Europe/Paris) and
three pings, in the order of their arrival; ``examples.json`` resources as documentation and clients show them.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from webapp.models.woocommerce import ResourceKind

FOLDER = Path(__file__).parent
SECRET = "wh_b72473e4cf41757ca0819808cc702212ab61fe79"
"""With which the deliveries are signed; the pings are not."""


@dataclass(frozen=True)
class Delivery:
    """One POST of the shop. ``kind`` is None for a ping."""

    seq: int
    received_at: datetime
    step: str
    headers: dict[str, str]
    body: bytes

    @property
    def topic(self) -> str:
        """As ``order.updated``; empty for a ping."""
        return self.headers.get("X-WC-Webhook-Topic", "")

    @property
    def kind(self) -> ResourceKind | None:
        """What it is about."""
        return ResourceKind(self.topic.partition(".")[0]) if self.topic else None


@cache
def deliveries() -> tuple[Delivery, ...]:
    """All of them, as they arrived."""
    with (FOLDER / "deliveries.jsonl").open() as lines:
        return tuple(_delivery(json.loads(line)) for line in lines)


def _delivery(line: dict[str, Any]) -> Delivery:
    instant = datetime.fromtimestamp(line["received_at"], UTC)
    return Delivery(line["seq"], instant, line["step"], line["headers"], line["body"].encode("ascii"))


@cache
def examples() -> dict[str, dict[str, Any]]:
    """Resources by name, each of which begins with its kind."""
    found: dict[str, dict[str, Any]] = json.loads((FOLDER / "examples.json").read_text())
    return found
