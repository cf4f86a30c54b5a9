"""Colissimo, against one on loopback that speaks as it does: what karrio gets wrong is mended, nothing is guessed."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.gateways.carriers import speaking
from tests.gateways.carriers.conftest import RECIPIENT, MakeRequest
from tests.gateways.carriers.speaking import PASSWORD, PDF, Event
from tests.gateways.messaging.conftest import nowhere
from webapp.gateways.carriers.colissimo import Colissimo
from webapp.gateways.carriers.protocol import (
    LARGEST_LABEL,
    CarrierRejectedError,
    CarrierUnreachableError,
    LabelState,
    UnsupportedError,
)
from webapp.models.carriers import LabelFormat, TrackedStatus

KEYS = {"contract_number": "123456", "password": PASSWORD, "tracking_key": "okapi"}
NOTHING = b'{"messages": []}'
MULTIPART = 'multipart/mixed; boundary="b"'


Open = Callable[..., Colissimo]


@pytest.fixture
def colissimo_at() -> Iterator[Open]:
    """Opens accounts, with little patience."""
    opened: list[Colissimo] = []

    def open_account(url: str, **credentials: str) -> Colissimo:
        delay = timedelta(seconds=1)
        opened.append(Colissimo(KEYS | credentials, service="DOM", longest_delay=delay, url=url, patience=2))
        return opened[-1]

    yield open_account
    for each in opened:
        each.close()


@pytest.fixture
def carrier() -> Iterator[speaking.Colissimo]:
    carrier = speaking.Colissimo()
    with speaking.speaking(carrier):
        yield carrier


@pytest.fixture
def colissimo(carrier: speaking.Colissimo, colissimo_at: Open) -> Colissimo:
    return colissimo_at(carrier.url)


def addressee(carrier: speaking.Colissimo) -> dict[str, Any]:
    address: dict[str, Any] = carrier.asked[-1]["letter"]["addressee"]["address"]
    return address


def test_a_label_comes_out_of_the_multipart_answer_byte_for_byte(
    colissimo: Colissimo, carrier: speaking.Colissimo, make_request: MakeRequest
) -> None:
    made = colissimo.create_label(make_request(instructions="Code 12A34"), "key-1")
    assert (made.state, made.tracking_number, made.label) == (LabelState.LABELLED, "6A00000000001", PDF)
    asked = carrier.asked[0]
    assert carrier.paths == ["/sls-ws/SlsServiceWSRest/2.0/generateLabel"]
    assert (asked["contractNumber"], asked["outputFormat"]["outputPrintingType"]) == ("123456", "PDF_10x15_300dpi")
    letter = asked["letter"]
    assert (letter["service"]["productCode"], letter["service"]["depositDate"]) == ("DOM", "2026-11-20")
    assert (letter["parcel"]["weight"], letter["parcel"]["instructions"]) == (0.85, "Code 12A34")
    assert letter["sender"]["senderParcelRef"] == letter["addressee"]["addresseeParcelRef"] == "L000012-0347"


def test_a_label_with_line_ends_of_unix_is_read_as_well(
    colissimo: Colissimo, carrier: speaking.Colissimo, make_request: MakeRequest
) -> None:
    told = b'{"messages": [], "labelV2Response": {"parcelNumber": "6A1"}}'
    body = b"--b\nContent-ID: <jsonInfos>\n\n" + told + b"\n--b\ncontent-id: <label>\n\n" + PDF + b"\n--b--"
    carrier.answer = 200, MULTIPART, body
    assert colissimo.create_label(make_request(), "key-1").label == PDF


def test_the_number_of_the_street_is_printed_once(
    colissimo: Colissimo, carrier: speaking.Colissimo, make_request: MakeRequest
) -> None:
    colissimo.create_label(make_request(recipient=replace(RECIPIENT, lines=("12 rue du 12 Novembre",))), "key-1")
    lines = {name: addressee(carrier).get(name) for name in ("line0", "line1", "line2", "line3")}
    assert lines == {"line0": None, "line1": None, "line2": "12 rue du 12 Novembre", "line3": None}


def test_long_lines_are_broken_between_words(
    colissimo: Colissimo, carrier: speaking.Colissimo, make_request: MakeRequest
) -> None:
    long = (
        "1245 avenue du Maréchal de Lattre de Tassigny",
        "Résidence des Tilleuls argentés",
        "Escalier C, 3e étage",
    )
    made = colissimo.create_label(make_request(recipient=replace(RECIPIENT, lines=long)), "key-1")
    assert made.state is LabelState.LABELLED
    address = addressee(carrier)
    assert [address.get(f"line{number}") for number in range(4)] == [
        "Résidence des Tilleuls argentés,",
        "Escalier C, 3e étage",
        "1245 avenue du Maréchal de Lattre",
        "de Tassigny",
    ]


def test_what_does_not_fit_is_refused_before_anything_is_sent(
    colissimo: Colissimo, carrier: speaking.Colissimo, make_request: MakeRequest
) -> None:
    outcome = colissimo.create_label(make_request(recipient=replace(RECIPIENT, lines=("x" * 36,))), "key-1")
    assert (outcome.state, outcome.code, outcome.is_general) == (LabelState.REFUSED, "recipient.lines", False)
    assert carrier.asked == []


@pytest.mark.parametrize(
    ("phone", "told"),
    [("+33612345678", ("+33612345678", None)), ("+33320000000", (None, "+33320000000")), ("", (None, None))],
)
def test_a_mobile_telephone_is_told_as_one(
    colissimo: Colissimo,
    carrier: speaking.Colissimo,
    make_request: MakeRequest,
    phone: str,
    told: tuple[str | None, str | None],
) -> None:
    colissimo.create_label(make_request(recipient=replace(RECIPIENT, phone=phone)), "key-1")
    assert (addressee(carrier).get("mobileNumber"), addressee(carrier).get("phoneNumber")) == told


def test_a_light_parcel_weighs_something(
    colissimo: Colissimo, carrier: speaking.Colissimo, make_request: MakeRequest
) -> None:
    for weight in (4, 855):
        colissimo.create_label(make_request(weight_g=weight, label_format=LabelFormat.A4), "key-1")
    assert [asked["letter"]["parcel"]["weight"] for asked in carrier.asked] == [0.01, 0.86]
    assert carrier.asked[0]["outputFormat"]["outputPrintingType"] == "PDF_A4_300dpi"


@pytest.mark.parametrize(
    ("country", "postcode"), [("CH", "1200"), ("FR", "97400"), ("FR", "98000"), ("GB", "SW1A 1AA")]
)
def test_what_needs_a_customs_declaration_is_refused(
    colissimo: Colissimo, carrier: speaking.Colissimo, make_request: MakeRequest, country: str, postcode: str
) -> None:
    recipient = replace(RECIPIENT, country=country, postcode=postcode)
    outcome = colissimo.create_label(make_request(recipient=recipient), "key-1")
    assert (outcome.state, outcome.code) == (LabelState.REFUSED, "recipient.country")
    assert carrier.asked == []


def test_the_ids_of_errors_are_kept(
    colissimo: Colissimo, carrier: speaking.Colissimo, make_request: MakeRequest
) -> None:
    carrier.refusal = "30220", "Le code postal du destinataire est invalide"
    outcome = colissimo.create_label(make_request(), "key-1")
    assert (outcome.state, outcome.code, outcome.is_general) == (LabelState.REFUSED, "30220", False)
    assert outcome.message == "Le code postal du destinataire est invalide"


def test_keys_that_it_does_not_know_are_nothing_of_the_parcels(
    carrier: speaking.Colissimo, make_request: MakeRequest, colissimo_at: Open
) -> None:
    colissimo = colissimo_at(carrier.url, password="wrong")
    outcome = colissimo.create_label(make_request(), "key-1")
    assert (outcome.state, outcome.code, outcome.is_general) == (LabelState.REFUSED, "30000", True)
    assert (colissimo.fault() or "").startswith("Colissimo refuse\u202f: Identifiant")
    assert colissimo_at(carrier.url).fault() is None
    assert carrier.paths[-1].endswith("/checkGenerateLabel")


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ((200, "application/json", NOTHING), LabelState.UNKNOWN),
        ((200, "application/json", b"{"), LabelState.UNKNOWN),
        ((200, "application/json", b"[]"), LabelState.UNKNOWN),
        ((200, "text/html", b"<html>"), LabelState.UNKNOWN),
        ((200, MULTIPART, b""), LabelState.UNKNOWN),
        ((200, MULTIPART, b"--b\r\nContent-ID: <jsonInfos>\r\n\r\n{}"), LabelState.UNKNOWN),
        ((200, MULTIPART, b"--b\r\nno head\r\n--b--"), LabelState.UNKNOWN),
        ((200, 'multipart/mixed; boundary="\xe9"', b"--b--"), LabelState.UNKNOWN),
        ((302, "text/html", b""), LabelState.UNKNOWN),
        ((500, "text/html", b"<html>"), LabelState.UNKNOWN),
        ((503, "application/json", b'{"messages": [{"type": "ERROR", "id": "1"}]}'), LabelState.UNKNOWN),
        ((400, "text/plain", b"JSON mal form\xe9"), LabelState.REFUSED),
        ((401, "text/plain", b""), LabelState.REFUSED),
        ((429, "text/plain", b""), LabelState.REFUSED),
    ],
)
def test_a_hostile_answer_is_told_and_never_raised(
    colissimo: Colissimo,
    carrier: speaking.Colissimo,
    make_request: MakeRequest,
    answer: speaking.Answer,
    state: LabelState,
) -> None:
    carrier.answer = answer
    assert colissimo.create_label(make_request(), "key-1").state is state
    assert colissimo.fault() is None or answer[2] != NOTHING


@pytest.mark.parametrize("number", [None, 7, "", "6A 1", "<b>"])
def test_a_number_that_is_none_is_unknown(
    colissimo: Colissimo, carrier: speaking.Colissimo, make_request: MakeRequest, number: object
) -> None:
    told = {"messages": [], "labelV2Response": {"parcelNumber": number}}
    carrier.answer = 200, carrier._type(), carrier._multipart(told, PDF)
    assert colissimo.create_label(make_request(), "key-1").state is LabelState.UNKNOWN


@pytest.mark.parametrize("pdf", [b"", b"GIF89a", PDF[:20], PDF + b" " * LARGEST_LABEL + b"%%EOF"])
def test_a_label_that_cannot_be_printed_is_refused_and_not_kept(
    colissimo: Colissimo, carrier: speaking.Colissimo, make_request: MakeRequest, pdf: bytes
) -> None:
    carrier.pdf = pdf
    outcome = colissimo.create_label(make_request(), "key-1")
    assert (outcome.state, outcome.tracking_number, outcome.label) == (LabelState.REFUSED, "6A00000000001", None)


def test_a_carrier_that_is_not_there_has_labelled_nothing(make_request: MakeRequest, colissimo_at: Open) -> None:
    colissimo = colissimo_at(nowhere())
    outcome = colissimo.create_label(make_request(), "key-1")
    assert (outcome.state, outcome.is_general) == (LabelState.REFUSED, True)
    assert (colissimo.fault() or "").startswith("Colissimo ne répond pas")


def test_ten_parcels_are_tracked_in_one_call(colissimo: Colissimo, carrier: speaking.Colissimo) -> None:
    carrier.history = {
        "6A1": [
            Event("DI1", "Votre colis est livré", "2026-11-22T10:00:00+01:00"),
            Event("PC1", "Pris en charge", "2026-11-20T18:00:00+01:00"),
            Event("DR1", "Déclaratif réceptionné", "2026-11-20T09:00:00+01:00"),
        ],
        "6A2": [Event("RE1", "Retour à l’expéditeur", "2026-11-23T10:00:00+01:00")],
    }
    told = colissimo.track(["6A1", "6A2", "6A3"])
    assert carrier.paths == ["/suivi/v2/idships/6A1,6A2,6A3?lang=fr_FR"]
    assert carrier.headers[0]["X-Okapi-Key"] == "okapi"
    assert [event.status for event in told["6A1"].events] == [
        TrackedStatus.ANNOUNCED,
        TrackedStatus.IN_TRANSIT,
        TrackedStatus.DELIVERED,
    ]
    assert told["6A1"].events[0].at == datetime.fromisoformat("2026-11-20T09:00:00+01:00")
    assert told["6A2"].events[0].status is TrackedStatus.RETURNED
    assert (told["6A3"].events, told["6A3"].fault) == ((), "Ressource non trouvée")


def test_one_parcel_is_tracked_as_well(colissimo: Colissimo, carrier: speaking.Colissimo) -> None:
    carrier.history = {"6A1": [Event("DI2", "Livré à l’expéditeur", "2026-11-22T10:00:00")]}
    (event,) = colissimo.track(["6A1"])["6A1"].events
    assert event.status is TrackedStatus.RETURNED
    assert event.at == datetime.fromisoformat("2026-11-22T10:00:00+01:00")
    assert colissimo.track(["6A9"])["6A9"].fault == "Ressource non trouvée"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((200, "application/json", b"{"), CarrierUnreachableError),
        ((200, "application/json", b'{"shipment": {}}'), None),
        ((200, "application/json", b'[{"shipment": {"idShip": "6A1", "event": [{}]}}]'), CarrierUnreachableError),
        ((200, "application/json", b"[7]"), CarrierUnreachableError),
        ((401, "application/json", b"{}"), CarrierRejectedError),
        ((503, "text/html", b""), CarrierUnreachableError),
    ],
)
def test_tracking_that_makes_no_sense_is_no_answer(
    colissimo: Colissimo, carrier: speaking.Colissimo, answer: speaking.Answer, error: type[Exception] | None
) -> None:
    carrier.answer = answer
    if error is None:
        assert colissimo.track(["6A1"])["6A1"].fault
    else:
        with pytest.raises(error):
            colissimo.track(["6A1"])


def test_it_says_what_it_does_not_do(carrier: speaking.Colissimo, colissimo_at: Open) -> None:
    without = colissimo_at(carrier.url, tracking_key="")
    able = without.capabilities
    assert (able.honoured_key_age, able.finds, able.cancels, able.tracked_at_once) == (None, False, False, 0)
    assert colissimo_at(carrier.url).capabilities.tracked_at_once == 10
    for ask in (lambda: without.find_label("key"), lambda: without.cancel("6A1"), lambda: without.track(["6A1"])):
        with pytest.raises(UnsupportedError):
            ask()
