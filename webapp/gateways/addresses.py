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
_CARRIERS = tuple(map(ipaddress.ip_network, ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96")))
"""IPv6 networks whose last 32 bits are an IPv4 address: compatible, translated (SIIT), NAT64."""
# Beyond what Python calls private or reserved, in every version that we run on.
_FORBIDDEN = tuple(
    map(
        ipaddress.ip_network,
        (
            "fec0::/10",  # site-local, deprecated (RFC 3879)
            "64:ff9b:1::/48",  # NAT64 of one's own network (RFC 8215)
            "100::/64",  # discard (RFC 6666)
            "2001:db8::/32",
            "3fff::/20",  # documentation (RFC 9637)
            "5f00::/16",  # segment routing (RFC 9602)
            "0.0.0.0/8",
            "192.0.0.0/24",
            "198.18.0.0/15",  # benchmarks
            "240.0.0.0/4",
        ),
    )
)


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

    One forbidden address among them refuses all. http, on which the token could be read, is for private networks only.
    Raises InvalidInputError or UnresolvableError.
    """
    parts = _parse(address)
    addresses = _resolve(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
    for ip in addresses:
        if not _is_allowed(_unwrap(ip), allow_private=allow_private):
            raise InvalidInputError(
                "Cette adresse mène à un réseau interne ou réservé\u202f: elle n’est pas autorisée.", field="endpoint"
            )
    if parts.scheme == "http" and not allow_private:
        raise InvalidInputError(
            "L’adresse doit commencer par https://\u202f: en http, ce qui est échangé voyagerait en clair.",
            field="endpoint",
        )
    return [str(ip) for ip in addresses]


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
        if any(ip in network for network in _CARRIERS) and int(ip) > 1:  # ::1 and :: are what they are
            return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None) or ip
    return ip


def _is_allowed(ip: Address, *, allow_private: bool) -> bool:
    if ip in _METADATA or ip.is_link_local or ip.is_multicast or ip.is_unspecified:
        return False
    if any(ip in network for network in _FORBIDDEN):
        return False
    return ip.is_global or (allow_private and (ip.is_private or ip.is_loopback))
