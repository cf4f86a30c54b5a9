"""Folding tallies: fewer rows, the same figures."""

from datetime import UTC, datetime
from decimal import Decimal

from sqlalchemy import delete, func, select

from tests.conftest import Cast
from tests.factories import ClientFactory, ContractFactory
from webapp.extensions import db
from webapp.models.contracts import Contract
from webapp.models.tallies import ClientTally, ContractTally
from webapp.services.contracts.counting import Axis, count_by
from webapp.services.contracts.selection import ContractsView
from webapp.services.figures import tallies
from webapp.services.figures.portfolio import count_portfolios

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def rows(table: type[ContractTally] | type[ClientTally]) -> int:
    return db.session.scalars(select(func.count()).select_from(table)).one()


def make_some(cast: Cast) -> None:
    for amount in (1, 2, 3):
        client = ClientFactory(commercial_id=cast.sales_rep.id)
        ContractFactory(client_id=client.id, commercial_id=cast.sales_rep.id, amount=Decimal(amount), signed_at=NOW)


def test_folding_changes_no_figure(cast: Cast) -> None:
    make_some(cast)
    before = count_by(ContractsView(), Axis.COMMERCIAL), count_portfolios()
    assert tallies.fold_all(at=NOW) == 6
    assert (rows(ContractTally), rows(ClientTally)) == (2, 1)
    assert (count_by(ContractsView(), Axis.COMMERCIAL), count_portfolios()) == before
    assert tallies.fold_all(at=NOW) == 0


def test_what_came_and_went_leaves_no_row(cast: Cast) -> None:
    make_some(cast)
    db.session.execute(delete(Contract))
    tallies.fold(cast.organisation.id)
    assert rows(ContractTally) == 0


def test_one_organisation_is_folded_without_the_other(cast: Cast) -> None:
    make_some(cast)
    assert tallies.fold(cast.other_organisation.id) == 0
    assert rows(ContractTally) == 6


def test_counting_anew_gives_the_same(cast: Cast) -> None:
    make_some(cast)
    before = count_by(ContractsView(), Axis.MONTH)
    db.session.execute(delete(ContractTally))
    tallies.rebuild(cast.organisation.id)
    assert count_by(ContractsView(), Axis.MONTH) == before
