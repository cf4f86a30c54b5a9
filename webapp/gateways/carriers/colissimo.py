"""Colissimo, by its web service « Affranchissement » (SLS, REST 2.0), and La Poste's « Suivi » (v2) for tracking.

karrio writes the request. What it leaves out or gets wrong is mended here: address lines, mobile telephone, weight, day
of deposit. Answers are MIME multipart with line ends of CRLF, a JSON part ``<jsonInfos>`` and the PDF ``<label>``, and
are read here, strictly. Colissimo honours no key and finds no label again: UNKNOWN is for a person.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from email.message import Message
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import orjson

from webapp import clock
from webapp.gateways.carriers import translation
from webapp.gateways.carriers.door import ANSWERING, Answer, Door, NoAnswerError, NothingSentError
from webapp.gateways.carriers.fitting import Limits, as_printed, fold
from webapp.gateways.carriers.protocol import (
    Capabilities,
    CarrierRejectedError,
    CarrierUnreachableError,
    LabelOutcome,
    LabelRequest,
    LabelState,
    Party,
    Tracked,
    TrackingEvent,
    UnsupportedError,
    is_tracking_number,
    labelled,
    refused,
    unknown,
)
from webapp.gateways.wording import words
from webapp.models.carriers import LabelFormat, TrackedStatus

ADDRESS = "https://ws.colissimo.fr"
TRACKING_ADDRESS = "https://api.laposte.fr"
SERVICE = "/sls-ws/SlsServiceWSRest/2.0"
LIMITS = Limits()
CAPABILITIES = Capabilities(honoured_key_age=None, longest_delay=timedelta(minutes=5), calls_per_second=5)
NOTHING_MADE = "nothing_made"
"""The code of an answer without a label and without an error: right after a check, odd after anything else."""
_PAPER = {LabelFormat.SMALL: "PDF_10x15_300dpi", LabelFormat.A4: "PDF_A4_300dpi"}
_ABOUT_ACCOUNT = range(30_000, 30_100)
"""Ids of errors: account, password and contract. Those of data begin beyond."""
_STATUSES = {
    "DR": TrackedStatus.ANNOUNCED,
    "DI": TrackedStatus.DELIVERED,
    "RE": TrackedStatus.RETURNED,
}
"""By the first two letters of La Poste's codes; every other one is of a parcel on its way."""
_RETURNED_HOME = "DI2"
_CONTENT_ID = re.compile(rb"^content-id:[ \t]*(\S+)", re.IGNORECASE | re.MULTILINE)


class Colissimo:
    """A contract with Colissimo. See LabelCarrier.

    ``url`` replaces both addresses in tests. ``credentials``: ``contract_number``, ``password`` and, to track,
    ``tracking_key`` (La Poste's « X-Okapi-Key »).
    """

    def __init__(
        self,
        credentials: Mapping[str, str],
        *,
        service: str,
        longest_delay: timedelta,
        url: str = "",
        patience: float = ANSWERING,
    ) -> None:
        self._contract, self._password = credentials["contract_number"], credentials["password"]
        self._tracking_key = credentials.get("tracking_key", "")
        self._service = service
        self.capabilities = replace(
            CAPABILITIES, longest_delay=longest_delay, tracked_at_once=10 if self._tracking_key else 0
        )
        self._door = Door(url or ADDRESS, patience=patience)
        self._tracking = Door(url or TRACKING_ADDRESS, patience=patience)

    def close(self) -> None:
        """Let go of the connections."""
        self._door.close()
        self._tracking.close()

    def create_label(self, request: LabelRequest, key: str) -> LabelOutcome:
        """See LabelCarrier."""
        return translation.ask_for_label(LIMITS, request, lambda: self._ask_for(request))

    def find_label(self, key: str) -> LabelOutcome | None:
        """See LabelCarrier."""
        raise UnsupportedError("Colissimo finds no label by our key")

    def cancel(self, tracking_number: str) -> None:
        """See LabelCarrier."""
        raise UnsupportedError("Colissimo calls no label off: one that is not handed over is not charged")

    def track(self, tracking_numbers: Sequence[str]) -> Mapping[str, Tracked]:
        """See LabelCarrier."""
        if not self._tracking_key:
            raise UnsupportedError("tracking needs a key of La Poste's")
        path = f"/suivi/v2/idships/{quote(','.join(tracking_numbers), safe=',')}"
        headers = {"X-Okapi-Key": self._tracking_key, "Accept": "application/json"}
        try:
            answer = self._tracking.ask("GET", path, params={"lang": "fr_FR"}, headers=headers)
        except (NothingSentError, NoAnswerError) as error:
            raise CarrierUnreachableError(str(error)) from error
        told = _tracked(answer)
        return {number: told.get(number, Tracked((), "no answer for this number")) for number in tracking_numbers}

    def fault(self) -> str | None:
        """See LabelCarrier. Colissimo checks a request without making its label."""
        try:
            outcome = _outcome(self._post("checkGenerateLabel", self._sample()))
        except (NothingSentError, NoAnswerError) as error:
            return f"Colissimo ne répond pas\u202f: {error}"
        if outcome.code == NOTHING_MADE:
            return None
        does = "refuse" if outcome.state is LabelState.REFUSED else "ne répond pas comme prévu"
        return f"Colissimo {does}\u202f: {outcome.message}"

    def _post(self, method: str, body: Mapping[str, Any]) -> Answer:
        headers = {"Content-Type": "application/json;charset=UTF-8"}
        return self._door.ask("POST", f"{SERVICE}/{method}", content=orjson.dumps(body), headers=headers)

    def _ask_for(self, request: LabelRequest) -> LabelOutcome:
        return _outcome(self._post("generateLabel", translation.written(lambda: self._translated(request))))

    def _translated(self, request: LabelRequest) -> dict[str, Any]:
        colissimo = translation.library().colissimo
        settings = colissimo.Settings(contract_number=self._contract, password=self._password)
        shipment = translation.shipment(request, service=self._service, label_type=_PAPER[request.label_format])
        said: dict[str, Any] = colissimo.Mapper(settings).create_shipment_request(shipment).serialize()
        letter = said["letter"]
        letter["parcel"]["weight"] = math.ceil(request.weight_g / 10) / 100
        if request.instructions:
            letter["parcel"]["instructions"] = as_printed(request.instructions)
        for role, party in (("sender", request.sender), ("addressee", request.recipient)):
            mended = letter[role]["address"] | _mended(party)
            letter[role]["address"] = {name: value for name, value in mended.items() if value}
        return said

    def _sample(self) -> dict[str, Any]:
        """A parcel that could be sent; written by hand, since this is asked from the web, where karrio does not go."""
        address = {"companyName": "LA POSTE", "line2": "9 rue du Colonel Pierre Avia", "zipCode": "75015"}
        address |= {"city": "Paris", "countryCode": "FR", "lastName": "Essai", "firstName": "Essai"}
        return {
            "contractNumber": self._contract,
            "password": self._password,
            "outputFormat": {"x": 0, "y": 0, "outputPrintingType": _PAPER[LabelFormat.SMALL]},
            "letter": {
                "service": {"productCode": self._service, "depositDate": clock.today().isoformat()},
                "parcel": {"weight": 1.0},
                "sender": {"address": address},
                "addressee": {"address": address},
            },
        }


def _mended(party: Party) -> dict[str, str]:
    """What karrio gets wrong of an address: the number of the street twice, no mobile, lines of any length."""
    folded = fold(LIMITS, party.lines)
    assert folded is not None, "request_faults has looked"  # noqa: S101  a mistake of ours
    above = ("", *folded.complement)[-2:] if folded.complement else ("", "")
    below = (*folded.street, "")[:2]
    lines = dict(zip(("line0", "line1", "line2", "line3"), (*above, *below), strict=True))
    mobile = translation.is_mobile(party.phone)
    return lines | {"mobileNumber": party.phone if mobile else "", "phoneNumber": "" if mobile else party.phone}


def _outcome(answer: Answer) -> LabelOutcome:
    """What an answer to a request for a label says. Only what surely made nothing is a refusal."""
    if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS):
        return refused(f"http_{answer.status}", _beginning(answer), is_general=True)
    try:
        parts = _parts(answer)
        told = orjson.loads(parts["<jsonInfos>"])
        errors = [each for each in told["messages"] if each["type"] == "ERROR"]
    except (ValueError, KeyError, TypeError) as error:
        if answer.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY):
            return refused(f"http_{answer.status}", _beginning(answer))
        return unknown(_code(answer), f"{type(error).__name__}: {_beginning(answer)}")
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return unknown(_code(answer), _beginning(answer))
    if errors:
        return _refusal(errors)
    return _label(answer, told, parts.get("<label>"))


def _refusal(errors: Sequence[Mapping[str, Any]]) -> LabelOutcome:
    """All that is wrong, under the id of the first: karrio keeps neither."""
    code = str(errors[0].get("id", ""))
    said = " ".join(words(each.get("messageContent", "")) for each in errors)
    is_general = code.isascii() and code.isdigit() and len(code) < 10 and int(code) in _ABOUT_ACCOUNT
    return refused(code, said, is_general=is_general)


def _label(answer: Answer, told: Mapping[str, Any], content: bytes | None) -> LabelOutcome:
    made = told.get("labelV2Response")
    if made is None and answer.status == HTTPStatus.OK:
        return unknown(NOTHING_MADE, "an answer without a label and without an error")
    number = made.get("parcelNumber") if isinstance(made, Mapping) else None
    if answer.status != HTTPStatus.OK or not is_tracking_number(number) or content is None:
        return unknown(_code(answer), "an answer without a number or a label")
    return labelled(number, content)


def _code(answer: Answer) -> str:
    return "unreadable" if answer.status == HTTPStatus.OK else f"http_{answer.status}"


def _parts(answer: Answer) -> dict[str, bytes]:
    """The parts of an answer by their Content-ID; JSON alone counts as ``<jsonInfos>``. Raises ValueError."""
    said = Message()
    said["Content-Type"] = answer.headers.get("Content-Type", "")
    boundary = said.get_boundary()
    if boundary is None:
        return {"<jsonInfos>": answer.content}
    return dict(_split(answer.content, boundary))


def _split(content: bytes, boundary: str) -> Iterator[tuple[str, bytes]]:
    delimiter = re.escape(boundary.encode("latin-1", "replace"))
    _preamble, *pieces = re.split(rb"(?:\A|\r?\n)--" + delimiter, content)
    if not pieces or not pieces[-1].startswith(b"--"):
        raise ValueError("the multipart answer is cut")
    for piece in pieces[:-1]:
        head, *body = re.split(rb"\r?\n\r?\n", piece, maxsplit=1)
        name = _CONTENT_ID.search(head)
        if not body or name is None:
            raise ValueError("a part without a head or a name")
        yield name[1].decode("ascii", "replace"), body[0]


def _tracked(answer: Answer) -> dict[str, Tracked]:
    """What La Poste tells, by number. It answers one number with an object, several with a list."""
    if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise CarrierRejectedError(f"HTTP {answer.status}: {_beginning(answer)}")
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        raise CarrierUnreachableError(f"HTTP {answer.status}")
    try:
        said = orjson.loads(answer.content)
        told = said if isinstance(said, list) else [said]
        return dict(_one_number(each) for each in told)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CarrierUnreachableError(f"unreadable answer: {type(error).__name__}: {error}") from error


def _one_number(said: Mapping[str, Any]) -> tuple[str, Tracked]:
    shipment = said.get("shipment")
    if not shipment:
        return str(said.get("idShip", "")), Tracked((), words(said.get("returnMessage", "")) or "no events")
    events = sorted((_event(each) for each in shipment.get("event", ())), key=lambda event: event.at)
    return str(shipment["idShip"]), Tracked(tuple(events))


def _event(said: Mapping[str, Any]) -> TrackingEvent:
    code = words(said["code"])[:50]
    status = TrackedStatus.RETURNED if code == _RETURNED_HOME else _STATUSES.get(code[:2], TrackedStatus.IN_TRANSIT)
    at = datetime.fromisoformat(said["date"])
    return TrackingEvent(at if at.tzinfo else at.replace(tzinfo=clock.PARIS), code, words(said["label"]), status)


def _beginning(answer: Answer) -> str:
    return words(answer.content[:300].decode("utf-8", "replace"))
