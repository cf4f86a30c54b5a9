"""What every payment provider can do for us, in our words. Each module beside this one speaks to one of them.

Rules that callers may rely on, whichever provider it is:

- ``create_payment`` may be called again with the same request: the provider collects at most once per idempotency key,
  for as long as ``honoured_key_age``. Whatever goes wrong on the way, it answers with an outcome and never raises; a
  result that nobody knows is UNKNOWN, never refused.
- ``find_payment`` reads and changes nothing. None means that the provider has no such payment *now*: a request that is
  still under way may yet become one, until ``longest_delay`` after it was sent.
- All of them block, for at most some 20 seconds, and may be called from several threads at once.
- No method writes to our database, and none is called inside a transaction.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from webapp.models.charges import RefusalClass
from webapp.models.contracts import PaymentMethod


class PaymentState(StrEnum):
    """What became of a payment, as far as the provider knows."""

    SUCCEEDED = "succeeded"
    PROCESSING = "processing"
    REFUSED = "refused"
    AUTHENTICATION_REQUIRED = "authentication_required"
    CANCELED = "canceled"
    REVERSED = "reversed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class PaymentMetadata:
    """Our ids, which the provider keeps with the payment: the way back from its object to our rows.

    ``cycle_no`` is None for what is asked for apart from the cycles.
    """

    organisation_id: UUID
    charge_id: UUID
    attempt_id: UUID
    subscription_id: UUID
    cycle_no: int | None

    def as_text(self) -> dict[str, str]:
        """The form in which they travel."""
        return {
            "organisation": str(self.organisation_id),
            "charge": str(self.charge_id),
            "attempt": str(self.attempt_id),
            "subscription": str(self.subscription_id),
            "cycle": "" if self.cycle_no is None else str(self.cycle_no),
        }


@dataclass(frozen=True)
class PaymentRequest:
    """Collect ``amount`` (above zero) from a method that the provider keeps, without the client at hand.

    ``idempotency_key`` is the attempt's own (``ChargeAttempt.idempotency_key``). ``method_reference`` and
    ``customer_reference`` are those of the saved method; a bank file takes the mandate's id instead.
    ``code`` is the short number of the charge, as people say it; ``statement_text`` is what it is for. ``collect_on``
    is the charge's due date, which only bank files look at.
    """

    idempotency_key: str
    amount: Decimal
    currency: str
    method_reference: str
    customer_reference: str
    metadata: PaymentMetadata
    code: str
    statement_text: str
    collect_on: date

    @property
    def attempt_id(self) -> UUID:
        """The attempt that this is."""
        return self.metadata.attempt_id

    @property
    def description(self) -> str:
        """What people read about it at the provider's own site."""
        return f"{self.code} · {self.statement_text}"


@dataclass(frozen=True)
class ProviderRefund:
    """Money given back, as the provider tells it. ``amount`` is positive.

    ``refund_id`` is our row's id, which the provider keeps with it; None where somebody asked at its own site.
    ``failure`` is why the provider could not deliver it after all: the money is in the account again, since
    ``failed_at`` where the provider says so, and stays there. None while it stands.
    """

    external_id: str
    amount: Decimal
    happened_at: datetime
    reason: str = ""
    refund_id: UUID | None = None
    failure: str | None = None
    failed_at: datetime | None = None


@dataclass(frozen=True)
class PaymentOutcome:
    """What the provider says about a payment.

    ``occurred_at`` is when it happened there: for SUCCEEDED and REVERSED the capture, for REFUSED the refusal; a
    reversal has its own ``reversed_at`` and ``reversal_reason``. ``amount`` is what was captured, to be compared with
    what was asked. ``code`` and ``message`` are the provider's words. ``refunds`` are all that it knows of, also those
    that failed.
    ``is_replay`` marks an UNKNOWN that the provider merely remembers for this key (a stored 5xx): sending again brings
    the same, so only looking up helps.
    """

    state: PaymentState
    provider_payment_id: str | None = None
    refusal_class: RefusalClass | None = None
    code: str | None = None
    message: str | None = None
    occurred_at: datetime | None = None
    amount: Decimal | None = None
    currency: str | None = None
    authentication_url: str | None = None
    reversed_at: datetime | None = None
    reversal_reason: str | None = None
    refunds: tuple[ProviderRefund, ...] = ()
    is_replay: bool = False


@dataclass(frozen=True)
class PageMetadata:
    """Our ids, which the provider keeps with a hosted page and with all that comes of it."""

    organisation_id: UUID
    page_id: UUID

    def as_text(self) -> dict[str, str]:
        """The form in which they travel."""
        return {"organisation": str(self.organisation_id), "page": str(self.page_id)}


@dataclass(frozen=True)
class PageRequest:
    """Have the provider show the client a page of its own, where a means of payment is given to it.

    ``idempotency_key`` is the page's own: asked again, the same page is answered. ``methods`` are what may be given,
    of those that the provider offers. ``customer_reference`` is the customer that the provider knows already, empty for
    a new one. ``payment`` is what is to be paid in the same visit, None where nothing is; its ``method_reference`` is
    empty. ``return_url`` is where the client comes back to when done, ``leave_url`` when the page is left; neither says
    what became of it. ``closes_at`` is when the page should end at the latest; a provider may end it earlier.
    """

    idempotency_key: str
    metadata: PageMetadata
    methods: frozenset[PaymentMethod]
    currency: str
    return_url: str
    leave_url: str
    closes_at: datetime
    customer_reference: str = ""
    customer_name: str = ""
    customer_email: str = ""
    payment: PaymentRequest | None = None


@dataclass(frozen=True)
class OpenedPage:
    """A page that waits for the client: the provider's id of it, its address, and when it ends by itself."""

    reference: str
    url: str
    closes_at: datetime


@dataclass(frozen=True)
class ProviderMethod:
    """A means of payment that the provider keeps, as it describes it.

    ``brand`` of a card (« visa ») is in the provider's words; ``expires_on`` is its last day.
    """

    method: PaymentMethod
    method_reference: str
    customer_reference: str = ""
    brand: str = ""
    last4: str = ""
    expires_on: date | None = None


class PageState(StrEnum):
    """What became of a hosted page, as far as the provider knows."""

    OPEN = "open"
    SUBMITTED = "submitted"
    """The client has done their part, and a bank has not answered yet."""
    COMPLETED = "completed"
    REFUSED = "refused"
    CLOSED = "closed"
    """It ended, and nothing came of it."""


@dataclass(frozen=True)
class PageOutcome:
    """What the provider says about a page. ``method`` is there once it may be charged.

    ``payment`` is what became of the payment that the page asked for; None where it asked for none, and before the
    client has tried. ``message`` are the provider's words where it was refused.
    """

    state: PageState
    method: ProviderMethod | None = None
    payment: PaymentOutcome | None = None
    message: str = ""


@dataclass(frozen=True)
class ProviderEvent:
    """What a webhook announces. It only says where to look: payment, page or method is fetched again.

    ``page_id`` is our id of a hosted page. ``method_reference`` is a means of payment that changed by itself, as a card
    that its bank has replaced.
    """

    event_id: str
    kind: str
    organisation_id: UUID | None = None
    attempt_id: UUID | None = None
    provider_payment_id: str | None = None
    page_id: UUID | None = None
    method_reference: str | None = None


def uuid_or_none(text: object) -> UUID | None:
    """One of our ids as it comes back from outside; None for whatever is none."""
    try:
        return UUID(str(text))
    except ValueError:
        return None


@dataclass(frozen=True)
class KnownPayment:
    """One line of what the provider says happened, for the daily reconciliation."""

    attempt_id: UUID | None
    outcome: PaymentOutcome


class ProviderError(Exception):
    """The provider could not do what was asked; the message is for logs and for the page of those who look after it."""


class ProviderUnreachableError(ProviderError):
    """It did not answer, or answered that it cannot now. Nothing is known; asking again later makes sense."""


class ProviderRejectedError(ProviderError):
    """It understood and said no (a payment that cannot be refunded, keys that it does not know). Nothing was done."""


class BadSignatureError(ProviderError):
    """A webhook that the provider did not sign, or not lately."""


class UnreadableWebhookError(ProviderError):
    """A webhook that was signed all right and makes no sense to us."""


class PaymentProvider(Protocol):
    """One account with one provider."""

    page_methods: frozenset[PaymentMethod]
    """What a client can give on the provider's own page; empty where it has none."""

    page_life: timedelta
    """How long such a page stays open at most."""

    honoured_key_age: timedelta
    """How long after its first use an idempotency key may be sent again (shorter than the provider's own limit)."""

    longest_delay: timedelta
    """How late the provider may still commit a request that looked lost."""

    def create_payment(self, request: PaymentRequest) -> PaymentOutcome:
        """Ask for the money. Never raises for what the provider or the network does."""
        ...

    def find_payment(self, attempt_id: UUID, *, provider_payment_id: str | None = None) -> PaymentOutcome | None:
        """What became of an attempt, by the provider's id where we know it, else by our metadata.

        None where it has no such payment. Raises ProviderUnreachableError, ProviderRejectedError.
        """
        ...

    def cancel(self, provider_payment_id: str) -> PaymentOutcome:
        """Call off a payment that is not captured yet, and tell what became of it: it may have been captured meanwhile.

        Raises ProviderUnreachableError, ProviderRejectedError.
        """
        ...

    def refund(
        self, provider_payment_id: str, amount: Decimal, *, idempotency_key: str, refund_id: UUID
    ) -> ProviderRefund:
        """Give ``amount`` of a captured payment back, once per key; ``refund_id`` is kept with it there.

        It may be told as failed at once, or days later, as in ``PaymentOutcome.refunds``.
        Raises ProviderUnreachableError where nobody knows what became of it, ProviderRejectedError where nothing did.
        """
        ...

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, *, at: datetime) -> ProviderEvent:
        """What a webhook that arrives at ``at`` announces. Raises BadSignatureError, UnreadableWebhookError."""
        ...

    def read_event(self, body: bytes) -> ProviderEvent:
        """What a raw body announces whose signature was checked when it came. Raises UnreadableWebhookError."""
        ...

    def list_payments(self, *, since: datetime, until: datetime) -> Iterator[KnownPayment]:
        """Every payment that was made or changed in the interval.

        Raises ProviderUnreachableError, ProviderRejectedError.
        """
        ...

    def open_page(self, request: PageRequest) -> OpenedPage:
        """Have a page made for the client; asked again with the same key, the same one.

        Raises ProviderUnreachableError where nobody knows whether there is one, ProviderRejectedError where there is
        none.
        """
        ...

    def find_page(self, reference: str) -> PageOutcome:
        """What became of a page. A last step that the provider leaves to us is taken here, once however often asked.

        Raises ProviderUnreachableError, ProviderRejectedError.
        """
        ...

    def close_page(self, reference: str) -> PageOutcome:
        """End a page, so that nothing can come of it any more, and tell what did: the client may have been quicker.

        Raises ProviderUnreachableError, ProviderRejectedError.
        """
        ...

    def find_method(self, method_reference: str) -> ProviderMethod | None:
        """A means of payment as the provider has it now; None where it is gone.

        Raises ProviderUnreachableError, ProviderRejectedError.
        """
        ...
