"""Saved views in pages: tabs, what an address means, what changed, and the page where one keeps them."""

import re
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from tests import factories
from tests.conftest import HTMX, NOW, Cast, SignIn
from tests.examples import some
from tests.queries import recorded_queries
from tests.services.exports.wanting import csv_rows
from tests.views.test_invoices import make_invoice
from webapp import keeping, tenancy
from webapp.extensions import db
from webapp.models.clients import Source
from webapp.models.commercials import Commercial
from webapp.models.saved_views import Density, SavedList
from webapp.services import saved_views
from webapp.services.saved_views import ViewState, VisibleView
from webapp.views.saved_views import PAGES

FILTERS_FORM = {**HTMX, "HX-Source": "form#clients-filters"}
COLUMNS_FORM = {**HTMX, "HX-Source": "form#clients-columns"}
LISTS = {
    "clients": "/clients",
    "contrats": "/contrats",
    "abonnements": "/abonnements",
    "prelevements": "/prelevements",
    "factures": "/factures",
}
NAMES = {
    "clients": "clients",
    "contrats": "contracts",
    "abonnements": "subscriptions",
    "prelevements": "charges",
    "factures": "invoices",
}
CHANGES = {
    "clients": "statut=prospect",
    "contrats": "statut=active",
    "abonnements": "statut=paused",
    "prelevements": "statut=succeeded",
    "factures": "genre=invoice",
}


def _names(page: str) -> list[str]:
    return [unescape(name) for name in re.findall(r'data-testid="client-name">([^<]*)<', page)]


def _heads(page: str) -> list[str]:
    head = page.split("<thead>")[1].split("</thead>", maxsplit=1)[0]
    heads = [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<th[^>]*>(.*?)</th>", head, re.S)]
    return [name for name in heads if name]  # but the boxes'


def _view(cast: Cast, query: str = "statut=active", name: str = "Actifs", **values: Any) -> VisibleView:
    columns = values.pop("columns", ())
    state = ViewState(query, columns, values.pop("density", Density.NORMAL))
    by, of_list = values.pop("by", cast.commercial), values.pop("of_list", SavedList.CLIENTS)
    return saved_views.create(of_list, state, name=name, by=by, at=NOW, **values)


def _people() -> None:
    factories.ClientFactory(last_name="Actif", first_name="", status="active", city="Lyon")
    factories.ClientFactory(last_name="Prospect", first_name="", status="prospect", city="Lille")


@pytest.mark.parametrize("of_list", LISTS)
def test_what_a_list_shows_is_kept_and_opened_again(manager_client: FlaskClient, cast: Cast, of_list: str) -> None:
    form = {"nom": "Ma vue", "etat": f"{CHANGES[of_list]}&apres=x&inconnu=1", "onglet": ["", "1"]}
    made = manager_client.post(f"/vues/{of_list}", data=form)
    assert (made.status_code, made.location) == (303, f"{LISTS[of_list]}?vue=ma-vue")
    assert saved_views.find(SavedList(of_list), "ma-vue", by=cast.manager).state.query == CHANGES[of_list]
    page = manager_client.get(made.location).text
    assert re.search(r'href="[^"]*\?vue=ma-vue" aria-current="page">Ma vue', page)
    assert "view-changed" not in page
    changed = manager_client.get(f"{made.location}&modifiee=oui").text
    assert "Vue modifiée" in changed
    assert "view-keep" in changed
    managed = manager_client.get(f"/vues/{of_list}").text
    assert "Ma vue" in managed


def test_without_any_view_the_page_is_as_before(client: FlaskClient, cast: Cast) -> None:
    _people()
    page = client.get("/clients").text
    assert "view-tabs" not in page
    assert "view-save-as" not in page
    assert "Enregistrer la vue…" in client.get("/clients?statut=active").text


@pytest.mark.parametrize("word", ["gone", "a%00b", "%ED%A0%80", "x" * 5000])
def test_an_address_that_names_no_view_says_so(client: FlaskClient, word: str) -> None:
    answer = client.get(f"/clients?vue={word}")
    assert answer.status_code == 404
    assert "Cette vue n’existe pas ou plus." in answer.text


def test_a_view_shows_its_filters_columns_order_and_density(client: FlaskClient, cast: Cast) -> None:
    _people()
    _view(cast, "statut=active&tri=-nom", columns=("nom", "cree", "ville"), density=Density.COMPACT)
    page = client.get("/clients?vue=actifs").text
    assert _names(page) == ["Actif"]
    assert _heads(page) == ["Nom", "Créé", "Ville"]
    assert "list-compact" in page
    assert '<option value="active" selected>' in page
    for name, value in (
        ("vue", "actifs"),
        ("modifiee", "oui"),
        ("colonnes", "nom,cree,ville"),
        ("densite", "compacte"),
    ):
        assert f'<input type="hidden" name="{name}" value="{value}" form="clients-filters">' in page
    assert "/clients?vue=actifs&amp;modifiee=oui&amp;statut=active&amp;colonnes=" in page  # the order by name


def test_the_filters_form_leads_back_to_the_view_where_nothing_differs(client: FlaskClient, cast: Cast) -> None:
    _view(cast)
    changed = client.get("/clients?vue=actifs&modifiee=oui&q=a&statut=active&tri=nom", headers=FILTERS_FORM)
    assert changed.headers["HX-Push-Url"] == "/clients?vue=actifs&modifiee=oui&q=a&statut=active"
    same = client.get("/clients?vue=actifs&modifiee=oui&q=&statut=active&tri=nom", headers=FILTERS_FORM)
    assert same.headers["HX-Push-Url"] == "/clients?vue=actifs"
    assert "Vue modifiée" in changed.text
    assert "Vue modifiée" not in same.text


def test_a_view_is_kept_anew_by_its_owner_alone(client: FlaskClient, cast: Cast, sign_in: SignIn) -> None:
    view = _view(cast, is_shared=True)
    kept = client.post(f"/vues/clients/{view.id}/etat", data={"etat": "statut=prospect&colonnes=nom,email"})
    assert kept.location == "/clients?vue=actifs"
    state = saved_views.find(SavedList.CLIENTS, "actifs", by=cast.commercial).state
    assert state == ViewState("statut=prospect", ("nom", "email"))
    for user in (cast.colleague, cast.manager, cast.admin):
        theirs = sign_in(user)
        assert "view-keep" not in theirs.get("/clients?vue=actifs&modifiee=oui").text
        assert theirs.post(f"/vues/clients/{view.id}/etat", data={"etat": ""}).status_code == 403


def test_a_default_opens_the_list_and_everything_stays_in_reach(client: FlaskClient, cast: Cast) -> None:
    _people()
    _view(cast, is_default=True)
    assert client.get("/clients").location == "/clients?vue=actifs"
    everything = client.get("/clients?vue=tous")
    assert _names(everything.text) == ["Actif", "Prospect"]
    assert 'name="vue" value="tous"' in everything.text
    cleared = client.get("/clients?vue=tous&q=&statut=&tri=nom", headers=FILTERS_FORM)
    assert cleared.headers["HX-Push-Url"] == "/clients?vue=tous"
    assert 'href="/clients?vue=tous&amp;tri=-nom"' in client.get("/clients?q=").text


class TestWhatIsGone:
    def test_a_commercial_who_was_removed_is_said_and_the_rest_applied(self, client: FlaskClient, cast: Cast) -> None:
        _people()
        gone = factories.CommercialFactory()
        _view(cast, f"statut=active&commercial={gone.id}")
        db.session.execute(delete(Commercial).where(Commercial.id == gone.id))
        db.session.commit()
        page = client.get("/clients?vue=actifs").text
        assert "Cette vue demande ce qui n’existe plus (commercial)\u202f: le reste est appliqué." in page
        assert _names(page) == ["Actif"]
        assert "Vue modifiée" not in page

    @pytest.mark.parametrize(
        ("query", "columns", "said"),
        [
            ("statut=perdu&q=actif", (), "statut"),
            ("tri=prix&q=actif", (), "ordre"),
            ("avenir=oui&q=actif", (), "filtre"),
            ("q=actif", ("nom", "taille", "email"), "colonne"),
        ],
    )
    def test_so_is_what_no_list_knows(
        self, client: FlaskClient, cast: Cast, query: str, columns: tuple[str, ...], said: str
    ) -> None:
        _people()
        _view(cast, query, columns=columns)
        page = client.get("/clients?vue=actifs").text
        assert f"n’existe plus ({said})" in page
        assert _names(page) == ["Actif"]

    def test_a_view_that_was_removed_is_not_found(self, client: FlaskClient, cast: Cast) -> None:
        assert client.get("/clients?vue=jamais").status_code == 404

    def test_a_client_page_that_came_from_it_still_opens(self, client: FlaskClient, cast: Cast) -> None:
        made = factories.ClientFactory()
        page = client.get(f"/clients/{made.id}?vue=vue%3Djamais")
        assert page.status_code == 200


def test_a_client_page_knows_its_neighbours_in_the_view(client: FlaskClient, cast: Cast) -> None:
    for name in "ABCD":
        factories.ClientFactory(last_name=name, first_name="", status="prospect" if name == "B" else "active")
    _view(cast, "statut=active&tri=-nom")
    page = client.get("/clients?vue=actifs").text
    assert _names(page) == ["D", "C", "A"]
    link = unescape(re.findall(r'href="([^"]*)"\s+data-testid="client-name">C<', page)[0])
    assert parse_qs(urlsplit(link).query) == {"vue": ["vue=actifs"]}
    shown = client.get(link).text
    assert 'href="/clients?vue=actifs"' in shown
    neighbours = re.findall(r'href="/clients/([0-9a-f-]+)\?vue=vue%3Dactifs"', shown)
    ids = re.findall(r'data-client-id="([^"]+)"', page)
    assert {ids[0], ids[2]} <= set(neighbours)


class TestColumns:
    def test_they_stand_as_the_address_says(self, client: FlaskClient, cast: Cast) -> None:
        _people()
        assert _heads(client.get("/clients?colonnes=solde,nom,prochain-rappel,solde,nope").text) == [
            *("Nom", "Solde à payer", "Prochain rappel")
        ]
        assert len(_heads(client.get("/clients?colonnes=nope").text)) == 8
        assert "colonnes=nom%2Csolde" in client.get("/clients?colonnes=solde").text  # links keep them

    def test_the_column_of_sources_leaves_the_badges_alone(self, client: FlaskClient, cast: Cast) -> None:
        for source in (None, Source.WINLEADPLUS, Source.WOOCOMMERCE):
            factories.ClientFactory(source=source)
        page = client.get("/clients?colonnes=source").text
        assert sorted(re.findall(r'badge-source [^>]*title="(\w+)"|<td>\s*(CRM)\s*</td>', page)) == [
            ("", "CRM"),
            ("WinLeadPlus", ""),
            ("WooCommerce", ""),
        ]

    def test_the_panel_moves_and_leaves_out(self, client: FlaskClient, cast: Cast) -> None:
        _people()
        query = "panneau=colonnes&colonnes=nom&colonnes=email&colonnes=ville&colonnes=cree&densite=normale"
        moved = client.get(f"/clients?{query}&deplacer=ville:haut", headers=COLUMNS_FORM)
        assert moved.headers["HX-Push-Url"] == "/clients?colonnes=nom%2Cville%2Cemail%2Ccree"
        assert re.search(r'id="clients-columns-panel"\s+data-menu\s+open>', moved.text)
        for unmoved in ("email:haut", "cree:bas", "nom:bas", "nope:bas", "ville:ailleurs"):
            same = client.get(f"/clients?{query}&deplacer={unmoved}", headers=COLUMNS_FORM)
            assert same.headers["HX-Push-Url"] == "/clients?colonnes=nom%2Cemail%2Cville%2Ccree"
        usual = "&".join(f"colonnes={key}" for key in ("nom", "email", "telephone", "ville", "commercial", "statut"))
        back = client.get(f"/clients?{usual}&colonnes=contrats&colonnes=modifie", headers=COLUMNS_FORM)
        assert back.headers["HX-Push-Url"] == "/clients"

    def test_what_no_index_serves_is_no_order(self, client: FlaskClient, cast: Cast) -> None:
        _people()
        page = client.get("/clients?colonnes=solde,dernier-contact,prochain-rappel,code-postal,email,cree").text
        assert re.findall(r'id="tri-([a-z]+)"', page) == ["nom", "creation"]

    def test_their_queries_do_not_grow_and_other_tables_are_read_for_the_page_alone(
        self, client: FlaskClient, cast: Cast
    ) -> None:
        _people()
        every = "/clients?colonnes=dernier-contact,prochain-rappel,solde,source,cree,naissance"
        client.get(every, headers=HTMX)
        with recorded_queries() as queries:
            client.get(every, headers=HTMX)
        assert len(queries) == 2, queries
        with recorded_queries() as queries:
            client.get("/clients", headers=HTMX)
        assert not re.search("invoices|last_contacts|tasks", queries[-1])


COLUMNS = {page.of.value: page for page in PAGES.values()}


class TestColumnsOfEveryList:
    @pytest.fixture
    def _rows(self, cast: Cast) -> None:
        """A client with one row of each list."""
        factories.ContractFactory(client_id=make_invoice().client_id)
        db.session.commit()

    @pytest.mark.usefixtures("_rows")
    @pytest.mark.parametrize("of_list", LISTS)
    def test_each_can_be_chosen_in_any_order_and_is_exported_so(self, admin_client: FlaskClient, of_list: str) -> None:
        page = COLUMNS[of_list]
        first, *others = page.columns
        assert first.key == page.fixed
        backwards = [first, *reversed(others)]
        address = f"{LISTS[of_list]}?densite=compacte&colonnes={','.join(column.key for column in backwards)}"
        shown = admin_client.get(address).text
        assert "list-compact" in shown
        assert _heads(shown) == [column.label for column in backwards]
        exported = unescape(re.findall(r'data-testid="export"\s+href="([^"]*)"', shown)[0])
        sent = admin_client.post(exported, data={"format": "csv"})
        heads, *rows = csv_rows(sent.data)
        assert heads == [column.label for column in backwards]
        assert len(rows) == 1

    @pytest.mark.usefixtures("_rows")
    @pytest.mark.parametrize("of_list", LISTS)
    def test_the_usual_ones_cost_nothing_and_others_one_statement(
        self, admin_client: FlaskClient, monkeypatch: pytest.MonkeyPatch, of_list: str
    ) -> None:
        monkeypatch.setattr(keeping, "LONG", 60.0)
        page = COLUMNS[of_list]

        def number(query: str) -> int:
            with recorded_queries() as queries:
                assert admin_client.get(LISTS[of_list] + query, headers=HTMX).status_code == 200
            return len(queries)

        usual = number("")
        every = number(f"?colonnes={','.join(column.key for column in page.columns)}")
        assert every == usual + (0 if of_list == "clients" else 1)

    @pytest.mark.parametrize("of_list", LISTS)
    def test_a_change_in_the_panel_is_put_into_the_address(self, admin_client: FlaskClient, of_list: str) -> None:
        page = COLUMNS[of_list]
        headers = {**HTMX, "HX-Source": f"form#{NAMES[of_list]}-columns"}
        kept = page.usual[2:4]
        query = "&".join(f"colonnes={key}" for key in (page.fixed, *kept))
        changed = admin_client.get(
            f"{LISTS[of_list]}?panneau=colonnes&{query}&deplacer={kept[1]}:haut", headers=headers
        )
        moved = "%2C".join([page.fixed, kept[1], kept[0]])
        assert changed.headers["HX-Push-Url"] == f"{LISTS[of_list]}?colonnes={moved}"


class TestFilters:
    def test_each_is_a_chip_that_can_be_taken_away(self, client: FlaskClient, cast: Cast) -> None:
        query = (
            "lieu=69&cree_du=2026-11-01&modifie_au=2026-11-20&contact_du=2026-01-01&contact_au=2026-02-01"
            "&sans_contact_depuis=2026-10-01&email=avec&iban=sans&consentement=partners.donne"
            f"&commercial=sans-commercial&commercial={cast.sales_rep.id}"
        )
        page = client.get(f"/clients?{query}").text
        chips = [
            " ".join(re.sub(r"<[^>]+>", " ", chip).split())
            for chip in re.findall(r'<span class="chip">(.*?)</a>', page, re.S)
        ]
        shown = [chip.split(" Retirer")[0] for chip in chips]
        assert shown == [
            "2 commerciaux",
            "Transmission aux partenaires : donné",
            "Code postal : 69…",
            "Créé depuis le 01/11/2026",
            "Modifié jusqu’au 20/11/2026",
            "Dernier contact du 01/01/2026 au 01/02/2026",
            "Sans contact depuis le 01/10/2026",
            "Avec e-mail",
            "Sans IBAN",
        ]
        removed = [unescape(link) for link in re.findall(r'class="chip-remove"\s+href="([^"]*)"', page)]
        assert all(len(parse_qs(urlsplit(link).query)) < len(parse_qs(query)) for link in removed)

    @pytest.mark.parametrize("day", ["2026-13-01", "0001-01-01", "demain"])
    def test_days_that_are_none_are_said(self, client: FlaskClient, cast: Cast, day: str) -> None:
        _people()
        page = client.get(f"/clients?cree_du={day}").text
        assert "Cette date n’est pas possible" in page
        assert len(_names(page)) == 2

    def test_an_end_before_its_beginning_is_said(self, client: FlaskClient, cast: Cast) -> None:
        page = client.get("/clients?contact_du=2026-02-01&contact_au=2026-01-01").text
        assert "précède son début" in page


class TestRefusals:
    def test_a_name_that_will_not_do_is_said_at_its_field(self, client: FlaskClient, cast: Cast) -> None:
        view = _view(cast)
        for form in ({"nom": ""}, {"nom": "actifs"}):
            answer = client.post("/vues/clients", data={**form, "etat": "statut=active", "partagee": "1"})
            assert answer.status_code == 422
            assert 'aria-invalid="true"' in answer.text
            assert 'name="etat" value="statut=active"' in answer.text
        renamed = client.post(f"/vues/clients/{view.id}", data={"nom": " "})
        assert renamed.status_code == 422
        assert "Donnez un nom à la vue." in renamed.text
        long = client.post("/vues/clients", data={"nom": "Longue", "etat": "q=" + "a" * 9000})
        assert long.status_code == 422

    def test_a_form_with_nothing_in_it_is_refused(self, client: FlaskClient, cast: Cast) -> None:
        assert client.post("/vues/clients").status_code == 422
        assert client.post(f"/vues/clients/{_view(cast).id}").status_code == 422

    def test_lists_that_are_none_are_not_found(self, client: FlaskClient) -> None:
        assert client.get("/vues/licornes").status_code == 404
        assert client.post("/vues/licornes", data={"nom": "x"}).status_code == 404

    def test_views_of_charges_are_not_for_commercials(self, client: FlaskClient, cast: Cast) -> None:
        assert client.post("/vues/prelevements", data={"nom": "x", "etat": ""}).status_code == 403


def test_each_act_on_the_page_of_views(client: FlaskClient, cast: Cast) -> None:
    view = _view(cast, is_pinned=False)
    for act, value, said in (
        ("onglet", "oui", "est en onglet"),
        ("onglet", "non", "n’est plus en onglet"),
        ("defaut", "oui", "ouvre désormais la liste"),
        ("defaut", "non", "n’ouvre plus la liste"),
    ):
        answer = client.post(f"/vues/clients/{view.id}/{act}", data={"valeur": value}, follow_redirects=True)
        assert said in answer.text
    renamed = client.post(f"/vues/clients/{view.id}", data={"nom": "Autre", "partagee": "1"}, follow_redirects=True)
    assert "Autre" in renamed.text
    removed = client.post(f"/vues/clients/{view.id}/suppression", follow_redirects=True)
    assert "Aucune vue enregistrée." in removed.text


def test_outsiders_and_colleagues_find_no_private_view(
    outsider_client: FlaskClient, cast: Cast, sign_in: SignIn
) -> None:
    private, shared = _view(cast), _view(cast, name="Partagée", is_shared=True)
    for browser, views in (
        (outsider_client, (private, shared)),
        (sign_in(cast.colleague), (private,)),
        (sign_in(cast.admin), (private,)),
    ):
        for view in views:
            assert browser.get(f"/clients?vue={view.slug}").status_code == 404
            assert view.name not in browser.get("/vues/clients").text
            for act in ("", "/etat", "/suppression", "/onglet", "/defaut"):
                answer = browser.post(f"/vues/clients/{view.id}{act}", data={"nom": "x", "valeur": "oui"})
                assert answer.status_code == 404, act
    assert outsider_client.post(f"/vues/clients/{uuid4()}/suppression").status_code == 404
    assert saved_views.find(SavedList.CLIENTS, "actifs", by=cast.commercial)


def test_a_page_asks_once_for_its_views_and_a_part_of_it_for_its_own(client: FlaskClient, cast: Cast) -> None:
    for name in "abcdefgh":
        _view(cast, name=name)
    for path, expected in (("/clients", 7), ("/clients?vue=a", 8)):
        client.get(path)
        with recorded_queries() as queries:
            client.get(path)
        assert len(queries) <= expected, queries
    with recorded_queries() as queries:
        client.get("/clients?vue=a", headers=HTMX)
    assert len(queries) == 3, queries  # the user, the view, the list


WORDS = st.sampled_from(["", "a", "Martin", "sans", "avec", "active", "prospect", "crm", "2026-11-10", "69", "L", "x"])
PARTS = st.dictionaries(
    st.sampled_from(
        "q source statut contact lieu cree_du cree_au modifie_du sans_contact_depuis email iban contrat abonnement tri"
        " apres total inconnu".split()
    ),
    WORDS,
    max_size=5,
)


@settings(max_examples=some(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PARTS, st.lists(st.sampled_from(["email", "cree", "solde", "nope"]), max_size=3))
def test_a_view_shows_what_the_list_showed(
    client: FlaskClient, cast: Cast, parts: dict[str, str], columns: list[str]
) -> None:
    if not db.session.query(Commercial).filter_by(last_name="Témoin").count():
        factories.CommercialFactory(last_name="Témoin")
        _people()
        factories.ClientFactory(last_name="Martin", first_name="", email=None, postcode="69001", city="Lyon")
        db.session.commit()
    asked = parts | ({"colonnes": ",".join(columns)} if columns else {})
    shown = client.get("/clients", query_string=asked).text
    name = f"v{uuid4()}"
    made = client.post("/vues/clients", data={"nom": name, "etat": "&".join(f"{k}={v}" for k, v in asked.items())})
    opened = client.get(made.location).text
    assert _names(opened) == _names(shown)
    assert "<thead>" not in shown or _heads(opened) == _heads(shown)
    assert "n’existe plus" not in opened
    with tenancy.organisation(cast.organisation.id):
        saved_views.remove(
            SavedList.CLIENTS,
            saved_views.find(
                SavedList.CLIENTS, parse_qs(urlsplit(made.location).query)["vue"][0], by=cast.commercial
            ).id,
            by=cast.commercial,
        )
