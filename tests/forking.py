"""Processes of their own for tests that kill them: forked, since a new one needs seconds for its imports alone."""

import os
import signal
import sys
import traceback
from collections.abc import Callable

from sqlalchemy import event
from sqlalchemy.engine import Engine

from webapp.extensions import db


def fork(what: Callable[[], object]) -> int:
    """Begin ``what`` in a forked process; returns its id. Ends the caller's session: rows must be really committed."""
    db.session.remove()
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        db.engine.dispose(close=False)  # the parent's connections are not ours to use or to close
        what()
        status = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


def was_killed(process: int) -> bool:
    """Wait for a process; whether it was killed. Raises AssertionError where it failed by itself."""
    _, status = os.waitpid(process, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the process failed by itself"
    return os.WIFSIGNALED(status)


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
