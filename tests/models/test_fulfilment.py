"""What the tables of fulfilment hold together by themselves."""

from itertools import product
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from tests import factories
from tests.conftest import Cast
from tests.services.fulfilment.packing import ADDRESS, make_batch
from webapp import clock
from webapp.extensions import db
from webapp.models.fulfilment import (
    BATCH_TRANSITIONS,
    LINE_TRANSITIONS,
    LIVE_LINES,
    PARCEL_TRANSITIONS,
    BatchStatus,
    FulfilmentBatch,
    FulfilmentBatchLine,
    LineStatus,
    ParcelStatus,
    consignment_code,
)


def make_line(batch: FulfilmentBatch, *, position: int = 0, charge_id: UUID | None = None, **values: Any) -> Any:
    client = factories.ClientFactory()
    subscription = factories.SubscriptionFactory(client_id=client.id)
    charge = factories.ChargeFactory(subscription_id=subscription.id, client_id=client.id)
    line = FulfilmentBatchLine(
        batch_id=batch.id,
        charge_id=charge_id or charge.id,
        position=position,
        subscription_id=subscription.id,
        cycle_no=0,
        client_id=client.id,
        label="Café",
        charged_at=clock.now(),
        **values,
    )
    db.session.add(line)
    db.session.flush()
    return line


def make_frozen_line(batch: FulfilmentBatch, **values: Any) -> FulfilmentBatchLine:
    line: FulfilmentBatchLine = make_line(
        batch,
        status=LineStatus.TO_PREPARE,
        consignment_no=1,
        address_snapshot=ADDRESS,
        preference_snapshot={},
        snapshot_at=clock.now(),
        **values,
    )
    return line


def refused(statement: str) -> None:
    with pytest.raises(DBAPIError, match="is refused"), db.session.begin_nested():
        db.session.execute(text(statement))


@pytest.mark.parametrize("table", [BATCH_TRANSITIONS, LINE_TRANSITIONS, PARCEL_TRANSITIONS])
def test_every_state_has_its_place_in_the_table(table: dict[Any, frozenset[Any]]) -> None:
    states = type(next(iter(table)))
    assert set(table) == set(states)
    assert all(state not in after for state, after in table.items())
    assert all(state.label for state in states)


def test_what_is_final_is_final() -> None:
    assert {status for status, after in LINE_TRANSITIONS.items() if not after} == {
        LineStatus.SHIPPED,
        LineStatus.CARRIED_OVER,
        LineStatus.WITHDRAWN,
    }
    assert {status for status, after in PARCEL_TRANSITIONS.items() if not after} == {
        ParcelStatus.DELIVERED,
        ParcelStatus.RETURNED,
        ParcelStatus.LOST,
        ParcelStatus.CANCELED,
    }
    before = set(list(ParcelStatus)[: list(ParcelStatus).index(ParcelStatus.HANDED_OVER)])
    assert before == {status for status, after in PARCEL_TRANSITIONS.items() if ParcelStatus.CANCELED in after}


def test_a_line_goes_where_the_table_leads_and_nowhere_else() -> None:
    for old, new in product(LineStatus, LineStatus):
        assert FulfilmentBatchLine(status=old).can_become(new) == (new in LINE_TRANSITIONS[old])


def test_a_consignment_is_called_as_on_its_label() -> None:
    assert consignment_code(12, 347) == "L000012-0347"


@pytest.mark.parametrize(("old", "new"), list(product(BatchStatus, BatchStatus)))
def test_no_batch_goes_back_or_leaves_out_a_state(cast: Cast, old: BatchStatus, new: BatchStatus) -> None:
    make_batch(status=old)
    statement = f"UPDATE fulfilment_batches SET status = '{new}', locked_at = " + (
        "NULL" if new is BatchStatus.OPEN else "now()"
    )
    if new is old or new in BATCH_TRANSITIONS[old]:
        db.session.execute(text(statement))
    else:
        refused(statement)


def test_only_an_open_batch_can_be_deleted(cast: Cast) -> None:
    make_batch(1, BatchStatus.LOCKED)
    make_batch(2, BatchStatus.OPEN)
    refused("DELETE FROM fulfilment_batches WHERE number = 1")
    db.session.execute(text("DELETE FROM fulfilment_batches WHERE number = 2"))


def test_a_company_has_one_open_batch(cast: Cast) -> None:
    make_batch(1, BatchStatus.OPEN)
    with pytest.raises(IntegrityError, match="uq_fulfilment_batches_open"), db.session.begin_nested():
        make_batch(2, BatchStatus.OPEN)


@pytest.mark.parametrize(
    "change",
    [
        "label = 'Thé'",
        "quantity = 2",
        "batch_id = (SELECT id FROM fulfilment_batches WHERE number = 2)",
        "product_id = (SELECT id FROM products)",
        "address_snapshot = '{}'",
        "preference_snapshot = '{\"origine\": {}}'",
        "gift_message = 'Bon anniversaire'",
        "snapshot_at = NULL, status = 'pending'",
        "consignment_no = 2",
    ],
)
def test_what_a_lock_has_frozen_stays(cast: Cast, change: str) -> None:
    factories.ProductFactory()
    make_batch(2, BatchStatus.OPEN)
    make_frozen_line(make_batch(1, BatchStatus.LOCKED))
    refused(f"UPDATE fulfilment_batch_lines SET {change}")
    refused("DELETE FROM fulfilment_batch_lines")
    db.session.execute(text("UPDATE fulfilment_batch_lines SET status = 'prepared', flag = 'refunded'"))


def test_a_line_that_is_not_frozen_yet_may_change_and_go(cast: Cast) -> None:
    make_line(make_batch(status=BatchStatus.OPEN))
    db.session.execute(text("UPDATE fulfilment_batch_lines SET quantity = 2"))
    db.session.execute(text("DELETE FROM fulfilment_batch_lines"))


def test_nothing_is_to_be_prepared_without_its_snapshot(cast: Cast) -> None:
    with pytest.raises(IntegrityError, match="what_leaves_is_frozen"), db.session.begin_nested():
        make_line(make_batch(status=BatchStatus.OPEN), status=LineStatus.TO_PREPARE)


@pytest.mark.parametrize("status", LineStatus)
def test_what_a_charge_ships_has_one_live_line(cast: Cast, status: LineStatus) -> None:
    batch = make_batch(1, BatchStatus.LOCKED)
    first = make_frozen_line(batch, position=0)
    make_line(batch, position=1, charge_id=first.charge_id)
    db.session.execute(
        text("UPDATE fulfilment_batch_lines SET status = :status WHERE position = 0"), {"status": status.value}
    )
    if status in LIVE_LINES:
        with pytest.raises(IntegrityError, match="uq_fulfilment_batch_lines_live"), db.session.begin_nested():
            make_line(batch, position=0, charge_id=first.charge_id)
    else:
        make_line(batch, position=0, charge_id=first.charge_id)
