"""Patience for faults, none for refusals, and each failure in words that a salesperson understands."""

import gzip
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from itertools import pairwise
from typing import Any
from unittest.mock import patch

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import upstream as upstreams
from tests.upstream import Upstream
from webapp.config import Settings
from webapp.gateways import addresses, unpacking, winleadplus
from webapp.gateways.json_stream import ArrayReader
from webapp.gateways.winleadplus import (
    SOMEONE_WAITS,
    AccessRefusedError,
    BusyError,
    CutOffError,
    RejectedError,
    TrailingTextError,
    UnreachableError,
    UnreadableError,
    WaitingTimes,
)

NARROW_SPACE = "\u202f"
PATIENT = WaitingTimes(budget=10.0, connect=5.0, stall=5.0, pause=0.3)
SHORT = WaitingTimes(budget=1.5, connect=0.5, stall=0.5, pause=0.3)
"""For answers that are to come too late, or not at all."""


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winleadplus, "RETRY_PAUSE", 0.05)


@pytest.fixture
def upstream(settings: Settings) -> Iterator[Upstream]:
    """A WinLeadPlus on loopback, and the rules for addresses of a test."""
    winleadplus.use(settings)
    with upstreams.running() as running:
        yield running


def _read(upstream: Upstream, patience: WaitingTimes = PATIENT, **options: Any) -> list[Any]:
    stream = winleadplus.stream_prospects(upstream.url, token="the-token", patience=patience, **options)
    return [element.value for elements in stream for element in elements]


def _bad_then(good: bytes, *bad: tuple[int, dict[str, str]]) -> upstreams.Handler:
    """Answer each bad status once, then well."""
    remaining = list(bad)

    def handle(request: BaseHTTPRequestHandler) -> None:
        status, headers = remaining.pop(0) if remaining else (200, {})
        body = good if status == 200 else b"oups"
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return handle


def _raw(answer: bytes, *, then_wait: float = 0.0) -> upstreams.Handler:
    """Write these bytes, headers included, and close."""

    def handle(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(answer)
        request.wfile.flush()
        time.sleep(then_wait)
        request.close_connection = True

    return handle


def test_prospects_arrive_with_the_token_sent_as_bearer(upstream: Upstream) -> None:
    upstream.serve([{"idProspect": 1}, {"idProspect": 2}])
    assert _read(upstream) == [{"idProspect": 1}, {"idProspect": 2}]
    assert upstream.requests[0]["Authorization"] == "Bearer the-token"


def test_a_compressed_answer_is_read(upstream: Upstream) -> None:
    upstream.body, upstream.headers = gzip.compress(b'{"data": [{"idProspect": 1}]}'), {"Content-Encoding": "gzip"}
    assert _read(upstream) == [{"idProspect": 1}]


def test_a_bomb_is_refused_before_it_fills_the_memory(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "RATIO_FREE", 1024 * 1024)
    bomb = gzip.compress(b'[{"idProspect": 1}, "' + b" " * 50_000_000 + b'"]')
    upstream.body, upstream.headers = bomb, {"Content-Encoding": "gzip"}
    pieces = []
    monkeypatch.setattr(ArrayReader, "feed", lambda _reader, block: pieces.append(len(block)) or [])
    with pytest.raises(UnreadableError, match="démesurée"):
        _read(upstream, SOMEONE_WAITS)
    assert max(pieces) <= unpacking.PIECE
    assert sum(pieces) < 12_000_000


@given(body=st.binary(max_size=3000), piece=st.integers(1, 200))
def test_what_was_packed_is_unpacked_whatever_the_pieces(body: bytes, piece: int) -> None:
    packed = gzip.compress(body * 20)
    response = httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(packed))
    response.request = httpx.Request("GET", "http://127.0.0.1/")
    with patch.object(unpacking, "PIECE", piece):
        assert b"".join(unpacking.unpacked(response)) == body * 20


@pytest.mark.parametrize("packing", ["br", "zstd", "deflate", "gzip, gzip"])
def test_another_packing_than_ours_is_refused(upstream: Upstream, packing: str) -> None:
    upstream.serve([{"idProspect": 1}])
    upstream.headers = {"Content-Encoding": packing}
    with pytest.raises(UnreadableError, match="compressée"):
        _read(upstream)


def test_a_name_with_two_addresses_is_tried_at_each(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    upstream.serve([])
    monkeypatch.setattr(addresses, "allowed_addresses", lambda *_, **__: ["::1", "127.0.0.1"])
    assert _read(upstream) == []


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_faults_are_retried_until_the_answer_is_good(upstream: Upstream, status: int) -> None:
    upstream.handler = _bad_then(b'[{"idProspect": 1}]', (status, {}), (status, {}))
    assert _read(upstream) == [{"idProspect": 1}]
    assert len(upstream.requests) == 3


def test_a_cut_before_the_first_prospect_is_retried(upstream: Upstream) -> None:
    good = _bad_then(b'[{"idProspect": 1}]')
    answers = [good, _raw(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n[{"idPros')]

    def handle(request: BaseHTTPRequestHandler) -> None:
        answers.pop()(request)

    upstream.handler = handle
    assert _read(upstream) == [{"idProspect": 1}]


def test_retry_after_is_kept_to(upstream: Upstream) -> None:
    upstream.handler = _bad_then(b"[]", (429, {"Retry-After": "1"}))
    began = time.monotonic()
    assert _read(upstream) == []
    assert time.monotonic() - began >= 1.0


@pytest.mark.parametrize("value", ["3600", "Fri, 31 Dec 2100 23:59:59 GMT"])
def test_a_retry_after_beyond_our_patience_fails_at_once(upstream: Upstream, value: str) -> None:
    upstream.status, upstream.headers = 429, {"Retry-After": value}
    with pytest.raises(BusyError, match=r"reçoit trop de demandes en ce moment\. Réessayez dans [\d\u202f]+ minutes"):
        _read(upstream)
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("value", ["", "bientôt", "Fri, 31 Dec 1999 23:59:59 GMT", "-5"])
def test_a_senseless_retry_after_leaves_us_our_own_pauses(upstream: Upstream, value: str) -> None:
    upstream.handler = _bad_then(b"[]", (503, {"Retry-After": value.encode().decode("latin-1")}))
    assert _read(upstream) == []


def test_an_upstream_that_stays_broken_is_given_up_within_the_budget(upstream: Upstream) -> None:
    upstream.status = 500
    began = time.monotonic()
    with pytest.raises(BusyError, match=r"problème de son côté \(réponse 500\)"):
        _read(upstream, SHORT)
    assert len(upstream.requests) > 2
    assert time.monotonic() - began < SHORT.budget + 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_fails_at_once(upstream: Upstream, status: int) -> None:
    upstream.status = status
    with pytest.raises(AccessRefusedError, match="WinLeadPlus a refusé l’accès"):
        _read(upstream)
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("status", [400, 404, 410, 204])
def test_other_refusals_fail_at_once(upstream: Upstream, status: int) -> None:
    upstream.status, upstream.body = status, b""
    with pytest.raises(RejectedError, match=rf"\(réponse {status}\)"):
        _read(upstream)
    assert len(upstream.requests) == 1


def test_redirects_are_not_followed(upstream: Upstream) -> None:
    upstream.status, upstream.headers = 302, {"Location": "http://169.254.169.254/latest/meta-data"}
    with pytest.raises(RejectedError, match=r"\(réponse 302\)"):
        _read(upstream)
    assert len(upstream.requests) == 1


def test_a_forbidden_address_is_not_called(upstream: Upstream, settings: Settings) -> None:
    production = settings.model_copy(update={"crm_env": "production"})
    winleadplus.use(production)
    with pytest.raises(RejectedError, match="réseau interne"):
        _read(upstream)
    assert upstream.requests == []
    winleadplus.use(production.model_copy(update={"winleadplus_allow_private": True}))
    assert _read(upstream) == []
    winleadplus.use(settings)


def test_nobody_at_the_address_is_said_plainly_and_in_time(upstream: Upstream) -> None:
    began = time.monotonic()
    sentence = (
        f"WinLeadPlus ne répond pas. Réessayez dans quelques minutes{NARROW_SPACE}; vos clients ne sont pas touchés."
    )
    with pytest.raises(UnreachableError, match=sentence):
        _read(replace(upstream, url="http://127.0.0.1:9/api"), SHORT)
    with pytest.raises(UnreachableError):
        _read(replace(upstream, url="http://nowhere.invalid/api"), SHORT)
    assert time.monotonic() - began < 2 * (SHORT.budget + 1)


@pytest.mark.parametrize("spoken", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", b"SSH-2.0-Hello\r\n"])
def test_silence_and_gibberish_are_no_answer(upstream: Upstream, spoken: bytes) -> None:
    upstream.handler = _raw(spoken, then_wait=0.7)
    began = time.monotonic()
    with pytest.raises(UnreachableError):
        _read(upstream, SHORT)
    assert time.monotonic() - began < SHORT.budget + 1.5


def test_blanks_that_drip_for_ever_are_no_answer(upstream: Upstream) -> None:
    def drip(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(30):
            request.wfile.write(b" ")
            time.sleep(0.2)

    upstream.handler = drip
    with pytest.raises(UnreachableError):
        _read(upstream, SHORT)


def test_a_slow_body_may_take_longer_than_the_budget_and_keeps_the_lease(upstream: Upstream) -> None:
    def trickle(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n[{"idProspect": 0}')
        for number in range(1, 8):
            time.sleep(0.3)
            request.wfile.write(b',{"idProspect": %d}' % number)
        request.wfile.write(b"]")
        request.close_connection = True

    upstream.handler = trickle
    heartbeats: list[float] = []
    read = _read(upstream, SHORT, while_waiting=lambda: heartbeats.append(time.monotonic()))
    assert len(read) == 8
    assert max(after - before for before, after in pairwise(heartbeats)) < 1.0


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"<!DOCTYPE html><html><body>Maintenance</body></html>", "par une page ou un texte au lieu de ses prospects"),
        (b"Erreur interne", "par une page ou un texte"),
        (b'{"erreur": "interne"}', "n’est pas une liste de prospects"),
        (b'{"idProspect": 1, "nom": "X"}', "n’est pas une liste de prospects"),
        (b"null", "n’est pas une liste de prospects"),
        (b"", "réponse vide ou illisible"),
        (b'{"dat', "réponse vide ou illisible"),
    ],
)
def test_an_answer_that_is_no_list_is_said_to_be_so(upstream: Upstream, body: bytes, sentence: str) -> None:
    upstream.body = body
    with pytest.raises(UnreadableError, match=sentence):
        _read(upstream)
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    "handler",
    [
        _raw(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n[{"idProspect": 1},{"id'),
        _raw(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n[{"idProspect": 1},{"id', then_wait=0.8),
        _raw(b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n[{"idProspect": 1},{"id'),
    ],
)
def test_a_cut_in_the_middle_hands_out_what_came_whole(upstream: Upstream, handler: upstreams.Handler) -> None:
    upstream.handler = handler
    got = []
    with pytest.raises(CutOffError, match=r"interrompue.*la suite de la liste manque"):
        for elements in winleadplus.stream_prospects(upstream.url, token="t", patience=SHORT):
            got += [element.value for element in elements]
    assert got == [{"idProspect": 1}]
    assert len(upstream.requests) == 1


def test_a_list_that_came_whole_is_whole_however_the_connection_ends(upstream: Upstream) -> None:
    upstream.handler = _raw(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n[{"idProspect": 1}]')
    assert _read(upstream) == [{"idProspect": 1}]


def test_text_behind_the_list_is_reported_after_the_prospects(upstream: Upstream) -> None:
    upstream.body = b'[{"idProspect": 1}] et voila'
    with pytest.raises(TrailingTextError, match="suivie d’un texte illisible"):
        _read(upstream)


def test_the_token_is_in_no_message_and_no_log(upstream: Upstream, capsys: pytest.CaptureFixture[str]) -> None:
    upstream.status = 500
    with pytest.raises(BusyError) as failure:
        _read(upstream, replace(PATIENT, budget=3.0))
    assert "the-token" not in str(failure.value)
    captured = capsys.readouterr()
    assert "the-token" not in captured.err + captured.out
