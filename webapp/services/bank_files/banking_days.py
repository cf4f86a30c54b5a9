"""The days on which banks collect: those of TARGET."""

from datetime import date, timedelta

from dateutil.easter import easter

CLOSED = {(1, 1), (5, 1), (12, 25), (12, 26)}


def is_banking_day(day: date) -> bool:
    """Whether the banks of TARGET settle on that day."""
    sunday = easter(day.year)
    movable = {sunday - timedelta(days=2), sunday + timedelta(days=1)}
    return day.weekday() < 5 and (day.month, day.day) not in CLOSED and day not in movable


def first_banking_day(not_before: date) -> date:
    """The first day from ``not_before`` on, that day included, on which banks settle."""
    day = not_before
    while not is_banking_day(day):
        day += timedelta(days=1)
    return day
