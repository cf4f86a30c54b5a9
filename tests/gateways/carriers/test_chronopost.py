"""Chronopost, against one on loopback that speaks as it does: what karrio gets wrong is mended, nothing is guessed."""

from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from tests.gateways.carriers import speaking
from tests.gateways.carriers.conftest import RECIPIENT, SENDER, MakeRequest
from tests.gateways.carriers.speaking import PASSWORD, PDF, Event
from tests.gateways.messaging.conftest import nowhere
from webapp.gateways.carriers.chronopost import Chronopost
from webapp.gateways.carriers.protocol import (
    LARGEST_LABEL,
    CarrierRejectedError,
    CarrierUnreachableError,
    LabelState,
    UnsupportedError,
)
from webapp.models.carriers import LabelFormat, TrackedStatus

KEYS = {"account_number": "19869502", "password": PASSWORD}


Open = Callable[..., Chronopost]


@pytest.fixture
def chronopost_at() -> Iterator[Open]:
    """Opens accounts, with little patience."""
    opened: list[Chronopost] = []

    def open_account(url: str, **credentials: str) -> Chronopost:
        delay = timedelta(seconds=1)
        opened.append(Chronopost(KEYS | credentials, service="1", longest_delay=delay, url=url, patience=2))
        return opened[-1]

    yield open_account
    for each in opened:
        each.close()


@pytest.fixture
def carrier() -> Iterator[speaking.Chronopost]:
    carrier = speaking.Chronopost()
    with speaking.speaking(carrier):
        yield carrier


@pytest.fixture
def chronopost(carrier: speaking.Chronopost, chronopost_at: Open) -> Chronopost:
    return chronopost_at(carrier.url)


def soap(inner: str, status: int = 200) -> speaking.Answer:
    envelope = f'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>{inner}</s:Body></s:Envelope>'
    return status, "text/xml", envelope.encode()


def test_an_operation_in_its_own_namespace_brings_a_label(
    chronopost: Chronopost, carrier: speaking.Chronopost, make_request: MakeRequest
) -> None:
    made = chronopost.create_label(make_request(), "key-1")
    assert (made.state, made.tracking_number, made.label) == (LabelState.LABELLED, "XY000000001FR", PDF)
    assert carrier.paths == ["/shipping-cxf/ShippingServiceWS"]
    asked = carrier.asked[0]
    assert (asked["accountNumber"], asked["productCode"], asked["weight"]) == ("19869502", "01", "0.85")
    assert (asked["shipDate"], asked["mode"]) == ("2026-11-20T00:00:00", "THE")
    assert (asked["shipperRef"], asked["recipientRef"]) == ("L000012-0347", "L000012-0347")


def test_the_parties_are_who_they_are(
    chronopost: Chronopost, carrier: speaking.Chronopost, make_request: MakeRequest
) -> None:
    chronopost.create_label(make_request(label_format=LabelFormat.A4), "key-1")
    asked = carrier.asked[0]
    assert (asked["recipientName"], asked["recipientContactName"]) == ("Léa Durand", "Léa Durand")
    assert (asked["recipientAdress1"], asked["recipientAdress2"]) == ("12 bis rue de l'Église", "Bâtiment B")
    assert (asked["recipientMobilePhone"], asked.get("recipientPhone")) == ("+33612345678", None)
    assert (asked["shipperName"], asked["shipperName2"]) == (SENDER.company, SENDER.name)
    assert (asked.get("shipperMobilePhone"), asked["shipperPhone"]) == (None, "+33320000000")
    assert (asked["customerName"], asked["customerZipCode"]) == (SENDER.company, SENDER.postcode)
    assert asked["mode"] == "SPD"


def test_the_number_of_the_street_stays_where_it_is(
    chronopost: Chronopost, carrier: speaking.Chronopost, make_request: MakeRequest
) -> None:
    recipient = replace(RECIPIENT, lines=("12 rue du 12 Novembre & Cie",))
    chronopost.create_label(make_request(recipient=recipient), "key-1")
    assert carrier.asked[0]["recipientAdress1"] == "12 rue du 12 Novembre & Cie"


def test_two_lines_are_all_that_there_is(
    chronopost: Chronopost, carrier: speaking.Chronopost, make_request: MakeRequest
) -> None:
    street = "1245 avenue du Maréchal de Lattre de Tassigny"
    chronopost.create_label(make_request(recipient=replace(RECIPIENT, lines=(street,))), "key-1")
    asked = carrier.asked[0]
    assert (asked["recipientAdress1"], asked["recipientAdress2"]) == (
        "1245 avenue du Maréchal de Lattre de",
        "Tassigny",
    )
    full = make_request(recipient=replace(RECIPIENT, lines=(street, "Bâtiment B")))
    assert chronopost.create_label(full, "key-2").code == "recipient.lines"
    assert len(carrier.asked) == 1


@pytest.mark.parametrize(
    ("refusal", "became"),
    [
        (("33", "Le code postal n’existe pas"), (LabelState.REFUSED, False)),
        (("3", "Compte ou mot de passe incorrect"), (LabelState.REFUSED, True)),
        (("29", "Erreur système"), (LabelState.UNKNOWN, False)),
    ],
)
def test_an_error_is_told_in_its_words(
    chronopost: Chronopost,
    carrier: speaking.Chronopost,
    make_request: MakeRequest,
    refusal: tuple[str, str],
    became: tuple[LabelState, bool],
) -> None:
    carrier.refusal = refusal
    outcome = chronopost.create_label(make_request(), "key-1")
    assert (outcome.state, outcome.is_general) == became
    assert (outcome.code, outcome.message) == refusal


def test_an_account_is_checked_without_a_label(carrier: speaking.Chronopost, chronopost_at: Open) -> None:
    assert chronopost_at(carrier.url).fault() is None
    assert carrier.paths == ["/quickcost-cxf/QuickcostServiceWS"]
    wrong = chronopost_at(carrier.url, password="<&wrong>")
    assert (wrong.fault() or "").startswith("Chronopost refuse\u202f: Compte ou mot de passe incorrect")
    assert carrier.asked[-1]["password"] == "<&wrong>"
    assert (chronopost_at(nowhere()).fault() or "").startswith("Chronopost ne répond pas")


BOMB = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {new} "{f"&{old};" * 10}">' for old, new in zip("abcdefgh", "bcdefghi", strict=True))
    + "]><x>&i;</x>"
)
FILE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
LABEL = f"<pdfEtiquette>{b64encode(PDF).decode()}</pdfEtiquette>"


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ((200, "text/xml", b""), LabelState.UNKNOWN),
        ((200, "text/html", b"<html><body>welcome"), LabelState.UNKNOWN),
        ((200, "text/xml", b"<a/>"), LabelState.UNKNOWN),
        ((200, "text/xml", BOMB.encode()), LabelState.UNKNOWN),
        (
            (200, "text/xml", FILE.encode() + soap("<errorCode>&a;</errorCode>")[2]),
            LabelState.UNKNOWN,
        ),
        (soap(""), LabelState.UNKNOWN),
        (soap("<errorCode>0</errorCode>"), LabelState.UNKNOWN),
        (soap(f"<errorCode>0</errorCode><skybillNumber>a b</skybillNumber>{LABEL}"), LabelState.UNKNOWN),
        (soap(f"<errorCode>0</errorCode><skybillNumber>XY1</skybillNumber>{LABEL}{LABEL}"), LabelState.UNKNOWN),
        (
            soap("<errorCode>0</errorCode><skybillNumber>XY1</skybillNumber><pdfEtiquette>%%</pdfEtiquette>"),
            LabelState.UNKNOWN,
        ),
        (soap("<errorCode>0</errorCode>", 500), LabelState.UNKNOWN),
        (soap("<f><faultcode>soap:Server</faultcode><faultstring>x</faultstring></f>", 500), LabelState.UNKNOWN),
        (soap("<f><faultcode>soap:Client</faultcode><faultstring>x</faultstring></f>", 500), LabelState.REFUSED),
        ((302, "text/html", b""), LabelState.UNKNOWN),
        ((503, "text/html", b""), LabelState.UNKNOWN),
        ((403, "text/html", b""), LabelState.REFUSED),
    ],
)
def test_a_hostile_answer_is_told_and_never_raised(
    chronopost: Chronopost,
    carrier: speaking.Chronopost,
    make_request: MakeRequest,
    answer: speaking.Answer,
    state: LabelState,
) -> None:
    carrier.answer = answer
    outcome = chronopost.create_label(make_request(), "key-1")
    assert outcome.state is state
    assert "root:" not in (outcome.message or "") + (outcome.code or "")


@pytest.mark.parametrize("pdf", [b"GIF89a", PDF[:20], PDF + b" " * LARGEST_LABEL + b"%%EOF"])
def test_a_label_that_cannot_be_printed_is_refused_and_not_kept(
    chronopost: Chronopost, carrier: speaking.Chronopost, make_request: MakeRequest, pdf: bytes
) -> None:
    carrier.pdf = pdf
    outcome = chronopost.create_label(make_request(), "key-1")
    assert (outcome.state, outcome.tracking_number, outcome.label) == (LabelState.REFUSED, "XY000000001FR", None)


def test_a_carrier_that_is_not_there_has_labelled_nothing(make_request: MakeRequest, chronopost_at: Open) -> None:
    outcome = chronopost_at(nowhere()).create_label(make_request(), "key-1")
    assert (outcome.state, outcome.is_general) == (LabelState.REFUSED, True)


def test_a_label_is_called_off(chronopost: Chronopost, carrier: speaking.Chronopost) -> None:
    chronopost.cancel("XY000000001FR")
    assert carrier.asked[0]["skybillNumber"] == "XY000000001FR"
    carrier.refusal = "2", "Le colis est déjà pris en charge"
    with pytest.raises(CarrierRejectedError, match="déjà pris en charge"):
        chronopost.cancel("XY000000001FR")
    carrier.answer = 503, "text/html", b""
    with pytest.raises(CarrierUnreachableError):
        chronopost.cancel("XY000000001FR")


def test_a_parcel_is_tracked(chronopost: Chronopost, carrier: speaking.Chronopost) -> None:
    carrier.history = {
        "XY1": [
            Event("D", "Livré", "2026-11-22T10:00:00+01:00"),
            Event("DC", "En préparation", "2026-11-20T09:00:00+01:00"),
            Event("TA", "Tri effectué", "2026-11-21T03:00:00"),
        ]
    }
    events = chronopost.track(["XY1"])["XY1"].events
    assert [event.status for event in events] == [
        TrackedStatus.ANNOUNCED,
        TrackedStatus.IN_TRANSIT,
        TrackedStatus.DELIVERED,
    ]
    assert events[1].at == datetime.fromisoformat("2026-11-21T03:00:00+01:00")
    carrier.refusal = "2", "Numéro inconnu"
    assert chronopost.track(["XY9"])["XY9"].fault == "Numéro inconnu (2)"


@pytest.mark.parametrize(
    "answer",
    [
        (200, "text/xml", b"<"),
        soap("<errorCode>0</errorCode><events><code>D</code><eventDate>hier</eventDate></events>"),
        soap("<errorCode>0</errorCode><events><code>D</code><code>D</code></events>"),
        (503, "text/html", b""),
    ],
)
def test_tracking_that_makes_no_sense_is_no_answer(
    chronopost: Chronopost, carrier: speaking.Chronopost, answer: speaking.Answer
) -> None:
    carrier.answer = answer
    with pytest.raises(CarrierUnreachableError):
        chronopost.track(["XY1"])


def test_it_says_what_it_does_not_do(chronopost: Chronopost) -> None:
    able = chronopost.capabilities
    assert (able.honoured_key_age, able.finds, able.cancels, able.tracked_at_once) == (None, False, True, 1)
    with pytest.raises(UnsupportedError):
        chronopost.find_label("key-1")
