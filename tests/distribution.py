"""How bin/test spreads the tests over its processes: by file, and the browser tests as one.

Module fixtures (a whole bin/dev, say) are then made once, and one world is driven by a browser at a time. (The mark
xdist_group would say the same test by test, but pytest 9.2 ignores it.)
"""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

TOGETHER = ("tests/browser/",)


class ByFile(LoadFileScheduling):
    """Whole files, and some whole folders, go to one process."""

    def _split_scope(self, nodeid: str) -> str:
        together = next((folder for folder in TOGETHER if nodeid.startswith(folder)), None)
        file: str = super()._split_scope(nodeid)
        return together or file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    return ByFile(config, log)
