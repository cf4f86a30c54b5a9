"""CRM_HOME: the folder where a developer's machine keeps its servers' data, the ports they chose and its secrets.

Two homes never meet: everything that could clash (data, ports, locks, keys) is below the home.
"""

import base64
import fcntl
import json
import os
import random
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Below the range from which the kernel takes ports for outgoing connections, so that none of those is in the way.
PORTS = range(15_000, 32_000)
BACKLOG = 2048  # connections that may wait while a server starts


class PortTakenError(Exception):
    """A port that must not change is in use by somebody else; the message names it."""


def open_home(path: Path) -> Path:
    """The absolute path of a home, created if need be."""
    home = path.expanduser().resolve()
    home.mkdir(parents=True, exist_ok=True)
    return home


@contextmanager
def exclusively(lock: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock file; raises BlockingIOError when it is held elsewhere and `wait` is false.

    The kernel lets go of it when the process dies, so that kill -9 leaves nothing stale.
    """
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file, an empty one if there is no file."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return content


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Replace a JSON file at once, readable by its owner only: readers see the old one or the new one."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2, ensure_ascii=False)
        file.write("\n")
    fresh.replace(path)


def secrets_of(home: Path) -> dict[str, str]:
    """The home's passwords and keys, made the first time they are asked for."""
    with exclusively(home / "home.lock"):
        path = home / "secrets.json"
        kept = read_json(path)
        known: dict[str, str] = _new_secrets() | kept
        if known != kept:
            write_json(path, known)
    return known


def _new_secrets() -> dict[str, str]:
    names = [
        "SECRET_KEY",
        "OIDC_CLIENT_SECRET",
        "WINLEADPLUS_CLIENT_SECRET",
        "PAYMENT_SANDBOX_SECRET",
        "WOOCOMMERCE_SHOP_SECRET",
        "DEPANSSUR_OPERATOR_SECRET",
        "POSTGRES_PASSWORD",
        "CRM_OWNER_PASSWORD",
        "CRM_APP_PASSWORD",
        "REDIS_PASSWORD",
        "KEYCLOAK_ADMIN_PASSWORD",
    ]
    data_key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    return {name: secrets.token_urlsafe(32) for name in names} | {"CRM_DATA_KEYS": f"k1:{data_key}"}


def port_of(home: Path, server: str, *, may_move: bool) -> int:
    """The loopback port that a server of this home chose once and keeps.

    When somebody else listens there now, a server that `may_move` chooses anew; for another, PortTakenError.
    """
    with exclusively(home / "home.lock"):
        path = home / "ports.json"
        ports: dict[str, int] = read_json(path)
        if server in ports and is_free(ports[server]):
            return ports[server]
        if server in ports and not may_move:
            raise PortTakenError(
                f"Port {ports[server]}, which the {server} server of this home uses, is taken by another process. "
                f"End that one, or delete {path} to choose ports anew."
            )
        ports[server] = _choose_port(set(ports.values()))
        write_json(path, ports)
        return ports[server]


def _choose_port(avoid: set[int]) -> int:
    candidates = random.sample(PORTS, 200)
    return next(port for port in candidates if port not in avoid and is_free(port))


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now."""
    try:
        listen(port, host).close()
    except OSError:
        return False
    return True


def listen(port: int, host: str) -> socket.socket:
    """A listening socket. Raises OSError, above all for a port in use."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    server = socket.socket(family, kind, protocol)
    try:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(address)
        server.listen(BACKLOG)
    except OSError:
        server.close()
        raise
    return server
