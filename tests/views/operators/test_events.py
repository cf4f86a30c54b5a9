"""« Événements des opérateurs » and « Envois »: managers read and retry, admins close; nobody else sees them."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from flask.testing import FlaskClient

from tests.conftest import HTMX, Cast
from tests.queries import recorded_statements
from tests.services.claims.files import make_cover
from tests.services.operators.events import claim_of, file_of, hear, latest, make_operator
from webapp import clock
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.covers import Cover
from webapp.models.events import EventState
from webapp.models.operator_events import OperatorDelivery, OperatorDocument
from webapp.models.operators import CoverOperator
from webapp.services.operators import listing
from webapp.services.operators.listing import EventsView

ADDRESS = "/couvertures/operateurs/evenements"
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def operator(cast: Cast) -> CoverOperator:
    return make_operator(cast.admin)


@pytest.fixture
def cover(cast: Cast) -> Cover:
    return make_cover(cast.commercial)


@pytest.fixture
def waiting(operator: CoverOperator) -> UUID:
    """An event whose cover nobody knows."""
    return hear(operator, claim_of("V-999999999", words=HOSTILE)).id


def test_the_list_says_what_became_of_each_event(
    manager_client: FlaskClient, cover: Cover, operator: CoverOperator, waiting: UUID
) -> None:
    hear(operator, claim_of(cover))
    page = manager_client.get(ADDRESS).text
    for words in ("Sinistre déclaré", operator.name, file_of().reference, "Traité", "En attente", "n’existe pas"):
        assert words in page
    assert page.count('data-testid="operator-event-row"') == 2
    assert 'data-action="close"' not in page, "only admins close"
    assert HOSTILE not in page


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ("etat=waiting", 1),
        ("etat=done", 2),
        ("type=claim.updated", 1),
        ("dossier=OP-1", 2),
        ("dossier=OP-2", 1),
        ("etat=lost&type=x&operateur=y", 3),
    ],
)
def test_filters_narrow_it(
    manager_client: FlaskClient, cover: Cover, operator: CoverOperator, query: str, number: int
) -> None:
    hear(operator, claim_of(cover))
    hear(operator, claim_of(cover, 2, state="in_progress"))
    hear(operator, claim_of("V-999999999", external_id="OP-2"))
    part = manager_client.get(f"{ADDRESS}?{query}", headers=HTMX).text
    assert part.count('data-testid="operator-event-row"') == number
    assert (
        manager_client.get(f"{ADDRESS}?dossier={file_of().reference}", headers=HTMX).text.count("operator-event-row")
        == 2
    )
    assert manager_client.get(f"{ADDRESS}?operateur={uuid4()}", headers=HTMX).text.count("operator-event-row") == 0


def test_pages_go_on_where_the_last_one_ended(cover: Cover, operator: CoverOperator) -> None:
    for revision in (1, 2, 3):
        hear(operator, claim_of(cover, revision))
        clock.start_at(clock.now() + timedelta(seconds=1))
    first = listing.list_events(EventsView(), size=2)
    second = listing.list_events(EventsView(cursor=first.next_cursor), size=2)
    assert [each.revision for each in (*first.rows, *second.rows)] == [3, 2, 1]
    db.session.expire_all()
    with recorded_statements() as statements:
        listing.list_events(EventsView())
    assert len([each for each in statements if each.startswith("SELECT")]) == 1


def test_a_body_is_shown_masked(manager_client: FlaskClient, waiting: UUID) -> None:
    page = manager_client.get(f"{ADDRESS}/{waiting}").text
    assert "V-999999999" in page
    assert "alert(1)" not in page
    assert "•••" in page


def test_what_waits_is_retried_and_closed(
    manager_client: FlaskClient, admin_client: FlaskClient, waiting: UUID
) -> None:
    assert manager_client.post(f"{ADDRESS}/{waiting}/reessayer").status_code == 303
    assert latest().state is EventState.RECEIVED
    assert manager_client.post(f"{ADDRESS}/{waiting}/reessayer").status_code == 409
    latest().state = EventState.FAILED
    db.session.commit()
    assert manager_client.post(f"{ADDRESS}/reessayer", data={"etat": "failed"}).status_code == 303
    assert latest().state is EventState.RECEIVED
    latest().state = EventState.WAITING
    db.session.commit()
    assert manager_client.post(f"{ADDRESS}/{waiting}/classer").status_code == 403
    assert admin_client.post(f"{ADDRESS}/{waiting}/classer").status_code == 303
    assert latest().state is EventState.IGNORED
    assert "Classé par" in (latest().reason or "")


def test_what_was_not_taken_is_sent_again(manager_client: FlaskClient, cover: Cover, operator: CoverOperator) -> None:
    hear(operator, claim_of(cover))
    delivery = OperatorDelivery(
        id=new_id(), operator_id=operator.id, claim_id=file_of().id, type="claim.updated", revision=1, told={}
    )
    delivery.state, delivery.reason, delivery.next_attempt_at = EventState.FAILED, "Réponse 400.", None
    db.session.add(delivery)
    db.session.commit()
    assert "Réponse 400." in manager_client.get(f"{ADDRESS}/envois").text
    assert manager_client.post(f"{ADDRESS}/envois/{delivery.id}/reessayer").status_code == 303
    db.session.refresh(delivery)
    assert delivery.state is EventState.RECEIVED
    shown = manager_client.get(f"{ADDRESS}/envois").text
    assert "À envoyer</span>" in shown
    assert "Reçu</span>" not in shown


def test_the_file_shows_its_operators_news(manager_client: FlaskClient, cover: Cover, operator: CoverOperator) -> None:
    visit = {"external_id": "v1", "scheduled_at": "2026-11-21T09:00:00+01:00", "craftsman": HOSTILE}
    linked = {"external_id": "d1", "name": "Photo.jpg", "url": "https://example.org/a.jpg"}
    answer = {"score": 9, "answered_at": "2026-11-20T08:00:00Z", "comment": "Parfait"}
    hear(operator, claim_of(cover, state="closed", interventions=[visit], documents=[linked], satisfaction=answer))
    page = manager_client.get(f"/dossiers/{file_of().id}").text
    for words in ("Nouvelles de l’opérateur", operator.name, "OP-1", "21/11/2026", "Photo.jpg", "9 sur 10", "Parfait"):
        assert words in page
    assert HOSTILE not in page


def test_a_file_that_could_not_be_fetched_is_asked_for_again(
    manager_client: FlaskClient,
    client: FlaskClient,
    outsider_client: FlaskClient,
    cover: Cover,
    operator: CoverOperator,
) -> None:
    linked = {"external_id": "d1", "name": "Photo.exe", "url": "https://example.org/a.exe"}
    hear(operator, claim_of(cover, documents=[linked]), "document.added")
    row = db.session.query(OperatorDocument).one()
    page = manager_client.get(f"/dossiers/{row.claim_id}").text
    assert "À récupérer" in page
    assert ">Reçu<" not in page, "nobody has it yet"
    row.state, row.reason, row.next_attempt_at = EventState.FAILED, "Ce genre de fichier n’est pas accepté.", None
    db.session.commit()
    address = f"{ADDRESS}/fichiers/{row.id}/reessayer"
    assert address in manager_client.get(f"/dossiers/{row.claim_id}").text
    assert address not in client.get(f"/dossiers/{row.claim_id}").text
    assert client.post(address).status_code == 403
    assert outsider_client.post(address).status_code == 404
    assert manager_client.post(address).status_code == 303
    db.session.refresh(row)
    assert row.state is EventState.RECEIVED


def test_they_are_of_managers_and_admins(client: FlaskClient, waiting: UUID) -> None:
    for path in ("", f"/{waiting}", "/envois"):
        assert client.get(f"{ADDRESS}{path}").status_code == 403
    for path in (f"/{waiting}/reessayer", "/reessayer", f"/{waiting}/classer", f"/envois/{waiting}/reessayer"):
        assert client.post(f"{ADDRESS}{path}").status_code == 403


def test_an_outsider_finds_nothing_of_ours(outsider_client: FlaskClient, waiting: UUID) -> None:
    assert "operator-event-row" not in outsider_client.get(ADDRESS).text
    assert outsider_client.get(f"{ADDRESS}/{waiting}").status_code == 404
    for path in (f"/{waiting}/reessayer", f"/{waiting}/classer", f"/envois/{waiting}/reessayer"):
        assert outsider_client.post(f"{ADDRESS}{path}").status_code == 404
    outsider_client.post(f"{ADDRESS}/reessayer")
    assert latest().state is EventState.WAITING
