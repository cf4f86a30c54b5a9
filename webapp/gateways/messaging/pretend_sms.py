"""SMS to nobody, by the pretend gateway of demo/sms_gateway.py, which is there in development and in tests only."""

from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import httpx
import orjson

from webapp.gateways.messaging.http import ANSWERING, asking, new_client, words_of
from webapp.gateways.messaging.protocol import (
    Accepted,
    Outcome,
    OutgoingSms,
    ProviderEvent,
    RefusalKind,
    Refused,
    Unknown,
    WebhookBodyError,
)
from webapp.models.messages import MessageEventKind

_REFUSALS = {
    "unknown_number": RefusalKind.ADDRESS,
    "unwanted_text": RefusalKind.CONTENT,
    "unknown_sender": RefusalKind.ACCOUNT,
    "no_credit": RefusalKind.ACCOUNT,
    "too_many": RefusalKind.LATER,
}
_EVENTS = {
    "delivered": MessageEventKind.DELIVERED,
    "bounced": MessageEventKind.BOUNCED_HARD,
    "replied": MessageEventKind.REPLIED,
}


class PretendSms:
    """The gateway at ``url``. See SmsConnection."""

    def __init__(self, url: str, *, patience: float = ANSWERING) -> None:
        self._http = new_client(url, patience=patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._http.close()

    def send(self, sms: OutgoingSms) -> Outcome:
        """See SmsConnection."""
        return asking(lambda: self._send(sms))

    def _send(self, sms: OutgoingSms) -> Outcome:
        said = {"sender": sms.sender, "to": sms.to, "text": sms.text}
        answer = self._http.post("/messages", json=said)
        try:
            body = orjson.loads(answer.content)
            if answer.is_success:
                return Accepted(str(body["id"]))
            error = str(body["error"])
        except (ValueError, KeyError, TypeError) as fault:
            return Unknown(f"HTTP {answer.status_code}: {type(fault).__name__}")
        if error in _REFUSALS:
            return Refused(_REFUSALS[error], error, f"HTTP {answer.status_code}")
        return Unknown(f"HTTP {answer.status_code}: {error}")


def check(url: str) -> str | None:
    """What is wrong, in a French sentence; None where it answers."""
    try:
        with new_client(url) as http:
            http.get("/_control").raise_for_status()
    except httpx.HTTPError as error:
        return f"Le bac à sable des SMS ne répond pas\u202f: {words_of(error)}"
    return None


def read_webhook(body: bytes) -> list[ProviderEvent]:
    """See registry.read_webhook."""
    try:
        told: dict[str, Any] = orjson.loads(body)
        kind, at = _EVENTS[told["event"]], datetime.fromisoformat(told["at"]).astimezone(UTC)
        return [ProviderEvent(str(told["id"]), None, kind, at, str(told["to"]), str(told["text"]))]
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise WebhookBodyError(f"{type(error).__name__}: {error}") from error
