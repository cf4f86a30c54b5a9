"""Two connections to PostgreSQL in one test: the first goes on only once the other waits for what it holds."""

import pytest
from sqlalchemy import text

from webapp.extensions import db

WAITS = text("SELECT 1 FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))")
LOOKS = 2_000


def until_somebody_waits() -> None:
    """Return once another connection waits for a lock of this one's transaction; the test fails after ten seconds."""
    for _ in range(LOOKS):
        if db.session.scalar(WAITS):
            return
        db.session.execute(text("SELECT pg_stat_clear_snapshot(), pg_sleep(0.005)"))
    pytest.fail("nobody waits for what this transaction holds")
