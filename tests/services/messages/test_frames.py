"""What stands around a company's e-mails: a logo that is an image, a colour one can read, a foot; and the e-mail."""

import struct
import zlib
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from tests import factories
from tests.conftest import NOW, Cast
from tests.queries import recorded_queries
from webapp import tenancy
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.messages import MessageFrame
from webapp.services.messages.frames import USUAL_COLOUR, Frame, Logo, find_frame, load_frames, read_logo, save_frame
from webapp.services.messages.rendering import Text, to_email


def png(width: int = 40, height: int = 20, padding: int = 0) -> bytes:
    """A PNG of one colour."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    rows = zlib.compress((b"\0" + b"\x80" * width) * height)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    text = chunk(b"tEXt", b"a\0" + b"x" * padding) if padding else b""
    return b"\x89PNG\r\n\x1a\n" + head + text + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def jpeg(width: int = 300, height: int = 100) -> bytes:
    """As much of a JPEG as says its size, after a segment of another kind."""
    size = b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", height, width) + b"\x03" + b"\0" * 9
    return b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + b"\0" * 9 + size + b"\xff\xd9"


@pytest.fixture
def company_id(cast: Cast) -> UUID:
    """A company with all that the law wants."""
    company = factories.default_company()
    company.name, company.siren, company.legal_form = "Verger & Cie", "732829320", "SAS"
    company.share_capital, company.registry_city = Decimal(50000), "Lille"
    company.address_line1, company.postcode, company.city = "1 rue <Neuve>", "59000", "Lille"
    company.phone, company.email = "+33199001234", "contact@verger.example"
    db.session.flush()
    return company.id


def test_a_company_without_a_frame_has_the_usual_one(company_id: UUID) -> None:
    other = factories.CompanyFactory(name="Autre").id
    db.session.expunge_all()
    with recorded_queries() as queries:
        frames = load_frames([company_id, other])
    assert len(queries) == 1
    frame = frames[company_id]
    assert (frame.name, frame.address) == ("Verger & Cie", ("1 rue <Neuve>", "59000 Lille"))
    assert frame.contact == "01 99 00 12 34 · contact@verger.example"
    assert "SAS au capital de 50\u202f000" in frame.legal_line
    assert (frame.colour, frame.footer, frame.logo) == (USUAL_COLOUR, (), None)
    assert frames[other].address == ()


def test_what_is_saved_is_what_shows(company_id: UUID) -> None:
    save_frame(company_id, colour=" #8A1C1C", footer=" Merci \r\n\r\n\0de votre confiance ", logo=png(400, 100), at=NOW)
    frame = find_frame(company_id)
    assert (frame.colour, frame.footer) == ("#8a1c1c", ("Merci", "de votre confiance"))
    assert frame.logo == Logo("image/png", png(400, 100), 200, 50)
    save_frame(company_id, colour="#000000", footer="", at=NOW)
    assert find_frame(company_id).logo == frame.logo
    save_frame(company_id, colour="#000000", footer="", removes_logo=True, at=NOW)
    assert find_frame(company_id).logo is None
    assert db.session.query(MessageFrame).count() == 1


@pytest.mark.parametrize(
    ("values", "field", "sentence"),
    [
        ({"colour": "red"}, "colour", "#1f4e79"),
        ({"colour": "#12345"}, "colour", "#1f4e79"),
        ({"colour": "#1f4e79;}"}, "colour", "#1f4e79"),
        ({"colour": "#ffd400"}, "colour", "trop claire"),
        ({"colour": "#777777"}, "colour", "au moins 4,5"),
        ({"footer": "x" * 1001}, "footer", "1\u202f000"),
        ({"logo": b""}, "logo", "PNG"),
        ({"logo": b"<svg xmlns='http://www.w3.org/2000/svg'/>"}, "logo", "PNG"),
        ({"logo": b"\x89PNG\r\n\x1a\n"}, "logo", "PNG"),
        ({"logo": png()[:-6]}, "logo", "PNG"),
        ({"logo": b"\xff\xd8\xff" + b"\0" * 50}, "logo", "PNG"),
        ({"logo": b"\xff\xd8\xff\xe0\x00\x00" + b"\xff" * 50}, "logo", "PNG"),
        ({"logo": png(2001, 20)}, "logo", "2\u202f000 pixels"),
        ({"logo": png(40, 4)}, "logo", "pixels"),
        ({"logo": png(padding=200_001)}, "logo", "200\u202fko"),
    ],
)
def test_what_would_not_show_is_refused(company_id: UUID, values: dict[str, Any], field: str, sentence: str) -> None:
    with pytest.raises(InvalidInputError, match=sentence) as caught:
        save_frame(company_id, **({"colour": "#000000", "footer": "", "at": NOW} | values))
    assert caught.value.field == field
    assert db.session.query(MessageFrame).count() == 0


def test_a_jpeg_is_known_by_its_bytes() -> None:
    assert read_logo(jpeg()) == ("image/jpeg", jpeg(), 150, 50)


def test_a_company_of_others_is_not_found(cast: Cast) -> None:
    with tenancy.organisation(cast.other_organisation.id):
        stranger = factories.CompanyFactory(name="Ailleurs").id
    for company_id in (stranger, new_id()):
        assert load_frames([company_id]) == {}
        with pytest.raises(NotFoundError):
            find_frame(company_id)
        with pytest.raises(NotFoundError):
            save_frame(company_id, colour="#000000", footer="", at=NOW)


FRAME = Frame(
    company_id=new_id(),
    name="Verger & <Cie>",
    address=("1 rue Neuve", "59000 Lille"),
    phone="01 99 00 12 34",
    legal_line="SAS",
    colour="#8a1c1c",
    footer=("Merci", "à bientôt"),
)
FILLED = Text(
    "Objet & <b>", "Bonjour **Léa**,\n\n| A | B |\n|---|--:|\n| 1 | 2 |\n\n[Payer](https://x.example/?a=1&b=2)"
)


def test_an_email_has_its_frame_around_its_body() -> None:
    email = to_email(FILLED, FRAME)
    assert "<title>Objet &amp; &lt;b&gt;</title>" in email.html
    assert "Verger &amp; &lt;Cie&gt;" in email.html
    assert 'href="https://x.example/?a=1&amp;b=2"' in email.html
    assert email.html.replace(": ", ":").count("text-align:right") == 2
    assert "@media (prefers-color-scheme: dark)" in email.html
    assert "Ne plus recevoir" not in email.html + email.text
    assert email.inline == ()
    assert email.html.count("#8a1c1c") >= 3
    assert "<script" not in email.html
    assert "cid:" not in email.html
    assert "-ici" not in email.html


def test_every_style_stands_on_its_element() -> None:
    html = to_email(FILLED, FRAME).html
    for tag in ("<p ", "<a ", "<th ", "<td "):
        assert all("style=" in piece.split(">")[0] for piece in html.split(tag)[1:]), tag


def test_a_logo_travels_with_the_email_and_names_the_company() -> None:
    email = to_email(FILLED, replace(FRAME, logo=read_logo(png(400, 100))))
    (image,) = email.inline
    assert f'src="cid:{image.cid}"' in email.html
    assert 'alt="Verger &amp; <Cie>"' in email.html
    assert (image.content_type, image.content) == ("image/png", png(400, 100))


def test_plain_text_says_the_same_with_who_writes() -> None:
    email = to_email(FILLED, FRAME, unsubscribe_url="https://crm.example/d?x=1&y=2")
    assert email.text == (
        "Bonjour Léa,\n\nA | B\n1 | 2\n\nPayer (https://x.example/?a=1&b=2)\n\n-- \nVerger & <Cie>\n1 rue Neuve\n"
        "59000 Lille\n01 99 00 12 34\nSAS\nMerci\nà bientôt\n"
        "Ne plus recevoir ces messages\u202f: https://crm.example/d?x=1&y=2\n"
    )
    assert 'href="https://crm.example/d?x=1&amp;y=2"' in email.html


def test_a_body_that_names_our_own_places_stays_as_it_is() -> None:
    email = to_email(Text("corps-ici", "objet-ici adresse-ici"), FRAME)
    assert "<title>corps-ici</title>" in email.html
    assert "objet-ici adresse-ici" in email.html


def test_cells_of_a_table_name_their_colour_in_both_themes() -> None:
    """Programs that drop the doctype let a table inherit none: sums would be black on black."""
    html = to_email(Text("Bonjour", "| Montant |\n|---|\n| 42,10 € |"), FRAME).html
    cell = html[html.rindex("<td", 0, html.index("42,10")) : html.index("42,10")]
    assert "color: #1f2933" in cell.replace("color:#", "color: #")
    assert ".body td { color: #e4e7eb !important; }" in html
