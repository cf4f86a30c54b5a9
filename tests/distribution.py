"""How bin/test spreads the tests over its processes: by file, the browser tests as one, and the longest first.

Module fixtures (a whole bin/dev, say) are then made once, and one world is driven by a browser at a time. (The mark
xdist_group would say the same test by test, but pytest 9.2 ignores it.) By itself xdist begins with the files that hold
the most tests, and leaves the long ones to the end, where one process works on them alone.
"""

import os
import warnings
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

TOGETHER = ("tests/browser/",)
LONG = (
    "tests/browser/",
    "tests/services/charges/test_crashes.py",
    "tests/startup/test_dev.py",
    "tests/services/claims/test_any_order.py",
    "tests/services/woocommerce/test_crashes.py",
    "tests/services/winleadplus/test_interruptions.py",
    "tests/services/bank_files/test_a_month.py",
    "tests/services/woocommerce/test_pull_crashes.py",
    "tests/services/fulfilment/test_any_order.py",
    "tests/services/means_requests/",
    "tests/services/refunds/test_crashes.py",
    "tests/services/bank_files/test_amendments.py",
    "tests/startup/",
)
"""Beginnings of paths, from minutes down to half a minute; start-up comes once the browser's world has started."""


class ByFile(LoadFileScheduling):
    """Whole files, and some whole folders, go to one process."""

    def _split_scope(self, nodeid: str) -> str:
        together = next((folder for folder in TOGETHER if nodeid.startswith(folder)), None)
        file: str = super()._split_scope(nodeid)
        return together or file


def pytest_sessionstart(session: pytest.Session) -> None:
    """Each process imports another part of the modules first: after a clean clone their assertions are rewritten once.

    All processes collect everything in one order, and would each rewrite everything. What fails here fails again, and
    is reported, when it is collected.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    number, count = int(os.environ["PYTEST_XDIST_WORKER"][2:]), int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    modules = sorted(path for folder in session.config.args for path in Path(folder).rglob("test_*.py"))
    for path in modules[number % count :: count]:
        with suppress(Exception), warnings.catch_warnings(action="error"):
            import_module(".".join(path.resolve().relative_to(session.config.rootpath).with_suffix("").parts))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    config.option.loadscopereorder = False
    items.sort(key=lambda item: _place(item.nodeid))  # stable: the rest keeps its order


def _place(nodeid: str) -> int:
    return next((place for place, beginning in enumerate(LONG) if nodeid.startswith(beginning)), len(LONG))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    config.option.loadscopereorder = False  # this process collects nothing itself
    return ByFile(config, log)
