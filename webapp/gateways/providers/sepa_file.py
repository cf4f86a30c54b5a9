"""Bank files (SEPA direct debit): nothing is called; a debit waits until a person hands the file to the bank.

So a payment is PROCESSING as soon as it is asked for, under an EndToEndId that its attempt decides, and what became of
it is told by a person or by a list of returns (services/bank_files). Asking twice is asking once.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from webapp.gateways.providers.protocol import (
    BadSignatureError,
    KnownPayment,
    OpenedPage,
    PageOutcome,
    PageRequest,
    PaymentOutcome,
    PaymentRequest,
    PaymentState,
    ProviderEvent,
    ProviderMethod,
    ProviderRefund,
    ProviderRejectedError,
    UnreadableWebhookError,
)
from webapp.models.contracts import PaymentMethod

NO_PAGE = "banks have no page for clients: a mandate is signed on paper"


def end_to_end_id(attempt_id: UUID) -> str:
    """The debit's EndToEndId (at most 35 characters): from it, the attempt is found again in a list of returns."""
    return f"CRM{attempt_id.hex.upper()}"


def is_end_to_end_id(text: str) -> bool:
    """Whether it may be one of ours."""
    return _END_TO_END_ID.fullmatch(text) is not None


_END_TO_END_ID = re.compile(r"CRM[0-9A-F]{32}", re.ASCII)


class SepaFile:
    """Debits that wait for a bank file."""

    honoured_key_age = timedelta(days=3650)  # the attempt itself decides: the same one is the same debit for ever
    longest_delay = timedelta(0)
    page_methods: frozenset[PaymentMethod] = frozenset()
    page_life = timedelta(0)

    def create_payment(self, request: PaymentRequest) -> PaymentOutcome:
        """See PaymentProvider."""
        return self._waiting(request.attempt_id)

    def find_payment(self, attempt_id: UUID, *, provider_payment_id: str | None = None) -> PaymentOutcome | None:
        """See PaymentProvider."""
        return self._waiting(attempt_id)

    def _waiting(self, attempt_id: UUID) -> PaymentOutcome:
        return PaymentOutcome(PaymentState.PROCESSING, provider_payment_id=end_to_end_id(attempt_id))

    def cancel(self, provider_payment_id: str) -> PaymentOutcome:
        """See PaymentProvider."""
        raise ProviderRejectedError("a debit is taken out of its bank file, or recalled at the bank")

    def refund(
        self, provider_payment_id: str, amount: Decimal, *, idempotency_key: str, refund_id: UUID
    ) -> ProviderRefund:
        """See PaymentProvider."""
        raise ProviderRejectedError("a debit is paid back by a transfer")

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, *, at: datetime) -> ProviderEvent:
        """See PaymentProvider."""
        raise BadSignatureError("banks send no webhooks")

    def read_event(self, body: bytes) -> ProviderEvent:
        """See PaymentProvider."""
        raise UnreadableWebhookError("banks send no webhooks")

    def list_payments(self, *, since: datetime, until: datetime) -> Iterator[KnownPayment]:
        """See PaymentProvider."""
        return iter(())

    def open_page(self, request: PageRequest) -> OpenedPage:
        """See PaymentProvider."""
        raise ProviderRejectedError(NO_PAGE)

    def find_page(self, reference: str) -> PageOutcome:
        """See PaymentProvider."""
        raise ProviderRejectedError(NO_PAGE)

    def close_page(self, reference: str) -> PageOutcome:
        """See PaymentProvider."""
        raise ProviderRejectedError(NO_PAGE)

    def find_method(self, method_reference: str) -> ProviderMethod | None:
        """See PaymentProvider."""
        return None
