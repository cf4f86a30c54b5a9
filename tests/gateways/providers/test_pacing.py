"""The pace of calls to an account: no faster than it allows, whoever calls, and nobody waits for another's account."""

import subprocess
import sys
import time
from collections.abc import Iterator
from uuid import uuid4

import pytest
from flask import Flask

from webapp.config import Settings
from webapp.gateways.providers import pacing

TURNS, BURST = 15, 6
"""At fifty a second: six at once (a tenth of a second's worth, and the first), the others evenly."""

NOBODY = "redis://127.0.0.1:9"
ANOTHER_PROCESS = """
import sys
from webapp.gateways.providers import pacing
pacing.use(sys.argv[1])
pacing.take_turn(sys.argv[2], per_second=1)
"""


@pytest.fixture(params=["Redis answers", "Redis is away"])
def pace(request: pytest.FixtureRequest, app_context: Flask, settings: Settings) -> Iterator[None]:
    """The process's Redis in both its states."""
    if request.param == "Redis is away":
        pacing.use(NOBODY)
    yield
    pacing.use(settings.redis_url)


@pytest.fixture
def account() -> str:
    """One that nobody has called before."""
    return str(uuid4())


def _seconds_for(turns: int, account: str, *, per_second: int) -> float:
    start = time.monotonic()
    for _ in range(turns):
        pacing.take_turn(account, per_second=per_second)
    return time.monotonic() - start


@pytest.mark.usefixtures("pace")
def test_calls_keep_to_the_pace_of_the_account_and_are_no_slower(account: str) -> None:
    due = (TURNS - BURST) / 50
    assert due <= _seconds_for(TURNS, account, per_second=50) < 5 * due


@pytest.mark.usefixtures("pace")
def test_an_account_does_not_wait_for_another(account: str) -> None:
    pacing.take_turn(account, per_second=1)
    assert _seconds_for(1, str(uuid4()), per_second=1) < 0.6


def test_all_processes_share_the_pace_of_an_account(app_context: Flask, settings: Settings, account: str) -> None:
    start = time.monotonic()
    pacing.take_turn(account, per_second=1)
    command = [sys.executable, "-c", ANOTHER_PROCESS, settings.redis_url, account]
    subprocess.run(command, check=True)
    pacing.take_turn(account, per_second=1)
    assert time.monotonic() - start >= 1.8, "the third turn of an account that allows one a second"
