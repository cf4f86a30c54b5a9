"""Consents on a client's page: noted in two clicks, with and without HTMX, and refused where the person looks."""

import html
import io
import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse, encode_multipart

from tests import factories
from tests.conftest import HTMX, NOW, Cast
from tests.queries import recorded_queries
from tests.services.consents.conftest import note
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.clients import Client
from webapp.models.consents import Consent, ConsentChannel, ConsentPurpose
from webapp.models.documents import Document
from webapp.models.identity import User
from webapp.services.clients.documents import SIZE_LIMIT
from webapp.services.consents.recording import ConsentFields, Upload, record
from webapp.views.clients.documents import FORM_AROUND

PDF = b"%PDF-1.7\n"


@pytest.fixture
def subject(cast: Cast) -> Client:
    """The client whose page it is."""
    client: Client = factories.ClientFactory()
    db.session.commit()
    return client


def form(**values: Any) -> dict[str, Any]:
    """What « Noter un accord » sends when nothing is changed in it."""
    usual = {"finalite": "prospection_email", "accord": "1", "canal": "phone", "date": "2026-11-20"}
    return usual | {"consentement": str(new_id()), "texte": "", "note": ""} | values


def send(browser: FlaskClient, client: Client, **values: Any) -> TestResponse:
    return browser.post(f"/clients/{client.id}/consentements", data=form(**values))


def states(page: str) -> dict[str, str]:
    return dict(re.findall(r'data-testid="consent"\s+data-purpose="(\w+)"\s+data-state="(\w*)"', page))


def test_given_and_withdrawn_without_script(client: FlaskClient, subject: Client) -> None:
    for accord, state in (("1", "given"), ("0", "withdrawn")):
        answer = send(client, subject, accord=accord)
        assert answer.status_code == 303
        page = client.get(answer.location).text
        assert states(page)["prospection_email"] == state
        assert states(page)["prospection_sms"] == ""
    assert "Retrait enregistré" in page
    assert len(re.findall('data-testid="consent-row"', page)) == 2
    assert "Consentement retiré" in client.get(f"/clients/{subject.id}?onglet=activites&genre=consentements").text


def test_under_htmx_the_tab_comes_back_with_its_address(client: FlaskClient, subject: Client) -> None:
    address = f"/clients/{subject.id}/consentements"
    answer = client.post(address, data=form(), headers=HTMX)
    assert answer.status_code == 200
    assert answer.headers["HX-Replace-Url"] == f"/clients/{subject.id}?onglet=consentements"
    assert "<h1>" not in answer.text
    assert states(answer.text)["prospection_email"] == "given"
    assert 'id="noter-prospection_email-accord" data-refocus' in answer.text
    assert "Consentement enregistré" in answer.text
    refused = client.post(address, data=form(canal="paper"), headers=HTMX)
    assert refused.status_code == 422
    assert refused.text.count('id="onglet"') == 1


@pytest.mark.parametrize(
    ("change", "sentence", "field"),
    [
        ({"canal": "paper"}, "Un accord sur papier se prouve", "note-prospection_email-accord"),
        ({"canal": "import"}, "Choisissez comment le client l’a dit", "canal-prospection_email-accord"),
        ({"canal": "fax"}, "Choisissez comment le client l’a dit", "canal-prospection_email-accord"),
        ({"date": "2026-11-21"}, "à venir", "date-prospection_email-accord"),
        ({"date": "31/02/2026"}, "n’est pas possible", "date-prospection_email-accord"),
        ({"date": "0001-01-01"}, "n’est pas possible", "date-prospection_email-accord"),
        ({"texte": "premier"}, "l’un des textes", "texte-prospection_email-accord"),
        ({"texte": str(new_id())}, "l’un des textes", "texte-prospection_email-accord"),
        ({"note": "x" * 501}, "caractères au plus", "note-prospection_email-accord"),
    ],
)
def test_what_is_refused_stands_at_its_field_in_the_open_form(
    client: FlaskClient, subject: Client, change: dict[str, str], sentence: str, field: str
) -> None:
    answer = send(client, subject, **change)
    assert answer.status_code == 422
    assert sentence in html.unescape(answer.text)
    assert f'id="{field}-error"' in answer.text
    assert answer.text.count('class="consent-entry" open') == 1
    assert db.session.query(Consent).count() == 0


@pytest.mark.parametrize("change", [{"finalite": "publicite"}, {"document": "x"}, {"document": str(new_id())}])
def test_what_no_form_of_ours_sends_is_refused(client: FlaskClient, subject: Client, change: dict[str, str]) -> None:
    answer = send(client, subject, **change)
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert db.session.query(Consent).count() == 0


def test_a_proof_is_joined_shown_and_kept(client: FlaskClient, subject: Client, cast: Cast) -> None:
    file = FileStorage(io.BytesIO(PDF), "bulletin.pdf")
    assert send(client, subject, canal="paper", fichier=file).status_code == 303
    document = db.session.query(Document).one()
    page = client.get(f"/clients/{subject.id}?onglet=consentements").text
    assert f"/clients/{subject.id}/documents/{document.id}" in page
    assert f'<option value="{document.id}">bulletin.pdf</option>' in page
    documents = client.get(f"/clients/{subject.id}?onglet=documents").text
    assert "Retirer ce fichier" not in documents
    refused = client.post(f"/clients/{subject.id}/documents/{document.id}/retirer")
    assert refused.status_code == 409
    assert "prouve un consentement" in refused.text
    assert send(client, subject, finalite="partners", canal="paper", document=str(document.id)).status_code == 303


def test_a_file_that_is_too_large_is_refused_unread(client: FlaskClient, subject: Client) -> None:
    file = FileStorage(io.BytesIO(PDF + b"x" * (SIZE_LIMIT + FORM_AROUND)), "bulletin.pdf")
    # Encoded here: the test browser would put a large form into a temporary file, and leave it open.
    boundary, body = encode_multipart(form(fichier=file))
    kind = f"multipart/form-data; boundary={boundary}"
    answer = client.post(f"/clients/{subject.id}/consentements", data=body, content_type=kind)
    assert answer.status_code == 413
    assert "trop lourd" in answer.text


def test_what_was_said_before_is_noted_and_what_stands_is_said(
    client: FlaskClient, subject: Client, cast: Cast
) -> None:
    note(subject, cast, at=NOW, agrees=False)
    answer = send(client, subject, date="2026-11-02", note="au salon")
    page = client.get(answer.location).text
    assert "vaut toujours\u202f: refusé" in html.unescape(page)
    assert states(page)["prospection_email"] == "refused"


def test_an_outsider_finds_nothing(outsider_client: FlaskClient, subject: Client) -> None:
    assert outsider_client.get(f"/clients/{subject.id}?onglet=consentements").status_code == 404
    assert outsider_client.get(f"/clients/{subject.id}/consentements").status_code == 404
    assert send(outsider_client, subject).status_code == 404
    assert db.session.query(Consent).count() == 0


@pytest.mark.parametrize("role", ["client", "manager_client", "admin_client"])
def test_everybody_of_the_organisation_notes_and_admins_see_the_way_to_the_texts(
    request: pytest.FixtureRequest, subject: Client, role: str
) -> None:
    browser: FlaskClient = request.getfixturevalue(role)
    answer = send(browser, subject)
    assert answer.status_code == 303
    assert ("/reglages/consentements" in browser.get(answer.location).text) is (role == "admin_client")


def test_each_control_says_what_it_is_for(client: FlaskClient, subject: Client) -> None:
    page = client.get(f"/clients/{subject.id}?onglet=consentements").text
    names = [
        " ".join(html.unescape(re.sub(r"<svg.*?</svg>|<[^>]+>", "", summary, flags=re.DOTALL)).split())
        for summary in re.findall(r'<summary class="btn btn-sm"[^>]*>(.*?)</summary>', page, re.DOTALL)
    ]
    assert len(names) == len(set(names)) == 2 * len(ConsentPurpose)
    assert "Noter un refus : Prospection par téléphone" in names
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert len(set(re.findall(r'name="consentement" value="([^"]+)"', page))) == len(
        names
    )  # each is its own, sent once


def test_the_number_of_queries_does_not_grow(client: FlaskClient, subject: Client, cast: Cast) -> None:
    address = f"/clients/{subject.id}?onglet=consentements"

    def number_of_queries() -> int:
        db.session.expunge_all()
        with recorded_queries() as queries:
            assert client.get(address).status_code == 200
        return len(queries)

    def fill(times: int) -> None:
        by = db.session.get_one(User, user_key)
        for number in range(times):
            upload = Upload(f"{number}.pdf", PDF)
            for purpose in ConsentPurpose:
                said = ConsentFields(purpose=purpose, agrees=True, channel=ConsentChannel.PAPER, upload=upload)
                record(client_id, said, by=by, at=NOW)

    client_id, user_key = subject.id, (cast.organisation.id, cast.commercial.id)
    fill(1)
    few = number_of_queries()
    fill(4)
    assert number_of_queries() == few <= 12
