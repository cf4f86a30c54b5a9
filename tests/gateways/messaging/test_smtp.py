"""E-mail by SMTP, against a real server in a process of its own and against ones that break off at a chosen byte."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests import mail_server
from tests.gateways.messaging.certificates import new_certificate
from tests.gateways.messaging.conftest import MakeEmail
from tests.mail_server import MailServer
from webapp.gateways.messaging import (
    UNREACHABLE,
    Accepted,
    Address,
    AttachedFile,
    OutgoingEmail,
    RefusalKind,
    Refused,
    Unknown,
    check,
    connect_email,
)
from webapp.gateways.messaging.smtp import SmtpConnection
from webapp.models.messages import MessageProvider

TALK = [
    (b"", b"220 ready\r\n"),
    (b"EHLO", b"250 here\r\n"),
    (b"MAIL", b"250 ok\r\n"),
    (b"RCPT", b"250 ok\r\n"),
    (b"DATA", b"354 go on\r\n"),
    (b"\r\n.\r\n", b"250 queued as 7\r\n"),
]
"""What ends what the client says, and what the server answers."""


@contextmanager
def talking(talk: list[tuple[bytes, bytes]], *, last_waits: threading.Event | None = None) -> Iterator[dict[str, str]]:
    """A server that goes through ``talk`` with its first visitor, and hangs up at its end.

    Its last answer waits for ``last_waits``.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                for number, (awaited, answer) in enumerate(talk, 1):
                    if not _hears(connection, awaited):
                        return
                    if last_waits and number == len(talk):
                        last_waits.wait(5)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield {"host": "127.0.0.1", "port": str(listening.getsockname()[1]), "security": "none"}
        thread.join()


def _hears(connection: socket.socket, awaited: bytes) -> bool:
    heard = b""
    while awaited not in heard.upper():
        if not (more := connection.recv(65536)):
            return False
        heard += more
    return True


def send(credentials: dict[str, str], email: OutgoingEmail, *, patience: float = 5.0) -> Any:
    with SmtpConnection(credentials, step=patience, last_step=patience) as connection:
        return connection.send(email)


def test_an_email_is_taken_once_with_the_message_id_that_we_gave_it(server: MailServer, make_email: MakeEmail) -> None:
    email = make_email()
    with connect_email(MessageProvider.SMTP, server.credentials) as connection:
        assert connection.send(email) == Accepted(email.message_id, "2.0.0 OK, queued")
    (taken,) = server.accepted()
    assert taken["message_id"] == email.message_id
    assert taken["subject"] == "Votre prélèvement du 4 décembre"
    assert (taken["sender"], taken["to"]) == ("contact@ventes.example", ["lea@example.com"])


def test_many_emails_go_over_one_connection_whatever_becomes_of_each(server: MailServer, make_email: MakeEmail) -> None:
    with connect_email(MessageProvider.SMTP, server.credentials) as connection:
        outcomes = [connection.send(make_email(to)) for to in ("a@example.com", "550.b@example.com", "c@example.com")]
        outcomes.append(connection.send(make_email("552.d@example.com")))
        outcomes.append(connection.send(make_email("e@example.com")))
    assert [isinstance(outcome, Accepted) for outcome in outcomes] == [True, False, True, False, True]
    assert [taken["to"] for taken in server.accepted()] == [["a@example.com"], ["c@example.com"], ["e@example.com"]]
    assert server.connections() == 1


def test_the_time_in_which_the_server_thinks_can_be_used(make_email: MakeEmail) -> None:
    used = threading.Event()
    with talking(TALK, last_waits=used) as credentials, SmtpConnection(credentials, last_step=3) as connection:
        outcome = connection.send(make_email(), meanwhile=used.set)
    assert isinstance(outcome, Accepted)


def test_what_was_written_ahead_is_sent_in_its_turn_alone(server: MailServer, make_email: MakeEmail) -> None:
    first, ahead, other, unwritable = (
        make_email(to) for to in ("a@example.com", "b@example.com", "c@example.com", "d")
    )
    with connect_email(MessageProvider.SMTP, server.credentials) as connection:
        connection.send(first, meanwhile=lambda: ahead)
        connection.send(other, meanwhile=lambda: ahead)
        connection.send(ahead, meanwhile=lambda: unwritable)
        assert isinstance(connection.send(unwritable), Refused)
    taken = [(each["to"], each["message_id"]) for each in server.accepted()]
    assert taken == [([email.to.address], email.message_id) for email in (first, other, ahead)]


@pytest.mark.parametrize(
    ("to", "kind", "code"),
    [
        ("421.lea@example.com", RefusalKind.LATER, "421"),
        ("450.lea@example.com", RefusalKind.LATER, "450"),
        ("550.lea@example.com", RefusalKind.ADDRESS, "550"),
        ("552.lea@example.com", RefusalKind.CONTENT, "552"),
        ("554.lea@example.com", RefusalKind.CONTENT, "554"),
        ("cut.lea@example.com", RefusalKind.LATER, UNREACHABLE),
    ],
)
def test_a_refusal_says_what_it_is_about(
    to: str, kind: RefusalKind, code: str, server: MailServer, make_email: MakeEmail
) -> None:
    outcome = send(server.credentials, make_email(to))
    assert isinstance(outcome, Refused)
    assert (outcome.kind, outcome.code) == (kind, code)
    assert server.accepted() == []


def test_nobody_knows_what_became_of_an_email_whose_connection_broke_before_the_last_answer(
    server: MailServer, make_email: MakeEmail
) -> None:
    assert isinstance(send(server.credentials, make_email("drop.lea@example.com")), Unknown)
    assert len(server.accepted()) == 1


def test_nobody_knows_what_became_of_an_email_whose_last_answer_did_not_come_in_time(
    server: MailServer, make_email: MakeEmail
) -> None:
    assert isinstance(send(server.credentials, make_email("slow.lea@example.com"), patience=0.3), Unknown)
    assert len(server.accepted()) == 1


def test_the_connection_is_made_anew_after_the_server_hung_up(server: MailServer, make_email: MakeEmail) -> None:
    with connect_email(MessageProvider.SMTP, server.credentials) as connection:
        assert isinstance(connection.send(make_email("drop.a@example.com")), Unknown)
        assert isinstance(connection.send(make_email("421.b@example.com")), Refused)
        assert isinstance(connection.send(make_email("c@example.com")), Accepted)
    assert server.connections() == 3


def test_a_server_that_has_had_enough_of_a_connection_gets_the_email_on_a_new_one(
    server: MailServer, make_email: MakeEmail
) -> None:
    with connect_email(MessageProvider.SMTP, server.credentials) as connection:
        connection.send(make_email("a@example.com"))
        server.order("421", times=1)
        assert isinstance(connection.send(make_email("b@example.com")), Accepted)
    assert [taken["to"] for taken in server.accepted()] == [["a@example.com"], ["b@example.com"]]


@pytest.mark.parametrize("steps", range(1, len(TALK)))
def test_a_connection_that_breaks_before_the_dot_was_sent_has_brought_nothing(
    steps: int, make_email: MakeEmail
) -> None:
    with talking(TALK[:steps]) as credentials:
        outcome = send(credentials, make_email())
    # After the go-ahead our system takes the whole of a short e-mail before it learns that nobody listens.
    wanted = Refused if steps < len(TALK) - 1 else Unknown
    assert isinstance(outcome, wanted)
    if isinstance(outcome, Refused):
        assert (outcome.kind, outcome.code) == (RefusalKind.LATER, UNREACHABLE)


def test_a_long_email_whose_connection_breaks_in_the_middle_has_not_left(make_email: MakeEmail) -> None:
    half = [*TALK[:-1], (b"BONJOUR", b"")]
    with talking(half) as credentials:
        contract = AttachedFile("contrat.pdf", "application/pdf", bytes(9_000_000))
        outcome = send(credentials, make_email(attachments=(contract,)))
    assert isinstance(outcome, Refused)
    assert (outcome.kind, outcome.code) == (RefusalKind.LATER, UNREACHABLE)


@pytest.mark.parametrize(
    ("step", "answer", "kind"),
    [
        (0, b"554 not you", RefusalKind.ACCOUNT),
        (0, b"421 too many connections", RefusalKind.LATER),
        (2, b"553 5.7.1 sender not owned by user", RefusalKind.ACCOUNT),
        (2, b"452 4.3.1 disk full", RefusalKind.LATER),
        (2, b"552 5.3.4 too big", RefusalKind.CONTENT),
        (3, b"554 5.7.1 <x>: Relay access denied", RefusalKind.ACCOUNT),
        (3, b"530 5.7.0 Authentication required", RefusalKind.ACCOUNT),
        (3, b"550 no such user", RefusalKind.ADDRESS),
        (3, b"556 5.1.10 null MX", RefusalKind.ADDRESS),
        (3, b"550 5.2.2 mailbox full", RefusalKind.LATER),
        (3, b"552 exceeded storage allocation", RefusalKind.LATER),
        (3, b"550 5.7.509 blocked by policy", RefusalKind.CONTENT),
        (3, b"550 5.4.1 no route to this recipient", RefusalKind.ADDRESS),
        (4, b"451 4.7.1 greylisted", RefusalKind.LATER),
        (5, b"550 5.1.1 no such user", RefusalKind.ADDRESS),
        (5, b"550 looks like spam", RefusalKind.CONTENT),
        (5, b"550 5.7.26 unauthenticated sender (SPF, DKIM)", RefusalKind.ACCOUNT),
        (5, b"421 4.7.0 try later", RefusalKind.LATER),
        (5, b"452 4.3.1 disk full", RefusalKind.LATER),
    ],
)
def test_each_answer_is_understood_where_it_is_given(
    step: int, answer: bytes, kind: RefusalKind, make_email: MakeEmail
) -> None:
    talk = [*TALK[:step], (TALK[step][0], answer + b"\r\n"), (b"RSET", b"250 ok\r\n")]
    with talking(talk) as credentials:
        outcome = send(credentials, make_email())
    assert isinstance(outcome, Refused)
    assert outcome.kind is kind
    assert outcome.code == answer[:3].decode()


def test_what_is_no_smtp_server_is_unreachable(make_email: MakeEmail) -> None:
    with talking([(b"", b"HTTP/1.1 400 Bad Request\r\n\r\n")]) as credentials:
        outcome = send(credentials, make_email())
    assert isinstance(outcome, Refused)
    assert (outcome.kind, outcome.code) == (RefusalKind.LATER, UNREACHABLE)


def test_a_last_answer_that_makes_no_sense_leaves_it_unknown(make_email: MakeEmail) -> None:
    with talking([*TALK[:5], (TALK[5][0], b"\xff\xfe hello\r\n")]) as credentials:
        assert isinstance(send(credentials, make_email()), Unknown)


def test_a_server_that_is_not_there_may_be_there_later(make_email: MakeEmail) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    credentials = {"host": "127.0.0.1", "port": str(port), "security": "none"}
    outcome = send(credentials, make_email())
    assert isinstance(outcome, Refused)
    assert (outcome.kind, outcome.code) == (RefusalKind.LATER, UNREACHABLE)


class TestEncryption:
    """A certificate that is checked, and no way around it."""

    @pytest.fixture(scope="class")
    @classmethod
    def certificate(cls, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
        return new_certificate(tmp_path_factory.mktemp("certificate"))

    @pytest.fixture(params=["starttls", "tls"])
    def encrypted(self, request: pytest.FixtureRequest, certificate: dict[str, str]) -> Iterator[MailServer]:
        login = {"SMTP_USERNAME": "ventes", "SMTP_PASSWORD": "secret é"}
        with mail_server.running(SMTP_SECURITY=request.param, **login, **certificate) as server:
            yield server

    def credentials(self, server: MailServer, request: pytest.FixtureRequest, **values: str) -> dict[str, str]:
        security = request.node.callspec.params["encrypted"]
        known = {"host": "127.0.0.1", "port": str(server.port), "security": security}
        return known | {"username": "ventes", "password": "secret é"} | values

    def test_a_server_with_a_certificate_that_we_trust_is_signed_in_to(
        self,
        encrypted: MailServer,
        certificate: dict[str, str],
        request: pytest.FixtureRequest,
        make_email: MakeEmail,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", certificate["SMTP_CERTIFICATE"])
        known = self.credentials(encrypted, request)
        assert check(MessageProvider.SMTP, known) is None
        assert isinstance(send(known, make_email()), Accepted)

        wrong = known | {"password": "wrong"}
        outcome = send(wrong, make_email())
        assert isinstance(outcome, Refused)
        assert (outcome.kind, outcome.code) == (RefusalKind.ACCOUNT, "535")
        assert "mot de passe est refusé" in (check(MessageProvider.SMTP, wrong) or "")
        assert len(encrypted.accepted()) == 1

    def test_a_certificate_that_nobody_we_know_has_signed_is_refused(
        self, encrypted: MailServer, request: pytest.FixtureRequest, make_email: MakeEmail
    ) -> None:
        known = self.credentials(encrypted, request)
        outcome = send(known, make_email())
        assert isinstance(outcome, Refused)
        assert (outcome.kind, outcome.code) == (RefusalKind.ACCOUNT, "certificate")
        assert (check(MessageProvider.SMTP, known) or "").startswith("Le certificat du serveur n’est pas valable")
        assert encrypted.accepted() == []

    def test_a_certificate_for_another_name_is_refused(
        self,
        encrypted: MailServer,
        certificate: dict[str, str],
        request: pytest.FixtureRequest,
        make_email: MakeEmail,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", certificate["SMTP_CERTIFICATE"])
        outcome = send(self.credentials(encrypted, request, host="localhost"), make_email())
        assert isinstance(outcome, Refused)
        assert (outcome.kind, outcome.code) == (RefusalKind.ACCOUNT, "certificate")


def test_a_server_that_offers_no_starttls_gets_nothing(server: MailServer, make_email: MakeEmail) -> None:
    outcome = send(server.credentials | {"security": "starttls"}, make_email())
    assert isinstance(outcome, Refused)
    assert outcome.kind is RefusalKind.ACCOUNT
    assert server.accepted() == []


def test_without_encryption_only_this_machine_is_spoken_to(
    make_email: MakeEmail, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address that answered decides, so this one has to come from elsewhere."""
    with talking(TALK[:2]) as credentials:
        monkeypatch.setattr(socket.socket, "getpeername", lambda _: ("192.0.2.7", 25))
        outcome = send(credentials, make_email())
    assert outcome == Refused(RefusalKind.ACCOUNT, "encryption", "no encryption")


@pytest.mark.parametrize(
    "credentials",
    [
        {},
        {"host": "mail.example", "port": "smtp"},
        {"host": "mail.example", "port": "0"},
        {"host": "a", "security": "x"},
    ],
)
def test_settings_that_are_none_are_the_accounts_fault(credentials: dict[str, str], make_email: MakeEmail) -> None:
    outcome = send(credentials, make_email())
    assert isinstance(outcome, Refused)
    assert (outcome.kind, outcome.code) == (RefusalKind.ACCOUNT, "settings")
    assert check(MessageProvider.SMTP, credentials) == "Le serveur, le port ou le chiffrement ne sont pas valides."


def test_bounces_go_where_the_settings_say(server: MailServer, make_email: MakeEmail) -> None:
    send(server.credentials | {"return_path": "rejets@ventes.example"}, make_email())
    assert server.accepted()[0]["sender"] == "rejets@ventes.example"
    assert server.message()["From"] == "Ventes du Nord <contact@ventes.example>"


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"subject": "Bonjour\r\nBcc: all@example.com"}, RefusalKind.CONTENT),
        ({"subject": "Bonjour\u2028Bcc: all@example.com"}, RefusalKind.CONTENT),
        ({"headers": {"List-Unsubscribe": "<https://x.example>\nBcc: all@example.com"}}, RefusalKind.CONTENT),
        ({"headers": {"Bcc": "all@example.com"}}, RefusalKind.CONTENT),
        ({"headers": {"X\r\nBcc": "all@example.com"}}, RefusalKind.CONTENT),
        ({"sender": Address("Ventes\nBcc: all@example.com", "contact@ventes.example")}, RefusalKind.CONTENT),
        ({"message_id": "<a@b>\r\nBcc: all@example.com"}, RefusalKind.CONTENT),
        ({"to": "lea@example.com\r\nRCPT TO:<all@example.com>"}, RefusalKind.ADDRESS),
        ({"to": "lea@example.com>,<all@example.com"}, RefusalKind.ADDRESS),
        ({"to": "lea"}, RefusalKind.ADDRESS),
        ({"sender": Address("Ventes", "contact")}, RefusalKind.ACCOUNT),
        ({"reply_to": Address("Camille", "camille@ventes .example")}, RefusalKind.ACCOUNT),
        ({"to": "lea@\u200b.example"}, RefusalKind.ADDRESS),
    ],
)
def test_what_would_leave_its_header_is_refused(
    change: dict[str, Any], kind: RefusalKind, server: MailServer, make_email: MakeEmail
) -> None:
    outcome = send(server.credentials, make_email(**change))
    assert isinstance(outcome, Refused)
    assert outcome.kind is kind
    assert server.connections() == 0


def test_a_domain_beyond_ascii_travels_as_idna(server: MailServer, make_email: MakeEmail) -> None:
    assert isinstance(send(server.credentials, make_email("lea@béta.example")), Accepted)
    assert server.accepted()[0]["to"] == ["lea@xn--bta-bma.example"]


def test_a_mailbox_beyond_ascii_needs_a_server_that_takes_it(server: MailServer, make_email: MakeEmail) -> None:
    assert isinstance(send(server.credentials, make_email("léa@example.com")), Accepted)
    assert server.accepted()[0]["to"] == ["léa@example.com"]
    assert "léa@example.com" in server.raw().decode()
    with talking(TALK[:2]) as credentials:
        outcome = send(credentials, make_email("léa@example.com"))
    assert isinstance(outcome, Refused)
    assert (outcome.kind, outcome.code) == (RefusalKind.ADDRESS, "smtputf8")


def test_lines_that_begin_with_a_dot_arrive_as_they_left(server: MailServer, make_email: MakeEmail) -> None:
    send(server.credentials, make_email(text="un\n.\n..deux\n. trois\n", html=""))
    assert server.message().get_content().splitlines() == ["un", ".", "..deux", ". trois"]
