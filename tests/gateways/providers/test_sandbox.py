"""The sandbox gateway against the pretend provider, well-behaved and otherwise."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import uuid4

import orjson
import pytest

from demo.payment_bank import Bank
from tests.gateways.providers.conftest import NOW, SECRET
from tests.serving import serving
from webapp.gateways.providers.protocol import (
    BadSignatureError,
    PaymentRequest,
    PaymentState,
    ProviderRejectedError,
    ProviderUnreachableError,
    UnreadableWebhookError,
)
from webapp.gateways.providers.sandbox import SIGNATURE_HEADER, Sandbox, check_signature, sign
from webapp.models.charges import RefusalClass

MakeRequest = Callable[..., PaymentRequest]


def test_a_payment_is_captured(sandbox: Sandbox, bank: Bank, make_request: MakeRequest) -> None:
    request = make_request()
    outcome = sandbox.create_payment(request)
    assert (outcome.state, outcome.amount, outcome.currency) == (PaymentState.SUCCEEDED, Decimal("24.00"), "EUR")
    assert outcome.occurred_at is not None
    [capture] = bank.ledger()["captures"]
    assert (capture["attempt"], capture["amount"]) == (str(request.attempt_id), "24.00")


def test_the_same_key_is_collected_once(sandbox: Sandbox, bank: Bank, make_request: MakeRequest) -> None:
    request = make_request()
    first, second = sandbox.create_payment(request), sandbox.create_payment(request)
    assert first.provider_payment_id == second.provider_payment_id
    assert bank.ledger()["count"] == 1


@pytest.mark.parametrize(
    ("reason", "refusal"),
    [
        ("insufficient_funds", RefusalClass.SOFT),
        ("do_not_honor", RefusalClass.SOFT),
        ("stolen_card", RefusalClass.HARD),
        ("closed_account", RefusalClass.HARD),
        ("no_mandate", RefusalClass.HARD),
        ("processing_error", RefusalClass.TECHNICAL),
    ],
)
def test_a_refusal_has_a_class(
    sandbox: Sandbox, bank: Bank, make_request: MakeRequest, reason: str, refusal: RefusalClass
) -> None:
    bank.order({"mode": "refuse", "reason": reason})
    outcome = sandbox.create_payment(make_request())
    assert (outcome.state, outcome.refusal_class, outcome.code) == (PaymentState.REFUSED, refusal, reason)
    assert outcome.message


def test_a_method_behaves_as_it_is_called(sandbox: Sandbox, make_request: MakeRequest) -> None:
    outcome = sandbox.create_payment(make_request(method_reference="pm_stolen_card_7"))
    assert (outcome.state, outcome.code) == (PaymentState.REFUSED, "stolen_card")
    outcome = sandbox.create_payment(make_request(method_reference="pm_authentication_7"))
    assert outcome.state is PaymentState.AUTHENTICATION_REQUIRED
    assert (outcome.authentication_url or "").startswith("http://")


@pytest.mark.parametrize("mode", ["timeout", "slow"])
def test_what_was_captured_behind_a_time_out_is_found(
    sandbox: Sandbox, impatient: Sandbox, bank: Bank, make_request: MakeRequest, mode: str
) -> None:
    bank.order({"mode": mode, "delay": 0.5})
    request = make_request()
    assert impatient.create_payment(request).state is PaymentState.UNKNOWN
    bank.order({"mode": "ok"})
    found = sandbox.create_payment(request)  # the same key: whatever was captured is not captured again
    assert found.state is PaymentState.SUCCEEDED
    assert bank.ledger()["count"] == 1
    assert sandbox.find_payment(request.attempt_id) is not None


@pytest.mark.parametrize("mode", ["drop", "down", "error"])
def test_what_broke_off_is_unknown_and_not_found(
    sandbox: Sandbox, bank: Bank, make_request: MakeRequest, mode: str
) -> None:
    bank.order({"mode": mode})
    request = make_request()
    assert sandbox.create_payment(request).state is PaymentState.UNKNOWN
    bank.order({"mode": "ok"})
    assert sandbox.find_payment(request.attempt_id) is None


def test_a_late_commit_appears_within_its_delay(sandbox: Sandbox, bank: Bank, make_request: MakeRequest) -> None:
    bank.order({"mode": "late", "delay": 0.1})
    request = make_request()
    committed = threading.Event()
    bank.later.do(0.2, committed.set)
    assert sandbox.create_payment(request).state is PaymentState.UNKNOWN
    committed.wait(5)
    found = sandbox.find_payment(request.attempt_id)
    assert found is not None
    assert found.state is PaymentState.SUCCEEDED


def test_a_stored_error_is_told_as_a_replay(sandbox: Sandbox, bank: Bank, make_request: MakeRequest) -> None:
    bank.order({"mode": "error"})
    request = make_request()
    assert not sandbox.create_payment(request).is_replay
    bank.order({"mode": "ok"})
    again = sandbox.create_payment(request)
    assert (again.state, again.is_replay) == (PaymentState.UNKNOWN, True)


def test_a_provider_that_is_down_cannot_be_asked(sandbox: Sandbox, bank: Bank) -> None:
    bank.order({"mode": "down"})
    with pytest.raises(ProviderUnreachableError):
        sandbox.find_payment(uuid4())


def test_wrong_keys_say_nothing_about_the_payment(bank: Bank, make_request: MakeRequest) -> None:
    stranger = Sandbox(url=bank.url, secret="not the secret", longest_delay=timedelta(0))
    assert stranger.create_payment(make_request()).state is PaymentState.UNKNOWN
    with pytest.raises(ProviderRejectedError):
        stranger.find_payment(uuid4())
    stranger.close()


def test_a_request_that_makes_no_sense_is_refused_for_good(sandbox: Sandbox, make_request: MakeRequest) -> None:
    outcome = sandbox.create_payment(make_request(method_reference=""))
    assert (outcome.state, outcome.refusal_class) == (PaymentState.REFUSED, RefusalClass.HARD)


def test_what_is_not_captured_yet_can_be_called_off(sandbox: Sandbox, bank: Bank, make_request: MakeRequest) -> None:
    waiting = sandbox.create_payment(make_request(method_reference="pm_authentication_1"))
    assert sandbox.cancel(waiting.provider_payment_id or "").state is PaymentState.CANCELED
    captured = sandbox.create_payment(make_request())
    assert sandbox.cancel(captured.provider_payment_id or "").state is PaymentState.SUCCEEDED


def test_a_refund_is_made_once_and_never_beyond_the_payment(sandbox: Sandbox, make_request: MakeRequest) -> None:
    request = make_request()
    payment_id = sandbox.create_payment(request).provider_payment_id or ""
    ours = uuid4()
    made = sandbox.refund(payment_id, Decimal("10.00"), idempotency_key="r1", refund_id=ours)
    assert sandbox.refund(payment_id, Decimal("10.00"), idempotency_key="r1", refund_id=ours) == made
    with pytest.raises(ProviderRejectedError):
        sandbox.refund(payment_id, Decimal("14.01"), idempotency_key="r2", refund_id=uuid4())
    found = sandbox.find_payment(request.attempt_id)
    assert found is not None
    assert found.refunds == (made,)
    assert made.refund_id == ours


@pytest.mark.parametrize(("mode", "given_back"), [("timeout", 1), ("drop", 0), ("error", 0), ("down", 0)])
def test_a_refund_without_an_answer_is_not_known(
    sandbox: Sandbox, bank: Bank, make_request: MakeRequest, mode: str, given_back: int
) -> None:
    request = make_request()
    payment_id = sandbox.create_payment(request).provider_payment_id or ""
    bank.order({"mode": mode, "delay": 0})
    with pytest.raises(ProviderUnreachableError):
        sandbox.refund(payment_id, Decimal("10.00"), idempotency_key="r1", refund_id=uuid4())
    assert len(bank.payments[payment_id]["refunds"]) == given_back


def test_a_refund_may_be_refused(sandbox: Sandbox, bank: Bank, make_request: MakeRequest) -> None:
    payment_id = sandbox.create_payment(make_request()).provider_payment_id or ""
    bank.order({"mode": "refuse"})
    with pytest.raises(ProviderRejectedError, match="ne peut plus être remboursé"):
        sandbox.refund(payment_id, Decimal("10.00"), idempotency_key="r1", refund_id=uuid4())


def test_a_refund_may_fail_later(sandbox: Sandbox, bank: Bank, make_request: MakeRequest) -> None:
    request = make_request()
    payment_id = sandbox.create_payment(request).provider_payment_id or ""
    made = sandbox.refund(payment_id, Decimal("24.00"), idempotency_key="r1", refund_id=uuid4())
    for _ in range(2):
        bank.fail_refund(made.external_id)
    found = sandbox.find_payment(request.attempt_id)
    assert found is not None
    (failed,) = found.refunds
    assert (made.failure, failed.failure, failed.external_id) == (None, "declined", made.external_id)
    assert failed.failed_at is not None
    assert bank.ledger()["captures"][0]["refunded"] == "0"
    sandbox.refund(payment_id, Decimal("24.00"), idempotency_key="r2", refund_id=uuid4())


def test_a_reversal_has_its_own_date_and_reason(sandbox: Sandbox, bank: Bank, make_request: MakeRequest) -> None:
    request = make_request()
    payment_id = sandbox.create_payment(request).provider_payment_id or ""
    bank.reverse(payment_id, "MD06")
    found = sandbox.find_payment(request.attempt_id)
    assert found is not None
    assert (found.state, found.reversal_reason) == (PaymentState.REVERSED, "MD06")
    assert found.occurred_at is not None
    assert found.reversed_at is not None
    assert found.occurred_at <= found.reversed_at


def test_every_payment_of_an_interval_is_listed(
    sandbox: Sandbox, bank: Bank, make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.gateways.providers.sandbox.PAGE", 2)
    requests = [make_request() for _ in range(5)]
    for request in requests:
        sandbox.create_payment(request)
    until = max(datetime.fromisoformat(payment["changed_at"]) for payment in bank.payments.values())
    until += timedelta(seconds=1)
    listed = list(sandbox.list_payments(since=until - timedelta(hours=1), until=until))
    assert [known.attempt_id for known in listed] == [request.attempt_id for request in requests]
    assert list(sandbox.list_payments(since=until, until=until + timedelta(days=1))) == []


def test_an_answer_that_makes_no_sense_is_unknown(make_request: MakeRequest) -> None:
    class Nonsense(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = orjson.dumps({"id": "pay_1", "state": "enchanted"})
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Nonsense)
    with serving(server):
        sandbox = Sandbox(url=f"http://127.0.0.1:{server.server_port}", secret=SECRET, longest_delay=timedelta(0))
        assert sandbox.create_payment(make_request()).state is PaymentState.UNKNOWN
        sandbox.close()


class TestWebhooks:
    BODY = orjson.dumps(
        {"id": "evt_1", "type": "payment.succeeded", "payment": {"id": "pay_1", "metadata": {"attempt": str(uuid4())}}}
    )

    def test_a_signed_one_says_where_to_look(self, sandbox: Sandbox) -> None:
        event = sandbox.parse_webhook({SIGNATURE_HEADER: sign(self.BODY, SECRET, at=NOW)}, self.BODY, at=NOW)
        assert (event.event_id, event.kind, event.provider_payment_id) == ("evt_1", "payment.succeeded", "pay_1")
        assert event.attempt_id is not None

    @pytest.mark.parametrize("header", ["", "t=,v1=", "t=1", "v1=00", "t=x,v1=é", "t=99999999999999,v1=00", ",,,="])
    def test_no_proper_signature_is_refused(self, header: str) -> None:
        with pytest.raises(BadSignatureError):
            check_signature(header, self.BODY, SECRET, at=NOW)

    def test_another_body_secret_or_day_is_refused(self) -> None:
        header = sign(self.BODY, SECRET, at=NOW)
        for body, secret, at in (
            (self.BODY + b" ", SECRET, NOW),
            (self.BODY, "another secret", NOW),
            (self.BODY, SECRET, NOW + timedelta(minutes=6)),
        ):
            with pytest.raises(BadSignatureError):
                check_signature(header, body, secret, at=at)

    @pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"null", b'{"id":1,"type":"x","payment":{"metadata":[]}}'])
    def test_a_signed_one_that_makes_no_sense_is_unreadable(self, sandbox: Sandbox, body: bytes) -> None:
        with pytest.raises(UnreadableWebhookError):
            sandbox.parse_webhook({SIGNATURE_HEADER: sign(body, SECRET, at=NOW)}, body, at=NOW)
