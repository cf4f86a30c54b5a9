"""Numbers of contracts: exact at every moment, whatever wrote the rows."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, text, update

from tests.conftest import NOW, Cast
from tests.factories import (
    ClientFactory,
    CommercialFactory,
    CompanyFactory,
    ContractFactory,
    ContractLineFactory,
    ProductFactory,
    make_bank_account,
)
from webapp.extensions import db
from webapp.models.banking import Mandate, MandateStatus
from webapp.models.clients import Client
from webapp.models.commercials import Commercial
from webapp.models.contracts import Contract, ContractLine, ContractStatus, PaymentMethod
from webapp.models.tallies import ContractTally
from webapp.services.contracts.counting import Axis, Figure, count, count_by, is_quick
from webapp.services.contracts.selection import NO_PRODUCT, NOBODY, SIGNED, ContractsView, OfTeam


@pytest.fixture
def owner(cast: Cast) -> Client:
    """The client of the contracts."""
    client: Client = ClientFactory()
    return client


def sign(owner: Client, day: date | None = None, **values: Any) -> Contract:
    signed_at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC) if day else None
    contract: Contract = ContractFactory(client_id=owner.id, signed_at=signed_at, **values)
    return contract


def number(**view: Any) -> int:
    return count(ContractsView(**view)).contracts


def test_a_contract_written_changed_or_deleted_counts_at_once(owner: Client) -> None:
    contract = sign(owner, date(2026, 11, 20), amount=Decimal("10.50"))
    assert count(ContractsView()) == Figure(1, {"EUR": Decimal("10.50")})
    contract.amount, contract.status = Decimal(20), ContractStatus.CANCELED
    db.session.flush()
    assert count(ContractsView(status=ContractStatus.CANCELED)) == Figure(1, {"EUR": Decimal(20)})
    assert number(status=ContractStatus.ACTIVE) == 0
    db.session.execute(delete(Contract))
    assert count(ContractsView()) == Figure()


def test_a_commercial_that_is_deleted_leaves_contracts_without_commercial(cast: Cast, owner: Client) -> None:
    sign(owner, commercial_id=cast.sales_rep.id)
    db.session.execute(delete(Commercial).where(Commercial.id == cast.sales_rep.id))
    assert count_by(ContractsView(), Axis.COMMERCIAL) == {None: Figure(1)}


def test_a_client_that_is_deleted_takes_its_contracts_from_the_numbers(owner: Client) -> None:
    ContractLineFactory(contract_id=sign(owner).id, product_id=ProductFactory().id)
    db.session.execute(delete(Client).where(Client.id == owner.id))
    assert number() == 0
    assert count_by(ContractsView(), Axis.PRODUCT) == {}


def test_a_day_is_that_of_paris(owner: Client) -> None:
    ContractFactory(client_id=owner.id, signed_at=datetime(2026, 10, 31, 23, 30, tzinfo=UTC))
    assert number(since=date(2026, 11, 1), until=date(2026, 11, 30)) == 1
    assert number(since=date(2026, 10, 1), until=date(2026, 10, 31)) == 0


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (date(2026, 9, 1), date(2026, 9, 30), 3),
        (date(2026, 9, 2), date(2026, 9, 29), 1),
        (date(2026, 8, 31), date(2026, 10, 1), 5),
        (date(2026, 8, 15), date(2026, 9, 15), 3),
        (date(2026, 9, 30), date(2026, 9, 30), 1),
        (None, date(2026, 9, 1), 2),
        (None, date(2026, 9, 30), 4),
        (date(2026, 9, 15), None, 3),
        (date(2026, 9, 1), None, 4),
    ],
)
def test_a_period_has_its_first_and_its_last_day(
    owner: Client, since: date | None, until: date | None, expected: int
) -> None:
    for day in ("2026-08-31", "2026-09-01", "2026-09-15", "2026-09-30", "2026-10-01"):
        sign(owner, date.fromisoformat(day))
    sign(owner)
    assert number(since=since, until=until) == expected


def test_whole_months_are_read_from_the_tallies_alone(owner: Client) -> None:
    sign(owner, date(2026, 9, 15))
    assert is_quick(ContractsView(since=date(2026, 9, 1), until=date(2026, 9, 30)))
    assert not is_quick(ContractsView(since=date(2026, 9, 2), until=date(2026, 9, 30)))
    assert not is_quick(ContractsView(search="ref"))
    db.session.execute(delete(ContractTally))
    assert number(since=date(2026, 9, 1), until=date(2026, 9, 30)) == 0
    assert number(since=date(2026, 9, 14), until=date(2026, 9, 16)) == 1


def test_every_period_holds_its_days_and_no_others(owner: Client) -> None:
    days = [date(2026, month, day) for month in (8, 9, 10) for day in (1, 2, 15, 16, 17, 29, 30)]
    for day in days:
        sign(owner, day, amount=Decimal(3))
    for first, since in enumerate(days):
        for last, until in enumerate(days[first:], start=1):
            found = count(ContractsView(since=since, until=until))
            assert found == Figure(last, {"EUR": Decimal(3 * last)}), (since, until)


def test_a_contract_counts_for_each_of_its_products_once(owner: Client) -> None:
    gas, power = ProductFactory(), ProductFactory()
    both, bare = sign(owner, date(2026, 9, 15)), sign(owner, date(2026, 9, 15))
    for product in (gas, power, power):
        ContractLineFactory(contract_id=both.id, product_id=product.id)
    for view in (ContractsView(), ContractsView(since=date(2026, 9, 2), until=date(2026, 9, 20))):
        found = {key: figure.contracts for key, figure in count_by(view, Axis.PRODUCT).items()}
        assert found == {gas.id: 1, power.id: 1, None: 1}
    assert number() == 2
    assert number(product=power.id) == number(product=NO_PRODUCT) == 1
    assert number(product=NO_PRODUCT, since=date(2026, 9, 2)) == 1
    db.session.execute(delete(ContractLine).where(ContractLine.product_id == gas.id))
    db.session.execute(update(ContractLine).values(contract_id=bare.id).where(ContractLine.position >= 0))
    assert {key: figure.contracts for key, figure in count_by(ContractsView(), Axis.PRODUCT).items()} == {
        power.id: 1,
        None: 1,
    }


def test_amounts_of_two_currencies_are_never_added_up(owner: Client) -> None:
    sign(owner, amount=Decimal(10))
    sign(owner, amount=Decimal(3), currency="CHF")
    assert count(ContractsView()) == Figure(2, {"EUR": Decimal(10), "CHF": Decimal(3)})


def test_each_axis_tells_contracts_apart(cast: Cast, owner: Client) -> None:
    company = CompanyFactory()
    sign(owner, date(2026, 9, 15), commercial_id=cast.sales_rep.id, company_id=company.id)
    for view in (ContractsView(status=SIGNED), ContractsView(since=date(2026, 9, 3), until=date(2026, 9, 20))):
        keys = {axis: list(count_by(view, axis)) for axis in Axis}
        assert keys == {
            Axis.COMMERCIAL: [cast.sales_rep.id],
            Axis.COMPANY: [company.id],
            Axis.PRODUCT: [None],
            Axis.STATUS: [ContractStatus.ACTIVE],
            Axis.MONTH: [date(2026, 9, 1)],
        }


def test_a_team_counts_for_all_who_are_in_it(cast: Cast, owner: Client) -> None:
    sign(owner, commercial_id=cast.sales_rep.id)
    sign(owner, commercial_id=CommercialFactory().id)
    sign(owner)
    team_id = cast.sales_rep.team_id or UUID(int=0)
    assert number(sold_by=(OfTeam(team_id),)) == 1
    assert number(sold_by=(OfTeam(UUID(int=0)),)) == 0
    assert number(sold_by=(OfTeam(team_id), NOBODY)) == 2


def test_absent_contracts_are_counted_as_they_are_listed(owner: Client) -> None:
    sign(owner, date(2026, 9, 15))
    sign(owner, date(2026, 9, 15), missing_since=NOW)
    assert number(is_absent=True) == 1
    assert number(is_absent=True, since=date(2026, 9, 1), until=date(2026, 9, 30)) == 1


def test_an_active_mandate_serves_every_contract_of_its_client(cast: Cast, owner: Client) -> None:
    sign(owner, payment_method=PaymentMethod.SEPA)
    sign(owner, payment_method=PaymentMethod.CARD)
    assert number(lacks_mandate=True) == 1
    account = make_bank_account(owner)
    mandate = Mandate(client_id=owner.id, bank_account_id=account.id, status=MandateStatus.DECLARED)
    db.session.add(mandate)
    db.session.flush()
    assert number(lacks_mandate=True) == 1
    mandate.status = MandateStatus.ACTIVE
    db.session.flush()
    assert number(lacks_mandate=True) == 0
    sign(owner, payment_method=PaymentMethod.SEPA)
    assert number(lacks_mandate=True) == 0
    db.session.delete(mandate)
    db.session.flush()
    assert number(lacks_mandate=True) == 2


def test_tallies_made_anew_say_the_same(cast: Cast, owner: Client) -> None:
    sign(owner, date(2026, 9, 15), commercial_id=cast.sales_rep.id, amount=Decimal(5))
    before = count_by(ContractsView(), Axis.COMMERCIAL)
    db.session.execute(delete(ContractTally))
    db.session.execute(text("SELECT rebuild_tallies(:id)"), {"id": cast.organisation.id})
    assert count_by(ContractsView(), Axis.COMMERCIAL) == before != {}


def test_filters_that_tallies_by_product_do_not_tell_apart_are_counted_from_contracts(owner: Client) -> None:
    product = ProductFactory()
    for values in ({"payment_method": PaymentMethod.SEPA}, {"payment_method": PaymentMethod.CARD}):
        ContractLineFactory(contract_id=sign(owner, date(2026, 9, 15), **values).id, product_id=product.id)
    elsewhere = sign(owner, date(2026, 9, 15), company_id=CompanyFactory().id)
    ContractLineFactory(contract_id=elsewhere.id, product_id=product.id)
    assert number(product=product.id) == 3
    assert number(product=product.id, company=elsewhere.company_id) == 1
    assert number(product=product.id, lacks_mandate=True) == 1
    assert count_by(ContractsView(company=elsewhere.company_id), Axis.PRODUCT) == {product.id: Figure(1)}
