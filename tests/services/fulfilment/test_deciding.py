"""What a person does with lines, and what the state of a line does not allow."""

from itertools import product

import pytest

from tests.conftest import Cast
from tests.services.fulfilment.test_locking import sums
from tests.services.fulfilment.world import FulfilmentWorld
from webapp import clock, tenancy
from webapp.errors import InvalidInputError, NotFoundError
from webapp.models.base import new_id
from webapp.models.fulfilment import (
    LINE_TRANSITIONS,
    BatchStatus,
    FulfilmentBatch,
    FulfilmentBatchLine,
    LineFlag,
    LineStatus,
    TotalKind,
)
from webapp.services.fulfilment import deciding
from webapp.services.fulfilment.deciding import LEADS_TO, WHILE_LOCKED, Done, LineAction, LineStateError


def act(world: FulfilmentWorld, cast: Cast, action: LineAction, *, number: int = 0, reason: str = "Pourquoi") -> Done:
    """Do something with one line."""
    line = world.lines()[number]
    return deciding.act(line.batch_id, [line.id], action, reason=reason, by=cast.manager, at=clock.now())


@pytest.fixture
def filled(world: FulfilmentWorld) -> FulfilmentWorld:
    """An open batch with two lines, of two clients."""
    world.subscribe()
    world.subscribe()
    world.charge_all()
    return world


@pytest.mark.parametrize(("status", "batch_status"), list(product(LineStatus, BatchStatus)))
def test_no_button_leads_where_the_table_does_not(status: LineStatus, batch_status: BatchStatus) -> None:
    line, batch = FulfilmentBatchLine(status=status), FulfilmentBatch(status=batch_status)
    actions = deciding.actions_of(line, batch)
    assert all(LEADS_TO[action] in LINE_TRANSITIONS[status] for action in actions if action in LEADS_TO)
    if not LINE_TRANSITIONS[status]:
        assert actions == []
    if batch_status is not BatchStatus.LOCKED:
        assert not WHILE_LOCKED & set(actions)


def test_a_line_is_held_until_it_is_released(filled: FulfilmentWorld, cast: Cast) -> None:
    act(filled, cast, LineAction.HOLD, reason=" Adresse à confirmer ")
    line = filled.lines()[0]
    assert (line.held_reason, line.decided_by_id) == ("Adresse à confirmer", cast.manager.id)
    with pytest.raises(LineStateError):
        act(filled, cast, LineAction.HOLD)
    filled.to_cut_off()
    assert filled.lock() == (1, 0, 1)
    act(filled, cast, LineAction.RELEASE)
    assert filled.lines()[0].held_reason is None


@pytest.mark.parametrize("action", [LineAction.HOLD, LineAction.WITHDRAW])
@pytest.mark.parametrize("reason", ["", "  ", "x" * 301])
def test_a_reason_is_asked_for_and_not_too_long(
    filled: FulfilmentWorld, cast: Cast, action: LineAction, reason: str
) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        act(filled, cast, action, reason=reason)
    assert refusal.value.field == "reason"


def test_what_was_set_aside_for_its_address_is_taken_back_once_that_is_complete(
    world: FulfilmentWorld, cast: Cast
) -> None:
    faulty, same = world.subscribe(), world.subscribe()
    client = world.client_of(faulty)
    client.postcode = "99999"
    world.charge_all()
    world.to_cut_off()
    assert world.lock() == (1, 1, 0)
    place = world.states().index(LineStatus.SET_ASIDE)
    with pytest.raises(LineStateError, match="le code postal 99999 n’existe pas"):
        act(world, cast, LineAction.TAKE_BACK, number=place)
    client.postcode = "75011"
    act(world, cast, LineAction.TAKE_BACK, number=place)
    line, other = world.lines()[place], world.lines()[1 - place]
    assert (line.status, line.consignment_no, other.consignment_no) == (LineStatus.TO_PREPARE, 2, 1)
    assert (line.address_snapshot or {})["postcode"] == "75011"
    assert line.snapshot_at != other.snapshot_at
    assert sums(world.batches()[0], TotalKind.BOX) == [(["Coffret découverte × 1 "], 2, 2)]
    assert same.client_id == other.client_id


def test_what_is_taken_back_joins_the_consignment_of_its_client_and_address(world: FulfilmentWorld, cast: Cast) -> None:
    first, second = world.subscribe(), world.subscribe()
    second.client_id = first.client_id
    second.delivery_line1, second.delivery_city, second.delivery_country = "9 quai Sud", "Lille", "FR"
    world.charge_all()
    world.to_cut_off()
    assert world.lock() == (1, 1, 0)
    second.delivery_line1 = second.delivery_city = second.delivery_country = None
    act(world, cast, LineAction.TAKE_BACK, number=world.states().index(LineStatus.SET_ASIDE))
    assert [line.consignment_no for line in world.lines()] == [1, 1]
    assert len({line.box_key for line in world.lines()}) == 1


def test_what_a_person_sets_aside_keeps_its_snapshot(locked: FulfilmentWorld, cast: Cast) -> None:
    before = locked.lines()[0].address_snapshot
    act(locked, cast, LineAction.SET_ASIDE, reason="Carton abîmé")
    line = locked.lines()[0]
    assert (line.status, line.reason) == (LineStatus.SET_ASIDE, "Carton abîmé")
    assert sums(locked.batches()[0], TotalKind.PICKING) == [(["Coffret découverte × 1 "], 1, 1)]
    locked.client_of(locked.charges()[0].subscription).address_line1 = "Ailleurs"
    act(locked, cast, LineAction.TAKE_BACK)
    assert (locked.lines()[0].status, locked.lines()[0].address_snapshot) == (LineStatus.TO_PREPARE, before)
    assert sums(locked.batches()[0], TotalKind.PICKING) == [(["Coffret découverte × 1 "], 2, 2)]


def test_what_is_carried_over_has_a_line_in_the_open_batch(locked: FulfilmentWorld, cast: Cast) -> None:
    with pytest.raises(LineStateError):
        act(locked, cast, LineAction.CARRY_OVER)
    act(locked, cast, LineAction.SET_ASIDE)
    act(locked, cast, LineAction.CARRY_OVER)
    first, second = locked.batches()
    (line,) = locked.lines(second)
    assert (line.charge_id, line.status, line.is_late) == (locked.lines()[0].charge_id, LineStatus.PENDING, False)
    assert locked.lines()[0].status is LineStatus.CARRIED_OVER
    assert first.status is BatchStatus.LOCKED


def test_what_ships_no_more_waits_for_a_person(locked: FulfilmentWorld, cast: Cast) -> None:
    charge = next(each for each in locked.charges() if each.id == locked.lines()[0].charge_id)
    locked.reverse(charge)
    locked.deliver()
    batch = locked.batches()[0]
    assert deciding.actions_of(locked.lines()[0], batch) == [
        LineAction.SET_ASIDE,
        LineAction.SHIP_ANYWAY,
        LineAction.WITHDRAW,
    ]
    act(locked, cast, LineAction.SHIP_ANYWAY)
    assert LineAction.PREPARE in deciding.actions_of(locked.lines()[0], batch)
    act(locked, cast, LineAction.WITHDRAW, reason="Impayé")
    line = locked.lines()[0]
    assert (line.status, line.flag, line.reason) == (LineStatus.WITHDRAWN, LineFlag.REJECTED, "Impayé")


def test_a_selection_leaves_out_what_its_state_does_not_allow(locked: FulfilmentWorld, cast: Cast) -> None:
    act(locked, cast, LineAction.PREPARE)
    ids = [line.id for line in locked.lines()]
    batch_id = locked.batches()[0].id
    assert deciding.act(batch_id, ids, LineAction.PREPARE, by=cast.manager, at=clock.now()) == (1, 1)
    assert {line.prepared_by_id for line in locked.lines()} == {cast.manager.id}
    assert deciding.act(batch_id, ids, LineAction.UNPREPARE, by=cast.manager, at=clock.now()) == (2, 0)
    assert {(line.status, line.prepared_at) for line in locked.lines()} == {(LineStatus.TO_PREPARE, None)}


def test_lines_of_another_batch_or_organisation_are_not_found(locked: FulfilmentWorld, cast: Cast) -> None:
    batch_id, line_id = locked.batches()[0].id, locked.lines()[0].id
    for wrong in ((batch_id, new_id()), (new_id(), line_id)):
        with pytest.raises(NotFoundError):
            deciding.act(wrong[0], [wrong[1]], LineAction.PREPARE, by=cast.manager, at=clock.now())
    with tenancy.organisation(cast.other_organisation.id), pytest.raises(NotFoundError):
        deciding.act(batch_id, [line_id], LineAction.PREPARE, by=cast.outsider, at=clock.now())
    with pytest.raises(InvalidInputError):
        deciding.act(batch_id, [], LineAction.PREPARE, by=cast.manager, at=clock.now())


# ---------------------------------------------------------------------------------------- scan


def scan(world: FulfilmentWorld, cast: Cast, reference: str) -> str:
    """A reader reads."""
    return deciding.scan(world.batches()[0].id, reference, by=cast.manager, at=clock.now())


def test_a_scanned_reference_marks_its_consignment_as_prepared_once(locked: FulfilmentWorld, cast: Cast) -> None:
    assert scan(locked, cast, " l000001-0002\n") == "L000001-0002 est préparé."
    assert sorted(locked.states()) == [LineStatus.PREPARED, LineStatus.TO_PREPARE]
    with pytest.raises(LineStateError, match="Déjà préparé"):
        scan(locked, cast, "L000001-0002")


@pytest.mark.parametrize(
    "reference",
    ["", "L000001-0003", "L000002-0001", "3760123456789", "L2-1\0", "L000001-999999999", "x" * 5000, "\ud800"],
)
def test_what_the_batch_does_not_hold_is_unknown(locked: FulfilmentWorld, cast: Cast, reference: str) -> None:
    with pytest.raises(InvalidInputError, match="Référence inconnue dans ce lot") as refusal:
        scan(locked, cast, reference)
    assert refusal.value.field == "reference"


def test_what_is_flagged_is_not_prepared_before_a_person_has_decided(locked: FulfilmentWorld, cast: Cast) -> None:
    locked.lines()[0].flag = LineFlag.REFUNDED
    with pytest.raises(LineStateError, match="n’est plus payé"):
        scan(locked, cast, f"L000001-000{locked.lines()[0].consignment_no}")
