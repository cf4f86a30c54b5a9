"""The cut-off of a company: until when in the week a change holds for the present cycle."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import factories
from tests.conftest import Cast
from tests.services.preferences.test_values import BEFORE, _set, grind, subscription
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.preferences import CutOff
from webapp.models.subscriptions import Subscription
from webapp.services import public_holidays
from webapp.services.preferences import cut_offs

__all__ = ["grind", "subscription"]


def test_a_company_without_a_setting_has_monday_noon_in_paris(cast: Cast) -> None:
    cut_off = cut_offs.find_cut_off(factories.default_company().id)
    assert (cut_off.weekday, cut_off.at, cut_off.timezone, cut_off.is_active) == (0, time(12), "Europe/Paris", True)


def test_a_company_sets_its_own(cast: Cast) -> None:
    company = factories.default_company()
    for weekday in (3, 4):
        cut_offs.set_cut_off(company.id, weekday=weekday, at=time(18, 30), timezone="Indian/Reunion", is_active=True)
    assert cut_offs.find_cut_off(company.id).weekday == 4
    assert db.session.query(CutOff).count() == 1


@pytest.mark.parametrize(
    ("values_", "field"), [({"weekday": 7}, "weekday"), ({"timezone": "Mars/Olympus"}, "timezone")]
)
def test_a_cut_off_must_exist_in_a_week_on_earth(cast: Cast, values_: dict[str, object], field: str) -> None:
    written = {"weekday": 0, "at": time(12), "timezone": "Europe/Paris", "is_active": True} | values_
    with pytest.raises(InvalidInputError) as refusal:
        cut_offs.set_cut_off(factories.default_company().id, **written)  # type: ignore[arg-type]
    assert refusal.value.field == field


def test_a_company_of_another_organisation_is_not_found(cast: Cast) -> None:
    with pytest.raises(NotFoundError):
        cut_offs.set_cut_off(uuid4(), weekday=0, at=time(12), timezone="Europe/Paris", is_active=True)


def test_without_an_active_cut_off_changes_hold_from_the_next_charge(subscription: Subscription, grind: object) -> None:
    cut_offs.set_cut_off(subscription.company_id, weekday=0, at=time(12), timezone="Europe/Paris", is_active=False)
    assert _set(subscription, "Moulu", BEFORE) == 3


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (datetime(2026, 11, 16, 11, 0, tzinfo=UTC), datetime(2026, 11, 16, 11, 0, tzinfo=UTC)),
        (datetime(2026, 11, 16, 11, 1, tzinfo=UTC), datetime(2026, 11, 23, 11, 0, tzinfo=UTC)),
        (datetime(2026, 11, 22, 23, 30, tzinfo=UTC), datetime(2026, 11, 23, 11, 0, tzinfo=UTC)),
        (datetime(2026, 3, 24, tzinfo=UTC), datetime(2026, 3, 30, 10, 0, tzinfo=UTC)),  # summer time meanwhile
    ],
)
def test_the_next_cut_off_is_a_local_time_of_the_week(after: datetime, expected: datetime) -> None:
    cut_off = CutOff(weekday=0, at=time(12), timezone="Europe/Paris")
    assert cut_offs.next_cut_off(cut_off, after) == expected


def _on(cut_off: CutOff, after: date) -> date:
    (upcoming,) = cut_offs.list_next(cut_off, datetime(after.year, after.month, after.day, tzinfo=UTC), number=1)
    return upcoming.on


@pytest.mark.parametrize(
    ("weekday", "region", "after", "expected"),
    [
        (0, None, date(2027, 3, 24), date(2027, 3, 26)),  # Easter Monday is the 29th: Friday before
        (0, "6AE", date(2027, 3, 24), date(2027, 3, 25)),  # where Good Friday is a holiday, too: Thursday
        (2, None, date(2026, 11, 6), date(2026, 11, 10)),  # Armistice, a Wednesday
        (6, None, date(2026, 10, 27), date(2026, 10, 30)),  # All Saints’, a Sunday
        (3, "972", date(2027, 5, 4), date(2027, 5, 5)),  # Ascension
        (5, "972", date(2027, 5, 20), date(2027, 5, 21)),  # what Martinique alone celebrates
        (5, None, date(2027, 5, 20), date(2027, 5, 22)),  # elsewhere a Saturday as others
    ],
)
def test_a_cut_off_on_a_holiday_comes_on_the_last_working_day_before_it(
    weekday: int, region: str | None, after: date, expected: date
) -> None:
    cut_off = CutOff(weekday=weekday, at=time(12), timezone="Europe/Paris", before_holidays=True, holiday_region=region)
    assert _on(cut_off, after) == expected


def test_one_that_has_come_early_is_over_on_the_holiday_itself() -> None:
    cut_off = CutOff(weekday=0, at=time(12), timezone="Europe/Paris", before_holidays=True)
    friday = datetime(2027, 3, 26, 11, tzinfo=UTC)  # noon in Paris, in winter time until Sunday
    assert cut_offs.next_cut_off(cut_off, friday) == friday
    later = cut_offs.next_cut_off(cut_off, friday + timedelta(seconds=1))
    assert later == datetime(2027, 4, 5, 10, tzinfo=UTC)


def test_a_company_may_work_on_holidays() -> None:
    cut_off = CutOff(weekday=0, at=time(12), timezone="Europe/Paris", before_holidays=False)
    assert _on(cut_off, date(2027, 3, 27)) == date(2027, 3, 29)


@given(
    weekday=st.integers(0, 6),
    at=st.times(),
    timezone=st.sampled_from(["Europe/Paris", "Indian/Reunion", "America/Guadeloupe", "Pacific/Noumea"]),
    region=st.sampled_from([None, *public_holidays.REGIONS]),
    year=st.integers(2020, 2040),
)
def test_in_a_decade_there_is_one_cut_off_a_week_never_on_a_holiday(
    weekday: int, at: time, timezone: str, region: str | None, year: int
) -> None:
    cut_off = CutOff(weekday=weekday, at=at, timezone=timezone, before_holidays=True, holiday_region=region)
    begin = datetime(year, 1, 10, tzinfo=UTC)
    walked = cut_offs.list_next(cut_off, begin, number=520)
    assert all(before.at < after.at for before, after in pairwise(walked))
    assert all(after.planned - before.planned == timedelta(days=7) for before, after in pairwise(walked))
    for each in walked:
        assert not public_holidays.name_of(each.on, region)
        assert each.on == each.planned if not each.holiday else each.on.weekday() < 5
        assert timedelta(0) <= each.planned - each.on < timedelta(days=7)
        assert cut_offs.next_cut_off(cut_off, each.at) == each.at
        assert cut_offs.next_cut_off(cut_off, each.at - timedelta(microseconds=1)) == each.at
