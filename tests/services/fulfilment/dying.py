"""``python -m tests.services.fulfilment.dying WHAT ORGANISATION BATCH INSTANT FATAL``: a process that works on batches.

WHAT is ``lock`` or ``deliver``. It dies as by kill -9 before the statement or commit numbered FATAL (0 is the first),
or lives where it comes to none.
"""

import os
import signal
import sys
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import event
from sqlalchemy.engine import Engine

from webapp import clock
from webapp.config import load_settings
from webapp.factory import create_app
from webapp.services import outbox
from webapp.services.fulfilment import lock_runs


def main(what: str, organisation_id: str, batch_id: str, instant: str, fatal: str) -> None:
    """Lock the batch, or deliver what the outbox holds."""
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
        event.listen(Engine, "commit", count)
        if what == "lock":
            lock_runs.carry_out(UUID(organisation_id), UUID(batch_id), patience=timedelta(seconds=20))
        else:
            outbox.deliver(UUID(organisation_id), at=clock.now())


if __name__ == "__main__":
    main(*sys.argv[1:])
