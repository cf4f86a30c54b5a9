"""A mail server on loopback that answers as it is told, for tests and by hand: ``python -m demo.smtp_server``.

A recipient's address says what happens to its message: ``552.lea@example.com`` gets the mode 552 (see MODES). Whatever
else is sent meets the mode that ``POST /_control`` set (``{"mode": "450", "times": 1, "delay": 2}``; with ``times``
only so many messages meet it). ``GET /_accepted`` lists what was taken on, ``GET /_accepted/<number>`` is one of them
as it came, ``DELETE /_accepted`` forgets them all; ``GET /_control`` also counts connections.

Environment: SMTP_PORT and SMTP_WEB_PORT (default 0: any free one), SMTP_SECURITY (none, starttls or tls) with
SMTP_CERTIFICATE and SMTP_KEY, SMTP_USERNAME and SMTP_PASSWORD (then nobody may send without).
"""

import asyncio
import contextlib
import os
import signal
import ssl
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from email import policy
from email.parser import BytesParser
from functools import partial
from typing import Any, Final

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from flask import Flask, Response, request
from werkzeug.serving import make_server

from demo.winleadplus_api import QuietHandler, as_json

MODES: Final = {
    "ok": "takes the message",
    "421": "closes the service when a recipient is named",
    "450": "refuses the recipient for now",
    "550": "has no such recipient",
    "552": "takes the recipient, and finds the message too big",
    "554": "takes the recipient, and does not like the message",
    "cut": "hangs up before it has asked for the content",
    "drop": "takes the message, and hangs up before it has said so",
    "slow": "takes the message, and says so after `delay` seconds",
}
_TO_RECIPIENT: Final = {
    "421": "421 4.3.2 Service shutting down",
    "450": "450 4.2.1 Mailbox busy",
    "550": "550 5.1.1 No such user here",
}
_TO_CONTENT: Final = {"552": "552 5.3.4 Message too big", "554": "554 5.7.1 Looks like spam"}
TAKEN: Final = "250 2.0.0 OK, queued"


@dataclass
class Desk:
    """What the server took on, and how it behaves."""

    mode: str = "ok"
    delay: float = 2.0
    times: int | None = None
    """How many messages still meet the mode; None: all."""
    connections: int = 0
    accepted: list[dict[str, Any]] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def mode_of(self, address: str) -> str:
        """How a message to this address fares."""
        named = address.partition("@")[0].partition(".")[0]
        if named in MODES:
            return named
        with self.lock:
            if self.times is None:
                return self.mode
            self.times -= 1
            return self.mode if self.times >= 0 else "ok"

    def take(self, envelope: Envelope) -> None:
        """Keep a message."""
        content = envelope.original_content or b""
        message = BytesParser(policy=policy.default).parsebytes(content)
        told = {
            "message_id": str(message["Message-ID"]),
            "subject": str(message["Subject"]),
            "sender": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "bytes": len(content),
        }
        with self.lock:
            self.accepted.append(told)
            self.contents.append(content)

    def order(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """Change how it behaves, and tell. Raises ValueError for a mode that there is none of."""
        if wanted.get("mode", "ok") not in MODES:
            raise ValueError(f"mode is one of {', '.join(MODES)}")
        with self.lock:
            if "mode" in wanted:
                self.mode, self.times = wanted["mode"], wanted.get("times")
            self.delay = float(wanted.get("delay", self.delay))
            return {"mode": self.mode, "times": self.times, "delay": self.delay, "connections": self.connections}

    def forget(self) -> None:
        """Begin anew."""
        with self.lock:
            self.accepted.clear()
            self.contents.clear()
            self.connections = 0


class Handler:
    """What aiosmtpd asks about each step; the names are its own."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def handle_EHLO(  # noqa: N802
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        if not session.ssl:  # said again after STARTTLS
            self._desk.connections += 1
        session.host_name = hostname
        return responses

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        mode = self._desk.mode_of(address)
        if mode == "421":
            asyncio.get_running_loop().call_soon(_hang_up, server)
        if mode in _TO_RECIPIENT:
            return _TO_RECIPIENT[mode]
        envelope.rcpt_tos.append(address)
        envelope.mode = mode
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        mode = envelope.mode
        if mode in _TO_CONTENT:
            return _TO_CONTENT[mode]
        self._desk.take(envelope)
        if mode == "drop":
            _hang_up(server)
        if mode == "slow":
            await asyncio.sleep(self._desk.delay)
        return TAKEN


class Server(SMTP):
    """aiosmtpd's, which can hang up when it is asked to take the content."""

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        if getattr(self.envelope, "mode", "") == "cut":
            _hang_up(self)
            return
        await super().smtp_DATA(arg)


def _hang_up(server: SMTP) -> None:
    if server.transport is not None:
        server.transport.close()


def start_mail(desk: Desk, given: Mapping[str, str]) -> int:
    """Serve in a thread of its own, until the process ends; the port."""
    security = given.get("SMTP_SECURITY") or "none"
    context = _context(given) if security != "none" else None
    loop = asyncio.new_event_loop()

    def converse() -> SMTP:
        return Server(
            Handler(desk),
            loop=loop,
            hostname="127.0.0.1",
            enable_SMTPUTF8=True,
            data_size_limit=50_000_000,
            tls_context=context if security == "starttls" else None,
            require_starttls=security == "starttls",
            authenticator=partial(_check, given),
            auth_required="SMTP_USERNAME" in given,
            auth_require_tls=False,
        )

    port = int(given.get("SMTP_PORT") or 0)
    listening = loop.create_server(converse, "127.0.0.1", port, ssl=context if security == "tls" else None)
    server = loop.run_until_complete(listening)
    threading.Thread(target=loop.run_forever, daemon=True).start()
    bound: int = server.sockets[0].getsockname()[1]
    return bound


def _context(given: Mapping[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(given["SMTP_CERTIFICATE"], given["SMTP_KEY"])
    return context


def _check(
    given: Mapping[str, str], _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, said: object
) -> AuthResult:
    wanted = (given.get("SMTP_USERNAME", "").encode(), given.get("SMTP_PASSWORD", "").encode())
    is_right = isinstance(said, LoginPassword) and (said.login, said.password) == wanted
    return AuthResult(success=is_right, handled=False)


def create_app(desk: Desk) -> Flask:
    """What tests ask and order."""
    app = Flask("demo.smtp_server", static_folder=None)

    @app.get("/_accepted")
    def list_accepted() -> Response:
        return as_json(200, desk.accepted)

    @app.get("/_accepted/<int:number>")
    def show_accepted(number: int) -> Response:
        return Response(desk.contents[number], mimetype="message/rfc822")

    @app.delete("/_accepted")
    def forget() -> Response:
        desk.forget()
        return as_json(200, [])

    @app.route("/_control", methods=["GET", "POST"])
    def control() -> Response:
        try:
            return as_json(200, desk.order(request.get_json(force=True) if request.method == "POST" else {}))
        except ValueError as error:
            return as_json(400, {"error": "bad_request", "message": str(error)})

    return app


def main() -> int:
    """Serve until told to stop."""
    given = dict(os.environ)
    desk = Desk()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    port = start_mail(desk, given)
    web = make_server(
        "127.0.0.1", int(given.get("SMTP_WEB_PORT") or 0), create_app(desk), threaded=True, request_handler=QuietHandler
    )
    print(f"smtp: {port} http://127.0.0.1:{web.port}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        web.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
