"""The page behind « Exporter », the file that follows, and « Mes exports »: by role, and for outsiders."""

import re
from datetime import timedelta

import pytest
from flask.testing import FlaskClient

from tests import factories
from tests.conftest import HTMX, NOW, Cast, SignIn
from tests.queries import recorded_queries
from tests.services.exports.wanting import csv_rows, sheets
from tests.services.rights.test_erasing import erased
from webapp import clock
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.exports import KEPT, Export, ExportFormat
from webapp.models.runs import RunStatus
from webapp.models.saved_views import Density, SavedList
from webapp.services import journal, saved_views
from webapp.services.exports import commands
from webapp.services.saved_views import ViewState
from webapp.views.exports.pages import PAGES

OF_ALL = [page.path for page in PAGES if ":" not in page.path]


@pytest.mark.parametrize("path", OF_ALL)
def test_every_list_leads_to_its_export(cast: Cast, admin_client: FlaskClient, path: str) -> None:
    page = admin_client.get(f"{path}/exporter?q=rien")
    assert page.status_code == 200
    assert 'data-testid="export-count"' in page.text
    back = re.search(r'href="([^"]*)">Revenir', page.text)
    assert back
    assert back[1] == f"{path}?q=rien"
    sent = admin_client.post(f"{path}/exporter?q=rien", data={"format": "csv"})
    assert sent.status_code == 200
    assert sent.mimetype == "text/csv"
    assert sent.content_length == len(sent.data)


@pytest.mark.parametrize("path", OF_ALL)
def test_who_may_see_a_list_and_nobody_else_may_export_it(
    client: FlaskClient, manager_client: FlaskClient, admin_client: FlaskClient, path: str
) -> None:
    query = f"?q=rien&etape=email&equipe={new_id()}"
    for browser in (client, manager_client, admin_client):
        may = browser.get(path).status_code
        assert may in (200, 403)
        assert browser.get(f"{path}/exporter{query}").status_code == may
        assert browser.post(f"{path}/exporter{query}").status_code == may


def test_the_link_carries_filters_and_columns_and_no_page(cast: Cast, client: FlaskClient) -> None:
    factories.ClientFactory(commercial_id=cast.sales_rep.id)
    page = client.get(f"/clients?q=dup&commercial={cast.sales_rep.id}&tri=-nom&apres=x&total=exact&colonnes=nom")
    link = re.search(r'href="(/clients/exporter[^"]*)"', page.text)
    assert link
    assert link[1].replace("&amp;", "&") == (
        f"/clients/exporter?q=dup&commercial={cast.sales_rep.id}&tri=-nom&colonnes=nom"
    )
    assert "/clients/exporter" in client.get("/clients", headers=HTMX).text


def test_words_of_the_router_in_an_address_are_words(cast: Cast, client: FlaskClient) -> None:
    factories.ClientFactory(commercial_id=cast.sales_rep.id)
    words = "name=x&endpoint=x&_scheme=javascript&_external=1&_anchor=x&_method=POST"
    page = client.get(f"/clients?{words}")
    assert page.status_code == 200
    link = re.search(r'href="(/clients/exporter[^"]*)"', page.text)
    assert link
    assert link[1].replace("&amp;", "&") == f"/clients/exporter?{words}"


def test_the_file_of_a_saved_view_is_what_the_view_shows(cast: Cast, client: FlaskClient) -> None:
    for name, postcode in (("Amiel", "69001"), ("Zola", "69003"), ("Hugo", "75001")):
        factories.ClientFactory(last_name=name, first_name="", postcode=postcode)
    state = ViewState("lieu=69&tri=-nom", ("nom", "code-postal", "dernier-contact", "solde"), Density.COMPACT)
    saved_views.create(SavedList.CLIENTS, state, name="Lyon", by=cast.commercial, at=NOW)
    [address] = re.findall(r'data-testid="export"\s+href="([^"]*)"', client.get("/clients?vue=lyon").text)
    assert address == "/clients/exporter?vue=lyon"
    assert 'data-count="2"' in client.get(address).text
    heads = ["Nom", "Code postal", "Dernier contact", "Solde à payer"]
    sent = client.post(address, data={"format": "csv"})
    assert csv_rows(sent.data) == [heads, ["Zola", "69003", "", ""], ["Amiel", "69001", "", ""]]
    changed = client.post(f"{address}&modifiee=oui&lieu=75&colonnes=nom", data={"format": "csv"})
    assert csv_rows(changed.data) == [["Nom"], ["Hugo"]]
    (_, first) = journal.list_entries(journal.JournalView()).rows
    assert ["Filtres", "lieu"] in first.details
    assert client.get("/clients/exporter?vue=jamais").status_code == 404


def test_the_file_is_what_one_sees(cast: Cast, client: FlaskClient) -> None:
    for name in ("Amiel", "Zola", "Hugo"):
        factories.ClientFactory(last_name=name, first_name="", city="Lille")
    factories.ClientFactory(last_name="Ailleurs", city="Paris", email="autre@example.org")
    address = "/clients/exporter?q=client&tri=-nom&colonnes=ville,nom"  # the name leads each line
    assert 'data-count="3"' in client.get(address).text
    sent = client.post(address, data={"format": "csv"})
    assert csv_rows(sent.data) == [["Nom", "Ville"], ["Zola", "Lille"], ["Hugo", "Lille"], ["Amiel", "Lille"]]
    assert sent.headers["Content-Disposition"] == 'attachment; filename="clients-2026-11-20.csv"'
    chosen = client.post(address, data={"format": "xlsx", "colonne": ["email"]})
    assert [len(rows) for rows in sheets(chosen.data).values()] == [4]
    (last, first) = journal.list_entries(journal.JournalView()).rows
    assert first.user == cast.commercial
    assert ["Filtres", "recherche"] in last.details
    assert ["Lignes", 3] in last.details


def test_an_outsider_finds_nothing_of_ours(cast: Cast, outsider_client: FlaskClient) -> None:
    factories.ClientFactory()
    assert 'data-count="0"' in outsider_client.get("/clients/exporter").text
    assert len(csv_rows(outsider_client.post("/clients/exporter", data={"format": "csv"}).data)) == 1


@pytest.mark.parametrize(
    "path",
    [
        "/lots/{}/exporter",
        "/lots/{}/expeditions/exporter",
        "/lots/{}/de-cote/exporter",
        "/prelevements/fichiers/{}/exporter",
        "/synchronisations/{}/elements/exporter",
        "/relances/chiffres/dso/{}/ventes/exporter",
        "/relances/chiffres/dso/2001-01/creances/exporter?{}",
    ],
)
def test_the_export_of_what_is_not_there(admin_client: FlaskClient, path: str) -> None:
    address = path.format(new_id())
    assert admin_client.get(address).status_code == 404
    assert admin_client.post(address).status_code == 404


def test_ibans_in_clear_are_for_admins_with_a_reason(
    cast: Cast, admin_client: FlaskClient, manager_client: FlaskClient
) -> None:
    address = "/prelevements/mandats/exporter"
    assert 'name="iban"' not in manager_client.get(address).text
    assert "masqués" in manager_client.get(address).text
    assert manager_client.post(address, data={"iban": "1", "motif": "Contrôle de la banque"}).status_code == 403
    refused = admin_client.post(address, data={"iban": "1", "motif": "bref", "format": "csv"})
    assert refused.status_code == 422
    assert 'id="motif-error"' in refused.text
    assert ">bref</textarea>" in refused.text
    assert not journal.list_entries(journal.JournalView()).rows
    assert admin_client.post(address, data={"iban": "1", "motif": "Contrôle de la banque"}).status_code == 200


def test_many_rows_are_left_to_a_worker(
    cast: Cast, client: FlaskClient, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "MOST_AT_ONCE", 2)
    factories.ClientFactory.create_batch(3)
    assert "Préparer le fichier" in client.get("/clients/exporter").text
    sent = client.post("/clients/exporter", data={"format": "csv"})
    assert (sent.status_code, sent.location) == (303, "/mes-exports")
    export = db.session.query(Export).one()
    page = client.get("/mes-exports")
    assert f"attendu={export.id}" in page.text
    assert "0 sur" in page.text

    end(export, RunStatus.SUCCESS)
    polled = client.get(f"/mes-exports?attendu={export.id}", headers=HTMX)
    assert "est prêt" in polled.text
    assert "hx-get" not in polled.text
    assert f"/mes-exports/{export.id}" in polled.text
    assert "est prêt" not in client.get("/mes-exports", headers=HTMX).text
    # Nobody else's, of whichever role.
    for user in (cast.colleague, cast.admin, cast.outsider):
        other = sign_in(user)
        assert str(export.id) not in other.get("/mes-exports").text
        assert other.get(f"/mes-exports/{export.id}").status_code == 404
    end(export, RunStatus.FAILED)
    assert "a échoué" in client.get(f"/mes-exports?attendu={export.id}", headers=HTMX).text


def end(export: Export, status: RunStatus) -> None:
    export.status, export.ended_at = status, clock.now()
    db.session.commit()


def test_ibans_in_clear_are_not_for_who_is_no_admin_any_more(cast: Cast, manager_client: FlaskClient) -> None:
    export = Export(
        user_id=cast.manager.id,
        list_key="mandats",
        format=ExportFormat.CSV,
        columns=[],
        asked=b"",
        status=RunStatus.SUCCESS,
        reason="Contrôle de la banque",
    )
    db.session.add(export)
    db.session.commit()
    assert manager_client.get(f"/mes-exports/{export.id}").status_code == 403


def test_queries_do_not_grow_with_rows(cast: Cast, client: FlaskClient) -> None:
    numbers = []
    for _ in range(2):
        factories.ClientFactory.create_batch(4)
        db.session.add(
            Export(user_id=cast.commercial.id, list_key="clients", format=ExportFormat.CSV, columns=[], asked=b"")
        )
        db.session.commit()
        for address in ("/clients/exporter", "/mes-exports"):
            with recorded_queries() as queries:
                client.get(address)
            numbers.append(len(queries))
    assert numbers[:2] == numbers[2:]


def test_a_file_that_is_gone(cast: Cast, client: FlaskClient) -> None:
    export = Export(
        user_id=cast.commercial.id,
        list_key="clients",
        format=ExportFormat.CSV,
        columns=[],
        asked=b"",
        status=RunStatus.SUCCESS,
        fence=1,
        created_at=NOW - timedelta(days=1),
    )
    db.session.add(export)
    db.session.commit()
    assert client.get(f"/mes-exports/{export.id}").status_code == 404


def test_why_an_erasure_took_the_files_away_is_said_for_as_long_as_they_would_be_kept(
    cast: Cast, client: FlaskClient
) -> None:
    words = "L’effacement d’un client, le "
    assert words not in client.get("/mes-exports").text
    erased(factories.ClientFactory(), cast.admin)
    assert words in client.get("/mes-exports").text
    clock.start_at(NOW + KEPT + timedelta(hours=2))
    assert words not in client.get("/mes-exports").text
