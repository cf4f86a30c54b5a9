"""Files that operators link to: fetched by our rules, checked as uploads are, shown with the claim."""

from collections.abc import Iterator

import pytest
from sqlalchemy import select

from demo.depanssur_operator import PDF, Desk, derived
from tests.conftest import Cast
from tests.depanssur_operator import running
from tests.services.claims.files import make_cover
from tests.services.operators.events import SECRETS, claim_of, file_of, tell
from webapp import clock
from webapp.extensions import db
from webapp.gateways import operators as gateway
from webapp.models.documents import Document
from webapp.models.events import EventState
from webapp.models.operator_events import OperatorDocument
from webapp.models.operators import CoverOperator
from webapp.services import event_engine
from webapp.services.clients import documents
from webapp.services.operators import fetching, handling, news


@pytest.fixture
def connected(cast: Cast) -> Iterator[tuple[Desk, CoverOperator]]:
    with running(cast.admin) as both:
        SECRETS[str(both[1].id)] = derived(both[0].secret, "webhook")
        both[0].files["x"] = {"reference": None}
        yield both


def fetched(cast: Cast, operator: CoverOperator, url: str, name: str = "Rapport.pdf") -> OperatorDocument:
    linked = {"external_id": "d1", "name": name, "url": url}
    tell(operator, claim_of(make_cover(cast.commercial), documents=[linked]), "document.added")
    handling.handle_due(operator.organisation_id)
    fetching.fetch_due(operator.organisation_id)
    return db.session.scalars(select(OperatorDocument).execution_options(populate_existing=True)).one()


def test_a_file_is_fetched_once_and_kept_with_the_claim(cast: Cast, connected: tuple[Desk, CoverOperator]) -> None:
    desk, operator = connected
    row = fetched(cast, operator, f"{desk.url}/files/x/documents/1.pdf")
    (document,) = documents.list_of_claim(file_of().id)
    assert (row.state, row.document_id) == (EventState.DONE, document.id)
    assert (document.name, document.size, document.user_id) == ("Rapport.pdf", len(PDF), None)
    assert document.client_id == file_of().client_id
    told = news.news_of(file_of())
    assert told is not None
    assert not told.missing  # it stands among the file's documents
    tell(
        operator, claim_of(file_of().cover, 2, documents=[{"external_id": "d1", "name": "a.pdf", "url": "https://x.y"}])
    )
    handling.handle_due(operator.organisation_id)
    fetching.fetch_due(operator.organisation_id)
    assert len(documents.list_of_claim(file_of().id)) == 1


@pytest.mark.parametrize(
    ("path", "name", "sentence"),
    [
        ("/files/x/documents/1.pdf", "Rapport.exe", "Ce genre de fichier n’est pas accepté"),
        ("/files/x/documents/1.pdf", "Photo.jpg", "n’est pas ce que dit son nom"),
        ("/files/nobody/documents/1.pdf", "Rapport.pdf", "L’opérateur a refusé (réponse 404)."),
        ("/actes/close", "Rapport.pdf", "L’opérateur a refusé (réponse 405)."),
    ],
)
def test_what_is_no_file_of_ours_is_refused_for_good(
    cast: Cast, connected: tuple[Desk, CoverOperator], path: str, name: str, sentence: str
) -> None:
    desk, operator = connected
    row = fetched(cast, operator, desk.url + path, name)
    assert row.state is EventState.FAILED
    assert sentence in (row.reason or "")
    told = news.news_of(file_of())
    assert told is not None
    assert told.missing == [row]
    assert db.session.scalars(select(Document)).all() == []


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/latest/meta-data", "http://user:pass@example.org/a.pdf", "https://[fd00:ec2::254]/"]
)
def test_addresses_within_are_never_asked(cast: Cast, connected: tuple[Desk, CoverOperator], url: str) -> None:
    row = fetched(cast, connected[1], url)
    assert row.state is EventState.FAILED
    assert "adresse" in (row.reason or "").lower()


def test_in_production_private_networks_are_never_asked(
    cast: Cast, connected: tuple[Desk, CoverOperator], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "_allow_private", False)
    row = fetched(cast, connected[1], f"{connected[0].url}/files/x/documents/1.pdf")
    assert row.state is EventState.FAILED
    assert "réseau interne" in (row.reason or "")


def test_who_does_not_answer_is_asked_again(cast: Cast, connected: tuple[Desk, CoverOperator]) -> None:
    desk, operator = connected
    row = fetched(cast, operator, "http://127.0.0.1:9/a.pdf")
    assert (row.state, row.reason) == (EventState.RECEIVED, "L’opérateur ne répond pas.")
    row.keep_url(f"{desk.url}/files/x/documents/1.pdf")
    db.session.commit()
    clock.start_at(clock.now() + event_engine.RETRIES[0])
    fetching.fetch_due(operator.organisation_id)
    assert len(documents.list_of_claim(file_of().id)) == 1
