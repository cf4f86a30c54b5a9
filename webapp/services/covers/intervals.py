"""What happened to a cover, and the intervals that follow from it. Pure: nothing is read or written.

A fact is written once and never changed. Facts take effect in the order of time, whatever the order in which they were
written, with two exceptions: a correction stands above all that was written before it, for as long as it lasts; and
once everything was paid, no suspension begins that was written down before. The intervals have no hole and do not
overlap, from the activation on. Their instants are in UTC: those of one zone compare by the clock on the wall, which
shows one hour of a year twice.

Article L113-3 of the insurance code: a cover is suspended thirty days after the formal notice, may be terminated ten
days later, and resumes at noon of the day after everything was paid.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from webapp import clock
from webapp.models.covers import CoverCause, CoverKind
from webapp.services.dunning import days

ENDING = frozenset({CoverCause.TERMINATION, CoverCause.RENUNCIATION})
LIFTED_BY = {CoverCause.UNPAID: CoverCause.PAYMENT, CoverCause.PAUSE: CoverCause.RESUMPTION}
"""What suspends a cover, and what ends that. A suspension by correction is ended by either."""


@dataclass(frozen=True)
class Fact:
    """Something that happened to a cover, with effect from ``since`` to before ``until`` (None: for good).

    ``kind`` is what a correction says that the cover was in that time; the others need none. ``note`` are words for
    people, as the ground of a termination.
    """

    cause: CoverCause
    since: datetime
    until: datetime | None = None
    kind: CoverKind | None = None
    note: str = ""

    def holds_at(self, instant: datetime) -> bool:
        """Whether the fact has an effect at that instant."""
        return self.since <= instant and (self.until is None or instant < self.until)


@dataclass(frozen=True)
class Interval:
    """From ``since`` to before ``until`` (None: for good) the cover was, or is to be, of one kind."""

    kind: CoverKind
    since: datetime
    until: datetime | None
    cause: CoverCause
    note: str = ""

    def holds_at(self, instant: datetime) -> bool:
        """Whether the instant lies within."""
        return self.since <= instant and (self.until is None or instant < self.until)

    def meets(self, start: datetime, end: datetime) -> bool:
        """Whether it has anything in common with the time from ``start`` to before ``end``."""
        return self.since < end and (self.until is None or start < self.until)


def activated(effective_on: date) -> Fact:
    """The cover takes effect as the day begins in Paris."""
    return Fact(CoverCause.ACTIVATION, clock.start_of(effective_on))


def earliest_termination(noticed_on: date) -> datetime:
    """From when on a cover that was suspended by such a notice may be terminated for it (L113-3)."""
    legal = days.SUSPEND_AFTER_NOTICE + days.TERMINATE_AFTER_SUSPENSION
    return clock.start_of(noticed_on + timedelta(days=legal + 1))


def paid(at: datetime, facts: Sequence[Fact], *, is_insurance: bool) -> Fact:
    """Everything was paid at an instant, with ``facts`` so far.

    An insurance that is suspended for it resumes at noon of the day after in Paris (L113-3), a service at once. Paid
    before it is suspended, it never is.
    """
    standing = next((each for each in intervals_of(facts) if each.holds_at(at)), None)
    is_suspended = standing is not None and standing.cause is CoverCause.UNPAID
    return Fact(CoverCause.PAYMENT, days.noon_after(days.local(at)) if is_insurance and is_suspended else at)


def intervals_of(facts: Sequence[Fact]) -> tuple[Interval, ...]:
    """The intervals that follow from facts, given in the order in which they were written.

    They begin with the activation, and the last one has no end; none without an activation. What took effect before
    the activation counts from it on.
    """
    facts = [_in_utc(fact) for fact in facts]
    activation = min((fact for fact in facts if fact.cause is CoverCause.ACTIVATION), key=_since, default=None)
    if activation is None:
        return ()
    instants = {*(fact.since for fact in facts), *(fact.until for fact in facts if fact.until)}
    intervals: list[Interval] = []
    for instant in sorted(instant for instant in instants if instant >= activation.since):
        now = _state_at(facts, activation, instant)
        if intervals and _is_same(intervals[-1], now):
            continue
        if intervals:
            intervals[-1] = replace(intervals[-1], until=instant)
        intervals.append(now)
    return tuple(intervals)


def _in_utc(fact: Fact) -> Fact:
    return replace(fact, since=fact.since.astimezone(UTC), until=fact.until.astimezone(UTC) if fact.until else None)


def _since(fact: Fact) -> datetime:
    return fact.since


def _is_same(one: Interval, other: Interval) -> bool:
    return (one.kind, one.cause, one.note) == (other.kind, other.cause, other.note)


def _state_at(facts: Sequence[Fact], activation: Fact, instant: datetime) -> Interval:
    """How the cover stands from an instant on: what the last correction says, changed by what was written later."""
    written = [fact for fact in facts if fact.holds_at(instant)]
    corrections = [place for place, fact in enumerate(written) if fact.cause is CoverCause.CORRECTION]
    start = corrections[-1] + 1 if corrections else 0
    stand = _Stand(activation)
    later = [
        fact for place, fact in enumerate(written) if place >= start and not _is_forestalled(fact, written[place:])
    ]
    for fact in [*written[:start][-1:], *sorted(later, key=_since)]:
        stand.take(fact)
    return stand.as_interval(instant)


def _is_forestalled(fact: Fact, later: Sequence[Fact]) -> bool:
    """Whether a suspension was never to begin, since a payment that was written later had its effect before."""
    if fact.cause is not CoverCause.UNPAID:
        return False
    return any(other.cause is CoverCause.PAYMENT and other.since <= fact.since for other in later)


class _Stand:
    """What holds of a cover while its facts are taken one after the other, in the order of time."""

    def __init__(self, activation: Fact) -> None:
        self.active = activation
        self.suspended: dict[CoverCause, Fact] = {}
        self.ended: Fact | None = None

    def take(self, fact: Fact) -> None:
        """Let the fact have its effect."""
        if fact.kind is CoverKind.SUSPENDED or fact.cause in LIFTED_BY:
            self.suspended.setdefault(fact.cause, fact)
        elif fact.kind is CoverKind.ENDED or fact.cause in ENDING:
            self.ended = self.ended or fact
        else:
            lifted = [cause for cause in self.suspended if LIFTED_BY.get(cause, fact.cause) is fact.cause]
            for cause in lifted:
                del self.suspended[cause]
            if lifted or fact.cause is CoverCause.CORRECTION:
                self.active = fact

    def as_interval(self, instant: datetime) -> Interval:
        """From an instant on: an end before a suspension, one for non-payment before any other."""
        if self.ended:
            kind, fact = CoverKind.ENDED, self.ended
        elif self.suspended:
            kind, fact = (
                CoverKind.SUSPENDED,
                self.suspended.get(CoverCause.UNPAID) or next(iter(self.suspended.values())),
            )
        else:
            kind, fact = CoverKind.ACTIVE, self.active
        return Interval(kind, instant, None, fact.cause, fact.note)
