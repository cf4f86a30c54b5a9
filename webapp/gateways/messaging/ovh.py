"""SMS by OVH: https://eu.api.ovh.com/console/?section=%2Fsms. It knows no keys: whoever asks twice sends twice.

Each request is signed (SHA-1, « $1$ ») with two secrets and the time on OVH's own clock, which is asked for first.
"""

import hashlib
import re
import time
from collections.abc import Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx
import orjson

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
from webapp.gateways.messaging.protocol import (
    UNREACHABLE,
    Accepted,
    Field,
    Outcome,
    OutgoingSms,
    RefusalKind,
    Refused,
    Unknown,
)
from webapp.gateways.wording import words

CREDENTIALS = (
    Field("service_name", "Compte SMS (sms-ab12345-1)"),
    Field("application_key", "Clé de l’application"),
    Field("application_secret", "Secret de l’application", is_secret=True),
    Field("consumer_key", "Clé du consommateur", is_secret=True),
)
ADDRESS = "https://eu.api.ovh.com/1.0"

# Its codes do not tell what is at fault; its sentences do.
_ABOUT_SENDER = re.compile(r"credit|sender|expéditeur|service", re.IGNORECASE)
_ABOUT_RECIPIENT = re.compile(r"receiver|destinataire|phone|number", re.IGNORECASE)


class OvhConnection:
    """An SMS account with OVH. See SmsConnection."""

    def __init__(self, credentials: Mapping[str, str], *, url: str = ADDRESS, patience: float = ANSWERING) -> None:
        self._keys = keys_of(credentials, CREDENTIALS)
        self._url = url
        self._http = new_client(patience=patience)
        self._clock_ahead: float | None = None
        """How far OVH's clock is ahead of this process's monotonic one, in seconds; None before it was asked."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._http.close()

    def send(self, sms: OutgoingSms) -> Outcome:
        """See SmsConnection."""
        if not are_usable(self._keys):
            return UNUSABLE
        try:
            self._set_clock()
        except (httpx.HTTPError, ValueError) as error:
            return Refused(RefusalKind.LATER, UNREACHABLE, words_of(error))
        return asking(lambda: self._send(sms))

    def fault(self) -> str | None:
        """What is wrong with the account, in a French sentence; None where it answers."""
        if not are_usable(self._keys):
            return UNUSABLE_SENTENCE
        try:
            self._set_clock()
            answer = self._ask("GET", "")
        except (httpx.HTTPError, ValueError) as error:
            return f"OVH ne répond pas\u202f: {words_of(error)}"
        if answer.is_success:
            return None
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return "OVH ne connaît pas ce compte SMS."
        return f"OVH refuse\u202f: {words(_message(_body(answer)) or answer.status_code)}"

    def _send(self, sms: OutgoingSms) -> Outcome:
        job = {
            "message": sms.text,
            "receivers": [sms.to],
            "sender": sms.sender,
            "noStopClause": True,  # no advertising: what the stop clause is for
            "priority": "high",
            "charset": "UTF-8",
            "coding": "7bit" if is_gsm(sms.text) else "8bit",
        }
        answer = self._ask("POST", "/jobs", job)
        body = _body(answer)
        return _taken(body) if answer.is_success else _refusal(answer.status_code, body)

    def _set_clock(self) -> None:
        """Raises httpx.HTTPError, ValueError."""
        if self._clock_ahead is None:
            answer = self._http.get(f"{self._url}/auth/time").raise_for_status()
            self._clock_ahead = int(answer.text) - time.monotonic()

    def _ask(self, method: str, path: str, content: dict[str, Any] | None = None) -> httpx.Response:
        known = self._keys
        url = f"{self._url}/sms/{quote(known['service_name'], safe='')}{path}"
        body = orjson.dumps(content).decode() if content is not None else ""
        moment = str(int((self._clock_ahead or 0) + time.monotonic()))
        signed = "+".join([known["application_secret"], known["consumer_key"], method, url, body, moment])
        headers = {
            "Content-Type": "application/json",
            "X-Ovh-Application": known["application_key"],
            "X-Ovh-Consumer": known["consumer_key"],
            "X-Ovh-Timestamp": moment,
            "X-Ovh-Signature": "$1$" + hashlib.sha1(signed.encode(), usedforsecurity=True).hexdigest(),  # noqa: S324  # theirs
        }
        return self._http.request(method, url, content=body.encode(), headers=headers)


def check(credentials: Mapping[str, str], *, url: str = ADDRESS) -> str | None:
    """What is wrong with the account, in a French sentence; None where it answers. Sends nothing."""
    with OvhConnection(credentials, url=url) as connection:
        return connection.fault()


def _taken(body: dict[str, Any]) -> Outcome:
    """What a job that was made says: each recipient is taken or not."""
    if body.get("invalidReceivers"):
        return Refused(RefusalKind.ADDRESS, "invalid_receiver", "OVH takes no SMS for this number")
    ids = body.get("ids")
    if not (isinstance(ids, list) and len(ids) == 1):
        return Unknown("an answer without the SMS’s id")
    return Accepted(str(ids[0]), f"credits: {body.get('totalCreditsRemoved', '')}")


def _refusal(status: int, body: dict[str, Any]) -> Outcome:
    """Only an answer that says that nothing was done is a refusal."""
    text = words(_message(body) or f"HTTP {status}")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Refused(RefusalKind.LATER, str(status), text)
    if not 400 <= status < 500 or status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT):
        return Unknown(f"{status}: {text}")
    if status not in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY) or _ABOUT_SENDER.search(text):
        return Refused(RefusalKind.ACCOUNT, str(status), text)
    kind = RefusalKind.ADDRESS if _ABOUT_RECIPIENT.search(text) else RefusalKind.CONTENT
    return Refused(kind, str(status), text)


def _body(answer: httpx.Response) -> dict[str, Any]:
    """The object that was answered; an empty one for anything else."""
    try:
        body = orjson.loads(answer.content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _message(body: dict[str, Any]) -> str:
    return str(body.get("message") or "")
