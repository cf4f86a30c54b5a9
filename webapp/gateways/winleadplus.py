"""WinLeadPlus: reads its prospects, streamed, with patience for its faults and none for its refusals."""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

import httpx
import stamina

from webapp.config import Settings
from webapp.errors import DomainError
from webapp.french import counted
from webapp.gateways import addresses, streaming
from webapp.gateways.json_stream import ArrayReader, Element, NotAnArrayError, NotJSONError, UnknownCharsetError
from webapp.gateways.unpacking import TooMuchError, UnknownPackingError, unpacked

RETRY_PAUSE = 0.4
"""Seconds before the first retry; each later pause is twice as long, with some chance in it."""


@dataclass(frozen=True)
class WaitingTimes:
    """How long to wait, in seconds.

    ``budget`` for the first prospect, retries included; ``connect`` for a connection; ``stall`` for silence; ``pause``
    between two attempts at most.
    """

    budget: float
    connect: float
    stall: float
    pause: float


SOMEONE_WAITS = WaitingTimes(budget=11.0, connect=3.0, stall=11.0, pause=2.0)
NOBODY_WAITS = WaitingTimes(budget=120.0, connect=5.0, stall=25.0, pause=15.0)


class UpstreamError(DomainError):
    """WinLeadPlus could not be read; the message tells a salesperson why."""

    status = 503


class UnreachableError(UpstreamError):
    """No answer, or none in time."""

    def __init__(self) -> None:
        super().__init__(
            "WinLeadPlus ne répond pas. Réessayez dans quelques minutes\u202f; vos clients ne sont pas touchés."
        )


class AccessRefusedError(UpstreamError):
    """401 or 403: trying again with the same token is of no use."""

    def __init__(self) -> None:
        super().__init__(
            "WinLeadPlus a refusé l’accès. Reconnectez-vous et réessayez\u202f; "
            "si le refus persiste, prévenez votre administrateur."
        )


class RejectedError(UpstreamError):
    """Another refusal (4xx, a redirection, a forbidden address): the configuration is probably wrong."""


class BusyError(UpstreamError):
    """5xx or 429 up to the end of our patience. ``retry_after`` is in seconds, where WinLeadPlus said so."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


WRONG_CHARSET = (
    "La réponse de WinLeadPlus n’est pas en UTF-8 et n’annonce pas son jeu de caractères\u202f: ses accents seraient "
    "perdus. Rien d’illisible n’a été importé. Prévenez votre administrateur."
)


class UnreadableError(UpstreamError):
    """The answer is no list of prospects."""


class WrongCharsetError(UnreadableError):
    """None of the prospects beyond ASCII can be decoded: the whole answer is in another charset than it says."""

    def __init__(self) -> None:
        super().__init__(WRONG_CHARSET)


class IncompleteError(UpstreamError):
    """The prospects that came whole have been handed out, and may not be all."""


class CutOffError(IncompleteError):
    """The answer stopped in the middle."""

    def __init__(self) -> None:
        super().__init__(
            "La réponse de WinLeadPlus s’est interrompue\u202f: la suite de la liste manque. "
            "Relancez la synchronisation."
        )


class TrailingTextError(IncompleteError):
    """Something other than prospects followed the list."""

    def __init__(self) -> None:
        super().__init__(
            "La liste de WinLeadPlus est suivie d’un texte illisible : il manque peut-être des prospects. "
            "Relancez la synchronisation."
        )


class _FaultError(Exception):
    """A network fault: worth another try until the first prospect was handed out."""


def use(settings: Settings) -> None:
    """Set the process's rules for addresses, and the default address, once, at start-up."""
    global _default_endpoint, _allow_private
    _default_endpoint = settings.external_api_url
    _allow_private = settings.winleadplus_allow_private or not settings.is_production


_default_endpoint = ""
_allow_private = False


def default_endpoint() -> str:
    """The address for organisations without one of their own."""
    return _default_endpoint


def check_endpoint(address: str) -> None:
    """Refuse an address that the rules forbid. Raises InvalidInputError with the field ``endpoint``."""
    addresses.check_endpoint(address, allow_private=_allow_private)


def stream_prospects(
    endpoint: str, *, token: str, patience: WaitingTimes, while_waiting: Callable[[], None] = lambda: None
) -> Generator[list[Element], None, None]:
    """The prospects, as they arrive, in lists of raw elements; an empty one while a long element is under way.

    Until the first ones, faults of the network, 5xx and 429 are retried within ``patience.budget``; afterwards
    the body may take its time as long as data flows. ``while_waiting`` is called at least every 30 seconds. Raises
    UpstreamError; IncompleteError only after what came whole has been handed out.
    """
    deadline = time.monotonic() + patience.budget
    attempts = stamina.retry_context(
        on=lambda error: _pause_before_retry(error, deadline, patience),
        attempts=None,
        timeout=None,
        wait_initial=RETRY_PAUSE,
        wait_max=patience.pause,
        wait_jitter=RETRY_PAUSE,
    )
    try:
        for attempt in attempts:
            with attempt:
                while_waiting()
                blocks = _read(endpoint, token, patience, deadline, while_waiting)
                first = next(blocks, [])
        yield first
        yield from blocks
    except (addresses.UnresolvableError, _FaultError):
        raise UnreachableError from None


def _pause_before_retry(error: Exception, deadline: float, patience: WaitingTimes) -> bool | float:
    """Whether to try again: after the pause that WinLeadPlus asked for, or our own."""
    left = deadline - time.monotonic()
    if isinstance(error, BusyError) and error.retry_after is not None:
        return error.retry_after if error.retry_after < left else False
    return isinstance(error, BusyError | _FaultError | addresses.UnresolvableError) and left > patience.pause


def _read(
    endpoint: str, token: str, patience: WaitingTimes, deadline: float, while_waiting: Callable[[], None]
) -> Generator[list[Element], None, None]:
    """One attempt. Raises _FaultError before the first element was handed out, CutOffError after it."""
    reader: ArrayReader | None = None
    has_handed_out = False
    try:
        with _open(endpoint, token, patience, deadline) as response:
            _refuse_bad_status(response)
            reader = _reader_of(response)
            for block in unpacked(response):
                while_waiting()
                elements = _feed(reader, block)
                if elements or has_handed_out:
                    has_handed_out = True
                    yield elements
                elif time.monotonic() > deadline:
                    raise UnreachableError
    except (TooMuchError, UnknownPackingError):
        raise UnreadableError(
            "La réponse de WinLeadPlus est compressée d’une façon que le CRM n’accepte pas, ou démesurée. "
            "Prévenez votre administrateur."
        ) from None
    except httpx.HTTPError as error:
        if not has_handed_out or reader is None:
            raise _FaultError from error
        if not reader.is_complete:
            raise CutOffError from None
    _check_end(reader)


@contextmanager
def _open(endpoint: str, token: str, patience: WaitingTimes, deadline: float) -> Iterator[httpx.Response]:
    """The answer, from the first address of the host that can be connected to."""
    try:
        hosts = addresses.allowed_addresses(endpoint, allow_private=_allow_private)
    except addresses.UnresolvableError:
        raise
    except DomainError as error:
        raise RejectedError(error.message) from None
    left = max(deadline - time.monotonic(), 1.0)
    timeout = httpx.Timeout(min(patience.stall, left), connect=min(patience.connect, left))
    with streaming.open_client(timeout) as client:
        response = streaming.get(client, httpx.URL(endpoint), hosts, {"Authorization": f"Bearer {token}"})
        try:
            yield response
        finally:
            response.close()


def _refuse_bad_status(response: httpx.Response) -> None:
    status = response.status_code
    if status == HTTPStatus.OK:
        return
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise AccessRefusedError
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        pause = streaming.retry_after(response)
        minutes = max(1, round((pause or 60) / 60))
        raise BusyError(
            "WinLeadPlus reçoit trop de demandes en ce moment. "
            f"Réessayez dans {counted(minutes, 'minute')}\u202f; vos clients ne sont pas touchés.",
            retry_after=pause,
        )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise BusyError(
            f"WinLeadPlus rencontre un problème de son côté (réponse {status}). "
            "Réessayez dans quelques minutes\u202f; vos clients ne sont pas touchés.",
            retry_after=streaming.retry_after(response),
        )
    raise RejectedError(
        f"WinLeadPlus ne donne pas ses prospects à l’adresse configurée (réponse {status}). "
        "Prévenez votre administrateur."
    )


def _reader_of(response: httpx.Response) -> ArrayReader:
    """A reader of the charset that the answer names; without one, JSON is UTF-8 (RFC 8259)."""
    charset = response.charset_encoding or "utf-8"
    try:
        return ArrayReader(charset)
    except UnknownCharsetError:
        raise UnreadableError(
            f"WinLeadPlus annonce un jeu de caractères que le CRM ne lit pas («\u202f{charset[:20]}\u202f»). "
            "Prévenez votre administrateur\u202f; vos clients ne sont pas touchés."
        ) from None


def _feed(reader: ArrayReader, block: bytes) -> list[Element]:
    try:
        return reader.feed(block)
    except NotAnArrayError:
        raise UnreadableError(
            "La réponse de WinLeadPlus n’est pas une liste de prospects. Prévenez votre administrateur."
        ) from None
    except NotJSONError:
        if _is_utf_16(block):
            raise UnreadableError(WRONG_CHARSET) from None
        raise UnreadableError(
            "WinLeadPlus a répondu par une page ou un texte au lieu de ses prospects. "
            "Réessayez plus tard\u202f; si cela persiste, prévenez votre administrateur."
        ) from None


def _is_utf_16(block: bytes) -> bool:
    """Whether a document that begins with ``block`` is in UTF-16 or UTF-32: by its mark, or by zeros."""
    return block.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in block[:4]


def _check_end(reader: ArrayReader) -> None:
    if not reader.has_begun:
        raise UnreadableError("WinLeadPlus a donné une réponse vide ou illisible. Réessayez dans quelques minutes.")
    if not reader.is_complete:
        raise CutOffError
    if reader.has_trailing_text:
        raise TrailingTextError
