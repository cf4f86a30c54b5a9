"""The pretend SMS gateway."""

from pathlib import Path

import pytest
from flask.testing import FlaskClient

from demo.sms_gateway import Gateway, create_app
from tests.gateways.messaging import canned

SMS = {"sender": "VENTES", "to": "+33612345678", "text": "Bonjour <b>Léa</b>"}


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def client(gateway: Gateway) -> FlaskClient:
    return create_app(gateway).test_client()


def test_what_was_sent_stands_on_its_page_and_in_its_list(client: FlaskClient) -> None:
    assert "Aucun pour l’instant" in client.get("/").text
    assert client.post("/messages", json=SMS).get_json() == {"id": "sms-1"}
    assert "Bonjour &lt;b&gt;Léa&lt;/b&gt;" in client.get("/").text
    assert [sent["id"] for sent in client.get("/_sent").get_json()] == ["sms-1"]
    assert client.delete("/_sent").get_json() == client.get("/_sent").get_json() == []


def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    journal = tmp_path / "sms.jsonl"
    Gateway(journal=journal).send(SMS)
    again = Gateway(journal=journal)
    assert again.send(SMS)["id"] == "sms-2"
    assert len(again.sent) == 2


def test_a_mode_lasts_as_long_as_it_was_ordered_for(client: FlaskClient) -> None:
    client.post("/_control", json={"mode": "refuse", "reason": "no_credit", "times": 1})
    assert client.post("/messages", json=SMS).status_code == 402
    assert client.post("/messages", json=SMS).status_code == 200


@pytest.mark.parametrize("wanted", [{"mode": "dance"}, {"reason": "none"}, {"reply": "STOP", "to": "+33600000000"}])
def test_what_there_is_none_of_is_refused(wanted: dict[str, str], client: FlaskClient) -> None:
    assert client.post("/_control", json=wanted).status_code == 400


@pytest.mark.parametrize("body", [[], {"to": "+33612345678"}, SMS | {"text": 7}])
def test_what_is_no_sms_is_refused(body: object, client: FlaskClient) -> None:
    assert client.post("/messages", json=body).status_code == 400


def test_it_tells_later_what_became_of_an_sms(client: FlaskClient) -> None:
    with canned.running() as listener:
        client.post("/_control", json={"mode": "bounce", "webhook": f"{listener.url}/hook", "times": 1})
        client.post("/messages", json=SMS)
        bounced = listener.wait().said
        client.post("/_control", json={"reply": "STOP", "to": SMS["to"]})
        replied = listener.wait().said
    assert [(each["event"], each["id"], each["text"]) for each in (bounced, replied)] == [
        ("bounced", "sms-1", ""),
        ("replied", "sms-1", "STOP"),
    ]
