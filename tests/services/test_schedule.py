"""Each tick is taken once; a first start does nothing; what was missed is caught up once."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.conftest import Cast
from webapp.services.schedule import last_tick_at, take_tick, tick_at
from webapp.transactions import transaction

HOUR = timedelta(hours=1)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def take(at: datetime) -> bool:
    return take_tick("job", every=HOUR, at=at)


def test_ticks_stand_on_whole_hours() -> None:
    assert tick_at(NOON + timedelta(minutes=59, seconds=59), HOUR) == NOON


def test_a_first_start_does_nothing_by_itself(cast: Cast) -> None:
    assert not take(NOON + timedelta(minutes=5))
    assert take(NOON + HOUR)


def test_two_schedulers_take_a_tick_once(cast: Cast) -> None:
    take(NOON)
    assert [take(NOON + HOUR), take(NOON + HOUR + timedelta(minutes=1))] == [True, False]


def test_ticks_missed_while_down_are_caught_up_once(cast: Cast) -> None:
    take(NOON)
    back = NOON + 5 * HOUR + timedelta(minutes=37)
    assert [take(back), take(back + timedelta(minutes=1))] == [True, False]
    assert take(NOON + 6 * HOUR)


def test_a_crash_before_the_commit_leaves_the_tick_to_be_taken_again(cast: Cast) -> None:
    take(NOON)
    with pytest.raises(RuntimeError), transaction():
        assert take(NOON + HOUR)
        raise RuntimeError("crash")
    assert take(NOON + HOUR)


def test_the_pulse_is_the_last_tick_taken(cast: Cast) -> None:
    assert last_tick_at() is None
    take(NOON + timedelta(minutes=3))
    assert last_tick_at() == NOON + timedelta(minutes=3)
