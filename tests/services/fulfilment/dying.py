"""A process of its own that works on batches, and dies at a chosen place."""

import os
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from sqlalchemy import event
from sqlalchemy.engine import Engine

from tests.services.charges.crashing import kill_process
from webapp import clock
from webapp.extensions import db
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
    db.session.remove()
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        db.engine.dispose(close=False)  # the parent's connections are not ours to use or to close
        _die_before(fatal)
        what(organisation_id, batch_id)
        status = 0
    finally:
        os._exit(status)


def _die_before(fatal: int) -> None:
    passed = 0

    def count(*_: object) -> None:
        nonlocal passed
        if passed == fatal:
            kill_process()
        passed += 1

    event.listen(Engine, "before_cursor_execute", count)
    event.listen(Engine, "commit", count)
