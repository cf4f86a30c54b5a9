"""What we ask of operators: the files that they link to, and taking what we tell them.

Both go to addresses that others chose: they are checked, connected to as checked, and not followed elsewhere.
"""

import time
from collections.abc import Mapping
from contextlib import closing
from http import HTTPStatus

import httpx

from webapp.config import Settings
from webapp.errors import DomainError, InvalidInputError
from webapp.gateways import addresses, streaming
from webapp.gateways.unpacking import TooMuchError, UnknownPackingError, unpacked

TIMEOUT = httpx.Timeout(10.0, connect=3.0)
LONGEST = 30.0
"""Seconds that a file may take in all."""
PASSING = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)

_allow_private = False


def use(settings: Settings) -> None:
    """Set the process's rules for addresses, once, at start-up."""
    global _allow_private
    _allow_private = not settings.is_production


class MayPassError(DomainError):
    """No answer, or one that asks for another try later."""

    status = 503


class RefusedError(DomainError):
    """An answer that will be the same next time."""


def check_url(url: str, *, field: str) -> None:
    """Refuse an address that the rules forbid. Raises InvalidInputError."""
    try:
        addresses.check_endpoint(url, allow_private=_allow_private)
    except InvalidInputError as error:
        raise InvalidInputError(error.message, field=field) from None


def fetch(url: str, *, most: int) -> bytes:
    """What lies at an address, of ``most`` bytes. Raises MayPassError, RefusedError."""
    hosts = _hosts(url)
    try:
        with streaming.open_client(TIMEOUT) as client:
            response = streaming.get(client, httpx.URL(url), hosts, {"User-Agent": "CRM", "Accept": "*/*"})
            with closing(response):
                _refuse_bad_status(response)
                return _read(response, most)
    except httpx.HTTPError as error:
        raise _unreachable(error) from None


def fetch_open_files(delivery_url: str, *, most: int) -> bytes:
    """The list of open files of whoever takes what we tell at ``delivery_url``. Raises as ``fetch``."""
    return fetch(str(httpx.URL(delivery_url).join("/files?state=open")), most=most)


def deliver(url: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Tell an operator something: taken where it answers 2xx. Raises MayPassError, RefusedError."""
    host, address = _hosts(url)[0], httpx.URL(url)
    asked = {"Host": address.netloc.decode("ascii"), "Content-Type": "application/json", "User-Agent": "CRM", **headers}
    try:
        with streaming.open_client(TIMEOUT) as client:
            # The certificate is checked against the name, although the connection goes to the checked address.
            request = client.build_request(
                "POST",
                address.copy_with(host=host),
                content=body,
                headers=asked,
                extensions={"sni_hostname": address.host},
            )
            with closing(client.send(request, stream=True)) as response:
                _refuse_bad_status(response)
    except httpx.HTTPError as error:
        raise _unreachable(error) from None


def _hosts(url: str) -> list[str]:
    try:
        return addresses.allowed_addresses(url, allow_private=_allow_private)
    except addresses.UnresolvableError:
        raise MayPassError("Cette adresse ne mène nulle part pour l’instant.") from None
    except InvalidInputError as error:
        raise RefusedError(error.message) from None


def _unreachable(error: httpx.HTTPError) -> MayPassError:
    if isinstance(error, httpx.TimeoutException):
        return MayPassError("L’opérateur met trop de temps à répondre.")
    return MayPassError("L’opérateur ne répond pas.")


def _refuse_bad_status(response: httpx.Response) -> None:
    status = response.status_code
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return
    if status in PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise MayPassError(f"L’opérateur n’est pas disponible (réponse {status}).")
    if response.is_redirect:
        raise RefusedError(f"Cette adresse renvoie vers une autre (réponse {status})\u202f: elle n’est pas suivie.")
    raise RefusedError(f"L’opérateur a refusé (réponse {status}).")


def _read(response: httpx.Response, most: int) -> bytes:
    received, deadline = bytearray(), time.monotonic() + LONGEST
    try:
        for block in unpacked(response):
            received += block
            if len(received) > most:
                raise RefusedError(f"Ce fichier est trop lourd\u202f: {most // 1_000_000}\u202fMo au plus.")
            if time.monotonic() > deadline:
                raise MayPassError("L’opérateur met trop de temps à répondre.")
    except (TooMuchError, UnknownPackingError):
        raise RefusedError("Ce fichier ne se lit pas.") from None
    return bytes(received)
