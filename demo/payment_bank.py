"""What stands behind the pretend payment provider: its payments, how it behaves, and the webhooks that it sends."""

import contextlib
import hashlib
import heapq
import hmac
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final

import httpx
import orjson

from webapp import clock

REASONS: Final = {
    "insufficient_funds": "Provision insuffisante.",
    "do_not_honor": "La banque refuse sans dire pourquoi.",
    "expired_card": "La carte est expirée.",
    "stolen_card": "La carte est déclarée volée.",
    "closed_account": "Le compte est clos.",
    "no_mandate": "Aucun mandat pour ce compte.",
    "processing_error": "La banque n’a pas pu traiter la demande.",
}
MODES: Final = {
    "ok": "captures at once",
    "refuse": "refuses for `reason`",
    "authentication": "asks the client for an agreement",
    "processing": "accepts, and captures after `delay`",
    "reverse": "captures, and takes the money back after `delay`; a refund, likewise, fails after `delay`",
    "slow": "answers after `delay`",
    "timeout": "captures, then says nothing for `delay` and hangs up",
    "late": "says nothing and hangs up; captures `delay` later all the same",
    "drop": "hangs up and captures nothing",
    "error": "answers 500, captures nothing, and remembers that answer for the key",
    "down": "answers 503 to everything",
    "chaos": "one of the others by chance, decided by `seed` and the idempotency key",
}
CHAOS: Final = ("ok",) * 6 + ("refuse", "processing", "reverse", "slow", "timeout", "late", "drop", "error")
WEBHOOKS: Final = {
    "ok": "one after the other",
    "repeat": "each told three times",
    "reorder": "in random order",
    "off": "none",
}
REFUND_FAILURE: Final = "declined"
WEBHOOK_WAITS: Final = (0.5, 1, 2, 5, 10, 30, 60, 300)

Payment = dict[str, Any]


class BadControlError(ValueError):
    """The control request makes no sense; the message says which part."""


@dataclass
class Behaviour:
    """What /_control decides. ``delay`` is in seconds."""

    mode: str = "ok"
    reason: str = "insufficient_funds"
    delay: float = 3.0
    seed: int = 0
    webhooks: str = "ok"

    def changed_by(self, order: Any) -> "Behaviour":
        """The behaviour after an order; raises BadControlError, and changes nothing then."""
        if not isinstance(order, dict) or (unknown := set(order) - {*self.__dict__, "reset"}):
            raise BadControlError(f"unknown: {sorted(unknown)}" if isinstance(order, dict) else "not an object")
        wanted = {**self.__dict__, **{name: value for name, value in order.items() if name != "reset"}}
        for name, allowed in (("mode", MODES), ("reason", REASONS), ("webhooks", WEBHOOKS)):
            if wanted[name] not in allowed:
                raise BadControlError(f"{name} is one of {', '.join(allowed)}")
        if not isinstance(wanted["delay"], int | float) or not 0 <= wanted["delay"] <= 3600:
            raise BadControlError("delay is a number of seconds, 0 to 3600")
        if not isinstance(wanted["seed"], int):
            raise BadControlError("seed is a whole number")
        return Behaviour(**wanted)

    def for_payment(self, key: str, method: str) -> tuple[str, str]:
        """Mode and reason of one payment: the method's name first, else the mode, else chance."""
        named = method.removeprefix("pm_")
        for reason in REASONS:
            if named.startswith(reason):
                return "refuse", reason
        for word, mode in (("authentication", "authentication"), ("processing", "processing"), ("reverse", "reverse")):
            if named.startswith(word):
                return mode, self.reason
        if self.mode != "chaos":
            return self.mode, self.reason
        chance = random.Random(f"{self.seed}|{key}")
        return chance.choice(CHAOS), chance.choice(list(REASONS))


class Later:
    """One thread that does things at their time."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, Callable[[], object]]] = []
        self._order = count()
        self._bell = threading.Condition()
        threading.Thread(target=self._run, daemon=True).start()

    def do(self, delay: float, action: Callable[[], object]) -> None:
        """Do ``action`` once, ``delay`` seconds from now."""
        with self._bell:
            heapq.heappush(self._waiting, (time.monotonic() + delay, next(self._order), action))
            self._bell.notify()

    def run_all(self) -> None:
        """Do all that waits now, whatever its time."""
        with self._bell:
            waiting, self._waiting = sorted(self._waiting), []
        for _, _, action in waiting:
            action()

    def _run(self) -> None:
        while True:
            with self._bell:
                while not self._waiting or (left := self._waiting[0][0] - time.monotonic()) > 0:
                    self._bell.wait(left if self._waiting else None)
                action = heapq.heappop(self._waiting)[2]
            with contextlib.suppress(Exception):  # a webhook nobody takes must not stop the next one
                action()


@dataclass
class Bank:
    """Every payment, by id. Lives in memory, and in a journal that a restart reads again."""

    secret: str
    url: str = ""
    webhook_url: str = ""
    journal: Path | None = None
    behaviour: Behaviour = field(default_factory=Behaviour)
    payments: dict[str, Payment] = field(default_factory=dict)
    by_key: dict[str, str] = field(default_factory=dict)
    errors: set[str] = field(default_factory=set)
    """Keys whose answer was a 500, which is what they get from then on."""
    later: Later = field(default_factory=Later)
    post: Later = field(default_factory=Later)
    """A client that is slow to take its webhooks does not hold up what happens at the bank."""
    lock: threading.RLock = field(default_factory=threading.RLock)
    numbers: Any = field(default_factory=lambda: count(1))
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=10, trust_env=False))

    def __post_init__(self) -> None:
        if self.journal and self.journal.exists():
            for line in self.journal.read_bytes().splitlines():
                with contextlib.suppress(ValueError):  # the last line of a kill
                    self._hold(orjson.loads(line))
            self.numbers = count(len(self.payments) + 1)

    def _hold(self, payment: Payment) -> None:
        self.payments[payment["id"]] = payment
        self.by_key[payment["key"]] = payment["id"]

    def order(self, order: Any) -> dict[str, Any]:
        """Behave as told from now on; ``reset`` forgets every payment."""
        with self.lock:
            self.behaviour = self.behaviour.changed_by(order)
            if order.get("reset"):
                for known in (self.payments, self.by_key, self.errors):
                    known.clear()
                if self.journal:
                    self.journal.unlink(missing_ok=True)
        return {**self.behaviour.__dict__, "payments": len(self.payments), "modes": MODES, "reasons": REASONS}

    def new_payment(self, key: str, asked: dict[str, Any], state: str, **more: Any) -> Payment:
        """Keep a payment for ``key``; the one that is there already where the key was used."""
        with self.lock:
            if key in self.by_key:
                return self.payments[self.by_key[key]]
            now = clock.now().isoformat()
            payment = {
                "id": f"pay_{next(self.numbers):08d}",
                "key": key,
                "amount": asked["amount"],
                "currency": asked["currency"],
                "method": asked["method"],
                "metadata": asked["metadata"],
                "created_at": now,
                "refunds": [],
            }
            self._hold(payment)
            self.change(payment["id"], state, **more)
            return payment

    def change(self, payment_id: str, state: str, **more: Any) -> Payment:
        """Move a payment on, and tell our client."""
        with self.lock:
            payment = self.payments[payment_id]
            now = clock.now().isoformat()
            if state not in ("reversed", payment.get("state")):
                more["occurred_at"] = now
            payment.update(more, state=state, changed_at=now)
            self._write_down(payment)
            self.tell(payment)
            return payment

    def capture_if(self, payment_id: str, state: str) -> None:
        """Capture what is still in ``state``: it may have been called off meanwhile."""
        with self.lock:
            if self.payments[payment_id]["state"] == state:
                self.change(payment_id, "succeeded")

    def reverse(self, payment_id: str, reason: str) -> None:
        """Take a captured payment back."""
        with self.lock:
            if self.payments[payment_id]["state"] == "succeeded":
                self.change(payment_id, "reversed", reversed_at=clock.now().isoformat(), reversal_reason=reason)

    def cancel(self, payment_id: str) -> Payment:
        """Call off what is not captured; the payment as it stands afterwards. Raises KeyError."""
        with self.lock:
            payment = self.payments[payment_id]
            if payment["state"] in ("processing", "authentication_required"):
                self.change(payment_id, "canceled")
            return payment

    def refund(self, payment_id: str, amount: Decimal, key: str, reference: str = "") -> dict[str, Any] | None:
        """Give money back, once per key; None where that cannot be. Raises KeyError."""
        with self.lock:
            payment = self.payments[payment_id]
            made: list[dict[str, Any]] = payment["refunds"]
            if known := next((refund for refund in made if refund["key"] == key), None):
                return known
            left = Decimal(payment["amount"]) - given_back(payment)
            if payment["state"] != "succeeded" or amount > left:
                return None
            refund = {
                "id": f"{payment_id}-r{len(made) + 1}",
                "key": key,
                "reference": reference,
                "amount": str(amount),
                "happened_at": clock.now().isoformat(),
            }
            self.change(payment_id, "succeeded", refunds=[*made, refund])
            if self.behaviour.for_payment(key, "")[0] == "reverse":
                self.later.do(self.behaviour.delay, partial(self.fail_refund, refund["id"]))
            return refund

    def fail_refund(self, refund_id: str, reason: str = REFUND_FAILURE) -> None:
        """The client's bank does not take a refund: its money stays here, for good. Raises KeyError."""
        payment_id = refund_id.rpartition("-")[0]
        with self.lock:
            payment = self.payments[payment_id]
            failed = {"failure": reason, "failed_at": clock.now().isoformat()}
            refunds = [
                refund | failed if refund["id"] == refund_id and "failure" not in refund else refund
                for refund in payment["refunds"]
            ]
            if refunds != payment["refunds"]:
                self.change(payment_id, payment["state"], refunds=refunds)

    def changed(self, since: str, until: str, after: str) -> list[Payment]:
        """Payments that changed in an interval (ISO instants, UTC), beyond the id ``after``."""
        with self.lock:
            return [p for p in self.payments.values() if p["id"] > after and since <= p["changed_at"] < until]

    def of_attempt(self, attempt: str) -> list[Payment]:
        """Payments that carry the attempt in their metadata."""
        with self.lock:
            return [p for p in self.payments.values() if p["metadata"].get("attempt") == attempt]

    def _write_down(self, payment: Payment) -> None:
        if self.journal:
            with self.journal.open("ab") as file:
                file.write(orjson.dumps(payment) + b"\n")

    def tell(self, payment: Payment) -> None:
        """Send the webhook of the payment's present state, as the behaviour has it."""
        self.announce(f"payment.{payment['state']}", payment=payment)

    def announce(self, kind: str, **what: Any) -> None:
        """Send a webhook that tells of something, as the behaviour has it."""
        how = self.behaviour.webhooks
        if not self.webhook_url or how == "off":
            return
        event = {"id": f"evt_{random.getrandbits(64):016x}", "type": kind}
        body = orjson.dumps({**event, **what})
        for _ in range(3 if how == "repeat" else 1):
            self.post.do(random.uniform(0, 2) if how == "reorder" else 0.05, partial(self._deliver, body, 0))

    def _deliver(self, body: bytes, tries: int) -> None:
        try:
            headers = {"X-Sandbox-Signature": sign(body, self.secret), "Content-Type": "application/json"}
            delivered = self.http.post(self.webhook_url, content=body, headers=headers).is_success
        except httpx.HTTPError:
            delivered = False
        if not delivered and tries < len(WEBHOOK_WAITS):
            self.post.do(WEBHOOK_WAITS[tries], partial(self._deliver, body, tries + 1))

    def ledger(self) -> dict[str, Any]:
        """What was captured, by our metadata; what was taken back stays, marked."""
        with self.lock:
            captured = [payment for payment in self.payments.values() if payment["state"] in ("succeeded", "reversed")]
        rows = [
            {
                "payment": payment["id"],
                **payment["metadata"],
                "amount": payment["amount"],
                "currency": payment["currency"],
                "captured_at": payment["occurred_at"],
                "reversed_at": payment.get("reversed_at"),
                "refunded": str(given_back(payment)),
            }
            for payment in captured
        ]
        return {"captures": rows, "count": len(rows), "total": str(sum(Decimal(row["amount"]) for row in rows))}


def given_back(payment: Payment) -> Decimal:
    """What was refunded of a payment and did not fail."""
    kept = (Decimal(refund["amount"]) for refund in payment["refunds"] if "failure" not in refund)
    return sum(kept, Decimal(0))


def sign(body: bytes, secret: str) -> str:
    """The signature header of a webhook's raw body."""
    moment = int(clock.now().timestamp())
    return f"t={moment},v1={hmac.new(secret.encode(), b'%d.%b' % (moment, body), hashlib.sha256).hexdigest()}"
