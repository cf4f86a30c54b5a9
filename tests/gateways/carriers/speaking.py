"""Colissimo and Chronopost on loopback: they speak as the carriers do, and are as strict about what they are asked."""

import re
from abc import ABC, abstractmethod
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, NamedTuple
from urllib.parse import unquote, urlsplit

import orjson
from lxml import etree

from tests.serving import serving

PDF = b"%PDF-1.4\r\n\xe2\xe3\xcf\xd3 1 0 obj\nendobj\r\n%%EOF\r\n"
"""With line ends of both kinds, and bytes that are no text."""
PASSWORD = "secret"
Answer = tuple[int, str, bytes]
"""Status, content type and body."""


class Event(NamedTuple):
    """One line of a parcel's history."""

    code: str
    label: str
    date: str


@dataclass
class Pretend(ABC):
    """What it was asked, and how it answers: ``answer`` in the place of its own."""

    url: str = ""
    answer: Answer | None = None
    refusal: tuple[str, str] | None = None
    pdf: bytes = PDF
    asked: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    history: dict[str, list[Event]] = field(default_factory=dict)

    @abstractmethod
    def respond(self, path: str, body: bytes) -> Answer:
        """What the carrier answers, when nothing else was ordered."""


class Colissimo(Pretend):
    """POST of JSON to generateLabel and checkGenerateLabel; GET of La Poste's tracking."""

    BOUNDARY: ClassVar = "uuid:0f8f2c1e-7b8d-4c5c-9d3f-5a0f6a1b2c3d"

    def respond(self, path: str, body: bytes) -> Answer:
        if "/suivi/v2/idships/" in path:
            return self._track(unquote(urlsplit(path).path.rpartition("/")[2]).split(","))
        asked = orjson.loads(body)
        self.asked.append(asked)
        error = self.refusal or self._fault(asked)
        if error:
            messages = [{"id": error[0], "type": "ERROR", "messageContent": error[1], "replacementValues": []}]
            return 400, self._type(), self._multipart({"messages": messages, "labelV2Response": None})
        messages = [{"id": "0", "type": "INFOS", "messageContent": "La requête a été traitée avec succès"}]
        if path.endswith("/checkGenerateLabel"):
            return 200, self._type(), self._multipart({"messages": messages, "labelV2Response": None})
        made = {
            "parcelNumber": f"6A{len(self.asked):011d}",
            "parcelNumberPartner": None,
            "pdfUrl": None,
            "fields": None,
        }
        return 200, self._type(), self._multipart({"messages": messages, "labelV2Response": made}, self.pdf)

    @classmethod
    def _type(cls) -> str:
        return (
            f'multipart/mixed; boundary="{cls.BOUNDARY}"; type="application/json";'
            ' start="<jsonInfos>"; start-info="application/json"'
        )

    @classmethod
    def _multipart(cls, told: Any, label: bytes | None = None) -> bytes:
        parts = [("application/json;charset=UTF-8", "<jsonInfos>", orjson.dumps(told))]
        if label is not None:
            parts.append(("application/octet-stream", "<label>", label))
        written = b""
        for kind, name, content in parts:
            head = (
                f"--{cls.BOUNDARY}\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: binary\r\nContent-ID: {name}"
            )
            written += head.encode() + b"\r\n\r\n" + content + b"\r\n"
        return written + f"--{cls.BOUNDARY}--".encode()

    @classmethod
    def _fault(cls, asked: Any) -> tuple[str, str] | None:
        if asked.get("password") != PASSWORD:
            return "30000", "Identifiant ou mot de passe invalide"
        letter = asked["letter"]
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", letter["service"].get("depositDate", "")):
            return "30010", "La date de dépôt n'a pas été transmise"
        if not 0 < letter["parcel"].get("weight", 0) <= 30:
            return "30401", "Le poids du colis est incorrect"
        faults = [
            fault
            for role, code in (("sender", "301"), ("addressee", "302"))
            if (fault := cls._address_fault(letter[role]["address"], code))
        ]
        return faults[0] if faults else None

    @staticmethod
    def _address_fault(address: dict[str, Any], code: str) -> tuple[str, str] | None:
        if not address.get("line2"):
            return f"{code}04", "Le numéro / libellé de voie n'a pas été transmis"
        if any(len(address.get(name) or "") > 35 for name in ("line0", "line1", "line2", "line3")):
            return f"{code}08", "Une ligne d'adresse dépasse 35 caractères"
        if not re.fullmatch(r"(\+33[67]\d{8})?", address.get("mobileNumber") or ""):
            return f"{code}16", "Le numéro de portable est incorrect"
        return None

    def _track(self, numbers: list[str]) -> Answer:
        told: list[Any] = []
        for number in numbers:
            if number in self.history:
                events = [each._asdict() for each in self.history[number]]
                told.append({"lang": "fr_FR", "returnCode": 200, "shipment": {"idShip": number, "event": events}})
            else:
                told.append({"returnCode": 404, "returnMessage": "Ressource non trouvée", "idShip": number})
        alone = len(told) == 1
        status = 207 if not alone else told[0]["returnCode"]
        return status, "application/json", orjson.dumps(told[0] if alone else told)


class Chronopost(Pretend):
    """SOAP, with operations in the namespaces of its services and nowhere else."""

    SOAP: ClassVar = "http://schemas.xmlsoap.org/soap/envelope/"
    SERVICES: ClassVar = {
        "ShippingServiceWS": "shipping",
        "TrackingServiceWS": "tracking",
        "QuickcostServiceWS": "quickcost",
    }

    def respond(self, path: str, body: bytes) -> Answer:
        namespace = f"http://cxf.{self.SERVICES[path.rpartition('/')[2]]}.soap.chronopost.fr/"
        (operation,) = etree.fromstring(body).find(f"{{{self.SOAP}}}Body")
        name = etree.QName(operation)
        if name.namespace != namespace:
            return self._fault("soap:Client", f"Unexpected element {operation.tag}")
        asked = {element.tag: element.text for element in operation.iter() if not len(element)}
        self.asked.append(asked)
        code, message = self.refusal or self._wrong(name.localname, asked) or ("0", "")
        inner = f"<errorCode>{code}</errorCode><errorMessage>{message}</errorMessage>"
        if code == "0":
            inner += getattr(self, f"_{name.localname}")(asked)
        response = f"ns1:{name.localname}Response"
        return self._soap(f'<{response} xmlns:ns1="{namespace}"><return>{inner}</return></{response}>')

    def _wrong(self, operation: str, asked: dict[str, Any]) -> tuple[str, str] | None:
        if operation != "trackSkybillV2" and asked.get("password") != PASSWORD:
            return "3", "Compte ou mot de passe incorrect"
        if operation != "shippingMultiParcelV5":
            return None
        for role in ("shipper", "customer", "recipient"):
            for name, most in (("Name", 100), ("Adress1", 38), ("City", 50), ("ZipCode", 9)):
                if not 0 < len(asked.get(f"{role}{name}") or "") <= most:
                    return "33", f"{role}{name} est incorrect"
            if len(asked.get(f"{role}Adress2") or "") > 38:
                return "32", f"{role}Adress2 est trop long"
        return None

    def _shippingMultiParcelV5(self, _asked: dict[str, Any]) -> str:  # noqa: N802  the operation's name
        label = b64encode(self.pdf).decode()
        return (
            f"<resultMultiParcelValue><pdfEtiquette>{label}</pdfEtiquette>"
            f"<skybillNumber>XY{len(self.asked):09d}FR</skybillNumber></resultMultiParcelValue>"
        )

    def _trackSkybillV2(self, asked: dict[str, Any]) -> str:  # noqa: N802
        told = "".join(
            f"<events><code>{each.code}</code><eventDate>{each.date}</eventDate><eventLabel>{each.label}</eventLabel></events>"
            for each in self.history.get(asked["skybillNumber"], ())
        )
        return f"<listEventInfoComp>{told}<skybillNumber>{asked['skybillNumber']}</skybillNumber></listEventInfoComp>"

    def _cancelSkybill(self, _asked: dict[str, Any]) -> str:  # noqa: N802
        return "<statusCode>0</statusCode>"

    def _calculateProducts(self, _asked: dict[str, Any]) -> str:  # noqa: N802
        return "<productList><productCode>1</productCode></productList>"

    def _fault(self, code: str, said: str) -> Answer:
        _, kind, body = self._soap(
            f"<soap:Fault><faultcode>{code}</faultcode><faultstring>{said}</faultstring></soap:Fault>"
        )
        return 500, kind, body

    def _soap(self, body: str) -> Answer:
        envelope = f'<soap:Envelope xmlns:soap="{self.SOAP}"><soap:Body>{body}</soap:Body></soap:Envelope>'
        return 200, "text/xml;charset=UTF-8", envelope.encode()


@contextmanager
def speaking(pretend: Pretend) -> Iterator[None]:
    """It answers until the end of the block."""

    class _Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            pretend.headers.append(dict(self.headers))
            pretend.paths.append(self.path)
            status, kind, content = pretend.answer or pretend.respond(self.path, body)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Nothing: tests read what was asked."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    pretend.url = f"http://127.0.0.1:{server.server_port}"
    with serving(server):
        yield
