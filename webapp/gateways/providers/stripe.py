"""Stripe, by its official SDK: a PaymentIntent confirmed off-session on a saved payment method, which the client gives
on a page of Checkout (mode « setup », or « payment » where something is paid in the same visit).

Three things differ from what one would think. Search by metadata lags behind by up to a minute, so that an absence says
nothing before ``longest_delay``; a 5xx is stored under its idempotency key and merely replayed afterwards; and a refund
that succeeded may fail weeks later, where the client's bank does not take it, which an event tells (``refund.failed``,
formerly ``charge.refund.updated``) and the refund's own date does not show.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import orjson
import stripe
from dateutil.relativedelta import relativedelta
from stripe import StripeClient, WebhookSignature
from stripe.params import PaymentIntentCreateParams
from stripe.params.checkout import SessionCreateParams

from webapp.gateways.providers.protocol import (
    BadSignatureError,
    KnownPayment,
    OpenedPage,
    PageOutcome,
    PageRequest,
    PageState,
    PaymentOutcome,
    PaymentRequest,
    PaymentState,
    ProviderEvent,
    ProviderMethod,
    ProviderRefund,
    ProviderRejectedError,
    ProviderUnreachableError,
    UnreadableWebhookError,
    uuid_or_none,
)
from webapp.gateways.providers.refusals import class_of_card_code
from webapp.models.charges import RefusalClass
from webapp.models.contracts import PaymentMethod

T = TypeVar("T")

SIGNATURE_HEADER = "Stripe-Signature"
SIGNATURE_AGE = timedelta(minutes=5)
WITHOUT_CENTS = frozenset({"BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "UGX", "VND", "VUV"})
STATES = {
    "succeeded": PaymentState.SUCCEEDED,
    "processing": PaymentState.PROCESSING,
    "requires_capture": PaymentState.PROCESSING,
    "requires_action": PaymentState.AUTHENTICATION_REQUIRED,
    "requires_confirmation": PaymentState.UNKNOWN,
    "requires_payment_method": PaymentState.REFUSED,
    "canceled": PaymentState.CANCELED,
}
REVERSING_DISPUTES = frozenset({"needs_response", "under_review", "lost"})
"""States of a dispute in which the money has been taken back (« warning_… » are only inquiries)."""

UNDONE_REFUNDS = frozenset({"failed", "canceled"})
"""States of a refund that are final, and leave its money in the account."""
REFUND_EVENTS = ["refund.failed", "refund.updated", "charge.refund.updated"]
PAGE_METHODS = {PaymentMethod.CARD: "card", PaymentMethod.SEPA: "sepa_debit"}
WITH_WHAT_CAME = [
    "setup_intent.payment_method",
    "payment_intent.payment_method",
    "payment_intent.latest_charge.refunds",
]
WITH_CHARGE = ["latest_charge.refunds"]
LISTED_WITH_CHARGE = ["data.latest_charge.refunds"]


class Stripe:
    """An account with Stripe. ``url`` replaces its address, in tests."""

    honoured_key_age = timedelta(hours=20)  # Stripe forgets keys after 24 hours at the earliest
    page_methods = frozenset(PAGE_METHODS)
    page_life = timedelta(hours=23)  # Checkout allows 24, from when it reads the request

    def __init__(
        self,
        *,
        api_key: str,
        webhook_secret: str,
        longest_delay: timedelta,
        url: str | None = None,
        timeout: float = 20.0,
    ) -> None:
        self.longest_delay = longest_delay
        self._webhook_secret = webhook_secret
        self._http = stripe.RequestsClient(timeout=(min(timeout, 5.0), timeout))
        self._client = StripeClient(
            api_key,
            base_addresses={"api": url} if url else None,
            http_client=self._http,
            max_network_retries=0,  # sending again is the engine's decision
        )

    def close(self) -> None:
        """Let go of the connections of this thread."""
        self._http.close()  # type: ignore[no-untyped-call]

    def create_payment(self, request: PaymentRequest) -> PaymentOutcome:
        """See PaymentProvider."""
        params: PaymentIntentCreateParams = {
            "amount": _to_minor(request.amount, request.currency),
            "currency": request.currency.lower(),
            "payment_method": request.method_reference,
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "off_session": True,
            "confirm": True,
            "metadata": request.metadata.as_text(),
            "description": request.description,
            "statement_descriptor_suffix": request.code,
            "expand": WITH_CHARGE,
        }
        if request.customer_reference:
            params["customer"] = request.customer_reference
        try:
            intent = self._client.v1.payment_intents.create(
                params, {"idempotency_key": request.idempotency_key}
            ).to_dict()
            return self._outcome(intent)
        except stripe.StripeError as error:
            return _refusal(error)
        except ProviderUnreachableError as error:
            return PaymentOutcome(PaymentState.UNKNOWN, code="unreadable", message=str(error))

    def find_payment(self, attempt_id: UUID, *, provider_payment_id: str | None = None) -> PaymentOutcome | None:
        """See PaymentProvider."""
        intents = self._client.v1.payment_intents
        if provider_payment_id:
            payment = _asking(lambda: intents.retrieve(provider_payment_id, {"expand": WITH_CHARGE}))
            return self._outcome(payment.to_dict())
        matches = _asking(
            lambda: intents.search({"query": f"metadata['attempt']:'{attempt_id}'", "expand": LISTED_WITH_CHARGE})
        )
        best = max(matches.data, key=lambda intent: intent.status == "succeeded", default=None)
        return self._outcome(best.to_dict()) if best else None

    def cancel(self, provider_payment_id: str) -> PaymentOutcome:
        """See PaymentProvider."""
        intents = self._client.v1.payment_intents
        try:
            canceled = _asking(lambda: intents.cancel(provider_payment_id, {"expand": WITH_CHARGE}))
        except ProviderRejectedError:  # captured, or canceled before
            canceled = _asking(lambda: intents.retrieve(provider_payment_id, {"expand": WITH_CHARGE}))
        return self._outcome(canceled.to_dict())

    def refund(
        self, provider_payment_id: str, amount: Decimal, *, idempotency_key: str, refund_id: UUID
    ) -> ProviderRefund:
        """See PaymentProvider."""
        intent = _asking(lambda: self._client.v1.payment_intents.retrieve(provider_payment_id))
        minor = _to_minor(amount, intent.currency)
        made = _asking(
            lambda: self._client.v1.refunds.create(
                {
                    "payment_intent": provider_payment_id,
                    "amount": minor,
                    "metadata": {"refund": str(refund_id)},
                },
                {"idempotency_key": idempotency_key},
            )
        ).to_dict()
        return _refund(made)

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, *, at: datetime) -> ProviderEvent:
        """See PaymentProvider."""
        _check_signature(headers.get(SIGNATURE_HEADER, ""), body, self._webhook_secret, at=at)
        return self.read_event(body)

    def read_event(self, body: bytes) -> ProviderEvent:
        """See PaymentProvider."""
        try:
            event = orjson.loads(body)
            subject = event["data"]["object"]
            metadata = subject.get("metadata") or {}
            kind = subject.get("object")
            is_intent = kind == "payment_intent"
            changed = subject if kind == "payment_method" else subject.get("payment_method")
            return ProviderEvent(
                event_id=str(event["id"]),
                kind=str(event["type"]),
                organisation_id=uuid_or_none(metadata.get("organisation")),
                attempt_id=uuid_or_none(metadata.get("attempt")),
                provider_payment_id=_id_of(subject if is_intent else subject.get("payment_intent")),
                page_id=uuid_or_none(metadata.get("page")),
                method_reference=_id_of(changed) if kind in ("payment_method", "mandate") else None,
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UnreadableWebhookError(f"{type(error).__name__}: {error}") from error

    def list_payments(self, *, since: datetime, until: datetime) -> Iterator[KnownPayment]:
        """See PaymentProvider. What changed after it was made is found by its dispute or refund."""
        created: Any = {"gte": int(since.timestamp()), "lt": int(until.timestamp())}
        api = self._client.v1
        seen: set[str] = set()
        payments = _asking(
            lambda: api.payment_intents.list({"created": created, "limit": 100, "expand": LISTED_WITH_CHARGE})
        )
        for intent in _pages(payments):
            seen.add(intent["id"])
            yield self._known(intent)
        for later in (
            _asking(lambda: api.disputes.list({"created": created, "limit": 100})),
            _asking(lambda: api.refunds.list({"created": created, "limit": 100})),
            _asking(lambda: api.events.list({"created": created, "types": REFUND_EVENTS, "limit": 100})),
        ):
            for change in _pages(later):
                subject = change["data"]["object"] if change["object"] == "event" else change
                payment_id = _id_of(subject.get("payment_intent"))
                if payment_id and payment_id not in seen:
                    seen.add(payment_id)
                    yield self._known(self._retrieve(payment_id))

    def open_page(self, request: PageRequest) -> OpenedPage:
        """See PaymentProvider. The customer is made by Checkout where Stripe has none yet."""
        params: SessionCreateParams = {
            "mode": "payment" if request.payment else "setup",
            "allowed_payment_method_types": sorted(PAGE_METHODS[method] for method in request.methods),
            "currency": request.currency.lower(),
            "locale": "fr",
            "success_url": request.return_url,
            "cancel_url": request.leave_url,
            "expires_at": int(request.closes_at.timestamp()),
            "client_reference_id": str(request.metadata.page_id),
            "metadata": request.metadata.as_text(),
        }
        if request.customer_reference:
            params["customer"] = request.customer_reference
        else:
            params["customer_creation"] = "always"
            if request.customer_email:
                params["customer_email"] = request.customer_email
        if request.payment:
            params.update(_payment_on_page(request.payment, request.metadata.as_text()))
        else:
            params["setup_intent_data"] = {"metadata": request.metadata.as_text()}
        sessions = self._client.v1.checkout.sessions
        made = _asking(lambda: sessions.create(params, {"idempotency_key": request.idempotency_key})).to_dict()
        try:
            return OpenedPage(made["id"], made["url"], _instant(made["expires_at"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ProviderUnreachableError(f"unreadable answer: {type(error).__name__}: {error}") from error

    def find_page(self, reference: str) -> PageOutcome:
        """See PaymentProvider."""
        sessions = self._client.v1.checkout.sessions
        return self._page(_asking(lambda: sessions.retrieve(reference, {"expand": WITH_WHAT_CAME})).to_dict())

    def close_page(self, reference: str) -> PageOutcome:
        """See PaymentProvider."""
        sessions = self._client.v1.checkout.sessions
        with suppress(ProviderRejectedError):  # it ended before
            _asking(lambda: sessions.expire(reference))
        return self.find_page(reference)

    def find_method(self, method_reference: str) -> ProviderMethod | None:
        """See PaymentProvider. One that was taken from its customer cannot be charged any more."""
        methods = self._client.v1.payment_methods
        try:
            method = methods.retrieve(method_reference).to_dict()
        except stripe.InvalidRequestError as error:
            if error.http_status == 404:
                return None
            raise ProviderRejectedError(_words(error)) from error
        except stripe.StripeError as error:
            raise ProviderUnreachableError(_words(error)) from error
        return _understood(_method, method) if method.get("customer") else None

    def _page(self, session: dict[str, Any]) -> PageOutcome:
        """A session of Checkout in our words. Raises ProviderUnreachableError on one that makes no sense."""
        return _understood(self._read_page, session)

    def _read_page(self, session: dict[str, Any]) -> PageOutcome:
        if session["status"] == "open":
            return PageOutcome(PageState.OPEN)
        if session["status"] == "expired":
            return PageOutcome(PageState.CLOSED)
        intent = session["payment_intent"] if session["mode"] == "payment" else session["setup_intent"]
        payment = self._read(intent) if session["mode"] == "payment" else None
        # A debit that is on its way leaves a mandate that holds; one that is only set up is confirmed by the bank.
        if intent["status"] == "succeeded" or (payment and intent["status"] == "processing"):
            return PageOutcome(PageState.COMPLETED, method=_method(intent["payment_method"]), payment=payment)
        if intent["status"] in ("processing", "requires_action"):
            return PageOutcome(PageState.SUBMITTED, payment=payment)
        fault = intent.get("last_setup_error") or intent.get("last_payment_error") or {}
        return PageOutcome(PageState.REFUSED, payment=payment, message=fault.get("message") or "")

    def _retrieve(self, payment_id: str) -> dict[str, Any]:
        intents = self._client.v1.payment_intents
        return _asking(lambda: intents.retrieve(payment_id, {"expand": WITH_CHARGE})).to_dict()

    def _known(self, intent: dict[str, Any]) -> KnownPayment:
        return KnownPayment(uuid_or_none((intent.get("metadata") or {}).get("attempt")), self._outcome(intent))

    def _outcome(self, intent: dict[str, Any]) -> PaymentOutcome:
        """A PaymentIntent in our words. Raises ProviderUnreachableError on one that makes no sense."""
        return _understood(self._read, intent)

    def _read(self, intent: dict[str, Any]) -> PaymentOutcome:
        state = STATES.get(intent["status"], PaymentState.UNKNOWN)
        charge = intent.get("latest_charge") or {}
        charge = charge if isinstance(charge, dict) else {}
        fault = intent.get("last_payment_error") or {}
        code = fault.get("decline_code") or fault.get("code")
        if state is PaymentState.REFUSED and class_of_card_code(code) is RefusalClass.AUTHENTICATION:
            state = PaymentState.AUTHENTICATION_REQUIRED
        dispute = self._dispute(intent["id"]) if charge.get("disputed") else None
        redirect = ((intent.get("next_action") or {}).get("redirect_to_url") or {}).get("url")
        is_captured = state is PaymentState.SUCCEEDED
        return PaymentOutcome(
            state=PaymentState.REVERSED if dispute and is_captured else state,
            provider_payment_id=intent["id"],
            refusal_class=class_of_card_code(code) if state is PaymentState.REFUSED else None,
            code=code,
            message=fault.get("message"),
            occurred_at=_instant(charge.get("created") or intent["created"]),
            amount=_from_minor(intent.get("amount_received") or intent["amount"], intent["currency"]),
            currency=intent["currency"].upper(),
            authentication_url=redirect,
            reversed_at=_instant(dispute["created"]) if dispute else None,
            reversal_reason=dispute.get("reason") if dispute else None,
            refunds=self._refunds(intent["id"], charge.get("refunds") or {}),
        )

    def _dispute(self, payment_id: str) -> dict[str, Any] | None:
        disputes = _asking(lambda: self._client.v1.disputes.list({"payment_intent": payment_id}))
        on_payment = (dispute.to_dict() for dispute in disputes.data)
        return next((dispute for dispute in on_payment if dispute["status"] in REVERSING_DISPUTES), None)

    def _refunds(self, payment_id: str, listed: dict[str, Any]) -> tuple[ProviderRefund, ...]:
        """All that the payment ever had: the first ten come with its charge."""
        if not listed.get("has_more"):
            return tuple(_refund(refund) for refund in listed.get("data", ()))
        refunds = self._client.v1.refunds
        every = _asking(lambda: refunds.list({"payment_intent": payment_id, "limit": 100}))
        return tuple(_refund(refund) for refund in _pages(every))


def _asking(ask: Callable[[], T]) -> T:
    """The SDK's answer, its errors as ours."""
    try:
        return ask()
    except (stripe.InvalidRequestError, stripe.CardError, stripe.IdempotencyError) as error:
        raise ProviderRejectedError(_words(error)) from error
    except stripe.StripeError as error:
        raise ProviderUnreachableError(_words(error)) from error


def _understood(read: Callable[[dict[str, Any]], T], answer: dict[str, Any]) -> T:
    """What ``read`` makes of an answer. Raises ProviderUnreachableError on one that makes no sense."""
    try:
        return read(answer)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ProviderUnreachableError(f"unreadable answer: {type(error).__name__}: {error}") from error


def _pages(listed: Any) -> Iterator[dict[str, Any]]:
    """All rows of a list, page after page."""
    rows = iter(listed.auto_paging_iter())
    while (row := _asking(lambda: next(rows, None))) is not None:
        yield row.to_dict()


def _refusal(error: stripe.StripeError) -> PaymentOutcome:
    """What an error says about the payment: only a card's refusal and a request that cannot be are definitive."""
    details = error.json_body.get("error", {}) if isinstance(error.json_body, dict) else {}
    intent = details.get("payment_intent") or {}
    code = details.get("decline_code") or error.code
    base = partial(PaymentOutcome, provider_payment_id=intent.get("id"), code=code, message=_words(error))
    if isinstance(error, stripe.CardError):
        kind = class_of_card_code(code)
        if kind is RefusalClass.AUTHENTICATION:
            return base(PaymentState.AUTHENTICATION_REQUIRED)
        return base(PaymentState.REFUSED, refusal_class=kind)
    if isinstance(error, stripe.InvalidRequestError) and error.http_status in (400, 404):
        return base(PaymentState.REFUSED, refusal_class=RefusalClass.HARD)
    is_replay = any(name.lower() == "idempotent-replayed" for name in error.headers or {})
    return base(PaymentState.UNKNOWN, is_replay=is_replay)


def _words(error: stripe.StripeError) -> str:
    return (error.user_message or str(error))[:500]


def _check_signature(header: str, body: bytes, secret: str, *, at: datetime) -> None:
    """Raises BadSignatureError. The age is checked by our clock, not by the SDK's."""
    try:
        WebhookSignature.verify_header(body, header, secret, tolerance=None)
        moment, _ = WebhookSignature._get_timestamp_and_signatures(header, WebhookSignature.EXPECTED_SCHEME)
    except (stripe.SignatureVerificationError, ValueError) as error:
        raise BadSignatureError(str(error)) from error
    if abs(at.timestamp() - moment) > SIGNATURE_AGE.total_seconds():
        raise BadSignatureError("stale signature")


def _payment_on_page(payment: PaymentRequest, page: dict[str, str]) -> SessionCreateParams:
    """What Checkout collects, and keeps the means of payment of for later. Our attempt is found by its metadata."""
    price: Any = {
        "currency": payment.currency.lower(),
        "unit_amount": _to_minor(payment.amount, payment.currency),
        "product_data": {"name": payment.description},
    }
    intent: Any = {
        "setup_future_usage": "off_session",
        "description": payment.description,
        "statement_descriptor_suffix": payment.code,
        "metadata": payment.metadata.as_text() | page,
    }
    return {"line_items": [{"quantity": 1, "price_data": price}], "payment_intent_data": intent}


def _method(method: dict[str, Any]) -> ProviderMethod:
    """A PaymentMethod in our words: a card, or an account that Stripe has a mandate on."""
    kind = {theirs: ours for ours, theirs in PAGE_METHODS.items()}[method["type"]]
    details = method[method["type"]]
    return ProviderMethod(
        method=kind,
        method_reference=method["id"],
        customer_reference=_id_of(method.get("customer")) or "",
        brand=details.get("display_brand") or details.get("brand") or "",
        last4=details.get("last4") or "",
        expires_on=_last_day(details["exp_year"], details["exp_month"]) if kind is PaymentMethod.CARD else None,
    )


def _last_day(year: int, month: int) -> date:
    return date(year, month, 1) + relativedelta(months=1, days=-1)


def _refund(refund: dict[str, Any]) -> ProviderRefund:
    """A refund in our words. Stripe does not say when one has failed."""
    is_undone = refund.get("status") in UNDONE_REFUNDS
    return ProviderRefund(
        external_id=refund["id"],
        amount=_from_minor(refund["amount"], refund["currency"]),
        happened_at=_instant(refund["created"]),
        reason=refund.get("reason") or "",
        refund_id=uuid_or_none((refund.get("metadata") or {}).get("refund")),
        failure=(refund.get("failure_reason") or refund["status"]) if is_undone else None,
    )


def _to_minor(amount: Decimal, currency: str) -> int:
    return int(amount if currency.upper() in WITHOUT_CENTS else amount * 100)


def _from_minor(amount: int, currency: str) -> Decimal:
    return Decimal(amount) if currency.upper() in WITHOUT_CENTS else Decimal(amount).scaleb(-2)


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _id_of(value: Any) -> str | None:
    """An id, whether the object was expanded or not."""
    object_id = value.get("id") if isinstance(value, dict) else value
    return str(object_id) if object_id else None
