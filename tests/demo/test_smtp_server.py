"""The mail server that answers as it is told; what it answers to our gateway is tried in tests/gateways/messaging."""

import smtplib
from collections.abc import Iterator

import httpx
import pytest

from tests import mail_server
from tests.mail_server import MailServer


@pytest.fixture(scope="module")
def server() -> Iterator[MailServer]:
    with mail_server.running(SMTP_USERNAME="ventes", SMTP_PASSWORD="secret") as server:
        yield server


def test_nobody_sends_without_the_password(server: MailServer) -> None:
    with smtplib.SMTP("127.0.0.1", server.port) as talk, pytest.raises(smtplib.SMTPException):
        talk.sendmail("a@example.com", ["b@example.com"], b"Subject: x\r\n\r\ny\r\n")
    assert server.accepted() == []


def test_what_it_took_is_listed_and_forgotten(server: MailServer) -> None:
    with smtplib.SMTP("127.0.0.1", server.port) as talk:
        talk.login("ventes", "secret")
        talk.sendmail("a@example.com", ["b@example.com"], b"Message-ID: <1@example.com>\r\nSubject: x\r\n\r\ny\r\n")
    (taken,) = server.accepted()
    assert (taken["message_id"], taken["subject"], taken["to"]) == ("<1@example.com>", "x", ["b@example.com"])
    assert server.message().get_content().strip() == "y"
    server.forget()
    assert server.accepted() == []


def test_a_mode_that_there_is_none_of_is_refused(server: MailServer) -> None:
    with pytest.raises(httpx.HTTPStatusError):
        server.order("dance")
