"""« Contrats par commercial »: what counts, for whom, and when."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.conftest import Cast
from tests.factories import ClientFactory, CommercialFactory, ContractFactory
from webapp.extensions import db
from webapp.models.contracts import Contract, ContractStatus
from webapp.services.contracts.listing import list_contracts
from webapp.services.figures.kpi import Kpi, Row, contracts_per_commercial
from webapp.services.figures.period import Period
from webapp.services.figures.scope import figures_scope

NOVEMBER = Period.around(date(2026, 11, 20))


def sign(cast: Cast, day: int | None = 5, **values: Any) -> Contract:
    signed_at = datetime(2026, 11, day, 12, tzinfo=UTC) if day else None
    values = {"commercial_id": cast.sales_rep.id, "signed_at": signed_at, **values}
    contract: Contract = ContractFactory(client_id=ClientFactory(commercial_id=cast.sales_rep.id).id, **values)
    return contract


LATER = date(2026, 12, 1)


def row_of(kpi: Kpi, cast: Cast) -> Row:
    return next(row for row in kpi.rows if row.commercial_id == cast.sales_rep.id)


def november(cast: Cast) -> Kpi:
    return contracts_per_commercial(figures_scope(cast.admin), NOVEMBER, today=LATER)


@pytest.mark.parametrize(
    ("status", "counts"),
    [
        (ContractStatus.DRAFT, 0),
        (ContractStatus.PENDING, 1),
        (ContractStatus.ACTIVE, 1),
        (ContractStatus.CANCELED, 0),
        (ContractStatus.TERMINATED, 1),
    ],
)
def test_every_status_counts_but_draft_and_canceled(cast: Cast, status: ContractStatus, counts: int) -> None:
    sign(cast, status=status)
    assert row_of(november(cast), cast).signed.contracts == counts


def test_a_client_handed_over_changes_the_portfolio_and_nothing_in_the_past(cast: Cast) -> None:
    contract = sign(cast)
    heir = CommercialFactory()
    contract.client.commercial_id = heir.id
    db.session.flush()
    rows = {row.commercial_id: row for row in november(cast).rows}
    assert (rows[cast.sales_rep.id].signed.contracts, rows[cast.sales_rep.id].portfolio.clients) == (1, 0)
    assert (rows[heir.id].signed.contracts, rows[heir.id].portfolio.clients) == (0, 1)


def test_what_has_no_date_or_no_commercial_is_shown_apart(cast: Cast) -> None:
    sign(cast, day=None)
    sign(cast, commercial_id=None)
    kpi = november(cast)
    assert (row_of(kpi, cast).signed.contracts, row_of(kpi, cast).undated.contracts) == (0, 1)
    assert (kpi.rows[-1].name, kpi.rows[-1].signed.contracts) == ("Sans commercial", 1)


def test_a_period_that_is_still_running_is_compared_with_as_many_days(cast: Cast) -> None:
    sign(cast, signed_at=datetime(2026, 11, 2, 12, tzinfo=UTC))
    for day in (1, 20, 21, 31):
        sign(cast, signed_at=datetime(2026, 10, day, 12, tzinfo=UTC))
    kpi = contracts_per_commercial(figures_scope(cast.admin), NOVEMBER, today=date(2026, 11, 20))
    assert (kpi.before.contracts, kpi.compared.until) == (2, date(2026, 10, 20))
    assert kpi.change == row_of(kpi, cast).change == Decimal("-0.5")
    assert list_contracts(kpi.before.view, exact=True).total.number == 2


def test_a_period_is_compared_with_the_one_before(cast: Cast) -> None:
    for _ in range(3):
        sign(cast)
    sign(cast, signed_at=datetime(2026, 10, 31, 12, tzinfo=UTC))
    kpi = november(cast)
    assert row_of(kpi, cast).before.contracts == 1
    assert kpi.change == row_of(kpi, cast).change == Decimal(2)


def test_a_change_since_nothing_is_no_number(cast: Cast) -> None:
    sign(cast)
    assert november(cast).change is None


def test_a_commercial_who_left_is_shown_while_there_is_something_to_show(cast: Cast) -> None:
    gone = CommercialFactory(is_active=False)
    assert gone.id not in {row.commercial_id for row in november(cast).rows}
    sign(cast, commercial_id=gone.id)
    assert gone.id in {row.commercial_id for row in november(cast).rows}


def test_a_commercial_sees_one_row_a_manager_the_team(cast: Cast) -> None:
    sign(cast)
    mate = CommercialFactory(team_id=cast.sales_rep.team_id)
    sign(cast, commercial_id=mate.id)
    sign(cast, commercial_id=CommercialFactory().id)
    own = contracts_per_commercial(figures_scope(cast.commercial), NOVEMBER, today=LATER)
    team = contracts_per_commercial(figures_scope(cast.manager), NOVEMBER, today=LATER)
    assert [row.commercial_id for row in own.rows] == [cast.sales_rep.id]
    assert {row.commercial_id for row in team.rows} == {cast.sales_rep.id, mate.id}
    assert (own.signed.contracts, team.signed.contracts, november(cast).signed.contracts) == (1, 2, 3)
