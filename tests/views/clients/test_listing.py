"""The clients page: what it shows, what its address keeps, and what HTMX gets of it."""

import re
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from flask.testing import FlaskClient

from tests import factories
from tests.conftest import HTMX, Cast, SignIn
from tests.queries import recorded_queries
from webapp import tenancy
from webapp.models.clients import ClientStatus, Source
from webapp.services import capped_counts
from webapp.services.clients import listing
from webapp.services.winleadplus import config

FORM = {**HTMX, "HX-Source": "form#clients-filters"}


def _names(page: str) -> list[str]:
    return [unescape(name) for name in re.findall(r'data-testid="client-name">([^<]*)<', page)]


def _link(page: str, test_id: str) -> str | None:
    found = re.search(rf'data-testid="{test_id}"\s+href="([^"]*)"', page)
    return unescape(found.group(1)) if found else None


def _make_clients(number: int) -> None:
    for n in range(number):
        factories.ClientFactory(last_name=f"NOM{n:03d}", first_name="")


def test_the_home_page_is_the_clients_page(client: FlaskClient) -> None:
    assert client.get("/").location == "/clients"


def test_a_stranger_is_sent_to_sign_in_and_back(stranger: FlaskClient) -> None:
    sent = client_location(stranger.get("/clients?source=crm"))
    assert sent.path == "/connexion"
    assert parse_qs(sent.query) == {"next": ["/clients?source=crm"]}


def client_location(response: Any) -> Any:
    assert response.status_code == 303
    return urlsplit(response.location)


def test_a_line_shows_the_client_with_its_badge(client: FlaskClient, cast: Cast) -> None:
    made = factories.ClientFactory(
        last_name="<b>Œuvré</b>",
        first_name="Zoé",
        email="zoe@example.org",
        phone="+33639981234",
        city="Évry",
        commercial_id=cast.sales_rep.id,
        source=Source.WINLEADPLUS,
        status=ClientStatus.ACTIVE,
    )
    factories.ContractFactory(client_id=made.id)
    page = client.get("/clients").text
    assert f'data-testid="client-row" data-client-id="{made.id}"' in page
    assert f'href="/clients/{made.id}"' in page
    assert _names(page) == ["<b>Œuvré</b> Zoé"]
    assert "<b>" not in page
    for shown in ("zoe@example.org", "06 39 98 12 34", "Évry", cast.sales_rep.full_name, "Actif", ">1</td>", "WLP"):
        assert shown in page
    assert 'data-testid="badge-source"' in page
    assert 'data-testid="result-count" data-count="1"' in page


def test_a_client_of_the_crm_has_no_badge(client: FlaskClient) -> None:
    factories.ClientFactory()
    assert "badge-source" not in client.get("/clients").text


def test_the_address_is_the_view(client: FlaskClient, cast: Cast) -> None:
    factories.ClientFactory(last_name="Martin", source=Source.WINLEADPLUS, commercial_id=cast.sales_rep.id)
    factories.ClientFactory(last_name="Martin", source=None)
    page = client.get(
        f"/clients?q=mart&source=winleadplus&statut=prospect&commercial={cast.sales_rep.id}&tri=-ville"
    ).text
    assert len(_names(page)) == 1
    assert 'value="mart"' in page
    for chosen in ("winleadplus", "prospect", str(cast.sales_rep.id)):
        assert f'<option value="{chosen}" selected>' in page
    assert 'name="tri" value="-ville"' in page
    assert 'aria-sort="descending"' in page


def test_consents_are_a_filter_of_the_address(client: FlaskClient, cast: Cast) -> None:
    factories.ClientFactory(last_name="Silencieux", first_name="")
    wanted = "prospection_email.non-donne"
    page = client.get(f"/clients?consentement={wanted}").text
    assert _names(page) == ["Silencieux"]
    assert f'<option value="{wanted}" selected>Prospection par e-mail\u202f: non donné</option>' in page
    assert _names(client.get("/clients?consentement=prospection_email.donne").text) == []
    for unreadable in ("prospection_email", "fax.donne", "prospection_email.peut-etre", "."):
        assert _names(client.get(f"/clients?consentement={unreadable}").text) == ["Silencieux"]


def test_source_tous_and_sans_commercial_are_values_too(client: FlaskClient, cast: Cast) -> None:
    factories.ClientFactory(last_name="Libre", first_name="")
    factories.ClientFactory(last_name="Suivi", first_name="", commercial_id=cast.sales_rep.id)
    page = client.get("/clients?source=tous").text
    assert _names(page) == ["Libre", "Suivi"]
    source = page.split('data-testid="filter-source"')[1].split("</select>")[0]
    assert re.findall(r">([^<]+)</option>", source) == ["Tous", "CRM", "WinLeadPlus", "WooCommerce"]
    assert _names(client.get("/clients?commercial=sans-commercial").text) == ["Libre"]


@pytest.mark.parametrize(
    "query",
    [
        "source=ailleurs&statut=perdu&commercial=personne&tri=prix&total=beaucoup",
        "apres=%00&q=%00",
        "commercial=%F0%9F%92%A9&source=%ED%A0%80",
        "tri=-&apres=W251bGwsbnVsbCxudWxsLG51bGxd",
        "source=&statut=&commercial=&tri=&apres=&q=",
        "source=crm&source=winleadplus",
    ],
)
def test_values_that_mean_nothing_are_ignored(client: FlaskClient, query: str) -> None:
    factories.ClientFactory(last_name="Seul", first_name="", source=None)
    page = client.get(f"/clients?{query}")
    assert page.status_code == 200
    assert _names(page.text) == ["Seul"]


def test_pages_follow_each_other_there_and_back(client: FlaskClient) -> None:
    _make_clients(listing.PAGE_SIZE + 1)
    first = client.get("/clients?source=crm&tri=-nom").text
    assert len(_names(first)) == listing.PAGE_SIZE
    assert _link(first, "previous-page") is None
    following = _link(first, "next-page") or ""
    assert {"source", "tri", "apres"} == parse_qs(urlsplit(following).query).keys()
    second = client.get(following).text
    assert _names(second) == ["NOM000"]
    assert _link(second, "next-page") is None
    assert ">Début</a>" in second
    back = client.get(_link(second, "previous-page") or "").text
    assert _names(back) == ["NOM050", *_names(first)[1:]]


def test_a_heading_sorts_and_sorts_the_other_way_round(client: FlaskClient) -> None:
    _make_clients(2)
    page = client.get("/clients?q=nom&apres=x").text
    assert 'aria-sort="ascending"' in page
    links = {unescape(link) for link in re.findall(r'id="tri-[a-z]+"\s+href="([^"]*)"', page)}
    assert links == {
        "/clients?q=nom&tri=-nom",
        "/clients?q=nom&tri=ville",
        "/clients?q=nom&tri=-contrats",
        "/clients?q=nom&tri=-modification",
    }


def test_beyond_the_cap_the_exact_number_is_one_click_away(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capped_counts, "COUNT_CAP", 2)
    _make_clients(3)
    page = client.get("/clients?source=crm").text
    assert '<span data-testid="result-count">2+ clients</span>' in page
    assert 'href="/clients?source=crm&amp;total=exact"' in page
    assert 'data-testid="result-count" data-count="3">3 clients' in client.get("/clients?source=crm&total=exact").text


def test_without_any_client_the_page_says_how_to_begin(client: FlaskClient) -> None:
    page = client.get("/clients").text
    assert "Aucun client pour l’instant." in page
    assert page.count('href="/clients/nouveau"') == 2
    assert 'data-testid="sync-button"' in page
    assert 'data-count="0">0 client<' in page


def test_who_begins_is_told_only_what_they_may_do(client: FlaskClient, manager_client: FlaskClient) -> None:
    sync, one = "reprenez vos prospects avec «\u202fSync WinLeadPlus\u202f».", "Créez le premier"
    assert f"{one}, importez une liste, ou {sync}" in manager_client.get("/clients").text
    assert f"{one}, ou {sync}" in client.get("/clients").text
    config.change(enabled=False)
    assert f"{one}, ou importez une liste." in manager_client.get("/clients").text
    assert f"{one}." in client.get("/clients").text


def test_when_nothing_matches_the_filters_can_be_cleared(client: FlaskClient) -> None:
    factories.ClientFactory()
    page = client.get("/clients?q=introuvable").text
    assert "Aucun client ne correspond." in page
    assert re.search(r'class="btn"\s+href="/clients"', page)


def test_htmx_gets_the_list_alone_which_refreshes_itself_as_it_is(client: FlaskClient) -> None:
    _make_clients(1)
    fragment = client.get("/clients?q=nom&tri=ville", headers=HTMX)
    assert fragment.text.lstrip().startswith('<div id="clients-list"')
    assert "<html" not in fragment.text
    assert 'hx-get="/clients?q=nom&amp;tri=ville"' in fragment.text
    assert 'hx-trigger="clients:refresh from:body"' in fragment.text
    assert "HX-Push-Url" not in fragment.headers


def test_the_form_puts_an_address_without_blanks_into_the_browser(client: FlaskClient) -> None:
    answer = client.get("/clients?q=+dupont+&source=tous&statut=&commercial=&tri=nom", headers=FORM)
    assert answer.headers["HX-Push-Url"] == "/clients?q=dupont"


def test_going_back_in_history_gets_the_whole_page(client: FlaskClient) -> None:
    page = client.get("/clients", headers={**HTMX, "HX-History-Restore-Request": "true"})
    assert "<html" in page.text


def test_an_outsider_sees_none_of_our_clients_or_commercials(outsider_client: FlaskClient, cast: Cast) -> None:
    ours = factories.ClientFactory(last_name="Secret", commercial_id=cast.sales_rep.id)
    for query in ("", "?q=secret", f"?commercial={cast.sales_rep.id}", "?total=exact", "?tri=ville"):
        page = outsider_client.get(f"/clients{query}").text
        assert "Secret" not in page
        assert str(ours.id) not in page
        assert cast.sales_rep.full_name not in page
        assert 'data-count="0"' in page


def test_a_cursor_of_another_organisation_shows_our_own_clients_only(
    client: FlaskClient, outsider_client: FlaskClient, cast: Cast
) -> None:
    with tenancy.organisation(cast.other_organisation.id):
        _make_clients(listing.PAGE_SIZE + 1)
    factories.ClientFactory(last_name="ZZZ", first_name="")
    theirs = _link(outsider_client.get("/clients").text, "next-page") or ""
    assert _names(client.get(theirs).text) == ["ZZZ"]


def test_every_role_sees_every_client_of_the_organisation(cast: Cast, sign_in: SignIn) -> None:
    factories.ClientFactory(last_name="Tous", first_name="", commercial_id=cast.sales_rep.id)
    for user in (cast.commercial, cast.colleague, cast.manager, cast.admin):
        assert _names(sign_in(user).get("/clients").text) == ["Tous"]


def test_the_queries_of_a_page_do_not_grow_with_its_rows(client: FlaskClient, cast: Cast) -> None:
    factories.ClientFactory(commercial_id=cast.sales_rep.id)
    client.get("/clients")
    with recorded_queries() as few:
        client.get("/clients")
    for _ in range(20):
        factories.ClientFactory(commercial_id=factories.CommercialFactory().id)
    with recorded_queries() as many:
        client.get("/clients")
    with recorded_queries() as fragment:
        client.get("/clients", headers=HTMX)
    assert len(many) == len(few) <= 6, many  # the user, the list, the commercials, the synchronisations
    assert len(fragment) == 2, fragment  # the user, the list


def test_an_unknown_commercial_finds_nobody(client: FlaskClient) -> None:
    factories.ClientFactory()
    assert _names(client.get(f"/clients?commercial={uuid4()}").text) == []
