"""A WinLeadPlus on loopback that answers what a test wants."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson

from tests.serving import serving

Handler = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Upstream:
    """What the server answers next: ``body`` with ``status``, or whatever ``handler`` writes."""

    url: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"[]"
    handler: Handler | None = None
    requests: list[dict[str, str]] = field(default_factory=list)

    def serve(self, prospects: list[Any], *, status: int = 200) -> None:
        """Answer these prospects from now on."""
        self.status, self.handler, self.body = status, None, orjson.dumps(prospects)

    def serve_text(self, text: str) -> None:
        """Answer this from now on."""
        self.status, self.handler, self.body = 200, None, text.encode()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Write the answer to a request."""
        self.requests.append(dict(request.headers))
        if self.handler is not None:
            self.handler(request)
            return
        request.send_response(self.status)
        for name, value in self.headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(self.body)))
        request.end_headers()
        request.wfile.write(self.body)


@contextmanager
def running() -> Iterator[Upstream]:
    """An upstream that answers until the end of the block."""
    upstream = Upstream()

    class _Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            upstream.answer(self)

        def log_message(self, *_: object) -> None:
            """Nothing: tests read what was asked in ``requests``."""

    class _Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Nothing: clients that go away in the middle are part of the tests."""

    server = _Server(("127.0.0.1", 0), _Handler)
    upstream.url = f"http://127.0.0.1:{server.server_port}/api/prospects"
    with serving(server):
        yield upstream
