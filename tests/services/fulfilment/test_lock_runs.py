"""A lock is asked for, or due, and carried out by a worker: once, after what happened before it was heard of."""

import json
from datetime import datetime, timedelta

import pytest
from flask import Flask

from tests.conftest import Cast
from tests.services.fulfilment.world import CUT_OFF, FulfilmentWorld
from webapp import clock
from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.fulfilment import BatchStatus, BatchWork
from webapp.models.outbox import OutboxDelivery
from webapp.services import outbox
from webapp.services.fulfilment import lock_runs
from webapp.services.fulfilment.batches import BatchStateError
from webapp.services.fulfilment.locking import AlreadyLockedError, EmptyBatchError

AT_ONCE = timedelta(0)


@pytest.fixture
def filled(world: FulfilmentWorld) -> FulfilmentWorld:
    """An open batch with one line."""
    world.subscribe()
    world.charge_all()
    return world


def carry_out(world: FulfilmentWorld) -> object:
    """What a worker does."""
    return lock_runs.carry_out(world.organisation_id, world.batches()[0].id, patience=AT_ONCE)


def test_nothing_is_done_before_the_cut_off_and_unasked(filled: FulfilmentWorld) -> None:
    assert lock_runs.list_due(at=clock.now()) == []
    assert carry_out(filled) is None
    assert filled.open_batch().work is None


def test_the_timetable_locks_what_is_due(filled: FulfilmentWorld) -> None:
    filled.to_cut_off()
    assert lock_runs.list_due(at=clock.now()) == [(filled.organisation_id, filled.open_batch().id)]
    assert lock_runs.ring_due(at=clock.now()) == 1
    assert carry_out(filled) == (1, 0, 0)
    assert carry_out(filled) is None
    assert lock_runs.ring_due(at=clock.now()) == 0


def test_what_happened_before_the_cut_off_is_heard_of_first(filled: FulfilmentWorld) -> None:
    filled.subscribe()
    filled.run()  # paid, and not heard of
    filled.to_cut_off()
    filled.subscribe()
    filled.run()  # paid after the cut-off: for the next one
    lock_runs.carry_out(filled.organisation_id, filled.open_batch().id)
    filled.deliver()
    assert [len(filled.lines(batch)) for batch in filled.batches()] == [2, 1]
    assert [line.is_late for line in filled.lines()] == [False, False, False]


def test_what_fails_to_be_heard_of_holds_up_a_lock_for_so_long_only(
    filled: FulfilmentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled.subscribe()
    filled.run()
    filled.to_cut_off()

    def fail(_: object) -> None:
        raise RuntimeError("broken")

    with monkeypatch.context() as patched:
        patched.setattr("webapp.services.fulfilment.gathering.gather", fail)
        assert carry_out(filled) == (1, 0, 0)
    filled.wait(minutes=5)
    filled.deliver()
    assert [line.is_late for line in filled.lines(filled.batches()[1])] == [True]


def test_a_lock_asks_again_for_what_failed_a_moment_ago(filled: FulfilmentWorld) -> None:
    filled.subscribe()
    filled.run()
    filled.to_cut_off()
    for delivery in db.session.query(OutboxDelivery).filter(OutboxDelivery.delivered_at.is_(None)):
        delivery.next_attempt_at = clock.now() + timedelta(minutes=40)
    db.session.commit()
    lock_runs.carry_out(filled.organisation_id, filled.open_batch().id)
    assert len(filled.lines(filled.batches()[0])) == 2
    waiting = db.session.query(OutboxDelivery).filter(OutboxDelivery.delivered_at.is_(None))
    assert {each.subscriber for each in waiting} == {"webapp.services.message_triggers.subscriptions.welcome"}


def test_a_person_asks_for_a_lock_once(filled: FulfilmentWorld, cast: Cast) -> None:
    batch = filled.open_batch()
    lock_runs.request(batch.id, by=cast.manager, at=clock.now())
    assert (filled.open_batch().work, filled.open_batch().work_by_id) == (BatchWork.LOCK, cast.manager.id)
    with pytest.raises(BatchStateError, match="déjà en cours de verrouillage, demandé à 08:00"):
        lock_runs.request(batch.id, by=cast.admin, at=clock.now())
    filled.wait(seconds=1)
    assert carry_out(filled) == (1, 0, 0)
    assert filled.batches()[0].locked_by_id == cast.manager.id
    with pytest.raises(AlreadyLockedError):
        lock_runs.request(batch.id, by=cast.admin, at=clock.now())


def test_a_lock_of_nothing_is_refused_at_once(filled: FulfilmentWorld, cast: Cast) -> None:
    filled.line().held_reason = "À confirmer"
    with pytest.raises(EmptyBatchError):
        lock_runs.request(filled.open_batch().id, by=cast.manager, at=clock.now())
    with pytest.raises(NotFoundError):
        lock_runs.request(new_id(), by=cast.manager, at=clock.now())


def test_who_asked_is_told_that_the_batch_became_empty(filled: FulfilmentWorld, cast: Cast) -> None:
    lock_runs.request(filled.open_batch().id, by=cast.manager, at=clock.now())
    filled.line().held_reason = "À confirmer"
    assert carry_out(filled) is None
    batch = filled.open_batch()
    assert (batch.work, batch.work_error) == (None, "Ce lot est vide\u202f: il n’y a rien à verrouiller.")


def test_the_cut_off_of_an_empty_batch_moves_on(filled: FulfilmentWorld) -> None:
    filled.reverse(filled.charge())
    filled.deliver()
    filled.to_cut_off()
    assert carry_out(filled) is None
    batch = filled.open_batch()
    assert (batch.cutoff_at, batch.work, batch.work_error) == (CUT_OFF + timedelta(days=7), None, None)


def test_work_whose_bell_was_lost_or_whose_worker_died_is_rung_for_again(filled: FulfilmentWorld, cast: Cast) -> None:
    lock_runs.request(filled.open_batch().id, by=cast.manager, at=clock.now())
    assert lock_runs.sweep(at=clock.now()) == 0
    filled.wait(seconds=31)
    assert lock_runs.sweep(at=clock.now()) == 1
    batch = filled.open_batch()
    batch.lease_until = clock.now() + timedelta(seconds=45)
    db.session.commit()
    assert carry_out(filled) is None  # somebody has it in hand
    assert lock_runs.sweep(at=clock.now()) == 0
    filled.wait(seconds=46)
    assert lock_runs.sweep(at=clock.now()) == 1
    assert carry_out(filled) == (1, 0, 0)


def test_locking_by_the_command_line(filled: FulfilmentWorld, app: Flask) -> None:
    filled.to_cut_off()
    batch_id = filled.open_batch().id
    result = app.test_cli_runner().invoke(args=["fulfilment", "lock-due", "--json"])
    assert json.loads(result.output) == {"locked": 1, "to_prepare": 1, "set_aside": 0, "moved": 0}
    (batch,) = filled.batches()
    assert (batch.id, batch.status) == (batch_id, BatchStatus.LOCKED)
    assert app.test_cli_runner().invoke(args=["fulfilment", "lock-due"]).output == "Lots verrouillés : 0.\n"


@pytest.mark.parametrize(
    ("cut_off", "next_one"),
    [
        ("2026-03-23T12:00+01:00", "2026-03-30T12:00+02:00"),
        ("2026-10-19T12:00+02:00", "2026-10-26T12:00+01:00"),
    ],
)
def test_cut_offs_are_told_by_the_clock_on_the_wall(filled: FulfilmentWorld, cut_off: str, next_one: str) -> None:
    batch = filled.open_batch()
    batch.cutoff_at = datetime.fromisoformat(cut_off)
    filled.line().held_reason = "À confirmer"
    db.session.commit()
    filled.to_cut_off(batch.cutoff_at)
    carry_out(filled)
    assert filled.open_batch().cutoff_at == datetime.fromisoformat(next_one)


def test_the_name_by_which_gathering_is_hurried_is_that_of_its_subscription() -> None:
    assert lock_runs.GATHER == outbox._GATHER
