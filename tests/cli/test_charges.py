"""``flask charges`` and ``flask sweep``: by hand, what the schedule does."""

import json

from flask import Flask

from jobs.schedule import TIMETABLE
from tests.conftest import Cast
from webapp import tenancy


def test_sweeping_by_hand_leaves_no_sweep_of_the_timetable_out(cast: Cast, app: Flask) -> None:
    tenancy.enter_organisation(None)
    result = app.test_cli_runner().invoke(args=["sweep", "--json"])
    swept = json.loads(result.output)
    jobs = {entry.job for entry in TIMETABLE if entry.job.endswith("-sweep")}
    assert {job.removesuffix("-sweep").replace("-", "_") for job in jobs} <= swept.keys()
