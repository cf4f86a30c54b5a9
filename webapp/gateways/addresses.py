"""Which hosts an address set by configuration may lead to (SSRF), and the addresses that may be connected to.

A name is resolved once, what it resolves to is checked, and the connection goes to a checked address: a name that
resolves differently a moment later (DNS rebinding) gains nothing.
"""

import ipaddress
import socket
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as ResolutionTimeoutError
from urllib.parse import SplitResult, urlsplit

from webapp.errors import InvalidInputError

RESOLUTION_TIMEOUT = 3.0
"""Seconds; the C library itself may wait much longer for a name server."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Where clouds answer instances with their credentials, beyond what is link-local.
_METADATA = frozenset(map(ipaddress.ip_address, ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "192.0.0.192")))
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class UnresolvableError(Exception):
    """The name has no address at the moment."""


def check_endpoint(address: str, *, allow_private: bool) -> None:
    """Refuse an address that we would not connect to. A name that does not resolve at the moment passes.

    Raises InvalidInputError with the field ``endpoint``.
    """
    try:
        allowed_addresses(address, allow_private=allow_private)
    except UnresolvableError:
        return


def allowed_addresses(address: str, *, allow_private: bool) -> list[str]:
    """The IP addresses to connect to for an http or https ``address``, in the resolver's order.

    One forbidden address among them refuses all. Raises InvalidInputError or UnresolvableError.
    """
    parts = _parse(address)
    found = _resolve(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
    for ip in found:
        if not _is_allowed(_unwrap(ip), allow_private=allow_private):
            raise InvalidInputError(
                "Cette adresse mène à un réseau interne ou réservé\u202f: elle n’est pas autorisée.", field="endpoint"
            )
    return [str(ip) for ip in found]


def _parse(address: str) -> SplitResult:
    try:
        parts = urlsplit(address)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable or parts.username is not None or any(character.isspace() for character in address):
        raise InvalidInputError(
            "L’adresse doit être de la forme https://hôte/chemin, sans identifiants.", field="endpoint"
        )
    return parts


def _resolve(host: str, port: int) -> list[Address]:
    pool = ThreadPoolExecutor(max_workers=1)
    try:
        answers = pool.submit(socket.getaddrinfo, host, port, 0, socket.SOCK_STREAM).result(RESOLUTION_TIMEOUT)
    except (OSError, UnicodeError, ResolutionTimeoutError) as error:
        raise UnresolvableError(host) from error
    finally:
        pool.shutdown(wait=False)
    return list(dict.fromkeys(ipaddress.ip_address(str(answer[4][0]).partition("%")[0]) for answer in answers))


def _unwrap(ip: Address) -> Address:
    """The IPv4 address behind an IPv6 one that only carries it."""
    if isinstance(ip, ipaddress.IPv6Address):
        if ip in _NAT64:
            return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None) or ip
    return ip


def _is_allowed(ip: Address, *, allow_private: bool) -> bool:
    if ip in _METADATA or ip.is_link_local or ip.is_multicast or ip.is_unspecified:
        return False
    return ip.is_global or (allow_private and (ip.is_private or ip.is_loopback))
