"""maildev takes what our gateway sends, and shows it as we meant it."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from demo.home import port_of
from demo.node import NODE
from webapp.gateways.messaging import Accepted, Address, AttachedFile, InlineImage, OutgoingEmail, connect_email
from webapp.models.messages import MessageProvider

ROOT = Path(__file__).resolve().parents[2]
MAILDEV = "node_modules/maildev/bin/maildev"
PATIENCE = 20.0  # seconds, for a slow machine's first start


@pytest.fixture
def ports(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """maildev, on a port for its page and one for SMTP."""
    web, smtp = (port_of(tmp_path, name, may_move=True) for name in ("maildev", "smtp"))
    command = [str(NODE), MAILDEV, "--ip=127.0.0.1", "--silent", f"--web={web}", f"--smtp={smtp}"]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | {"TMPDIR": str(tmp_path)}) as process:
        deadline = time.monotonic() + PATIENCE
        while not _answers(web):
            assert time.monotonic() < deadline
        yield web, smtp
        process.terminate()


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/email", trust_env=False).is_success
    except httpx.TransportError:
        time.sleep(0.1)
        return False


def _caught(port: int) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(httpx.get(f"http://127.0.0.1:{port}/email", trust_env=False).content)
    return listed


def test_an_email_is_caught_once_and_whole(ports: tuple[int, int]) -> None:
    web, smtp = ports
    email = OutgoingEmail(
        message_id="<0197a3c4@ventes.example>",
        key="0197a3c4",
        sender=Address("Ventes, « Nord »", "contact@ventes.example"),
        to=Address("Léa Durand", "lea@béta.example"),
        subject="Votre prélèvement du 4 décembre\u202f: 24,00 €",
        text="Bonjour Léa",
        html='<p>Bonjour <b>Léa</b> <img src="cid:logo@ventes.example" alt="Ventes"></p>',
        headers={"List-Unsubscribe": "<https://crm.ventes.example/d/1>"},
        inline=(InlineImage("logo@ventes.example", "image/png", b"png"),),
        attachments=(AttachedFile("Facture n° 12.pdf", "application/pdf", b"%PDF"),),
    )
    credentials = {"host": "127.0.0.1", "port": str(smtp), "security": "none"}
    with connect_email(MessageProvider.SMTP, credentials) as connection:
        assert isinstance(connection.send(email), Accepted)
    (caught,) = _caught(web)
    assert caught["messageId"] == "0197a3c4@ventes.example"
    assert caught["subject"] == email.subject
    assert caught["from"] == [{"address": "contact@ventes.example", "name": "Ventes, « Nord »"}]
    assert caught["text"].strip() == "Bonjour Léa"
    assert "<b>Léa</b>" in caught["html"]
    assert [attached["contentType"] for attached in caught["attachments"]] == ["image/png", "application/pdf"]
    assert caught["headers"]["list-unsubscribe"] == "<https://crm.ventes.example/d/1>"
