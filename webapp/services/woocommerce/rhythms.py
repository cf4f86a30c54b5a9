"""How often a shop's subscription is paid, and how long one of its periods is."""

from datetime import date, timedelta

from dateutil.relativedelta import relativedelta

from webapp.models.subscriptions import Frequency, ShopPeriod

FREQUENCIES = {
    ("day", 7): Frequency.WEEKLY,
    ("week", 1): Frequency.WEEKLY,
    ("day", 14): Frequency.BIWEEKLY,
    ("week", 2): Frequency.BIWEEKLY,
    ("month", 1): Frequency.MONTHLY,
    ("month", 2): Frequency.BIMONTHLY,
    ("month", 3): Frequency.QUARTERLY,
    ("month", 12): Frequency.ANNUAL,
    ("year", 1): Frequency.ANNUAL,
}
LONGEST = 1_000
"""Of which unit ever: a period of more is a mistake, and leads out of the calendar."""


def frequency_of(period: str, interval: int) -> Frequency:
    """Ours for the shop's pair; OTHER for what is none of the six, which is never rounded."""
    return FREQUENCIES.get((period, interval), Frequency.OTHER)


def is_known(period: str, interval: int) -> bool:
    """Whether the pair says how long a period is."""
    return period in set(ShopPeriod) and 1 <= interval <= LONGEST


def end_of(start: date, period: str, interval: int) -> date:
    """The first day after a period that begins on ``start``."""
    if period in (ShopPeriod.DAY, ShopPeriod.WEEK):
        return start + timedelta(days=interval * (7 if period == ShopPeriod.WEEK else 1))
    return start + relativedelta(months=interval * (12 if period == ShopPeriod.YEAR else 1))
