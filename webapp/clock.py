"""The application's clock. Services get the time from here, never from the wall, so that tests can move it."""

import time
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from zoneinfo import ZoneInfo

PARIS = ZoneInfo("Europe/Paris")

_start_of_clock: datetime | None = None
_start_of_process = time.monotonic()


def start_at(instant: datetime | None) -> None:
    """Let the clock run from ``instant`` (aware) as of now; None returns to the wall clock."""
    global _start_of_clock, _start_of_process
    _start_of_clock = instant.astimezone(UTC) if instant else None
    _start_of_process = time.monotonic()


def now() -> datetime:
    """The current instant, aware, in UTC."""
    if _start_of_clock is None:
        return datetime.now(UTC)
    return _start_of_clock + timedelta(seconds=time.monotonic() - _start_of_process)


def today(zone: ZoneInfo = PARIS) -> date:
    """The local date in ``zone``, by default that of the organisation's home."""
    return now().astimezone(zone).date()


def start_of(day: date, zone: ZoneInfo = PARIS) -> datetime:
    """The instant at which a day begins in ``zone``."""
    return datetime.combine(day, time_of_day.min, zone)
