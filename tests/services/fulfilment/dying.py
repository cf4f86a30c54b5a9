"""A process of its own that works on batches, and dies at a chosen place."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from sqlalchemy import event
from sqlalchemy.engine import Engine

from tests import forking
from webapp import clock
from webapp.services import outbox
from webapp.services.fulfilment import lock_runs


def lock(organisation_id: UUID, batch_id: UUID) -> None:
    """What the worker does that is asked to lock a batch."""
    lock_runs.carry_out(organisation_id, batch_id, patience=timedelta(seconds=20))


def deliver(organisation_id: UUID, _batch_id: UUID) -> None:
    """What the worker of the outbox does."""
    outbox.deliver(organisation_id, at=clock.now())


def fork(what: Callable[[UUID, UUID], None], organisation_id: UUID, batch_id: UUID, *, fatal: int) -> int:
    """Do ``what`` in a forked process, which dies as by kill -9 before the statement or commit numbered ``fatal`` (0 is
    the first), or lives where it comes to none; returns its process id.
    """

    def work() -> None:
        _die_before(fatal)
        what(organisation_id, batch_id)

    return forking.fork(work)


def _die_before(fatal: int) -> None:
    passed = 0

    def count(*_: object) -> None:
        nonlocal passed
        if passed == fatal:
            forking.die()
        passed += 1

    event.listen(Engine, "before_cursor_execute", count)
    event.listen(Engine, "commit", count)
