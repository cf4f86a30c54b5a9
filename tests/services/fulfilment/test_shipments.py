"""What people decide about one shipment, in every state that it can be in."""

from datetime import timedelta
from typing import Any

import pytest

from demo.carrier import Carrier as Pretend
from tests.conftest import Cast
from tests.services.fulfilment.carrying import pretend as pretend  # noqa: PLC0414  the fixture
from tests.services.fulfilment.packing import ADDRESS, dispatch, lines, open_account, pack, parcels, shipments
from webapp import clock
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.fulfilment import LineStatus, ParcelStatus, Shipment
from webapp.models.shipping import ShipmentEventKind
from webapp.services.fulfilment import labelling
from webapp.services.fulfilment import shipments as deciding
from webapp.services.fulfilment.shipments import ShipmentAction, ShipmentStateError

CORRECT, RELABEL, NUMBER, STATUS, CANCEL = ShipmentAction


def label(shipment: Shipment) -> None:
    assert shipment.account_id is not None
    labelling.carry_out(shipment.organisation_id, shipment.account_id)


def one(cast: Cast, mode: str = "", pretend: Pretend | None = None) -> Shipment:
    """A dispatched shipment; with a carrier that behaves so, its label was asked for."""
    if pretend is None:
        return dispatch(pack(), cast.manager)[0]
    open_account()
    dispatch(pack(), cast.manager)
    if mode:
        pretend.order({"mode": mode, "times": 1})
        label(shipments()[0])
    return shipments()[0]


def stand(shipment: Shipment, status: ParcelStatus, *, waits: bool = False) -> None:
    for parcel in parcels():
        parcel.status, parcel.next_attempt_at = status, clock.now() if waits else None
    shipment.status = status
    db.session.commit()


@pytest.mark.parametrize(
    ("status", "with_carrier", "without"),
    [
        (ParcelStatus.TO_LABEL, {CORRECT, CANCEL}, {CORRECT, CANCEL}),
        (ParcelStatus.SENDING, set(), set()),
        (ParcelStatus.UNKNOWN, {RELABEL, NUMBER, CANCEL}, {RELABEL, NUMBER, CANCEL}),
        (ParcelStatus.REFUSED, {CORRECT, RELABEL, NUMBER, CANCEL}, {CORRECT, RELABEL, NUMBER, CANCEL}),
        (ParcelStatus.LABELLED, {CANCEL}, {CORRECT, NUMBER, CANCEL}),
        (ParcelStatus.HANDED_OVER, {STATUS}, {NUMBER, STATUS}),
        (ParcelStatus.IN_TRANSIT, {STATUS}, {NUMBER, STATUS}),
        (ParcelStatus.DELIVERED, set(), set()),
        (ParcelStatus.RETURNED, set(), set()),
        (ParcelStatus.LOST, set(), set()),
        (ParcelStatus.CANCELED, set(), set()),
    ],
)
def test_only_what_the_state_allows_is_offered_and_done(
    cast: Cast, status: ParcelStatus, with_carrier: set[ShipmentAction], without: set[ShipmentAction]
) -> None:
    open_account()
    called = dispatch(pack(), cast.manager)[0]
    stand(called, status)
    assert set(deciding.actions_of(deciding.find_shipment(called.id))) == with_carrier
    called.account.is_active = True  # type: ignore[union-attr]
    refused = set(ShipmentAction) - with_carrier
    by_at: dict[str, Any] = {"by": cast.manager, "at": clock.now()}
    commands = {
        CORRECT: lambda: deciding.correct_address(called.id, {**ADDRESS, "city": "Roubaix"}, **by_at),
        RELABEL: lambda: deciding.relabel(called.id, **by_at),
        NUMBER: lambda: deciding.write_number(called.id, "ABC12345", **by_at),
        STATUS: lambda: deciding.write_status(called.id, ParcelStatus.DELIVERED, **by_at),
        CANCEL: lambda: deciding.cancel(called.id, reason="x", **by_at),
    }
    for action in refused:
        with pytest.raises(ShipmentStateError):
            commands[action]()
    called.account.carrier = "none"  # type: ignore[union-attr, assignment]
    db.session.commit()
    assert set(deciding.actions_of(deciding.find_shipment(called.id))) == without


def test_while_the_carrier_is_asked_again_no_person_is(cast: Cast) -> None:
    shipment = one(cast)
    stand(shipment, ParcelStatus.UNKNOWN, waits=True)
    assert RELABEL not in deciding.actions_of(deciding.find_shipment(shipment.id))


def test_a_corrected_address_has_the_label_asked_for_again(cast: Cast, pretend: Pretend) -> None:
    shipment = one(cast, "refuse", pretend)
    (parcel,) = parcels()
    key = parcel.key
    assert (shipment.status, parcel.status) == (ParcelStatus.REFUSED, ParcelStatus.REFUSED)
    written = {**ADDRESS, "line1": " 14  rue des Lilas ", "phone": "06 12 34 56 78", "company": ""}
    deciding.correct_address(shipment.id, written, by=cast.manager, at=clock.now())
    assert shipments()[0].address == {**ADDRESS, "line1": "14 rue des Lilas", "phone": "+33612345678"}
    (event,) = deciding.list_events(shipment.id)
    assert (event.kind, event.changes) == (
        ShipmentEventKind.ADDRESS_CORRECTED,
        {"line1": ["12 bis rue des Lilas", "14 rue des Lilas"], "phone": [None, "+33612345678"]},
    )
    assert lines()[0].address_snapshot == ADDRESS, "what the lock has frozen stays"
    label(shipment)
    (parcel,) = parcels()
    assert (parcel.status, parcel.key == key) == (ParcelStatus.LABELLED, False)
    assert [each["asked"]["recipient"]["lines"] for each in pretend.labels.values()] == [["14 rue des Lilas"]]


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"recipient": " "}, "recipient"),
        ({"line1": "\0"}, "line1"),
        ({"city": "x" * 101}, "city"),
        ({"line2": "x" * 201}, "line2"),
        ({"postcode": "123"}, "postcode"),
        ({"country": "France"}, "country"),
        ({"phone": "12"}, "phone"),
        ({}, "line1"),
    ],
)
def test_an_address_that_cannot_be_is_refused_at_its_field(cast: Cast, changed: dict[str, str], field: str) -> None:
    shipment = one(cast)
    with pytest.raises(InvalidInputError) as refusal:
        deciding.correct_address(shipment.id, {**ADDRESS, **changed}, by=cast.manager, at=clock.now())
    assert refusal.value.field == field
    assert shipments()[0].address == ADDRESS


def test_a_label_of_which_nobody_knows_is_made_again_under_a_new_key(cast: Cast, pretend: Pretend) -> None:
    shipment = one(cast, "error", pretend)
    clock.start_at(clock.now() + timedelta(days=31))
    label(shipment)
    (parcel,) = parcels()
    assert (parcel.status, parcel.error) == (ParcelStatus.UNKNOWN, labelling.FOR_A_PERSON)
    key = parcel.key
    deciding.relabel(shipment.id, by=cast.manager, at=clock.now())
    label(shipment)
    (parcel,) = parcels()
    assert (parcel.status, parcel.key == key, len(pretend.labels)) == (ParcelStatus.LABELLED, False, 1)
    assert [each.kind for each in deciding.list_events(shipment.id)] == [ShipmentEventKind.LABEL_ASKED_AGAIN]


def test_a_number_that_was_found_at_the_carriers_settles_it(cast: Cast) -> None:
    shipment = one(cast)
    stand(shipment, ParcelStatus.UNKNOWN)
    deciding.write_number(shipment.id, "8r 123-456.789", by=cast.manager, at=clock.now())
    assert [(each.status, each.tracking_number) for each in parcels()] == [(ParcelStatus.LABELLED, "8R123456789")]
    assert shipments()[0].status is ParcelStatus.LABELLED


@pytest.mark.parametrize("number", ["", "1234", "x" * 36, "12345é", "=1+1", "\0\0\0\0\0", "12345\ud800"])
def test_what_is_no_number_is_refused(cast: Cast, number: str) -> None:
    shipment = one(cast)
    with pytest.raises(InvalidInputError) as refusal:
        deciding.write_number(shipment.id, number, by=cast.manager, at=clock.now())
    assert refusal.value.field == "number"


def test_two_parcels_do_not_share_a_number(cast: Cast) -> None:
    first, second = dispatch(pack(2), cast.manager)
    deciding.write_number(first.id, "ABC12345", by=cast.manager, at=clock.now())
    with pytest.raises(InvalidInputError, match="Un autre colis"):
        deciding.write_number(second.id, "abc 12345", by=cast.manager, at=clock.now())
    deciding.write_number(first.id, "ABC12345", by=cast.manager, at=clock.now())


def test_a_state_is_written_by_hand_and_nothing_goes_back(cast: Cast) -> None:
    shipment = one(cast)
    stand(shipment, ParcelStatus.HANDED_OVER)
    deciding.write_status(shipment.id, ParcelStatus.IN_TRANSIT, by=cast.manager, at=clock.now())
    with pytest.raises(ShipmentStateError, match="déjà"):
        deciding.write_status(shipment.id, ParcelStatus.IN_TRANSIT, by=cast.manager, at=clock.now())
    with pytest.raises(InvalidInputError):
        deciding.write_status(shipment.id, ParcelStatus.LABELLED, by=cast.manager, at=clock.now())
    deciding.write_status(shipment.id, ParcelStatus.DELIVERED, by=cast.manager, at=clock.now())
    assert [each.status for each in (*shipments(), *parcels())] == [ParcelStatus.DELIVERED] * 2


def test_a_canceled_shipment_sets_its_lines_aside_and_calls_its_label_off(cast: Cast, pretend: Pretend) -> None:
    shipment = one(cast, "ok", pretend)
    deciding.cancel(shipment.id, reason="Cliente absente", by=cast.manager, at=clock.now())
    (line,) = lines()
    assert (line.status, line.reason, line.shipment_id) == (LineStatus.SET_ASIDE, "Cliente absente", None)
    assert [each.status for each in (*shipments(), *parcels())] == [ParcelStatus.CANCELED] * 2
    label(shipment)
    assert [each["canceled"] for each in pretend.labels.values()] == [True]
    assert [(each.status, each.next_attempt_at, each.error) for each in parcels()] == [
        (ParcelStatus.CANCELED, None, None)
    ]


def test_a_label_that_nobody_knew_of_is_called_off_as_well(cast: Cast, pretend: Pretend) -> None:
    shipment = one(cast, "drop", pretend)
    (parcel,) = parcels()
    pretend.make(parcel.key, {"reference": "x", "recipient": {"name": "x", "postcode": "1", "town": "x"}})
    deciding.cancel(shipment.id, reason="Doublon", by=cast.manager, at=clock.now())
    label(shipment)
    assert [each["canceled"] for each in pretend.labels.values()] == [True]


def test_a_label_that_cannot_be_called_off_is_told(cast: Cast, pretend: Pretend) -> None:
    shipment = one(cast, "ok", pretend)
    pretend.order({"advance": 1})
    deciding.cancel(shipment.id, reason="Trop tard", by=cast.manager, at=clock.now())
    label(shipment)
    (parcel,) = parcels()
    assert parcel.next_attempt_at is None
    assert parcel.error is not None
    assert "Le colis est déjà pris en charge." in parcel.error


def test_what_a_carrier_down_did_not_call_off_is_called_off_later(cast: Cast, pretend: Pretend) -> None:
    shipment = one(cast, "ok", pretend)
    deciding.cancel(shipment.id, reason="Doublon", by=cast.manager, at=clock.now())
    pretend.order({"mode": "down"})
    label(shipment)
    pretend.order({"mode": "ok"})
    clock.start_at(clock.now() + timedelta(minutes=6))
    label(shipment)
    assert [each["canceled"] for each in pretend.labels.values()] == [True]


def test_no_shipment_of_that_id(cast: Cast) -> None:
    with pytest.raises(NotFoundError):
        deciding.relabel(new_id(), by=cast.manager, at=clock.now())
    with pytest.raises(NotFoundError):
        deciding.find_label(new_id())
