"""The Stripe gateway: against localstripe as far as that goes, and against canned answers beyond."""

import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from hmac import new as hmac
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import orjson
import pytest

from tests.gateways.providers.conftest import NOW
from webapp.gateways.providers.protocol import (
    BadSignatureError,
    PaymentRequest,
    PaymentState,
    ProviderRejectedError,
    ProviderUnreachableError,
    UnreadableWebhookError,
)
from webapp.gateways.providers.stripe import SIGNATURE_HEADER, Stripe
from webapp.models.charges import RefusalClass

ROOT = Path(__file__).resolve().parents[3]
WEBHOOK_SECRET = "whsec_of_the_tests"
MakeRequest = Callable[..., PaymentRequest]


def gateway(url: str) -> Stripe:
    return Stripe(
        api_key="sk_test_of_the_tests",
        webhook_secret=WEBHOOK_SECRET,
        longest_delay=timedelta(minutes=5),
        url=url,
        timeout=5.0,
    )


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    command = [sys.executable, "-m", "tests.gateways.providers.stripe_server"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        server.terminate()


class TestAgainstLocalstripe:
    """What the official SDK and a Stripe on loopback make of our requests."""

    @pytest.fixture
    def account(self, address: str) -> Iterator[Stripe]:
        account = gateway(address)
        yield account
        account.close()

    def saved(self, account: Stripe, number: str | None = None) -> dict[str, str]:
        """A customer with a saved card; without a number, with a mandate that its bank will refuse."""
        api = account._client.v1
        customer = api.customers.create({"name": "Léa Durand"})
        card: Any = {"number": number, "exp_month": 12, "exp_year": 2040, "cvc": "123"}
        kept: Any = {"type": "card", "card": card}
        if number is None:
            kept = {"type": "sepa_debit", "sepa_debit": {"iban": "DE62370400440532013001"}}
            kept["billing_details"] = {"name": "Léa Durand", "email": "lea@example.com"}
        method = api.payment_methods.create(kept)
        api.payment_methods.attach(method.id, {"customer": customer.id})
        return {"customer_reference": customer.id, "method_reference": method.id}

    def test_a_saved_card_is_charged_and_found_by_our_metadata(
        self, account: Stripe, make_request: MakeRequest
    ) -> None:
        request = make_request(**self.saved(account, "4242424242424242"))
        outcome = account.create_payment(request)
        assert (outcome.state, outcome.amount, outcome.currency) == (PaymentState.SUCCEEDED, Decimal("24.00"), "EUR")
        assert account.find_payment(request.attempt_id) == outcome
        assert account.find_payment(request.attempt_id, provider_payment_id=outcome.provider_payment_id) == outcome
        assert account.find_payment(uuid4()) is None

    def test_a_declined_card_is_refused(self, account: Stripe, make_request: MakeRequest) -> None:
        request = make_request(**self.saved(account, "4000000000000341"))
        outcome = account.create_payment(request)
        assert (outcome.state, outcome.refusal_class) == (PaymentState.REFUSED, RefusalClass.SOFT)
        found = account.find_payment(request.attempt_id)
        assert found is not None
        assert found.state is PaymentState.REFUSED

    def test_a_card_that_wants_its_holder_waits_and_can_be_called_off(
        self, account: Stripe, make_request: MakeRequest
    ) -> None:
        outcome = account.create_payment(make_request(**self.saved(account, "4000002500003155")))
        assert outcome.state is PaymentState.AUTHENTICATION_REQUIRED
        assert account.cancel(outcome.provider_payment_id or "").state is PaymentState.CANCELED

    def test_a_debit_is_in_process_until_the_bank_has_spoken(self, account: Stripe, make_request: MakeRequest) -> None:
        outcome = account.create_payment(make_request(**self.saved(account)))
        assert outcome.state is PaymentState.PROCESSING

    def test_what_is_captured_is_not_called_off_but_refunded(self, account: Stripe, make_request: MakeRequest) -> None:
        outcome = account.create_payment(make_request(**self.saved(account, "4242424242424242")))
        payment_id = outcome.provider_payment_id or ""
        assert account.cancel(payment_id).state is PaymentState.SUCCEEDED
        ours = uuid4()
        made = account.refund(payment_id, Decimal("4.00"), idempotency_key="r", refund_id=ours)
        assert (made.amount, made.refund_id, made.failure) == (Decimal("4.00"), ours, None)
        found = account.find_payment(uuid4(), provider_payment_id=payment_id)
        assert found is not None
        assert found.refunds == (made,)

    def test_a_method_that_it_does_not_know_is_refused_for_good(
        self, account: Stripe, make_request: MakeRequest
    ) -> None:
        outcome = account.create_payment(make_request(method_reference="pm_of_nobody"))
        assert (outcome.state, outcome.refusal_class) == (PaymentState.REFUSED, RefusalClass.HARD)

    def test_a_payment_that_it_does_not_know_cannot_be_asked_for(self, account: Stripe) -> None:
        with pytest.raises(ProviderRejectedError):
            account.find_payment(uuid4(), provider_payment_id="pi_of_nobody")

    def test_its_webhooks_are_recognised(self, account: Stripe, address: str, make_request: MakeRequest) -> None:
        with canned() as crm:
            hook = {"url": crm.url, "secret": WEBHOOK_SECRET, "events": ["payment_intent.succeeded"]}
            httpx.post(f"{address}/_config/webhooks/crm", json=hook, headers={"Authorization": "Bearer sk_test_12345"})
            request = make_request(**self.saved(account, "4242424242424242"))
            payment_id = account.create_payment(request).provider_payment_id
            events = []
            while payment_id not in [event.provider_payment_id for event in events]:  # earlier tests' come too
                _, headers, body = crm.next_request()
                events.append(account.parse_webhook(headers, body, at=said_in(headers)))
        event = events[-1]
        assert (event.attempt_id, event.provider_payment_id) == (request.attempt_id, payment_id)
        assert (event.kind, event.organisation_id) == ("payment_intent.succeeded", request.metadata.organisation_id)


def said_in(headers: dict[str, str]) -> datetime:
    """The instant that the signature of a delivery names: localstripe's clock is the machine's, not the tests'."""
    moment = re.search(r"t=(\d+)", headers["Stripe-Signature"])
    assert moment is not None
    return datetime.fromtimestamp(int(moment[1]), UTC)


class Canned:
    """A server that answers by path what it was given, and keeps what it was asked."""

    url = ""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Any, dict[str, str]]] = {}
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.arrived = threading.Semaphore(0)

    def answer(self, path: str, body: Any, status: int = 200, **headers: str) -> None:
        self.answers[path] = (status, body, headers)

    def next_request(self) -> tuple[str, dict[str, str], bytes]:
        assert self.arrived.acquire(timeout=10)
        return self.requests.pop(0)


class canned:  # noqa: N801  # reads as the context manager that it is
    """A canned server for the length of a block."""

    def __enter__(self) -> Canned:
        known = Canned()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                known.requests.append((self.path, dict(self.headers), body))
                status, content, headers = known.answers.get(self.path.partition("?")[0], (200, {}, {}))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                content = orjson.dumps(content)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                known.arrived.release()

            do_GET = do_POST  # noqa: N815  # the name is http.server's

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        known.url = f"http://127.0.0.1:{self._server.server_port}"
        return known

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def error(kind: str, **values: Any) -> dict[str, Any]:
    return {"error": {"type": kind, "message": "No.", **values}}


def intent(status: str = "succeeded", attempt_id: UUID | None = None, **values: Any) -> dict[str, Any]:
    return {
        "id": "pi_1",
        "object": "payment_intent",
        "status": status,
        "amount": 2400,
        "amount_received": 2400 if status == "succeeded" else 0,
        "currency": "eur",
        "created": 1_770_000_000,
        "metadata": {"attempt": str(attempt_id)} if attempt_id else {},
        **values,
    }


def listed(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"object": "list", "url": "/v1/x", "has_more": False, "data": list(rows)}


class TestAnswers:
    """What each of Stripe's answers means for the payment."""

    @pytest.fixture
    def server(self) -> Iterator[Canned]:
        with canned() as server:
            yield server

    @pytest.fixture
    def account(self, server: Canned) -> Iterator[Stripe]:
        account = gateway(server.url)
        yield account
        account.close()

    def test_the_request_says_all_that_stripe_must_know(
        self, server: Canned, account: Stripe, make_request: MakeRequest
    ) -> None:
        server.answer("/v1/payment_intents", intent())
        request = make_request(customer_reference="cus_1")
        account.create_payment(request)
        _, headers, body = server.next_request()
        assert headers["Idempotency-Key"] == request.idempotency_key
        for part in (
            b"amount=2400",
            b"currency=eur",
            b"off_session=true",
            b"confirm=true",
            b"customer=cus_1",
            b"payment_method=pm_ok_1",
            f"metadata[attempt]={request.attempt_id}".encode(),
            b"description=P-12+%C2%B7+Coffret",
            b"statement_descriptor_suffix=P-12",
        ):
            assert part in body

    @pytest.mark.parametrize(
        ("code", "meaning"),
        [
            ("insufficient_funds", (PaymentState.REFUSED, RefusalClass.SOFT)),
            ("stolen_card", (PaymentState.REFUSED, RefusalClass.HARD)),
            ("a_code_of_tomorrow", (PaymentState.REFUSED, RefusalClass.HARD)),
            ("processing_error", (PaymentState.REFUSED, RefusalClass.TECHNICAL)),
            ("authentication_required", (PaymentState.AUTHENTICATION_REQUIRED, None)),
        ],
    )
    def test_a_decline_code_has_its_class(
        self, server: Canned, account: Stripe, make_request: MakeRequest, code: str, meaning: tuple[Any, Any]
    ) -> None:
        declined = error("card_error", code="card_declined", decline_code=code, payment_intent={"id": "pi_1"})
        server.answer("/v1/payment_intents", declined, 402)
        outcome = account.create_payment(make_request())
        assert (outcome.state, outcome.refusal_class) == meaning
        assert outcome.code == code
        assert outcome.provider_payment_id == "pi_1"

    @pytest.mark.parametrize(
        ("status", "kind"),
        [(500, "api_error"), (503, "api_error"), (429, "rate_limit_error"), (401, "invalid_request_error")],
    )
    def test_whatever_is_no_answer_is_unknown(
        self, server: Canned, account: Stripe, make_request: MakeRequest, status: int, kind: str
    ) -> None:
        server.answer("/v1/payment_intents", error(kind), status)
        outcome = account.create_payment(make_request())
        assert (outcome.state, outcome.is_replay) == (PaymentState.UNKNOWN, False)

    def test_a_key_in_use_or_used_for_something_else_is_unknown(
        self, server: Canned, account: Stripe, make_request: MakeRequest
    ) -> None:
        for status, kind in ((409, "idempotency_error"), (400, "idempotency_error")):
            server.answer("/v1/payment_intents", error(kind), status)
            assert account.create_payment(make_request()).state is PaymentState.UNKNOWN

    def test_a_stored_error_is_told_as_a_replay(
        self, server: Canned, account: Stripe, make_request: MakeRequest
    ) -> None:
        server.answer("/v1/payment_intents", error("api_error"), 500, Idempotent_Replayed="true")
        assert account.create_payment(make_request()).is_replay

    def test_nobody_there_is_unknown(self, make_request: MakeRequest) -> None:
        account = gateway("http://127.0.0.1:9")
        assert account.create_payment(make_request()).state is PaymentState.UNKNOWN
        with pytest.raises(ProviderUnreachableError):
            account.find_payment(uuid4())
        account.close()

    def test_an_answer_that_makes_no_sense_is_unknown(
        self, server: Canned, account: Stripe, make_request: MakeRequest
    ) -> None:
        server.answer("/v1/payment_intents", {"object": "payment_intent"})
        assert account.create_payment(make_request()).state is PaymentState.UNKNOWN

    @pytest.mark.parametrize(
        ("dispute", "state"),
        [
            ("needs_response", PaymentState.REVERSED),
            ("lost", PaymentState.REVERSED),
            ("won", PaymentState.SUCCEEDED),
            ("warning_under_review", PaymentState.SUCCEEDED),
        ],
    )
    def test_a_dispute_takes_the_money_back_until_it_is_won(
        self, server: Canned, account: Stripe, dispute: str, state: PaymentState
    ) -> None:
        charge = {"id": "ch_1", "object": "charge", "created": 1_770_000_000, "disputed": True}
        server.answer("/v1/payment_intents/pi_1", intent(latest_charge=charge))
        row = {"id": "dp_1", "object": "dispute", "status": dispute, "created": 1_770_900_000, "reason": "fraudulent"}
        server.answer("/v1/disputes", listed(row))
        found = account.find_payment(uuid4(), provider_payment_id="pi_1")
        assert found is not None
        assert found.state is state
        assert (found.reversal_reason == "fraudulent") == (state is PaymentState.REVERSED)

    def test_refunds_made_at_stripe_are_told(self, server: Canned, account: Stripe) -> None:
        rows = (
            refund_row("re_1", "succeeded"),
            refund_row("re_2", "failed", failure_reason="expired_or_canceled_card"),
            refund_row("re_3", "canceled"),
            refund_row("re_4", "pending"),
        )
        server.answer("/v1/payment_intents/pi_1", intent(latest_charge=charge_with(listed(*rows))))
        found = account.find_payment(uuid4(), provider_payment_id="pi_1")
        assert found is not None
        assert [(each.external_id, each.amount, each.failure) for each in found.refunds] == [
            ("re_1", Decimal("4.00"), None),
            ("re_2", Decimal("4.00"), "expired_or_canceled_card"),
            ("re_3", Decimal("4.00"), "canceled"),
            ("re_4", Decimal("4.00"), None),
        ]

    def test_refunds_beyond_those_that_come_with_the_charge_are_asked_for(
        self, server: Canned, account: Stripe
    ) -> None:
        some = listed(refund_row("re_1", "succeeded")) | {"has_more": True}
        server.answer("/v1/payment_intents/pi_1", intent(latest_charge=charge_with(some)))
        server.answer("/v1/refunds", listed(refund_row("re_1", "succeeded"), refund_row("re_2", "failed")))
        found = account.find_payment(uuid4(), provider_payment_id="pi_1")
        assert found is not None
        assert [(each.external_id, each.failure) for each in found.refunds] == [("re_1", None), ("re_2", "failed")]

    def test_a_refund_that_fails_at_once_says_so(self, server: Canned, account: Stripe) -> None:
        server.answer("/v1/payment_intents/pi_1", intent())
        server.answer("/v1/refunds", refund_row("re_1", "failed", failure_reason="declined"))
        made = account.refund("pi_1", Decimal("4.00"), idempotency_key="r", refund_id=uuid4())
        assert (made.external_id, made.failure) == ("re_1", "declined")

    def test_reconciliation_lists_what_was_made_and_what_was_disputed_or_given_back_in_vain_later(
        self, server: Canned, account: Stripe
    ) -> None:
        new, old, older = uuid4(), uuid4(), uuid4()
        server.answer("/v1/payment_intents", listed(intent(attempt_id=new)))
        server.answer("/v1/disputes", listed({"id": "dp_1", "object": "dispute", "payment_intent": "pi_old"}))
        server.answer("/v1/refunds", listed({"id": "re_1", "object": "refund", "payment_intent": "pi_1"}))
        failed = refund_row("re_2", "failed") | {"payment_intent": "pi_older"}
        event = {"id": "evt_1", "object": "event", "type": "refund.failed", "data": {"object": failed}}
        server.answer("/v1/events", listed(event))
        server.answer("/v1/payment_intents/pi_old", intent(attempt_id=old) | {"id": "pi_old"})
        server.answer("/v1/payment_intents/pi_older", intent(attempt_id=older) | {"id": "pi_older"})
        known = list(account.list_payments(since=NOW - timedelta(days=1), until=NOW))
        assert [each.attempt_id for each in known] == [new, old, older]

    def test_a_currency_without_cents_has_none(
        self, server: Canned, account: Stripe, make_request: MakeRequest
    ) -> None:
        server.answer("/v1/payment_intents", intent() | {"amount_received": 2400, "currency": "jpy"})
        outcome = account.create_payment(make_request(amount=Decimal(2400), currency="JPY"))
        assert b"amount=2400" in server.next_request()[2]
        assert (outcome.amount, outcome.currency) == (Decimal(2400), "JPY")


def refund_row(refund_id: str, status: str, **more: str) -> dict[str, Any]:
    """A refund of 4 € as Stripe tells it."""
    made = {"id": refund_id, "object": "refund", "amount": 400, "currency": "eur", "created": 1_770_000_900}
    return made | {"status": status} | more


def charge_with(refunds: dict[str, Any]) -> dict[str, Any]:
    """A captured charge with its refunds, as we ask for it. It says nothing else of them."""
    return {"id": "ch_1", "object": "charge", "created": 1_770_000_000, "refunds": refunds}


class TestWebhooks:
    BODY = orjson.dumps(
        {
            "id": "evt_1",
            "type": "charge.dispute.created",
            "data": {"object": {"object": "dispute", "id": "dp_1", "payment_intent": "pi_1", "metadata": {}}},
        }
    )

    @pytest.fixture
    def account(self) -> Iterator[Stripe]:
        account = gateway("http://127.0.0.1:9")
        yield account
        account.close()

    def signed(self, body: bytes, at: datetime = NOW, secret: str = WEBHOOK_SECRET) -> dict[str, str]:
        moment = int(at.timestamp())
        digest = hmac(secret.encode(), b"%d.%b" % (moment, body), sha256).hexdigest()
        return {SIGNATURE_HEADER: f"t={moment},v1={digest}"}

    def test_a_refund_that_failed_leads_to_its_payment(self, account: Stripe) -> None:
        failed = refund_row("re_1", "failed") | {"payment_intent": "pi_1", "metadata": {"refund": str(uuid4())}}
        body = orjson.dumps({"id": "evt_1", "type": "refund.failed", "data": {"object": failed}})
        event = account.parse_webhook(self.signed(body), body, at=NOW)
        assert (event.kind, event.provider_payment_id, event.attempt_id) == ("refund.failed", "pi_1", None)

    def test_a_dispute_leads_to_its_payment(self, account: Stripe) -> None:
        event = account.parse_webhook(self.signed(self.BODY), self.BODY, at=NOW)
        assert (event.provider_payment_id, event.attempt_id) == ("pi_1", None)

    def test_wrong_signatures_are_refused(self, account: Stripe) -> None:
        for headers in (
            {},
            {SIGNATURE_HEADER: "t=1"},
            {SIGNATURE_HEADER: "t=x,v1=00"},
            self.signed(self.BODY + b" "),
            self.signed(self.BODY, secret="another"),
            self.signed(self.BODY, at=NOW - timedelta(minutes=6)),
        ):
            with pytest.raises(BadSignatureError):
                account.parse_webhook(headers, self.BODY, at=NOW)

    @pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"id":"e","type":"x","data":{"object":null}}', b"\xff"])
    def test_a_signed_one_that_makes_no_sense_is_unreadable(self, account: Stripe, body: bytes) -> None:
        with pytest.raises((UnreadableWebhookError, BadSignatureError)):
            account.parse_webhook(self.signed(body), body, at=NOW)
