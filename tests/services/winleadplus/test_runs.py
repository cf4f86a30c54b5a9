"""One run at a time per organisation, owned by one process at a time, always brought to an end."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from tests.conftest import Cast
from webapp import queue, tenancy
from webapp.extensions import db
from webapp.models.runs import RunStatus, RunTrigger
from webapp.models.winleadplus import SyncRun
from webapp.services.leases import LeaseLostError
from webapp.services.winleadplus import runs

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def _start(**values: object) -> tuple:
    return runs.start(trigger=RunTrigger.MANUAL, at=NOON, **values)  # type: ignore[arg-type]


def test_a_second_click_joins_the_running_run(cast: Cast) -> None:
    first, is_new = _start()
    again, is_second_new = _start()
    assert (is_new, is_second_new) == (True, False)
    assert again == first


def test_each_organisation_has_its_own_run(cast: Cast) -> None:
    first, _ = _start()
    with tenancy.organisation(cast.other_organisation.id):
        other, is_new = _start()
    assert is_new
    assert other != first


def test_starting_rings_the_bell_with_ids_only(cast: Cast) -> None:
    run_id, _ = _start(user_token="very-secret-token")
    (job,) = queue.queue("sync").jobs
    assert job.func_name == runs.JOB
    assert job.args == [str(cast.organisation.id), str(run_id)]
    assert "very-secret-token" not in str(job.to_dict())


def test_the_users_token_is_encrypted_at_rest_handed_out_once_and_wiped(cast: Cast) -> None:
    run_id, _ = _start(user_token="very-secret-token")
    stored = db.session.scalar(select(SyncRun.user_token).where(SyncRun.id == run_id))
    assert stored
    assert b"very-secret-token" not in stored
    lease = runs.claim(run_id, at=NOON)
    assert lease
    assert lease.user_token == "very-secret-token"
    taken_over = runs.claim(run_id, at=NOON + timedelta(minutes=5))
    assert taken_over
    assert taken_over.user_token is None
    assert db.session.scalar(select(SyncRun.user_token).where(SyncRun.id == run_id)) is None


def test_a_held_run_cannot_be_claimed(cast: Cast) -> None:
    run_id, _ = _start()
    assert runs.claim(run_id, at=NOON)
    assert runs.claim(run_id, at=NOON + timedelta(seconds=10)) is None


def test_a_process_that_lost_its_lease_writes_nothing(cast: Cast) -> None:
    run_id, _ = _start()
    first = runs.claim(run_id, at=NOON)
    second = runs.claim(run_id, at=NOON + runs.LEASE + timedelta(seconds=1))
    assert first
    assert second
    with pytest.raises(LeaseLostError):
        runs.renew(first, at=NOON, created=99)
    with pytest.raises(LeaseLostError):
        runs.finish(first, status=RunStatus.SUCCESS, at=NOON)
    runs.renew(second, at=NOON, created=1)
    run = runs.find_run(run_id)
    assert run
    assert run.created == 1


def test_a_finished_run_makes_room_for_the_next(cast: Cast) -> None:
    run_id, _ = _start()
    lease = runs.claim(run_id, at=NOON)
    assert lease
    runs.finish(lease, status=RunStatus.SUCCESS, at=NOON)
    next_id, is_new = _start()
    assert is_new
    assert next_id != run_id


def test_a_run_that_keeps_killing_its_process_is_closed_as_failed(cast: Cast) -> None:
    run_id, _ = _start()
    at = NOON
    for _attempt in range(runs.MAX_ATTEMPTS):
        assert runs.claim(run_id, at=at)
        at += runs.LEASE + timedelta(seconds=1)
    assert runs.claim(run_id, at=at) is None
    run = runs.find_run(run_id)
    assert run
    assert (run.status, run.error) == (RunStatus.FAILED, runs.INTERRUPTED)


@pytest.mark.parametrize(
    ("claimed", "waited", "rings"),
    [
        (True, runs.LEASE - timedelta(seconds=1), 0),
        (True, runs.LEASE + timedelta(seconds=1), 1),
        (False, runs.WAITING_LIMIT - timedelta(seconds=1), 0),
        (False, runs.WAITING_LIMIT + timedelta(seconds=1), 1),
    ],
)
def test_the_sweeper_rings_for_abandoned_runs_only(cast: Cast, claimed: bool, waited: timedelta, rings: int) -> None:
    run_id, _ = _start()
    if claimed:
        runs.claim(run_id, at=NOON)
    queue.queue("sync").empty()
    tenancy.enter_organisation(None)
    assert runs.sweep(at=NOON + waited) == rings
    assert len(queue.queue("sync").jobs) == rings


def test_a_real_run_stops_a_simulation_and_starts(cast: Cast) -> None:
    simulation, _ = _start(dry_run=True)
    lease = runs.claim(simulation, at=NOON)
    assert lease
    run_id, is_new = _start()
    assert (is_new, run_id != simulation) == (True, True)
    stopped = runs.find_run(simulation)
    assert stopped
    assert (stopped.status, stopped.error, stopped.finished_at) == (RunStatus.FAILED, runs.SIMULATION_STOPPED, NOON)
    with pytest.raises(LeaseLostError):
        runs.renew(lease, at=NOON, created=99)
    assert runs.claim(simulation, at=NOON + timedelta(minutes=5)) is None


def test_a_simulation_joins_what_runs(cast: Cast) -> None:
    run_id, _ = _start()
    assert _start(dry_run=True) == (run_id, False)


def test_two_simulations_are_one(cast: Cast) -> None:
    run_id, _ = _start(dry_run=True)
    assert _start(dry_run=True) == (run_id, False)


def test_the_simulation_of_another_organisation_goes_on(cast: Cast) -> None:
    with tenancy.organisation(cast.other_organisation.id):
        other, _ = _start(dry_run=True)
    _start()
    with tenancy.organisation(cast.other_organisation.id):
        run = runs.find_run(other)
    assert run
    assert run.status is RunStatus.RUNNING
