"""A provider on loopback that answers what a test wants, and remembers what it was asked."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any, NamedTuple

import orjson

from tests.serving import serving


class Asked(NamedTuple):
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def said(self) -> Any:
        """The JSON that it carried."""
        return orjson.loads(self.body)


@dataclass
class Canned:
    """``status`` and ``body`` are the answer, but for the paths of ``others``; ``hangs_up`` closes without any."""

    url: str = ""
    status: int = 200
    body: Any = field(default_factory=dict)
    others: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    hangs_up: bool = False
    requests: list[Asked] = field(default_factory=list)
    arrivals: Queue[Asked] = field(default_factory=Queue)

    def wait(self) -> Asked:
        """The next request, of those that come by themselves."""
        return self.arrivals.get(timeout=20)

    def answers(self, status: int, body: Any = None, **headers: str) -> None:
        """Answer this from now on."""
        self.status, self.body, self.headers, self.hangs_up = status, body, headers, False


@contextmanager
def running() -> Iterator[Canned]:
    """One that answers until the end of the block."""
    canned = Canned()

    class _Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            asked = Asked(self.command, self.path, dict(self.headers), self.rfile.read(length))
            if self.path in canned.others:
                self._answer(200, canned.others[self.path])
                return
            canned.requests.append(asked)
            canned.arrivals.put(asked)
            if canned.hangs_up:
                self.close_connection = True
                with suppress(OSError):
                    self.connection.shutdown(socket.SHUT_RDWR)
                return
            self._answer(canned.status, canned.body)

        def do_POST(self) -> None:
            self.do_GET()

        def _answer(self, status: int, body: Any) -> None:
            content = body if isinstance(body, bytes) else orjson.dumps(body)
            self.send_response(status)
            for name, value in canned.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing: tests read what was asked in ``requests``."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    canned.url = f"http://127.0.0.1:{server.server_port}"
    with serving(server):
        yield canned
