"""The page of a batch's papers: asked for by managers, downloaded by whoever prepares."""

import re
from uuid import uuid4

import pytest
from flask.testing import FlaskClient

from tests.conftest import HTMX, Cast
from tests.services.fulfilment.packing import dispatch, make_batch, pack
from webapp.extensions import db
from webapp.models.fulfilment import BatchStatus
from webapp.services.fulfilment import documents

pytestmark = pytest.mark.usefixtures("cast")


def test_delivery_notes_from_the_click_to_the_file(manager_client: FlaskClient, client: FlaskClient) -> None:
    batch = pack(2)
    page = f"/lots/{batch.id}/documents"
    assert 'data-kind="delivery_notes"' in manager_client.get(page).text
    assert "ask-documents" not in client.get(page).text
    assert client.post(f"{page}/bons-de-livraison").status_code == 403
    asked = manager_client.post(f"{page}/bons-de-livraison", follow_redirects=True).text
    assert 'data-status="waiting"' in asked
    assert 'hx-trigger="every 2s"' in asked
    documents.carry_out(batch.organisation_id)
    done = client.get(page, headers=HTMX).text
    assert "every 2s" not in done
    assert "2 colis" in done
    (address,) = re.findall(rf'href="({page}/[^"]+\.pdf)"\s+download>', done.replace(f"{page}/preparation.pdf", ""))
    answer = client.get(address)
    assert answer.data.startswith(b"%PDF-")
    assert answer.headers["Content-Disposition"].startswith("attachment;")


def test_the_picking_list_is_a_file(cast: Cast, client: FlaskClient) -> None:
    batch = pack(2)
    page = f"/lots/{batch.id}/documents"
    written = client.get(f"{page}/preparation.csv")
    assert written.data.decode("utf-8-sig").splitlines()[1] == "Café;;2;2"
    assert client.get(f"{page}/preparation.pdf").data.startswith(b"%PDF-")


def test_labels_are_offered_once_the_batch_is_dispatched(cast: Cast, manager_client: FlaskClient) -> None:
    batch = pack(1)
    page = f"/lots/{batch.id}/documents"
    assert 'data-kind="labels"' not in manager_client.get(page).text
    assert manager_client.post(f"{page}/etiquettes").status_code == 409
    dispatch(batch, cast.manager)
    assert 'data-kind="labels"' in manager_client.get(page).text
    manager_client.post(f"{page}/etiquettes")
    documents.carry_out(batch.organisation_id)
    assert documents.NO_LABELS in manager_client.get(page).text
    assert manager_client.post(f"{page}/rien").status_code == 404


def test_an_open_batch_has_no_papers_yet(client: FlaskClient) -> None:
    batch = make_batch(status=BatchStatus.OPEN)
    db.session.commit()
    assert "Elle est arrêtée au verrouillage du lot." in client.get(f"/lots/{batch.id}/documents").text


def test_an_outsider_finds_no_paper(cast: Cast, manager_client: FlaskClient, outsider_client: FlaskClient) -> None:
    batch = pack(1)
    page = f"/lots/{batch.id}/documents"
    manager_client.post(f"{page}/bons-de-livraison")
    documents.carry_out(batch.organisation_id)
    (part,) = documents.list_documents(batch.id)
    for path in ("", f"/{part.id}.pdf", "/preparation.csv", "/preparation.pdf"):
        assert outsider_client.get(page + path).status_code == 404, path
    assert outsider_client.post(f"{page}/bons-de-livraison").status_code == 404
    assert manager_client.get(f"{page}/{uuid4()}.pdf").status_code == 404
