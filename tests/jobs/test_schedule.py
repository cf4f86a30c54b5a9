"""The loop that keeps the timetable."""

from datetime import UTC, datetime, timedelta

from jobs.schedule import Entry, keep
from tests.conftest import Cast

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def test_a_failing_entry_does_not_stop_the_others(cast: Cast) -> None:
    done: list[datetime] = []

    def fail(*, at: datetime) -> None:
        raise RuntimeError("broken entry")

    def work(*, at: datetime) -> None:
        done.append(at)

    timetable = (Entry("first", MINUTE, fail), Entry("second", MINUTE, work))
    for moment in (NOON, NOON + MINUTE, NOON + MINUTE + timedelta(seconds=20)):
        keep(timetable, at=moment)
    assert done == [NOON + MINUTE]
