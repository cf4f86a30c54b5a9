"""A shop is read with patience for faults, none for refusals, and each failure in words that people understand."""

import gzip
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from demo.woocommerce_shop import Shop
from tests import upstream as upstreams
from tests import woocommerce_shop as shops
from tests.upstream import Upstream
from webapp.config import Settings
from webapp.errors import InvalidInputError
from webapp.gateways import woocommerce
from webapp.gateways.providers import pacing
from webapp.gateways.woocommerce import (
    Access,
    BusyError,
    CutOffError,
    KeyRefusedError,
    NoSuchPageError,
    Page,
    Patience,
    RejectedError,
    ShopError,
    TooSlowError,
    UnreachableError,
    UnreadableAnswerError,
)

PATIENT = Patience(connect=5.0, answer=10.0, pause=1.5, tries=3)
SHORT = replace(PATIENT, answer=0.3)
"""For answers that are to come too late."""
NARROW_SPACE = "\u202f"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Iterator[None]:
    monkeypatch.setattr(woocommerce, "RETRY_PAUSE", 0.01)
    monkeypatch.setattr(woocommerce, "REQUESTS_PER_SECOND", 1000)
    woocommerce.use(settings)
    yield
    woocommerce.use(settings)  # a test that uses others leaves nothing to the next


@pytest.fixture
def shop() -> Iterator[Shop]:
    with shops.running() as running:
        yield running


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with upstreams.running() as running:
        yield running


def access(shop: Shop) -> Access:
    return Access(shop.url, shop.manners.key, shop.manners.secret)


def read(target: Shop | Upstream, *, patience: Patience = PATIENT, **params: Any) -> Page:
    reached = access(target) if isinstance(target, Shop) else Access(target.url.rsplit("/", 1)[0], "ck_1", "cs_1")
    with woocommerce.connected(reached, patience=patience) as connection:
        return connection.list_page("orders", params)


def raw(answer: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
    def handle(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(answer)
        request.wfile.flush()
        request.close_connection = True

    return handle


def test_a_page_hands_each_resource_out_by_itself_and_says_how_many_there_are(shop: Shop) -> None:
    made = [shop.world.buy() for _ in range(3)]
    page = read(shop, per_page=2, orderby="id", order="asc")
    assert [json.loads(body)["id"] for body in page.bodies] == made[:2]
    assert (page.total, page.is_last) == (3, True)
    assert "Savon d’Alep".encode() in page.bodies[0]


def test_one_resource_is_shown_and_one_that_is_gone_is_none(shop: Shop) -> None:
    order_id = shop.world.buy()
    with woocommerce.connected(access(shop), patience=PATIENT) as connection:
        assert json.loads(connection.show(f"orders/{order_id}") or b"")["id"] == order_id
        assert connection.show("orders/99999") is None
        assert connection.describe()["environment"]["version"] == "11.0.1"


def test_the_key_stands_in_no_address_and_in_no_log(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    read(shop)
    with woocommerce.connected(access(shop), patience=PATIENT) as connection:
        told = repr((access(shop), connection))
    for secret in (shop.manners.key, shop.manners.secret):
        assert secret not in "".join(shop.manners.asked) + caplog.text + told


@pytest.mark.parametrize(
    ("mode", "refusal", "sentence"),
    [
        ("401", KeyRefusedError, "La boutique refuse la clé REST (réponse 401)"),
        ("429", BusyError, "La boutique reçoit trop de demandes en ce moment. Réessayez dans 1 minute."),
        ("500", BusyError, "La boutique rencontre un problème de son côté (réponse 500)"),
        ("cut", CutOffError, "La réponse de la boutique s’est interrompue avant la fin."),
        ("html", UnreadableAnswerError, f"par une page web au lieu de données{NARROW_SPACE}: une extension"),
        ("slow", TooSlowError, "La boutique met trop de temps à répondre."),
    ],
)
def test_every_fault_has_its_sentence(mode: str, refusal: type[ShopError], sentence: str, shop: Shop) -> None:
    shop.order({"mode": mode, "pause": 0.5, "retry_after": 2})
    with pytest.raises(refusal) as caught:
        read(shop, patience=SHORT if mode == "slow" else PATIENT)
    assert sentence in caught.value.message


def test_faults_that_pass_are_tried_again_and_refusals_are_not(shop: Shop) -> None:
    for mode in ("429", "500", "cut"):
        shop.order({"mode": mode, "times": 1, "retry_after": 0})
        assert read(shop).bodies == []
    assert len(shop.manners.asked) == 6
    for mode in ("401", "html"):
        shop.order({"mode": mode, "times": 1})
        with pytest.raises(ShopError):
            read(shop)
    assert len(shop.manners.asked) == 8


def test_an_answer_that_comes_too_late_is_asked_for_again(shop: Shop) -> None:
    shop.order({"mode": "slow", "times": 1, "pause": 2})
    assert read(shop, patience=replace(SHORT, answer=1.0)).bodies == []
    assert len(shop.manners.asked) == 2


def test_what_the_shop_asks_to_wait_is_waited_and_longer_than_our_patience_is_not(shop: Shop) -> None:
    shop.order({"mode": "429", "times": 1, "retry_after": 1})
    began = time.monotonic()
    read(shop)
    assert time.monotonic() - began >= 1
    shop.order({"mode": "429", "times": 1, "retry_after": 300})
    with pytest.raises(BusyError, match="dans 5 minutes"):
        read(shop)


def test_whoever_waits_says_that_it_lives(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(woocommerce, "SLICE", 0.2)
    calls: list[float] = []
    shop.order({"mode": "429", "times": 1, "retry_after": 1})
    with woocommerce.connected(
        access(shop), patience=PATIENT, while_waiting=lambda: calls.append(time.monotonic())
    ) as connection:
        connection.list_page("orders", {})
    assert len(calls) >= 5


def test_a_shop_is_asked_five_times_a_second_at_most(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(woocommerce, "REQUESTS_PER_SECOND", 5)
    monkeypatch.setattr(pacing, "_take", None)
    began = time.monotonic()
    with woocommerce.connected(access(shop), patience=PATIENT) as connection:
        for _ in range(6):
            connection.list_page("orders", {})
    assert time.monotonic() - began >= 0.9


def plain(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@pytest.mark.parametrize(
    ("answer", "refusal", "sentence"),
    [
        (plain("301 Moved", b"", "Location: https://ailleurs.example/"), RejectedError, "réponse 301"),
        (plain("403 Forbidden"), KeyRefusedError, "une extension de sécurité"),
        (plain("404 Not Found"), NoSuchPageError, "permaliens"),
        (plain("400 Bad", b'{"message":"Non\\nvalide"}'), RejectedError, "«\u00a0Non valide\u00a0»"),
        (plain("400 Bad", b"no"), RejectedError, "(réponse 400)."),
        (plain("200 OK"), UnreadableAnswerError, "page web"),
        (plain("200 OK", b'{"code":"error"}'), UnreadableAnswerError, "page web"),
        (b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n[{"id":1},{"id"', CutOffError, "interrompue"),
        (b"", UnreachableError, "ne répond pas"),
    ],
)
def test_odd_answers_have_a_sentence(
    answer: bytes, refusal: type[ShopError], sentence: str, upstream: Upstream
) -> None:
    upstream.handler = raw(answer)
    with pytest.raises(refusal) as caught:
        read(upstream)
    assert sentence in caught.value.message


def test_nobody_there_is_told(shop: Shop) -> None:
    for url in ("http://127.0.0.1:9", "http://boutique.invalid"):
        reached = woocommerce.connected(Access(url, "k", "s"), patience=PATIENT)
        with pytest.raises(UnreachableError), reached as connection:
            connection.list_page("orders", {})


def test_what_is_packed_is_unpacked_and_what_is_endless_is_not_read(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream.headers, upstream.body = {"Content-Encoding": "gzip"}, gzip.compress(b'[{"id":1}]')
    assert read(upstream).bodies == [b'{"id":1}']
    monkeypatch.setattr(woocommerce, "ANSWER_LIMIT", 1000)
    upstream.body = gzip.compress(b"[" + b" " * 2000 + b"]")
    with pytest.raises(UnreadableAnswerError, match="démesurée"):
        read(upstream)


def test_a_broken_resource_does_not_cost_its_neighbours(upstream: Upstream) -> None:
    upstream.body = b'[{"id":1},{"id":2,"note":"\\ud800"},{"id":\xff},{"id":4}]'
    bodies = read(upstream).bodies
    assert (bodies[0], bodies[-1], len(bodies)) == (b'{"id":1}', b'{"id":4}', 4)
    assert bodies[1] == b'{"id":2,"note":"\\ud800"}'


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://boutique.example/", "en http, la clé de la boutique voyagerait en clair"),
        ("https://127.0.0.1/", "réseau interne"),
        ("https://169.254.169.254/", "réseau interne"),
        ("ftp://boutique.example/", "https://hôte/chemin"),
        ("https://cle:secret@boutique.example/", "sans identifiants"),
    ],
)
def test_in_production_an_address_is_public_and_https(url: str, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(woocommerce, "_allow_private", False)
    with pytest.raises(InvalidInputError) as caught:
        woocommerce.check_url(url)
    assert (sentence in caught.value.message, caught.value.field) == (True, "url")
    with pytest.raises(RejectedError), woocommerce.connected(Access(url, "k", "s"), patience=PATIENT):
        pass


def test_the_rule_can_be_lifted_for_a_shop_on_a_private_network(settings: Settings) -> None:
    for allowed in (True, False):
        woocommerce.use(settings.model_copy(update={"crm_env": "production", "woocommerce_allow_private": allowed}))
        if allowed:
            woocommerce.check_url("http://127.0.0.1:8870/")
        else:
            with pytest.raises(InvalidInputError):
                woocommerce.check_url("http://127.0.0.1:8870/")
