"""People's rights in the browser: who may, what the pages say, and that an erased client gets nothing more."""

import html
import re
from datetime import timedelta
from uuid import uuid4

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from tests import factories
from tests.conftest import NOW, Cast
from tests.services.rights.markers import mark_all
from webapp.extensions import db
from webapp.models.clients import Client, ClientStatus
from webapp.models.means_requests import MeansRequest
from webapp.models.operations import Operation, OperationKind
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.rights import commands


@pytest.fixture
def person(cast: Cast) -> Client:
    found: Client = factories.ClientFactory(
        last_name="Dupont", first_name="Hélène", email="helene@example.fr", commercial_id=cast.sales_rep.id
    )
    db.session.commit()  # a refusal rolls back
    return found


def erase(client: FlaskClient, person: Client, typed: str = "dupont helene") -> object:
    return client.post(f"/clients/{person.id}/effacer", data={"nom": typed, "version": str(person.version)})


def erased(person: Client, cast: Cast) -> None:
    commands.erase(person.id, typed=person.full_name, version=person.version, by=cast.admin, at=NOW)
    db.session.expire_all()


def test_an_admin_reads_what_goes_and_what_stays_and_erases(person: Client, admin_client: FlaskClient) -> None:
    assert f"/clients/{person.id}/effacer" in admin_client.get(f"/clients/{person.id}").text
    page = admin_client.get(f"/clients/{person.id}/effacer").text
    for words in ("Ce qui est effacé", "Ce qui reste, et pourquoi", "123-22", "ne s’annule pas"):
        assert words in page
    answer = erase(admin_client, person)
    assert answer.status_code == 303  # type: ignore[attr-defined]
    page = admin_client.get(f"/clients/{person.id}").text
    assert "Client effacé" in page
    assert "Données effacées" in page
    assert "Hélène" not in page
    assert "Modifier" not in page
    assert "se créent ici" not in page  # the words where there is no contract


def test_the_name_is_typed_and_the_client_is_as_it_was_seen(person: Client, admin_client: FlaskClient) -> None:
    answer = erase(admin_client, person, typed="Durand")
    assert answer.status_code == 422  # type: ignore[attr-defined]
    assert "Écrivez le nom du client" in answer.text  # type: ignore[attr-defined]
    data = {"nom": person.full_name, "version": str(person.version + 1)}
    answer = admin_client.post(f"/clients/{person.id}/effacer", data=data)
    assert answer.status_code == 409
    assert db.session.scalar(select(Client.erased_at).where(Client.id == person.id)) is None


def test_others_may_not_and_outsiders_find_nothing(
    person: Client, client: FlaskClient, manager_client: FlaskClient, outsider_client: FlaskClient
) -> None:
    for browser, status in ((client, 403), (manager_client, 403), (outsider_client, 404)):
        assert browser.get(f"/clients/{person.id}/effacer").status_code == status
        assert erase(browser, person).status_code == status  # type: ignore[attr-defined]
    assert "/effacer" not in manager_client.get(f"/clients/{person.id}").text
    assert db.session.scalar(select(Operation.id).where(Operation.kind == OperationKind.ERASURE)) is None


def test_what_forbids_it_is_said_and_the_form_is_not_offered(person: Client, admin_client: FlaskClient) -> None:
    factories.SubscriptionFactory(client_id=person.id)
    page = admin_client.get(f"/clients/{person.id}/effacer").text
    assert "Un abonnement est en cours" in page
    assert "erasure-form" not in page
    assert erase(admin_client, person).status_code == 409  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("address", "data"),
    [
        ("/activites", {"genre": "note", "body": "x"}),
        ("/modifier", {}),
        ("/desarchiver", {}),
        ("/documents", {}),
        ("/donnees", {}),
        ("/effacer", {"nom": "Client effacé", "version": "2"}),
    ],
)
def test_an_erased_client_gets_nothing_more(
    person: Client, cast: Cast, admin_client: FlaskClient, address: str, data: dict[str, str]
) -> None:
    erased(person, cast)
    answer = admin_client.post(f"/clients/{person.id}{address}", data=data)
    assert (answer.status_code, "a été effacé" in answer.text) == (409, True)
    assert db.session.scalar(select(Client.archived_at).where(Client.id == person.id)) is not None
    told = db.session.scalars(select(TimelineEvent.kind).where(TimelineEvent.client_id == person.id)).all()
    assert told == [EventKind.CLIENT_ERASED]


PAGES = (
    "/clients/{id}", "/clients/{id}?onglet=paiements", "/clients/{id}?onglet=activites",
    "/clients/{id}?onglet=documents", "/clients/{id}?onglet=messages", "/clients/{id}?onglet=consentements",
    "/clients?archives=1", "/contrats", "/abonnements", "/prelevements", "/factures", "/relances", "/lots",
    "/expeditions", "/messages", "/operations", "/journal", "/taches", "/clients/doublons",
)  # fmt: skip


def test_every_page_that_showed_the_client_still_works(cast: Cast, admin_client: FlaskClient) -> None:
    person = factories.ClientFactory(status=ClientStatus.ACTIVE)
    made = mark_all(person, with_kept=False)
    erased(person, cast)
    addresses = [each.format(id=person.id) for each in PAGES]
    addresses += [
        f"/contrats/{made['contracts']['id']}", f"/abonnements/{made['subscriptions']['id']}",
        f"/prelevements/{made['charges']['id']}", f"/expeditions/{made['shipments']['id']}",
        f"/messages/{made['messages']['id']}", f"/lots/{made['fulfilment_batches']['id']}"
        if "fulfilment_batches" in made else "/lots",
        f"/operations/{made['operations']['id']}", f"/factures/{made['invoices']['id']}",
        f"/relances/{made['dunning_cases']['id']}",
    ]  # fmt: skip
    shown = 0
    for address in addresses:
        answer = admin_client.get(address)
        assert answer.status_code == 200, address
        shown += "Client effacé" in answer.text
    assert shown > 10
    assert "Client effacé" not in admin_client.get("/clients").text
    assert "Client effacé" not in admin_client.get("/recherche?q=efface").text


TABS = ("", "?onglet=paiements", "?onglet=activites", "?onglet=documents", "?onglet=messages", "?onglet=consentements")


def main_of(page: str) -> str:
    """What a page shows between its bars."""
    return page.partition("<main")[2].partition("</main>")[0]


def test_the_page_of_an_erased_client_offers_nothing_that_is_refused(cast: Cast, admin_client: FlaskClient) -> None:
    person = factories.ClientFactory(status=ClientStatus.ACTIVE)
    mark_all(person, with_kept=False)
    db.session.scalars(select(MeansRequest)).one().keep_token("the link of its page")
    erased(person, cast)
    for tab in TABS:
        page = main_of(admin_client.get(f"/clients/{person.id}{tab}").text)
        assert page.count("rien ne peut plus être ajouté à sa fiche") == 1
        assert 'method="post"' not in page, tab
        assert "hx-post" not in page, tab
        for link in {html.unescape(each) for each in re.findall(r'href="(/[^"]*)"', page)}:
            assert "/nouveau" not in link
            with admin_client.get(link) as answer:
                assert answer.status_code < 400, link
                if f"/clients/{person.id}" in link and answer.mimetype == "text/html":  # to read
                    assert 'method="post"' not in main_of(answer.text), link


def test_an_erased_client_gets_no_contract(cast: Cast, admin_client: FlaskClient) -> None:
    person = factories.ClientFactory(status=ClientStatus.ACTIVE)
    contract = factories.ContractFactory(client_id=person.id)
    subscribe = f"/abonnements/nouveau?contrat={contract.id}"
    assert subscribe in admin_client.get(f"/contrats/{contract.id}").text
    erased(person, cast)
    assert subscribe not in admin_client.get(f"/contrats/{contract.id}").text
    written = {"reference": "C-1", "status": "active", "company_id": str(contract.company_id)}
    assert admin_client.post(f"/contrats/nouveau?client={person.id}", data=written).status_code == 404


def test_a_client_that_there_is_not_is_not_found(admin_client: FlaskClient) -> None:
    assert admin_client.get(f"/clients/{uuid4()}/effacer").status_code == 404


def test_an_admin_gets_the_archive_as_a_download_and_others_do_not(
    person: Client, admin_client: FlaskClient, manager_client: FlaskClient, outsider_client: FlaskClient
) -> None:
    address = f"/clients/{person.id}/donnees"
    answer = admin_client.post(address)
    assert (answer.status_code, answer.mimetype) == (200, "application/zip")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="donnees-2026-11-20.zip"'
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert answer.data.startswith(b"PK")
    assert "Données remises" in admin_client.get(f"/clients/{person.id}").text
    assert manager_client.post(address).status_code == 403
    assert outsider_client.post(address).status_code == 404


def test_old_prospects_are_proposed_chosen_and_erased(cast: Cast, admin_client: FlaskClient) -> None:
    old = factories.ClientFactory(last_name="Ancien", status=ClientStatus.PROSPECT)
    old.changed_at = NOW - timedelta(days=1200)
    db.session.commit()
    page = admin_client.get("/donnees-a-effacer").text
    assert "Ancien" in page
    assert "36" in page
    answer = admin_client.post("/donnees-a-effacer", data={"client": str(old.id), "nombre": "3"})
    assert answer.status_code == 422
    assert "Écrivez le nombre de clients choisis" in answer.text
    assert "checked" in answer.text
    answer = admin_client.post("/donnees-a-effacer", data={"client": str(old.id), "nombre": "1"})
    assert answer.status_code == 303
    plan = admin_client.get(answer.headers["Location"]).text
    assert "Effacement d’un client" in plan
    assert "Ancien" not in plan


def test_the_length_of_keeping_is_said_by_admins(
    admin_client: FlaskClient, manager_client: FlaskClient, client: FlaskClient
) -> None:
    assert admin_client.post("/donnees-a-effacer/duree", data={"mois": "24"}).status_code == 303
    assert 'value="24"' in admin_client.get("/donnees-a-effacer").text
    answer = admin_client.post("/donnees-a-effacer/duree", data={"mois": "deux"})
    assert (answer.status_code, "Écrivez un nombre de mois" in answer.text) == (422, True)
    for browser in (manager_client, client):
        assert browser.get("/donnees-a-effacer").status_code == 403
        assert browser.post("/donnees-a-effacer", data={}).status_code == 403
        assert browser.post("/donnees-a-effacer/duree", data={"mois": "1"}).status_code == 403


def test_an_outsider_sees_and_erases_none_of_ours(cast: Cast, outsider_client: FlaskClient) -> None:
    old = factories.ClientFactory(last_name="Ancien", status=ClientStatus.PROSPECT)
    old.changed_at = NOW - timedelta(days=1200)
    db.session.commit()
    assert "Ancien" not in outsider_client.get("/donnees-a-effacer").text
    answer = outsider_client.post("/donnees-a-effacer", data={"client": str(old.id), "nombre": "1"})
    assert answer.status_code == 422
    assert db.session.scalar(select(Operation.id)) is None
