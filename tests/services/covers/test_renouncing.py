"""The end of a renunciation window: one word in the timeline of what still stands, on the day after, once."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from tests.conftest import Cast
from tests.queries import recorded_statements
from tests.services.claims.files import EFFECTIVE, evening_of, make_cover
from webapp.extensions import db
from webapp.models.covers import Cover
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.covers import renouncing

LAST_DAY = EFFECTIVE + timedelta(days=14)
DAY_AFTER = evening_of(LAST_DAY + timedelta(days=1))


def told() -> list[dict[str, list[str | None]]]:
    over = select(TimelineEvent.changes).where(TimelineEvent.kind == EventKind.RENUNCIATION_ENDED)
    return list(db.session.scalars(over))


@pytest.mark.parametrize("late", [timedelta(), timedelta(days=200)])
def test_it_is_told_on_the_day_after_or_when_somebody_runs_again(cast: Cast, late: timedelta) -> None:
    cover: Cover = make_cover(cast.commercial)
    assert renouncing.tell_ended(at=evening_of(LAST_DAY)) == 0
    assert [renouncing.tell_ended(at=DAY_AFTER + late) for _ in range(2)] == [1, 0]
    assert told() == [{"cover": [None, cover.code], "until": [None, LAST_DAY.isoformat()]}]


def test_of_what_was_given_up_nothing_is_told(cast: Cast) -> None:
    cover = make_cover(cast.commercial)
    renouncing.renounce(cover.id, by=cast.commercial, at=evening_of(LAST_DAY))
    assert renouncing.tell_ended(at=DAY_AFTER) == 1
    assert told() == []


def test_many_cost_as_many_statements_as_one(cast: Cast) -> None:
    def run(at: datetime) -> int:
        with recorded_statements() as statements:
            renouncing.tell_ended(at=at)
        return len(statements)

    make_cover(cast.commercial)
    one = run(DAY_AFTER)
    for _ in range(4):
        make_cover(cast.commercial)
    assert run(DAY_AFTER) == one
    assert len(told()) == 5
