"""Files of a client: what is taken, what is refused, and who gets them."""

import html
import io
import re
import stat
import zipfile
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse, encode_multipart

from tests.conftest import Cast, SignIn
from tests.factories import ClientFactory, ContractFactory
from webapp import clock, tenancy
from webapp.extensions import db
from webapp.gateways import document_store
from webapp.models.clients import Client
from webapp.models.documents import Document
from webapp.models.timeline import TimelineEvent
from webapp.services.clients.documents import SIZE_LIMIT, add_document

PDF = b"%PDF-1.7\n%fiction\n"


def _archive(member: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(member, "<x/>")
    return content.getvalue()


def _archive_of_tomorrow(member: str) -> bytes:
    """An archive that says to need version 9.9 of its format, which no reader knows."""
    content = bytearray(_archive(member))
    content[content.rindex(b"PK\x01\x02") + 6] = 99
    return bytes(content)


@pytest.fixture
def subject(cast: Cast) -> Client:
    """The client whose documents they are."""
    client: Client = ClientFactory()
    db.session.commit()
    return client


def _add(browser: FlaskClient, client: Client, content: bytes = PDF, name: str = "devis.pdf") -> TestResponse:
    return _send(browser, f"/clients/{client.id}/documents", content, name)


def _send(browser: FlaskClient, address: str, content: bytes, name: str) -> TestResponse:
    """Encoded here: the test browser would put a large form into a temporary file, and leave it open."""
    boundary, body = encode_multipart({"fichier": FileStorage(io.BytesIO(content), name)})
    return browser.post(address, data=body, content_type=f"multipart/form-data; boundary={boundary}")


def _stored(app: Flask) -> int:
    """How many files the store holds."""
    folder = app.extensions["settings"].documents_folder
    return sum(path.is_file() for path in folder.rglob("*"))


def _address(document: Document) -> str:
    return f"/clients/{document.client_id}/documents/{document.id}"


def test_a_file_is_kept_and_served_as_a_download(client: FlaskClient, subject: Client, cast: Cast) -> None:
    answer = _add(client, subject)
    assert answer.status_code == 303
    document = db.session.query(Document).one()
    assert (document.name, document.size, document.user_id) == ("devis.pdf", len(PDF), cast.commercial.id)
    assert "devis.pdf" in client.get(answer.location).text
    served = client.get(_address(document))
    assert served.data == PDF
    served.close()
    assert served.headers["Content-Disposition"] == "attachment; filename=devis.pdf"
    assert served.headers["X-Content-Type-Options"] == "nosniff"
    assert served.headers["Cache-Control"] == "private, no-store"
    assert served.mimetype == "application/pdf"
    assert "devis.pdf" in client.get(f"/clients/{subject.id}?onglet=activites&genre=documents").text


def test_it_lies_outside_the_web_root_under_a_name_of_ours(app: Flask, client: FlaskClient, subject: Client) -> None:
    _add(client, subject)
    document = db.session.query(Document).one()
    path = document_store.path_of(document.stored_as, organisation_id=document.organisation_id)
    assert path.read_bytes() == PDF
    assert "devis" not in str(path)
    assert app.static_folder is not None
    assert not path.is_relative_to(app.static_folder)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("photo.JPG", b"\xff\xd8\xff\xe0rest"),
        ("scan.png", b"\x89PNG\r\n\x1a\nrest"),
        ("lettre.docx", _archive("word/document.xml")),
        ("liste.xlsx", _archive("xl/workbook.xml")),
    ],
)
def test_the_kinds_that_are_taken(client: FlaskClient, subject: Client, name: str, content: bytes) -> None:
    assert _add(client, subject, content, name).status_code == 303


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (("devis.pdf", b"<script>alert(1)</script>"), "n’est pas ce que dit son nom"),
        (("devis.pdf", b"MZ\x90\x00"), "n’est pas ce que dit son nom"),
        (("lettre.docx", _archive("xl/workbook.xml")), "n’est pas ce que dit son nom"),
        (("lettre.docx", b"PK\x03\x04cut"), "n’est pas ce que dit son nom"),
        (("lettre.docx", _archive_of_tomorrow("word/document.xml")), "n’est pas ce que dit son nom"),
        (("page.html", b"<html>"), "n’est pas accepté"),
        (("virus.pdf.exe", PDF), "n’est pas accepté"),
        (("sans", PDF), "n’est pas accepté"),
        (("vide.pdf", b""), "vide"),
        (("", b""), "Choisissez un fichier"),
        (("lourd.pdf", PDF + bytes(SIZE_LIMIT)), "10\u202fMo au plus"),
    ],
)
def test_what_is_refused_leaves_nothing(
    app: Flask, client: FlaskClient, subject: Client, file: tuple[str, bytes], said: str
) -> None:
    before, (name, content) = _stored(app), file
    answer = _add(client, subject, content, name)
    assert answer.status_code == 422
    assert said in html.unescape(answer.text)
    assert 'id="fichier-error"' in answer.text
    assert db.session.query(Document).count() == db.session.query(TimelineEvent).count() == 0
    assert _stored(app) == before


def test_what_is_far_too_large_is_not_even_read(client: FlaskClient, subject: Client) -> None:
    answer = _add(client, subject, bytes(SIZE_LIMIT + 200_000))
    assert answer.status_code == 413
    assert "10\u202fMo au plus" in answer.text
    assert 'id="fichier-error"' in answer.text
    assert subject.full_name in answer.text


def test_what_is_far_too_large_tells_an_outsider_nothing(outsider_client: FlaskClient, subject: Client) -> None:
    answer = _add(outsider_client, subject, bytes(SIZE_LIMIT + 200_000))
    assert outsider_client.get(answer.location).status_code == 404


def test_other_forms_stay_small(client: FlaskClient, subject: Client) -> None:
    answer = _send(client, f"/clients/{subject.id}/activites", bytes(2_000_000), "x.pdf")
    assert answer.status_code == 413
    assert "1\u202fMo au plus" in answer.text


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/devis.pdf", "devis.pdf"),
        ("C:\\Users\\moi\\devis.pdf", "devis.pdf"),
        ("/devis.pdf", "devis.pdf"),
        ("de\u202evis\n.pdf", "devis .pdf"),
        ("é" * 300 + ".pdf", "é" * 146 + ".pdf"),
    ],
)
def test_a_path_in_a_name_is_only_a_name(cast: Cast, subject: Client, name: str, kept: str) -> None:
    assert add_document(subject.id, name, PDF, by=cast.commercial, at=clock.now()).name == kept


def test_what_came_with_contracts_is_listed(client: FlaskClient, subject: Client) -> None:
    ContractFactory(
        client_id=subject.id, reference="REF-7", document_url="/docs/7.pdf", audit_trail_url="https://p.example/7"
    )
    ContractFactory(client_id=subject.id, reference="REF-8")
    db.session.commit()
    page = client.get(f"/clients/{subject.id}?onglet=documents").text
    tab = re.split('id="onglet"', page)[1]
    assert "REF-7" in tab
    assert "/docs/7.pdf" in tab
    assert 'href="/docs/7.pdf"' not in tab
    assert 'href="https://p.example/7"' in tab
    assert "REF-8" not in tab


def test_who_added_it_and_a_manager_may_take_it_away(
    app: Flask, cast: Cast, sign_in: SignIn, client: FlaskClient, subject: Client
) -> None:
    before = _stored(app)
    for browser in (client, sign_in(cast.manager)):
        _add(client, subject)
        address = _address(db.session.query(Document).one()) + "/retirer"
        assert sign_in(cast.colleague).post(address).status_code == 403
        assert browser.post(address).status_code == 303
        assert db.session.query(Document).count() == 0
        assert _stored(app) == before


def test_a_file_that_is_gone_is_a_404(client: FlaskClient, subject: Client) -> None:
    _add(client, subject)
    document = db.session.query(Document).one()
    document_store.drop(document.stored_as, organisation_id=document.organisation_id)
    assert client.get(_address(document)).status_code == 404


def test_an_outsider_finds_nothing(
    app: Flask, client: FlaskClient, outsider_client: FlaskClient, subject: Client
) -> None:
    _add(client, subject)
    document, before = db.session.query(Document).one(), _stored(app)
    assert outsider_client.get(_address(document)).status_code == 404
    assert outsider_client.post(_address(document) + "/retirer").status_code == 404
    assert _add(outsider_client, subject).status_code == 404
    assert _stored(app) == before
    assert db.session.query(Document).count() == 1


def test_a_document_belongs_to_its_client(client: FlaskClient, subject: Client) -> None:
    _add(client, subject)
    other: Client = ClientFactory()
    db.session.commit()
    document = db.session.query(Document).one()
    assert client.get(f"/clients/{other.id}/documents/{document.id}").status_code == 404
    assert client.get(f"/clients/{subject.id}/documents/{uuid4()}").status_code == 404


def _upload(browser: FlaskClient, subject: Client) -> TestResponse:
    file = (io.BytesIO(PDF), "a.pdf")
    return browser.post(f"/clients/{subject.id}/documents", data={"fichier": file}, content_type="multipart/form-data")


def test_an_organisation_keeps_so_much_and_is_told_before(
    client: FlaskClient, subject: Client, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = document_store.path_of("x", organisation_id=cast.organisation.id).parent
    kept_before = len(list(folder.iterdir())) if folder.exists() else 0  # by other tests of this process
    tab = f"/clients/{subject.id}?onglet=documents"
    monkeypatch.setattr(document_store, "_quota", 3 * len(PDF))
    with tenancy.organisation(cast.other_organisation.id):
        theirs = ClientFactory()
        add_document(theirs.id, "a.pdf", PDF * 2, by=cast.outsider, at=clock.now())
    for _ in range(2):
        assert 'data-testid="room"' not in client.get(tab).text
        assert _upload(client, subject).status_code == 303
    assert _upload(client, subject).status_code == 303
    assert 'data-testid="room"' in client.get(tab).text
    refused = _upload(client, subject)
    assert refused.status_code == 413
    assert "Votre organisation garde déjà 1\u202fko de fichiers, sur 1\u202fko" in html.unescape(refused.text)
    assert db.session.query(Document).count() == 3
    assert len(list(folder.iterdir())) == kept_before + 3


def test_uploads_have_a_rate(client: FlaskClient, manager_client: FlaskClient, subject: Client) -> None:
    assert {_upload(client, subject).status_code for _ in range(30)} == {303}
    assert _upload(client, subject).status_code == 429
    assert _upload(manager_client, subject).status_code == 303


def test_until_when_a_file_is_valid_is_said_shown_and_changed(
    client: FlaskClient, outsider_client: FlaskClient, subject: Client
) -> None:
    file = FileStorage(io.BytesIO(PDF), "carte.pdf")
    boundary, body = encode_multipart({"fichier": file, "valable": "2026-12-20"})
    kind = f"multipart/form-data; boundary={boundary}"
    assert client.post(f"/clients/{subject.id}/documents", data=body, content_type=kind).status_code == 303
    document = db.session.query(Document).one()
    address, tab = f"{_address(document)}/validite", f"/clients/{subject.id}?onglet=documents"
    page = client.get(tab).text
    assert "20/12/2026" in page
    assert 'data-validity="soon"' in page
    for written, state in (("2026-11-19", "expired"), ("2027-11-19", "valid")):
        assert client.post(address, data={"valable": written}).location.startswith(f"/clients/{subject.id}")
        assert f'data-validity="{state}"' in client.get(tab).text
    assert "Validité d’un document modifiée" in client.get(f"/clients/{subject.id}?onglet=activites").text
    client.post(address, data={"valable": "2027-02-30"})
    assert "Indiquez une date valable." in client.get(tab).text
    assert 'data-validity="valid"' in client.get(tab).text, "what is no date changes nothing"
    client.post(address, data={"valable": ""})
    assert "data-validity=" not in client.get(tab).text
    assert outsider_client.post(address, data={"valable": "2027-01-01"}).status_code == 404
