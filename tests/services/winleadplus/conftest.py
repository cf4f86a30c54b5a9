"""A WinLeadPlus that answers, an organisation that reads it, and a click on « Sync WinLeadPlus »."""

from collections.abc import Callable, Iterator

import pytest

from tests import upstream
from tests.conftest import Cast
from tests.upstream import Upstream
from webapp import clock
from webapp.extensions import db
from webapp.models.runs import RunTrigger
from webapp.models.winleadplus import SyncRun
from webapp.services.winleadplus import config, runs
from webapp.services.winleadplus.carry_out import carry_out

Sync = Callable[..., SyncRun]


@pytest.fixture
def winleadplus(cast: Cast) -> Iterator[Upstream]:
    """The upstream that the organisation of the cast reads."""
    with upstream.running() as running:
        config.change(endpoint=running.url)
        yield running


@pytest.fixture
def sync(cast: Cast, winleadplus: Upstream) -> Sync:
    """A run from click to end; returns it as it ended."""

    def run(*, dry_run: bool = False) -> SyncRun:
        run_id, _ = runs.start(
            trigger=RunTrigger.MANUAL,
            at=clock.now(),
            by=cast.commercial.id,
            user_token="token-of-the-user",
            dry_run=dry_run,
            enqueue=False,
        )
        carry_out(cast.organisation.id, run_id)
        db.session.expire_all()
        ended = runs.find_run(run_id)
        assert ended
        return ended

    return run


def counts(run: SyncRun) -> tuple[int, int, int]:
    """Created, updated, skipped."""
    return run.created, run.updated, run.skipped
