"""From what happened to a cover to its intervals: L113-3 to the hour, pauses, ends and corrections."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import pytest

from webapp import clock
from webapp.models.covers import CoverCause, CoverKind
from webapp.services.covers.intervals import (
    Fact,
    Interval,
    activated,
    earliest_termination,
    intervals_of,
    paid,
)
from webapp.services.dunning import days

EFFECTIVE = date(2026, 1, 10)
START = activated(EFFECTIVE)


def _suspended(noticed_on: date) -> Fact:
    """What dunning does where a formal notice was sent on a day: thirty full days pass, then the cover is suspended."""
    return Fact(CoverCause.UNPAID, clock.start_of(noticed_on + timedelta(days=days.SUSPEND_AFTER_NOTICE + 1)))


def _at(text: str) -> datetime:
    """An instant as a clock on the wall in Paris shows it."""
    return datetime.fromisoformat(text).replace(tzinfo=clock.PARIS)


def _told(intervals: Sequence[Interval]) -> list[tuple[str, str]]:
    """The kinds, each with its beginning in Paris."""
    return [(each.kind.value, f"{each.since.astimezone(clock.PARIS):%d/%m %H:%M}") for each in intervals]


def test_l113_3_over_the_night_on_which_clocks_go_forward() -> None:
    # Sent on Wednesday 25 February 2026; thirty full days are 26 February to 27 March; clocks go forward on 29 March.
    suspended = _suspended(date(2026, 2, 25))
    assert suspended.since == datetime(2026, 3, 27, 23, tzinfo=UTC)
    assert earliest_termination(date(2026, 2, 25)) == datetime(2026, 4, 6, 22, tzinfo=UTC)
    resumed = paid(_at("2026-03-28 10:00"), [START, suspended], is_insurance=True)
    assert resumed.since == datetime(2026, 3, 29, 10, tzinfo=UTC)  # noon of summer time
    intervals = intervals_of([START, suspended, resumed])
    assert _told(intervals) == [("active", "10/01 00:00"), ("suspended", "28/03 00:00"), ("active", "29/03 12:00")]
    assert intervals[2].since.astimezone(UTC) - intervals[1].since.astimezone(UTC) == timedelta(hours=35)
    hours = {
        "2026-03-27 23:59": CoverKind.ACTIVE,
        "2026-03-28 00:00": CoverKind.SUSPENDED,
        "2026-03-29 11:59": CoverKind.SUSPENDED,
    }
    for hour, kind in {**hours, "2026-03-29 12:00": CoverKind.ACTIVE}.items():
        assert [each.kind for each in intervals if each.holds_at(_at(hour))] == [kind], hour


@pytest.mark.parametrize(
    ("paid_at", "noon"),
    [
        (datetime(2026, 10, 24, 21, 59, tzinfo=UTC), datetime(2026, 10, 25, 11, tzinfo=UTC)),  # 23:59 in Paris
        (datetime(2026, 10, 24, 22, 0, tzinfo=UTC), datetime(2026, 10, 26, 11, tzinfo=UTC)),  # midnight: a day later
        (datetime(2026, 10, 24, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 11, tzinfo=UTC)),
    ],
)
def test_l113_3_over_the_night_on_which_clocks_go_back(paid_at: datetime, noon: datetime) -> None:
    suspended = _suspended(date(2026, 9, 23))
    assert suspended.since == datetime(2026, 10, 23, 22, tzinfo=UTC)
    assert paid(paid_at, [START, suspended], is_insurance=True).since == noon


def test_a_service_resumes_at_once() -> None:
    suspended = _suspended(date(2026, 2, 25))
    at = _at("2026-03-28 10:00")
    assert paid(at, [START, suspended], is_insurance=False).since == at


def test_what_is_paid_on_the_thirtieth_day_is_never_suspended() -> None:
    suspended = _suspended(date(2026, 2, 25))
    payment = paid(_at("2026-03-27 23:00"), [START, suspended], is_insurance=True)
    assert _told(intervals_of([START, suspended, payment])) == [("active", "10/01 00:00")]


def test_a_payment_does_not_forestall_a_suspension_that_was_written_after_it() -> None:
    payment = paid(_at("2026-02-20 09:00"), [START], is_insurance=True)
    suspended = _suspended(date(2026, 2, 25))
    assert _told(intervals_of([START, payment, suspended]))[-1] == ("suspended", "28/03 00:00")


def test_a_payment_does_not_end_a_pause_nor_a_resumption_what_is_unpaid() -> None:
    pause = Fact(CoverCause.PAUSE, _at("2026-03-01 00:00"))
    unpaid = Fact(CoverCause.UNPAID, _at("2026-03-10 00:00"))
    resumed = Fact(CoverCause.RESUMPTION, _at("2026-03-20 00:00"))
    payment = Fact(CoverCause.PAYMENT, _at("2026-03-30 12:00"))
    causes = [(each.kind, each.cause) for each in intervals_of([START, pause, unpaid, resumed, payment])]
    assert causes == [
        (CoverKind.ACTIVE, CoverCause.ACTIVATION),
        (CoverKind.SUSPENDED, CoverCause.PAUSE),
        (CoverKind.SUSPENDED, CoverCause.UNPAID),
        (CoverKind.ACTIVE, CoverCause.PAYMENT),
    ]
    still_paused = intervals_of([START, pause, unpaid, payment])
    assert (still_paused[-1].kind, still_paused[-1].cause) == (CoverKind.SUSPENDED, CoverCause.PAUSE)


def test_a_pause_with_an_end_ends_by_itself() -> None:
    pause = Fact(CoverCause.PAUSE, _at("2026-03-01 00:00"), until=_at("2026-04-01 00:00"))
    assert _told(intervals_of([START, pause])) == [
        ("active", "10/01 00:00"),
        ("suspended", "01/03 00:00"),
        ("active", "01/04 00:00"),
    ]


def test_nothing_but_a_correction_brings_back_what_ended() -> None:
    end = Fact(CoverCause.TERMINATION, _at("2026-06-01 00:00"), note="déménagement")
    later = [Fact(CoverCause.PAUSE, _at("2026-06-10 00:00")), Fact(CoverCause.PAYMENT, _at("2026-06-20 12:00"))]
    ended = intervals_of([START, end, *later])
    assert _told(ended) == [("active", "10/01 00:00"), ("ended", "01/06 00:00")]
    assert (ended[-1].cause, ended[-1].note) == (CoverCause.TERMINATION, "déménagement")
    withdrawn = Fact(CoverCause.CORRECTION, _at("2026-06-01 00:00"), kind=CoverKind.ACTIVE)
    assert [each.kind for each in intervals_of([START, end, withdrawn])] == [CoverKind.ACTIVE, CoverKind.ACTIVE]


def test_a_correction_stands_above_what_was_written_before_and_below_what_comes_later() -> None:
    unpaid = Fact(CoverCause.UNPAID, _at("2026-03-10 00:00"))
    wrong = Fact(CoverCause.CORRECTION, _at("2026-03-10 00:00"), until=_at("2026-03-20 00:00"), kind=CoverKind.ACTIVE)
    assert _told(intervals_of([START, unpaid, wrong]))[1:] == [("active", "10/03 00:00"), ("suspended", "20/03 00:00")]
    pause = Fact(CoverCause.PAUSE, _at("2026-03-15 00:00"))
    assert _told(intervals_of([START, unpaid, wrong, pause]))[1:] == [
        ("active", "10/03 00:00"),
        ("suspended", "15/03 00:00"),
        ("suspended", "20/03 00:00"),  # unpaid again, once the correction is over
    ]


def test_of_two_corrections_the_one_that_was_written_last_counts() -> None:
    ended = Fact(CoverCause.CORRECTION, _at("2026-03-01 00:00"), kind=CoverKind.ENDED)
    active = Fact(CoverCause.CORRECTION, _at("2026-03-01 00:00"), kind=CoverKind.ACTIVE)
    assert intervals_of([START, ended, active])[-1].kind is CoverKind.ACTIVE
    assert intervals_of([START, active, ended])[-1].kind is CoverKind.ENDED


def test_the_first_of_two_that_end_or_suspend_a_cover_is_told() -> None:
    ends = [
        Fact(CoverCause.TERMINATION, _at("2026-06-01 00:00"), note="déménagement"),
        Fact(CoverCause.TERMINATION, _at("2026-09-01 00:00"), note="échéance"),
    ]
    pauses = [
        Fact(CoverCause.PAUSE, _at("2026-03-01 00:00"), note="travaux"),
        Fact(CoverCause.PAUSE, _at("2026-04-01 00:00"), note="absence"),
    ]
    notes = [each.note for each in intervals_of([START, *pauses, *ends])]
    assert notes == ["", "travaux", "déménagement"]


def test_of_a_pause_and_what_is_unpaid_the_latter_is_told() -> None:
    pause, unpaid = Fact(CoverCause.PAUSE, _at("2026-03-01 00:00")), Fact(CoverCause.UNPAID, _at("2026-03-10 00:00"))
    assert [each.cause for each in intervals_of([START, pause, unpaid])] == [
        CoverCause.ACTIVATION,
        CoverCause.PAUSE,
        CoverCause.UNPAID,
    ]


def test_a_cover_that_was_renounced_on_its_first_day_was_never_active() -> None:
    renounced = Fact(CoverCause.RENUNCIATION, START.since)
    assert _told(intervals_of([START, renounced])) == [("ended", "10/01 00:00")]


def test_without_an_activation_there_is_nothing() -> None:
    assert intervals_of([Fact(CoverCause.PAUSE, START.since)]) == ()


def test_what_took_effect_before_the_activation_counts_from_it_on() -> None:
    unpaid = Fact(CoverCause.UNPAID, START.since - timedelta(days=3))
    assert _told(intervals_of([unpaid, START])) == [("suspended", "10/01 00:00")]


def test_an_hour_that_a_night_has_twice_is_told_apart() -> None:
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC).astimezone(clock.PARIS)  # 02:30 in summer time
    second = datetime(2026, 10, 25, 1, 10, tzinfo=UTC).astimezone(clock.PARIS)  # 02:10 in winter time
    suspended, resumed = intervals_of([START, Fact(CoverCause.PAUSE, first), Fact(CoverCause.RESUMPTION, second)])[1:]
    assert (suspended.kind, suspended.until) == (CoverKind.SUSPENDED, second.astimezone(UTC))
    assert (resumed.kind, resumed.since - suspended.since) == (CoverKind.ACTIVE, timedelta(minutes=40))
