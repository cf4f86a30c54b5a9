"""Dashboard, statistics and commercials: numbers that lead to their lists, for the roles that may see them."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from html import unescape
from typing import Any
from uuid import uuid4

import pytest
from flask.testing import FlaskClient

from tests.conftest import Cast, SignIn
from tests.factories import (
    ClientFactory,
    CommercialFactory,
    CompanyFactory,
    ContractFactory,
    ContractLineFactory,
    ProductFactory,
    SubscriptionFactory,
)
from tests.queries import recorded_queries
from webapp import clock, keeping
from webapp.extensions import db
from webapp.models.runs import RunStatus, RunTrigger
from webapp.models.subscriptions import SubscriptionHistory
from webapp.models.winleadplus import ItemKind, SyncItem, SyncRun
from webapp.views.lists import IMPOSSIBLE_DAY

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
ROW = re.compile(
    r'data-testid="kpi-row"\s+data-commercial-id="([^"]+)"\s+data-count="(\d+)">.*?<a href="([^"]+)"', re.DOTALL
)
PAGES = [
    "/?periode=annee",
    "/?du=2026-10-05&au=2026-11-10",
    "/statistiques?periode=annee",
    "/statistiques?onglet=commercial",
    "/statistiques?onglet=abonnements",
    "/statistiques?onglet=risques",
    "/commerciaux",
]


@pytest.fixture(autouse=True)
def _november(cast: Cast) -> None:
    clock.start_at(NOW)


def sign(cast: Cast, **values: Any) -> None:
    values = {"commercial_id": cast.sales_rep.id, "signed_at": NOW, "amount": Decimal("49.9"), **values}
    contract = ContractFactory(client_id=ClientFactory(commercial_id=cast.sales_rep.id).id, **values)
    ContractLineFactory(contract_id=contract.id, product_id=ProductFactory().id)


def kpi_rows(page: str) -> dict[str, tuple[int, str]]:
    return {who: (int(count), unescape(link)) for who, count, link in ROW.findall(page)}


def test_each_row_of_the_kpi_leads_to_its_list(cast: Cast, admin_client: FlaskClient) -> None:
    sign(cast)
    sign(cast)
    sign(cast, commercial_id=None)
    rows = kpi_rows(admin_client.get("/").text)
    assert {who: count for who, (count, _) in rows.items()}[str(cast.sales_rep.id)] == 2
    assert rows["sans-commercial"][0] == 1
    for count, link in rows.values():
        assert "total=exact" in link
        assert f'data-testid="result-count" data-count="{count}"' in admin_client.get(link).text


@pytest.mark.parametrize(
    "page",
    [*(page for page in PAGES if "abonnements" not in page), "/statistiques?onglet=commercial&periode=trimestre"],
)
def test_every_link_of_a_number_opens_a_list_of_that_number(cast: Cast, admin_client: FlaskClient, page: str) -> None:
    sign(cast)
    sign(cast, company_id=CompanyFactory(name="Seconde").id, signed_at=datetime(2026, 10, 6, tzinfo=UTC))
    sign(cast, signed_at=None)
    links = re.findall(
        r'<a href="(/(?:contrats|clients)\?[^"]*total=exact[^"]*)">([\d\u202f]+)</a>', admin_client.get(page).text
    )
    assert links
    for link, text in links:
        number = int(text.replace("\u202f", ""))
        assert f'data-testid="result-count" data-count="{number}"' in admin_client.get(unescape(link)).text, link


def test_a_commercial_lands_on_the_clients_and_others_on_the_dashboard(
    client: FlaskClient, manager_client: FlaskClient, admin_client: FlaskClient
) -> None:
    assert client.get("/").headers["Location"] == "/clients"
    assert "Tableau de bord" in client.get("/?periode=mois").text
    for browser in (manager_client, admin_client):
        assert 'data-testid="kpi-contracts-per-commercial"' in browser.get("/").text


def test_figures_are_scoped(cast: Cast, client: FlaskClient, manager_client: FlaskClient) -> None:
    mate = CommercialFactory(team_id=cast.sales_rep.team_id)
    stranger = CommercialFactory()
    for who in (cast.sales_rep, mate, stranger):
        sign(cast, commercial_id=who.id)
    own, team = (kpi_rows(each.get("/?periode=mois").text) for each in (client, manager_client))
    assert set(own) == {str(cast.sales_rep.id)}
    assert set(team) == {str(cast.sales_rep.id), str(mate.id)}


def test_another_organisation_has_figures_of_its_own(cast: Cast, outsider_client: FlaskClient) -> None:
    sign(cast)
    for page in PAGES:
        text = outsider_client.get(page).text
        assert str(cast.sales_rep.id) not in text
        assert cast.sales_rep.full_name not in text


@pytest.mark.parametrize("page", ["/", "/statistiques", "/commerciaux"])
@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("du=2026-11-20&au=2026-11-01", "La fin de la période (01/11/2026) précède son début (20/11/2026)."),
        ("periode=libre&du=2026-11-20&au=2026-11-01", "précède son début"),
        ("periode=libre", "novembre 2026"),
        ("periode=siecle", "novembre 2026"),
        ("periode=siecle&du=hier&au=2026-02-30", IMPOSSIBLE_DAY),
        ("periode=mois&du=0001-01-01", IMPOSSIBLE_DAY),
        ("periode=libre&du=2300-01-01&au=2300-01-31", IMPOSSIBLE_DAY),
        ("periode=libre&du=2026-01-01", "Indiquez le début et la fin de la période."),
        ("periode=libre&du=2026-11-20&au=2026-11-01", 'name="du" value="2026-11-20"'),
        ("periode=annee&du=2199-12-31", "2199"),
        ("periode=libre&du=1900-01-01&au=2199-12-31", "du 01/01/1900 au 31/12/2199"),
        ("periode=trimestre&du=1900-01-01", "1er trimestre 1900"),
    ],
)
def test_a_period_that_makes_no_sense_is_told_or_ignored(
    admin_client: FlaskClient, page: str, query: str, words: str
) -> None:
    answer = admin_client.get(f"{page}?{query}")
    assert answer.status_code == 200
    assert words in unescape(answer.text)


def test_a_tab_that_there_is_not_gives_the_first_and_says_so(cast: Cast, admin_client: FlaskClient) -> None:
    for page in ("/statistiques", f"/commerciaux/{cast.sales_rep.id}", f"/clients/{ClientFactory().id}"):
        answer = admin_client.get(f"{page}?onglet=secret")
        assert answer.status_code == 200
        assert answer.text.count("Cet onglet n’existe pas") == 1
        assert "Cet onglet" not in admin_client.get(page).text


def test_conflicts_lead_to_those_that_are_open(cast: Cast, admin_client: FlaskClient) -> None:
    run = SyncRun(trigger=RunTrigger.MANUAL, status=RunStatus.PARTIAL, conflicts=3, finished_at=NOW)
    db.session.add(run)
    db.session.flush()
    for number, resolved_at in enumerate((None, NOW, None)):
        item = SyncItem(run_id=run.id, external_id=str(number), kind=ItemKind.CONFLICT, resolved_at=resolved_at)
        db.session.add(item)
    db.session.commit()
    page = admin_client.get("/statistiques?onglet=risques").text
    (link,) = re.findall(r'href="([^"]*genre=conflits)">2</a>', page)
    assert admin_client.get(unescape(link)).text.count('data-testid="sync-item"') == 2


@pytest.mark.parametrize("page", ["/statistiques?onglet=pertes", "/statistiques?onglet=%00"])
def test_an_unknown_tab_of_the_statistics_is_the_first(admin_client: FlaskClient, page: str) -> None:
    assert "Contrats actifs" in admin_client.get(page).text


def test_nothing_signed_is_said_and_changes_are_no_percentage(admin_client: FlaskClient) -> None:
    page = admin_client.get("/?periode=annee&du=2030-01-01").text
    assert "Aucun contrat signé sur cette période." in page
    assert "%" not in re.sub(r"<[^>]*>", "", page)


def test_a_chart_has_its_figures_as_a_table_and_as_a_file(cast: Cast, admin_client: FlaskClient) -> None:
    sign(cast)
    page = admin_client.get("/").text
    assert page.count("<canvas data-chart=") == page.count('class="figure-table"') == 3
    file = admin_client.get("/statistiques/mois.csv?periode=mois&du=2026-11-01")
    assert file.mimetype == "text/csv"
    assert file.text.startswith("\ufeffMois de signature;Contrats;Montant (EUR)\r\n")
    assert file.text.endswith("11/2026;1;49,90\r\n")


def subscribe(cast: Cast) -> None:
    client = ClientFactory(commercial_id=cast.sales_rep.id)
    subscription = SubscriptionFactory(client_id=client.id, recurring_amount=Decimal(40))
    event = {"client_id": client.id, "new_status": subscription.status, "annual_after": Decimal(480)}
    db.session.add(SubscriptionHistory(subscription_id=subscription.id, currency="EUR", at=NOW, **event))
    db.session.commit()


def test_figures_that_were_kept_say_since_when(
    cast: Cast, manager_client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "LONG", 0.0)
    subscribe(cast)
    assert 'data-testid="known-at"' not in manager_client.get("/statistiques?onglet=abonnements").text
    assert "calculés le 20/11/2026 à" in manager_client.get("/statistiques?onglet=abonnements").text


def test_recurring_revenue_leads_to_its_list_and_is_a_file_too(cast: Cast, manager_client: FlaskClient) -> None:
    subscribe(cast)
    page = manager_client.get("/statistiques?onglet=abonnements").text
    (link, shown) = re.findall(r'data-testid="mrr"\s+href="([^"]*)">([^<]*)<', page)[0]
    assert shown in manager_client.get(unescape(link)).text
    assert f'data-testid="mrr-end">{shown}<' in page
    file = manager_client.get("/statistiques/mrr.csv?periode=mois&du=2026-11-01").text
    assert file.startswith("\ufeffMois;MRR (EUR)\r\n12/2025;0,00\r\n")
    assert file.endswith("11/2026;40,00\r\n")


def test_recurring_revenue_is_scoped(cast: Cast, sign_in: SignIn, outsider_client: FlaskClient) -> None:
    subscribe(cast)
    for browser in (sign_in(cast.colleague), outsider_client):
        assert 'data-testid="mrr-end">0,00' in browser.get("/statistiques?onglet=abonnements").text
        assert "40,00" not in browser.get("/statistiques/mrr.csv").text


def test_the_file_of_the_kpi(cast: Cast, admin_client: FlaskClient) -> None:
    sign(cast, commercial_id=CommercialFactory(first_name="=1+1", last_name=";Zoé").id)
    lines = admin_client.get("/statistiques/commerciaux.csv").text.splitlines()
    assert lines[1] == '"\'=1+1 ;Zoé";1;49,90;0;0;0'


def test_a_file_of_one_commercial_is_for_those_who_may_see_the_figures(
    cast: Cast, client: FlaskClient, outsider_client: FlaskClient
) -> None:
    other = CommercialFactory()
    address = "/statistiques/statuts.csv?commercial="
    sign(cast)
    assert client.get(f"{address}{cast.sales_rep.id}").text.endswith("Actif;1;49,90\r\n")
    assert client.get(f"{address}{other.id}").status_code == 403
    for browser, who in ((outsider_client, cast.sales_rep.id), (client, uuid4()), (client, "nul")):
        assert browser.get(f"{address}{who}").status_code == 404
    assert client.get("/statistiques/pertes.csv").status_code == 404


def test_the_list_of_commercials_leaves_out_figures_beyond_ones_scope(cast: Cast, client: FlaskClient) -> None:
    other = CommercialFactory(first_name="Zoé", last_name="Ailleurs")
    sign(cast, commercial_id=other.id)
    page = client.get("/commerciaux").text
    assert "Zoé Ailleurs" in page
    assert f"commercial={other.id}" not in page
    assert f"commercial={cast.sales_rep.id}" in page


def test_a_page_of_a_commercial_is_open_its_figures_are_not(cast: Cast, sign_in: SignIn, client: FlaskClient) -> None:
    page = f"/commerciaux/{cast.sales_rep.id}"
    sign(cast)
    assert "Rang dans l’équipe" in client.get(page).text
    colleague = sign_in(cast.colleague)
    assert "ne sont pas à votre portée" in colleague.get(page).text
    assert colleague.get(f"{page}?onglet=contrats").text.count('data-testid="contract-row"') == 1


def test_the_rank_counts_those_who_signed_more(cast: Cast, client: FlaskClient) -> None:
    mate = CommercialFactory(team_id=cast.sales_rep.team_id)
    sign(cast, commercial_id=mate.id)
    assert re.search(r"2\s*<small>e sur 2", client.get(f"/commerciaux/{cast.sales_rep.id}").text)


@pytest.mark.parametrize("tab", ["apercu", "contrats", "activites", "documents", "inconnu"])
def test_an_outsider_finds_no_such_commercial(
    cast: Cast, client: FlaskClient, outsider_client: FlaskClient, tab: str
) -> None:
    page = f"/commerciaux/{cast.sales_rep.id}?onglet={tab}"
    assert client.get(page).status_code == 200
    assert outsider_client.get(page).status_code == 404


def test_documents_of_a_commercial_are_links_only_where_they_lead_to_the_web(cast: Cast, client: FlaskClient) -> None:
    sign(cast, document_url="https://exemple.test/contrat.pdf", audit_trail_url="javascript:alert(1)")
    sign(cast, audit_trail_url="/archives/piste.pdf")
    page = client.get(f"/commerciaux/{cast.sales_rep.id}?onglet=documents").text
    assert 'href="https://exemple.test/contrat.pdf"' in page
    assert 'href="javascript' not in page
    assert page.count('data-testid="document-row"') == 2


@pytest.mark.parametrize("page", [*PAGES, "/equipes", "/commerciaux/{id}", "/commerciaux/{id}?onglet=contrats"])
def test_queries_of_a_page_do_not_grow_with_rows(
    cast: Cast, admin_client: FlaskClient, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    monkeypatch.setattr(keeping, "LONG", 60.0)  # nothing is kept from the first page for the second, however slow
    address = page.format(id=cast.sales_rep.id)

    def queries() -> int:
        with recorded_queries() as statements:
            assert admin_client.get(address).status_code == 200
        return len(statements)

    sign(cast)
    few = queries()
    for _ in range(5):
        sign(cast, company_id=CompanyFactory().id)
        sign(cast, commercial_id=CommercialFactory(team_id=cast.sales_rep.team_id).id)
    assert queries() == few <= 25


def test_direction_shows_the_mrr_churn_and_unpaid_rate_of_the_subscriptions_tab(manager_client: FlaskClient) -> None:
    shown = [
        re.findall(
            r'data-testid="(mrr|churn|unpaid)"[^>]*>([^<]*)<', manager_client.get(f"/statistiques?onglet={tab}").text
        )
        for tab in ("direction", "abonnements")
    ]
    assert shown[0] == shown[1]
    assert {name for name, _ in shown[0]} == {"mrr", "churn", "unpaid"}


def test_a_period_that_is_still_running_is_compared_to_date(manager_client: FlaskClient) -> None:
    for tab in ("direction", "commercial"):
        running = manager_client.get(f"/statistiques?onglet={tab}").text
        over = manager_client.get(f"/statistiques?onglet={tab}&periode=mois&du=2026-10-01").text
        assert ("à date" in running, "à date" in over) == (True, False)
    assert "Période précédente à date" in manager_client.get("/statistiques/commerciaux.csv").text
