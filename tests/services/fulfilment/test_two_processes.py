"""Gathering while locking, locks at once, and processes that die anywhere: every line is in one batch, once."""

from collections.abc import Callable, Iterator
from datetime import datetime
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select

from tests import factories
from tests.concurrency import at_once, in_turn
from tests.forking import was_killed
from tests.services.charges.ledger import Ledger
from tests.services.fulfilment import dying
from tests.services.fulfilment.world import FulfilmentWorld
from webapp import clock, tenancy
from webapp.extensions import db
from webapp.models.charges import Charge
from webapp.models.fulfilment import BatchStatus, LineStatus
from webapp.services import outbox
from webapp.services.fulfilment import lock_runs, locking

Work = Callable[..., int]


@pytest.fixture
def world(committed: None, ledger: Ledger) -> Iterator[FulfilmentWorld]:
    """An organisation whose rows are really committed, with three lines in its open batch."""
    organisation = factories.OrganisationFactory()
    tenancy.enter_organisation(organisation.id)
    factories.CompanyFactory(is_default=True)
    account = factories.ProviderAccountFactory(rate_per_second=100_000, max_concurrency=1)
    world = FulfilmentWorld(organisation.id, ledger, account)
    world.move_to(datetime.fromisoformat("2026-01-31T08:00+01:00"))
    for _ in range(3):
        world.subscribe()
    world.charge_all()
    yield world
    clock.start_at(None)


@pytest.fixture
def work(world: FulfilmentWorld) -> Work:
    """Start a process that does something, and dies before its statement numbered ``fatal``."""
    batch_id = world.open_batch().id

    def start(what: Callable[[UUID, UUID], None], fatal: int = -1) -> int:
        return dying.fork(what, world.organisation_id, batch_id, fatal=fatal)

    return start


def _check(world: FulfilmentWorld, count: int) -> None:
    """Each charge has one line, and the batches fit together."""
    db.session.expire_all()
    lines = world.lines(live=True)
    assert sorted(line.charge_id for line in lines) == sorted(row[0] for row in db.session.execute(select(Charge.id)))
    assert len(lines) == count
    for batch in world.batches():
        expected = LineStatus.PENDING if batch.status is BatchStatus.OPEN else LineStatus.TO_PREPARE
        assert {line.status for line in world.lines(batch)} <= {expected}


def test_what_is_gathered_during_a_lock_waits_for_it_and_is_in_the_next_batch(
    world: FulfilmentWorld, app: Flask
) -> None:
    world.to_cut_off()
    world.subscribe()
    world.run()
    batch_id, at = world.open_batch().id, clock.now()
    db.session.rollback()
    in_turn(
        app,
        world.organisation_id,
        lambda: locking.lock(batch_id, by=None, at=at),
        lambda: outbox.deliver(world.organisation_id, at=clock.now()),
    )
    _check(world, 4)
    first, second = world.batches()
    assert (len(world.lines(first)), len(world.lines(second))) == (3, 1)


def test_two_locks_at_once_lock_once(world: FulfilmentWorld, app: Flask) -> None:
    world.to_cut_off()
    batch_id, at = world.open_batch().id, clock.now()
    db.session.rollback()
    lock = lambda: locking.lock(batch_id, by=None, at=at)  # noqa: E731
    assert at_once(app, world.organisation_id, lock, lock, lock) == ["AlreadyLockedError", "AlreadyLockedError", "done"]
    _check(world, 3)


def test_workers_that_gather_and_lock_together_lose_nothing(world: FulfilmentWorld, work: Work) -> None:
    for _ in range(12):
        world.subscribe()
    world.run()
    world.to_cut_off()
    processes = [work(dying.deliver), work(dying.lock), work(dying.deliver), work(dying.lock)]
    assert [was_killed(process) for process in processes] == [False] * 4
    world.deliver()
    _check(world, 15)
    assert world.batches()[0].status is BatchStatus.LOCKED


def test_a_lock_that_dies_anywhere_is_made_good_by_the_next(world: FulfilmentWorld, work: Work) -> None:
    world.subscribe()
    world.run()  # not heard of yet
    world.to_cut_off()
    killed = 0
    for first in range(0, 40, 4):
        processes = [work(dying.lock, first), work(dying.lock, first + 2)]
        killed += sum([was_killed(process) for process in processes])
        world.wait(minutes=1)  # the lease runs out
    assert killed >= 8
    lock_runs.carry_out(world.organisation_id, world.batches()[0].id)
    _check(world, 4)
    (batch,) = world.batches()
    assert (batch.status, batch.work, batch.lease_until) == (BatchStatus.LOCKED, None, None)


def test_gathering_that_dies_anywhere_is_made_good_by_the_next(world: FulfilmentWorld, work: Work) -> None:
    for _ in range(3):
        world.subscribe()
    world.run()
    killed = 0
    for first in range(0, 36, 6):
        processes = [work(dying.deliver, first), work(dying.deliver, first + 3)]
        killed += sum([was_killed(process) for process in processes])
    assert killed >= 5
    world.deliver()
    _check(world, 6)
