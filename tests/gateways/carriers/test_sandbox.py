"""The gateway to the pretend carrier, against demo/carrier.py and against answers that make no sense."""

import threading
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from demo.carrier import Carrier
from tests.gateways.carriers.conftest import RECIPIENT, MakeRequest
from tests.gateways.messaging.canned import Canned
from tests.gateways.messaging.conftest import nowhere
from webapp.gateways.carriers.protocol import (
    LARGEST_LABEL,
    CarrierRejectedError,
    CarrierUnreachableError,
    LabelState,
)
from webapp.gateways.carriers.sandbox import Sandbox
from webapp.models.carriers import LabelFormat, TrackedStatus

PDF = b"%PDF-1.7\nx\n%%EOF\n"


def sandbox_at(url: str, *, patience: float = 10.0) -> Sandbox:
    """The gateway, as patient as a busy machine needs, unless its answer is to come too late."""
    return Sandbox(url=url, service="standard", longest_delay=timedelta(seconds=1), patience=patience)


@pytest.fixture
def carrier(pretend: tuple[Carrier, str]) -> Carrier:
    return pretend[0]


@pytest.fixture
def sandbox(pretend: tuple[Carrier, str]) -> Iterator[Sandbox]:
    sandbox = sandbox_at(pretend[1])
    yield sandbox
    sandbox.close()


@pytest.fixture
def elsewhere(canned: Canned) -> Iterator[Sandbox]:
    """The gateway, at a carrier that answers whatever a test wants."""
    sandbox = sandbox_at(canned.url)
    yield sandbox
    sandbox.close()


def test_a_label_is_a_pdf_with_a_number(sandbox: Sandbox, carrier: Carrier, make_request: MakeRequest) -> None:
    made = sandbox.create_label(make_request(), "key-1")
    assert (made.state, made.tracking_number) == (LabelState.LABELLED, "BS000000001FR")
    assert (made.label or b"").startswith(b"%PDF-")
    asked = carrier.labels["BS000000001FR"]["asked"]
    assert (asked["recipient"]["name"], asked["weight_g"], asked["service"]) == ("Léa Durand", 850, "standard")
    assert asked["deposit_on"] == "2026-11-20"


def test_a_key_is_honoured(sandbox: Sandbox, carrier: Carrier, make_request: MakeRequest) -> None:
    first = sandbox.create_label(make_request(), "key-1")
    assert sandbox.create_label(make_request(), "key-1") == first
    assert sandbox.create_label(make_request(), "key-2") != first
    assert len(carrier.labels) == 2


def test_sixteen_at_once_get_one_label_each(sandbox: Sandbox, carrier: Carrier, make_request: MakeRequest) -> None:
    threads = [
        threading.Thread(target=sandbox.create_label, args=(make_request(), f"key-{number % 8}"))
        for number in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(carrier.by_key) == sorted(f"key-{number}" for number in range(8))
    assert len(carrier.labels) == 8


@pytest.mark.parametrize(
    ("mode", "became"),
    [
        ("refuse", (LabelState.REFUSED, 0)),
        ("error", (LabelState.UNKNOWN, 0)),
        ("drop", (LabelState.UNKNOWN, 0)),
        ("down", (LabelState.UNKNOWN, 0)),
        ("timeout", (LabelState.UNKNOWN, 1)),
        ("no_pdf", (LabelState.REFUSED, 1)),
        ("heavy", (LabelState.REFUSED, 1)),
    ],
)
def test_what_goes_wrong_is_told_and_never_raised(
    sandbox: Sandbox, carrier: Carrier, make_request: MakeRequest, mode: str, became: tuple[LabelState, int]
) -> None:
    carrier.order({"mode": mode, "delay": 0.1})
    outcome = sandbox.create_label(make_request(), "key-1")
    assert (outcome.state, len(carrier.labels)) == became
    assert outcome.label is None
    assert outcome.message


def test_an_answer_that_comes_too_late_is_unknown(
    sandbox: Sandbox, carrier: Carrier, pretend: tuple[Carrier, str], make_request: MakeRequest
) -> None:
    carrier.order({"mode": "slow", "delay": 0.5, "times": 1})
    impatient = sandbox_at(pretend[1], patience=0.2)
    outcome = impatient.create_label(make_request(), "key-1")
    impatient.close()
    assert (outcome.state, outcome.label) == (LabelState.UNKNOWN, None)
    assert outcome.message
    assert sandbox.create_label(make_request(), "key-1").state is LabelState.LABELLED
    assert len(carrier.labels) == 1


def test_a_lost_label_is_found_by_its_key(sandbox: Sandbox, carrier: Carrier, make_request: MakeRequest) -> None:
    assert sandbox.find_label("key-1") is None
    carrier.order({"mode": "timeout", "delay": 0.1, "times": 1})
    assert sandbox.create_label(make_request(), "key-1").state is LabelState.UNKNOWN
    found = sandbox.find_label("key-1")
    assert found is not None
    assert (found.state, found.tracking_number) == (LabelState.LABELLED, "BS000000001FR")
    assert sandbox.create_label(make_request(), "key-1") == found


@pytest.mark.parametrize("size", list(LabelFormat))
def test_labels_are_of_the_paper_that_was_asked_for(
    sandbox: Sandbox, make_request: MakeRequest, size: LabelFormat
) -> None:
    made = sandbox.create_label(make_request(label_format=size), "key-1")
    width = {LabelFormat.SMALL: b"283.46", LabelFormat.A4: b"595.27"}[size]
    assert b"/MediaBox [0 0 " + width in (made.label or b"")


@pytest.mark.parametrize("wrong", [{"weight_g": 0}, {"weight_g": 30_001}, {"recipient": replace(RECIPIENT, town="")}])
def test_what_cannot_be_carried_is_refused(sandbox: Sandbox, make_request: MakeRequest, wrong: dict[str, Any]) -> None:
    assert sandbox.create_label(make_request(**wrong), "key-1").state is LabelState.REFUSED


def test_a_name_that_cannot_be_written_down_is_refused(sandbox: Sandbox, make_request: MakeRequest) -> None:
    broken = make_request(recipient=replace(RECIPIENT, name="L\ud800a"))
    assert sandbox.create_label(broken, "key-1").state is LabelState.REFUSED


def test_a_carrier_that_is_not_there_has_labelled_nothing(make_request: MakeRequest) -> None:
    outcome = sandbox_at(nowhere()).create_label(make_request(), "key-1")
    assert (outcome.state, outcome.is_general) == (LabelState.REFUSED, True)
    with pytest.raises(CarrierUnreachableError):
        sandbox_at(nowhere()).find_label("key-1")


def test_a_label_is_called_off_until_the_parcel_has_left(
    sandbox: Sandbox, carrier: Carrier, make_request: MakeRequest
) -> None:
    numbers = [sandbox.create_label(make_request(), key).tracking_number or "" for key in ("key-1", "key-2")]
    sandbox.cancel(numbers[0])
    sandbox.cancel(numbers[0])
    carrier.order({"advance": 1})
    with pytest.raises(CarrierRejectedError, match="déjà pris en charge"):
        sandbox.cancel(numbers[1])
    with pytest.raises(CarrierRejectedError, match="inconnu"):
        sandbox.cancel("BS000000009FR")
    assert [label["canceled"] for label in carrier.labels.values()] == [True, False]


def test_tracking_advances_to_the_end(sandbox: Sandbox, carrier: Carrier, make_request: MakeRequest) -> None:
    carrier.order({"fate": "returned"})
    number = sandbox.create_label(make_request(), "key-1").tracking_number or ""

    def statuses() -> list[TrackedStatus | None]:
        return [event.status for event in sandbox.track([number])[number].events]

    assert statuses() == [TrackedStatus.ANNOUNCED]
    carrier.order({"advance": 2})
    assert statuses()[1:] == [TrackedStatus.IN_TRANSIT] * 2
    seen = sandbox.track([number])[number].events
    carrier.order({"advance": 9})
    assert statuses()[-1] is TrackedStatus.RETURNED
    assert sandbox.track([number])[number].events[:3] == seen


def test_a_number_that_the_carrier_does_not_know_is_told_so(sandbox: Sandbox) -> None:
    assert sandbox.track(["BS000000009FR"])["BS000000009FR"].fault


def test_a_carrier_that_answers_is_well(sandbox: Sandbox, carrier: Carrier) -> None:
    assert sandbox.fault() is None
    carrier.order({"mode": "down"})
    assert (sandbox.fault() or "").startswith("Le transporteur fictif ne répond pas")


def label(**changes: Any) -> dict[str, Any]:
    return {"tracking_number": "BS1", "label": b64encode(PDF).decode()} | changes


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"<html>welcome</html>"),
        (200, []),
        (200, {}),
        (200, None),
        (200, label(tracking_number=7)),
        (200, label(tracking_number="")),
        (200, label(tracking_number="A" * 36)),
        (200, label(tracking_number="é")),
        (200, label(label="%%%")),
        (200, label(label=None)),
        (302, b"<html>"),
        (400, b""),
        (500, b"<html>" + b"x" * 5000),
    ],
)
def test_an_answer_that_makes_no_sense_is_unknown(
    elsewhere: Sandbox, canned: Canned, make_request: MakeRequest, status: int, body: Any
) -> None:
    canned.answers(status, body, Location=f"{canned.url}/elsewhere")
    outcome = elsewhere.create_label(make_request(), "key-1")
    assert outcome.state is LabelState.UNKNOWN
    assert len(outcome.message or "") <= 500
    assert len(canned.requests) == 1


def test_an_answer_without_end_is_given_up(elsewhere: Sandbox, canned: Canned, make_request: MakeRequest) -> None:
    canned.answers(200, b'"' + b"x" * 9_000_000 + b'"')
    assert elsewhere.create_label(make_request(), "key-1").state is LabelState.UNKNOWN


def test_an_answer_that_is_cut_is_unknown(elsewhere: Sandbox, canned: Canned, make_request: MakeRequest) -> None:
    canned.hangs_up = True
    assert elsewhere.create_label(make_request(), "key-1").state is LabelState.UNKNOWN


@pytest.mark.parametrize("content", [b"", b"GIF89a", PDF[:12], PDF + b" " * LARGEST_LABEL + b"%%EOF"])
def test_a_label_that_cannot_be_printed_is_refused_and_not_kept(
    elsewhere: Sandbox, canned: Canned, make_request: MakeRequest, content: bytes
) -> None:
    canned.answers(200, label(label=b64encode(content).decode()))
    outcome = elsewhere.create_label(make_request(), "key-1")
    assert (outcome.state, outcome.tracking_number, outcome.label) == (LabelState.REFUSED, "BS1", None)


def test_too_many_calls_are_nothing_of_the_parcels(
    elsewhere: Sandbox, canned: Canned, make_request: MakeRequest
) -> None:
    canned.answers(429, {"message": "Trop\nd’appels"})
    outcome = elsewhere.create_label(make_request(), "key-1")
    assert (outcome.state, outcome.is_general, outcome.message) == (LabelState.REFUSED, True, "Trop d’appels")


@pytest.mark.parametrize("body", [b"", [], {"parcels": [{}]}, {"parcels": [{"tracking_number": "A", "events": [{}]}]}])
def test_tracking_that_makes_no_sense_is_no_answer(elsewhere: Sandbox, canned: Canned, body: Any) -> None:
    canned.answers(200, body)
    with pytest.raises(CarrierUnreachableError):
        elsewhere.track(["A"])


def test_an_unknown_status_is_kept_without_a_meaning(elsewhere: Sandbox, canned: Canned) -> None:
    told = {"at": "2026-11-20T09:00:00+00:00", "code": "X", "words": "Sur\nMars", "status": "mars"}
    canned.answers(200, {"parcels": [{"tracking_number": "A", "events": [told]}]})
    (event,) = elsewhere.track(["A"])["A"].events
    assert (event.code, event.words, event.status) == ("X", "Sur Mars", None)
