"""Pages asked for in turns, so that what the machine does beside them touches all alike.

Those that are compared take turns request by request. All are asked for again and again, in rounds: what disturbs the
machine for some seconds falls on a few requests of every page, not on all of one.
"""

import http.client
import time
from collections.abc import Mapping
from typing import NamedTuple

ROUNDS, WARM_UP, REQUESTS = 5, 3, 20
"""Of each page in each round WARM_UP requests are not counted and REQUESTS are."""
PATIENCE = 60


class Server:
    """A running gunicorn, on one connection that is kept from request to request, as browsers do."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)

    def ask(self, path: str, cookie: str, *, holds: bytes) -> float:
        """Milliseconds until the whole page was there. Raises RuntimeError unless it is one that ``holds`` this."""
        start = time.perf_counter()
        self._connection.request("GET", path, headers={"Cookie": cookie})
        response = self._connection.getresponse()
        body = response.read()
        elapsed = (time.perf_counter() - start) * 1000
        if response.status != 200 or holds not in body:
            raise RuntimeError(f"{path} answered {response.status}: {body[:500]!r}")
        return elapsed


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
                    if turn >= WARM_UP:
                        times[name][each].append(elapsed)
    return times
