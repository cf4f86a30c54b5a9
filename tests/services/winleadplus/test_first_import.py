"""The click that the CRM was built for."""

from demo.prospects import prospects
from tests.services.winleadplus.conftest import Sync, counts
from tests.upstream import Upstream
from webapp.models.runs import RunStatus


def test_the_first_run_creates_everybody_and_the_second_nobody(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve(list(prospects(250)))
    first = sync()
    assert (first.status, first.error) == (RunStatus.SUCCESS, None)
    assert counts(first) == (250, 0, 0)
    assert counts(sync()) == (0, 0, 250)
