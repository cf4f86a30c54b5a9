"""The REST API (v3) of WooCommerce shops: reads, and never writes. Only GET leaves us.

The key travels in the Authorization header of a connection to a checked address, over TLS unless the rules for
addresses allow otherwise; it stands in no address and in no log. Redirections are not followed. A shop is asked five
times a second at most, by all processes together, and waited for when it says « Retry-After ».
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

import httpx
import orjson

from webapp.config import Settings
from webapp.errors import DomainError, InvalidInputError
from webapp.french import counted
from webapp.gateways import addresses, streaming
from webapp.gateways.json_stream import ArrayReader, NotAnArrayError, NotJSONError
from webapp.gateways.providers import pacing
from webapp.gateways.unpacking import TooMuchError, UnknownPackingError, unpacked
from webapp.gateways.wording import words

Answer = TypeVar("Answer")
Params = Mapping[str, str | int]

REQUESTS_PER_SECOND = 5
PER_PAGE = 100
"""What WooCommerce gives at most."""
ANSWER_LIMIT = 64 * 1024 * 1024
"""Bytes of one answer, unpacked: a hundred orders of five hundred lines."""
RETRY_PAUSE = 1.0
"""Seconds before a fault of the network or of the shop is tried again; twice as long each time."""
SLICE = 5.0
"""Seconds of a wait after which the caller may say that it still lives."""


@dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds: for a connection, for a whole answer, between two tries at most; and how often."""

    connect: float
    answer: float
    pause: float
    tries: int


SOMEONE_WAITS = Patience(connect=3.0, answer=12.0, pause=2.0, tries=2)
NOBODY_WAITS = Patience(connect=5.0, answer=120.0, pause=600.0, tries=4)


class ShopError(DomainError):
    """The shop could not be read; the message says why, and what can be done."""

    status = 503


class UnreachableError(ShopError):
    """No answer."""

    def __init__(self) -> None:
        super().__init__("La boutique ne répond pas. Vérifiez son adresse, ou réessayez dans quelques minutes.")


class TooSlowError(ShopError):
    """An answer that did not come to its end in time."""

    def __init__(self) -> None:
        super().__init__("La boutique met trop de temps à répondre. Réessayez à une heure plus calme.")


class CutOffError(ShopError):
    """An answer that stopped in the middle."""

    def __init__(self) -> None:
        super().__init__("La réponse de la boutique s’est interrompue avant la fin. Réessayez dans quelques minutes.")


class KeyRefusedError(ShopError):
    """401 or 403: trying again with the same key is of no use."""


class NoSuchPageError(ShopError):
    """404: no REST API there, or not that part of it, as without the subscriptions extension."""

    def __init__(self) -> None:
        super().__init__(
            "L’API de WooCommerce ne répond pas à cette adresse (réponse 404). Vérifiez l’adresse de la boutique, et "
            "que ses permaliens ne sont pas réglés sur «\u00a0Simple\u00a0»."
        )


class RejectedError(ShopError):
    """Another refusal: a redirection, a forbidden address, a request that the shop does not understand."""


class BusyError(ShopError):
    """429 or 5xx up to the end of our patience. ``retry_after`` is in seconds, where the shop said so."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class UnreadableAnswerError(ShopError):
    """A web page or something else in the place of data, or far too much of it."""


WEB_PAGE = (
    "La boutique a répondu par une page web au lieu de données\u202f: une extension de sécurité, un mode maintenance "
    "ou un cache bloque sans doute son API."
)
TOO_MUCH = "La réponse de la boutique est démesurée\u202f: elle n’a pas été lue."


@dataclass(frozen=True)
class Page:
    """One page of a list: each resource, parsed, and how many there are in all, if it was said.

    Where one of them is broken, they are handed out as they stand, as bytes: it must not cost its neighbours.
    """

    elements: list[Any]
    total: int | None

    @property
    def bodies(self) -> list[bytes]:
        """Each resource as JSON."""
        return [each if isinstance(each, bytes) else orjson.dumps(each) for each in self.elements]

    @property
    def is_last(self) -> bool:
        """Whether nothing can follow it: shops with fewer than a page's worth stop here."""
        return len(self.elements) < PER_PAGE


@dataclass(frozen=True)
class Access:
    """Where a shop is, and the key that opens it."""

    url: str
    consumer_key: str = field(repr=False)
    consumer_secret: str = field(repr=False)


def use(settings: Settings) -> None:
    """Set the process's rules for addresses, once, at start-up."""
    global _allow_private
    _allow_private = settings.woocommerce_allow_private or not settings.is_production


_allow_private = False


def check_url(url: str) -> None:
    """Refuse a shop's address that the rules forbid. Raises InvalidInputError with the field ``url``."""
    try:
        _check_scheme(url)
        addresses.check_endpoint(url, allow_private=_allow_private)
    except InvalidInputError as error:
        raise InvalidInputError(error.message, field="url") from None


def _check_scheme(url: str) -> None:
    if not _allow_private and urlsplit(url).scheme == "http":
        raise InvalidInputError(
            "L’adresse doit commencer par https://\u202f: en http, la clé de la boutique voyagerait en clair."
        )


@contextmanager
def connected(
    access: Access, *, patience: Patience = NOBODY_WAITS, while_waiting: Callable[[], None] = lambda: None
) -> Iterator["Connection"]:
    """A connection to the shop until the end of the block.

    ``while_waiting`` is called before each wait, and at least every 30 seconds of one. Raises ShopError where the
    address is forbidden or leads nowhere.
    """
    url = access.url.partition("?")[0].rstrip("/") + "/"
    while_waiting()
    try:
        _check_scheme(url)
        hosts = addresses.allowed_addresses(url, allow_private=_allow_private)
    except addresses.UnresolvableError:
        raise UnreachableError from None
    except DomainError as error:
        raise RejectedError(error.message) from None
    timeout = httpx.Timeout(min(patience.answer, 25.0), connect=patience.connect)
    auth = httpx.BasicAuth(access.consumer_key, access.consumer_secret)
    with streaming.open_client(timeout, auth=auth) as client:
        yield Connection(client, httpx.URL(url), hosts, patience, while_waiting)


class _FaultError(Exception):
    """Worth another try, unless there were enough: ``refusal`` is what is said then."""

    def __init__(self, refusal: ShopError) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


@dataclass
class Connection:
    """Asks one shop. Every method raises ShopError."""

    _client: httpx.Client = field(repr=False)
    _url: httpx.URL
    _hosts: list[str]
    """The addresses of the shop's host, the one that was connected to first."""
    _patience: Patience
    _while_waiting: Callable[[], None]

    def list_page(self, collection: str, params: Params) -> Page:
        """A page of ``orders``, ``customers``, …, of a hundred resources unless ``params`` say otherwise."""
        return self._ask(collection, {"per_page": PER_PAGE, **params}, _read_page)

    def show(self, path: str) -> bytes | None:
        """One resource (``orders/24``) as it stands in the answer; None where the shop has none of that id."""
        try:
            return self._ask(path, {}, _read_object)
        except NoSuchPageError:
            return None

    def describe(self) -> dict[str, Any]:
        """``system_status``: what the shop says of itself."""
        described: dict[str, Any] = orjson.loads(self._ask("system_status", {}, _read_object))
        return described

    def _ask(self, path: str, params: Params, read: Callable[[httpx.Response, bytes], Answer]) -> Answer:
        for number in range(1, self._patience.tries + 1):
            self._while_waiting()
            pacing.take_turn(f"woocommerce:{self._url.host}", per_second=REQUESTS_PER_SECOND)
            try:
                return self._try(path, params, read)
            except _FaultError as fault:
                pause = _pause(fault.refusal, number)
                if number == self._patience.tries or pause > self._patience.pause:
                    raise fault.refusal from None
                self._wait(pause)
        raise AssertionError("there is a last try")

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, SLICE))
            self._while_waiting()

    def _try(self, path: str, params: Params, read: Callable[[httpx.Response, bytes], Answer]) -> Answer:
        response: httpx.Response | None = None
        try:
            response = self._send(path, params)
            _refuse_bad_status(response)
            return read(response, self._receive(response))
        except httpx.ConnectTimeout:
            raise _FaultError(UnreachableError()) from None
        except httpx.TimeoutException:
            raise _FaultError(TooSlowError()) from None
        except httpx.HTTPError:
            raise _FaultError(UnreachableError() if response is None else CutOffError()) from None
        finally:
            if response is not None:
                response.close()

    def _send(self, path: str, params: Params) -> httpx.Response:
        query = f"?{urlencode(params)}" if params else ""
        url = self._url.join(f"wp-json/wc/v3/{path}{query}")
        return streaming.get(self._client, url, self._hosts, {"User-Agent": "CRM"})

    def _receive(self, response: httpx.Response) -> bytes:
        """The whole answer, unpacked: neither longer than the limit nor later than the deadline."""
        deadline, received = time.monotonic() + self._patience.answer, bytearray()
        try:
            for block in unpacked(response):
                self._while_waiting()
                received += block
                if len(received) > ANSWER_LIMIT:
                    raise UnreadableAnswerError(TOO_MUCH)
                if time.monotonic() > deadline:
                    raise _FaultError(TooSlowError())
        except (TooMuchError, UnknownPackingError):
            raise UnreadableAnswerError(TOO_MUCH) from None
        return bytes(received)


def _pause(refusal: ShopError, number: int) -> float:
    asked = refusal.retry_after if isinstance(refusal, BusyError) else None
    return RETRY_PAUSE * 2 ** (number - 1) if asked is None else asked


def _refuse_bad_status(response: httpx.Response) -> None:
    """Raises ShopError, or _FaultError for what may pass."""
    status = response.status_code
    if status == HTTPStatus.OK:
        return
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise KeyRefusedError(_refusal_of_key(status))
    if status == HTTPStatus.NOT_FOUND:
        raise NoSuchPageError
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        pause = streaming.retry_after(response)
        minutes = max(1, round((pause or 60) / 60))
        raise _FaultError(
            BusyError(
                f"La boutique reçoit trop de demandes en ce moment. Réessayez dans {counted(minutes, 'minute')}.",
                retry_after=pause,
            )
        )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise _FaultError(
            BusyError(
                f"La boutique rencontre un problème de son côté (réponse {status}). Réessayez dans quelques minutes.",
                retry_after=streaming.retry_after(response),
            )
        )
    if response.is_redirect:
        raise RejectedError(
            f"Cette adresse renvoie vers une autre (réponse {status})\u202f: "
            "indiquez l’adresse définitive de la boutique."
        )
    raise RejectedError(f"La boutique a refusé la demande (réponse {status}){_reason_of(response)}.")


def _refusal_of_key(status: int) -> str:
    if status == HTTPStatus.FORBIDDEN:
        return (
            "La boutique refuse l’accès à son API (réponse 403)\u202f: la clé n’en a pas le droit, ou une extension de "
            "sécurité le bloque."
        )
    return (
        "La boutique refuse la clé REST (réponse 401)\u202f: vérifiez la clé et son secret, et qu’elle a le droit de "
        "lecture."
    )


def _reason_of(response: httpx.Response) -> str:
    """What the shop says about a refusal, quoted; empty where it says nothing that can be read."""
    try:
        said = orjson.loads(b"".join(_first_bytes(response, 64 * 1024)))
        return f"\u202f: «\u00a0{words(said['message'])}\u00a0»"
    except (httpx.HTTPError, TooMuchError, UnknownPackingError, ValueError, KeyError, TypeError):
        return ""


def _first_bytes(response: httpx.Response, most: int) -> Iterator[bytes]:
    received = 0
    for block in unpacked(response):
        yield block
        received += len(block)
        if received > most:
            return


def _read_page(response: httpx.Response, received: bytes) -> Page:
    total = response.headers.get("X-WP-Total", "")
    return Page(_elements(received), int(total[:18]) if total.isascii() and total.isdigit() else None)


def _elements(received: bytes) -> list[Any]:
    try:
        whole = orjson.loads(received)
    except ValueError:
        whole = None
    if isinstance(whole, list):
        return whole
    reader = ArrayReader()
    try:
        elements = reader.feed(received)
    except (NotAnArrayError, NotJSONError):
        raise UnreadableAnswerError(WEB_PAGE) from None
    if not reader.has_begun:
        raise UnreadableAnswerError(WEB_PAGE)
    if not reader.is_complete:
        raise _FaultError(CutOffError())
    return [element.text.encode("utf-8", "surrogateescape") for element in elements]


def _read_object(_response: httpx.Response, received: bytes) -> bytes:
    try:
        if isinstance(orjson.loads(received), dict):
            return received
    except ValueError:
        pass
    raise UnreadableAnswerError(WEB_PAGE)
