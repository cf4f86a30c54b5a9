"""E-mail and SMS by Brevo, with its official library.

An e-mail carries our key as ``idempotencyKey``, which Brevo honours for a quarter of an hour, and our Message-ID as
``X-Mailin-custom``, which comes back with its events. For an SMS it knows no keys.
"""

import base64
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from uuid import NAMESPACE_URL, UUID, uuid5

import httpx
import orjson
from brevo import Brevo
from brevo.core.api_error import ApiError
from brevo.core.parse_error import ParsingError

from webapp.gateways.messaging.gsm import is_gsm
from webapp.gateways.messaging.http import (
    ANSWERING,
    UNUSABLE,
    UNUSABLE_SENTENCE,
    are_usable,
    asking,
    keys_of,
    new_client,
    words_of,
)
from webapp.gateways.messaging.mime import UnwritableError, check_line, readable
from webapp.gateways.messaging.protocol import (
    Accepted,
    Address,
    Field,
    Outcome,
    OutgoingEmail,
    OutgoingSms,
    ProviderEvent,
    RefusalKind,
    Refused,
    Unknown,
    WebhookBodyError,
)
from webapp.gateways.wording import words
from webapp.models.messages import MessageEventKind

CREDENTIALS = (Field("api_key", "Clé d’API (v3)", is_secret=True),)
HONOURED = timedelta(minutes=14)
"""Its documents say 15 minutes in one place and 30 in another; a minute is for the way there."""
OURS = "X-Mailin-custom"
"""The header that comes back with each event."""
ADDRESS = "https://api.brevo.com/v3"

_DUPLICATES = frozenset({"duplicate_request", "Request already processed"})
_ACCOUNT = frozenset({"not_enough_credits", "permission_denied", "unauthorized", "account_under_validation"})
# Its codes do not tell what is at fault; its sentences do.
_ABOUT_SENDER = re.compile(r"\bsender|\bdomain|\bcredits?\b|\bIP\b", re.IGNORECASE)
_ABOUT_RECIPIENT = re.compile(r"\brecipient|email is not valid|\bphone|\bmobile|invalid telephone", re.IGNORECASE)
_EMAIL_EVENTS = {
    "request": MessageEventKind.ACCEPTED,
    "delivered": MessageEventKind.DELIVERED,
    "hard_bounce": MessageEventKind.BOUNCED_HARD,
    "invalid_email": MessageEventKind.BOUNCED_HARD,
    "blocked": MessageEventKind.BOUNCED_HARD,
    "soft_bounce": MessageEventKind.BOUNCED_SOFT,
    "error": MessageEventKind.BOUNCED_SOFT,
    "spam": MessageEventKind.COMPLAINED,
    "unsubscribed": MessageEventKind.UNSUBSCRIBED,
    "reply": MessageEventKind.REPLIED,
}
_SMS_EVENTS = {
    "sent": MessageEventKind.ACCEPTED,
    "accepted": MessageEventKind.ACCEPTED,
    "delivered": MessageEventKind.DELIVERED,
    "hard_bounce": MessageEventKind.BOUNCED_HARD,
    "blacklisted": MessageEventKind.BOUNCED_HARD,
    "rejected": MessageEventKind.BOUNCED_SOFT,
    "soft_bounce": MessageEventKind.BOUNCED_SOFT,
    "unsubscribe": MessageEventKind.UNSUBSCRIBED,
    "replied": MessageEventKind.REPLIED,
}


class BrevoConnection:
    """An account with Brevo. See EmailConnection and SmsConnection."""

    def __init__(self, credentials: Mapping[str, str], *, url: str = ADDRESS, patience: float = ANSWERING) -> None:
        self._http = new_client(patience=patience)
        keys = keys_of(credentials, CREDENTIALS)
        self._is_usable = are_usable(keys)
        # The library would send again by itself after whatever goes wrong, also an SMS, which has no key.
        self._brevo = Brevo(api_key=keys["api_key"], base_url=url, httpx_client=self._http, max_retries=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._http.close()

    def fault(self) -> str | None:
        """What is wrong with the account, in a French sentence; None where it answers."""
        if not self._is_usable:
            return UNUSABLE_SENTENCE
        try:
            self._brevo.account.get_account()
        except ApiError as error:
            if error.status_code == HTTPStatus.UNAUTHORIZED:
                return "Brevo refuse la clé d’API, ou n’accepte pas l’adresse IP de ce serveur."
            return f"Brevo refuse\u202f: HTTP {error.status_code}"
        except (httpx.HTTPError, ParsingError, ValueError) as error:
            return f"Brevo ne répond pas\u202f: {words_of(error)}"
        return None


class BrevoEmail(BrevoConnection):
    """E-mails by Brevo. See EmailConnection."""

    def send(self, email: OutgoingEmail, *, meanwhile: Callable[[], OutgoingEmail | None] | None = None) -> Outcome:
        """See EmailConnection."""
        if not self._is_usable:
            return UNUSABLE
        try:
            said = _said(email)
        except UnwritableError as error:
            return error.refused
        return asking(lambda: _outcome(lambda: self._send(said)))

    def _send(self, said: dict[str, Any]) -> object:
        return self._brevo.transactional_emails.send_transac_email(**said).message_id


class BrevoSms(BrevoConnection):
    """SMS by Brevo. See SmsConnection."""

    def send(self, sms: OutgoingSms) -> Outcome:
        """See SmsConnection."""
        if not self._is_usable:
            return UNUSABLE
        return asking(lambda: _outcome(lambda: self._send(sms)))

    def _send(self, sms: OutgoingSms) -> object:
        answer = self._brevo.transactional_sms.send_transac_sms(
            sender=sms.sender,
            recipient=sms.to,
            content=sms.text,
            type="transactional",
            unicode_enabled=not is_gsm(sms.text),
        )
        return answer.message_id


def check(credentials: Mapping[str, str], *, url: str = ADDRESS) -> str | None:
    """What is wrong with the account, in a French sentence; None where it answers. Sends nothing."""
    with BrevoConnection(credentials, url=url) as connection:
        return connection.fault()


def _said(email: OutgoingEmail) -> dict[str, Any]:
    """An e-mail as Brevo's library takes it. Raises UnwritableError.

    Brevo shows no image by its cid: those travel within the HTML.
    """
    html = email.html
    for image in email.inline:
        html = html.replace(f"cid:{image.cid}", f"data:{image.content_type};base64,{_base64(image.content)}")
    headers = {check_line(name, "header"): check_line(value, name) for name, value in email.headers.items()}
    said: dict[str, Any] = {
        "sender": _person(readable(email.sender)),
        "to": [_person(readable(email.to, fault=RefusalKind.ADDRESS))],
        "subject": check_line(email.subject, "subject"),
        "text_content": email.text,
        "headers": headers | {"idempotencyKey": str(_as_uuid(email.key)), OURS: email.message_id},
    }
    if html:
        said["html_content"] = html
    if email.reply_to:
        said["reply_to"] = _person(readable(email.reply_to))
    if email.attachments:
        said["attachment"] = [
            {"name": check_line(each.name, "file name"), "content": _base64(each.content)} for each in email.attachments
        ]
    return said


def _person(person: Address) -> dict[str, str]:
    return {"email": person.address} | ({"name": person.name} if person.name else {})


def _as_uuid(key: str) -> UUID:
    """The key in the form that Brevo wants; of a key of another form always the same."""
    try:
        return UUID(key)
    except ValueError:
        return uuid5(NAMESPACE_URL, key)


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _outcome(send: Callable[[], object]) -> Outcome:
    """What Brevo's answer says. Raises what httpx does."""
    try:
        provider_id = send()
    except ApiError as error:
        return _refusal(error.status_code or 0, error.body)
    except (ParsingError, AttributeError, ValueError) as error:
        return Unknown(f"unreadable answer: {type(error).__name__}")
    return Accepted(str(provider_id)) if provider_id else Unknown("an answer without the message’s id")


def _refusal(status: int, body: object) -> Outcome:
    """Only an answer that says that nothing was done is a refusal."""
    said = body if isinstance(body, dict) else {}
    code, text = str(said.get("code") or status), words(said.get("message") or f"HTTP {status}")
    if code in _DUPLICATES:
        return Accepted("", "taken before, under the same key")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Refused(RefusalKind.LATER, code, text)
    if not 400 <= status < 500 or status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_EARLY):
        return Unknown(f"{code}: {text}")
    return Refused(_kind(status, code, text), code, text)


def _kind(status: int, code: str, text: str) -> RefusalKind:
    if code in _ACCOUNT or status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.FORBIDDEN):
        return RefusalKind.ACCOUNT
    if _ABOUT_SENDER.search(text):
        return RefusalKind.ACCOUNT
    return RefusalKind.ADDRESS if _ABOUT_RECIPIENT.search(text) else RefusalKind.CONTENT


def read_webhook(body: bytes) -> list[ProviderEvent]:
    """See registry.read_webhook. Brevo tells one event, or a list of them."""
    try:
        told = orjson.loads(body)
        events = [_event(each) for each in (told if isinstance(told, list) else [told])]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise WebhookBodyError(f"{type(error).__name__}: {error}") from error
    return sorted((event for event in events if event is not None), key=lambda event: event.at)


def _event(told: dict[str, Any]) -> ProviderEvent | None:
    """One event; None where it changes nothing (opened, clicked, put off)."""
    kind: MessageEventKind | None
    provider_id: Any
    to: Any
    if "msg_status" in told:
        kind, provider_id, ours = _SMS_EVENTS.get(_snake(told["msg_status"])), told["messageId"], None
        to = f"+{str(told['to']).lstrip('+')}"
    else:
        kind, provider_id, ours = _EMAIL_EVENTS.get(_snake(told["event"])), told.get("message-id"), told.get(OURS)
        to = told.get("email")
    if kind is None:
        return None
    text = told.get("reply") or told.get("reason") or told.get("description") or ""
    at = datetime.fromtimestamp(told.get("ts_event") or told["ts"], UTC)
    return ProviderEvent(_text(provider_id), _text(ours), kind, at, _text(to), words(text))


def _snake(name: str) -> str:
    """« hardBounce », as « hard_bounce »: both are seen."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _text(value: object) -> str | None:
    return str(value) if value else None
