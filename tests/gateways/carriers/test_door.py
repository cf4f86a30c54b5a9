"""The door to carriers: certificates are checked, and no answer takes all the time or all the memory."""

import gzip
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.gateways.messaging.certificates import new_certificate
from tests.gateways.messaging.conftest import nowhere
from tests.serving import serving
from webapp.gateways.carriers.door import LARGEST_ANSWER, Door, NoAnswerError, NothingSentError

Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def answering(answer: Answer, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server whose every answer is written by ``answer``; its address."""

    class _Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with suppress(OSError):
                answer(self)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    with serving(server):
        yield f"{'https' if context else 'http'}://127.0.0.1:{server.server_port}"


def send(handler: BaseHTTPRequestHandler, content: bytes, **headers: str) -> None:
    handler.send_response(200)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(content)


@pytest.fixture
def ask() -> Iterator[Callable[[str], bytes]]:
    """The body of what an address answers, with little patience."""
    doors: list[Door] = []

    def ask_at(url: str) -> bytes:
        doors.append(Door(url, patience=0.5))
        return doors[-1].ask("GET", "/").content

    yield ask_at
    for door in doors:
        door.close()


def test_an_answer_comes_whole_and_unpacked(ask: Callable[[str], bytes]) -> None:
    with answering(lambda handler: send(handler, gzip.compress(b"x" * 5000), Content_Encoding="gzip")) as url:
        assert ask(url) == b"x" * 5000


def test_an_answer_without_end_is_given_up(ask: Callable[[str], bytes]) -> None:
    endless = b"x" * (LARGEST_ANSWER * 8)
    with (
        answering(lambda handler: send(handler, endless)) as url,
        pytest.raises(NoAnswerError, match="TooMuchError"),
    ):
        ask(url)


def test_a_packed_bomb_is_given_up(ask: Callable[[str], bytes]) -> None:
    bomb = gzip.compress(b"\0" * (LARGEST_ANSWER * 10))
    with (
        answering(lambda handler: send(handler, bomb, Content_Encoding="gzip")) as url,
        pytest.raises(NoAnswerError, match="TooMuchError"),
    ):
        ask(url)


def test_an_answer_that_drips_is_given_up_in_time(ask: Callable[[str], bytes]) -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        send(handler, b"")
        for _ in range(40):
            handler.wfile.write(b"x")
            time.sleep(0.1)

    began = time.monotonic()
    with answering(drip) as url, pytest.raises(NoAnswerError):
        ask(url)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("packing", ["br", "gzip"])
def test_an_answer_that_cannot_be_unpacked_is_none(ask: Callable[[str], bytes], packing: str) -> None:
    with (
        answering(lambda handler: send(handler, b"{}", Content_Encoding=packing)) as url,
        pytest.raises(NoAnswerError),
    ):
        ask(url)


def test_where_nobody_listens_nothing_was_sent(ask: Callable[[str], bytes]) -> None:
    with pytest.raises(NothingSentError):
        ask(nowhere())


def test_a_certificate_that_nobody_vouches_for_is_refused(ask: Callable[[str], bytes], tmp_path: Path) -> None:
    asked = threading.Event()
    files = new_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files["SMTP_CERTIFICATE"], files["SMTP_KEY"])
    with answering(lambda _handler: asked.set(), context) as url, pytest.raises(NothingSentError, match="CERTIFICATE"):
        ask(url)
    assert not asked.is_set()
