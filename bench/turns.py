"""Pages asked for in turns, so that what the machine does beside them touches all alike.

Those that are compared take turns request by request. All are asked for again and again, in rounds: what disturbs the
machine for some seconds falls on a few requests of every page, not on all of one.
"""

import http.client
import sys
import time
from collections.abc import Mapping
from typing import NamedTuple

ROUNDS, WARM_UP, REQUESTS = 5, 3, 20
"""Of each page in each round WARM_UP requests are not counted and REQUESTS are."""
PATIENCE = 60


class Server:
    """A running gunicorn, on one connection that is kept from request to request, as browsers do."""

    def __init__(self, port: int) -> None:
        self.disturbed = 0
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)

    def ask(self, path: str, cookie: str, *, holds: bytes) -> float | None:
        """Milliseconds until the whole page was there; None where the server had closed the kept connection meanwhile.

        Raises RuntimeError unless the page is one that ``holds`` this.
        """
        try:
            elapsed, response, body = self._ask(path, cookie)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            self._connection.close()  # the next request opens another: what that costs is no cost of the page
            self.disturbed += 1
            return None
        if response.status != 200 or holds not in body:
            raise RuntimeError(f"{path} answered {response.status}: {body[:500]!r}")
        return elapsed

    def _ask(self, path: str, cookie: str) -> tuple[float, http.client.HTTPResponse, bytes]:
        start = time.perf_counter()
        self._connection.request("GET", path, headers={"Cookie": cookie})
        response = self._connection.getresponse()
        body = response.read()
        return (time.perf_counter() - start) * 1000, response, body


class Page(NamedTuple):
    """An address at a server, who asks, and what its answer must hold."""

    server: Server
    path: str
    cookie: str
    holds: bytes


Times = dict[str, list[float]]
"""Milliseconds of each request, by what was compared."""


def take_turns(compared: Mapping[str, Mapping[str, Page]]) -> dict[str, Times]:
    """The times of what is compared under each name."""
    times: dict[str, Times] = {name: {each: [] for each in pages} for name, pages in compared.items()}
    for _ in range(ROUNDS):
        for name, pages in compared.items():
            for turn in range(WARM_UP + REQUESTS):
                for each, page in pages.items():
                    elapsed = page.server.ask(page.path, page.cookie, holds=page.holds)
                    if elapsed is None:  # asked once more, to open the connection: neither is counted
                        page.server.ask(page.path, page.cookie, holds=page.holds)
                    elif turn >= WARM_UP:
                        times[name][each].append(elapsed)
    servers = {page.server for pages in compared.values() for page in pages.values()}
    if disturbed := sum(server.disturbed for server in servers):
        print(
            f"disturbed: {disturbed} requests met a connection that the server had closed, and are not counted",
            file=sys.stderr,
        )
    return times
