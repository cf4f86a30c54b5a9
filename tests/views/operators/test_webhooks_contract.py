"""The contract of the webhooks holds: what it allows is taken or told what is wrong, what we tell is what it says."""

import json
import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import jsonschema_rs
import orjson
import pytest
import schemathesis
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, given, settings

from demo import depanssur_client
from tests.conftest import Cast
from tests.examples import some
from tests.services.claims.files import declare, make_cover
from tests.services.operators.events import claim_of, event_of, make_operator, signed
from webapp import clock
from webapp.models.base import new_id
from webapp.models.operator_events import OperatorDelivery
from webapp.models.operators import CoverOperator
from webapp.services.operators import telling
from webapp.services.operators.contract import EventType
from webapp.views.operators.webhooks_openapi import REFUSALS, TOLD_HERE, document

ADDRESS = "/webhooks/depanssur"
GUIDE = Path(__file__).parents[3] / "docs" / "depanssur-webhooks.md"
DOCUMENT = document("http://localhost")
OPERATION = schemathesis.openapi.from_dict(DOCUMENT)["/{operator}"]["POST"]
WHOLE: dict[str, Any] = {
    "reference": None,
    "event_time": "08:30",
    "interventions": [{"external_id": "v1", "scheduled_at": "2026-11-21T09:00:00+01:00", "done_at": None}],
    "documents": [{"external_id": "d1", "name": "Photo.jpg", "url": "https://example.org/photo.jpg"}],
    "satisfaction": {"score": 10, "answered_at": "2026-11-20T08:00:00Z", "comment": ""},
}


def check(name: str, content: Any) -> None:
    """It is as the schema of that name says. Raises jsonschema_rs.ValidationError."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    jsonschema_rs.Draft202012Validator(schema, validate_formats=True).validate(content)


def undescribed(schema: dict[str, Any], place: str) -> list[str]:
    """The fields of an object, and of those within, of which nothing is said."""
    found = []
    for name, field in schema.get("properties", {}).items():
        if not field.keys() & {"description", "$ref", "const"}:
            found.append(f"{place}.{name}")
        for within in (field, *field.get("oneOf", ())):
            found += undescribed(within, f"{place}.{name}")
    return found


def test_every_field_is_explained() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert [place for name, schema in schemas.items() for place in undescribed(schema, name)] == []


@pytest.fixture
def operator(cast: Cast) -> CoverOperator:
    return make_operator(cast.admin)


@settings(
    max_examples=some(100),
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(case=OPERATION.as_strategy())
def test_whatever_the_contract_allows_is_taken_or_told_what_is_wrong(
    stranger: FlaskClient, operator: CoverOperator, case: schemathesis.Case
) -> None:
    body = json.dumps(case.body).encode()
    headers = {"Content-Type": "application/json"} | signed(operator, body)
    answer = stranger.post(f"{ADDRESS}/{operator.id}", data=body, headers=headers)
    assert answer.status_code in (202, 422), answer.text
    check("Receipt" if answer.status_code == 202 else "Problem", answer.get_json(force=True))


def test_what_is_taken_is_what_the_contract_allows(stranger: FlaskClient, operator: CoverOperator) -> None:
    for revision, kind in enumerate(EventType, start=1):
        state = {"claim.closed": "closed", "claim.canceled": "canceled"}.get(kind, "in_progress")
        done = [WHOLE["interventions"][0] | {"done_at": "2026-11-20T08:00:00Z"}]
        event = event_of(claim_of("V-12", revision, state=state, **(WHOLE | {"interventions": done})), kind)
        check("Event", event)
        body = orjson.dumps(event)
        headers = {"Content-Type": "application/json"} | signed(operator, body)
        assert stranger.post(f"{ADDRESS}/{operator.id}", data=body, headers=headers).status_code == 202


def test_what_we_tell_is_what_the_contract_says(cast: Cast, operator: CoverOperator) -> None:
    claim = declare(make_cover(cast.commercial), cast.commercial)
    for kind in TOLD_HERE:
        delivery = OperatorDelivery(id=new_id(), operator_id=operator.id, claim_id=claim.id, type=kind.value)
        delivery.received_at = clock.now()
        check("FileEvent", orjson.loads(orjson.dumps(telling.envelope(delivery, claim))))


def test_the_example_client_speaks_it() -> None:
    check("Event", depanssur_client.burst_pipe("V-12", on=clock.today()))


def test_it_is_served_to_everybody(stranger: FlaskClient) -> None:
    assert stranger.get(f"{ADDRESS}/openapi.json").get_json() == DOCUMENT
    assert stranger.post(f"{ADDRESS}/{uuid4()}").status_code == 415


def test_the_guide_names_every_field_type_and_answer() -> None:
    guide = GUIDE.read_text(encoding="utf-8")
    for schema in DOCUMENT["components"]["schemas"].values():
        for field in schema["properties"]:
            assert f"`{field}`" in guide, field
    for word in (*EventType, *map(str, REFUSALS), "webhook-id", "webhook-timestamp", "webhook-signature"):
        assert f"`{word}`" in guide, word


def test_the_guides_examples_are_of_the_contract() -> None:
    examples = re.findall(r"```json\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(examples) == 2
    check("Event", orjson.loads(examples[0]))
    check("FileEvent", orjson.loads(examples[1]))
