"""Periods, and those before and after them."""

from datetime import date

import pytest

from webapp.errors import InvalidInputError
from webapp.services.figures.period import Period, Span, last_months

DAY = date(2026, 11, 20)


@pytest.mark.parametrize(
    ("span", "since", "until", "before"),
    [
        (Span.MONTH, date(2026, 11, 1), date(2026, 11, 30), date(2026, 10, 1)),
        (Span.QUARTER, date(2026, 10, 1), date(2026, 12, 31), date(2026, 7, 1)),
        (Span.YEAR, date(2026, 1, 1), date(2026, 12, 31), date(2025, 1, 1)),
    ],
)
def test_a_period_around_a_day(span: Span, since: date, until: date, before: date) -> None:
    period = Period.around(DAY, span)
    assert (period.since, period.until, period.previous.since) == (since, until, before)
    assert period.previous.next == period.next.previous == period


def test_days_are_compared_with_as_many_before() -> None:
    period = Period.between(date(2026, 3, 1), date(2026, 3, 10))
    assert (period.previous.since, period.previous.until) == (date(2026, 2, 19), date(2026, 2, 28))
    assert period.previous.next == period


@pytest.mark.parametrize(
    ("period", "today", "since", "until"),
    [
        (Period.around(date(2026, 11, 27)), date(2026, 11, 27), date(2026, 10, 1), date(2026, 10, 27)),
        (Period.around(date(2026, 11, 1)), date(2026, 11, 1), date(2026, 10, 1), date(2026, 10, 1)),
        (Period.around(date(2026, 3, 30)), date(2026, 3, 30), date(2026, 2, 1), date(2026, 2, 28)),
        (Period.around(date(2028, 3, 30)), date(2028, 3, 30), date(2028, 2, 1), date(2028, 2, 29)),
        (Period.around(DAY, Span.QUARTER), DAY, date(2026, 7, 1), date(2026, 8, 20)),
        (Period.around(date(2028, 2, 29), Span.YEAR), date(2028, 2, 29), date(2027, 1, 1), date(2027, 3, 1)),
        (Period.between(date(2026, 11, 11), date(2026, 11, 30)), DAY, date(2026, 10, 22), date(2026, 10, 31)),
    ],
)
def test_a_period_that_is_still_running_is_compared_with_as_many_days(
    period: Period, today: date, since: date, until: date
) -> None:
    compared = period.compared(today)
    assert (compared.since, compared.until) == (since, until)


@pytest.mark.parametrize("today", [date(2026, 10, 31), date(2026, 11, 30), date(2026, 12, 1)])
def test_a_whole_period_and_one_to_come_are_compared_with_the_whole_one_before(today: date) -> None:
    period = Period.around(DAY)
    assert not period.is_running(today)
    assert period.compared(today) == period.previous


def test_one_day_is_a_period() -> None:
    assert Period.between(DAY, DAY).previous.until == date(2026, 11, 19)


def test_an_end_before_the_start_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"20/11/2026.* précède son début .*21/11/2026"):
        Period.between(date(2026, 11, 21), DAY)


def test_twelve_months_end_with_the_present_one() -> None:
    period = last_months(DAY)
    assert (period.since, period.until) == (date(2025, 12, 1), date(2026, 11, 30))
