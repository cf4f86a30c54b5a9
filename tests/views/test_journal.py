"""The journal: for admins, its filters, its pages; nothing in it is ever changed."""

import re
from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete, update
from sqlalchemy.exc import ProgrammingError

from tests.conftest import HTMX, NOW, Cast
from tests.queries import recorded_queries
from webapp.extensions import db
from webapp.models.journal import JournalEntry, JournalKind
from webapp.services import journal

ROW = re.compile(r'data-testid="journal-entry" data-kind="(\w+)"')


@pytest.fixture
def noted(cast: Cast) -> None:
    """An erasure by an admin, then exports by a commercial, more than a page."""
    journal.note(JournalKind.ERASURE, {"Client": "effacé", "Lignes": 12_000, "Complet": True}, by=cast.admin, at=NOW)
    for minute in range(1, journal.PAGE_SIZE + 1):
        journal.note(JournalKind.EXPORT, {}, by=cast.commercial, at=NOW + timedelta(minutes=minute))


def test_the_journal_is_for_admins(
    noted: None,
    client: FlaskClient,
    manager_client: FlaskClient,
    admin_client: FlaskClient,
    outsider_client: FlaskClient,
) -> None:
    assert client.get("/journal").status_code == 403
    assert manager_client.get("/journal").status_code == 403
    assert 'href="/journal"' not in client.get("/clients").text
    assert 'href="/journal"' in admin_client.get("/clients").text
    assert "Rien au journal" in outsider_client.get("/journal").text


def test_entries_are_found_by_kind_and_person_and_page(noted: None, cast: Cast, admin_client: FlaskClient) -> None:
    page = admin_client.get("/journal").text
    assert ROW.findall(page) == ["export"] * journal.PAGE_SIZE
    following = re.search(r'href="(/journal\?apres=[^"]+)"', page)
    assert following
    last = admin_client.get(following[1], headers=HTMX).text
    assert ROW.findall(last) == ["erasure"]
    assert (
        re.sub(r"\s+", " ", last.replace("\u202f", "~")).count("Client~: effacé · Lignes~: 12~000 · Complet~: oui") == 1
    )
    assert ROW.findall(admin_client.get("/journal?genre=erasure").text) == ["erasure"]
    assert ROW.findall(admin_client.get(f"/journal?personne={cast.admin.id}").text) == ["erasure"]
    assert "Rien ne correspond" in admin_client.get(f"/journal?personne={cast.manager.id}").text
    assert len(ROW.findall(admin_client.get("/journal?genre=x&personne=y&apres=z").text)) == journal.PAGE_SIZE


def test_queries_do_not_grow_with_entries(noted: None, admin_client: FlaskClient) -> None:
    with recorded_queries() as many:
        admin_client.get("/journal")
    with recorded_queries() as one:
        admin_client.get("/journal?genre=erasure")
    assert len(many) == len(one)


@pytest.mark.parametrize(
    "change", [update(JournalEntry).values(details=[]), delete(JournalEntry)], ids=["changed", "deleted"]
)
def test_entries_are_only_ever_added_to(noted: None, change: object) -> None:
    with pytest.raises(ProgrammingError, match="only ever added to"):
        db.session.execute(change)  # type: ignore[call-overload]
