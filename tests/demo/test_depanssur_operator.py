"""The pretend operator: what it sends is of the contract, and it misbehaves as it is told."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient

from demo.depanssur_client import verify
from demo.depanssur_operator import Desk, create_app, derived
from webapp import clock
from webapp.services.operators import contract, signing


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(secret="s", crm_url="http://127.0.0.1:9", journal=tmp_path / "operator.json")


@pytest.fixture
def client(desk: Desk) -> FlaskClient:
    return create_app(desk).test_client()


def sent(desk: Desk) -> list[dict[str, Any]]:
    waiting = []
    while not desk.waiting.empty():
        waiting.append(desk.waiting.get_nowait()["event"])
    return waiting


def test_a_life_by_its_buttons_is_of_the_contract(desk: Desk, client: FlaskClient) -> None:
    client.post("/actes/declare", data={"cover": "V-1", "trade": "plumbing", "asked": "", "words": "<b>Fuite</b>"})
    (number,) = desk.files
    for act in ("schedule", "intervene", "document", "close", "ask", "reopen", "cancel"):
        assert client.post(f"/actes/{act}", data={"number": number}).status_code == 303
    later = clock.now() + timedelta(seconds=5)
    told = [contract.read(orjson.dumps(event), at=later) for event in sent(desk)]
    assert [each.report.revision for each in told] == list(range(1, 9))
    assert len({each.type for each in told}) == 8
    page = client.get("/").text
    assert number in page
    assert client.get(f"/files/{number}/documents/1.pdf").data.startswith(b"%PDF-")


def test_its_open_files_are_listed(desk: Desk, client: FlaskClient) -> None:
    first = desk.declare("V-1")["event"]["data"]["claim"]["external_id"]
    second = desk.declare("V-1")["event"]["data"]["claim"]["external_id"]
    desk.close(first)
    assert client.get("/files?state=open").get_json() == [{"external_id": second, "revision": 1, "state": "declared"}]
    assert {each["external_id"] for each in client.get("/files").get_json()} == {first, second}


def test_a_restart_forgets_nothing(desk: Desk) -> None:
    number = desk.declare("V-1")["event"]["data"]["claim"]["external_id"]
    again = Desk(secret="s", crm_url="", journal=desk.journal)
    assert again.files[number]["revision"] == 1


def test_it_misbehaves_as_it_is_told(desk: Desk, client: FlaskClient) -> None:
    def control(**wanted: Any) -> Any:
        answer = client.post("/_control", json=wanted)
        assert answer.status_code == 200
        return answer.get_json()

    control(repeat=3)
    number = desk.declare("V-1")["event"]["data"]["claim"]["external_id"]
    assert len(sent(desk)) == 3
    control(repeat=1, reorder=True, burst=7, cover="V-2")
    assert (len(sent(desk)), control()["held"]) == (0, 7)
    control(reorder=False, flush=True)
    assert len(sent(desk)) == 7
    desk.schedule(number)
    sent(desk)
    control(back=number)
    assert [event["data"]["claim"]["revision"] for event in sent(desk)] == [1]
    assert client.post("/_control", json={"back": "nobody"}).status_code == 400


def test_it_answers_a_file_of_ours_once(desk: Desk, client: FlaskClient) -> None:
    claim = {
        "reference": "DEP-2026-000001",
        "external_id": None,
        "cover": "V-1",
        "trade": "plumbing",
        "event_on": "2026-11-19",
        "declared_on": "2026-11-19",
        "asked": None,
        "words": "",
        "decision": {"outcome": "accepted", "covered": "0.00"},
    }
    body = orjson.dumps({"type": "claim.declared", "data": {"claim": claim}})
    assert client.post("/webhooks", data=body).status_code == 401
    for _ in range(2):
        headers = signing.sign([derived(desk.secret, "delivery")], "msg_1", clock.now(), body)
        assert verify([derived(desk.secret, "delivery")], headers, body, at=clock.now().timestamp())
        assert client.post("/webhooks", data=body, headers=headers).status_code == 202
    (answer,) = sent(desk)
    assert (answer["type"], answer["data"]["claim"]["reference"]) == ("claim.updated", "DEP-2026-000001")
