"""What mail servers send back, read from a mailbox by IMAP."""

import socket
import ssl
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from tests.gateways.messaging import imap_server
from tests.gateways.messaging.certificates import new_certificate
from tests.gateways.messaging.imap_server import ARRIVAL, Folder
from webapp.gateways.messaging.bounces import MailboxError, Position, check, read_mailbox, read_report
from webapp.gateways.messaging.protocol import ProviderEvent
from webapp.models.messages import MessageEventKind

OURS = "<0197a3c4@ventes.example>"


def dsn(
    *, action: str = "failed", status: str = "5.1.1", diagnostic: str = "smtp; 550 5.1.1 User unknown", **more: str
) -> bytes:
    """A report as Postfix writes it (RFC 3464)."""
    returned = more.get("returned", f"Message-ID: {OURS}\r\nSubject: Votre avis\r\n")
    lines = f"""From: MAILER-DAEMON@mx.example
To: rejets@ventes.example
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not be delivered.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example
Arrival-Date: Fri, 20 Nov 2026 10:00:00 +0100

Final-Recipient: rfc822; lea@example.com
Action: {action}
Status: {status}
Diagnostic-Code: {diagnostic}

--b
Content-Type: {more.get("kind", "message/rfc822")}

{returned}
--b--
"""
    return lines.replace("\r\n", "\n").replace("\n", "\r\n").encode()


IN_WORDS = b"""From: MAILER-DAEMON@mx.example\r
To: rejets@ventes.example\r
Subject: failure notice\r
\r
Hi. This is the qmail-send program at mx.example.\r
I'm afraid I wasn't able to deliver your message to the following addresses.\r
This is a permanent error; I've given up. Sorry it didn't work out.\r
\r
<lea@example.com>:\r
192.0.2.7 does not like recipient.\r
Remote host said: 550 no such user\r
\r
--- Below this line is a copy of the message.\r
\r
Return-Path: <rejets@ventes.example>\r
Message-ID: <0197a3c4@ventes.example>\r
"""
FROM_A_PERSON = b"From: lea@example.com\r\nTo: rejets@ventes.example\r\nSubject: Merci\r\n\r\nBonne journ\xe9e\r\n"
COMPLAINT = f"""From: staff@provider.example
To: rejets@ventes.example
Subject: FW: Votre avis
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b"

--b
Content-Type: text/plain

This is an email abuse report.

--b
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: SomeGenerator/1.0
Version: 1
Original-Rcpt-To: <lea@example.com>

--b
Content-Type: message/rfc822

Message-ID: {OURS}
Subject: Votre avis

--b--
""".encode()


def event(kind: MessageEventKind, text: str, *, message_id: str | None = OURS) -> ProviderEvent:
    return ProviderEvent(None, message_id, kind, ARRIVAL, "lea@example.com", text)


class TestReports:
    """What one mail says."""

    @pytest.mark.parametrize(
        ("status", "diagnostic", "kind"),
        [
            ("5.1.1", "smtp; 550 5.1.1 User unknown", MessageEventKind.BOUNCED_HARD),
            ("5.0.0", "smtp; 550 no such user here", MessageEventKind.BOUNCED_HARD),
            ("5.1.2", "x-exchange; host not found", MessageEventKind.BOUNCED_HARD),
            ("5.4.4", "smtp; domain does not exist", MessageEventKind.BOUNCED_HARD),
            ("5.2.1", "smtp; 550 5.2.1 account disabled", MessageEventKind.BOUNCED_HARD),
            ("5.2.2", "smtp; 552 5.2.2 Over quota", MessageEventKind.BOUNCED_SOFT),
            ("5.7.1", "smtp; 550 5.7.1 Message looks like spam", MessageEventKind.BOUNCED_SOFT),
            ("5.7.26", "smtp; 550 5.7.26 unauthenticated (DMARC)", MessageEventKind.BOUNCED_SOFT),
            ("5.3.4", "smtp; 552 5.3.4 too big", MessageEventKind.BOUNCED_SOFT),
            ("5.4.7", "smtp; delivery time expired", MessageEventKind.BOUNCED_SOFT),
            ("4.4.1", "smtp; connection timed out", MessageEventKind.BOUNCED_SOFT),
        ],
    )
    def test_only_an_address_that_is_none_bounces_hard(
        self, status: str, diagnostic: str, kind: MessageEventKind
    ) -> None:
        (found,) = read_report(dsn(status=status, diagnostic=diagnostic), at=ARRIVAL)
        assert found == event(kind, found.text)
        assert status in found.text or status.endswith(".0.0")

    def test_it_tells_in_the_servers_words(self) -> None:
        assert read_report(dsn(), at=ARRIVAL) == (event(MessageEventKind.BOUNCED_HARD, "550 5.1.1 User unknown"),)

    def test_what_is_only_late_is_still_under_way(self) -> None:
        assert read_report(dsn(action="delayed", status="4.4.1"), at=ARRIVAL) == ()

    def test_what_was_delivered_is_said_so(self) -> None:
        (found,) = read_report(dsn(action="delivered", status="2.0.0", diagnostic="smtp; 250 ok"), at=ARRIVAL)
        assert found.kind is MessageEventKind.DELIVERED

    def test_the_head_alone_may_be_returned(self) -> None:
        (found,) = read_report(dsn(kind="text/rfc822-headers"), at=ARRIVAL)
        assert found.message_id == OURS

    def test_without_our_message_id_an_address_is_all_there_is(self) -> None:
        (found,) = read_report(dsn(returned="Subject: none\r\n"), at=ARRIVAL)
        assert (found.message_id, found.address) == (None, "lea@example.com")

    def test_what_names_nobody_tells_nothing(self) -> None:
        report = dsn(returned="Subject: none\r\n").replace(b"rfc822; lea@example.com", b"rfc822; somebody")
        assert read_report(report, at=ARRIVAL) == ()

    def test_a_report_in_words_is_understood(self) -> None:
        assert read_report(IN_WORDS, at=ARRIVAL) == (event(MessageEventKind.BOUNCED_HARD, "failure notice"),)

    def test_a_full_mailbox_is_no_dead_one_also_in_words(self) -> None:
        full = IN_WORDS.replace(b"550 no such user", b"552 mailbox is full")
        assert read_report(full, at=ARRIVAL) == (event(MessageEventKind.BOUNCED_SOFT, "failure notice"),)

    def test_a_complaint_is_one(self) -> None:
        assert read_report(COMPLAINT, at=ARRIVAL) == (event(MessageEventKind.COMPLAINED, "abuse"),)

    @pytest.mark.parametrize(
        "content",
        [FROM_A_PERSON, b"", b"\xff\xfe\x00", dsn()[:300], b"Content-Type: message/delivery-status\r\n\r\n"],
    )
    def test_anything_else_tells_nothing(self, content: bytes) -> None:
        assert read_report(content, at=ARRIVAL) == ()

    def test_no_byte_of_a_report_breaks_the_reading(self) -> None:
        report = dsn()
        for place in range(0, len(report), 7):
            read_report(report[:place] + b"\xff" + report[place + 1 :], at=ARRIVAL)
            read_report(report[:place], at=ARRIVAL)


class TestMailbox:
    """Mail after mail, each once."""

    @pytest.fixture
    def folder(self) -> Iterator[Folder]:
        with imap_server.running() as folder:
            yield folder

    @pytest.fixture(params=["IMAP4rev1", "IMAP4rev1 AUTH=PLAIN"])
    def filled(self, request: pytest.FixtureRequest, folder: Folder) -> Folder:
        folder.capabilities = request.param
        folder.password = "secret é" if "PLAIN" in request.param else "secret word"
        for content in (FROM_A_PERSON, dsn(), COMPLAINT):
            folder.add(content)
        return folder

    @pytest.mark.parametrize("is_date_last", [False, True])
    def test_each_mail_moves_on_whatever_it_was(self, is_date_last: bool, filled: Folder) -> None:
        filled.is_date_last = is_date_last
        read = list(read_mailbox(filled.credentials, after=None, limit=10))
        assert [mail.position for mail in read] == [Position(7, 1), Position(7, 2), Position(7, 3)]
        assert [[told.kind for told in mail.events] for mail in read] == [
            [],
            [MessageEventKind.BOUNCED_HARD],
            [MessageEventKind.COMPLAINED],
        ]
        assert read[1].events[0].at == ARRIVAL

    def test_what_was_read_is_not_read_again(self, filled: Folder) -> None:
        read = list(read_mailbox(filled.credentials, after=None, limit=2))
        rest = list(read_mailbox(filled.credentials, after=read[-1].position, limit=2))
        assert [mail.position.uid for mail in rest] == [3]
        assert list(read_mailbox(filled.credentials, after=rest[-1].position, limit=2)) == []

    def test_a_mailbox_that_counts_anew_is_read_from_its_beginning(self, filled: Folder) -> None:
        filled.validity = 8
        read = list(read_mailbox(filled.credentials, after=Position(7, 3), limit=10))
        assert [mail.position for mail in read] == [Position(8, 1), Position(8, 2), Position(8, 3)]

    def test_it_may_begin_at_a_day(self, filled: Folder) -> None:
        list(read_mailbox(filled.credentials, after=None, limit=10, since=date(2026, 3, 1)))
        assert "UID SEARCH UID 1:* SINCE 1-Mar-2026" in filled.commands

    def test_nothing_is_changed_in_it(self, filled: Folder) -> None:
        list(read_mailbox(filled.credentials, after=None, limit=10))
        assert not [command for command in filled.commands if command.split()[0] in ("SELECT", "STORE")]
        assert [command for command in filled.commands if "FETCH" in command and "PEEK" not in command] == []

    def test_an_empty_one_has_nothing(self, folder: Folder) -> None:
        folder.password = "secret"
        assert list(read_mailbox(folder.credentials, after=None, limit=10)) == []
        assert check(folder.credentials) is None

    @pytest.mark.parametrize("place", ["CAPABILITY", "LOGIN", "EXAMINE", "SEARCH", "FETCH"])
    def test_a_connection_that_breaks_is_said(self, place: str, folder: Folder) -> None:
        folder.password = "secret word"
        folder.add(dsn())
        folder.hangs_up_at = place
        with pytest.raises(MailboxError):
            list(read_mailbox(folder.credentials, after=None, limit=10))

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            ({"password": "wrong"}, "Le serveur refuse\u202f: [AUTHENTICATIONFAILED] wrong password"),
            ({"password": "é"}, "Le serveur n’accepte pas de mot de passe avec des accents."),
            ({"folder": "Autre"}, "Le serveur refuse\u202f: so be it"),
            ({"folder": "Autre\r\nA1 DELETE INBOX"}, "Le serveur, le port"),
            ({"folder": "Envoyés"}, "Le serveur, le port"),
            ({"port": "imap"}, "Le serveur, le port"),
            ({"username": "a\r\nA1 DELETE INBOX"}, "Le serveur, le port"),
            ({"host": ""}, "Le serveur, le port"),
            ({"security": "starttls"}, "Le serveur ne propose pas STARTTLS."),
            ({"security": "tls"}, "Le serveur ne répond pas"),
            ({"port": "1"}, "Le serveur ne répond pas"),
        ],
    )
    def test_what_is_wrong_is_said_in_french(self, change: dict[str, str], sentence: str, folder: Folder) -> None:
        folder.password = "secret word"
        assert (check(folder.credentials | change) or "").startswith(sentence)

    def test_without_encryption_only_this_machine_is_spoken_to(
        self, folder: Folder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The address that answered decides, so this one has to come from elsewhere."""
        monkeypatch.setattr(socket.socket, "getpeername", lambda _: ("192.0.2.7", 143))
        sentence = "Sans chiffrement, seul un serveur sur cette machine est accepté."
        assert check(folder.credentials) == sentence
        assert folder.commands == ["CAPABILITY"]

    def test_a_certificate_is_checked(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        files = new_certificate(tmp_path)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(files["SMTP_CERTIFICATE"], files["SMTP_KEY"])
        with imap_server.running(context) as folder:
            folder.password = "secret word"
            known = folder.credentials | {"security": "tls"}
            assert (check(known) or "").startswith("Le certificat du serveur n’est pas valable")
            monkeypatch.setenv("SSL_CERT_FILE", files["SMTP_CERTIFICATE"])
            assert check(known) is None
