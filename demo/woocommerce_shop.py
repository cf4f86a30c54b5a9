"""The pretend WooCommerce shop: ``python -m demo.woocommerce_shop``. Its page, ``/``, has buttons that make it live.

It is read by REST v3 with a key (``demo/woocommerce_rest.py``), and tells what happens by webhooks
(``demo/woocommerce_hooks.py``). At its first start it has some months behind it, and ten webhooks to the CRM.

``POST /_control`` has it misbehave, or makes something happen (``demo/woocommerce_world.py`` has all acts)::

    {"mode": "429", "times": 2}          REST: see MODES
    {"deliveries": "reorder"}            webhooks: ok repeat reorder lose stale
    {"delay": 2, "protocol": 10}         seconds before each delivery; HTTP/1.0
    {"same_second": true}                the shop's clock stands still
    {"act": "renew", "outcome": "failed", "count": 3}

``GET /_state`` is the truth: all resources, what was erased, hooks, deliveries.

Environment: WOOCOMMERCE_PORT (default 8086), WOOCOMMERCE_SHOP_SECRET (signs, and the REST key is made of it),
PUBLIC_URL (where webhooks go), CRM_HOME (all is kept there, so that a restart forgets nothing), CRM_NOW (where its
clock starts).
"""

import contextlib
import hashlib
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_urlsafe
from typing import Any, Final

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException
from werkzeug.serving import BaseWSGIServer, make_server

from demo.home import read_json, write_json
from demo.payment_provider import aware
from demo.winleadplus_api import QuietHandler, as_json
from demo.woocommerce_bodies import Item
from demo.woocommerce_hooks import TOPICS, WAYS, Courier
from demo.woocommerce_page import add_pages
from demo.woocommerce_rest import MODES, Manners, add_rest
from demo.woocommerce_world import ARTICLES, BadActError, World
from webapp import clock

NUMBERS: Final = {"pause": 600, "retry_after": 600, "delay": 600}
OF_COURIER: Final = {"deliveries": "way", "delay": "delay", "seed": "seed", "protocol": "protocol"}
OF_MANNERS: Final = ("mode", "times", "pause", "retry_after", "honours_modified_after", "has_subscriptions")
ACTS: Final = (
    *("sign_up", "subscribe", "buy", "draft", "renew", "pay", "refund", "take_back_refund", "switch"),
    *("set_order_status", "set_subscription_status", "change_customer", "trash", "restore"),
    *("erase_order", "erase_customer"),
)
LARGEST_COUNT: Final = 1000


class BadControlError(ValueError):
    """The control request makes no sense; the message says which part."""


@dataclass
class Shop:
    """All of it: what the shop holds, how it tells, and how it answers."""

    url: str
    secret: str
    world: World = field(init=False)
    courier: Courier = field(init=False)
    manners: Manners = field(init=False)
    journal: Path | None = None

    def __post_init__(self) -> None:
        self.world = World(self.url, journal=self.journal)
        self.courier = Courier(self.world)
        self.manners = Manners(*keys_of(self.secret))

    def connect(self, delivery_url: str, *, secret: str | None = None) -> None:
        """Make the ten hooks, as a person does who connects a CRM."""
        for topic in TOPICS:
            self.courier.add(topic, delivery_url, self.secret if secret is None else secret)

    def order(self, wanted: Any) -> dict[str, Any]:
        """Change how it behaves or have something happen, and tell how it behaves. Raises BadControlError."""
        if not isinstance(wanted, dict):
            raise BadControlError("not an object")
        if "act" in wanted:
            return {"done": self._act(dict(wanted))}
        if unknown := set(wanted) - {*OF_MANNERS, *OF_COURIER, "same_second"}:
            raise BadControlError(f"unknown: {sorted(unknown)}")
        _check(wanted)
        for name, value in wanted.items():
            if name == "same_second":
                self.world.stopped_at = self.world.now() if value else None
            elif name in OF_COURIER:
                setattr(self.courier, OF_COURIER[name], value)
            else:
                setattr(self.manners, name, value)
        if "mode" in wanted:
            self.manners.times = wanted.get("times")
        return self.behaviour()

    def behaviour(self) -> dict[str, Any]:
        """All that can be ordered, as it is."""
        return {
            **{name: getattr(self.manners, name) for name in OF_MANNERS},
            **{name: getattr(self.courier, attribute) for name, attribute in OF_COURIER.items()},
            "same_second": self.world.stopped_at is not None,
        }

    def state(self) -> dict[str, Any]:
        """The truth."""
        told = {"hooks": self.courier.state(), "deliveries": list(self.courier.told), "lost": self.courier.lost}
        return self.world.state() | told

    def _act(self, wanted: dict[str, Any]) -> list[Any]:
        act, count = wanted.pop("act"), wanted.pop("count", 1)
        if act not in ACTS or not isinstance(count, int) or not 1 <= count <= LARGEST_COUNT:
            raise BadControlError(f"act is one of {', '.join(ACTS)}; count goes from 1 to {LARGEST_COUNT}")
        if "articles" in wanted:
            known = {article.id: article for article in ARTICLES}
            wanted["items"] = [Item(known[number]) for number in wanted.pop("articles") if number in known]
        try:
            return [getattr(self.world, act)(**wanted) for _ in range(count)]
        except (BadActError, TypeError, KeyError, LookupError) as error:
            raise BadControlError(f"{act}: {error}") from None


def _check(wanted: Mapping[str, Any]) -> None:
    for name, allowed in (("mode", MODES), ("deliveries", WAYS), ("protocol", (10, 11))):
        if name in wanted and wanted[name] not in allowed:
            raise BadControlError(f"{name} is one of {', '.join(map(str, allowed))}")
    for name, most in NUMBERS.items():
        if name in wanted and (not isinstance(wanted[name], int | float) or not 0 <= wanted[name] <= most):
            raise BadControlError(f"{name} is a number of seconds, 0 to {most}")
    for name in ("honours_modified_after", "has_subscriptions", "same_second"):
        if not isinstance(wanted.get(name, True), bool):
            raise BadControlError(f"{name} is true or false")
    if not isinstance(wanted.get("seed", 0), int) or not isinstance(wanted.get("times") or 0, int):
        raise BadControlError("seed and times are whole numbers")


def keys_of(secret: str) -> tuple[str, str]:
    """The REST key, and its secret, of a shop with that secret."""
    return tuple(  # type: ignore[return-value]
        f"{kind}_{hashlib.sha1(f'{kind}|{secret}'.encode(), usedforsecurity=False).hexdigest()}"
        for kind in ("ck", "cs")
    )


def create_app(shop: Shop) -> Flask:
    """The WSGI application, apart from the process around it."""
    app = Flask("demo.woocommerce_shop", static_folder=None)
    add_rest(app, shop.world, shop.courier, shop.manners)
    add_pages(app, shop.world, shop.courier, shop.manners)

    @app.errorhandler(HTTPException)
    def show_error(error: HTTPException) -> Response:
        return as_json(error.code or 500, {"code": "rest_no_route", "message": error.name, "data": {}})

    @app.get("/_state")
    def show_state() -> Response:
        return as_json(200, shop.state())

    @app.get("/_control")
    def show_control() -> Response:
        return as_json(200, shop.behaviour())

    @app.post("/_control")
    def change_control() -> Response:
        try:
            return as_json(200, shop.order(request.get_json(force=True)))
        except BadControlError as error:
            return as_json(400, {"message": str(error)})

    return app


def start(shop: Shop, port: int) -> BaseWSGIServer:
    """A threaded server on loopback: nobody else may see `/_control`."""
    return make_server("127.0.0.1", port, create_app(shop), threaded=True, request_handler=QuietHandler)


def open_shop(home: Path, url: str, crm_url: str, secret: str) -> Shop:
    """The shop of a home as it was left, its own hooks to where the CRM is now; or a new one, months old."""
    shop = Shop(url, secret, journal=home / "woocommerce.json")
    shop.courier.recall(read_json(home / "woocommerce_hooks.json").get("hooks", []))
    if not shop.world.bodies["orders"]:
        shop.world.populate()
    own = [hook for hook in shop.courier.hooks.values() if hook.secret == secret]
    for hook in own:
        hook.delivery_url, hook.status, hook.failures = f"{crm_url}/webhooks/woocommerce", "active", 0
    if crm_url and not own:
        shop.connect(f"{crm_url}/webhooks/woocommerce")
    shop.courier.saved = lambda hooks: write_json(home / "woocommerce_hooks.json", {"hooks": hooks})
    return shop


def main() -> int:
    """Serve until told to stop."""
    given = os.environ
    clock.start_at(aware(given["CRM_NOW"]) if given.get("CRM_NOW") else None)
    port = int(given.get("WOOCOMMERCE_PORT") or 8086)
    secret = given.get("WOOCOMMERCE_SHOP_SECRET") or token_urlsafe(32)
    home = Path(given.get("CRM_HOME") or ".local")
    shop = open_shop(home, f"http://127.0.0.1:{port}/", given.get("PUBLIC_URL", "").rstrip("/"), secret)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = start(shop, port)
    shop.courier.start()
    print(f"woocommerce: http://127.0.0.1:{server.port}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
