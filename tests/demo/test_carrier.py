"""The pretend carrier."""

from pathlib import Path

import pytest
from flask.testing import FlaskClient

from demo.carrier import CHAOS, Carrier, create_app
from demo.carrier_label import draw_label

ASKED = {
    "reference": "L000012-0347",
    "weight_g": 850,
    "recipient": {"name": "Léa <b>Durand</b>", "lines": ["12 rue Haute"], "postcode": "69002", "town": "Lyon"},
}


@pytest.fixture
def carrier() -> Carrier:
    return Carrier()


@pytest.fixture
def client(carrier: Carrier) -> FlaskClient:
    return create_app(carrier).test_client()


def label(client: FlaskClient, key: str = "key-1") -> str:
    answer = client.post("/labels", json=ASKED, headers={"Idempotency-Key": key})
    assert answer.status_code == 200
    return str(answer.get_json()["tracking_number"])


def test_what_was_labelled_stands_on_its_page_and_in_its_ledger(client: FlaskClient) -> None:
    assert "Aucune pour l’instant" in client.get("/").text
    number = label(client)
    page = client.get("/").text
    assert "Léa &lt;b&gt;Durand&lt;/b&gt;" in page
    assert "Le transporteur attend le colis" in page
    assert client.get(f"/labels/{number}.pdf").data == draw_label(number, ASKED)
    assert [each["key"] for each in client.get("/_ledger").get_json()] == ["key-1"]
    assert client.delete("/_ledger").get_json() == client.get("/_ledger").get_json() == []


def test_a_restart_forgets_neither_keys_nor_steps(tmp_path: Path) -> None:
    journal = tmp_path / "carrier.jsonl"
    before = Carrier(journal=journal)
    number = str(before.make("key-1", ASKED)["tracking_number"])
    before.order({"advance": 1})
    with journal.open("ab") as cut:
        cut.write(b'{"tracking_number": "BS0000')
    after = Carrier(journal=journal)
    assert after.make("key-1", ASKED)["tracking_number"] == number
    assert [each["code"] for each in after.labels[number]["events"]] == ["ANNONCE", "PRIS_EN_CHARGE"]
    assert after.make("key-2", ASKED)["tracking_number"] != number


def test_a_mode_lasts_as_long_as_it_was_ordered_for(client: FlaskClient) -> None:
    client.post("/_control", json={"mode": "refuse", "times": 1})
    assert client.post("/labels", json=ASKED, headers={"Idempotency-Key": "key-1"}).status_code == 422
    assert label(client) == "BS000000001FR"


def test_chaos_is_the_same_for_the_same_seed_and_key(carrier: Carrier) -> None:
    keys = [f"key-{number}" for number in range(30)]
    carrier.order({"mode": "chaos", "seed": 1})
    modes = [carrier.next_mode(key) for key in keys]
    assert set(modes) == set(CHAOS)
    assert [carrier.next_mode(key) for key in keys] == modes
    carrier.order({"seed": 2})
    assert [carrier.next_mode(key) for key in keys] != modes


def test_its_control_and_page_answer_while_it_is_down(client: FlaskClient) -> None:
    client.post("/_control", json={"mode": "down"})
    assert client.get("/labels?key=x").status_code == 503
    assert client.get("/").status_code == client.get("/_ledger").status_code == 200
    client.post("/_control", json={"mode": "ok"})
    assert client.get("/labels?key=x").get_json() == {"labels": []}


@pytest.mark.parametrize(
    "wanted",
    [
        [],
        {"mode": "dance"},
        {"fate": "eaten"},
        {"delay": "long"},
        {"step": 0},
        {"seed": "x"},
        {"times": "x"},
        {"advance": 11},
        {"what": 1},
    ],
)
def test_what_there_is_none_of_is_refused(wanted: object, client: FlaskClient) -> None:
    before = client.get("/_control").get_json()
    assert client.post("/_control", json=wanted).status_code == 400
    assert client.get("/_control").get_json() == before


@pytest.mark.parametrize(
    "body", [[], {}, ASKED | {"weight_g": "850"}, ASKED | {"recipient": {"name": "Léa"}}, ASKED | {"recipient": 7}]
)
def test_what_is_no_parcel_is_refused(body: object, client: FlaskClient) -> None:
    assert client.post("/labels", json=body, headers={"Idempotency-Key": "key-1"}).status_code == 422


def test_a_request_without_a_key_is_refused(client: FlaskClient, carrier: Carrier) -> None:
    assert client.post("/labels", json=ASKED).status_code == 422
    assert carrier.labels == {}
