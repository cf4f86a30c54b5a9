"""A process of its own that does something and dies on the way, as by kill -9."""

import os
from collections.abc import Callable

from sqlalchemy import event
from sqlalchemy.engine import Engine

from tests.services.charges.crashing import kill_process
from webapp.extensions import db


def fork(what: Callable[[], object], *, fatal: int) -> bool:
    """Do ``what`` in a process of its own, which dies before the commit numbered ``fatal``; whether it lived."""
    db.session.remove()
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == 0
    status = 1
    try:
        db.engine.dispose(close=False)  # the parent's connections are not ours to use or to close
        passed = 0

        def count(*_: object) -> None:
            nonlocal passed
            if passed == fatal:
                kill_process()
            passed += 1

        event.listen(Engine, "commit", count)
        what()
        status = 0
    finally:
        os._exit(status)
