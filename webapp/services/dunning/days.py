"""Days as dunning counts them: in Paris, by the calendar or by working days (Monday to Friday, no public holiday)."""

from datetime import date, datetime, time, timedelta

from dateutil.easter import easter

from webapp.clock import PARIS

HOLIDAYS = {(1, 1), (5, 1), (5, 8), (7, 14), (8, 15), (11, 1), (11, 11), (12, 25)}
AFTER_EASTER = (1, 39, 50)
"""Easter Monday, Ascension and Whit Monday."""
OPENS, CLOSES = time(8), time(20)
"""Within these hours steps are carried out."""
NOTICE_AFTER, SUSPEND_AFTER_NOTICE, TERMINATE_AFTER_SUSPENSION = 10, 30, 10
"""Days of article L113-3 of the insurance code: from the due date, from the notice, and from the suspension."""


def local(at: datetime) -> date:
    """The date of an instant in Paris."""
    return at.astimezone(PARIS).date()


def is_within_hours(at: datetime) -> bool:
    """Whether steps may be carried out at this hour of the day in Paris."""
    return OPENS <= at.astimezone(PARIS).time() < CLOSES


def is_working_day(day: date) -> bool:
    """Whether people work on that day in France."""
    sunday = easter(day.year)
    movable = {sunday + timedelta(days=days) for days in AFTER_EASTER}
    return day.weekday() < 5 and (day.month, day.day) not in HOLIDAYS and day not in movable


def after(start: date, days: int, *, in_working_days: bool) -> date:
    """The day that lies so many days behind ``start``, which itself does not count."""
    if not in_working_days:
        return start + timedelta(days=days)
    day = start
    while days > 0:
        day += timedelta(days=1)
        days -= is_working_day(day)
    return day


def noon_after(day: date) -> datetime:
    """Noon in Paris of the day after ``day``."""
    return datetime.combine(day + timedelta(days=1), time(12), PARIS)
