"""The one door through which carriers are spoken to by HTTP: certificates checked, time and size bounded."""

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import httpx

from webapp.gateways.carriers.protocol import LabelOutcome, refused, unknown
from webapp.gateways.connecting import NOT_SENT, certificates
from webapp.gateways.unpacking import TooMuchError, UnknownPackingError, unpacked

CONNECTING = 5.0
ANSWERING = 25.0
"""Seconds: within them the whole answer has come, or nobody waits for it any more."""
MOST_AT_ONCE = 64
LARGEST_ANSWER = 8_000_000
"""Bytes: a label of the largest size written as base64, and room for one that is too large to be told so."""


class NothingSentError(Exception):
    """The carrier was not reached: it knows nothing of the request."""


class NoAnswerError(Exception):
    """The request has left, and what came back is no answer: nobody knows what became of it."""


class Answer(NamedTuple):
    """What came back, whole. ``content`` is unpacked."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Door:
    """Calls to one carrier at ``url``, from any thread. A redirection is an answer like any other, and not followed."""

    def __init__(self, url: str, *, patience: float = ANSWERING) -> None:
        self._patience = patience
        self._http = httpx.Client(
            base_url=url,
            timeout=httpx.Timeout(patience, connect=min(patience, CONNECTING)),
            limits=httpx.Limits(max_connections=MOST_AT_ONCE, max_keepalive_connections=MOST_AT_ONCE),
            trust_env=False,
            follow_redirects=False,
            verify=certificates(),
        )

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def ask(self, method: str, path: str, **arguments: Any) -> Answer:
        """One request and its answer, whatever its status. Raises NothingSentError, NoAnswerError."""
        deadline = time.monotonic() + self._patience
        try:
            with self._http.stream(method, path, **arguments) as response:
                return Answer(response.status_code, response.headers, _whole(response, deadline))
        except NOT_SENT as error:
            raise NothingSentError(f"{type(error).__name__}: {error}") from error
        except (httpx.HTTPError, TooMuchError, UnknownPackingError) as error:
            raise NoAnswerError(f"{type(error).__name__}: {error}") from error


def _whole(response: httpx.Response, deadline: float) -> bytes:
    content = bytearray()
    for piece in unpacked(response):
        content += piece
        if len(content) > LARGEST_ANSWER:
            raise TooMuchError
        if time.monotonic() > deadline:
            raise httpx.ReadTimeout("the answer takes too long", request=response.request)
    return bytes(content)


def outcome_of(error: NothingSentError | NoAnswerError) -> LabelOutcome:
    """What a call that failed means for the label that it asked for."""
    if isinstance(error, NothingSentError):
        return refused("unreachable", error, is_general=True)
    return unknown("no_answer", error)
