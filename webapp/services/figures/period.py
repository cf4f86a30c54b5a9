"""Periods of figures: a month, a quarter, a year, or any days; each has one before it to compare with."""

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Self

from dateutil.relativedelta import relativedelta

from webapp.errors import InvalidInputError
from webapp.french import day

DAY = timedelta(days=1)


class Span(StrEnum):
    """How long a period is, as the address says it."""

    MONTH = "mois"
    QUARTER = "trimestre"
    YEAR = "annee"
    CUSTOM = "libre"

    @property
    def label(self) -> str:
        """The word on the screen."""
        return {"mois": "Mois", "trimestre": "Trimestre", "annee": "Année", "libre": "Dates choisies"}[self.value]


_MONTHS = {Span.MONTH: 1, Span.QUARTER: 3, Span.YEAR: 12}


@dataclass(frozen=True)
class Period:
    """Days from ``since`` to ``until``, both included."""

    span: Span
    since: date
    until: date

    @classmethod
    def around(cls, day: date, span: Span = Span.MONTH) -> Self:
        """The month, quarter or year that ``day`` is in."""
        months = _MONTHS[span]
        first = date(day.year, (day.month - 1) // months * months + 1, 1)
        return cls(span, first, first + relativedelta(months=months) - DAY)

    @classmethod
    def between(cls, since: date, until: date) -> Self:
        """Any days. Raises InvalidInputError where the end precedes the start."""
        if until < since:
            raise InvalidInputError(
                f"La fin de la période ({day(until)}) précède son début ({day(since)}).", field="au"
            )
        return cls(Span.CUSTOM, since, until)

    @property
    def previous(self) -> "Period":
        """The period before; of days, as many before."""
        if self.span is Span.CUSTOM:
            return Period.between(self.since - (self.until - self.since) - DAY, self.since - DAY)
        return Period.around(self.since - DAY, self.span)

    @property
    def in_whole_months(self) -> "Period":
        """The months that it has days of."""
        if self.span is not Span.CUSTOM:
            return self
        return Period.between(self.since.replace(day=1), Period.around(self.until).until)

    def is_running(self, today: date) -> bool:
        """Whether it has begun and goes on after ``today``."""
        return self.since <= today < self.until

    def compared(self, today: date) -> "Period":
        """What it is compared with: the period before; of one that is still running, as many days of it."""
        before = self.previous
        if not self.is_running(today):
            return before
        return Period.between(before.since, min(before.since + (today - self.since), before.until))

    @property
    def next(self) -> "Period":
        """The period after; of days, as many after."""
        if self.span is Span.CUSTOM:
            return Period.between(self.until + DAY, self.until + (self.until - self.since) + DAY)
        return Period.around(self.until + DAY, self.span)


def last_months(day: date, months: int = 12) -> Period:
    """The month of ``day`` and those before it, ``months`` in all."""
    until = Period.around(day).until
    return Period.between(until + DAY - relativedelta(months=months), until)
