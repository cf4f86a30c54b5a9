"""The cut-off of a company: until when in the week a change holds for the present cycle."""

from datetime import UTC, datetime, time
from uuid import uuid4

import pytest

from tests import factories
from tests.conftest import Cast
from tests.services.preferences.test_values import BEFORE, _set, grind, subscription
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.preferences import CutOff
from webapp.models.subscriptions import Subscription
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
