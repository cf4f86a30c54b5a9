"""Processes of their own for tests that kill them: forked, since a new one needs seconds for its imports alone."""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.engine import Engine

from webapp.extensions import db

_CONNECTED = text("SELECT 1 FROM pg_stat_activity WHERE application_name = :name")
_LOOKS = 2_000


def fork(what: Callable[[], object]) -> int:
    """Begin ``what`` in a forked process; returns its id. Ends the caller's session: rows must be really committed."""
    db.session.remove()
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        db.engine.dispose(close=False)  # the parent's connections are not ours to use or to close
        event.listen(Engine, "do_connect", _give_name)
        what()
        status = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


def _give_name(_dialect: object, _record: object, _args: object, parameters: dict[str, Any]) -> None:
    """PostgreSQL knows the connections of this process by its id."""
    parameters["application_name"] = _name_of(os.getpid())


def _name_of(process: int) -> str:
    return f"crm-fork-{process}"


def was_killed(process: int) -> bool:
    """Wait for a process; whether it was killed. Raises AssertionError where it failed by itself.

    What it had locked is free by then: PostgreSQL takes a moment to see that a client is gone.
    """
    _, status = os.waitpid(process, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the process failed by itself"
    with db.engine.connect() as connection:
        for _ in range(_LOOKS):
            if not connection.scalar(_CONNECTED, {"name": _name_of(process)}):
                return os.WIFSIGNALED(status)
            connection.execute(text("SELECT pg_stat_clear_snapshot(), pg_sleep(0.005)"))
    pytest.fail("PostgreSQL still serves a process that is gone")


def die() -> None:
    """As by kill -9."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(point: str, number: int) -> None:
    """This process dies at the event « before_cursor_execute » or « commit » of its engine; 0 is the next of them."""
    passed = 0

    def count(*_: object) -> None:
        nonlocal passed
        if passed == number:
            die()
        passed += 1

    event.listen(Engine, point, count)


def lives(what: Callable[[], object], *, fatal: int) -> bool:
    """Do ``what`` in a process of its own, which dies before the commit numbered ``fatal``; whether it lived."""

    def work() -> None:
        die_at("commit", fatal)
        what()

    return not was_killed(fork(work))
