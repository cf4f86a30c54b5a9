"""The pretend SMS gateway: ``python -m demo.sms_gateway``. What it « sent » stands on its page, ``/``.

``POST /messages`` (``sender``, ``to``, ``text``) takes an SMS and answers its id. It knows no keys: whoever posts twice
sends twice. ``GET /_sent`` lists all as JSON, ``DELETE /_sent`` forgets them.

``POST /_control`` has it misbehave (``{"mode": "drop", "times": 1}``, see MODES), and says where it tells later what
became of each SMS (``{"webhook": "http://…"}``; nobody is told before). ``{"reply": "STOP", "to": "+336…"}`` lets the
owner of a number answer.

Environment: SMS_PORT (default 8084), CRM_HOME (the list is kept there, so that a restart forgets nothing).
"""

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import httpx
import orjson
from flask import Flask, Response, render_template_string, request
from werkzeug.exceptions import HTTPException
from werkzeug.serving import BaseWSGIServer, make_server

from demo.winleadplus_api import QuietHandler, as_json
from webapp import clock

MODES: Final = {
    "ok": "sends",
    "slow": "sends, and answers after `delay` seconds",
    "refuse": "refuses for `reason`",
    "drop": "sends, and hangs up without an answer",
    "lose": "hangs up, and sends nothing",
    "bounce": "sends, and tells later that it did not arrive",
    "down": "answers 503",
}
REASONS: Final = {
    "unknown_number": 422,
    "unwanted_text": 422,
    "unknown_sender": 403,
    "no_credit": 402,
    "too_many": 429,
}
TELLING: Final = (0.2, 1.0, 5.0)
"""Seconds before each try to tell what became of an SMS."""
PAGE: Final = """<!doctype html>
<html lang="fr">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>SMS – bac à sable</title>
  <style>
    :root { color-scheme: light dark; }
    body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
    table { border-collapse: collapse; width: 100%; }
    th, td { border-bottom: 1px solid #888; padding: .4rem .6rem; text-align: left; vertical-align: top; }
    td:last-child { white-space: pre-wrap; overflow-wrap: anywhere; }
  </style>
</head>
<body>
  <h1>SMS «\u00a0envoyés\u00a0»</h1>
  <p>Personne ne les reçoit. Mode\u202f: {{ gateway.mode }}</p>
  {% if gateway.sent %}
  <table>
    <thead><tr><th scope="col">Envoi</th><th scope="col">Texte</th></tr></thead>
    <tbody>
      {% for sms in gateway.sent | reverse %}
      <tr>
        <td><time datetime="{{ sms.at }}">{{ in_paris(sms.at) }}</time><br>{{ sms.sender }} →<br>{{ sms.to }}</td>
        <td>{{ sms.text }}</td>
      </tr>
      {% endfor %}
    </tbody>
  </table>
  {% else %}<p>Aucun pour l’instant.</p>{% endif %}
</body>
</html>
"""


@dataclass
class Gateway:
    """What it sent, and how it behaves."""

    journal: Path | None = None
    mode: str = "ok"
    reason: str = "unknown_number"
    delay: float = 2.0
    times: int | None = None
    """How many more SMS meet the mode; None: all."""
    webhook: str = ""
    sent: list[dict[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        if self.journal and self.journal.exists():
            self.sent = [orjson.loads(line) for line in self.journal.read_bytes().splitlines()]

    def next_mode(self) -> str:
        """How the next SMS fares."""
        with self.lock:
            if self.times is None:
                return self.mode
            self.times -= 1
            return self.mode if self.times >= 0 else "ok"

    def send(self, sms: dict[str, str]) -> dict[str, str]:
        """« Send » it."""
        with self.lock:
            number = int(self.sent[-1]["id"].removeprefix("sms-")) + 1 if self.sent else 1
            made = {"id": f"sms-{number}", "at": clock.now().isoformat(timespec="seconds"), **sms}
            self.sent.append(made)
            if self.journal:
                with self.journal.open("ab") as journal:
                    journal.write(orjson.dumps(made) + b"\n")
            return made

    def forget(self) -> None:
        """Begin anew."""
        with self.lock:
            self.sent.clear()
            if self.journal:
                self.journal.unlink(missing_ok=True)

    def order(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """Change how it behaves, and tell. Raises ValueError for what there is none of."""
        if wanted.get("mode", "ok") not in MODES or wanted.get("reason", "no_credit") not in REASONS:
            raise ValueError(f"mode is one of {', '.join(MODES)}; reason one of {', '.join(REASONS)}")
        with self.lock:
            if "mode" in wanted:
                self.mode, self.times = wanted["mode"], wanted.get("times")
            self.reason = wanted.get("reason", self.reason)
            self.delay = float(wanted.get("delay", self.delay))
            self.webhook = wanted.get("webhook", self.webhook)
        if "reply" in wanted:
            self.tell("replied", self.latest_to(wanted["to"]), str(wanted["reply"]))
        names = ("mode", "reason", "delay", "times", "webhook")
        return {name: getattr(self, name) for name in names}

    def latest_to(self, number: str) -> dict[str, str]:
        """What that number got last. Raises ValueError where it got nothing."""
        for sms in reversed(self.sent):
            if sms["to"] == number:
                return sms
        raise ValueError("nothing was sent to this number")

    def tell(self, event: str, sms: dict[str, str], text: str = "") -> None:
        """Tell whoever is to be told, in a thread of its own."""
        if self.webhook:
            told = {"event": event, "id": sms["id"], "to": sms["to"], "text": text, "at": clock.now().isoformat()}
            threading.Thread(target=_post, args=(self.webhook, told), daemon=True).start()


def _post(address: str, told: dict[str, str]) -> None:
    for wait in TELLING:
        time.sleep(wait)
        with contextlib.suppress(httpx.HTTPError):
            if httpx.post(address, json=told, timeout=5, trust_env=False).is_success:
                return


def create_app(gateway: Gateway) -> Flask:
    """The WSGI application, apart from the process around it."""
    app = Flask("demo.sms_gateway", static_folder=None)

    @app.errorhandler(HTTPException)
    def show_error(error: HTTPException) -> Response:
        return as_json(error.code or 500, {"error": error.name})

    add_control(app, gateway)

    @app.post("/messages")
    def take() -> Response:
        sms = sms_of(request.get_json(force=True))
        return answer(gateway, sms) if sms else as_json(400, {"error": "bad_request"})

    @app.get("/")
    def show() -> str:
        return render_template_string(PAGE, gateway=gateway, in_paris=in_paris)

    return app


def in_paris(instant: str) -> str:
    """An instant as people read it."""
    return datetime.fromisoformat(instant).astimezone(clock.PARIS).strftime("%d/%m/%Y %H:%M:%S")


def add_control(app: Flask, gateway: Gateway) -> None:
    """What whoever tries the CRM may ask and order."""

    @app.get("/_sent")
    def list_sent() -> Response:
        return as_json(200, gateway.sent)

    @app.delete("/_sent")
    def forget() -> Response:
        gateway.forget()
        return as_json(200, [])

    @app.route("/_control", methods=["GET", "POST"])
    def control() -> Response:
        try:
            return as_json(200, gateway.order(request.get_json(force=True) if request.method == "POST" else {}))
        except (ValueError, KeyError) as error:
            return as_json(400, {"error": "bad_request", "message": str(error)})


def sms_of(asked: Any) -> dict[str, str] | None:
    """What is to be sent; None where that is not said."""
    names = ("sender", "to", "text")
    if not isinstance(asked, dict) or not all(isinstance(asked.get(name), str) for name in names):
        return None
    return {name: asked[name] for name in names}


def answer(gateway: Gateway, sms: dict[str, str]) -> Response:
    """Send an SMS as the mode has it."""
    mode = gateway.next_mode()
    if mode == "refuse":
        return as_json(REASONS[gateway.reason], {"error": gateway.reason})
    if mode == "down":
        return as_json(503, {"error": "unavailable"})
    if mode == "lose":
        return _hang_up()
    made = gateway.send(sms)
    gateway.tell("bounced" if mode == "bounce" else "delivered", made)
    if mode == "drop":
        return _hang_up()
    if mode == "slow":
        time.sleep(gateway.delay)
    return as_json(200, {"id": made["id"]})


def _hang_up() -> Response:
    with contextlib.suppress(OSError):
        request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    return Response()


def start(gateway: Gateway, port: int) -> BaseWSGIServer:
    """A threaded server on loopback: nobody else may see `/_control`."""
    return make_server("127.0.0.1", port, create_app(gateway), threaded=True, request_handler=QuietHandler)


def main() -> int:
    """Serve until told to stop."""
    home = Path(os.environ.get("CRM_HOME") or ".local")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = start(Gateway(journal=home / "sms.jsonl"), int(os.environ.get("SMS_PORT") or 8084))
    print(f"sms: http://127.0.0.1:{server.port}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
