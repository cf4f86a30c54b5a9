"""How an e-mail is written down."""

from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from typing import cast

import pytest

from tests.gateways.messaging.conftest import MakeEmail
from webapp.gateways.messaging import Address, AttachedFile, InlineImage, OutgoingEmail
from webapp.gateways.messaging.mime import UnwritableError, compose

DATE = datetime(2026, 11, 20, 9, tzinfo=UTC)
LOGO = InlineImage("logo@ventes.example", "image/png", b"\x89PNG logo")
INVOICE = AttachedFile("Facture n° 12 – été.pdf", "application/pdf", b"%PDF-1.7 invoice")


def written(email: OutgoingEmail) -> tuple[bytes, EmailMessage]:
    raw = compose(email, date=DATE)
    return raw, cast(EmailMessage, BytesParser(policy=policy.default).parsebytes(raw))


def test_text_comes_first_then_html_with_its_logo_then_files(make_email: MakeEmail) -> None:
    raw, message = written(make_email(inline=(LOGO,), attachments=(INVOICE,)))
    assert message.get_content_type() == "multipart/mixed"
    alternative, attached = message.iter_parts()
    text, related = alternative.iter_parts()
    html, logo = related.iter_parts()
    kinds = [part.get_content_type() for part in (alternative, text, related, html, logo, attached)]
    assert kinds == [
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
        "application/pdf",
    ]
    assert "24,00 €" in text.get_content()
    assert (logo["Content-ID"], logo.get_content()) == ("<logo@ventes.example>", LOGO.content)
    assert (attached.get_filename(), attached.get_content()) == (INVOICE.name, INVOICE.content)
    assert raw.isascii()
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert max(map(len, raw.split(b"\r\n"))) <= 78


def test_without_html_it_is_plain_text(make_email: MakeEmail) -> None:
    _, message = written(make_email(html=""))
    assert message.get_content_type() == "text/plain"


def test_a_file_that_says_to_be_text_travels_byte_by_byte(make_email: MakeEmail) -> None:
    listing = AttachedFile("liste.csv", "text/csv", b"\xff\xfe\r\nnot UTF-8")
    _, message = written(make_email(attachments=(listing,)))
    *_, attached = message.iter_parts()
    assert (attached.get_content_type(), attached.get_content()) == ("application/octet-stream", listing.content)


def test_the_address_to_unsubscribe_at_stays_in_one_piece_however_long(make_email: MakeEmail) -> None:
    url = "<https://crm.ventes.example/desabonnement/" + "a1-" * 60 + ">"
    one_click = {"List-Unsubscribe": url, "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    raw, _ = written(make_email(headers=one_click))
    lines = raw.decode().split("\r\n")
    assert f"List-Unsubscribe: {url}" in lines
    assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click" in lines


def test_names_and_subjects_come_back_as_they_were(make_email: MakeEmail) -> None:
    sender = Address('Ventes, « Nord » <été> "SARL"', "contact@ventes.example")
    subject = "Votre prélèvement du 4 décembre\u202f: 24,00 € " + "et encore un peu plus loin " * 8
    raw, message = written(make_email(sender=sender, subject=subject.strip()))
    (found,) = message["From"].addresses
    assert (found.display_name, found.addr_spec) == (sender.name, sender.address)
    assert message["Subject"] == subject.strip()
    assert max(map(len, raw.split(b"\r\n"))) <= 78


def test_it_says_when_and_to_whom_to_answer(make_email: MakeEmail) -> None:
    _, message = written(make_email(reply_to=Address("Camille Roux", "camille@ventes.example")))
    assert message["Date"] == "Fri, 20 Nov 2026 09:00:00 +0000"
    assert message["Reply-To"] == "Camille Roux <camille@ventes.example>"


def test_each_try_is_the_same_to_the_letter_but_for_its_boundaries(make_email: MakeEmail) -> None:
    email = make_email(html="")
    assert compose(email, date=DATE) == compose(email, date=DATE)


@pytest.mark.parametrize(
    "change",
    [
        {"attachments": (AttachedFile("a\r\nBcc: b@example.com", "application/pdf", b""),)},
        {"attachments": (AttachedFile("a", "application/pdf\r\nBcc: b@example.com", b""),)},
        {"inline": (InlineImage("a\r\nBcc: b@example.com", "image/png", b""),)},
        {"subject": "a\x00b"},
        {"text": "half a character: \ud83d"},
        {"subject": "half a character: \ud83d"},
    ],
)
def test_what_cannot_be_written_is_refused(change: dict[str, object], make_email: MakeEmail) -> None:
    with pytest.raises(UnwritableError):
        compose(make_email(**change), date=DATE)
