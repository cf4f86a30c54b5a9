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
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import BaseWSGIServer, create_server
from waitress.task import ErrorTask, Task, WSGITask
from waitress.utilities import RequestEntityTooLarge

THREADS = 4
CONNECTIONS = 2000
"""Sockets that one process holds at most; beyond them the operating system keeps people waiting."""
IDLE_SECONDS = 75
"""How long a connection on which nothing happens is kept: longer than reverse proxies keep theirs."""
LARGEST_HEADERS = 64 * 1024
LARGEST_BODY = 64 * 1024 * 1024
"""Above what any view takes (imports of 50 MB). What is larger is not read; the application refuses it all the same."""
TURN_SECONDS = 1.0


class UnreadBodyTask(WSGITask):  # type: ignore[misc]  # waitress has no types
    """Lets the application refuse what is too large to be read, where the person looks and with its own limit.

    It gets the length that was announced, and no body. The connection ends, since the body is still on its way.
    """

    def execute(self) -> None:
        """Ask the application."""
        self.set_close_on_finish()
        super().execute()


def refusal(channel: HTTPChannel, request: HTTPRequestParser) -> Task:
    """What answers a request that waitress does not take."""
    is_unread_body = isinstance(request.error, RequestEntityTooLarge) and "CONTENT_LENGTH" in request.headers
    return UnreadBodyTask(channel, request) if is_unread_body else ErrorTask(channel, request)


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection."""

    error_task_class = staticmethod(refusal)


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
        for server in channels.values():
            if isinstance(server, BaseWSGIServer):
                server.channel_class = Channel
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
