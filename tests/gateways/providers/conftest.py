"""A pretend payment provider on loopback, and the gateway that speaks to it."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from demo import payment_provider
from demo.payment_bank import Bank
from tests.serving import serving
from webapp.gateways.providers.protocol import PaymentMetadata, PaymentRequest
from webapp.gateways.providers.sandbox import Sandbox

SECRET = "the-sandbox-secret-of-the-tests"
NOW = datetime(2026, 2, 1, 9, tzinfo=UTC)


@pytest.fixture
def bank() -> Iterator[Bank]:
    """The pretend provider's other end; ``bank.url`` is its address."""
    bank = Bank(secret=SECRET)
    server = payment_provider.start(bank, 0)
    bank.url = f"http://127.0.0.1:{server.port}"
    with serving(server):
        yield bank
    bank.http.close()


@pytest.fixture
def sandbox(bank: Bank) -> Iterator[Sandbox]:
    """The gateway, as patient as a busy machine needs."""
    sandbox = Sandbox(url=bank.url, secret=SECRET, longest_delay=timedelta(seconds=1))
    yield sandbox
    sandbox.close()


@pytest.fixture
def impatient(bank: Bank) -> Iterator[Sandbox]:
    """The gateway that gives an answer up after 0.2 s: only for answers that come later than that."""
    sandbox = Sandbox(url=bank.url, secret=SECRET, longest_delay=timedelta(seconds=1), timeout=0.2)
    yield sandbox
    sandbox.close()


@pytest.fixture
def make_request() -> Callable[..., PaymentRequest]:
    """A request for 24 €, each with an attempt of its own unless given."""

    def make(**values: Any) -> PaymentRequest:
        attempt_id: UUID = values.pop("attempt_id", None) or uuid4()
        return PaymentRequest(
            **{
                "idempotency_key": f"crm-{attempt_id}",
                "amount": Decimal("24.00"),
                "currency": "EUR",
                "method_reference": "pm_ok_1",
                "customer_reference": "",
                "metadata": PaymentMetadata(uuid4(), uuid4(), attempt_id, uuid4(), 0),
                "code": "P-12",
                "statement_text": "Coffret",
                "collect_on": date(2026, 2, 1),
                **values,
            }
        )

    return make
