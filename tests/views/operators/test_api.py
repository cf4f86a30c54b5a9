"""What operators ask by their key: whether something is covered, and how a claim stands."""

import hashlib
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.conftest import Cast
from tests.services.claims.files import declare, make_cover
from webapp import clock
from webapp.extensions import db
from webapp.models.covers import Cover
from webapp.models.operators import CoverOperator
from webapp.services.operators import keys
from webapp.views.operators.openapi import document

COVERS, CLAIMS = "/api/depanssur/v1/covers", "/api/depanssur/v1/claims"
GUIDE = Path(__file__).parents[3] / "docs" / "depanssur-api.md"


@pytest.fixture
def cover(cast: Cast) -> Cover:
    return make_cover(cast.commercial)


@pytest.fixture
def key(cast: Cast) -> str:
    made = keys.add_operator("Standard de Lille", by=cast.admin, at=clock.now())
    db.session.commit()
    return made.key


def ask(browser: FlaskClient, path: str, key: str | None, **query: Any) -> TestResponse:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return browser.get(path, query_string=query, headers=headers)


def problem_of(answer: TestResponse) -> dict[str, Any]:
    assert answer.mimetype == "application/problem+json"
    told: dict[str, Any] = json.loads(answer.data)
    assert told["status"] == answer.status_code
    return told


def test_a_phone_desk_learns_whether_something_is_covered(stranger: FlaskClient, cover: Cover, key: str) -> None:
    answer = ask(stranger, COVERS, key, reference=cover.code.lower(), trade="plumbing", on="2026-11-20")
    assert answer.status_code == 200
    told = answer.get_json()
    assert (told["reference"], told["covered"], told["outcome"]) == (cover.code, True, "accepted")
    assert (told["deductible"], told["up_to"]) == ("50.00", "500.00")
    assert told["left"] == {"claims": 3, "amount": "1200.00", "option_amount": None}
    assert told["lines"][0]["step"] == "in_force"


def test_it_learns_why_something_is_not(stranger: FlaskClient, cover: Cover, key: str) -> None:
    told = ask(stranger, COVERS, key, reference=cover.code, trade="glazing").get_json()
    assert (told["covered"], told["reason"]["step"], told["deductible"]) == (False, "trade", None)
    assert "n’est couvert ni par la formule" in told["reason"]["sentence"]


def test_it_learns_how_a_claim_stands(stranger: FlaskClient, cast: Cast, cover: Cover, key: str) -> None:
    claim = declare(cover, cast.commercial, "2026-11-20")
    told = ask(stranger, f"{CLAIMS}/{claim.reference.lower()}", key).get_json()
    assert (told["reference"], told["status"], told["trade"]) == (claim.reference, claim.status, claim.trade)
    assert problem_of(ask(stranger, f"{CLAIMS}/DEP-2026-999999", key))["status"] == 404


def test_a_claim_is_found_by_the_operators_own_number(
    stranger: FlaskClient, cast: Cast, cover: Cover, key: str
) -> None:
    claim = declare(cover, cast.commercial, "2026-11-20")
    claim.operator_id, claim.external_id = keys.find_operator(key, at=clock.now()).id, "OP-é/1"
    db.session.commit()
    assert ask(stranger, f"{CLAIMS}/OP-é%2F1", key).status_code == 404, "a path has no slashes"
    claim.external_id = "OP-1"
    db.session.commit()
    assert ask(stranger, f"{CLAIMS}/OP-1", key).get_json()["reference"] == claim.reference
    other = keys.add_operator("Autre", by=cast.admin, at=clock.now())
    assert ask(stranger, f"{CLAIMS}/OP-1", other.key).status_code == 404


def test_the_file_of_another_operator_is_not_there(stranger: FlaskClient, cast: Cast, cover: Cover, key: str) -> None:
    claim = declare(cover, cast.commercial, "2026-11-20")
    other = keys.add_operator("Standard de Lyon", by=cast.admin, at=clock.now()).key
    claim.operator_id, claim.external_id = keys.find_operator(key, at=clock.now()).id, "OP-1"
    db.session.commit()
    assert ask(stranger, f"{CLAIMS}/{claim.reference}", key).status_code == 200
    assert problem_of(ask(stranger, f"{CLAIMS}/{claim.reference}", other))["status"] == 404


def test_nothing_of_the_person_is_told(stranger: FlaskClient, cast: Cast, cover: Cover, key: str) -> None:
    claim = declare(cover, cast.commercial, "2026-11-20")
    told = ask(stranger, COVERS, key, reference=cover.code, trade="plumbing").text
    told += ask(stranger, f"{CLAIMS}/{claim.reference}", key).text
    for word in (cover.client.last_name, cover.homes[0].home.address_line1, cover.homes[0].home.postcode):
        assert word
        assert word not in told


@pytest.mark.parametrize("wrong", [None, "", "dep_inconnue", "Basic x"])
def test_without_a_key_nothing_is_told(stranger: FlaskClient, cover: Cover, wrong: str | None) -> None:
    for path in (COVERS, f"{CLAIMS}/DEP-2026-000001"):
        refused = ask(stranger, path, wrong, reference=cover.code, trade="plumbing")
        assert problem_of(refused)["status"] == 401
        assert refused.headers["WWW-Authenticate"] == "Bearer"


def test_a_revoked_key_opens_nothing(stranger: FlaskClient, cover: Cover, key: str) -> None:
    (operator,) = keys.list_operators()
    keys.revoke(operator.id, at=clock.now())
    db.session.commit()
    assert ask(stranger, COVERS, key, reference=cover.code, trade="plumbing").status_code == 401


def test_another_organisations_operator_finds_nothing_of_ours(
    stranger: FlaskClient, cast: Cast, cover: Cover, key: str, outsider_client: FlaskClient
) -> None:
    claim = declare(cover, cast.commercial, "2026-11-20")
    page = outsider_client.post("/couvertures/operateurs", data={"nom": "Ailleurs"}).text
    theirs = re.search(r"dep_[\w-]{43}", page)
    assert theirs
    assert ask(stranger, COVERS, theirs[0], reference=cover.code, trade="plumbing").status_code == 404
    assert ask(stranger, f"{CLAIMS}/{claim.reference}", theirs[0]).status_code == 404
    assert ask(stranger, COVERS, key, reference=cover.code, trade="plumbing").status_code == 200


@pytest.mark.parametrize(
    ("query", "field", "status"),
    [
        ({"trade": "plumbing"}, "reference", 422),
        ({"reference": "V-1" * 40, "trade": "plumbing"}, "reference", 422),
        ({"reference": "V-1"}, "trade", 422),
        ({"reference": "V-1", "trade": "toiture"}, "trade", 422),
        ({"reference": "V-1", "trade": "plumbing", "on": "2026-02-30"}, "on", 422),
        ({"reference": "V-999999999999", "trade": "plumbing"}, None, 404),
        ({"reference": "V-99999999999999999999", "trade": "plumbing"}, None, 404),
        ({"reference": "S-1", "trade": "plumbing"}, None, 404),
        ({"reference": "<b>", "trade": "plumbing"}, None, 404),
    ],
)
def test_a_question_without_sense_is_told_with_its_field(
    stranger: FlaskClient, key: str, query: dict[str, str], field: str | None, status: int
) -> None:
    told = problem_of(ask(stranger, COVERS, key, **query))
    assert (told["status"], told.get("field")) == (status, field)


def test_only_a_hash_of_the_key_is_kept(cast: Cast, key: str) -> None:
    operator = db.session.query(CoverOperator).one()
    assert operator.key_hash == hashlib.sha256(key.encode()).digest()
    assert operator.key_start == key[:10]


def test_when_an_operator_last_asked_is_kept_to_the_minute(stranger: FlaskClient, cover: Cover, key: str) -> None:
    query = {"reference": cover.code, "trade": "plumbing"}
    ask(stranger, COVERS, key, **query)
    first = db.session.query(CoverOperator).one().last_asked_at
    assert first is not None
    ask(stranger, COVERS, key, **query)
    db.session.expire_all()
    assert db.session.query(CoverOperator).one().last_asked_at == first
    clock.start_at(first + timedelta(minutes=2))
    ask(stranger, COVERS, key, **query)
    db.session.expire_all()
    assert db.session.query(CoverOperator).one().last_asked_at > first


def test_answers_have_the_fields_of_the_contract(stranger: FlaskClient, cast: Cast, cover: Cover, key: str) -> None:
    schemas = stranger.get("/api/depanssur/v1/openapi.json").get_json()["components"]["schemas"]
    claim = declare(cover, cast.commercial, "2026-11-20")
    told = ask(stranger, COVERS, key, reference=cover.code, trade="plumbing").get_json()
    assert told.keys() == set(schemas["Cover"]["required"])
    assert told["left"].keys() == set(schemas["Cover"]["properties"]["left"]["required"])
    assert ask(stranger, f"{CLAIMS}/{claim.reference}", key).get_json().keys() == set(schemas["Claim"]["required"])


def test_the_guide_names_every_field_and_path() -> None:
    guide = GUIDE.read_text(encoding="utf-8")
    contract = document("")
    for path in contract["paths"]:
        assert path in guide
    for schema in ("Cover", "Claim"):
        for field in contract["components"]["schemas"][schema]["required"]:
            assert f"`{field}`" in guide, field
