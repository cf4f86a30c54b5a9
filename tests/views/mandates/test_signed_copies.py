"""The signed copy of a mandate shows an IBAN: who may see that may open it, and the timeline tells who did."""

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from tests.services.mandates.conftest import AT, bank_account, declared, owner
from tests.views.clients.test_documents import PDF, _send
from webapp.extensions import db
from webapp.models.banking import Mandate
from webapp.models.clients import Client
from webapp.models.documents import Document
from webapp.models.timeline import EventKind, TimelineEvent

__all__ = ["AT", "bank_account", "declared", "owner"]


@pytest.fixture
def copy(manager_client: FlaskClient, owner: Client, declared: Mandate) -> Document:
    """One that a manager has added."""
    answer = _send(manager_client, f"/clients/{owner.id}/mandats/{declared.id}/mandat-signe", PDF, "signé.pdf")
    assert answer.status_code == 303
    return db.session.scalars(select(Document)).one()


def opening(copy: Document) -> str:
    return f"/clients/{copy.client_id}/documents/{copy.id}/mandat-signe"


def test_it_is_shown_with_the_mandate_and_among_the_documents(
    manager_client: FlaskClient, owner: Client, declared: Mandate, copy: Document
) -> None:
    assert copy.mandate_id == declared.id
    for page in (f"/clients/{owner.id}/mandats/{declared.id}", f"/clients/{owner.id}?onglet=documents"):
        assert opening(copy) in manager_client.get(page).text
    assert f"mandats/{declared.id}" in manager_client.get(f"/clients/{owner.id}?onglet=documents").text


def test_the_newest_replaces_the_others_which_stay(
    manager_client: FlaskClient, owner: Client, declared: Mandate, copy: Document
) -> None:
    _send(manager_client, f"/clients/{owner.id}/mandats/{declared.id}/mandat-signe", PDF, "plus récent.pdf")
    page = manager_client.get(f"/clients/{owner.id}/mandats/{declared.id}").text
    assert page.index("plus récent.pdf") < page.index("remplacé")
    assert "signé.pdf" in page


def test_who_may_see_the_iban_opens_it_and_the_timeline_tells(
    client: FlaskClient, manager_client: FlaskClient, owner: Client, copy: Document
) -> None:
    assert client.post(opening(copy)).status_code == 403
    for browser in (client, manager_client):
        assert browser.get(f"/clients/{owner.id}/documents/{copy.id}").status_code == 404
    assert opening(copy) not in client.get(f"/clients/{owner.id}?onglet=documents").text
    answer = manager_client.post(opening(copy))
    assert (answer.status_code, answer.data) == (200, PDF)
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert "no-store" in answer.headers["Cache-Control"]
    answer.close()
    opened = select(TimelineEvent.body).where(TimelineEvent.kind == EventKind.SIGNED_COPY_OPENED)
    assert db.session.scalars(opened).all() == ["signé.pdf"]


def test_what_is_no_such_file_is_refused_beside_its_field(
    client: FlaskClient, owner: Client, declared: Mandate
) -> None:
    address = f"/clients/{owner.id}/mandats/{declared.id}/mandat-signe"
    for content, name, status in (
        (b"x", "a.pdf", 422),
        (PDF, "a.exe", 422),
        (b"", "", 422),
        (PDF * 700_000, "a.pdf", 413),
    ):
        answer = _send(client, address, content, name)
        assert (answer.status_code, 'id="fichier-error"' in answer.text) == (status, True)
    assert db.session.scalars(select(Document)).all() == []


def test_a_commercial_takes_no_proof_away(
    client: FlaskClient, manager_client: FlaskClient, owner: Client, declared: Mandate
) -> None:
    _send(client, f"/clients/{owner.id}/mandats/{declared.id}/mandat-signe", PDF, "a.pdf")
    mine = db.session.scalars(select(Document)).one()
    address = f"/clients/{owner.id}/documents/{mine.id}/retirer"
    assert client.post(address).status_code == 403
    assert manager_client.post(address).status_code == 303


def test_an_outsider_finds_none(outsider_client: FlaskClient, owner: Client, declared: Mandate, copy: Document) -> None:
    address = f"/clients/{owner.id}/mandats/{declared.id}/mandat-signe"
    assert _send(outsider_client, address, PDF, "a.pdf").status_code == 404
    assert outsider_client.post(opening(copy)).status_code == 404
