"""How mail servers are reached: encrypted, unless they stand on this very machine."""

import ipaddress
import socket

STARTTLS, TLS, PLAIN = "starttls", "tls", "none"
WAYS = (STARTTLS, TLS, PLAIN)
PLAIN_REFUSED = "Sans chiffrement, seul un serveur sur cette machine est accepté."


def choices(*, starttls_port: int, tls_port: int) -> tuple[tuple[str, str], ...]:
    """What the settings form offers, with the usual ports."""
    return (
        (STARTTLS, f"STARTTLS (port {starttls_port})"),
        (TLS, f"TLS (port {tls_port})"),
        (PLAIN, "Aucun (sur cette machine seulement)"),
    )


def is_on_this_machine(connection: socket.socket | None) -> bool:
    """By the address that answers, whatever its name."""
    return connection is not None and ipaddress.ip_address(connection.getpeername()[0]).is_loopback
