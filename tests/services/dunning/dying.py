"""``python -m tests.services.dunning.dying ORGANISATION INSTANT FATAL``: one pass of dunning in a process of its own.

It dies as by kill -9 before the statement numbered FATAL (0 is the first), or lives where it comes to none.
"""

import os
import signal
import sys
from datetime import datetime
from uuid import UUID

from sqlalchemy import event
from sqlalchemy.engine import Engine

from webapp import clock
from webapp.config import load_settings
from webapp.factory import create_app
from webapp.services.dunning import steps


def main(organisation_id: str, instant: str, fatal: str) -> None:
    """Dun once."""
    passed = 0

    def count(*_: object) -> None:
        nonlocal passed
        if passed == int(fatal):
            os.kill(os.getpid(), signal.SIGKILL)
        passed += 1

    app = create_app(load_settings())
    clock.start_at(datetime.fromisoformat(instant))
    with app.app_context():
        event.listen(Engine, "before_cursor_execute", count)
        steps.carry_out(UUID(organisation_id), at=clock.now())


if __name__ == "__main__":
    main(*sys.argv[1:])
