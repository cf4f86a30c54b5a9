"""DISPATCH: one shipment for each consignment, once, and only of what a person has prepared or decided about."""

from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from sqlalchemy import text

from tests import factories
from tests.conftest import NOW, Cast
from tests.queries import recorded_statements
from tests.services.fulfilment.packing import (
    ADDRESS,
    add_line,
    dispatch,
    lines,
    make_batch,
    open_account,
    pack,
    parcels,
    shipments,
)
from webapp import clock, queue
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.carriers import Carrier, ShippingSettings
from webapp.models.fulfilment import (
    BatchStatus,
    BatchTotal,
    BatchWork,
    FulfilmentBatch,
    LineFlag,
    LineStatus,
    ParcelStatus,
    TotalKind,
)
from webapp.services.fulfilment import batches, dispatching
from webapp.services.fulfilment.dispatching import AlreadyDispatchedError, NotReadyError, Unprepared


def ask(batch: FulfilmentBatch, cast: Cast, **values: object) -> FulfilmentBatch:
    return dispatching.ask(batch.id, by=cast.manager, at=clock.now(), **values)  # type: ignore[arg-type]


def test_each_consignment_becomes_one_shipment_with_one_parcel(cast: Cast) -> None:
    account, batch = open_account(), make_batch(12)
    client = factories.ClientFactory()
    pair = [add_line(batch, 1, client_id=client.id, label=label) for label in ("Café", "Thé")]
    other = add_line(batch, 2)
    made = dispatch(batch, cast.manager)
    assert [(each.consignment, each.client_id, each.address) for each in made] == [
        ("L000012-0001", client.id, ADDRESS),
        ("L000012-0002", other.client_id, ADDRESS),
    ]
    assert [line.shipment_id for line in lines()] == [made[0].id, made[0].id, made[1].id]
    assert {line.status for line in (*pair, other)} == {LineStatus.PREPARED}
    assert [(each.shipment_id, each.status, each.account_id, each.key) for each in parcels()] == [
        (shipment.id, ParcelStatus.TO_LABEL, account.id, str(parcel.id))
        for shipment, parcel in zip(made, parcels(), strict=True)
    ]
    batch = batches.find_batch(batch.id)
    assert (batch.status, batch.dispatched_by_id, batch.work) == (BatchStatus.DISPATCHED, cast.manager.id, None)
    assert batch.dispatched_at is not None


def test_a_parcel_weighs_its_things_and_its_packaging(cast: Cast) -> None:
    open_account()
    db.session.add(
        ShippingSettings(company_id=factories.default_company().id, packaging_weight_g=80, item_weight_g=300)
    )
    batch = make_batch()
    product = factories.ProductFactory(weight_g=250)
    line = add_line(batch, 1, product_id=product.id, quantity=Decimal("2.5"))
    add_line(batch, 1, client_id=line.client_id, quantity=Decimal(2))
    dispatch(batch, cast.manager)
    assert [parcel.weight_g for parcel in parcels()] == [80 + 625 + 600]


def test_what_is_above_thirty_kilograms_is_named_and_nothing_leaves(cast: Cast) -> None:
    open_account()
    batch = make_batch(7)
    product = factories.ProductFactory(weight_g=10_000)
    for number in range(1, 6):
        add_line(batch, number, product_id=product.id, quantity=Decimal(3 if number > 1 else 2))
    with pytest.raises(NotReadyError, match=r"L000007-0002 .30,1.kg., L000007-0003 .*, L000007-0004 .* et 1 autres"):
        ask(batch, cast)
    assert shipments() == []


def test_without_a_carrier_parcels_are_ready_at_once(cast: Cast) -> None:
    (shipment,) = dispatch(pack(), cast.manager)
    assert shipment.status is ParcelStatus.LABELLED
    assert [(each.status, each.next_attempt_at) for each in parcels()] == [(ParcelStatus.LABELLED, None)]
    assert shipment.account is not None
    assert shipment.account.carrier is Carrier.NONE


def test_a_carrier_of_another_company_is_refused(cast: Cast) -> None:
    theirs = open_account()
    theirs.company_id = factories.CompanyFactory(name="Autre").id
    db.session.commit()
    batch = pack()
    with pytest.raises(InvalidInputError, match="compte actif de cette société"):
        ask(batch, cast, account_id=theirs.id)
    with pytest.raises(NotFoundError):
        ask(batch, cast, account_id=uuid4())


def test_what_is_not_prepared_is_refused_until_somebody_says_what_becomes_of_it(cast: Cast) -> None:
    batch = pack(1)
    add_line(batch, 2, status=LineStatus.TO_PREPARE)
    db.session.commit()
    with pytest.raises(NotReadyError, match="1 ligne n’est pas préparée") as refusal:
        ask(batch, cast)
    assert refusal.value.field == "unprepared"
    with pytest.raises(InvalidInputError) as nameless:
        ask(batch, cast, unprepared=Unprepared.SET_ASIDE)
    assert nameless.value.field == "reason"


def test_what_is_not_prepared_can_be_set_aside(cast: Cast) -> None:
    batch = pack(1)
    late = add_line(batch, 2, status=LineStatus.TO_PREPARE, box_key="c" * 32, pick_key="c" * 32)
    made = dispatch(batch, cast.manager, unprepared=Unprepared.SET_ASIDE, reason="Rupture de stock")
    assert [each.consignment_no for each in made] == [1]
    db.session.refresh(late)
    assert (late.status, late.reason, late.decided_by_id, late.shipment_id) == (
        LineStatus.SET_ASIDE,
        "Rupture de stock",
        cast.manager.id,
        None,
    )
    picking = db.session.query(BatchTotal).filter_by(kind=TotalKind.PICKING)
    assert [total.key for total in picking] == ["a" * 32]


def test_what_is_not_prepared_can_wait_for_the_next_batch(cast: Cast) -> None:
    batch = pack(1)
    late = add_line(batch, 2, status=LineStatus.TO_PREPARE)
    dispatch(batch, cast.manager, unprepared=Unprepared.CARRY_OVER, reason="Rupture de stock")
    db.session.refresh(late)
    assert late.status is LineStatus.CARRIED_OVER
    (waiting,) = [line for line in lines() if line.batch_id != batch.id]
    assert (waiting.status, waiting.charge_id, waiting.position, waiting.snapshot_at) == (
        LineStatus.PENDING,
        late.charge_id,
        0,
        None,
    )
    assert batches.find_batch(waiting.batch_id).status is BatchStatus.OPEN


def test_a_flagged_line_waits_for_a_person(cast: Cast) -> None:
    batch = make_batch()
    line = add_line(batch, 1, flag=LineFlag.REFUNDED)
    db.session.commit()
    with pytest.raises(NotReadyError, match="1 ligne signalée attend une décision"):
        ask(batch, cast)
    line.ships_anyway_at = clock.now()
    db.session.commit()
    assert len(dispatch(batch, cast.manager)) == 1


def test_a_batch_of_which_nothing_is_left_is_dispatched_all_the_same(cast: Cast) -> None:
    batch = make_batch()
    add_line(batch, 1, status=LineStatus.SET_ASIDE)
    assert dispatch(batch, cast.manager) == []
    assert batches.find_batch(batch.id).status is BatchStatus.DISPATCHED


def test_an_open_batch_is_refused(cast: Cast) -> None:
    with pytest.raises(batches.BatchStateError, match="encore ouvert"):
        ask(make_batch(status=BatchStatus.OPEN), cast)


def test_who_was_first_is_named(cast: Cast) -> None:
    batch = pack()
    dispatch(batch, cast.manager)
    name = cast.manager.full_name
    with pytest.raises(AlreadyDispatchedError, match=f"Déjà expédié par {name} le 20/11/2026 à 10:00"):
        ask(batch, cast)


def test_asked_and_carried_out_twice_it_is_done_once(cast: Cast) -> None:
    batch = pack(3)
    ask(batch, cast)
    ask(batch, cast)
    for _ in range(2):
        dispatching.carry_out(batch.organisation_id, batch.id, at=clock.now())
    assert len(shipments()) == len(parcels()) == 3


def test_what_changes_meanwhile_stops_it_with_a_sentence(cast: Cast) -> None:
    batch = pack(2)
    ask(batch, cast)
    lines()[0].flag = LineFlag.REJECTED
    db.session.commit()
    dispatching.carry_out(batch.organisation_id, batch.id, at=clock.now())
    batch = batches.find_batch(batch.id)
    assert (batch.status, batch.work, shipments()) == (BatchStatus.LOCKED, None, [])
    assert batch.work_error is not None
    assert batch.work_error.startswith("1 ligne signalée attend une décision")


def test_a_lost_bell_is_rung_again(cast: Cast) -> None:
    batch = pack()
    ask(batch, cast)
    queue.queue("fulfilment").empty()
    assert dispatching.sweep(at=NOW) == 0
    assert dispatching.sweep(at=clock.now() + timedelta(minutes=2)) == 1
    assert [job.func_name for job in queue.queue("fulfilment").jobs] == [dispatching.JOB]
    assert batches.find_batch(batch.id).work is BatchWork.DISPATCH


def test_the_number_of_statements_does_not_grow(cast: Cast) -> None:
    counts = []
    for number, boxes in ((1, 2), (2, 40)):
        batch = pack(boxes, number=number)
        ask(batch, cast)
        with recorded_statements() as statements:
            dispatching.carry_out(batch.organisation_id, batch.id, at=clock.now())
        counts.append(len(statements))
    assert counts[0] == counts[1]


def test_ids_are_of_the_version_that_arrives_in_order(cast: Cast) -> None:
    dispatch(pack(30), cast.manager)
    versions = db.session.scalars(text("SELECT DISTINCT substring(id::text FROM 15 FOR 1) FROM shipments")).all()
    assert versions == ["7"]
