"""Whatever the organisation: each number equals its list, for every role, and the parts make the whole."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import Cast
from tests.examples import some
from tests.factories import (
    ClientFactory,
    CommercialFactory,
    CompanyFactory,
    ContractFactory,
    ContractLineFactory,
    ProductFactory,
    TeamFactory,
    TeamLeaderFactory,
    UserFactory,
)
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.commercials import Commercial
from webapp.models.contracts import Contract, ContractStatus
from webapp.models.identity import User
from webapp.services.clients.listing import list_clients
from webapp.services.clients.selection import ClientsView
from webapp.services.contracts.listing import list_contracts
from webapp.services.contracts.selection import SIGNED_STATUSES, ContractsView
from webapp.services.figures.breakdowns import Breakdown, Number, by_company, by_month, by_product, by_status
from webapp.services.figures.kpi import Kpi, contracts_per_commercial
from webapp.services.figures.period import Period, Span
from webapp.services.figures.portfolio import ClientsNumber
from webapp.services.figures.scope import Scope, figures_scope

TODAY = date(2026, 11, 20)

nobody_or = lambda count: st.one_of(st.none(), st.integers(0, count - 1))  # noqa: E731  reads best where it is used


@dataclass(frozen=True)
class Deal:
    """A contract to be: days before TODAY of its signature, and who is who by number."""

    days_ago: int | None
    status: ContractStatus
    commercial: int | None
    client: int
    company: int
    products: frozenset[int]
    amount: int | None


@dataclass(frozen=True)
class House:
    """An organisation to be. ``teams`` and ``owners``: of each commercial its team, of each client its commercial."""

    teams: list[int | None]
    owners: list[int | None]
    deals: list[Deal]
    moves: list[tuple[int, int | None]]
    transfers: list[tuple[int, int | None]]


TEAMS, COMMERCIALS, CLIENTS, COMPANIES, PRODUCTS = 2, 4, 3, 2, 2

deals = st.builds(
    Deal,
    days_ago=st.one_of(st.none(), st.integers(0, 70)),
    status=st.sampled_from(ContractStatus),
    commercial=nobody_or(COMMERCIALS),
    client=st.integers(0, CLIENTS - 1),
    company=st.integers(0, COMPANIES - 1),
    products=st.frozensets(st.integers(0, PRODUCTS - 1)),
    amount=st.one_of(st.none(), st.integers(-5, 100)),
)
houses = st.builds(
    House,
    teams=st.lists(nobody_or(TEAMS), min_size=COMMERCIALS, max_size=COMMERCIALS),
    owners=st.lists(nobody_or(COMMERCIALS), min_size=CLIENTS, max_size=CLIENTS),
    deals=st.lists(deals, max_size=8),
    moves=st.lists(st.tuples(st.integers(0, CLIENTS - 1), nobody_or(COMMERCIALS)), max_size=3),
    transfers=st.lists(st.tuples(st.integers(0, COMMERCIALS - 1), nobody_or(TEAMS)), max_size=2),
)
periods = st.one_of(
    st.builds(Period.around, st.just(TODAY), st.sampled_from([Span.MONTH, Span.QUARTER, Span.YEAR])),
    st.builds(
        lambda start, days: Period.between(TODAY - timedelta(days=start), TODAY - timedelta(days=start - days)),
        st.integers(0, 75),
        st.integers(0, 75),
    ),
)


@contextmanager
def built(house: House) -> Iterator[tuple[list[User], list[Contract]]]:
    """The organisation in rows: its users, of every role, and its contracts. Gone after the block."""
    savepoint = db.session.begin_nested()
    try:
        teams = TeamFactory.create_batch(TEAMS)
        users = UserFactory.create_batch(COMMERCIALS)
        commercials = [
            CommercialFactory(user_id=user.id, team_id=None if team is None else teams[team].id)
            for user, team in zip(users, house.teams, strict=True)
        ]
        leader, both = UserFactory(roles=["manager"]), users[0]
        both.roles = ["commercial", "manager"]
        for user, team in ((leader, teams[0]), (leader, teams[1]), (both, teams[1])):
            TeamLeaderFactory(user_id=user.id, team_id=team.id)
        contracts = _sign(house, commercials)
        yield [*users[:2], leader, UserFactory(roles=["manager"]), UserFactory(roles=["admin"])], contracts
    finally:
        savepoint.rollback()
        db.session.expunge_all()


def _sign(house: House, commercials: list[Commercial]) -> list[Contract]:
    """Clients, their contracts, and what happens to both afterwards."""

    def who(number: int | None) -> Any:
        return None if number is None else commercials[number].id

    clients: list[Client] = [ClientFactory(commercial_id=who(owner)) for owner in house.owners]
    companies, products = CompanyFactory.create_batch(COMPANIES), ProductFactory.create_batch(PRODUCTS)
    contracts = []
    for deal in house.deals:
        day = None if deal.days_ago is None else TODAY - timedelta(days=deal.days_ago)
        contract: Contract = ContractFactory(
            client_id=clients[deal.client].id,
            company_id=companies[deal.company].id,
            commercial_id=who(deal.commercial),
            status=deal.status,
            amount=None if deal.amount is None else Decimal(deal.amount),
            signed_at=None if day is None else datetime(day.year, day.month, day.day, 12, tzinfo=UTC),
        )
        contracts.append(contract)
        for product in sorted(deal.products):
            ContractLineFactory(contract_id=contract.id, product_id=products[product].id)
    for number, owner in house.moves:
        clients[number].commercial_id = who(owner)
    db.session.flush()
    for number, team in house.transfers:
        commercials[number].team_id = None if team is None else commercials[team].team_id
    db.session.flush()
    return contracts


def list_of(view: ContractsView) -> list[Any]:
    """All rows that the link of a number leads to, by its own total no more and no fewer."""
    shown = list_contracts(view, exact=True)
    assert shown.total.number == len(shown.page.rows)  # one page holds all that is drawn
    return shown.page.rows


def assert_equals_its_list(number: Number) -> None:
    rows = list_of(number.view)
    assert number.contracts == len(rows)
    assert number.amounts.get("EUR", 0) == sum(row.amount or 0 for row in rows)


def assert_clients_equal_their_list(number: ClientsNumber) -> None:
    shown = list_clients(number.view, exact=True)
    assert number.clients == shown.total.number == len(shown.page.rows)


def assert_numbers_equal_lists(kpi: Kpi, breakdowns: list[Breakdown]) -> None:
    for row in [*kpi.rows, kpi]:
        for each in (row.signed, row.before, row.undated):
            assert_equals_its_list(each)
    for clients in [*(row.portfolio for row in kpi.rows), *kpi.portfolios]:
        assert_clients_equal_their_list(clients)
    for breakdown in breakdowns:
        for each in [*(line.number for line in breakdown.lines), breakdown.total]:
            assert_equals_its_list(each)


def assert_parts_make_the_whole(kpi: Kpi) -> None:
    for part in ("signed", "before", "undated"):
        assert sum(getattr(row, part).contracts for row in kpi.rows) == getattr(kpi, part).contracts
    assert sum(row.portfolio.clients for row in kpi.rows) == sum(each.clients for each in kpi.portfolios)


def counted(contracts: list[Contract], scope: Scope, period: Period) -> int:
    """The rule of the KPI, said again in Python."""
    return sum(
        contract.status in SIGNED_STATUSES
        and contract.signed_at is not None
        and period.since <= contract.signed_at.date() <= period.until
        and (scope.is_all or contract.commercial_id in scope.members)
        for contract in contracts
    )


@settings(
    max_examples=some(20),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(house=houses, period=periods)
def test_numbers_equal_their_lists_for_every_role(cast: Cast, house: House, period: Period) -> None:
    with built(house) as (users, contracts):
        for user in users:
            scope = figures_scope(user)
            kpi = contracts_per_commercial(scope, period, today=TODAY)
            base = replace(scope.view, since=period.since, until=period.until)
            assert kpi.signed.contracts == counted(contracts, scope, period)
            assert_parts_make_the_whole(kpi)
            if user in (users[0], users[-1]):
                by = [by_month(scope.view, until=TODAY), by_product(base), by_company(base), by_status(scope.view)]
                assert_numbers_equal_lists(kpi, by)


def test_clients_of_all_are_the_list_of_all(cast: Cast) -> None:
    ClientFactory()
    (number,) = contracts_per_commercial(figures_scope(cast.admin), Period.around(TODAY), today=TODAY).portfolios
    assert number.view == ClientsView()
    assert_clients_equal_their_list(number)
