"""Public holidays of France and of those of its parts that have some of their own."""

from collections.abc import Mapping
from datetime import date, timedelta
from functools import cache

import holidays

REGIONS = {
    "57": "Moselle",
    "6AE": "Alsace",
    "971": "Guadeloupe",
    "972": "Martinique",
    "973": "Guyane",
    "974": "La Réunion",
    "976": "Mayotte",
    "BL": "Saint-Barthélemy",
    "MF": "Saint-Martin",
    "NC": "Nouvelle-Calédonie",
    "PF": "Polynésie française",
    "WF": "Wallis-et-Futuna",
}
"""The parts with holidays of their own: code (of the library) → name."""

SATURDAY = 5


def name_of(day: date, region: str | None = None) -> str | None:
    """The holiday that ``day`` is in ``region`` (None: the whole country), as it is called in French; None if none."""
    return _of_year(day.year, region).get(day)


def last_working_day_before(day: date, region: str | None = None) -> date:
    """The last Monday to Friday before ``day`` that is no holiday in ``region``."""
    day -= timedelta(days=1)
    while day.weekday() >= SATURDAY or name_of(day, region):
        day -= timedelta(days=1)
    return day


@cache
def _of_year(year: int, region: str | None) -> Mapping[date, str]:
    days = holidays.country_holidays("FR", subdiv=region, years=year, language="fr")
    return {day: name.replace("'", "’") for day, name in days.items()}
