"""The page of a batch's papers: asked for by managers, downloaded by whoever prepares."""

import re
from uuid import uuid4

import pytest
from flask.testing import FlaskClient

from tests.conftest import HTMX, Cast
from tests.services.fulfilment.packing import dispatch, pack
from webapp.services.fulfilment import documents

pytestmark = pytest.mark.usefixtures("cast")


def test_delivery_notes_from_the_click_to_the_file(manager_client: FlaskClient, client: FlaskClient) -> None:
    batch = pack(2)
    page, tab = f"/lots/{batch.id}/documents", f"/lots/{batch.id}?onglet=documents"
    assert 'data-kind="delivery_notes"' in manager_client.get(tab).text
    assert "ask-documents" not in client.get(tab).text
    assert client.post(f"{page}/bons-de-livraison").status_code == 403
    asked = manager_client.post(f"{page}/bons-de-livraison", follow_redirects=True).text
    assert 'data-status="waiting"' in asked
    assert 'hx-trigger="every 2s"' in asked
    documents.carry_out(batch.organisation_id)
    done = client.get(tab, headers=HTMX).text
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
    page, tab = f"/lots/{batch.id}/documents", f"/lots/{batch.id}?onglet=documents"
    assert 'data-kind="labels"' not in manager_client.get(tab).text
    assert manager_client.post(f"{page}/etiquettes").status_code == 409
    dispatch(batch, cast.manager)
    assert 'data-kind="labels"' in manager_client.get(tab).text
    manager_client.post(f"{page}/etiquettes")
    documents.carry_out(batch.organisation_id)
    assert documents.NO_LABELS in manager_client.get(tab).text
    assert manager_client.post(f"{page}/rien").status_code == 404


def test_an_outsider_finds_no_paper(cast: Cast, manager_client: FlaskClient, outsider_client: FlaskClient) -> None:
    batch = pack(1)
    page, tab = f"/lots/{batch.id}/documents", f"/lots/{batch.id}?onglet=documents"
    manager_client.post(f"{page}/bons-de-livraison")
    documents.carry_out(batch.organisation_id)
    (part,) = documents.list_documents(batch.id)
    for path in (f"/{part.id}.pdf", "/preparation.csv", "/preparation.pdf"):
        assert outsider_client.get(page + path).status_code == 404, path
    assert outsider_client.get(tab).status_code == 404
    assert outsider_client.post(f"{page}/bons-de-livraison").status_code == 404
    assert manager_client.get(f"{page}/{uuid4()}.pdf").status_code == 404
