"""The sandbox (bac à sable): a pretend provider on loopback, so that everything can be tried without money.

Plain JSON over HTTP; demo/payment_provider.py is the other side. One secret is both the key to its door and what its
webhooks are signed with: ``X-Sandbox-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body">``.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from http import HTTPStatus
from typing import Any, TypeVar
from uuid import UUID

import httpx
import orjson

from webapp.gateways.connecting import certificates
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

SIGNATURE_HEADER = "X-Sandbox-Signature"
SIGNATURE_AGE = timedelta(minutes=5)
PAGE = 200


class Sandbox:
    """An account with the pretend provider at ``url``."""

    honoured_key_age = timedelta(hours=20)
    page_methods = frozenset({PaymentMethod.CARD, PaymentMethod.SEPA})
    page_life = timedelta(hours=24)

    def __init__(self, *, url: str, secret: str, longest_delay: timedelta, timeout: float = 20.0) -> None:
        self.longest_delay = longest_delay
        self._secret = secret
        self._http = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {secret}"},
            timeout=httpx.Timeout(timeout, connect=min(timeout, 5.0)),
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=64),
            trust_env=False,
            verify=certificates(),
        )

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def create_payment(self, request: PaymentRequest) -> PaymentOutcome:
        """See PaymentProvider."""
        body = {
            "amount": str(request.amount),
            "currency": request.currency,
            "method": request.method_reference,
            "customer": request.customer_reference,
            "statement": request.description,
            "metadata": request.metadata.as_text(),
        }
        try:
            response = self._http.post("/payments", json=body, headers={"Idempotency-Key": request.idempotency_key})
            if response.status_code == HTTPStatus.OK:
                return _outcome(response.json())
        except (httpx.HTTPError, ValueError, ProviderUnreachableError) as error:
            return PaymentOutcome(PaymentState.UNKNOWN, code="unreachable", message=f"{type(error).__name__}: {error}")
        if response.status_code == HTTPStatus.BAD_REQUEST:
            return PaymentOutcome(
                PaymentState.REFUSED,
                refusal_class=RefusalClass.HARD,
                code="invalid_request",
                message=response.text[:500],
            )
        return PaymentOutcome(
            PaymentState.UNKNOWN,
            code=f"http_{response.status_code}",
            message=response.text[:500],
            is_replay="Idempotent-Replayed" in response.headers,
        )

    def find_payment(self, attempt_id: UUID, *, provider_payment_id: str | None = None) -> PaymentOutcome | None:
        """See PaymentProvider."""
        payments = self._ask("GET", "/payments", params={"attempt": str(attempt_id)})["payments"]
        return _outcome(payments[0]) if payments else None

    def cancel(self, provider_payment_id: str) -> PaymentOutcome:
        """See PaymentProvider."""
        return _outcome(self._ask("POST", f"/payments/{provider_payment_id}/cancel"))

    def refund(
        self, provider_payment_id: str, amount: Decimal, *, idempotency_key: str, refund_id: UUID
    ) -> ProviderRefund:
        """See PaymentProvider."""
        return _understood(
            _refund,
            self._ask(
                "POST",
                f"/payments/{provider_payment_id}/refunds",
                json={"amount": str(amount), "reference": str(refund_id)},
                headers={"Idempotency-Key": idempotency_key},
            ),
        )

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, *, at: datetime) -> ProviderEvent:
        """See PaymentProvider."""
        check_signature(headers.get(SIGNATURE_HEADER, ""), body, self._secret, at=at)
        return self.read_event(body)

    def read_event(self, body: bytes) -> ProviderEvent:
        """See PaymentProvider."""
        try:
            event = orjson.loads(body)
            if "method" in event:
                return ProviderEvent(str(event["id"]), str(event["type"]), method_reference=str(event["method"]["id"]))
            if "page" in event:
                metadata = event["page"]["metadata"]
                return ProviderEvent(
                    event_id=str(event["id"]),
                    kind=str(event["type"]),
                    organisation_id=uuid_or_none(metadata.get("organisation")),
                    page_id=uuid_or_none(metadata.get("page")),
                )
            metadata = event["payment"]["metadata"]
            return ProviderEvent(
                event_id=str(event["id"]),
                kind=str(event["type"]),
                organisation_id=uuid_or_none(metadata.get("organisation")),
                attempt_id=uuid_or_none(metadata.get("attempt")),
                provider_payment_id=str(event["payment"]["id"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UnreadableWebhookError(f"{type(error).__name__}: {error}") from error

    def list_payments(self, *, since: datetime, until: datetime) -> Iterator[KnownPayment]:
        """See PaymentProvider."""
        after = ""
        while True:
            params = {"since": _utc(since), "until": _utc(until), "after": after, "limit": str(PAGE)}
            page = self._ask("GET", "/payments", params=params)["payments"]
            for payment in page:
                yield KnownPayment(uuid_or_none(payment["metadata"].get("attempt")), _outcome(payment))
            if len(page) < PAGE:
                return
            after = page[-1]["id"]

    def open_page(self, request: PageRequest) -> OpenedPage:
        """See PaymentProvider."""
        payment = request.payment
        body = {
            "methods": sorted(request.methods),
            "currency": request.currency,
            "customer": request.customer_reference,
            "name": request.customer_name,
            "return_url": request.return_url,
            "leave_url": request.leave_url,
            "closes_at": _utc(request.closes_at),
            "metadata": request.metadata.as_text(),
            "payment": payment
            and {
                "amount": str(payment.amount),
                "currency": payment.currency,
                "statement": payment.description,
                "metadata": payment.metadata.as_text(),
            },
        }
        made = self._ask("POST", "/pages", json=body, headers={"Idempotency-Key": request.idempotency_key})
        return _understood(_opened_page, made)

    def find_page(self, reference: str) -> PageOutcome:
        """See PaymentProvider."""
        return _understood(_page_outcome, self._ask("GET", f"/pages/{reference}"))

    def close_page(self, reference: str) -> PageOutcome:
        """See PaymentProvider."""
        return _understood(_page_outcome, self._ask("POST", f"/pages/{reference}/close"))

    def find_method(self, method_reference: str) -> ProviderMethod | None:
        """See PaymentProvider."""
        methods = self._ask("GET", "/methods", params={"reference": method_reference})["methods"]
        return _understood(_method, methods[0]) if methods else None

    def _ask(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            response = self._http.request(method, path, **arguments)
            if response.status_code < HTTPStatus.BAD_REQUEST:
                return response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise ProviderUnreachableError(f"{type(error).__name__}: {error}") from error
        if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR or response.status_code == 429:
            raise ProviderUnreachableError(f"HTTP {response.status_code}")
        raise ProviderRejectedError(f"HTTP {response.status_code}: {response.text[:300]}")


def sign(body: bytes, secret: str, *, at: datetime) -> str:
    """The signature header of a webhook's raw body."""
    moment = int(at.timestamp())
    return f"t={moment},v1={_digest(body, secret, moment)}"


def check_signature(header: str, body: bytes, secret: str, *, at: datetime) -> None:
    """Raises BadSignatureError where the header does not sign this body, or is older than SIGNATURE_AGE."""
    parts = dict(part.partition("=")[::2] for part in header.split(","))
    moment = parts.get("t", "")
    if not (moment.isascii() and moment.isdigit() and len(moment) < 12):
        raise BadSignatureError("no signature")
    if not hmac.compare_digest(_digest(body, secret, int(moment)).encode(), parts.get("v1", "").encode()):
        raise BadSignatureError("wrong signature")
    if abs(at.timestamp() - int(moment)) > SIGNATURE_AGE.total_seconds():
        raise BadSignatureError("stale signature")


def _digest(body: bytes, secret: str, moment: int) -> str:
    return hmac.new(secret.encode(), b"%d.%b" % (moment, body), hashlib.sha256).hexdigest()


def _outcome(payment: Mapping[str, Any]) -> PaymentOutcome:
    """The provider's object in our words. Raises ProviderUnreachableError on one that makes no sense."""
    return _understood(_read, payment)


def _understood(read: Callable[[Mapping[str, Any]], T], answer: Mapping[str, Any]) -> T:
    try:
        return read(answer)
    except (KeyError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        raise ProviderUnreachableError(f"unreadable answer: {type(error).__name__}: {error}") from error


def _read(payment: Mapping[str, Any]) -> PaymentOutcome:
    state = PaymentState(payment["state"])
    refusal = payment.get("refusal") or {}
    return PaymentOutcome(
        state=state,
        provider_payment_id=str(payment["id"]),
        refusal_class=class_of_card_code(refusal.get("code")) if state is PaymentState.REFUSED else None,
        code=refusal.get("code"),
        message=refusal.get("message"),
        occurred_at=datetime.fromisoformat(payment["occurred_at"]),
        amount=Decimal(payment["amount"]),
        currency=payment["currency"],
        authentication_url=payment.get("authentication_url"),
        reversed_at=datetime.fromisoformat(payment["reversed_at"]) if payment.get("reversed_at") else None,
        reversal_reason=payment.get("reversal_reason"),
        refunds=tuple(_refund(refund) for refund in payment.get("refunds", ())),
    )


def _opened_page(page: Mapping[str, Any]) -> OpenedPage:
    return OpenedPage(str(page["id"]), str(page["url"]), datetime.fromisoformat(page["closes_at"]))


def _page_outcome(page: Mapping[str, Any]) -> PageOutcome:
    method, payment = page.get("method"), page.get("payment")
    return PageOutcome(
        state=PageState(page["state"]),
        method=_method(method) if method else None,
        payment=_read(payment) if payment else None,
        message=page.get("message", ""),
    )


def _method(method: Mapping[str, Any]) -> ProviderMethod:
    return ProviderMethod(
        method=PaymentMethod(method["kind"]),
        method_reference=str(method["id"]),
        customer_reference=str(method["customer"]),
        brand=method.get("brand", ""),
        last4=method.get("last4", ""),
        expires_on=date.fromisoformat(method["expires_on"]) if method.get("expires_on") else None,
    )


def _refund(refund: Mapping[str, Any]) -> ProviderRefund:
    return ProviderRefund(
        external_id=str(refund["id"]),
        amount=Decimal(refund["amount"]),
        happened_at=datetime.fromisoformat(refund["happened_at"]),
        reason=refund.get("reason", ""),
        refund_id=uuid_or_none(refund.get("reference")),
        failure=refund.get("failure"),
        failed_at=datetime.fromisoformat(refund["failed_at"]) if refund.get("failed_at") else None,
    )


def _utc(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat()
