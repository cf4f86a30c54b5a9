"""What took long is kept for its organisation, for some minutes; what did not is told anew."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import NamedTuple

import pytest
from redis import Redis

from tests.conftest import Cast
from webapp import keeping, tenancy
from webapp.config import Settings

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=3)


class Told(NamedTuple):
    number: int
    months: dict[date, Decimal]


class Other(NamedTuple):
    word: str


@pytest.fixture
def numbers() -> Iterator[int]:
    return count(1)


def tell(numbers: Iterator[int], *what: object, at: datetime = NOON) -> tuple[int, datetime]:
    def work() -> Told:
        return Told(next(numbers), {NOON.date(): Decimal("1.10")})

    told, known_at = keeping.keep("figures", what, Told, work, at=at)
    assert told.months == {NOON.date(): Decimal("1.10")}
    return told.number, known_at


@pytest.fixture
def everything_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "LONG", 0.0)


def test_what_is_quick_is_told_anew(cast: Cast, numbers: Iterator[int]) -> None:
    assert [tell(numbers), tell(numbers, at=LATER)] == [(1, NOON), (2, LATER)]


@pytest.mark.usefixtures("everything_is_long")
def test_what_took_long_is_kept_with_the_instant_for_the_organisation_alone(
    cast: Cast, numbers: Iterator[int], settings: Settings
) -> None:
    assert [tell(numbers, "a"), tell(numbers, "a", at=LATER)] == [(1, NOON), (1, NOON)]
    assert tell(numbers, "b", at=LATER) == (2, LATER)
    with tenancy.organisation(cast.other_organisation.id):
        assert tell(numbers, "a", at=LATER) == (3, LATER)
    redis = Redis.from_url(settings.redis_url)
    assert all(0 < redis.ttl(key) <= keeping.KEPT.total_seconds() for key in redis.keys("kept:*"))
    assert redis.delete(*redis.keys("kept:*")) == 3
    assert tell(numbers, "a") == (4, NOON)


@pytest.mark.usefixtures("everything_is_long")
def test_what_another_version_has_kept_is_told_anew(cast: Cast, numbers: Iterator[int]) -> None:
    keeping.keep("figures", [], Other, lambda: Other("x"), at=NOON)
    assert tell(numbers, at=LATER) == (1, LATER)


@pytest.mark.usefixtures("everything_is_long")
def test_without_redis_it_is_told_anew(cast: Cast, numbers: Iterator[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "_redis", Redis.from_url("redis://127.0.0.1:9"))
    assert [tell(numbers), tell(numbers, at=LATER)] == [(1, NOON), (2, LATER)]
