"""Operations in the browser: plan, apply, follow, undo; who may, and who sees nothing."""

import re
from datetime import timedelta
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update

from tests import factories
from tests.conftest import HTMX, NOW, Cast
from tests.queries import recorded_queries
from webapp import tenancy
from webapp.extensions import db
from webapp.models.clients import Client, ClientStatus
from webapp.models.operations import Operation, OperationKind, OperationState
from webapp.models.saved_views import SavedList
from webapp.services import bulk, saved_views
from webapp.services.bulk import BulkAction, BulkChoice, Selection
from webapp.services.clients.selection import ClientsView
from webapp.services.operations import carry_out as carrying
from webapp.services.operations import deciding, runs, undoing
from webapp.services.operations.carry_out import carry_out
from webapp.services.saved_views import ViewState


@pytest.fixture
def clients(cast: Cast) -> list[Client]:
    return [factories.ClientFactory(commercial_id=cast.sales_rep.id, city="Lyon") for _ in range(3)]


def _planned(cast: Cast, choice: BulkChoice | None = None) -> UUID:
    choice = choice or BulkChoice(action=BulkAction.STATUS, status=ClientStatus.INACTIVE)
    return bulk.plan(Selection(ClientsView()), choice, by=cast.manager, at=NOW)


def _state(operation_id: UUID) -> OperationState:
    wanted = select(Operation.state).where(Operation.id == operation_id)
    return db.session.scalars(wanted).one()


def test_from_the_list_to_a_plan_applied_and_undone(
    cast: Cast, clients: list[Client], manager_client: FlaskClient
) -> None:
    chosen = [str(each.id) for each in clients[:2]]
    page = manager_client.get("/clients").text
    assert page.count('form="clients-chosen"') == 3
    form = manager_client.get("/clients/actions", query_string={"client": chosen, "vue": ""}).text
    assert "Les 2 que vous avez choisis" in form
    assert "Tous : 3 clients" in form
    answer = manager_client.post(
        "/clients/actions",
        data={"client": chosen, "portee": "choix", "action": "statut", "statut": "inactive", "vue": ""},
    )
    assert answer.status_code == 303
    address = answer.headers["Location"]
    plan = manager_client.get(address).text
    assert plan.count('data-testid="operation-item"') == 2
    assert "<del>Prospect</del>" in plan
    assert "2 à modifier" in plan
    operation_id = UUID(address.rsplit("/", 1)[1])
    assert manager_client.post(f"{address}/appliquer", headers=HTMX).status_code == 202
    assert "operation-progress" in manager_client.get(f"{address}?suivi=1", headers=HTMX).text
    carry_out(tenancy.current_organisation_id(), operation_id)
    ended = manager_client.get(f"{address}?suivi=1", headers=HTMX)
    assert ended.headers["HX-Redirect"] == address
    assert "2 appliqués" in manager_client.get(address).text
    undo = manager_client.post(f"{address}/annuler")
    assert undo.status_code == 303
    assert manager_client.get(undo.headers["Location"]).status_code == 200
    assert "son annulation" in manager_client.get(address).text


def test_the_plan_of_an_undo_says_what_it_takes_away(
    cast: Cast, clients: list[Client], manager_client: FlaskClient
) -> None:
    task = BulkChoice(action=BulkAction.TASK, title="Rappeler", due_on=NOW.date())
    operation_id = _planned(cast, task)
    deciding.apply(operation_id, by=cast.manager, at=NOW)
    carry_out(cast.organisation.id, operation_id)
    undo_id = undoing.plan_undo(operation_id, by=cast.manager, at=NOW)
    carry_out(cast.organisation.id, undo_id)
    sentence = manager_client.get(f"/operations/{undo_id}").text.split('data-testid="operation-sentence">')[1]
    assert sentence.startswith("À appliquer\u202f: 3 à retirer.")


def test_what_ended_too_long_ago_says_that_it_is_not_undone_any_more(
    cast: Cast, clients: list[Client], manager_client: FlaskClient
) -> None:
    operation_id = _planned(cast)
    address = f"/operations/{operation_id}"
    manager_client.post(f"{address}/appliquer")
    carry_out(tenancy.current_organisation_id(), operation_id)
    db.session.execute(update(Operation).values(finished_at=NOW - timedelta(days=29)))
    assert "Annuler cette opération" in manager_client.get(address).text
    db.session.execute(update(Operation).values(finished_at=NOW - timedelta(days=31)))
    page = manager_client.get(address).text
    assert "Annuler cette opération" not in page
    assert "Ne s’annule plus\u202f: elle est terminée depuis 30 jours ou plus." in page
    refused = manager_client.post(f"{address}/annuler")
    assert refused.status_code == 409
    assert "ne s’annule plus\u202f: elle est terminée depuis 30 jours ou plus." in refused.text


def test_the_whole_view_is_acted_on(cast: Cast, clients: list[Client], manager_client: FlaskClient) -> None:
    factories.ClientFactory(city="Brest", commercial_id=factories.CommercialFactory().id)
    answer = manager_client.post(
        "/clients/actions",
        data={"portee": "vue", "vue": f"commercial={cast.sales_rep.id}", "action": "archiver"},
    )
    operation_id = UUID(answer.headers["Location"].rsplit("/", 1)[1])
    assert db.session.scalars(select(Operation.updates).where(Operation.id == operation_id)).one() == 3


def test_of_how_many_one_may_act_on_is_said_before(
    cast: Cast, clients: list[Client], client: FlaskClient, admin_client: FlaskClient
) -> None:
    others = factories.ClientFactory(commercial_id=factories.CommercialFactory().id)
    chosen = [str(each.id) for each in (clients[0], others)]
    address, may = "/clients/actions", "sur lesquels vous pouvez agir"
    own = client.get(address, query_string={"client": chosen}).text
    assert f"Les 2 que vous avez choisis, dont 1 {may}" in own
    assert f"4 clients, dont 3 {may}" in own
    assert f"Celui que vous avez choisi, dont aucun {may}" in client.get(f"{address}?client={others.id}").text
    assert may not in client.get(f"{address}?client={clients[0].id}&vue=commercial={cast.sales_rep.id}").text
    assert may not in admin_client.get(address, query_string={"client": chosen}).text


def test_a_saved_view_is_acted_on_by_its_filters_and_not_once_it_is_gone(
    cast: Cast, clients: list[Client], manager_client: FlaskClient
) -> None:
    for made in (clients[0], factories.ClientFactory(city="Brest")):
        factories.make_bank_account(made)
    state = ViewState("lieu=lyon&iban=avec")
    view = saved_views.create(SavedList.CLIENTS, state, name="À relancer", by=cast.manager, at=NOW)
    page = manager_client.get("/clients?vue=a-relancer").text
    assert '<input type="hidden" name="vue" value="vue=a-relancer">' in page
    form = manager_client.get("/clients/actions?vue=vue%3Da-relancer").text
    assert "1 client du filtre" in form
    assert 'href="/clients?vue=a-relancer"' in form
    data = {"portee": "vue", "vue": "vue=a-relancer", "action": "archiver"}
    operation_id = UUID(manager_client.post("/clients/actions", data=data).headers["Location"].rsplit("/", 1)[1])
    assert db.session.scalars(select(Operation.updates).where(Operation.id == operation_id)).one() == 1
    named = manager_client.get(f"/operations/{operation_id}").text.split('data-testid="listed-in"')
    assert named[0].endswith('tous <a href="/clients?lieu=lyon&amp;iban=avec" ')
    assert named[1].startswith(">les clients «\u202fVille\u202f: lyon… · Avec IBAN\u202f»</a>")
    saved_views.remove(SavedList.CLIENTS, view.id, by=cast.manager)
    assert manager_client.post("/clients/actions", data=data).status_code == 404
    assert manager_client.get("/clients/actions?vue=vue%3Da-relancer").status_code == 404


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("q=Le+Goff&statut=prospect", "les clients «\u202fLe Goff · Prospect\u202f»"),
        ("source=crm&cree_du=2026-01-02", "les clients «\u202fCRM · Créé depuis le 02/01/2026\u202f»"),
        ("commercial=sans-commercial", "les clients «\u202fSans commercial\u202f»"),
        ("apres=gone&tri=recents", "les clients"),
        ("vue=partagee", "les clients «\u202fPartagée · Code postal\u202f: 69…\u202f»"),
    ],
)
def test_a_plan_says_in_which_view_its_clients_were_chosen(
    cast: Cast, clients: list[Client], manager_client: FlaskClient, query: str, words: str
) -> None:
    shared = {"name": "Partagée", "by": cast.admin, "at": NOW, "is_shared": True}
    saved_views.create(SavedList.CLIENTS, ViewState("lieu=69"), **shared)
    data = {"client": str(clients[0].id), "portee": "choix", "vue": query, "action": "archiver"}
    address = manager_client.post("/clients/actions", data=data).headers["Location"]
    page = manager_client.get(address).text
    assert f'data-testid="listed-in">{words}</a>' in page
    assert "choisis un par un parmi <a" in page


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"action": ""}, "Choisissez ce qu’il faut faire."),
        ({"action": "reaffecter"}, "Choisissez le commercial."),
        ({"action": "statut"}, "Choisissez le statut."),
        ({"action": "tache", "titre": "x", "echeance": "2026-02-31"}, "Choisissez une échéance à venir."),
    ],
)
def test_what_is_missing_is_said_and_what_was_written_stays(
    cast: Cast, clients: list[Client], manager_client: FlaskClient, data: dict[str, str], sentence: str
) -> None:
    answer = manager_client.post("/clients/actions", data={**data, "portee": "vue", "client": str(clients[0].id)})
    assert answer.status_code == 422
    assert sentence in answer.text
    assert str(clients[0].id) in answer.text


def test_a_plan_is_given_up_once_and_not_applied_afterwards(
    cast: Cast, clients: list[Client], manager_client: FlaskClient
) -> None:
    operation_id = _planned(cast)
    manager_client.post(f"/operations/{operation_id}/abandonner")
    assert _state(operation_id) is OperationState.CANCELED
    refused = manager_client.post(f"/operations/{operation_id}/appliquer", headers=HTMX)
    assert refused.status_code == 409
    assert _state(operation_id) is OperationState.CANCELED


def test_every_page_leads_to_the_operations(cast: Cast, client: FlaskClient, manager_client: FlaskClient) -> None:
    for browser in (client, manager_client):
        assert 'href="/operations"' in browser.get("/clients").text
        assert browser.get("/operations").status_code == 200


def test_what_was_stopped_before_anything_was_done_may_be_planned_again(
    cast: Cast, clients: list[Client], manager_client: FlaskClient
) -> None:
    operation_id = _planned(cast)
    manager_client.post(f"/operations/{operation_id}/appliquer")
    carry_out(tenancy.current_organisation_id(), operation_id)
    undo = manager_client.post(f"/operations/{operation_id}/annuler").headers["Location"]
    undo_id = UUID(undo.rsplit("/", 1)[1])
    carry_out(tenancy.current_organisation_id(), undo_id)
    manager_client.post(f"{undo}/appliquer")
    manager_client.post(f"{undo}/arreter")
    carry_out(tenancy.current_organisation_id(), undo_id)
    assert _state(undo_id) is OperationState.CANCELED
    assert "rien n’a été modifié" in manager_client.get(undo).text
    assert "Annuler cette opération" in manager_client.get(f"/operations/{operation_id}").text
    assert manager_client.post(f"/operations/{operation_id}/annuler").headers["Location"] != undo


def test_large_numbers_are_told_as_everywhere(cast: Cast, manager_client: FlaskClient) -> None:
    operation = Operation(
        kind=OperationKind.BULK, title="Archivage", state=OperationState.DONE, applied=120_000, finished_at=NOW
    )
    db.session.add(operation)
    db.session.commit()
    assert "120\u202f000 appliqués" in manager_client.get(f"/operations/{operation.id}").text


def test_what_is_being_applied_stops_between_two_chunks(
    cast: Cast, clients: list[Client], manager_client: FlaskClient
) -> None:
    operation_id = _planned(cast)
    manager_client.post(f"/operations/{operation_id}/appliquer")
    work = runs.claim(operation_id, at=NOW)
    assert work is not None
    carrying._apply_chunk(work, 1)
    db.session.execute(update(Operation).values(lease_until=None))
    assert manager_client.post(f"/operations/{operation_id}/arreter").status_code == 303
    carry_out(tenancy.current_organisation_id(), operation_id)
    assert _state(operation_id) is OperationState.PARTIAL
    assert sorted(db.session.scalars(select(Client.status))) == [
        ClientStatus.INACTIVE,
        ClientStatus.PROSPECT,
        ClientStatus.PROSPECT,
    ]
    page = manager_client.get(f"/operations/{operation_id}").text
    assert "Arrêtée à la demande" in page
    assert re.findall(r"Modifié<|Non appliqué<|À modifier<", page) == ["Modifié<", "Non appliqué<", "Non appliqué<"]


def test_who_did_not_plan_it_sees_it_and_decides_nothing(
    cast: Cast, clients: list[Client], client: FlaskClient
) -> None:
    operation_id = _planned(cast)
    assert "operation-apply" not in client.get(f"/operations/{operation_id}").text
    for verb in ("appliquer", "abandonner", "arreter"):
        assert client.post(f"/operations/{operation_id}/{verb}").status_code == 403
    assert _state(operation_id) is OperationState.PLANNED


def test_an_outsider_finds_nothing(cast: Cast, clients: list[Client], outsider_client: FlaskClient) -> None:
    operation_id = _planned(cast)
    assert outsider_client.get(f"/operations/{operation_id}").status_code == 404
    assert outsider_client.get(f"/operations/{operation_id}/elements.csv").status_code == 404
    for verb in ("appliquer", "abandonner", "arreter", "annuler"):
        assert outsider_client.post(f"/operations/{operation_id}/{verb}").status_code == 404
    assert "operation-row" not in outsider_client.get("/operations").text
    foreign = outsider_client.post(
        "/clients/actions", data={"client": str(clients[0].id), "portee": "choix", "action": "archiver"}
    )
    assert foreign.status_code == 422
    for verb in ("archiver", "desarchiver"):
        assert outsider_client.post(f"/clients/{clients[0].id}/{verb}").status_code == 404


def test_a_commercial_is_not_offered_what_is_not_theirs(cast: Cast, clients: list[Client], client: FlaskClient) -> None:
    assert "reaffecter" not in re.findall(r'option value="(\w*)"', client.get("/clients/actions").text)
    others = factories.ClientFactory()
    db.session.commit()
    assert client.post(f"/clients/{others.id}/archiver").status_code == 403
    assert client.post(f"/clients/{clients[0].id}/archiver").status_code == 303
    page = client.get(f"/clients/{clients[0].id}").text
    assert "Archivé le 20/11/2026" in page
    assert clients[0].full_name not in client.get("/clients").text
    assert clients[0].full_name in client.get("/clients?archives=oui").text
    assert client.post(f"/clients/{clients[0].id}/desarchiver").status_code == 303
    assert clients[0].full_name in client.get("/clients").text


def test_the_file_of_an_operation_has_a_line_for_each_field(
    cast: Cast, clients: list[Client], manager_client: FlaskClient
) -> None:
    operation_id = _planned(cast)
    lines = manager_client.get(f"/operations/{operation_id}/elements.csv").text.strip().split("\r\n")
    assert len(lines) == 4
    assert lines[1].endswith(";À modifier;Statut;Prospect;Inactif;")


def test_items_are_read_page_by_page(cast: Cast, manager_client: FlaskClient) -> None:
    for _ in range(60):
        factories.ClientFactory()
    operation_id = _planned(cast)
    with recorded_queries() as queries:
        first = manager_client.get(f"/operations/{operation_id}").text
    assert len(queries) <= 12
    assert first.count('data-testid="operation-item"') == 50
    more = manager_client.get(f"/operations/{operation_id}?apres=50", headers=HTMX).text
    assert more.count('data-testid="operation-item"') == 10


def test_the_list_names_operations_by_kind(cast: Cast, clients: list[Client], manager_client: FlaskClient) -> None:
    assert "Aucune opération" in manager_client.get("/operations").text
    _planned(cast)
    assert manager_client.get("/operations?genre=bulk").text.count('data-testid="operation-row"') == 1
    assert "operation-row" not in manager_client.get("/operations?genre=merge").text
