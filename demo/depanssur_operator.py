"""The pretend operator of home repair: ``python -m demo.depanssur_operator``. Its page, ``/``, moves claims.

It tells the CRM of claims by signed webhooks, takes what the CRM tells it (``POST /webhooks``), and answers a file that
was declared there with ``claim.updated``. ``GET /files?state=open`` lists its open files; ``/_state`` shows everything.

``POST /_control`` has it misbehave: ``{"repeat": 3}`` sends each event so often, ``{"reorder": true}`` gathers events
and sends them in a random order with ``{"flush": true}``, ``{"delay": 2}`` waits, ``{"signature": "wrong"}`` signs with
another secret, ``{"back": "OP-1"}`` tells an old revision of a file again as news, ``{"burst": 500, "cover": "V-1"}``
tells as much at once, ``{"mode": "down"}`` takes nothing.

Environment: OPERATOR_PORT (default 8086), DEPANSSUR_OPERATOR_SECRET, PUBLIC_URL (the CRM's), CRM_HOME (the files are
kept there), CRM_NOW (where its clock starts).
"""

import base64
import contextlib
import hashlib
import os
import queue
import random
import signal
import sys
import threading
import time
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

import orjson
from flask import Flask, Response, redirect, render_template_string, request
from werkzeug.exceptions import HTTPException
from werkzeug.serving import BaseWSGIServer, make_server

from demo.depanssur_client import send, verify
from demo.sms_gateway import in_paris
from demo.winleadplus_api import QuietHandler, as_json
from webapp import clock

SENDERS: Final = 8
"""Messages that are under way at once."""
WAITS: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before each further try of what was not taken."""
SHOWN: Final = 40
OPEN: Final = ("declared", "in_progress")
WRONG: Final = "whsec_" + base64.b64encode(b"somebody else's secret, 32 bytes").decode()
PDF: Final = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
TRADES: Final = {
    "plumbing": "Plomberie",
    "electricity": "Électricité",
    "locksmith": "Serrurerie",
    "heating": "Chauffage",
    "glazing": "Vitrerie",
    "appliances": "Électroménager",
}


def operator_id(secret: str) -> UUID:
    """The id that it has in the CRM."""
    return uuid5(NAMESPACE_URL, f"depanssur:{secret}")


def derived(secret: str, purpose: str) -> str:
    """One of the secrets that it shares with the CRM, made from the one of this home."""
    return "whsec_" + base64.b64encode(hashlib.sha256(f"{purpose}|{secret}".encode()).digest()).decode()


@dataclass
class Desk:
    """Its files by their numbers, what it sent and got, and how it behaves."""

    secret: str
    crm_url: str
    url: str = "http://127.0.0.1:8086"
    journal: Path | None = None
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    past: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    decisions: dict[str, Any] = field(default_factory=dict)
    sent: list[dict[str, Any]] = field(default_factory=list)
    heard: list[dict[str, Any]] = field(default_factory=list)
    repeat: int = 1
    delay: float = 0.0
    reorder: bool = False
    signature: str = "right"
    mode: str = "ok"
    held: list[dict[str, Any]] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    waiting: "queue.Queue[dict[str, Any]]" = field(default_factory=queue.Queue)

    def __post_init__(self) -> None:
        if self.journal and self.journal.exists():
            kept = orjson.loads(self.journal.read_bytes())
            self.files, self.past, self.decisions = kept["files"], kept["past"], kept["decisions"]

    def start(self) -> None:
        """Send what waits, in threads of its own."""
        for _ in range(SENDERS):
            threading.Thread(target=self._send_for_ever, daemon=True).start()

    def declare(self, cover: str, trade: str = "plumbing", asked: str | None = None, words: str = "") -> dict[str, Any]:
        """Open a file and tell of it."""
        today = clock.today().isoformat()
        with self.lock:
            number = f"OP-{len(self.files) + 1}-{uuid4().hex[:4]}"
            self.files[number] = {
                "external_id": number,
                "revision": 0,
                "reference": None,
                "cover": cover,
                "state": "declared",
                "trade": trade,
                "event_on": today,
                "declared_on": today,
                "asked": asked,
                "words": words or "Fuite sous l’évier.",
                "interventions": [],
                "documents": [],
                "satisfaction": None,
            }
            return self.tell(number, "claim.declared")

    def schedule(self, number: str) -> dict[str, Any]:
        """Plan a visit for tomorrow."""
        with self.lock:
            file = self.files[number]
            visit = {
                "external_id": f"{number}-{len(file['interventions']) + 1}",
                "scheduled_at": (clock.now() + timedelta(days=1)).isoformat(timespec="seconds"),
                "done_at": None,
                "craftsman": "Karim Benali",
                "note": "Apporter un siphon.",
            }
            file["interventions"].append(visit)
            file["state"] = "in_progress"
            return self.tell(number, "intervention.scheduled")

    def intervene(self, number: str) -> dict[str, Any]:
        """The last visit that was planned takes place; one that nobody planned, else. A report is added."""
        with self.lock:
            file = self.files[number]
            if not file["interventions"]:
                self.schedule(number)
            file["interventions"][-1]["done_at"] = clock.now().isoformat(timespec="seconds")
            file["asked"] = file["asked"] or "180.00"
            return self.tell(number, "intervention.done")

    def document(self, number: str) -> dict[str, Any]:
        """Add a report, to be fetched here."""
        with self.lock:
            file = self.files[number]
            place = len(file["documents"]) + 1
            link = f"{self.url}/files/{number}/documents/{place}.pdf"
            file["documents"].append(
                {"external_id": f"{number}-d{place}", "name": f"Rapport {number}-{place}.pdf", "url": link}
            )
            return self.tell(number, "document.added")

    def close(self, number: str) -> dict[str, Any]:
        """It is done."""
        with self.lock:
            file = self.files[number]
            file["state"], file["asked"] = "closed", file["asked"] or "180.00"
            return self.tell(number, "claim.closed")

    def cancel(self, number: str) -> dict[str, Any]:
        """Nothing comes of it."""
        with self.lock:
            self.files[number]["state"] = "canceled"
            return self.tell(number, "claim.canceled")

    def reopen(self, number: str) -> dict[str, Any]:
        """It leaks again."""
        with self.lock:
            self.files[number]["state"] = "in_progress"
            return self.tell(number, "claim.reopened")

    def ask(self, number: str, score: int = 9, comment: str = "Rapide et soigné.") -> dict[str, Any]:
        """The client says how it was."""
        with self.lock:
            answer = {"score": score, "comment": comment, "answered_at": clock.now().isoformat(timespec="seconds")}
            self.files[number]["satisfaction"] = answer
            return self.tell(number, "satisfaction.answered")

    def tell(self, number: str, kind: str) -> dict[str, Any]:
        """The next revision of a file, on its way to the CRM."""
        with self.lock:
            file = self.files[number]
            file["revision"] += 1
            claim = deepcopy(file)
            self.past.setdefault(number, []).append(claim)
            self._keep()
            return self.send(kind, claim)

    def send(self, kind: str, claim: dict[str, Any]) -> dict[str, Any]:
        """Put an event on its way as the desk behaves now."""
        event = {"version": "1", "type": kind, "occurred_at": clock.now().isoformat(), "data": {"claim": claim}}
        message = {"id": f"msg_{uuid4().hex}", "event": event, "signature": self.signature, "status": None}
        with self.lock:
            self.sent.append(message)
            del self.sent[:-2000]
            if self.reorder:
                self.held += [message] * self.repeat
            else:
                for _ in range(self.repeat):
                    self.waiting.put(message)
        return message

    def flush(self) -> int:
        """Send what was gathered, in a random order."""
        with self.lock:
            gathered, self.held = self.held, []
            random.shuffle(gathered)
            for message in gathered:
                self.waiting.put(message)
            return len(gathered)

    def tell_back(self, number: str) -> None:
        """An old revision, as if it were news."""
        self.send("claim.updated", deepcopy(self.past[number][0]))

    def burst(self, size: int, cover: str) -> None:
        """So many events at once: files that are declared, visited and closed."""
        while size > 0:
            number = self.declare(cover)["event"]["data"]["claim"]["external_id"]
            for step in (self.schedule, self.intervene, self.close, self.ask)[: size - 1]:
                step(number)
            size -= 5

    def hear(self, event: dict[str, Any]) -> None:
        """Take what the CRM tells; a file that it declared becomes one of ours, and is answered."""
        claim = event["data"]["claim"]
        with self.lock:
            self.heard.append({"at": clock.now().isoformat(), "event": event})
            del self.heard[:-500]
            number = claim["external_id"] or self._number_of(claim["reference"])
            if event["type"] == "claim.declared" and number is None:
                number = self._take(claim)
                self.tell(number, "claim.updated")
            if number is not None:
                self.decisions[number] = claim["decision"]
                self._keep()

    def _number_of(self, reference: str) -> str | None:
        return next((number for number, file in self.files.items() if file["reference"] == reference), None)

    def _take(self, claim: dict[str, Any]) -> str:
        number = f"OP-{len(self.files) + 1}-{uuid4().hex[:4]}"
        names = ("reference", "cover", "trade", "event_on", "declared_on", "asked", "words")
        self.files[number] = {name: claim[name] for name in names} | {
            "external_id": number,
            "revision": 0,
            "state": "declared",
            "interventions": [],
            "documents": [],
            "satisfaction": None,
        }
        return number

    def control(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """Change how it behaves, and do what is asked for. Raises KeyError, ValueError, TypeError."""
        with self.lock:
            self.repeat = int(wanted.get("repeat", self.repeat))
            self.delay = float(wanted.get("delay", self.delay))
            self.reorder = bool(wanted.get("reorder", self.reorder))
            self.signature = str(wanted.get("signature", self.signature))
            self.mode = str(wanted.get("mode", self.mode))
        if "back" in wanted:
            self.tell_back(wanted["back"])
        if "burst" in wanted:
            self.burst(int(wanted["burst"]), str(wanted.get("cover", "V-1")))
        if wanted.get("flush"):
            self.flush()
        names = ("repeat", "delay", "reorder", "signature", "mode")
        return {name: getattr(self, name) for name in names} | {"held": len(self.held)}

    def verifies(self, headers: dict[str, str], body: bytes) -> bool:
        """Whether the CRM signed a message."""
        return verify([derived(self.secret, "delivery")], headers, body, at=clock.now().timestamp())

    def _keep(self) -> None:
        if self.journal:
            fresh = self.journal.with_suffix(".new")
            fresh.write_bytes(orjson.dumps({"files": self.files, "past": self.past, "decisions": self.decisions}))
            fresh.replace(self.journal)

    def _send_for_ever(self) -> None:
        while True:
            self._send(self.waiting.get())

    def _send(self, message: dict[str, Any]) -> None:
        time.sleep(self.delay)
        secret = WRONG if message["signature"] == "wrong" else derived(self.secret, "webhook")
        address = f"{self.crm_url}/webhooks/depanssur/{operator_id(self.secret)}"
        for wait in (0.0, *WAITS):
            time.sleep(wait)
            try:
                message["status"] = send(
                    address, secret, message["event"], message_id=message["id"], at=clock.now().timestamp()
                )
            except OSError as error:
                message["status"] = str(error)
                continue
            if message["status"] != 429 and message["status"] < 500:
                return


PAGE: Final = """<!doctype html>
<html lang="fr">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Opérateur fictif</title>
  <style>
    :root { color-scheme: light dark; }
    body { font: 1rem/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
    div { overflow-x: auto; }
    table { border-collapse: collapse; width: 100%; }
    th, td { border-bottom: 1px solid #888; padding: .4rem .6rem; text-align: left; vertical-align: top; }
    form { display: inline-block; margin: 0 .5rem .5rem 0; }
    button, input, select { font: inherit; padding: .3rem .6rem; }
    label { margin-right: .75rem; }
  </style>
</head>
<body>
  <h1>Opérateur fictif</h1>
  <p>Personne n’intervient. Mode\u202f: {{ desk.mode }}, répétition\u202f: {{ desk.repeat }}.</p>
  {% if said %}<p role="status"><strong>{{ said }}</strong></p>{% endif %}
  <h2>Déclarer un sinistre</h2>
  <form method="post" action="/actes/declare">
    <label>Couverture <input name="cover" value="{{ cover }}" size="8" required></label>
    <label>Métier <select name="trade">
      {% for value, text in trades.items() %}<option value="{{ value }}">{{ text }}</option>{% endfor %}
    </select></label>
    <label>Montant (180.00) <input name="asked" size="8"></label>
    <label>Mots du client <input name="words" size="30"></label>
    <button>Déclarer</button>
  </form>
  <h2>Dossiers</h2>
  {% if files %}
  <div>
  <table>
    <thead><tr><th scope="col">N°</th><th scope="col">Couverture</th><th scope="col">État</th>
      <th scope="col">Décision du CRM</th><th scope="col">Actions</th></tr></thead>
    <tbody>
      {% for file in files %}
      <tr data-number="{{ file.external_id }}">
        <td>{{ file.external_id }}{% if file.reference %}<br>{{ file.reference }}{% endif %}</td>
        <td>{{ file.cover }}<br>{{ trades.get(file.trade, file.trade) }}
          {{ "· " ~ file.asked ~ "\u00a0€" if file.asked }}</td>
        <td>{{ file.state }}<br>révision {{ file.revision }}</td>
        <td>{% if desk.decisions.get(file.external_id) %}{{ desk.decisions[file.external_id].outcome }}
          · {{ desk.decisions[file.external_id].covered }}\u00a0€{% endif %}</td>
        <td>
          {% for act, words in acts.items() %}
          <form method="post" action="/actes/{{ act }}">
            <input type="hidden" name="number" value="{{ file.external_id }}"><button>{{ words }}</button>
          </form>
          {% endfor %}
        </td>
      </tr>
      {% endfor %}
    </tbody>
  </table>
  </div>
  {% else %}<p>Aucun pour l’instant.</p>{% endif %}
  <h2>Derniers envois</h2>
  <div>
  <table>
    <thead><tr><th scope="col">Instant</th><th scope="col">Type</th><th scope="col">Dossier</th>
      <th scope="col">Réponse</th></tr></thead>
    <tbody>
      {% for message in sent %}
      <tr><td>{{ in_paris(message.event.occurred_at) }}</td><td>{{ message.event.type }}</td>
        <td>{{ message.event.data.claim.external_id }}</td>
        <td>{{ message.status if message.status is not none else "…" }}</td></tr>
      {% endfor %}
    </tbody>
  </table>
  </div>
</body>
</html>
"""
ACTS: Final = {
    "schedule": "Rendez-vous",
    "intervene": "Intervention",
    "document": "Document",
    "close": "Clore",
    "ask": "Enquête",
    "reopen": "Rouvrir",
    "cancel": "Annuler",
}


def create_app(desk: Desk) -> Flask:
    """The WSGI application, apart from the process around it."""
    app = Flask("demo.depanssur_operator", static_folder=None)

    @app.errorhandler(HTTPException)
    def show_error(error: HTTPException) -> Response:
        return as_json(error.code or 500, {"error": error.name})

    add_page(app, desk)
    add_control(app, desk)

    @app.post("/webhooks")
    def hear() -> Response:
        body = request.get_data()
        if desk.mode == "down":
            return as_json(503, {"error": "unavailable"})
        if not desk.verifies({name.lower(): value for name, value in request.headers}, body):
            return as_json(401, {"error": "unsigned"})
        desk.hear(orjson.loads(body))
        return as_json(202, {})

    @app.get("/files")
    def list_files() -> Response:
        wanted = request.args.get("state", "")
        states = OPEN if wanted == "open" else (wanted,) if wanted else (*OPEN, "closed", "canceled")
        with desk.lock:
            files = [file for file in desk.files.values() if file["state"] in states and file["revision"]]
        return as_json(200, [{name: file[name] for name in ("external_id", "revision", "state")} for file in files])

    @app.get("/files/<number>/documents/<path:_name>")
    def show_document(number: str, _name: str) -> tuple[Response, int] | Response:
        if number not in desk.files:
            return as_json(404, {"error": "not_found"})
        return Response(PDF, content_type="application/pdf")

    return app


def add_page(app: Flask, desk: Desk) -> None:
    """What a person does at the desk."""

    @app.get("/")
    def show() -> str:
        with desk.lock:
            files = list(reversed(desk.files.values()))[:SHOWN]
            return render_template_string(
                PAGE,
                desk=desk,
                files=files,
                sent=list(reversed(desk.sent))[:SHOWN],
                cover=files[0]["cover"] if files else "V-1",
                trades=TRADES,
                acts=ACTS,
                in_paris=in_paris,
                said=request.args.get("fait", ""),
            )

    @app.post("/actes/declare")
    def declare() -> Response:
        form = request.form
        sent = desk.declare(form["cover"].strip(), form["trade"], form["asked"].strip() or None, form["words"])
        return _back(f"Sinistre {sent['event']['data']['claim']['external_id']} déclaré.")

    @app.post("/actes/<any(schedule, intervene, document, close, ask, reopen, cancel):act>")
    def act(act: str) -> Response:
        number = request.form["number"]
        getattr(desk, act)(number)
        return _back(f"{ACTS[act]}\u202f: {number}.")


def add_control(app: Flask, desk: Desk) -> None:
    """What whoever tries the CRM may ask and order."""

    @app.get("/_state")
    def show_state() -> Response:
        with desk.lock:
            state = {"files": desk.files, "decisions": desk.decisions, "sent": desk.sent, "heard": desk.heard}
            return as_json(200, {**state, "waiting": desk.waiting.qsize()})

    @app.route("/_control", methods=["GET", "POST"])
    def control() -> Response:
        try:
            return as_json(200, desk.control(request.get_json(force=True) if request.method == "POST" else {}))
        except (KeyError, ValueError, TypeError) as error:
            return as_json(400, {"error": "bad_request", "message": str(error)})


def _back(said: str) -> Response:
    return redirect(f"/?fait={said}", 303)  # type: ignore[return-value]


def start(desk: Desk, port: int) -> BaseWSGIServer:
    """A threaded server on loopback: nobody else may see `/_control`."""
    desk.start()
    return make_server("127.0.0.1", port, create_app(desk), threaded=True, request_handler=QuietHandler)


def main() -> int:
    """Serve until told to stop."""
    home, port = Path(os.environ.get("CRM_HOME") or ".local"), int(os.environ.get("OPERATOR_PORT") or 8086)
    if now := os.environ.get("CRM_NOW"):
        clock.start_at(datetime.fromisoformat(now))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    desk = Desk(
        secret=os.environ["DEPANSSUR_OPERATOR_SECRET"],
        crm_url=os.environ.get("PUBLIC_URL", "http://127.0.0.1:8000"),
        url=f"http://127.0.0.1:{port}",
        journal=home / "operator.json",
    )
    server = start(desk, port)
    print(f"operator: http://127.0.0.1:{server.port}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
