"""The pretend carrier: ``python -m demo.carrier``. What it labelled stands on its page, ``/``. It carries nothing.

``POST /labels`` makes a label. Its ``Idempotency-Key`` is honoured: asked again, the same label is answered. ``GET
/labels?key=…`` finds one, ``POST /cancellations`` calls one off that has not left. ``GET /tracking?numbers=a,b`` tells
how far parcels have come: a step every ``step`` seconds, and one more for each ``{"advance": 1}``.

``POST /_control`` has it misbehave (``{"mode": "refuse", "times": 1}``, see MODES). ``GET /_ledger`` lists all that it
labelled, ``DELETE /_ledger`` forgets it.

Environment: CARRIER_PORT (default 8085), CRM_HOME (the ledger is kept there, so that a restart forgets nothing).
"""

import contextlib
import os
import random
import signal
import socket
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import orjson
from flask import Flask, Response, render_template_string, request
from werkzeug.exceptions import HTTPException
from werkzeug.serving import BaseWSGIServer, make_server

from demo.carrier_label import draw_label
from demo.sms_gateway import in_paris
from demo.winleadplus_api import QuietHandler, as_json
from webapp import clock

MODES: Final = {
    "ok": "labels at once",
    "slow": "labels, and answers after `delay`",
    "refuse": "refuses for `reason`, and labels nothing",
    "error": "answers 500, and labels nothing",
    "timeout": "labels, says nothing for `delay`, and hangs up",
    "drop": "hangs up, and labels nothing",
    "no_pdf": "labels, with something that is no PDF",
    "heavy": "labels, with a PDF of 3 MB",
    "down": "answers 503 to everything",
    "chaos": "one of the others by chance, decided by `seed` and the key",
}
CHAOS: Final = ("ok",) * 6 + ("slow", "refuse", "error", "timeout", "drop")
STEPS: Final = (
    ("PRIS_EN_CHARGE", "Colis pris en charge", "in_transit"),
    ("PLATEFORME", "Colis arrivé sur la plateforme", "in_transit"),
    ("EN_LIVRAISON", "Colis en cours de livraison", "in_transit"),
)
ENDS: Final = {
    "delivered": ("LIVRE", "Colis livré", "delivered"),
    "returned": ("RETOUR", "Colis retourné à l’expéditeur", "returned"),
    "lost": ("PERDU", "Colis déclaré perdu", "lost"),
}
LARGEST_WEIGHT: Final = 30_000
PAGE: Final = """<!doctype html>
<html lang="fr">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Transporteur – bac à sable</title>
  <style>
    :root { color-scheme: light dark; }
    body { font: 1rem/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
    div { overflow-x: auto; }
    table { border-collapse: collapse; width: 100%; }
    th, td { border-bottom: 1px solid #888; padding: .4rem .6rem; text-align: left; vertical-align: top; }
  </style>
</head>
<body>
  <h1>Étiquettes du transporteur fictif</h1>
  <p>Rien n’est transporté. Mode\u202f: {{ carrier.mode }}. Étiquettes\u202f: {{ labels | length }}.</p>
  {% if labels %}
  <div>
  <table>
    <thead>
      <tr>
        <th scope="col">Numéro</th><th scope="col">Faite le</th><th scope="col">Référence</th>
        <th scope="col">Destinataire</th><th scope="col">Où en est le colis</th>
      </tr>
    </thead>
    <tbody>
      {% for label in labels | reverse %}
      {% set recipient = label.asked.recipient %}
      <tr>
        <td><a href="/labels/{{ label.tracking_number }}.pdf">{{ label.tracking_number }}</a></td>
        <td><time datetime="{{ label.at }}">{{ in_paris(label.at) }}</time></td>
        <td>{{ label.asked.reference }}</td>
        <td>{{ recipient.name }}, {{ recipient.postcode }} {{ recipient.town }}</td>
        <td>{{ "Étiquette annulée" if label.canceled else label.events[-1].words }}</td>
      </tr>
      {% endfor %}
    </tbody>
  </table>
  </div>
  {% else %}<p>Aucune pour l’instant.</p>{% endif %}
</body>
</html>
"""

Label = dict[str, Any]


class BadOrderError(ValueError):
    """What was ordered makes no sense; the message says which part."""


@dataclass
class Carrier:
    """All that it labelled, by number, and how it behaves. ``delay`` and ``step`` are in seconds."""

    journal: Path | None = None
    mode: str = "ok"
    reason: str = "Adresse inconnue de nos services."
    fate: str = "delivered"
    """How the parcels end that are labelled from now on; see ENDS."""
    delay: float = 3.0
    step: float = 600.0
    seed: int = 0
    times: int | None = None
    """How many more requests meet the mode; None: all."""
    labels: dict[str, Label] = field(default_factory=dict)
    by_key: dict[str, str] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        if self.journal and self.journal.exists():
            for line in self.journal.read_bytes().splitlines():
                with contextlib.suppress(ValueError):  # cut off by kill -9: it was never answered
                    self._know(orjson.loads(line))

    def next_mode(self, key: str) -> str:
        """How the next request for a label fares."""
        with self.lock:
            if self.times is not None:
                self.times -= 1
                if self.times < 0:
                    self.mode, self.times = "ok", None
            if self.mode == "chaos":
                return random.Random(f"{self.seed}|{key}").choice(CHAOS)
            return self.mode

    def make(self, key: str, asked: Mapping[str, Any]) -> Label:
        """The label of that key: the one that there is, or a new one, which is written down before anybody knows."""
        with self.lock:
            if known := self.by_key.get(key):
                return self.labels[known]
            number = f"BS{len(self.labels) + 1:09d}FR"
            announced = _event("ANNONCE", "Le transporteur attend le colis", "announced")
            label = {
                "tracking_number": number,
                "key": key,
                "at": announced["at"],
                "canceled": False,
                "fate": self.fate,
                "asked": dict(asked),
                "events": [announced],
            }
            self._write(label)
            return label

    def cancel(self, number: str) -> str | None:
        """Call a label off; why not, where it cannot be."""
        with self.lock:
            label = self._moved(number)
            if label is None:
                return "Numéro inconnu."
            if len(label["events"]) > 1:
                return "Le colis est déjà pris en charge."
            self._write(label | {"canceled": True})
            return None

    def look(self, number: str, *, ahead: int = 0) -> Label | None:
        """A label as far as its parcel has come; ``ahead`` moves it by so many steps more."""
        with self.lock:
            return self._moved(number, ahead)

    def forget(self) -> None:
        """Begin anew."""
        with self.lock:
            self.labels.clear()
            self.by_key.clear()
            if self.journal:
                self.journal.unlink(missing_ok=True)

    def order(self, wanted: Any) -> dict[str, Any]:
        """Change how it behaves, and tell. Raises BadOrderError, and changes nothing then."""
        kept = ("mode", "reason", "fate", "delay", "step", "seed", "times")
        if not isinstance(wanted, dict) or (unknown := set(wanted) - {*kept, "advance"}):
            raise BadOrderError(f"unknown: {sorted(unknown)}" if isinstance(wanted, dict) else "not an object")
        behaviour = {name: getattr(self, name) for name in kept}
        if "mode" in wanted:
            behaviour["times"] = None
        behaviour |= {name: value for name, value in wanted.items() if name in kept}
        _check(behaviour)
        advance = wanted.get("advance", 0)
        if not isinstance(advance, int) or not 0 <= advance <= 10:
            raise BadOrderError("advance is a number of steps, 0 to 10")
        with self.lock:
            for name, value in behaviour.items():
                setattr(self, name, value)
            for number in list(self.labels) if advance else []:
                self._moved(number, advance)
        return behaviour

    def _moved(self, number: str, ahead: int = 0) -> Label | None:
        label = self.labels.get(number)
        if label is None or label["canceled"]:
            return label
        events = label["events"]
        way = (*STEPS, ENDS[label["fate"]])
        since = (clock.now() - datetime.fromisoformat(events[-1]["at"])).total_seconds()
        coming = way[len(events) - 1 :][: ahead + int(since // self.step)]
        if coming:
            label = label | {"events": [*events, *(_event(*each) for each in coming)]}
            self._write(label)
        return label

    def _write(self, label: Label) -> None:
        """Into the journal first: what was answered is never forgotten, wherever this process is ended."""
        if self.journal:
            with self.journal.open("ab") as journal:
                journal.write(orjson.dumps(label) + b"\n")
        self._know(label)

    def _know(self, label: Label) -> None:
        self.labels[label["tracking_number"]] = label
        self.by_key[label["key"]] = label["tracking_number"]


def _event(code: str, words: str, status: str) -> dict[str, str]:
    return {"at": clock.now().isoformat(timespec="seconds"), "code": code, "words": words, "status": status}


def _check(behaviour: Mapping[str, Any]) -> None:
    for name, allowed in (("mode", MODES), ("fate", ENDS)):
        if behaviour[name] not in allowed:
            raise BadOrderError(f"{name} is one of {', '.join(allowed)}")
    for name, least in (("delay", 0), ("step", 1)):
        if not isinstance(behaviour[name], int | float) or not least <= behaviour[name] <= 86_400:
            raise BadOrderError(f"{name} is a number of seconds, {least} to 86400")
    if not isinstance(behaviour["seed"], int) or not isinstance(behaviour["reason"], str):
        raise BadOrderError("seed is a whole number, reason a text")
    if behaviour["times"] is not None and not isinstance(behaviour["times"], int):
        raise BadOrderError("times is a whole number")


def create_app(carrier: Carrier) -> Flask:
    """The WSGI application, apart from the process around it."""
    app = Flask("demo.carrier", static_folder=None)

    @app.errorhandler(HTTPException)
    def show_error(error: HTTPException) -> Response:
        return as_json(error.code or 500, {"message": error.name})

    @app.before_request
    def be_down() -> Response | None:
        is_control = request.path == "/" or request.path.startswith("/_")
        return as_json(503, {"message": "Service arrêté."}) if carrier.mode == "down" and not is_control else None

    @app.get("/")
    def show() -> str:
        labels = [carrier.look(number) for number in list(carrier.labels)]
        return render_template_string(PAGE, carrier=carrier, labels=labels, in_paris=in_paris)

    add_labels(app, carrier)
    add_parcels(app, carrier)
    add_control(app, carrier)
    return app


def add_labels(app: Flask, carrier: Carrier) -> None:
    """Making labels, and finding them again."""

    @app.post("/labels")
    def create() -> Response:
        key, asked = request.headers.get("Idempotency-Key", ""), request.get_json(force=True)
        fault = "Une clé est attendue." if not key else fault_of(asked)
        if fault:
            return as_json(422, {"message": fault})
        return answer(carrier, key, asked)

    @app.get("/labels")
    def find() -> Response:
        number = carrier.by_key.get(request.args.get("key", ""))
        return as_json(200, {"labels": [told(carrier.labels[number])] if number else []})

    @app.get("/labels/<number>.pdf")
    def show_label(number: str) -> Response:
        label = carrier.labels.get(number)
        if label is None:
            return as_json(404, {"message": "Numéro inconnu."})
        return Response(draw_label(number, label["asked"]), mimetype="application/pdf")


def add_parcels(app: Flask, carrier: Carrier) -> None:
    """What becomes of parcels."""

    @app.post("/cancellations")
    def cancel() -> Response:
        asked = request.get_json(force=True)
        fault = carrier.cancel(str(asked.get("tracking_number"))) if isinstance(asked, dict) else "Numéro attendu."
        return as_json(409, {"message": fault}) if fault else as_json(200, {})

    @app.get("/tracking")
    def track() -> Response:
        numbers = request.args.get("numbers", "").split(",")
        if len(numbers) > 10:
            return as_json(422, {"message": "Dix numéros au plus."})
        found = [label for number in numbers if (label := carrier.look(number))]
        return as_json(
            200, {"parcels": [{name: each[name] for name in ("tracking_number", "events")} for each in found]}
        )


def add_control(app: Flask, carrier: Carrier) -> None:
    """What whoever tries the CRM may ask and order."""

    @app.route("/_control", methods=["GET", "POST"])
    def control() -> Response:
        try:
            return as_json(200, carrier.order(request.get_json(force=True) if request.method == "POST" else {}))
        except BadOrderError as error:
            return as_json(400, {"message": str(error)})

    @app.get("/_ledger")
    def list_labels() -> Response:
        return as_json(200, list(carrier.labels.values()))

    @app.delete("/_ledger")
    def forget() -> Response:
        carrier.forget()
        return as_json(200, [])


def fault_of(asked: Any) -> str | None:
    """Why nothing of the kind can be carried."""
    if not isinstance(asked, dict) or not isinstance(asked.get("recipient"), dict):
        return "Une demande d’étiquette est attendue."
    weight = asked.get("weight_g")
    if not isinstance(weight, int) or not 0 < weight <= LARGEST_WEIGHT:
        return "Le poids va de 1 à 30\u202f000 g."
    recipient = asked["recipient"]
    if not all(isinstance(recipient.get(name), str) and recipient[name] for name in ("name", "postcode", "town")):
        return "Le destinataire a un nom, un code postal et une ville."
    return None


def answer(carrier: Carrier, key: str, asked: Mapping[str, Any]) -> Response:
    """Make a label as the mode has it."""
    mode = carrier.next_mode(key)
    if mode == "refuse":
        return as_json(422, {"message": carrier.reason})
    if mode == "error":
        return as_json(500, {"message": "Erreur interne."})
    if mode == "drop":
        return _hang_up()
    label = carrier.make(key, asked)
    if mode in ("slow", "timeout"):
        time.sleep(carrier.delay)
    return _hang_up() if mode == "timeout" else as_json(200, told(label, mode))


def told(label: Label, mode: str = "ok") -> dict[str, str]:
    """A label as it is answered."""
    number = label["tracking_number"]
    content = b"<html>" if mode == "no_pdf" else draw_label(number, label["asked"])
    if mode == "heavy":
        content += b"%" + b" " * 3_000_000 + b"\n%%EOF\n"
    return {"tracking_number": number, "label": b64encode(content).decode()}


def _hang_up() -> Response:
    with contextlib.suppress(OSError):
        request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    return Response()


def start(carrier: Carrier, port: int) -> BaseWSGIServer:
    """A threaded server on loopback: nobody else may see `/_control`."""
    return make_server("127.0.0.1", port, create_app(carrier), threaded=True, request_handler=QuietHandler)


def main() -> int:
    """Serve until told to stop."""
    home = Path(os.environ.get("CRM_HOME") or ".local")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = start(Carrier(journal=home / "carrier.jsonl"), int(os.environ.get("CARRIER_PORT") or 8085))
    print(f"carrier: http://127.0.0.1:{server.port}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
