"""The list of contracts: what its address says is what it shows."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.conftest import HTMX, Cast
from tests.factories import ClientFactory, CommercialFactory, ContractFactory, ProductFactory
from tests.queries import recorded_queries
from webapp.models.contracts import ContractStatus
from webapp.services.contracts.selection import NOBODY, SIGNED, ContractSort, ContractsView, OfTeam
from webapp.services.winleadplus import config
from webapp.views.contracts.listing import address, exact_address, read_view
from webapp.views.lists import IMPOSSIBLE_DAY


def references(page: str) -> list[str]:
    return re.findall(r'data-reference="([^"]+)"', page)


def data_count(page: str) -> int:
    (number,) = re.findall(r'data-testid="result-count" data-count="(\d+)"', page)
    return int(number)


@pytest.fixture
def contracts(cast: Cast) -> None:
    """Two contracts: one of the commercial, one of nobody and without a date."""
    owner = ClientFactory(last_name="MARTIN", commercial_id=cast.sales_rep.id)
    ContractFactory(
        client_id=owner.id,
        reference="A-1",
        commercial_id=cast.sales_rep.id,
        amount=Decimal("1234.5"),
        signed_at=datetime(2026, 9, 15, tzinfo=UTC),
    )
    ContractFactory(client_id=owner.id, reference="B-2", status=ContractStatus.PENDING, status_raw="À revoir")


def test_the_list_shows_contracts_with_their_client_and_their_number(contracts: None, client: FlaskClient) -> None:
    page = client.get("/contrats").text
    assert references(page) == ["A-1", "B-2"]
    assert data_count(page) == 2
    for words in ("MARTIN", "1\u202f234,50\xa0€", "15/09/2026", "À revoir"):
        assert words in page


def test_an_outsider_sees_none_of_them(contracts: None, outsider_client: FlaskClient) -> None:
    assert references(outsider_client.get("/contrats?total=exact").text) == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("q=martin+a-1", ["A-1"]),
        ("statut=pending", ["B-2"]),
        ("statut=signes", ["A-1", "B-2"]),
        ("commercial=sans-commercial", ["B-2"]),
        ("signature=sans-date&du=2026-01-01", ["B-2"]),
        ("du=2026-09-15&au=2026-09-15", ["A-1"]),
        ("produit=sans-produit", ["A-1", "B-2"]),
        ("source=winleadplus", []),
        ("tri=signature", ["B-2", "A-1"]),
    ],
)
def test_the_address_narrows_the_list(contracts: None, client: FlaskClient, query: str, expected: list[str]) -> None:
    page = client.get(f"/contrats?total=exact&{query}").text
    assert references(page) == expected
    assert data_count(page) == len(expected)


@pytest.mark.parametrize(
    "query",
    [
        "statut=perdu&commercial=nul&commercial=equipe-x&produit=1&societe=1&source=fax&signature=demain",
        "du=31/12/2026&au=2026-02-30&fin_du=0001-01-01&fin_au=9999-12-31&tri=taille&apres=%00&mandat=oui",
        "q=%00%F0%9F%92%A9&q=b&total=environ",
    ],
)
def test_what_cannot_be_read_in_an_address_is_ignored(contracts: None, client: FlaskClient, query: str) -> None:
    assert client.get(f"/contrats?{query}").status_code == 200


def test_a_period_that_ends_before_it_begins_is_told_and_ignored(contracts: None, client: FlaskClient) -> None:
    page = client.get("/contrats?du=2026-12-01&au=2026-11-01").text
    assert "La fin de la période (01/11/2026) précède son début (01/12/2026)" in page
    page = client.get("/contrats?fin_du=2026-12-02&fin_au=2026-11-02").text
    assert "La fin de la période (02/11/2026) précède son début (02/12/2026)" in page
    assert "Se terminant" not in page
    assert references(page) == ["A-1", "B-2"]


def test_a_day_of_no_calendar_is_told_and_ignored(contracts: None, client: FlaskClient) -> None:
    page = client.get("/contrats?du=2300-12-01").text
    assert IMPOSSIBLE_DAY in page
    assert references(page) == ["A-1", "B-2"]


def test_an_unknown_commercial_has_no_contract_and_is_named_in_the_filter(contracts: None, client: FlaskClient) -> None:
    page = client.get(f"/contrats?commercial={uuid4()}").text
    assert "Aucun contrat ne correspond." in page
    assert "valeur inconnue" in page


def test_filters_without_a_control_are_chips_that_can_be_taken_away(
    contracts: None, cast: Cast, client: FlaskClient
) -> None:
    other = CommercialFactory(first_name="Zoé", last_name="Autre")
    query = f"commercial=equipe-{cast.sales_rep.team_id}&commercial={other.id}&fin_au=2026-12-31&mandat=sans"
    page = client.get(f"/contrats?{query}").text
    for words in ("Équipe\u202f: Nord, Zoé Autre", "Se terminant jusqu’au 31/12/2026", "Sans mandat actif"):
        assert words in page
    assert f'name="commercial" value="{other.id}"' in page
    assert 'href="/contrats?commercial=' in page


def test_under_htmx_the_list_comes_alone_and_a_filter_makes_a_short_address(
    contracts: None, client: FlaskClient
) -> None:
    fragment = client.get(
        "/contrats?q=&statut=active&tri=-signature&du=", headers={**HTMX, "HX-Source": "form#contracts-filters"}
    )
    assert fragment.text.lstrip().startswith('<div id="contracts-list"')
    assert fragment.headers["HX-Push-Url"] == "/contrats?statut=active"


def test_an_address_says_the_whole_view(app: Flask) -> None:
    view = ContractsView(
        search="a b",
        status=SIGNED,
        sold_by=(NOBODY, OfTeam(uuid4()), uuid4()),
        company=uuid4(),
        product=uuid4(),
        since=date(2026, 1, 1),
        until=date(2026, 1, 31),
        ends_since=date(2027, 1, 1),
        ends_until=date(2027, 1, 31),
        lacks_mandate=True,
        is_absent=True,
        sort=ContractSort.AMOUNT,
    )
    with app.test_request_context("/"):
        written = exact_address(view)
    with app.test_request_context(written) as context:
        assert read_view(context.request.args) == (view, None)
        assert context.request.args["total"] == "exact"
    with app.test_request_context("/"):
        assert address(ContractsView()) == "/contrats"


def test_queries_of_the_page_do_not_grow_with_rows(cast: Cast, client: FlaskClient) -> None:
    def queries() -> int:
        with recorded_queries() as statements:
            client.get("/contrats?total=exact&du=2026-09-02")
        return len(statements)

    few = queries()
    for _ in range(5):
        ContractFactory(client_id=ClientFactory().id, signed_at=datetime(2026, 9, 15, tzinfo=UTC))
        ProductFactory()
    assert queries() == few


def test_prospects_are_named_only_where_winleadplus_is_read(client: FlaskClient) -> None:
    assert "importez vos prospects avec «\u202fSync WinLeadPlus\u202f»." in client.get("/contrats").text
    config.change(enabled=False)
    page = client.get("/contrats").text
    assert "Créez le premier." in page
    assert "Sync WinLeadPlus" not in page
