"""What an operator is told: the files that colleagues declare, what is decided, once, whatever dies meanwhile."""

from collections.abc import Iterator
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any

import orjson
import pytest
from sqlalchemy import select

from demo.depanssur_operator import Desk, derived
from tests.conftest import Cast
from tests.depanssur_operator import running
from tests.services.claims.files import NOON, declare, make_cover
from tests.services.operators.events import SECRETS, claim_of, file_of, tell
from webapp import clock
from webapp.extensions import db
from webapp.models.claims import Claim, ClaimStatus
from webapp.models.covers import Cover
from webapp.models.events import EventState
from webapp.models.operator_events import OperatorDelivery
from webapp.models.operators import CoverOperator
from webapp.services import event_engine, outbox
from webapp.services.claims import deciding, working
from webapp.services.operators import connecting, handling, receiving, signing, telling


@pytest.fixture
def connected(cast: Cast) -> Iterator[tuple[Desk, CoverOperator]]:
    with running(cast.admin) as both:
        SECRETS[str(both[1].id)] = derived(both[0].secret, "webhook")
        yield both


@pytest.fixture
def desk(connected: tuple[Desk, CoverOperator]) -> Desk:
    return connected[0]


@pytest.fixture
def operator(connected: tuple[Desk, CoverOperator]) -> CoverOperator:
    return connected[1]


@pytest.fixture
def cover(cast: Cast) -> Cover:
    return make_cover(cast.commercial)


def pass_on(operator: CoverOperator) -> None:
    """What the workers do: the outbox, then the messages."""
    outbox.deliver(operator.organisation_id, at=clock.now() + timedelta(days=1))
    telling.tell_due(operator.organisation_id)


def deliveries() -> list[OperatorDelivery]:
    statement = select(OperatorDelivery).order_by(OperatorDelivery.id)
    return list(db.session.scalars(statement.execution_options(populate_existing=True)))


def heard(desk: Desk) -> list[dict[str, Any]]:
    return [each["event"] for each in desk.heard]


def test_a_file_that_a_colleague_declares_is_told_and_answered(
    cast: Cast, cover: Cover, desk: Desk, operator: CoverOperator
) -> None:
    claim = declare(cover, cast.commercial, words="Fuite", event_time=time(11, 30), at=clock.now())
    pass_on(operator)
    (event,) = heard(desk)
    told = event["data"]["claim"]
    assert (event["type"], told["reference"], told["external_id"]) == ("claim.declared", claim.reference, None)
    assert told["decision"]["outcome"] == "accepted"
    assert (told["decision"]["covered"], told["decision"]["deductible"]) == ("150.00", "50.00")
    assert told["home"]["address_line1"] == "3 rue du Port"
    assert told["client"]["name"] == cover.client.full_name
    answer = desk.waiting.get_nowait()["event"]
    body = orjson.dumps(answer)
    headers = signing.sign([derived(desk.secret, "webhook")], "msg_answer", clock.now(), body)
    receiving.receive(operator.id, headers, body, at=clock.now())
    handling.handle_due(operator.organisation_id)
    db.session.refresh(claim)
    assert (claim.external_id, claim.revision) == (answer["data"]["claim"]["external_id"], 1)
    assert (told["event_time"], answer["data"]["claim"].get("event_time")) == ("11:30", None)
    assert claim.event_at == datetime(2026, 11, 19, 11, 30, tzinfo=clock.PARIS), "the hour that decided stays"
    pass_on(operator)
    assert len(heard(desk)) == 1, "what the operator told us is no news to it"


def test_what_is_decided_is_told_and_nothing_else(
    cast: Cast, cover: Cover, desk: Desk, operator: CoverOperator
) -> None:
    tell(operator, claim_of(cover, trade="glazing"))
    handling.handle_due(operator.organisation_id)
    pass_on(operator)
    claim = file_of()
    deciding.contest(claim.id, reason="Geste", version=None, by=cast.manager, at=clock.now())
    deciding.accept(claim.id, covered=Decimal(100), reason="Geste", version=None, by=cast.manager, at=clock.now())
    pass_on(operator)
    working.start(claim.id, version=None, by=cast.manager, at=clock.now())
    working.close(claim.id, version=None, by=cast.manager, at=clock.now())
    pass_on(operator)
    outcomes = [each["data"]["claim"]["decision"]["outcome"] for each in heard(desk)]
    assert outcomes[0] == "refused"
    assert outcomes[-1] == "accepted"
    assert heard(desk)[-1]["data"]["claim"]["decision"]["sentence"] == "Geste"
    assert {each["type"] for each in heard(desk)} == {"claim.updated"}
    assert {each.state for each in deliveries()} == {EventState.DONE}


def test_what_a_person_accepts_later_goes_where_the_operator_is_already(
    cast: Cast, cover: Cover, operator: CoverOperator
) -> None:
    tell(operator, claim_of(cover, trade="glazing", state="closed"))
    handling.handle_due(operator.organisation_id)
    claim = file_of()
    assert claim.status is ClaimStatus.REFUSED
    deciding.contest(claim.id, reason="Geste", version=None, by=cast.manager, at=clock.now())
    deciding.accept(claim.id, covered=Decimal(100), reason="Geste", version=None, by=cast.manager, at=clock.now())
    pass_on(operator)
    assert file_of().status is ClaimStatus.CLOSED


def test_who_does_not_answer_is_told_again_later(cast: Cast, cover: Cover, desk: Desk, operator: CoverOperator) -> None:
    desk.mode = "down"
    for day in ("2026-11-19", "2026-11-18"):
        declare(cover, cast.commercial, day, at=clock.now())
    pass_on(operator)
    assert {(each.state, each.reason) for each in deliveries()} == {
        (EventState.RECEIVED, "L’opérateur n’est pas disponible (réponse 503).")
    }
    desk.mode = "ok"
    clock.start_at(clock.now() + event_engine.RETRIES[0])
    assert telling.sweep(at=clock.now()) == 0
    assert telling.sweep(at=clock.now() + event_engine.PATIENCE) == 1
    telling.tell_due(operator.organisation_id)
    assert {each.state for each in deliveries()} == {EventState.DONE}
    assert len(heard(desk)) == 2


def test_a_worker_that_dies_after_sending_sends_the_same_id_again(
    cast: Cast, cover: Cover, desk: Desk, operator: CoverOperator, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(cover, cast.commercial, at=clock.now())
    ids: list[str] = []
    verify = desk.verifies

    def note(headers: dict[str, str], body: bytes) -> bool:
        ids.append(headers["webhook-id"])
        return verify(headers, body)

    monkeypatch.setattr(desk, "verifies", note)
    with monkeypatch.context() as dying:
        dying.setattr(telling.ENGINE, "conclude", lambda *_: None)  # what a kill leaves: sent, and not noted
        pass_on(operator)
    clock.start_at(clock.now() + event_engine.LEASE + timedelta(seconds=1))
    telling.sweep(at=clock.now())
    telling.tell_due(operator.organisation_id)
    assert len(ids) == 2
    assert len(set(ids)) == 1
    assert [each.state for each in deliveries()] == [EventState.DONE]


def test_nothing_is_told_of_an_erased_client_nor_without_an_address(
    cast: Cast, cover: Cover, desk: Desk, operator: CoverOperator
) -> None:
    declare(cover, cast.commercial, at=clock.now())
    outbox.deliver(operator.organisation_id, at=clock.now() + timedelta(days=1))
    connecting.set_delivery_url(operator.id, "")
    telling.tell_due(operator.organisation_id)
    (delivery,) = deliveries()
    assert (delivery.state, delivery.reason) == (EventState.FAILED, telling.NO_ADDRESS)
    connecting.set_delivery_url(operator.id, f"{desk.url}/webhooks")
    cover.client.erased_at = NOON
    db.session.commit()
    telling.ENGINE.retry(delivery.id, at=clock.now())
    telling.tell_due(operator.organisation_id)
    assert [(each.state, each.reason) for each in deliveries()] == [(EventState.IGNORED, telling.ERASED)]
    assert heard(desk) == []


def test_without_an_operator_that_listens_nobody_is_told(cast: Cast, cover: Cover) -> None:
    claim = declare(cover, cast.commercial, at=clock.now())
    outbox.deliver(claim.organisation_id, at=clock.now() + timedelta(days=1))
    assert deliveries() == []
    assert db.session.scalars(select(Claim.operator_id)).one() is None
