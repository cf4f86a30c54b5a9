"""The pretend payment provider (bac à sable): ``python -m demo.payment_provider``.

``POST /payments`` takes money from nobody, honours idempotency keys, and misbehaves as ``POST /_control`` tells it;
``GET /_ledger`` shows what it captured, by our metadata. Refunds (``POST /payments/<id>/refunds``) misbehave likewise.
What happens later (late commits, confirmations, reversals, refunds that fail) is told by signed webhooks, which are
sent again until somebody answers 2xx.

On its own pages (``demo/payment_pages.py``) a client gives it a means of payment, and may pay at once.

Methods behave as their names say, whatever the mode: ``pm_insufficient_funds_…`` is refused for that reason,
``pm_authentication_…`` asks the client, ``pm_processing_…`` is confirmed later, ``pm_reverse_…`` is taken back.

Environment: PAYMENT_PORT (default 8083), PAYMENT_SANDBOX_SECRET, PUBLIC_URL (where webhooks go), CRM_HOME (the
payments are kept there, so that a restart forgets nothing), CRM_NOW (where its clock starts).
"""

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import partial
from pathlib import Path
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException
from werkzeug.serving import BaseWSGIServer, make_server

from demo.payment_bank import REASONS, BadControlError, Bank
from demo.payment_pages import Pages, add_pages
from demo.winleadplus_api import QuietHandler, as_json
from webapp import clock


def create_app(bank: Bank) -> Flask:
    """The WSGI application, apart from the process around it."""
    app = Flask("demo.payment_provider", static_folder=None)

    @app.before_request
    def check_key() -> Response | None:
        if request.path.startswith(("/_", "/authentification", "/page/")):
            return None
        if request.headers.get("Authorization") != f"Bearer {bank.secret}":
            return as_json(401, {"error": "unauthorized"})
        return as_json(503, {"error": "unavailable"}) if bank.behaviour.mode == "down" else None

    @app.errorhandler(KeyError)
    def show_missing(_error: KeyError) -> Response:
        return as_json(404, {"error": "not_found"})

    @app.errorhandler(HTTPException)
    def show_error(error: HTTPException) -> Response:
        return as_json(error.code or 500, {"error": error.name, "message": error.description})

    add_payments(app, bank)
    pages = Pages(bank, bank.journal.with_name("pages.jsonl") if bank.journal else None)
    add_pages(app, pages, partial(misbehave, bank, refusal="Aucune page n’est ouverte pour ce compte."))
    add_control(app, bank)
    app.extensions["pages"] = pages
    return app


def add_payments(app: Flask, bank: Bank) -> None:
    """What a client of the provider may do."""

    @app.post("/payments")
    def create_payment() -> Response:
        key, asked = request.headers.get("Idempotency-Key", ""), request.get_json(force=True)
        if fault := fault_of(asked) or ("" if key else "Idempotency-Key is needed"):
            return as_json(400, {"error": "bad_request", "message": fault})
        return replay(bank, key) or break_off(bank, key, asked) or take(bank, key, asked)

    @app.get("/payments")
    def list_payments() -> Response:
        wanted = request.args
        if "attempt" in wanted:
            return as_json(200, {"payments": bank.of_attempt(wanted["attempt"])})
        found = bank.changed(wanted["since"], wanted["until"], wanted.get("after", ""))
        return as_json(200, {"payments": found[: int(wanted.get("limit", 200))]})

    @app.post("/payments/<payment_id>/cancel")
    def cancel(payment_id: str) -> Response:
        return as_json(200, bank.cancel(payment_id))

    @app.post("/payments/<payment_id>/refunds")
    def refund(payment_id: str) -> Response:
        asked, key = request.get_json(force=True), request.headers["Idempotency-Key"]
        give = partial(bank.refund, payment_id, Decimal(asked["amount"]), key, asked.get("reference", ""))
        known = any(refund["key"] == key for refund in bank.payments[payment_id]["refunds"])
        refusal = "Ce paiement ne peut plus être remboursé."
        return (None if known else misbehave(bank, key, give, refusal=refusal)) or give_back(give)

    @app.get("/authentification/<key>")
    def authenticate(key: str) -> Response:
        bank.capture_if(bank.by_key[key], "authentication_required")
        return Response("Merci : votre paiement est autorisé.", mimetype="text/plain")


def add_control(app: Flask, bank: Bank) -> None:
    """What whoever tries the CRM may do."""

    @app.get("/_ledger")
    def show_ledger() -> Response:
        return as_json(200, bank.ledger())

    @app.get("/_control")
    def show_control() -> Response:
        return as_json(200, bank.order({}))

    @app.post("/_control")
    def change_control() -> Response:
        try:
            return as_json(200, bank.order(request.get_json(force=True)))
        except BadControlError as error:
            return as_json(400, {"error": "bad_request", "message": str(error)})


def fault_of(asked: Any) -> str | None:
    """What is wrong with a request for money, if anything."""
    if not isinstance(asked, dict) or {"amount", "currency", "method", "metadata"} - set(asked):
        return "amount, currency, method and metadata are needed"
    try:
        amount = Decimal(str(asked["amount"]))
    except InvalidOperation:
        return "amount is a decimal number"
    if not amount.is_finite() or amount <= 0:
        return "amount is above zero"
    return None if asked["method"] else "method is needed"


def replay(bank: Bank, key: str) -> Response | None:
    """The answer that a key had before, if it had one."""
    with bank.lock:
        known = bank.payments.get(bank.by_key.get(key, ""))
    if known is None and key not in bank.errors:
        return None
    answer = as_json(200, known) if known else as_json(500, {"error": "internal_server_error"})
    answer.headers["Idempotent-Replayed"] = "true"
    return answer


def break_off(bank: Bank, key: str, asked: dict[str, Any]) -> Response | None:
    """The faults of a network and of a provider that has bugs; None where it shall answer properly."""
    mode, _ = bank.behaviour.for_payment(key, asked["method"])
    delay = bank.behaviour.delay
    match mode:
        case "timeout":
            bank.new_payment(key, asked, "succeeded")
            time.sleep(delay)
        case "late":
            bank.later.do(delay, partial(bank.new_payment, key, asked, "succeeded"))
        case "error":
            bank.errors.add(key)
            return as_json(500, {"error": "internal_server_error"})
        case "drop":
            pass
        case _:
            return None
    return hang_up()


def hang_up() -> Response:
    """No answer at all."""
    with contextlib.suppress(OSError):
        request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    return Response()


def misbehave(bank: Bank, key: str, give: Callable[[], object], *, refusal: str) -> Response | None:
    """What the mode does to a refund, or to a new page; None where it is answered properly, if late."""
    mode, _ = bank.behaviour.for_payment(key, "")
    delay = bank.behaviour.delay
    if mode == "error":
        bank.errors.add(key)
    if key in bank.errors:
        return as_json(500, {"error": "internal_server_error"})
    match mode:
        case "refuse":
            return as_json(409, {"error": "conflict", "message": refusal})
        case "timeout":
            give()
            time.sleep(delay)
            return hang_up()
        case "late":
            bank.later.do(delay, give)
            return hang_up()
        case "drop":
            return hang_up()
        case "slow":
            time.sleep(delay)
    return None


def give_back(give: Callable[[], Any]) -> Response:
    """The refund, or why there is none."""
    made = give()
    return as_json(200, made) if made else as_json(409, {"error": "conflict", "message": "Montant trop élevé."})


def take(bank: Bank, key: str, asked: dict[str, Any]) -> Response:
    """Answer a new payment as the behaviour has it."""
    mode, reason = bank.behaviour.for_payment(key, asked["method"])
    delay = bank.behaviour.delay
    match mode:
        case "refuse":
            refusal = {"code": reason, "message": REASONS[reason]}
            return as_json(200, bank.new_payment(key, asked, "refused", refusal=refusal))
        case "authentication":
            url = f"{request.host_url}authentification/{key}"
            return as_json(200, bank.new_payment(key, asked, "authentication_required", authentication_url=url))
        case "processing":
            payment = bank.new_payment(key, asked, "processing")
            bank.later.do(delay, partial(bank.capture_if, payment["id"], "processing"))
            return as_json(200, payment)
        case "reverse":
            payment = bank.new_payment(key, asked, "succeeded")
            bank.later.do(delay, partial(bank.reverse, payment["id"], "MD06"))
            return as_json(200, payment)
        case "slow":
            time.sleep(delay)
    return as_json(200, bank.new_payment(key, asked, "succeeded"))


def start(bank: Bank, port: int) -> BaseWSGIServer:
    """A threaded server on loopback: nobody else may see `/_control`."""
    return make_server("127.0.0.1", port, create_app(bank), threaded=True, request_handler=QuietHandler)


def aware(text: str) -> datetime:
    """CRM_NOW as the application reads it: without an offset it is UTC."""
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def main() -> int:
    """Serve until told to stop."""
    given = os.environ
    clock.start_at(aware(given["CRM_NOW"]) if given.get("CRM_NOW") else None)
    home = Path(given.get("CRM_HOME") or ".local")
    url = given.get("PUBLIC_URL", "")
    bank = Bank(
        secret=given.get("PAYMENT_SANDBOX_SECRET", ""),
        webhook_url=f"{url}/webhooks/bac-a-sable" if url else "",
        journal=home / "payments.jsonl",
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = start(bank, int(given.get("PAYMENT_PORT") or 8083))
    print(f"payment: http://127.0.0.1:{server.port}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
