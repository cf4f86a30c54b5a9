"""Chronopost, by its SOAP services: shipping (shippingMultiParcelV5), tracking (trackSkybillV2), cancelSkybill.

karrio writes the requests. What it gets wrong is mended here: the namespace of the operation, who the parties are, the
lines of addresses, telephones. Answers are read here, strictly: no entities, no network, nothing guessed. Chronopost
honours no key and finds no label again: UNKNOWN is for a person. It takes no instructions for whoever delivers.
"""

import binascii
import math
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any
from xml.sax.saxutils import escape

from lxml import etree

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

ADDRESS = "https://ws.chronopost.fr"
SHIPPING, TRACKING, QUICKCOST = (
    "/shipping-cxf/ShippingServiceWS",
    "/tracking-cxf/TrackingServiceWS",
    "/quickcost-cxf/QuickcostServiceWS",
)
LIMITS = Limits(
    name=100,
    line=38,
    complement_lines=1,
    lines=2,
    town=50,
    phone=17,
    reference=15,
    instructions=200,
)
CAPABILITIES = Capabilities(
    honoured_key_age=None,
    longest_delay=timedelta(minutes=5),
    calls_per_second=5,
    cancels=True,
    tracked_at_once=1,
)
_PAPER = {LabelFormat.SMALL: "THE", LabelFormat.A4: "SPD"}
"""For printers of labels, and without the proof of deposit on plain paper."""
_ABOUT_ACCOUNT = frozenset({"3", "30"})
_SYSTEM_ERRORS = frozenset({"1", "29"})
"""Nobody says that nothing was done."""
_STATUSES = {"DC": TrackedStatus.ANNOUNCED, "D": TrackedStatus.DELIVERED}
"""Its codes; every other one is of a parcel on its way."""
_FAULT_OF_OURS = ("Client", "Sender")


class UnreadableError(ValueError):
    """An answer that is no XML, or does not hold what it should."""


class Chronopost:
    """An account with Chronopost. See LabelCarrier.

    ``url`` replaces its address in tests. ``credentials``: ``account_number`` and ``password``.
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
        self._account, self._password = credentials["account_number"], credentials["password"]
        self._service = service
        self.capabilities = replace(CAPABILITIES, longest_delay=longest_delay)
        self._door = Door(url or ADDRESS, patience=patience)

    def close(self) -> None:
        """Let go of the connections."""
        self._door.close()

    def create_label(self, request: LabelRequest, key: str) -> LabelOutcome:
        """See LabelCarrier."""
        return translation.ask_for_label(LIMITS, request, lambda: self._ask_for(request))

    def find_label(self, key: str) -> LabelOutcome | None:
        """See LabelCarrier."""
        raise UnsupportedError("Chronopost finds no label by our key")

    def cancel(self, tracking_number: str) -> None:
        """See LabelCarrier."""
        models = translation.library().models
        wanted = models.ShipmentCancelRequest(shipment_identifier=tracking_number)
        asked = translation.written(lambda: self._mapper().create_cancel_shipment_request(wanted).serialize())
        self._ask(TRACKING, _in_namespace(asked, "cancelSkybill"))

    def track(self, tracking_numbers: Sequence[str]) -> Mapping[str, Tracked]:
        """See LabelCarrier. One call for each number: Chronopost takes no list."""
        models = translation.library().models
        wanted = models.TrackingRequest(tracking_numbers=list(tracking_numbers))
        asked = translation.written(lambda: self._mapper().create_tracking_request(wanted).serialize())
        told = {}
        for number, envelope in zip(tracking_numbers, asked, strict=True):
            try:
                told[number] = _tracked(self._ask(TRACKING, _in_namespace(envelope, "trackSkybillV2")))
            except CarrierRejectedError as error:
                told[number] = Tracked((), str(error))
            except (ValueError, TypeError) as error:
                raise CarrierUnreachableError(f"unreadable answer: {words(error)}") from error
        return told

    def fault(self) -> str | None:
        """See LabelCarrier. It asks what may be sent from Paris to Paris: Chronopost answers those that it knows.

        Written by hand, since this is asked from the web, where karrio does not go.
        """
        wanted = {"accountNumber": self._account, "password": self._password, "depCountryCode": "FR"}
        wanted |= {"depZipCode": "75015", "arrCountryCode": "FR", "arrZipCode": "75015", "arrCity": "Paris"}
        wanted |= {"type": "M", "weight": "1"}
        said = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in wanted.items())
        envelope = (
            '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
            ' xmlns:cxf="http://cxf.quickcost.soap.chronopost.fr/"><soapenv:Body>'
            f"<cxf:calculateProducts>{said}</cxf:calculateProducts></soapenv:Body></soapenv:Envelope>"
        )
        try:
            self._ask(QUICKCOST, envelope)
        except CarrierRejectedError as error:
            return f"Chronopost refuse\u202f: {error}"
        except CarrierUnreachableError as error:
            return f"Chronopost ne répond pas comme prévu\u202f: {error}"
        return None

    def _mapper(self) -> Any:
        chronopost = translation.library().chronopost
        return chronopost.Mapper(
            chronopost.Settings(account_number=self._account, password=self._password, language="fr_FR")
        )

    def _ask_for(self, request: LabelRequest) -> LabelOutcome:
        return _outcome(self._post(SHIPPING, translation.written(lambda: self._translated(request))))

    def _translated(self, request: LabelRequest) -> str:
        shipment = translation.shipment(request, service=self._service, label_type=_PAPER[request.label_format])
        asked = self._mapper().create_shipment_request(shipment)
        (operation,) = asked.value.Body.anytypeobjs_
        _mend(operation.shipperValue[0], "shipper", request.sender)
        _mend(operation.customerValue, "customer", request.sender)  # who pays
        _mend(operation.recipientValue[0], "recipient", request.recipient)
        operation.refValue[0].recipientRef = request.reference
        operation.skybillValue[0].weight = math.ceil(request.weight_g / 10) / 100
        return _in_namespace(asked.serialize(), "shippingMultiParcelV5")

    def _post(self, path: str, envelope: str) -> Answer:
        headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '""'}
        return self._door.ask("POST", path, content=envelope.encode(), headers=headers)

    def _ask(self, path: str, envelope: str) -> Any:
        """What an operation returned. Raises CarrierUnreachableError, CarrierRejectedError."""
        try:
            answer = self._post(path, envelope)
            returned = _returned(answer)
        except (NothingSentError, NoAnswerError, UnreadableError) as error:
            raise CarrierUnreachableError(str(error)) from error
        code = _text(returned, "errorCode")
        if answer.status != HTTPStatus.OK or not code:
            raise CarrierUnreachableError(f"HTTP {answer.status}: {words(_text(returned, 'faultstring') or '')}")
        if code != "0":
            raise CarrierRejectedError(f"{words(_text(returned, 'errorMessage') or '')} ({words(code)})")
        return returned


def _mend(value: Any, role: str, party: Party) -> None:
    """What karrio gets wrong of a party: its name is a company's alone, its lines and telephone are anything."""
    folded = fold(LIMITS, party.lines)
    assert folded is not None, "request_faults has looked"  # noqa: S101  a mistake of ours
    first, second = (*folded.street, *folded.complement, "")[:2]
    name, company = as_printed(party.name), as_printed(party.company)
    mobile = translation.is_mobile(party.phone)
    mended = {
        "Adress1": first,
        "Adress2": second or None,
        "Name": company or name,
        "Name2": name if company and name else None,
        "ContactName": name or company,
        "City": as_printed(party.town),
        "ZipCode": party.postcode,
        "Country": party.country,
        "CountryName": None,
        "Email": party.email or None,
        "MobilePhone": party.phone if mobile else None,
        "Phone": None if mobile else party.phone or None,
    }
    for field, text in mended.items():
        setattr(value, f"{role}{field}", text)


def _in_namespace(envelope: str, operation: str) -> str:
    """karrio puts the operation into the namespace of the envelope, where Chronopost does not look for it."""
    return envelope.replace(f"<soapenv:{operation}", f"<cxf:{operation}").replace(
        f"</soapenv:{operation}", f"</cxf:{operation}"
    )


def _outcome(answer: Answer) -> LabelOutcome:
    """What an answer to a request for a label says. Only what surely made nothing is a refusal."""
    if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS):
        return refused(f"http_{answer.status}", _beginning(answer), is_general=True)
    try:
        returned = _returned(answer)
        if fault := _text(returned, "faultcode"):
            said = _text(returned, "faultstring") or ""
            return refused(fault, said) if fault.endswith(_FAULT_OF_OURS) else unknown(fault, said)
        code = _text(returned, "errorCode")
        if answer.status != HTTPStatus.OK or not code:
            return unknown(f"http_{answer.status}", _beginning(answer))
        if code != "0":
            return _refusal(code, _text(returned, "errorMessage") or "")
        return _label(returned)
    except (ValueError, binascii.Error) as error:
        return unknown("unreadable", f"{type(error).__name__}: {error}")


def _refusal(code: str, said: str) -> LabelOutcome:
    if code in _SYSTEM_ERRORS:
        return unknown(code, said)
    return refused(code, said, is_general=code in _ABOUT_ACCOUNT)


def _label(returned: Any) -> LabelOutcome:
    """Raises ValueError where there is not one number and one label."""
    number, content = _text(returned, "skybillNumber"), _text(returned, "pdfEtiquette")
    if not is_tracking_number(number) or not content:
        raise UnreadableError("an answer without a number or a label")
    return labelled(number, b64decode("".join(content.split()), validate=True))


def _tracked(returned: Any) -> Tracked:
    events = [_event(each) for each in _all(returned, "events")]
    return Tracked(tuple(sorted(events, key=lambda event: event.at)))


def _event(said: Any) -> TrackingEvent:
    code = words(_text(said, "code") or "")[:50]
    at = datetime.fromisoformat(_text(said, "eventDate") or "")
    status = _STATUSES.get(code) or (
        TrackedStatus.DELIVERED if code[:1] == "D" and code[1:].isdigit() else TrackedStatus.IN_TRANSIT
    )
    return TrackingEvent(
        at if at.tzinfo else at.replace(tzinfo=clock.PARIS), code, words(_text(said, "eventLabel") or ""), status
    )


def _returned(answer: Answer) -> Any:
    """The body of a SOAP answer. Raises UnreadableError."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, recover=False)
    try:
        root = etree.fromstring(answer.content, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise UnreadableError(f"no XML: {words(error)[:100]}") from error
    bodies = _all(root, "Body")
    if len(bodies) != 1:
        raise UnreadableError("no SOAP body")
    return bodies[0]


def _all(element: Any, name: str) -> list[Any]:
    """The elements of that name, in whatever namespace."""
    found: list[Any] = element.xpath(".//*[local-name() = $name]", name=name)
    return found


def _text(element: Any, name: str) -> str | None:
    """The text of the only element of that name; None where there is none. Raises UnreadableError for several."""
    found = _all(element, name)
    if len(found) > 1:
        raise UnreadableError(f"{name} stands there twice")
    return (found[0].text or "").strip() if found else None


def _beginning(answer: Answer) -> str:
    return words(answer.content[:300].decode("utf-8", "replace"))
