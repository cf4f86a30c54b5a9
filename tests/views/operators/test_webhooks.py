"""The receiver of operators' events: a signature in the place of a session, and what is wrong told by its field."""

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import orjson
import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from tests import factories
from tests.conftest import Cast
from tests.queries import recorded_statements
from tests.services.claims.files import declare, make_cover
from tests.services.operators.events import SECRETS, claim_of, event_of, make_operator, signed
from webapp import clock, tenancy
from webapp.config import Settings
from webapp.extensions import db
from webapp.factory import create_app
from webapp.models.events import EventState
from webapp.models.operator_events import OperatorEvent
from webapp.models.operators import CoverOperator
from webapp.services.operators import connecting, keys
from webapp.services.operators.connecting import Direction
from webapp.services.operators.contract import BODY_LIMIT
from webapp.views.operators import webhooks

ADDRESS = "/webhooks/depanssur"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def operator(cast: Cast) -> CoverOperator:
    return make_operator(cast.admin)


def post(browser: FlaskClient, operator: CoverOperator, body: bytes, **changed: str) -> TestResponse:
    headers = JSON | signed(operator, body) | {name.replace("_", "-"): value for name, value in changed.items()}
    return browser.post(f"{ADDRESS}/{operator.id}", data=body, headers=headers)


def tell(browser: FlaskClient, operator: CoverOperator, claim: dict[str, Any], kind: str | None = None) -> TestResponse:
    return post(browser, operator, orjson.dumps(event_of(claim, kind)))


def events() -> list[OperatorEvent]:
    return list(db.session.scalars(select(OperatorEvent).order_by(OperatorEvent.id)))


def problem_of(answer: TestResponse) -> tuple[int, str | None]:
    assert answer.mimetype == "application/problem+json"
    told: dict[str, Any] = json.loads(answer.data)
    assert told["status"] == answer.status_code
    assert told["detail"]
    return told["status"], told.get("field")


def test_a_signed_event_is_kept_sealed_and_answered_with_a_receipt(
    stranger: FlaskClient, operator: CoverOperator
) -> None:
    body = orjson.dumps(event_of(claim_of("V-12")))
    answer = post(stranger, operator, body)
    (event,) = events()
    assert (answer.status_code, answer.get_json()) == (202, {"receipt": str(event.id), "repeated": False})
    assert (event.type, event.external_id, event.revision) == ("claim.declared", "OP-1", 1)
    assert event.body_in_clear() == body
    assert b"OP-1" not in (event.body or b"")
    assert "Set-Cookie" not in answer.headers


def test_a_repeated_id_is_taken_and_does_nothing(stranger: FlaskClient, operator: CoverOperator) -> None:
    bodies = [orjson.dumps(event_of(claim_of("V-12", revision))) for revision in (1, 2)]
    first, second = (
        stranger.post(f"{ADDRESS}/{operator.id}", data=body, headers=JSON | signed(operator, body, message_id="msg_1"))
        for body in bodies
    )
    (event,) = events()
    assert second.status_code == 202
    assert second.get_json() == {"receipt": first.get_json()["receipt"], "repeated": True}
    assert event.revision == 1


def test_it_costs_two_statements(stranger: FlaskClient, operator: CoverOperator) -> None:
    tell(stranger, operator, claim_of("V-12"))
    body, address = orjson.dumps(event_of(claim_of("V-12", 2))), f"{ADDRESS}/{operator.id}"
    headers = JSON | signed(operator, body)
    with recorded_statements() as statements:
        assert stranger.post(address, data=body, headers=headers).status_code == 202
    assert [each.split()[0] for each in statements if "SAVEPOINT" not in each] == ["SELECT", "INSERT"]


def test_who_is_not_known_is_told_no_more_than_who_signs_wrongly(
    stranger: FlaskClient, cast: Cast, operator: CoverOperator
) -> None:
    body = orjson.dumps(event_of(claim_of("V-12")))
    unknown = stranger.post(f"{ADDRESS}/{uuid4()}", data=body, headers=JSON | signed(operator, body))
    wrong = post(stranger, operator, body, webhook_signature="v1,AAAA")
    other = keys.add_operator("Sans secret", by=cast.admin, at=clock.now()).operator
    without = stranger.post(f"{ADDRESS}/{other.id}", data=body, headers=JSON | signed(operator, body))
    assert unknown.data == wrong.data == without.data
    assert problem_of(unknown) == (401, "webhook-signature")
    keys.revoke(operator.id, at=clock.now())
    assert problem_of(post(stranger, operator, body)) == (401, "webhook-signature")
    assert events() == []


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"webhook_id": ""}, "webhook-id"),
        ({"webhook_id": "x" * 201}, "webhook-id"),
        ({"webhook_id": "msg_other"}, "webhook-signature"),
        ({"webhook_timestamp": "now"}, "webhook-timestamp"),
        ({"webhook_timestamp": "99999999999"}, "webhook-timestamp"),
        ({"webhook_signature": ""}, "webhook-signature"),
    ],
)
def test_what_is_not_signed_is_refused(
    stranger: FlaskClient, operator: CoverOperator, changed: dict[str, str], field: str
) -> None:
    body = orjson.dumps(event_of(claim_of("V-12")))
    assert problem_of(post(stranger, operator, body, **changed)) == (401, field)
    assert events() == []


@pytest.mark.parametrize(("seconds", "status"), [(-301, 401), (-299, 202), (298, 202), (302, 401)])
def test_what_was_recorded_is_not_told_again_later(
    stranger: FlaskClient, operator: CoverOperator, seconds: int, status: int
) -> None:
    body = orjson.dumps(event_of(claim_of("V-12")))
    headers = JSON | signed(operator, body, at=clock.now() + timedelta(seconds=seconds))
    assert stranger.post(f"{ADDRESS}/{operator.id}", data=body, headers=headers).status_code == status


def test_while_a_secret_is_changed_both_hold(stranger: FlaskClient, operator: CoverOperator) -> None:
    old = SECRETS[str(operator.id)]
    made = connecting.new_secret(operator.id, Direction.THEIRS, seen=operator.secrets_changed_at, at=clock.now())
    assert tell(stranger, operator, claim_of("V-12", 1)).status_code == 202
    connecting.end_old_secrets(operator.id, Direction.THEIRS, seen=operator.secrets_changed_at, at=clock.now())
    assert tell(stranger, operator, claim_of("V-12", 2)).status_code == 401
    SECRETS[str(operator.id)] = made.secret
    assert old != made.secret
    assert tell(stranger, operator, claim_of("V-12", 3)).status_code == 202


def test_who_sends_too_fast_is_slowed_down_for_a_minute(
    stranger: FlaskClient, operator: CoverOperator, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.start_at(clock.now() + timedelta(hours=1))
    monkeypatch.setattr(webhooks, "MOST", 2)
    answers = [tell(stranger, operator, claim_of("V-12", revision)) for revision in (1, 2, 3)]
    assert [each.status_code for each in answers] == [202, 202, 429]
    assert answers[-1].headers["Retry-After"] == "60"
    clock.start_at(clock.now() + timedelta(minutes=1))
    assert tell(stranger, operator, claim_of("V-12", 3)).status_code == 202


def test_other_bodies_are_refused_before_they_are_read(stranger: FlaskClient, operator: CoverOperator) -> None:
    body = orjson.dumps(event_of(claim_of("V-12")))
    assert problem_of(post(stranger, operator, body, Content_Type="text/plain")) == (415, "content-type")
    assert problem_of(post(stranger, operator, b"x" * (BODY_LIMIT + 1))) == (413, "body")
    assert events() == []


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"external_id": ""}, "external_id"),
    ({"external_id": "x" * 101}, "external_id"),
    ({"external_id": "a\0b"}, "external_id"),
    ({"external_id": 12}, "external_id"),
    ({"revision": 0}, "revision"),
    ({"revision": True}, "revision"),
    ({"revision": 1.5}, "revision"),
    ({"revision": 2**31}, "revision"),
    ({"cover": "S-12"}, "cover"),
    ({"cover": None}, "cover"),
    ({"state": "open"}, "state"),
    ({"trade": "roofing"}, "trade"),
    ({"event_on": "2026-11-21"}, "event_on"),
    ({"event_on": "2025-02-29"}, "event_on"),
    ({"event_on": "20261119"}, "event_on"),
    ({"event_on": "1999-12-31"}, "event_on"),
    ({"declared_on": "2026-11-18"}, "declared_on"),
    ({"event_on": "2026-11-20", "declared_on": "2026-11-20", "event_time": "23:59"}, "event_time"),
    ({"event_time": "24:00"}, "event_time"),
    ({"asked": "-1.00"}, "asked"),
    ({"asked": "1000000.01"}, "asked"),
    ({"asked": "10.001"}, "asked"),
    ({"asked": "NaN"}, "asked"),
    ({"asked": 10}, "asked"),
    ({"words": "x" * 5001}, "words"),
    ({"words": ["x"]}, "words"),
    ({"words": "a\0b"}, "words"),
    ({"interventions": {}}, "interventions"),
    ({"interventions": [{"external_id": "v"}]}, "interventions[0].scheduled_at"),
    ({"interventions": [{"external_id": "v", "done_at": "2026-11-20T10:00:00"}]}, "interventions[0].done_at"),
    ({"interventions": [{"external_id": "v", "done_at": "2027-01-01T10:00:00Z"}]}, "interventions[0].done_at"),
    ({"interventions": [{"external_id": "v", "done_at": "2026-11-19T10:00:00Z"}] * 2}, "interventions"),
    ({"documents": [{"external_id": "d", "name": "a.pdf", "url": "file:///etc/passwd"}]}, "documents[0].url"),
    ({"documents": ["x"]}, "documents[0]"),
    ({"satisfaction": {"score": 11, "answered_at": "2026-11-20T08:00:00Z"}}, "satisfaction.score"),
    ({"satisfaction": {"score": 5}}, "satisfaction.answered_at"),
    ({"reference": "DEP-2026-999999"}, "reference"),
    ({"state": "closed", "asked": None}, "asked"),
]


@pytest.mark.parametrize(("wrong", "field"), WRONG)
def test_what_makes_no_sense_is_refused_with_its_field(
    stranger: FlaskClient, operator: CoverOperator, wrong: dict[str, Any], field: str
) -> None:
    assert problem_of(tell(stranger, operator, claim_of("V-12", **wrong))) == (422, f"data.claim.{field}")
    assert events() == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"[]", "body"),
        (b"{", "body"),
        (b'"\\ud800"', "body"),
        (b"\xff{}", "body"),
        (b"{}", "version"),
        (b'{"version": "2"}', "version"),
        (b'{"version": "1", "type": "claim.lost"}', "type"),
        (b'{"version": "1", "type": "claim.closed", "data": []}', "data"),
        (b'{"version": "1", "type": "claim.closed", "data": {"claim": null}}', "data.claim"),
        (b"[" * 100_000, "body"),
    ],
)
def test_what_is_no_event_is_refused(stranger: FlaskClient, operator: CoverOperator, body: bytes, field: str) -> None:
    assert problem_of(post(stranger, operator, body)) == (422, field)


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("claim.closed", "state"),
        ("claim.canceled", "state"),
        ("claim.reopened", "state"),
        ("intervention.scheduled", "interventions"),
        ("intervention.done", "interventions"),
        ("document.added", "documents"),
        ("satisfaction.answered", "satisfaction"),
    ],
)
def test_the_type_and_the_claim_say_the_same(
    stranger: FlaskClient, operator: CoverOperator, kind: str, field: str
) -> None:
    assert problem_of(tell(stranger, operator, claim_of("V-12"), kind)) == (422, f"data.claim.{field}")


def test_a_file_of_somebody_else_is_one_that_is_not_there(
    stranger: FlaskClient, cast: Cast, operator: CoverOperator
) -> None:
    claim = declare(make_cover(cast.commercial), cast.commercial)
    claim.operator_id = make_operator(cast.admin, "Autre").id
    db.session.commit()
    theirs = tell(stranger, operator, claim_of("V-12", reference=claim.reference))
    nobodys = tell(stranger, operator, claim_of("V-12", reference="DEP-2026-999999"))
    assert theirs.data == nobodys.data
    assert problem_of(theirs) == (422, "data.claim.reference")


def test_it_is_kept_while_redis_is_away_and_told_while_postgresql_is(
    settings: Settings, committed: None, stranger: FlaskClient
) -> None:
    operator = make_operator(factories.make_cast(Cast).admin)
    organisation_id = operator.organisation_id
    db.session.commit()
    body, address = orjson.dumps(event_of(claim_of("V-12"))), f"{ADDRESS}/{operator.id}"

    def told_by(**changed: str) -> TestResponse:
        receiver = create_app(settings.model_copy(update=changed))  # its clock is the wall's
        answer = receiver.test_client().post(address, data=body, headers=JSON | signed(operator, body))
        with receiver.app_context():
            db.engine.dispose()
        return answer

    try:
        assert told_by(redis_url="redis://127.0.0.1:9/0").status_code == 202
        away = told_by(database_url="postgresql+psycopg://crm_app@127.0.0.1:9/crm")
    finally:
        create_app(settings)  # the process's keys, clock and queue are the tests' again
    assert problem_of(away) == (503, None)
    assert away.headers["Retry-After"] == "30"
    with tenancy.organisation(organisation_id):
        (event,) = events()
    assert event.state is EventState.RECEIVED
