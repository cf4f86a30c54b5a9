"""Providers' own pages: the sandbox's against the pretend provider, Stripe's Checkout against canned answers."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID, uuid4

import httpx
import orjson
import pytest

from demo.payment_bank import Bank
from tests.gateways.providers.conftest import NOW
from tests.gateways.providers.test_stripe import Canned, canned, error, gateway, intent
from webapp import clock
from webapp.gateways.providers.protocol import (
    PageMetadata,
    PageRequest,
    PageState,
    PaymentRequest,
    PaymentState,
    ProviderMethod,
    ProviderRejectedError,
    ProviderUnreachableError,
)
from webapp.gateways.providers.sandbox import Sandbox
from webapp.gateways.providers.sepa_file import SepaFile
from webapp.gateways.providers.stripe import Stripe
from webapp.models.contracts import PaymentMethod

MakePage = Callable[..., PageRequest]
BOTH = frozenset({PaymentMethod.CARD, PaymentMethod.SEPA})


@pytest.fixture
def make_page() -> MakePage:
    def make(page_id: UUID | None = None, **values: Any) -> PageRequest:
        page_id = page_id or uuid4()
        return PageRequest(
            **{
                "idempotency_key": f"crm-page-{page_id}",
                "metadata": PageMetadata(uuid4(), page_id),
                "methods": BOTH,
                "currency": "EUR",
                "return_url": "https://crm.example/merci",
                "leave_url": "https://crm.example/abandon",
                "closes_at": NOW + timedelta(hours=23),
                "customer_name": "Léa Durand",
                "customer_email": "lea@example.org",
                **values,
            }
        )

    return make


class TestSandbox:
    """The pretend provider's page, by the gateway and by the client's browser."""

    @pytest.fixture(autouse=True)
    def _clock(self) -> None:
        clock.start_at(NOW)

    def choose(self, url: str, choice: str) -> httpx.Response:
        return httpx.post(url, data={"choice": choice}, trust_env=False)

    def test_a_card_is_kept(self, sandbox: Sandbox, make_page: MakePage) -> None:
        opened = sandbox.open_page(make_page())
        assert sandbox.find_page(opened.reference).state is PageState.OPEN
        answer = self.choose(opened.url, "card")
        assert (answer.status_code, answer.headers["Location"]) == (303, "https://crm.example/merci")
        outcome = sandbox.find_page(opened.reference)
        assert (outcome.state, outcome.payment) == (PageState.COMPLETED, None)
        assert outcome.method is not None
        assert (outcome.method.brand, outcome.method.last4) == ("visa", "4242")
        assert sandbox.find_method(outcome.method.method_reference) == outcome.method
        assert sandbox.find_method("pm_of_nobody") is None

    def test_one_key_is_one_page(self, sandbox: Sandbox, bank: Bank, make_page: MakePage) -> None:
        request = make_page()
        bank.order({"mode": "timeout", "delay": 0.01})
        with pytest.raises(ProviderUnreachableError):
            sandbox.open_page(request)
        bank.order({"mode": "ok"})
        assert sandbox.open_page(request) == sandbox.open_page(request)

    def test_what_is_paid_on_it_is_found_with_our_metadata(
        self, sandbox: Sandbox, make_page: MakePage, make_request: Callable[..., PaymentRequest]
    ) -> None:
        payment = make_request(method_reference="")
        opened = sandbox.open_page(make_page(payment=payment))
        assert "24.00 EUR" in httpx.get(opened.url, trust_env=False).text
        assert "Provision insuffisante" in self.choose(opened.url, "refused_card").text
        assert sandbox.find_page(opened.reference).state is PageState.OPEN
        self.choose(opened.url, "card")
        outcome = sandbox.find_page(opened.reference)
        assert outcome.payment is not None
        assert outcome.payment.state is PaymentState.SUCCEEDED
        assert sandbox.find_payment(payment.attempt_id) == outcome.payment

    def test_one_that_was_closed_takes_nothing_more(self, sandbox: Sandbox, make_page: MakePage) -> None:
        opened = sandbox.open_page(make_page())
        assert sandbox.close_page(opened.reference).state is PageState.CLOSED
        self.choose(opened.url, "card")
        assert sandbox.find_page(opened.reference).method is None
        done = sandbox.open_page(make_page())
        self.choose(done.url, "card")
        assert sandbox.close_page(done.reference).state is PageState.COMPLETED

    def test_one_whose_time_has_passed_is_closed(self, sandbox: Sandbox, make_page: MakePage) -> None:
        opened = sandbox.open_page(make_page(closes_at=NOW - timedelta(seconds=1)))
        assert sandbox.find_page(opened.reference).state is PageState.CLOSED

    def test_a_refusal_has_words(self, sandbox: Sandbox, make_page: MakePage) -> None:
        opened = sandbox.open_page(make_page())
        assert self.choose(opened.url, "refuse").headers["Location"] == "https://crm.example/abandon"
        outcome = sandbox.find_page(opened.reference)
        assert (outcome.state, outcome.message) == (PageState.REFUSED, "Le client a refusé.")


def test_banks_have_no_page(make_page: MakePage) -> None:
    bank = SepaFile()
    assert not bank.page_methods
    for ask in (lambda: bank.open_page(make_page()), lambda: bank.find_page("x"), lambda: bank.close_page("x")):
        with pytest.raises(ProviderRejectedError):
            ask()


def session(status: str = "complete", mode: str = "setup", **values: Any) -> dict[str, Any]:
    empty = {"payment_intent": None, "setup_intent": None}
    return {"id": "cs_1", "object": "checkout.session", "status": status, "mode": mode, **empty, **values}


CARD = {
    "id": "pm_1",
    "object": "payment_method",
    "type": "card",
    "customer": "cus_1",
    "card": {"brand": "visa", "display_brand": "cartes_bancaires", "last4": "4242", "exp_month": 2, "exp_year": 2028},
}
DEBIT = {
    "id": "pm_2",
    "object": "payment_method",
    "type": "sepa_debit",
    "customer": {"id": "cus_2"},
    "sepa_debit": {"last4": "0189"},
}


class TestCheckout:
    """What Stripe is asked for, and what its sessions mean."""

    @pytest.fixture
    def server(self) -> Iterator[Canned]:
        with canned() as server:
            yield server

    @pytest.fixture
    def account(self, server: Canned) -> Iterator[Stripe]:
        account = gateway(server.url)
        yield account
        account.close()

    def asked(self, server: Canned, account: Stripe, request: PageRequest) -> dict[str, str]:
        made = {
            "id": "cs_1",
            "object": "checkout.session",
            "url": "https://pay.example/cs_1",
            "expires_at": 1_770_090_000,
        }
        server.answer("/v1/checkout/sessions", made)
        opened = account.open_page(request)
        assert (opened.reference, opened.url) == ("cs_1", "https://pay.example/cs_1")
        _, headers, body = server.next_request()
        assert headers["Idempotency-Key"] == request.idempotency_key
        return {name: values[0] for name, values in parse_qs(body.decode()).items()}

    def test_a_page_that_only_saves(self, server: Canned, account: Stripe, make_page: MakePage) -> None:
        request = make_page()
        asked = self.asked(server, account, request)
        page_id = str(request.metadata.page_id)
        assert asked["mode"] == "setup"
        assert (asked["allowed_payment_method_types[0]"], asked["allowed_payment_method_types[1]"]) == (
            "card",
            "sepa_debit",
        )
        assert asked["metadata[page]"] == asked["setup_intent_data[metadata][page]"] == page_id
        assert (asked["customer_creation"], asked["customer_email"]) == ("always", "lea@example.org")
        assert asked["expires_at"] == str(int(request.closes_at.timestamp()))
        assert (asked["success_url"], asked["cancel_url"]) == (request.return_url, request.leave_url)

    def test_a_page_on_which_something_is_paid(
        self, server: Canned, account: Stripe, make_page: MakePage, make_request: Callable[..., PaymentRequest]
    ) -> None:
        payment = make_request(method_reference="")
        asked = self.asked(server, account, make_page(payment=payment, customer_reference="cus_1"))
        assert (asked["mode"], asked["customer"]) == ("payment", "cus_1")
        assert "customer_creation" not in asked
        assert asked["line_items[0][price_data][unit_amount]"] == "2400"
        assert asked["payment_intent_data[setup_future_usage]"] == "off_session"
        assert asked["payment_intent_data[metadata][attempt]"] == str(payment.attempt_id)
        assert "page" in " ".join(asked)

    @pytest.mark.parametrize(
        ("told", "state", "method"),
        [
            (session("open"), PageState.OPEN, None),
            (session("expired"), PageState.CLOSED, None),
            (session(setup_intent={"status": "processing"}), PageState.SUBMITTED, None),
            (
                session(setup_intent={"status": "succeeded", "payment_method": DEBIT}),
                PageState.COMPLETED,
                ProviderMethod(PaymentMethod.SEPA, "pm_2", "cus_2", "", "0189"),
            ),
            (
                session(setup_intent={"status": "succeeded", "payment_method": CARD}),
                PageState.COMPLETED,
                ProviderMethod(PaymentMethod.CARD, "pm_1", "cus_1", "cartes_bancaires", "4242", date(2028, 2, 29)),
            ),
            (
                session(
                    setup_intent={"status": "requires_payment_method", "last_setup_error": {"message": "Non."}},
                ),
                PageState.REFUSED,
                None,
            ),
        ],
    )
    def test_what_became_of_it(
        self, server: Canned, account: Stripe, told: dict[str, Any], state: PageState, method: ProviderMethod | None
    ) -> None:
        server.answer("/v1/checkout/sessions/cs_1", told)
        outcome = account.find_page("cs_1")
        assert (outcome.state, outcome.method) == (state, method)
        assert outcome.message == ("Non." if state is PageState.REFUSED else "")

    @pytest.mark.parametrize(
        ("status", "state", "payment"),
        [
            ("succeeded", PageState.COMPLETED, PaymentState.SUCCEEDED),
            ("processing", PageState.COMPLETED, PaymentState.PROCESSING),
            ("requires_payment_method", PageState.REFUSED, PaymentState.REFUSED),
        ],
    )
    def test_what_became_of_what_was_paid_on_it(
        self, server: Canned, account: Stripe, status: str, state: PageState, payment: PaymentState
    ) -> None:
        told = session(mode="payment", payment_intent=intent(status, payment_method=CARD))
        server.answer("/v1/checkout/sessions/cs_1", told)
        outcome = account.find_page("cs_1")
        assert outcome.payment is not None
        assert (outcome.state, outcome.payment.state) == (state, payment)

    def test_one_that_ended_by_itself_is_not_ended_twice(self, server: Canned, account: Stripe) -> None:
        server.answer("/v1/checkout/sessions/cs_1/expire", error("invalid_request_error"), 400)
        done = session(setup_intent={"status": "succeeded", "payment_method": CARD})
        server.answer("/v1/checkout/sessions/cs_1", done)
        assert account.close_page("cs_1").state is PageState.COMPLETED

    def test_one_that_cannot_be_ended_may_still_be_used(self, server: Canned, account: Stripe) -> None:
        server.answer("/v1/checkout/sessions/cs_1/expire", error("api_error"), 500)
        with pytest.raises(ProviderUnreachableError):
            account.close_page("cs_1")

    def test_an_answer_that_makes_no_sense_is_none(self, server: Canned, account: Stripe, make_page: MakePage) -> None:
        for told in ({}, session(), session("open", mode="payment") | {"status": None}):
            server.answer("/v1/checkout/sessions/cs_1", told)
            with pytest.raises(ProviderUnreachableError):
                account.find_page("cs_1")
        server.answer("/v1/checkout/sessions", {"id": "cs_1", "object": "checkout.session"})
        with pytest.raises(ProviderUnreachableError):
            account.open_page(make_page())

    def test_a_method_that_is_gone(self, server: Canned, account: Stripe) -> None:
        server.answer("/v1/payment_methods/pm_1", CARD)
        method = account.find_method("pm_1")
        assert method is not None
        assert (method.brand, method.last4) == ("cartes_bancaires", "4242")
        server.answer("/v1/payment_methods/pm_1", CARD | {"customer": None})
        assert account.find_method("pm_1") is None
        server.answer("/v1/payment_methods/pm_1", error("invalid_request_error", code="resource_missing"), 404)
        assert account.find_method("pm_1") is None
        server.answer("/v1/payment_methods/pm_1", error("api_error"), 500)
        with pytest.raises(ProviderUnreachableError):
            account.find_method("pm_1")

    @pytest.mark.parametrize(
        ("kind", "subject", "field", "value"),
        [
            ("checkout.session.completed", {"object": "checkout.session"}, "page_id", None),
            ("setup_intent.succeeded", {"object": "setup_intent", "payment_method": "pm_1"}, "page_id", None),
            (
                "payment_method.automatically_updated",
                {"object": "payment_method", "id": "pm_1"},
                "method_reference",
                "pm_1",
            ),
            ("mandate.updated", {"object": "mandate", "payment_method": "pm_2"}, "method_reference", "pm_2"),
        ],
    )
    def test_its_events_say_where_to_look(
        self, account: Stripe, kind: str, subject: dict[str, Any], field: str, value: str | None
    ) -> None:
        page_id = uuid4()
        known = {"metadata": {"page": str(page_id)}} if field == "page_id" else {}
        body = orjson.dumps({"id": "evt_1", "type": kind, "data": {"object": subject | known}})
        event = account.read_event(body)
        assert getattr(event, field) == (value or page_id)
        assert (event.page_id is None) == (field != "page_id")
        assert (event.method_reference is None) == (field == "page_id")
