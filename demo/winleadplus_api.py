"""The pretend WinLeadPlus: ``python -m demo.winleadplus_api``.

``GET /api/prospects`` streams prospects to whoever brings a token for the audience ``winleadplus``.
``POST /_control`` makes it behave otherwise, or makes its world move on; see ``Control``.

Environment: WINLEADPLUS_PORT (default 8082), DEMO_PROSPECTS (250), OIDC_ISSUER (none: every token is refused).
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, Literal, get_args

import orjson
from flask import Flask, Request, Response, request
from werkzeug.exceptions import HTTPException
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from demo.bearer import BadTokenError, ProviderUnreachableError, TokenChecker, WrongAudienceError
from demo.hostile_prospects import hostile_rows
from demo.prospects import Prospect, prospect, prospects

Mode = Literal["ok", "slow", "401", "429", "500", "cut", "hostile"]
MODES: Final = get_args(Mode)

CHUNK: Final = 200
SLOW_CHUNKS: Final = 25  # one a second: long enough to watch the progress line, whatever the size
SLOW_PAUSE_SECONDS: Final = 1.0
CUT_AT: Final = 0.6


class BadControlError(ValueError):
    """The control request makes no sense; the message says which part."""


@dataclass
class World:
    """What WinLeadPlus holds and how it behaves. Lives in memory: a restart is a fresh start.

    Prospects are the indexes ``first .. last - 1`` of demo.prospects; ``edits`` counts the changes of each one
    that was changed. Adding goes on at the end, removing takes the oldest.
    """

    size: int
    mode: Mode = "ok"
    first: int = 0
    last: int = field(init=False)
    changes: int = 0
    edits: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.last = self.size

    @property
    def count(self) -> int:
        return self.last - self.first

    def change(self, number: int) -> None:
        """Edit that many prospects, spread evenly over the list; the next call starts elsewhere in it."""
        number = min(number, self.count)
        for step in range(number):
            index = self.first + (step * self.count // number + self.changes * 7) % self.count
            self.edits[index] = self.edits.get(index, 0) + 1
        self.changes += 1

    def add(self, number: int) -> None:
        self.last += number

    def remove(self, number: int) -> None:
        self.first = min(self.first + number, self.last)

    def prospects(self) -> Iterator[Prospect]:
        return prospects(self.count, start=self.first, changed=self.edits)


class Control:
    """The world behind a lock, and the one way to alter it."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._world = World(size)
        self._lock = threading.Lock()

    def apply(self, order: Any) -> dict[str, Any]:
        """``{"mode": …, "change": N, "add": N, "remove": N, "reset": true}``, each optional; the state after it.

        ``reset`` comes first. Numbers add up over calls. A wrong order changes nothing and raises.
        """
        if not isinstance(order, dict) or (unknown := set(order) - {"mode", "change", "add", "remove", "reset"}):
            raise BadControlError(f"unknown: {sorted(unknown)}" if isinstance(order, dict) else "not an object")
        mode = order.get("mode")
        if mode is not None and mode not in MODES:
            raise BadControlError(f"mode is one of {', '.join(MODES)}")
        numbers = {name: _whole_number(order, name) for name in ("change", "add", "remove")}
        with self._lock:
            if order.get("reset"):
                self._world = World(self._size)
            self._world.mode = mode or self._world.mode
            self._world.add(numbers["add"])
            self._world.remove(numbers["remove"])
            self._world.change(numbers["change"])
        return self.state()

    def state(self) -> dict[str, Any]:
        with self._lock:
            world = self._world
            return {
                "mode": world.mode,
                "prospects": world.count,
                "changed": len(world.edits),
                "added": world.last - world.size,
                "removed": world.first,
            }

    def snapshot(self) -> World:
        """The world as it is now: an answer under way is not disturbed by a later order."""
        with self._lock:
            world = copy(self._world)
            world.edits = dict(world.edits)
            return world


def _whole_number(order: dict[str, Any], name: str) -> int:
    number = order.get(name) or 0
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise BadControlError(f"{name} is a whole number, 0 or more")
    return number


def create_app(control: Control, checker: TokenChecker) -> Flask:
    """The WSGI application, apart from the process around it."""
    app = Flask("demo.winleadplus_api", static_folder=None)

    @app.get("/api/prospects")
    def list_prospects() -> Response:
        world = control.snapshot()
        return refuse(world.mode) or check_token(request, checker) or answer(world)

    @app.get("/_control")
    def show_control() -> Response:
        return as_json(200, control.state())

    @app.post("/_control")
    def change_control() -> Response:
        try:
            return as_json(200, control.apply(request.get_json(force=True)))
        except BadControlError as error:
            return as_json(400, {"error": "bad_request", "message": str(error)})

    @app.errorhandler(HTTPException)
    def show_error(error: HTTPException) -> Response:
        return as_json(error.code or 500, {"error": error.name, "message": error.description})

    return app


def refuse(mode: Mode) -> Response | None:
    """The answer of a mode in which nobody gets anything, whatever token they bring."""
    match mode:
        case "401":
            return as_json(401, {"error": "unauthorized", "message": "Mode 401 is on"})
        case "429":
            response = as_json(429, {"error": "too_many_requests", "message": "Mode 429 is on"})
            response.headers["Retry-After"] = "1"
            return response
        case "500":
            return as_json(500, {"error": "internal_server_error", "message": "Mode 500 is on"})
        case _:
            return None


def check_token(received: Request, checker: TokenChecker) -> Response | None:
    """None when the token opens the door, else the refusal."""
    try:
        checker.check(received.headers.get("Authorization"))
    except BadTokenError as error:
        response = as_json(401, {"error": "unauthorized", "message": str(error)})
        response.headers["WWW-Authenticate"] = 'Bearer realm="winleadplus", error="invalid_token"'
        return response
    except WrongAudienceError as error:
        return as_json(403, {"error": "forbidden", "message": str(error)})
    except ProviderUnreachableError as error:
        return as_json(503, {"error": "service_unavailable", "message": str(error)})
    return None


def answer(world: World) -> Response:
    """The list, streamed: memory does not depend on how many there are."""
    match world.mode:
        case "slow":
            chunk = max(1, -(-world.count // SLOW_CHUNKS))
            return streamed(with_pauses(json_array(world.prospects(), chunk)))
        case "cut":
            response = streamed(cut_short(world))
            # Far more than what follows, so that the reader can tell that the end is not the end.
            response.headers["Content-Length"] = str(1_000_000 + world.count * 4096)
            return response
        case "hostile":
            return streamed(json_array(with_hostile_rows(world), CHUNK))
        case _:
            return streamed(json_array(world.prospects(), CHUNK))


def json_array(rows: Iterable[Any], chunk_size: int) -> Iterator[bytes]:
    """A JSON array, a chunk of rows at a time."""
    rows = iter(rows)
    separator = b"["
    while chunk := list(islice(rows, chunk_size)):
        yield separator + b",".join(map(orjson.dumps, chunk))
        separator = b","
    yield b"[]" if separator == b"[" else b"]"


def with_pauses(chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        yield chunk
        time.sleep(SLOW_PAUSE_SECONDS)


def cut_short(world: World) -> Iterator[bytes]:
    """Some 60 % of the prospects, then half of one more, then nothing: the server closes the connection."""
    whole = int(world.count * CUT_AT)
    yield b"["
    for row in islice(world.prospects(), whole):
        yield orjson.dumps(row) + b","
    next_one = orjson.dumps(prospect(world.first + whole))
    yield next_one[: len(next_one) // 2]


def with_hostile_rows(world: World) -> Iterator[Any]:
    """The healthy prospects with the catalogue of bad rows in their midst."""
    healthy = world.prospects()
    before = list(islice(healthy, min(world.count // 2, CHUNK)))
    yield from before
    yield from hostile_rows(_reference_of(before[0]) if before else "8100000TEL")
    yield from healthy


def _reference_of(owner: Prospect) -> str:
    contracts = owner.get("contrats") or owner["Souscription"][0]["contrats"]
    return str(contracts[0]["titre"])


def streamed(chunks: Iterator[bytes]) -> Response:
    return Response(chunks, content_type="application/json; charset=utf-8", direct_passthrough=True)


def as_json(status: int, body: Any) -> Response:
    return Response(orjson.dumps(body), status=status, content_type="application/json; charset=utf-8")


class QuietHandler(WSGIRequestHandler):
    """HTTP/1.1, for chunked answers; says nothing about requests that went well."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing: the supervisor's console belongs to the CRM."""


def build_server(port: int, app: Flask) -> BaseWSGIServer:
    """A threaded server on loopback: nobody else may see `/_control`."""
    return make_server("127.0.0.1", port, app, threaded=True, request_handler=QuietHandler)


def main() -> int:
    port = int(os.environ.get("WINLEADPLUS_PORT") or 8082)
    control = Control(int(os.environ.get("DEMO_PROSPECTS") or 250))
    checker = TokenChecker(os.environ.get("OIDC_ISSUER") or None)
    # From the main thread, so that it ends serve_forever at once; answers under way are on daemon threads.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = build_server(port, create_app(control, checker))
    print(f"winleadplus: http://127.0.0.1:{server.port}/api/prospects", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
