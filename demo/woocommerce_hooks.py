"""How the pretend shop tells what happened: webhooks, as WooCommerce 11 sends them.

One delivery at a time, in the order of events, the newest hook first; a connection each, closed behind it. The body is
read when the delivery leaves. Nothing is ever sent a second time, and a hook is switched off, silently, by its seventh
failure running. All deliveries of a hook within one second carry the same delivery id.
"""

import base64
import contextlib
import hashlib
import hmac
import html
import http.client
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from demo.woocommerce_bodies import encode
from demo.woocommerce_world import World

TOPICS: Final = (
    "customer.created",
    "customer.updated",
    "customer.deleted",
    "order.created",
    "order.updated",
    "order.deleted",
    "order.restored",
    "subscription.created",
    "subscription.updated",
    "subscription.deleted",
)
"""The ten that a CRM wants."""
OTHER_TOPICS: Final = ("product.created", "product.updated", "product.deleted", "subscription.switched")
FAILURES: Final = 7
TIMEOUT: Final = 60.0
AGENT: Final = "WooCommerce/11.0.1 Hookshot (WordPress/7.1)"
WAYS: Final = {
    "ok": "one after the other",
    "repeat": "each twice, the second time under another delivery id",
    "reorder": "in an order decided by `seed`",
    "lose": "none: events are lost",
    "stale": "each followed by what the resource said before its last change",
}
GONE: Final = {
    "order": {
        "code": "woocommerce_rest_shop_order_invalid_id",
        "message": "Identifiant non valide.",
        "data": {"status": 404},
    },
    "customer": {
        "code": "wc_user_invalid_id",
        "message": "ID de ressource non valide.",
        "data": {"status": 404},
    },
    "subscription": [],
}


@dataclass
class Hook:
    """Where one topic is told."""

    id: int
    name: str
    topic: str
    delivery_url: str
    secret: str
    status: str = "active"
    failures: int = 0
    wants_ping: bool = True


@dataclass(frozen=True)
class Event:
    """Something that a hook is still to tell; without a topic, the ping of a hook that was saved."""

    hook_id: int
    topic: str = ""
    woo_id: int = 0


@dataclass
class Courier:
    """The hooks, what waits to be told, and who tells it. ``delay`` is in seconds, before each delivery.

    ``protocol`` is 11, or 10 for HTTP/1.0.
    """

    world: World
    way: str = "ok"
    delay: float = 0.0
    seed: int = 0
    protocol: int = 11
    hooks: dict[int, Hook] = field(default_factory=dict)
    waiting: deque[Event] = field(default_factory=deque)
    told: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=500))
    lost: int = 0
    ready: threading.Condition = field(default_factory=threading.Condition)
    sent: int = 0
    is_busy: bool = False
    saved: Callable[[list[dict[str, Any]]], None] = field(default=lambda _state: None)
    """Gets the hooks after each change of one."""

    def __post_init__(self) -> None:
        self.world.tell = self.hear

    # ---- Hooks

    def add(self, topic: str, delivery_url: str, secret: str, name: str = "") -> Hook:
        """A new hook, active from now on, whatever its ping gets."""
        with self.ready:
            hook_id = max(self.hooks, default=0) + 1
            hook = Hook(hook_id, name or f"CRM {topic}", topic, delivery_url, secret)
            self.hooks[hook_id] = hook
            self._queue(Event(hook_id))
            self.saved(self.state())
            return hook

    def set_status(self, hook_id: int, status: str) -> None:
        """Switch a hook; one that failures had switched off keeps their count but one."""
        with self.ready:
            hook = self.hooks[hook_id]
            hook.failures = min(hook.failures, FAILURES - 1)
            hook.status = status
            self.saved(self.state())

    def remove(self, hook_id: int) -> None:
        """A hook is deleted, and what waited for it with it."""
        with self.ready:
            del self.hooks[hook_id]
            self.saved(self.state())

    # ---- Events

    def hear(self, topic: str, woo_id: int) -> None:
        """An event: it waits for every active hook of its topic, once, the newest hook first."""
        with self.ready:
            for hook in sorted(self.hooks.values(), key=lambda each: -each.id):
                if hook.topic != topic or hook.status != "active":
                    continue
                if self.way == "lose":
                    self.lost += 1
                else:
                    self._queue(Event(hook.id, topic, woo_id))

    def _queue(self, event: Event) -> None:
        if event not in self.waiting:  # a change that waits already is not told twice
            self.waiting.append(event)
            self.ready.notify_all()

    # ---- Deliveries

    def deliver_all(self) -> int:
        """Tell everything that waits; how many deliveries left."""
        before = self.sent
        while (event := self._next()) is not None:
            try:
                self._deliver(event)
            finally:
                with self.ready:
                    self.is_busy = False
                    self.ready.notify_all()
        return self.sent - before

    def work(self) -> None:
        """Tell for ever, in a thread of its own."""
        while True:
            with self.ready:
                self.ready.wait_for(lambda: self.waiting)
            self.deliver_all()

    def start(self) -> None:
        """Begin to tell in the background."""
        threading.Thread(target=self.work, daemon=True).start()

    def wait_until_told(self, seconds: float = 30.0) -> bool:
        """Wait for everything to be told by the background; whether it was."""
        with self.ready:
            return self.ready.wait_for(lambda: not self.waiting and not self.is_busy, seconds)

    def _next(self) -> Event | None:
        with self.ready:
            if not self.waiting:
                return None
            self.is_busy = True
            if self.way != "reorder":
                return self.waiting.popleft()
            place = random.Random(f"{self.seed}|{self.sent}").randrange(len(self.waiting))
            event = self.waiting[place]
            del self.waiting[place]
            return event

    def _deliver(self, event: Event) -> None:
        hook = self.hooks.get(event.hook_id)
        if hook is None or hook.status != "active":
            return
        if self.delay:
            time.sleep(self.delay)
        if not event.topic:
            self._ping(hook)
            return
        for number, body in enumerate(self._bodies(event)):
            self._send(hook, event, body, again=number)

    def _bodies(self, event: Event) -> Iterator[bytes]:
        """What a delivery says, now that it leaves; and what it says besides, as the shop was told to misbehave."""
        kind, _, what = event.topic.partition(".")
        with self.world.lock:
            body = self.world.body(f"{kind}s", event.woo_id)
            now = encode({"id": event.woo_id} if what == "deleted" else GONE.get(kind, {}) if body is None else body)
            former = self.world.former[f"{kind}s"].get(event.woo_id)
        yield now
        if self.way == "repeat":
            yield now
        if self.way == "stale" and former is not None and what != "deleted":
            yield encode(former)

    def _send(self, hook: Hook, event: Event, body: bytes, *, again: int) -> None:
        kind, _, what = event.topic.partition(".")
        second = f"{self.world.now():%Y-%m-%dT%H:%M:%S}"
        delivery_id = hashlib.md5(f"{hook.id}{second}{again or ''}".encode(), usedforsecurity=False).hexdigest()
        headers = {
            "Content-Type": "application/json",
            "X-WC-Webhook-Source": self.world.url,
            "X-WC-Webhook-Topic": event.topic,
            "X-WC-Webhook-Resource": kind,
            "X-WC-Webhook-Event": what,
            "X-WC-Webhook-Signature": signature(hook.secret, body),
            "X-WC-Webhook-ID": str(hook.id),
            "X-WC-Webhook-Delivery-ID": delivery_id,
        }
        answer = post(hook.delivery_url, body, headers, protocol=self.protocol)
        self.sent += 1
        at = self.world.at().isoformat()
        self.told.append(
            {
                "at": at,
                "hook": hook.id,
                "topic": event.topic,
                "id": event.woo_id,
                "delivery": delivery_id,
                "answer": answer,
            }
        )
        self._count(hook, succeeded=answer is not None and 200 <= answer <= 302)

    def _count(self, hook: Hook, *, succeeded: bool) -> None:
        with self.ready:
            hook.failures = 0 if succeeded else hook.failures + 1
            if hook.failures >= FAILURES:
                hook.status = "disabled"
                self.saved(self.state())
            elif not succeeded and hook.wants_ping:
                self._queue(Event(hook.id))

    def _ping(self, hook: Hook) -> None:
        """The form that WooCommerce sends when a hook is saved, and at each save again until it was answered 200."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = post(hook.delivery_url, f"webhook_id={hook.id}".encode(), headers, protocol=self.protocol)
        hook.wants_ping = answer != 200

    # ---- Restarts

    def state(self) -> list[dict[str, Any]]:
        """The hooks, with their secrets."""
        return [asdict(hook) for hook in self.hooks.values()]

    def recall(self, state: list[dict[str, Any]]) -> None:
        """The hooks that ``state`` told of."""
        self.hooks = {each["id"]: Hook(**each) for each in state}


def signature(secret: str, body: bytes) -> str:
    """As WooCommerce signs: HTML entities in the secret are decoded first."""
    digest = hmac.new(html.unescape(secret).encode(), body, hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def post(url: str, body: bytes, headers: Mapping[str, str], *, protocol: int = 11) -> int | None:
    """Send a request on a connection of its own, and follow nothing; the status, None where none came."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT)
    connection._http_vsn, connection._http_vsn_str = protocol, f"HTTP/1.{protocol - 10}"  # type: ignore[attr-defined]
    try:
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(
            "POST", path or "/", body, {"User-Agent": AGENT, "Accept": "*/*", "Connection": "close", **headers}
        )
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        with contextlib.suppress(OSError):
            connection.close()
