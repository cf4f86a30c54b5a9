"""A mail server in a process of its own, whose every answer a test can bend: see demo/smtp_server.py."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Any, cast

import httpx

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class MailServer:
    """``port`` speaks SMTP on 127.0.0.1; ``url`` is where it is asked and told."""

    port: int
    url: str
    http: httpx.Client

    @property
    def credentials(self) -> dict[str, str]:
        """What the gateway needs to send through it, as long as it neither encrypts nor asks for a password."""
        return {"host": "127.0.0.1", "port": str(self.port), "security": "none"}

    def order(self, mode: str = "ok", **values: Any) -> dict[str, Any]:
        """Have it answer in a mode of ``demo.smtp_server.MODES`` from now on; ``times=1``: the next message only."""
        told: dict[str, Any] = (
            self.http.post(f"{self.url}/_control", json={"mode": mode, **values}).raise_for_status().json()
        )
        return told

    def accepted(self) -> list[dict[str, Any]]:
        """What it took on, in order: ``message_id``, ``subject``, ``sender``, ``to`` and ``bytes``."""
        listed: list[dict[str, Any]] = self.http.get(f"{self.url}/_accepted").raise_for_status().json()
        return listed

    def raw(self, number: int = -1) -> bytes:
        """A message that it took on, as it came; by default the latest."""
        index = number if number >= 0 else len(self.accepted()) + number
        return self.http.get(f"{self.url}/_accepted/{index}").raise_for_status().content

    def message(self, number: int = -1) -> EmailMessage:
        """The same, parsed."""
        return cast(EmailMessage, BytesParser(policy=policy.default).parsebytes(self.raw(number)))

    def connections(self) -> int:
        """How many connections there were."""
        count: int = self.http.get(f"{self.url}/_control").raise_for_status().json()["connections"]
        return count

    def forget(self) -> None:
        """Begin anew."""
        self.order("ok", delay=2.0)
        self.http.delete(f"{self.url}/_accepted").raise_for_status()


@contextmanager
def running(**environment: str) -> Iterator[MailServer]:
    """A server that answers until the end of the block, with the environment that demo/smtp_server.py names."""
    command = [sys.executable, "-m", "demo.smtp_server"]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        _, port, url = server.stdout.readline().split()
        try:
            with httpx.Client(trust_env=False) as http:
                yield MailServer(int(port), url, http)
        finally:
            server.terminate()
