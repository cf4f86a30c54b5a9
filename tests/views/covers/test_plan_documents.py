"""The documents of a plan's version: an admin gives them to the draft, publishing freezes them."""

import io
import re
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete, func, select
from sqlalchemy.exc import DBAPIError
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from tests import factories
from tests.conftest import Cast
from webapp import clock
from webapp.extensions import db
from webapp.gateways import document_store
from webapp.models.covers import CoverPlan, CoverPlanDocument, CoverPlanVersion
from webapp.services.covers import plans
from webapp.tenancy import current_organisation_id

pytestmark = pytest.mark.usefixtures("cast")
PDF = b"%PDF-1.7 fiche"


def _draft() -> CoverPlan:
    version: CoverPlanVersion = factories.CoverPlanVersionFactory(published_at=None)
    db.session.commit()
    return plans.find_plan(version.plan_id)


def _add(browser: FlaskClient, plan_id: UUID, content: bytes = PDF, **form: str) -> Any:
    """Encoded here: the test browser would put a large form into a temporary file, and leave it open."""
    sent = {
        "type": "information",
        "edition": "2026-03",
        **form,
        "fichier": FileStorage(io.BytesIO(content), "fiche.pdf"),
    }
    boundary, body = encode_multipart(sent)
    kind = f"multipart/form-data; boundary={boundary}"
    return browser.post(f"/couvertures/formules/{plan_id}/documents", data=body, content_type=kind)


def _file_of(document: CoverPlanDocument) -> Path:
    return document_store.path_of(document.stored_as, organisation_id=current_organisation_id())


def _only() -> CoverPlanDocument:
    return db.session.scalars(select(CoverPlanDocument)).one()


def test_a_document_of_the_draft_is_replaced_and_then_goes_with_its_file(admin_client: FlaskClient) -> None:
    plan = _draft()
    assert _add(admin_client, plan.id).status_code == 303
    first = _file_of(_only())
    assert _add(admin_client, plan.id, b"%PDF-1.7 autre", edition="2026-04").status_code == 303
    document = _only()
    assert (document.edition, first.exists(), _file_of(document).read_bytes()) == ("2026-04", False, b"%PDF-1.7 autre")
    page = admin_client.get(f"/couvertures/formules/{plan.id}").text
    assert "Fiche d’information 2026-04" in page
    [path] = re.findall(rf"/couvertures/formules/{plan.id}/documents/[\w-]{{36}}", page)
    with admin_client.get(path) as answer:
        assert answer.data == b"%PDF-1.7 autre"
    last = _file_of(document)
    admin_client.post(f"/couvertures/formules/{plan.id}/documents/retirer", data={"type": "information"})
    assert (db.session.scalar(select(func.count()).select_from(CoverPlanDocument)), last.exists()) == (0, False)


@pytest.mark.parametrize(
    ("changes", "content", "sentence"),
    [
        ({"type": "x"}, PDF, "Choisissez le type"),
        ({"edition": " "}, PDF, "Indiquez la version du document"),
        ({}, b"<html>", "Choisissez un fichier PDF"),
        ({}, b"%PDF-" + b"x" * 4_000_000, "trop lourd"),
    ],
)
def test_what_is_no_document_is_refused_at_its_field(
    admin_client: FlaskClient, changes: dict[str, str], content: bytes, sentence: str
) -> None:
    plan = _draft()
    answer = _add(admin_client, plan.id, content, **changes)
    assert (answer.status_code, sentence in answer.text) == (422, True)
    assert db.session.scalar(select(func.count()).select_from(CoverPlanDocument)) == 0


def test_what_is_far_too_large_is_not_even_read(admin_client: FlaskClient, outsider_client: FlaskClient) -> None:
    plan = _draft()
    answer = _add(admin_client, plan.id, b"%PDF-" + b"x" * 5_000_000)
    assert "trop lourd" in admin_client.get(answer.location).text
    answer = _add(outsider_client, plan.id, b"%PDF-" + b"x" * 5_000_000)
    assert outsider_client.get(answer.location).status_code == 404


def test_publishing_freezes_documents_which_the_next_version_begins_with(admin_client: FlaskClient, cast: Cast) -> None:
    plan = _draft()
    _add(admin_client, plan.id)
    published = plans.publish(plan.id, edits=2, at=clock.now())
    assert _add(admin_client, plan.id, edition="2026-05").status_code == 409
    with pytest.raises(DBAPIError, match="never changes"), db.session.begin_nested():
        db.session.execute(delete(CoverPlanDocument))
    draft = plans.draft_next(plan.id, by=cast.admin, at=clock.now())
    stored = db.session.scalars(select(CoverPlanDocument.stored_as)).all()
    assert len(stored) == 2
    assert len(set(stored)) == 1
    assert _add(admin_client, plan.id, edition="2026-06").status_code == 303
    plans.drop_draft(plan.id)
    document = _only()
    assert (document.version_id, document.edition) == (published.id, "2026-03")
    assert _file_of(document).read_bytes() == PDF
    assert draft.id != published.id


def test_managers_read_documents_and_outsiders_find_none(
    client: FlaskClient, manager_client: FlaskClient, admin_client: FlaskClient, outsider_client: FlaskClient
) -> None:
    plan = _draft()
    _add(admin_client, plan.id)
    path = f"/couvertures/formules/{plan.id}/documents/{_only().id}"
    with manager_client.get(path) as answer:
        assert answer.status_code == 200
    assert manager_client.get(f"/couvertures/formules/{plan.id}/documents/{plan.id}").status_code == 404
    assert outsider_client.get(path).status_code == 404
    assert client.get(path).status_code == 403
    assert _add(manager_client, plan.id).status_code == 403
    assert _add(outsider_client, plan.id).status_code == 404


def test_what_a_client_must_receive_is_asked_for_before_publishing(admin_client: FlaskClient) -> None:
    plan = _draft()
    address = f"/couvertures/formules/{plan.id}"
    page = admin_client.get(address).text
    assert "Il manque à ce brouillon\u202f: fiche d’information, conditions générales." in page
    assert re.search(r"Publier la version 1\s+sans ces documents", page)
    _add(admin_client, plan.id, type="information")
    assert "Il manque à ce brouillon\u202f: conditions générales." in admin_client.get(address).text
    _add(admin_client, plan.id, type="terms")
    page = admin_client.get(address).text
    assert "Il manque à ce brouillon" not in page
    assert "sans ces documents" not in page
