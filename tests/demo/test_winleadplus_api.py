"""The pretend WinLeadPlus: who may read, and every way in which it can misbehave."""

import sys
from typing import Any

import httpx
import pytest

from demo.hostile_prospects import FIRST_HOSTILE_ID
from demo.prospects import prospect
from demo.winleadplus_api import SLOW_CHUNKS, Control, World
from tests.demo.conftest import Visitor, WinLeadPlus, free_port, running

HOSTILE = range(FIRST_HOSTILE_ID, FIRST_HOSTILE_ID + 1000)


def test_the_service_account_gets_everybody(winleadplus: WinLeadPlus, service_token: str) -> None:
    answer = winleadplus.prospects(service_token)

    assert answer.status_code == 200
    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.json() == [prospect(index) for index in range(250)]


def test_somebody_who_signed_in_gets_everybody(winleadplus: WinLeadPlus, visitor: Visitor) -> None:
    token = visitor.sign_in("commercial.nord")["access_token"]

    assert len(winleadplus.prospects(token).json()) == 250


@pytest.mark.parametrize("token", [None, "", "pas-un-jeton", "a.b.c"])
def test_without_a_real_token_the_door_is_shut(winleadplus: WinLeadPlus, token: str | None) -> None:
    answer = winleadplus.prospects(token)

    assert answer.status_code == 401
    assert answer.json()["error"] == "unauthorized"


def test_a_forged_token_is_refused(winleadplus: WinLeadPlus, service_token: str) -> None:
    head, body, signature = service_token.split(".")
    forged = f"{head}.{body}.{signature[:-8]}AAAAAAAA"

    assert winleadplus.prospects(forged).status_code == 401


def test_an_id_token_opens_no_door(winleadplus: WinLeadPlus, visitor: Visitor) -> None:
    assert winleadplus.prospects(visitor.sign_in("commercial.nord")["id_token"]).status_code == 401


def test_without_an_issuer_everybody_is_refused(service_token: str) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    environment = {"WINLEADPLUS_PORT": url.rpartition(":")[2], "OIDC_ISSUER": ""}
    with running([sys.executable, "-m", "demo.winleadplus_api"], environment, f"{url}/_control"):
        assert WinLeadPlus(url).prospects(service_token).status_code == 401


@pytest.mark.parametrize("mode", ["401", "429", "500"])
def test_a_mode_of_refusal_refuses_every_time(winleadplus: WinLeadPlus, service_token: str, mode: str) -> None:
    winleadplus.control(mode=mode)

    for _ in range(2):
        answer = winleadplus.prospects(service_token)
        assert answer.status_code == int(mode)
        assert answer.headers.get("retry-after") == ("1" if mode == "429" else None)


def test_a_cut_answer_ends_in_the_middle_of_an_object(winleadplus: WinLeadPlus, service_token: str) -> None:
    winleadplus.control(mode="cut")
    received: list[bytes] = []
    headers = {"Authorization": f"Bearer {service_token}"}
    request = httpx.stream("GET", f"{winleadplus.url}/api/prospects", headers=headers)
    with request as answer, pytest.raises(httpx.RemoteProtocolError):
        received.extend(answer.iter_bytes())

    body = b"".join(received)
    assert body.count(b'"idProspect":') == 151
    assert len(body) < int(answer.headers["content-length"])


def test_a_slow_answer_comes_bit_by_bit(winleadplus: WinLeadPlus, service_token: str) -> None:
    winleadplus.control(mode="slow")
    headers = {"Authorization": f"Bearer {service_token}"}
    with httpx.stream("GET", f"{winleadplus.url}/api/prospects", headers=headers) as answer:
        first = next(answer.iter_bytes())

    assert first.count(b'"idProspect":') <= 250 / SLOW_CHUNKS


def test_a_hostile_answer_keeps_the_healthy_ones(winleadplus: WinLeadPlus, service_token: str) -> None:
    winleadplus.control(mode="hostile")
    rows: list[Any] = winleadplus.prospects(service_token).json()
    healthy = [row for row in rows if isinstance(row, dict) and row in (prospect(i) for i in [0, 124, 125, 249])]
    hostile = [row for row in rows if not isinstance(row, dict) or row.get("idProspect") in HOSTILE]

    assert len(healthy) == 4
    assert len(rows) == 250 + 46
    assert len(hostile) > 40
    assert any(isinstance(row, dict) and len(str(row["nom"])) == 1024 * 1024 for row in hostile)
    assert any(isinstance(row, dict) and "\x00" in str(row["nom"]) for row in hostile)


def test_the_world_moves_on(winleadplus: WinLeadPlus, service_token: str) -> None:
    before = {row["idProspect"]: row for row in winleadplus.prospects(service_token).json()}

    state = winleadplus.control(change=5, add=3, remove=2)
    after = {row["idProspect"]: row for row in winleadplus.prospects(service_token).json()}

    assert state == {"mode": "ok", "prospects": 251, "changed": 5, "added": 3, "removed": 2}
    assert len(after.keys() - before.keys()) == 3
    assert len(before.keys() - after.keys()) == 2
    both = before.keys() & after.keys()
    assert (
        sum(before[number] != after[number] for number in both)
        + sum(after[number] != prospect(number - 1000) for number in after.keys() - before.keys())
        == 5
    )


def test_a_reset_is_a_fresh_start(winleadplus: WinLeadPlus) -> None:
    winleadplus.control(mode="500", change=5, add=3, remove=2)

    assert winleadplus.control(reset=True)["mode"] == "ok"
    state = httpx.get(f"{winleadplus.url}/_control").json()
    assert state == {"mode": "ok", "prospects": 250, "changed": 0, "added": 0, "removed": 0}


@pytest.mark.parametrize(
    "order", [{"mode": "lent"}, {"change": -1}, {"add": "3"}, {"remove": True}, {"unknown": 1}, [], 1]
)
def test_a_senseless_order_changes_nothing(winleadplus: WinLeadPlus, order: Any) -> None:
    answer = httpx.post(f"{winleadplus.url}/_control", json=order)

    assert answer.status_code == 400
    assert winleadplus.control()["prospects"] == 250


def test_changes_are_spread_and_add_up() -> None:
    world = World(1000)
    world.change(10)
    first = set(world.edits)
    world.change(10)

    assert len(first) == 10
    assert max(first) - min(first) > 800
    assert len(world.edits) == 20


def test_an_emptied_world_is_an_empty_list() -> None:
    control = Control(3)

    assert control.apply({"remove": 10, "change": 5})["prospects"] == 0
    assert list(control.snapshot().prospects()) == []


def test_elsewhere_there_is_nothing(winleadplus: WinLeadPlus) -> None:
    assert httpx.get(f"{winleadplus.url}/").status_code == 404
    assert httpx.post(f"{winleadplus.url}/api/prospects").status_code == 405
