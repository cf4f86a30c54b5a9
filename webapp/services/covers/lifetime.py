"""The life of a cover: which terms, options and home it had on which day, and how it stood. Pure: nothing is read.

Days are local dates at the home, in Paris. A period has its first day, ``since``, and the first day that is no longer
part of it, ``until`` (None: it goes on).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from uuid import UUID

from dateutil.relativedelta import relativedelta

from webapp import clock
from webapp.models.covers import CoverKind, Trade, YearKind
from webapp.services.covers.intervals import Interval
from webapp.services.covers.terms import OptionTerms, Terms

DAY = timedelta(days=1)


@dataclass(frozen=True)
class PlanPeriod:
    """From ``since`` on a version of a plan was sold, until the next one was."""

    terms: Terms
    since: date


@dataclass(frozen=True)
class OptionPeriod:
    """An option, for as long as it is part of the cover."""

    terms: OptionTerms
    since: date
    until: date | None = None

    def holds_on(self, day: date) -> bool:
        """Whether the option is part of the cover on that day."""
        return self.since <= day and (self.until is None or day < self.until)


@dataclass(frozen=True)
class HomePeriod:
    """A home (risk address), for as long as it is the covered one. ``label`` is its address in a line."""

    home_id: UUID
    since: date
    until: date | None = None
    label: str = ""

    def holds_on(self, day: date) -> bool:
        """Whether it is the covered home on that day."""
        return self.since <= day and (self.until is None or day < self.until)


@dataclass(frozen=True)
class CoverYear:
    """The year within which limits are counted: from ``since`` to before ``renewed_on``."""

    since: date
    renewed_on: date

    def __contains__(self, day: date) -> bool:
        return self.since <= day < self.renewed_on


@dataclass(frozen=True)
class Source:
    """What promises a trade on a day: the plan, or an option; and the first day on which it is covered by that."""

    terms: Terms | OptionTerms
    since: date
    covered_from: date

    @property
    def option(self) -> OptionTerms | None:
        """The option, where it is one."""
        return self.terms if isinstance(self.terms, OptionTerms) else None


@dataclass(frozen=True)
class CoverLife:
    """All that a decision needs to know of a cover.

    ``plans`` stand in the order of time, the first since the day of effect; ``intervals`` are those of
    ``intervals.intervals_of``. ``anniversary`` is the day from which anniversaries count, where that is not the day of
    effect.
    """

    effective_on: date
    plans: tuple[PlanPeriod, ...]
    options: tuple[OptionPeriod, ...] = ()
    homes: tuple[HomePeriod, ...] = ()
    intervals: tuple[Interval, ...] = ()
    anniversary: date | None = None

    def terms_on(self, day: date) -> Terms:
        """The version of the plan that was sold for that day; before the first one, that."""
        return self.plans[self._place_on(day)].terms

    def limits_on(self, day: date) -> Terms:
        """The plan's limits on that day.

        Until the waiting of a plan that follows another one is over, what it gives beyond the former waits: each amount
        and number is the lesser of the two.
        """
        place = self._place_on(day)
        limits = self.plans[place].terms
        while self.plans[place].since > self.effective_on and day < self._own_start(self.plans[place]):
            place = self._place_on(self.plans[place].since - DAY)
            limits = limits.lesser_of(self.plans[place].terms)
        return limits

    def waits_until(self, day: date) -> date | None:
        """The last day of the waiting of a plan that follows another one; None where none is under way on that day."""
        plan = self.plans[self._place_on(day)]
        is_waiting = plan.since > self.effective_on and day < self._own_start(plan)
        return self._own_start(plan) - DAY if is_waiting else None

    def sources_on(self, trade: Trade, day: date) -> tuple[Source, ...]:
        """What promises the trade on that day, covering or still waiting: the plan first, then options as they came."""
        sources = []
        plan = self.plans[self._place_on(day)]
        if trade in plan.terms.trades:
            sources.append(self._source(plan, trade))
        options = (option for option in self.options if option.holds_on(day) and trade in option.terms.trades)
        return (*sources, *(self._source(option, trade) for option in sorted(options, key=_since)))

    def covered_from(self, trade: Trade, home_id: UUID, day: date) -> date | None:
        """The first day on which the trade is covered at the home, as things are promised on ``day``; None if never."""
        sources = self.sources_on(trade, day)
        homes = [home for home in self.homes if home.home_id == home_id and home.holds_on(day)]
        if not sources or not homes:
            return None
        return max([min(source.covered_from for source in sources), *(home.since for home in homes)])

    def home_on(self, day: date) -> HomePeriod | None:
        """The covered home of that day: where periods overlap, the one that began last."""
        return max((home for home in self.homes if home.holds_on(day)), key=_since, default=None)

    def year_of(self, day: date) -> CoverYear:
        """The cover year that contains a day.

        An anniversary of a 29 February falls on the 28th where there is none, as article 641 of the code of civil
        procedure counts months.
        """
        if self.terms_on(day).year is YearKind.CIVIL:
            return CoverYear(date(day.year, 1, 1), date(day.year + 1, 1, 1))
        first = self.anniversary or self.effective_on
        years = day.year - first.year
        if first + relativedelta(years=years) > day:
            years -= 1
        return CoverYear(first + relativedelta(years=years), first + relativedelta(years=years + 1))

    def line_of_time(self) -> tuple[Interval, ...]:
        """The intervals as people see them: what is in force before the end of the first waiting is WAITING."""
        covered = clock.start_of(self.effective_on + timedelta(days=self.plans[0].terms.waiting_days))
        return tuple(part for interval in self.intervals for part in _split(interval, covered))

    def state_at(self, instant: datetime) -> Interval | None:
        """How the cover stands at an instant; None before it takes effect."""
        return next((each for each in self.line_of_time() if each.holds_at(instant)), None)

    def states_on(self, day: date) -> tuple[Interval, ...]:
        """How the cover stands in the course of a day; none before it takes effect."""
        start, end = clock.start_of(day), clock.start_of(day + DAY)
        return tuple(interval for interval in self.intervals if interval.meets(start, end))

    def _place_on(self, day: date) -> int:
        return max((place for place, plan in enumerate(self.plans) if plan.since <= day), default=0)

    def _own_start(self, period: PlanPeriod | OptionPeriod) -> date:
        return max(period.since, self.effective_on) + timedelta(days=period.terms.waiting_days)

    def _source(self, period: PlanPeriod | OptionPeriod, trade: Trade) -> Source:
        """A trade that was promised on the day before has no new waiting, whatever promised it."""
        own = self._own_start(period)
        before = self.sources_on(trade, period.since - DAY) if period.since > self.effective_on else ()
        return Source(period.terms, period.since, min([own, *(source.covered_from for source in before)]))


def _since(period: OptionPeriod | HomePeriod) -> date:
    return period.since


def _split(interval: Interval, covered: datetime) -> Iterable[Interval]:
    if interval.kind is not CoverKind.ACTIVE or interval.since >= covered:
        return (interval,)
    if interval.until is not None and interval.until <= covered:
        return (replace(interval, kind=CoverKind.WAITING),)
    waiting = replace(interval, kind=CoverKind.WAITING, until=covered)
    return waiting, replace(interval, since=covered)
