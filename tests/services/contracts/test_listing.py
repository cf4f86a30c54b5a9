"""The list of contracts: filters, orders, pages, search and numbers."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from tests.conftest import Cast
from tests.factories import ClientFactory, ContractFactory, ContractLineFactory, ProductFactory
from tests.queries import recorded_queries
from webapp.models.clients import Client, Source
from webapp.models.contracts import ContractStatus, PaymentMethod
from webapp.services import capped_counts
from webapp.services.clients.selection import SourceFilter
from webapp.services.contracts import listing
from webapp.services.contracts.listing import list_choices, list_contracts
from webapp.services.contracts.selection import NO_PRODUCT, NOBODY, SIGNED, ContractSort, ContractsView
from webapp.services.keyset import Position, encode


@pytest.fixture
def owner(cast: Cast) -> Client:
    """The client of the contracts."""
    client: Client = ClientFactory(last_name="LEFÈVRE", first_name="Zoé", email="zoe@example.org", phone="+33639981234")
    return client


def make(owner: Client, reference: str, **values: Any) -> None:
    ContractFactory(client_id=owner.id, reference=reference, **values)


def references(**view: Any) -> list[str]:
    """The references of all pages, in order; the number beside them is theirs."""
    shown = list_contracts(ContractsView(**view), exact=True)
    assert shown.total.number == len(walk(ContractsView(**view)))
    return [row.reference for row in shown.page.rows]


def walk(view: ContractsView) -> list[str]:
    found, cursor = [], ""
    while True:
        page = list_contracts(ContractsView(**{**vars(view), "cursor": cursor})).page
        found += [row.reference for row in page.rows]
        if page.next_cursor is None:
            return found
        cursor = page.next_cursor


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        ({}, ["B", "C", "A", "D"]),
        ({"sort": ContractSort.SIGNED}, ["D", "A", "C", "B"]),
        ({"sort": ContractSort.AMOUNT_DESCENDING}, ["A", "B", "D", "C"]),
        ({"sort": ContractSort.ENDS}, ["C", "A", "B", "D"]),
        ({"status": ContractStatus.DRAFT}, ["C"]),
        ({"status": SIGNED}, ["B", "A", "D"]),
        ({"source": SourceFilter.WINLEADPLUS}, ["B"]),
        ({"source": SourceFilter.CRM}, ["C", "A", "D"]),
        ({"since": date(2026, 9, 2)}, ["B", "C"]),
        ({"until": date(2026, 9, 2)}, ["C", "A"]),
        ({"is_undated": True}, ["D"]),
        ({"ends_since": date(2027, 1, 1)}, ["A"]),
        ({"ends_until": date(2027, 1, 1)}, ["C"]),
        ({"lacks_mandate": True}, ["A"]),
        ({"is_absent": True}, ["B"]),
        ({"sold_by": (NOBODY,)}, ["B", "C", "D"]),
        ({"product": NO_PRODUCT}, ["B", "C", "A", "D"]),
    ],
)
def test_filters_and_orders(cast: Cast, owner: Client, view: dict[str, Any], expected: list[str]) -> None:
    moments = {day: datetime(2026, 9, day, 12, tzinfo=UTC) for day in (1, 2, 3)}
    make(
        owner,
        "A",
        signed_at=moments[1],
        amount=Decimal(30),
        ends_on=date(2027, 6, 1),
        payment_method=PaymentMethod.SEPA,
        commercial_id=cast.sales_rep.id,
    )
    make(owner, "B", signed_at=moments[3], amount=Decimal(20), source=Source.WINLEADPLUS, missing_since=moments[3])
    make(owner, "C", signed_at=moments[2], status=ContractStatus.DRAFT, ends_on=date(2026, 12, 1))
    make(owner, "D", amount=Decimal(10))
    assert references(**view) == expected


def test_contracts_of_a_commercial_company_or_product(cast: Cast, owner: Client) -> None:
    product = ProductFactory(name="Gaz")
    contract = ContractFactory(client_id=owner.id, reference="A", commercial_id=cast.sales_rep.id)
    ContractLineFactory(contract_id=contract.id, product_id=product.id)
    make(owner, "B")
    assert references(sold_by=(cast.sales_rep.id,)) == references(product=product.id) == ["A"]
    assert references(company=contract.company_id, sort=ContractSort.SIGNED) == ["A", "B"]
    (row,) = list_contracts(ContractsView(product=product.id)).page.rows
    assert (row.products, row.commercial, row.client) == (["Gaz"], cast.sales_rep.full_name, "LEFÈVRE Zoé")


@pytest.mark.parametrize("words", ["lefevre", "zoé lef", "zoe@", "06 39 98", "ref-a", "A REF"])
def test_a_contract_is_found_by_its_client_or_its_reference(owner: Client, words: str) -> None:
    make(owner, "REF-A")
    make(ClientFactory(), "AUTRE")
    assert references(search=words) == ["REF-A"]


def test_a_reference_finds_its_contract_and_not_its_clients_others(owner: Client) -> None:
    make(owner, "REF-111")
    make(owner, "REF-222")
    assert references(search="222") == ["REF-222"]
    assert references(search="zoe 111") == ["REF-111"]


def test_words_that_cannot_be_found_find_nothing(owner: Client) -> None:
    make(owner, "REF-111")
    assert references(search="%") == ["REF-111"]  # nothing to look for
    assert references(search="introuvable") == []


@pytest.mark.parametrize("sort", list(ContractSort))
def test_pages_follow_each_other_forth_and_back(
    owner: Client, sort: ContractSort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "PAGE_SIZE", 3)
    for number in range(8):
        moment = datetime(2026, 9, 1 + number // 3, 12, tzinfo=UTC) if number % 4 else None
        make(owner, f"R{number}", signed_at=moment, amount=Decimal(number // 2) if number % 3 else None)
    view = ContractsView(sort=sort)
    forth = walk(view)
    assert sorted(forth) == [f"R{number}" for number in range(8)]
    assert walk(ContractsView(sort=sort.reverse)) == forth[::-1]
    last = list_contracts(ContractsView(sort=sort, cursor=list_contracts(view).page.next_cursor or "")).page
    back = list_contracts(ContractsView(sort=sort, cursor=last.previous_cursor or "")).page
    assert [row.reference for row in back.rows] == forth[:3]


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "WyJtb250YW50IiwgIk5hTiIsICIwMCIsIDBd",
        "é" * 300,
        encode(Position(Decimal("1E+99"), UUID(int=0)), sort="montant"),
    ],
)
def test_a_cursor_that_is_none_gives_the_first_page(owner: Client, cursor: str) -> None:
    make(owner, "A")
    assert references(cursor=cursor, sort=ContractSort.AMOUNT) == ["A"]


def test_counts_stop_at_the_cap_until_the_exact_one_is_asked_for(
    owner: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capped_counts, "COUNT_CAP", 1)
    for reference in "ABC":
        make(owner, reference, source=Source.WINLEADPLUS, amount=Decimal(2))
    view = ContractsView(source=SourceFilter.WINLEADPLUS)
    assert list_contracts(view).total == (1, True, None)
    assert list_contracts(view, exact=True).total == (3, False, {"EUR": Decimal(6)})
    assert list_contracts(ContractsView()).total.number == 3  # the tallies know it without counting


def test_queries_do_not_grow_with_rows(owner: Client) -> None:
    product = ProductFactory()

    def queries() -> int:
        with recorded_queries() as statements:
            list_contracts(ContractsView())
            list_choices()
        return len(statements)

    def add(reference: str) -> None:
        contract = ContractFactory(client_id=ClientFactory().id, reference=reference)
        ContractLineFactory(contract_id=contract.id, product_id=product.id)

    add("A")
    few = queries()
    for reference in "BCDEF":
        add(reference)
    assert queries() == few == 7
