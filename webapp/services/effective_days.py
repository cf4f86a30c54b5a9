"""From when a version of a text holds: now, or from the beginning of a day to come."""

from datetime import date, datetime

from webapp import clock
from webapp.errors import InvalidInputError

LAST_YEAR = 2199


def start_of_effect(active_on: date | None, *, at: datetime) -> datetime:
    """When a version takes effect that is to do so on a day in Paris; None or today: at once.

    Raises InvalidInputError, field ``active_on``, for a day gone by or beyond any calendar of ours.
    """
    today = at.astimezone(clock.PARIS).date()
    if active_on is None or active_on == today:
        return at
    if active_on < today or active_on.year > LAST_YEAR:
        raise InvalidInputError("Un texte prend effet aujourd’hui ou plus tard.", field="active_on")
    return clock.start_of(active_on)
