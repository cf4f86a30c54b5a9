"""The worker class of gunicorn: waitress reads whole requests, headers and body, before one of the threads is taken.

Whoever sends slowly, or never to the end, thus holds a socket and no thread. Gunicorn goes on starting, watching and
stopping the processes. See docs/adr/0046.
"""

import logging
import os
import time
from typing import Any

from gunicorn.workers.base import Worker
from waitress import wasyncore
from waitress.server import create_server

THREADS = 4
CONNECTIONS = 2000
"""Sockets that one process holds at most; beyond them the operating system keeps people waiting."""
IDLE_SECONDS = 75
"""How long a connection on which nothing happens is kept: longer than reverse proxies keep theirs."""
LARGEST_HEADERS = 64 * 1024
LARGEST_BODY = 64 * 1024 * 1024
"""Above what the application takes (imports of 50 MB): it is the one that refuses, with a sentence."""
TURN_SECONDS = 1.0


class BufferingWorker(Worker):
    """A process of the web server."""

    def run(self) -> None:
        """Serve until told to stop, then end what has begun."""
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # busy is no fault
        channels: dict[int, Any] = {}
        create_server(
            self.wsgi,
            map=channels,
            sockets=[listener.sock for listener in self.sockets],  # type: ignore[attr-defined]  # gunicorn's own
            threads=THREADS,
            connection_limit=CONNECTIONS,
            channel_timeout=IDLE_SECONDS,
            cleanup_interval=10,
            max_request_header_size=LARGEST_HEADERS,
            max_request_body_size=LARGEST_BODY,
            clear_untrusted_proxy_headers=False,  # ProxyFix of Werkzeug reads those of our proxy
            ident=None,
        )
        while self.alive and self.ppid == os.getppid():
            self.notify()
            wasyncore.loop(timeout=TURN_SECONDS, use_poll=True, map=channels, count=1)
        self._end(channels)

    def _end(self, channels: dict[int, Any]) -> None:
        """Take no more, and let those finish that have begun, as long as gunicorn allows."""
        for channel in channels.values():
            channel.accepting = False
        until = time.monotonic() + self.cfg.graceful_timeout
        while any(map(_is_busy, channels.values())) and time.monotonic() < until:
            self.notify()
            wasyncore.loop(timeout=0.1, use_poll=True, map=channels, count=1)
        wasyncore.close_all(channels, ignore_all=True)


def _is_busy(channel: Any) -> bool:
    """Whether a request is being answered on it, or its answer is still on the way."""
    return bool(getattr(channel, "requests", None) or getattr(channel, "total_outbufs_len", 0))
