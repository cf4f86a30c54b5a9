"""What people put on a claim file: notes, tasks for a colleague, files; and who may not."""

import re
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from tests.conftest import Cast
from tests.services.claims.files import NOON, declare, make_cover
from tests.views.clients.test_documents import PDF, _send
from webapp import clock
from webapp.extensions import db
from webapp.models.claims import Claim
from webapp.models.documents import Document
from webapp.models.tasks import Task
from webapp.models.timeline import EventKind, TimelineEvent


@pytest.fixture
def claim(cast: Cast) -> Claim:
    clock.start_at(NOON)
    return declare(make_cover(cast.commercial), cast.commercial)


def send_file(browser: FlaskClient, claim: Claim, name: str = "facture.pdf", content: bytes = PDF) -> Any:
    return _send(browser, f"/dossiers/{claim.id}/documents", content, name)


def told(claim: Claim) -> list[EventKind]:
    statement = select(TimelineEvent.kind).where(TimelineEvent.claim_id == claim.id).order_by(TimelineEvent.id)
    return list(db.session.scalars(statement))


def test_a_form_that_is_sent_twice_is_carried_out_once(client: FlaskClient, claim: Claim) -> None:
    address = f"/dossiers/{claim.id}"
    demands = re.findall(r'name="demande" value="([^"]+)"', client.get(address).text)
    assert len(demands) == 2  # a task, a note
    task = {"tache": "Relancer", "echeance": "2026-11-27", "demande": demands[0]}
    for data in ({"note": "Vient mardi", "demande": demands[1]}, {"note": "Vient mercredi", "demande": demands[1]}):
        for _ in range(2):
            assert client.post(f"{address}/notes", data=data).status_code == 303
            assert client.post(f"{address}/taches", data=task).status_code == 303
    assert sorted(told(claim)) == [EventKind.NOTE, EventKind.NOTE, EventKind.TASK_ADDED]
    assert db.session.query(Task).count() == 1


def test_what_is_put_on_a_file_stands_there_and_in_the_timeline(client: FlaskClient, cast: Cast, claim: Claim) -> None:
    address = f"/dossiers/{claim.id}"
    assert client.post(f"{address}/notes", data={"note": "<b>Le plombier</b>\nvient mardi"}).status_code == 303
    values = {"tache": "Relancer le plombier", "pour": str(cast.manager.id), "echeance": "2026-11-27"}
    assert client.post(f"{address}/taches", data=values).status_code == 303
    assert send_file(client, claim).status_code == 303
    task = db.session.scalars(select(Task)).one()
    assert (task.user_id, task.due_on, task.claim_id) == (cast.manager.id, date(2026, 11, 27), claim.id)
    document = db.session.scalars(select(Document)).one()
    assert (document.claim_id, document.user_id) == (claim.id, cast.commercial.id)
    page = client.get(address).text
    assert "&lt;b&gt;Le plombier" in page
    assert 'data-testid="claim-task" data-done="0"' in page
    assert f"/clients/{claim.client_id}/documents/{document.id}" in page
    validity = f"/clients/{claim.client_id}/documents/{document.id}/validite?dossier=1"
    assert client.post(validity, data={"valable": "2026-12-01"}).location == address
    assert 'data-validity="soon"' in client.get(address).text
    assert client.post(f"{address}/taches/{task.id}").status_code == 303
    assert 'data-testid="claim-task" data-done="1"' in client.get(address).text
    assert told(claim) == [
        EventKind.NOTE,
        EventKind.TASK_ADDED,
        EventKind.DOCUMENT_ADDED,
        EventKind.DOCUMENT_CHANGED,
        EventKind.TASK_DONE,
    ]
    assert "Relancer le plombier" in client.get(f"/clients/{claim.client_id}?onglet=activites").text


@pytest.mark.parametrize(
    ("path", "values", "words"),
    [
        ("notes", {"note": " "}, "Écrivez quelque chose"),
        ("taches", {"tache": "", "echeance": "2026-11-27"}, "Écrivez quelque chose"),
        ("taches", {"tache": "Appeler", "echeance": "2026-11-19"}, "échéance est passée"),
        ("taches", {"tache": "Appeler", "echeance": "2026-11-27", "pour": str(UUID(int=7))}, "Choisissez un collègue"),
    ],
)
def test_what_cannot_be_put_there_is_refused_beside_its_field(
    client: FlaskClient, claim: Claim, path: str, values: dict[str, str], words: str
) -> None:
    answer = client.post(f"/dossiers/{claim.id}/{path}", data=values)
    assert answer.status_code == 422
    assert answer.text.count(words) == 2  # above, and at the field
    assert told(claim) == []


def test_a_file_that_is_not_what_it_says_is_refused(client: FlaskClient, claim: Claim) -> None:
    answer = send_file(client, claim, "photo.png")
    assert answer.status_code == 422
    assert "n’est pas ce que dit son nom" in answer.text
    assert send_file(client, claim, content=PDF + b"x" * 10_200_000).status_code == 413


def test_an_outsider_puts_nothing_on_a_file_of_ours(
    client: FlaskClient, outsider_client: FlaskClient, claim: Claim
) -> None:
    client.post(f"/dossiers/{claim.id}/taches", data={"tache": "Appeler", "echeance": "2026-11-27"})
    task = db.session.scalars(select(Task)).one()
    for path in ("notes", "taches", f"taches/{task.id}"):
        assert outsider_client.post(f"/dossiers/{claim.id}/{path}", data={"note": "x"}).status_code == 404
    assert send_file(outsider_client, claim).status_code == 404
