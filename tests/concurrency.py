"""Several connections to PostgreSQL in one test, each in a thread of its own. Needs rows that are really committed."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from typing import TypeVar
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import text

from webapp import tenancy
from webapp.errors import DomainError
from webapp.extensions import db
from webapp.transactions import transaction

Result = TypeVar("Result")

_SOMEBODY_WAITS = text("SELECT 1 FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))")
_LOOKS = 2_000
PATIENCE = 30.0
"""Seconds."""


def at_once(app: Flask, organisation_id: UUID, *acts: Callable[[], object]) -> list[str]:
    """Do things in the same instant; how each ended: « done », or the name of its refusal, in alphabetical order."""
    start = Barrier(len(acts))

    def do(act: Callable[[], object]) -> str:
        with app.app_context(), tenancy.organisation(organisation_id):
            db.session.execute(text("SELECT 1"))  # connected before the start
            db.session.rollback()
            start.wait(PATIENCE)
            try:
                act()
            except DomainError as error:
                return type(error).__name__
            finally:
                db.session.remove()
            return "done"

    with ThreadPoolExecutor(len(acts)) as threads:
        return sorted(threads.map(do, acts))


def in_turn(app: Flask, organisation_id: UUID, first: Callable[[], object], second: Callable[[], Result]) -> Result:
    """What ``second`` returns, begun while ``first`` was done and not committed: which it is once waited for.

    Nothing is written between what ``first`` writes itself and its commit.
    """
    is_done = Event()

    def hold() -> None:
        with app.app_context(), tenancy.organisation(organisation_id):
            with transaction():
                first()
                is_done.set()
                with db.session.no_autoflush:
                    wait_until_somebody_waits()
            db.session.remove()

    def follow() -> Result:
        with app.app_context(), tenancy.organisation(organisation_id):
            assert is_done.wait(PATIENCE)
            try:
                return second()
            finally:
                db.session.remove()

    with ThreadPoolExecutor(2) as threads:
        holding, following = threads.submit(hold), threads.submit(follow)
        holding.result(PATIENCE)
        return following.result(PATIENCE)


def wait_until_somebody_waits() -> None:
    """Asked again every few milliseconds, by PostgreSQL's own clock."""
    for _ in range(_LOOKS):
        if db.session.scalar(_SOMEBODY_WAITS):
            return
        db.session.execute(text("SELECT pg_stat_clear_snapshot(), pg_sleep(0.005)"))
    pytest.fail("nobody waits for what this transaction holds")
