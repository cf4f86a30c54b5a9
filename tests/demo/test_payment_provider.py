"""The pretend payment provider: what it is told, what it remembers, and the webhooks that it sends."""

import hmac
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest

from demo.payment_bank import CHAOS, BadControlError, Bank, Behaviour, Later
from demo.payment_provider import create_app
from tests.serving import serving

ASKED = {"amount": "24.00", "currency": "EUR", "method": "pm_ok", "metadata": {"attempt": "a", "charge": "c"}}
SECRET = "secret-of-the-provider"
KEY = {"Authorization": f"Bearer {SECRET}", "Idempotency-Key": "k1"}


@contextmanager
def crm(statuses: list[int]) -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """Somebody who takes webhooks: answers these statuses, then 200, and keeps what came."""
    taken: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(statuses.pop(0) if statuses else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()
            taken.append((self.headers["X-Sandbox-Signature"], body))
            arrived.release()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    arrived = threading.Semaphore(0)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.arrived = arrived  # type: ignore[attr-defined]
    crm.arrived = arrived  # type: ignore[attr-defined]
    with serving(server):
        yield f"http://127.0.0.1:{server.server_port}", taken


def wait_for(number: int) -> None:
    for _ in range(number):
        assert crm.arrived.acquire(timeout=10)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "order",
    [[], {"mode": "enchanted"}, {"reason": "x"}, {"delay": -1}, {"delay": "soon"}, {"seed": "x"}, {"other": 1}],
)
def test_an_order_that_makes_no_sense_changes_nothing(order: Any) -> None:
    bank = Bank(secret=SECRET)
    answer = create_app(bank).test_client().post("/_control", json=order)
    assert answer.status_code == 400
    assert bank.behaviour == Behaviour()
    with pytest.raises(BadControlError):
        bank.order(order)


def test_the_ledger_holds_what_was_captured_by_our_metadata() -> None:
    bank = Bank(secret=SECRET)
    client = create_app(bank).test_client()
    assert client.post("/payments", json=ASKED, headers=KEY).status_code == 200
    client.post("/_control", json={"mode": "refuse", "reason": "stolen_card"})
    client.post("/payments", json=ASKED, headers={**KEY, "Idempotency-Key": "k2"})
    ledger = client.get("/_ledger").get_json()
    assert (ledger["count"], ledger["total"]) == (1, "24.00")
    assert ledger["captures"][0].items() >= ASKED["metadata"].items()  # type: ignore[union-attr]


def test_whoever_has_no_key_pays_nothing() -> None:
    bank = Bank(secret=SECRET)
    client = create_app(bank).test_client()
    assert client.post("/payments", json=ASKED, headers={"Idempotency-Key": "k1"}).status_code == 401
    assert client.get("/payments/pay_1").status_code in (401, 404, 405)
    assert bank.payments == {}


@pytest.mark.parametrize(
    "change", [{"amount": "0"}, {"amount": "-1"}, {"amount": "NaN"}, {"amount": "x"}, {"method": ""}]
)
def test_a_request_that_cannot_be_is_refused(change: dict[str, str]) -> None:
    client = create_app(Bank(secret=SECRET)).test_client()
    assert client.post("/payments", json=ASKED | change, headers=KEY).status_code == 400


def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    journal = tmp_path / "payments.jsonl"
    before = Bank(secret=SECRET, journal=journal)
    payment = before.new_payment("k1", ASKED, "succeeded")
    before.reverse(payment["id"], "MD06")
    with journal.open("ab") as file:
        file.write(b'{"half of a li')
    after = Bank(secret=SECRET, journal=journal)
    assert after.payments == before.payments
    assert after.new_payment("k1", ASKED, "succeeded")["id"] == payment["id"]
    assert after.new_payment("k2", ASKED, "succeeded")["id"] != payment["id"]
    after.order({"reset": True})
    assert not journal.exists()


def test_chaos_is_the_same_for_the_same_seed_and_key() -> None:
    chaos = Behaviour(mode="chaos", seed=7)
    modes = [chaos.for_payment(f"k{number}", "pm_ok") for number in range(300)]
    assert modes == [chaos.for_payment(f"k{number}", "pm_ok") for number in range(300)]
    assert modes != [Behaviour(mode="chaos", seed=8).for_payment(f"k{number}", "pm_ok") for number in range(300)]
    assert set(Counter(mode for mode, _ in modes)) == set(CHAOS)


def test_webhooks_are_signed_and_sent_until_taken() -> None:
    with crm([500, 503]) as (url, taken):
        bank = Bank(secret=SECRET, webhook_url=url)
        bank.new_payment("k1", ASKED, "succeeded")
        wait_for(3)
    assert len({body for _, body in taken}) == 1
    signature, body = taken[0]
    moment, _, digest = signature.removeprefix("t=").partition(",v1=")
    assert hmac.compare_digest(digest, hmac.new(SECRET.encode(), f"{moment}.".encode() + body, sha256).hexdigest())
    assert orjson.loads(body)["payment"]["state"] == "succeeded"


def test_webhooks_can_be_repeated_and_left_out() -> None:
    with crm([]) as (url, taken):
        bank = Bank(secret=SECRET, webhook_url=url)
        bank.order({"webhooks": "off"})
        bank.new_payment("k1", ASKED, "succeeded")
        bank.order({"webhooks": "repeat"})
        bank.new_payment("k2", ASKED, "succeeded")
        wait_for(3)
    assert len(taken) == 3
    assert len({orjson.loads(body)["id"] for _, body in taken}) == 1


def test_money_given_back_comes_back_on_demand() -> None:
    bank = Bank(secret=SECRET)
    payment = bank.new_payment("k1", ASKED, "succeeded")
    bank.order({"mode": "reverse", "delay": 0})
    bank.later = AtOnce()
    refund = bank.refund(payment["id"], Decimal("10.00"), "r1")
    assert refund is not None
    assert payment["refunds"][0].items() >= {**refund, "failure": "declined"}.items()
    assert payment["state"] == "succeeded"


class AtOnce(Later):
    """What happens later happens now."""

    def do(self, delay: float, action: Callable[[], object]) -> None:
        """At once."""
        action()


def test_the_client_agrees_on_a_page_of_the_provider() -> None:
    bank = Bank(secret=SECRET)
    client = create_app(bank).test_client()
    payment = client.post("/payments", json=ASKED | {"method": "pm_authentication"}, headers=KEY).get_json()
    assert payment["state"] == "authentication_required"
    assert client.get(payment["authentication_url"]).status_code == 200
    assert bank.payments[payment["id"]]["state"] == "succeeded"
