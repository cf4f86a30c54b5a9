"""Hand-over and completion: lines are shipped once, clients' timelines tell so, and what is left is not forgotten."""

import pytest
from sqlalchemy import select

from tests.conftest import Cast
from tests.services.fulfilment.packing import add_line, dispatch, lines, make_batch, pack, parcels, shipments
from webapp import clock
from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.fulfilment import BatchStatus, LineStatus, ParcelStatus
from webapp.models.shipping import ShipmentEvent, ShipmentEventKind
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.fulfilment import batches, completing, handing_over
from webapp.services.fulfilment import shipments as deciding
from webapp.services.fulfilment.dispatching import NotReadyError


def hand_over(cast: Cast, batch_id: object, **values: object) -> int:
    return handing_over.hand_over(batch_id, by=cast.manager, at=clock.now(), **values)  # type: ignore[arg-type]


def test_all_that_is_ready_is_handed_over_and_told(cast: Cast) -> None:
    batch = make_batch(12)
    line = add_line(batch, 347)
    add_line(batch, 347, client_id=line.client_id)
    add_line(batch, 12345)
    dispatch(batch, cast.manager)
    first, _ = shipments()
    deciding.write_number(first.id, "6a 12345678901", by=cast.manager, at=clock.now())
    assert hand_over(cast, batch.id) == 2
    assert {each.status for each in lines()} == {LineStatus.SHIPPED}
    assert {each.status for each in (*shipments(), *parcels())} == {ParcelStatus.HANDED_OVER}
    assert {each.handed_over_at for each in shipments()} != {None}
    told = db.session.scalars(
        select(TimelineEvent).where(TimelineEvent.kind == EventKind.SHIPMENT_HANDED_OVER).order_by(TimelineEvent.id)
    ).all()
    assert sorted((each.changes["shipment"][1], each.changes.get("tracking_number")) for each in told) == [
        ("L000012-0347", [None, "6A12345678901"]),
        ("L000012-12345", None),
    ]
    assert {each.client_id for each in told} == {each.client_id for each in lines()}
    assert {each.user_id for each in told} == {cast.manager.id}
    history = db.session.scalars(select(ShipmentEvent).where(ShipmentEvent.kind == ShipmentEventKind.HANDED_OVER)).all()
    assert {each.shipment_id for each in history} == {each.id for each in shipments()}


def test_a_selection_is_handed_over_alone(cast: Cast) -> None:
    batch = pack(3)
    made = dispatch(batch, cast.manager)
    assert hand_over(cast, batch.id, shipment_ids=[made[1].id]) == 1
    assert [each.status for each in shipments()] == [
        ParcelStatus.LABELLED,
        ParcelStatus.HANDED_OVER,
        ParcelStatus.LABELLED,
    ]
    assert sorted(each.status for each in lines()) == [LineStatus.PREPARED, LineStatus.PREPARED, LineStatus.SHIPPED]


def test_what_is_not_ready_is_not_handed_over(cast: Cast) -> None:
    batch = pack(2)
    made = dispatch(batch, cast.manager)
    hand_over(cast, batch.id, shipment_ids=[made[0].id])
    with pytest.raises(NotReadyError, match=r"1 expédition choisie n’est pas prête.*rien n’a été remis"):
        hand_over(cast, batch.id, shipment_ids=[each.id for each in made])
    assert shipments()[1].status is ParcelStatus.LABELLED
    assert hand_over(cast, batch.id) == 1
    with pytest.raises(NotReadyError, match="Aucune expédition"):
        hand_over(cast, batch.id)
    with pytest.raises(NotReadyError, match="Aucune expédition"):
        hand_over(cast, batch.id, shipment_ids=[])


def test_only_a_dispatched_batch_is_handed_over(cast: Cast) -> None:
    with pytest.raises(batches.BatchStateError, match="Verrouillé"):
        hand_over(cast, pack().id)
    with pytest.raises(NotFoundError):
        hand_over(cast, new_id())


def test_shipments_of_another_batch_are_not_touched(cast: Cast) -> None:
    one, two = pack(1, number=1), pack(1, number=2)
    dispatch(one, cast.manager)
    made = dispatch(two, cast.manager)
    with pytest.raises(NotReadyError):
        hand_over(cast, one.id, shipment_ids=[each.id for each in made if each.batch_id == two.id])
    hand_over(cast, one.id)
    assert [each.status for each in shipments() if each.batch_id == two.id] == [ParcelStatus.LABELLED]


def test_a_batch_is_complete_once_nothing_is_left(cast: Cast) -> None:
    batch = pack(3)
    add_line(batch, 4, status=LineStatus.SET_ASIDE)
    made = dispatch(batch, cast.manager)
    with pytest.raises(NotReadyError, match="3 lignes ne sont pas encore expédiées"):
        completing.complete(batch.id, by=cast.manager, at=clock.now())
    hand_over(cast, batch.id, shipment_ids=[each.id for each in made[:2]])
    with pytest.raises(NotReadyError, match="1 ligne n’est pas encore expédiée"):
        completing.complete(batch.id, by=cast.manager, at=clock.now())
    deciding.cancel(made[2].id, reason="Adresse introuvable", by=cast.manager, at=clock.now())
    done = completing.complete(batch.id, by=cast.manager, at=clock.now())
    assert (done.status, done.completed_by_id) == (BatchStatus.COMPLETED, cast.manager.id)
    name = cast.manager.full_name
    with pytest.raises(batches.BatchStateError, match=f"Déjà terminé par {name} le 20/11/2026 à 10:00"):
        completing.complete(batch.id, by=cast.manager, at=clock.now())


def test_a_batch_that_is_not_dispatched_is_not_complete(cast: Cast) -> None:
    with pytest.raises(batches.BatchStateError, match="pas encore expédié"):
        completing.complete(pack().id, by=cast.manager, at=clock.now())
