"""The web server as it runs in production: slow senders hold sockets, and nobody else waits; nothing large is read."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from webapp.config import Settings

ROOT = Path(__file__).resolve().parents[2]
SENDERS = 200
HALF_HEADERS = b"GET /clients HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "
HUGE_BODY = b"POST /nulle-part HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 200000000\r\n\r\nq="
HALF_BODY = b"POST /connexion HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nq="


@pytest.fixture(scope="module")
def server(settings: Settings, database: str, app: object) -> Iterator[str]:
    """The address of a gunicorn of two processes, on the tests' database."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen(1024)
        os.set_inheritable(door.fileno(), True)
        values = settings.model_dump().items()
        given = {name.upper(): str(value) for name, value in values if isinstance(value, str | Path)}
        given |= {"CRM_LISTENING": str(door.fileno()), "WEB_CONCURRENCY": "2", "LOG_LEVEL": "ERROR"}
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py", "wsgi:app"],
            cwd=ROOT,
            env=os.environ | given,
            pass_fds=[door.fileno()],
        )
        address = f"http://127.0.0.1:{door.getsockname()[1]}"
        try:
            assert httpx.get(f"{address}/sante/vivant", timeout=30).status_code == 200
            yield address
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=20) == 0


def _seconds(address: str) -> float:
    began = time.monotonic()
    assert httpx.get(address, timeout=10).status_code in (200, 303)
    return time.monotonic() - began


def test_slow_senders_keep_nobody_waiting(server: str) -> None:
    host, _, port = server.removeprefix("http://").partition(":")
    with ExitStack() as senders:
        slow = [senders.enter_context(socket.create_connection((host, int(port)))) for _ in range(SENDERS)]
        for number, sender in enumerate(slow):
            sender.sendall(HALF_BODY if number % 2 else HALF_HEADERS)
        for _ in range(5):
            for sender in slow:
                sender.sendall(b"x")
            assert _seconds(f"{server}/sante/vivant") < 1
            assert _seconds(f"{server}/clients") < 1
        for sender in slow:  # none of them was cut: they may still end what they began
            sender.sendall(b"\r\n\r\n" if slow.index(sender) % 2 == 0 else b"y" * 993)
        assert slow[0].recv(12) == slow[1].recv(12)[:9] + b"303"


def test_what_is_too_large_is_refused_unread_by_the_application_itself(server: str) -> None:
    host, _, port = server.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as sender:
        sender.sendall(HUGE_BODY)
        answer = b"".join(iter(lambda: sender.recv(65536), b"")).decode()
    head, _, page = answer.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 404 ")
    assert "Connection: close" in head
    assert "Cette page n’existe pas ou plus." in page
