"""A mail server that a test can bend, and an e-mail to send to it."""

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests import mail_server
from tests.gateways.messaging.canned import Canned, running
from tests.mail_server import MailServer
from webapp.gateways.messaging import Address, OutgoingEmail, OutgoingSms

MakeEmail = Callable[..., OutgoingEmail]


@pytest.fixture(scope="module")
def one_mail_server() -> Iterator[MailServer]:
    """One for all tests of a module."""
    with mail_server.running() as server:
        yield server


@pytest.fixture
def server(one_mail_server: MailServer) -> MailServer:
    """It, as new."""
    one_mail_server.forget()
    return one_mail_server


@pytest.fixture
def make_email() -> MakeEmail:
    """An e-mail to Léa, with what the test says otherwise."""
    number = 0

    def make(to: str = "lea@example.com", **values: Any) -> OutgoingEmail:
        nonlocal number
        number += 1
        return OutgoingEmail(
            **{
                "message_id": f"<message-{number}@ventes.example>",
                "key": f"message-{number}",
                "sender": Address("Ventes du Nord", "contact@ventes.example"),
                "to": Address("Léa Durand", to),
                "subject": "Votre prélèvement du 4 décembre",
                "text": "Bonjour Léa,\n\nnous prélèverons 24,00 €.\n",
                "html": "<p>Bonjour Léa,</p><p>nous prélèverons <b>24,00 €</b>.</p>",
                **values,
            }
        )

    return make


@pytest.fixture
def canned() -> Iterator[Canned]:
    """A provider that is spoken to by HTTP."""
    with running() as provider:
        yield provider


@pytest.fixture
def sms() -> OutgoingSms:
    """An SMS to Léa."""
    return OutgoingSms("message-1", "VENTES", "+33612345678", "Votre prélèvement de 24,00 € aura lieu le 4 décembre.")


def nowhere() -> str:
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return f"http://127.0.0.1:{closed.getsockname()[1]}"
