"""Letters on paper: each on a page of its own, in the order asked for, the same whenever they are printed."""

import re
import zlib
from datetime import timedelta
from uuid import UUID

import orjson
import pytest

from tests import factories
from tests.conftest import NOW, Cast
from tests.queries import recorded_queries
from tests.services.messages.test_frames import png
from webapp import crypto, tenancy
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.messages import Channel, Message, MessageKind, MessageStatus, place
from webapp.models.organisations import Company
from webapp.services.messages import printing
from webapp.services.messages.frames import save_frame


def a_letter(name: str = "Mme Camille Martin", *, company: Company | None = None, **values: object) -> UUID:
    """A letter that waits to be printed."""
    company, message_id = company or factories.default_company(), new_id()
    organisation_id = tenancy.current_organisation_id()
    content = {"subject": f"Pour {name} & <b>", "body": "Madame,\n\n**Bonjour** <script>x</script>"}
    message = Message(
        id=message_id,
        client_id=factories.ClientFactory().id,
        company_id=company.id,
        subject_id=new_id(),
        dedupe_key=str(message_id),
        to=crypto.seal(f"{name}\n1 rue Neuve\n59000 Lille", place=place(organisation_id, "to", message_id)),
        content=crypto.seal(orjson.dumps(content).decode(), place=place(organisation_id, "content", message_id)),
        **{
            "kind": MessageKind.SEPA_NOTICE,
            "channel": Channel.LETTER,
            "status": MessageStatus.QUEUED,
            "not_before": NOW,
            "created_at": NOW,
        }
        | values,
    )
    db.session.add(message)
    db.session.flush()
    return message_id


def test_letters_are_printed_in_the_order_asked_for(cast: Cast) -> None:
    first, second = a_letter("Mme A"), a_letter("M. B <i>", not_before=NOW + timedelta(days=2))
    page = printing.render([second, first])
    assert page.count('<article class="letter">') == 2
    assert page.index("M. B &lt;i&gt;<br>1 rue Neuve<br>59000 Lille") < page.index("Mme A<br>")
    assert "Objet : Pour Mme A &amp; &lt;b&gt;" in page
    assert "<strong>Bonjour</strong> &lt;script&gt;" in page
    assert page.index("Le 22 novembre 2026") < page.index("Le 20 novembre 2026")
    assert "recommandée" not in page
    assert printing.render([second, first]) == page


def test_a_letter_shows_its_company_and_that_it_is_registered(cast: Cast) -> None:
    company = factories.default_company()
    company.name, company.siren = "Verger & Cie", "732829320"
    save_frame(company.id, colour="#000000", footer="Ouvert le lundi", logo=png(), at=NOW)
    page = printing.render([a_letter(kind=MessageKind.FORMAL_NOTICE, registered_no="1A23")])
    for wanted in ("Verger &amp; Cie", "732\u00a0829\u00a0320", "Ouvert le lundi", "data:image/png;base64,"):
        assert wanted in page
    assert "Lettre recommandée avec avis de réception n° 1A23" in page


def test_letters_of_several_companies_take_two_statements(cast: Cast) -> None:
    wanted = [a_letter(company=factories.CompanyFactory(name=f"S{number}")) for number in range(3)]
    db.session.expunge_all()
    with recorded_queries() as queries:
        page = printing.render(wanted)
    assert len(queries) == 2
    assert all(f"S{number}" in page for number in range(3))


def test_it_is_a_pdf(cast: Cast) -> None:
    save_frame(factories.default_company().id, colour="#000000", footer="", logo=png(), at=NOW)
    pdf = printing.print_letters([a_letter(), a_letter()])
    assert pdf.startswith(b"%PDF")
    objects = unpacked(pdf)
    assert b"/Count 2" in objects
    assert b"/Image" in objects


def unpacked(pdf: bytes) -> bytes:
    """The PDF with what it keeps compressed."""
    streams = re.findall(rb"stream\n(.*?)\nendstream", pdf, re.DOTALL)
    return pdf + b"".join(zlib.decompressobj().decompress(each) for each in streams if each[:1] == b"x")


def test_what_is_no_letter_of_ours_is_not_found(cast: Cast) -> None:
    with tenancy.organisation(cast.other_organisation.id):
        stranger = a_letter()
    for wanted in (stranger, new_id(), a_letter(channel=Channel.EMAIL)):
        with pytest.raises(NotFoundError):
            printing.render([a_letter(), wanted])
    for number in (0, printing.MOST + 1):
        with pytest.raises(InvalidInputError):
            printing.render([new_id()] * number)
