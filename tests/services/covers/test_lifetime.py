"""The life of a cover: cover years, first days of cover, upgrades, options, homes, and the line of time."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.services.covers.lives import (
    EFFECTIVE,
    HOME,
    OTHER_HOME,
    make_life,
    make_option,
    make_terms,
    paris,
)
from webapp.models.covers import CoverCause, CoverKind, Trade, YearKind
from webapp.services.covers.intervals import Fact
from webapp.services.covers.lifetime import CoverLife, CoverYear, HomePeriod, OptionPeriod

ALL = frozenset(Trade)
DAYS = st.dates(date(2020, 1, 1), date(2040, 12, 31))


def _covered_from(life: CoverLife, trade: Trade, day: date) -> date | None:
    return life.covered_from(trade, HOME, day)


@pytest.mark.parametrize(
    ("day", "since", "renewed_on"),
    [
        (date(2026, 1, 10), date(2026, 1, 10), date(2027, 1, 10)),
        (date(2027, 1, 9), date(2026, 1, 10), date(2027, 1, 10)),
        (date(2027, 1, 10), date(2027, 1, 10), date(2028, 1, 10)),
        (date(2026, 1, 9), date(2025, 1, 10), date(2026, 1, 10)),
    ],
)
def test_a_year_of_anniversaries(day: date, since: date, renewed_on: date) -> None:
    assert make_life().year_of(day) == CoverYear(since, renewed_on)


@pytest.mark.parametrize(
    ("day", "since", "renewed_on"),
    [
        (date(2024, 2, 29), date(2024, 2, 29), date(2025, 2, 28)),
        (date(2025, 2, 27), date(2024, 2, 29), date(2025, 2, 28)),
        (date(2025, 2, 28), date(2025, 2, 28), date(2026, 2, 28)),
        (date(2028, 2, 28), date(2027, 2, 28), date(2028, 2, 29)),
        (date(2028, 2, 29), date(2028, 2, 29), date(2029, 2, 28)),
    ],
)
def test_a_year_that_began_on_29_february(day: date, since: date, renewed_on: date) -> None:
    assert make_life((make_terms(), date(2024, 2, 29))).year_of(day) == CoverYear(since, renewed_on)


def test_a_civil_year_and_another_anniversary() -> None:
    civil = make_life((make_terms(year=YearKind.CIVIL), EFFECTIVE))
    assert civil.year_of(date(2026, 12, 31)) == CoverYear(date(2026, 1, 1), date(2027, 1, 1))
    moved = make_life(anniversary=date(2026, 7, 1))
    assert moved.year_of(date(2026, 6, 30)) == CoverYear(date(2025, 7, 1), date(2026, 7, 1))


@given(effective=DAYS, day=DAYS, kind=st.sampled_from(YearKind))
def test_every_day_lies_in_one_cover_year(effective: date, day: date, kind: YearKind) -> None:
    life = make_life((make_terms(year=kind), effective))
    year = life.year_of(day)
    assert day in year
    assert life.year_of(year.since) == year == life.year_of(year.renewed_on - timedelta(days=1))
    assert life.year_of(year.renewed_on).since == year.renewed_on
    assert 365 <= (year.renewed_on - year.since).days <= 366


def test_after_an_upgrade_only_the_difference_waits() -> None:
    upgraded = date(2026, 6, 1)
    life = make_life((make_terms(), EFFECTIVE), (make_terms(version=2, trades=ALL, waiting_days=45), upgraded))
    assert _covered_from(life, Trade.PLUMBING, upgraded) == date(2026, 2, 9)
    assert _covered_from(life, Trade.GLAZING, upgraded) == date(2026, 7, 16)
    assert _covered_from(life, Trade.GLAZING, date(2026, 5, 31)) is None


def test_an_upgrade_within_the_first_waiting_shortens_it_at_most() -> None:
    quick = make_life((make_terms(), EFFECTIVE), (make_terms(waiting_days=0), date(2026, 1, 20)))
    slow = make_life((make_terms(), EFFECTIVE), (make_terms(waiting_days=90), date(2026, 1, 20)))
    assert _covered_from(quick, Trade.PLUMBING, date(2026, 1, 20)) == date(2026, 1, 20)
    assert _covered_from(slow, Trade.PLUMBING, date(2026, 1, 20)) == date(2026, 2, 9)


def test_what_an_upgrade_gives_beyond_the_former_plan_waits_too() -> None:
    better = make_terms(
        version=2, deductible=Decimal(0), cap_per_claim=Decimal(900), cap_per_year=None, claims_per_year=5
    )
    life = make_life((make_terms(), EFFECTIVE), (better, date(2026, 6, 1)))
    waiting, over = life.limits_on(date(2026, 6, 30)), life.limits_on(date(2026, 7, 1))
    assert (waiting.version, waiting.deductible, waiting.cap_per_claim) == (2, 50, 500)
    assert (waiting.cap_per_year, waiting.claims_per_year) == (1200, 3)
    assert over == better


def test_a_downgrade_holds_at_once() -> None:
    lower = make_terms(version=2, deductible=Decimal(80), cap_per_claim=Decimal(300))
    limits = make_life((make_terms(), EFFECTIVE), (lower, date(2026, 6, 1))).limits_on(date(2026, 6, 1))
    assert (limits.deductible, limits.cap_per_claim) == (80, 300)


def test_of_two_upgrades_on_a_day_the_last_one_counts() -> None:
    day = date(2026, 6, 1)
    life = make_life(
        (make_terms(), EFFECTIVE),
        (make_terms(version=2, cap_per_claim=Decimal(100)), day),
        (make_terms(version=3), day),
    )
    assert life.terms_on(day).version == 3
    assert life.limits_on(day).cap_per_claim == 500


def test_a_trade_that_goes_from_an_option_to_the_plan_does_not_wait_again() -> None:
    day = date(2026, 6, 1)
    locksmith = OptionPeriod(make_option(), date(2026, 3, 1), until=day)
    life = make_life((make_terms(), EFFECTIVE), (make_terms(trades=ALL), day), options=(locksmith,))
    assert _covered_from(life, Trade.LOCKSMITH, day) == date(2026, 3, 16)


def test_an_option_that_was_given_up_for_a_day_waits_again() -> None:
    first = OptionPeriod(make_option(), date(2026, 3, 1), until=date(2026, 6, 1))
    again = OptionPeriod(make_option(), date(2026, 6, 2))
    life = make_life(options=(first, again))
    assert _covered_from(life, Trade.LOCKSMITH, date(2026, 6, 1)) is None
    assert _covered_from(life, Trade.LOCKSMITH, date(2026, 6, 2)) == date(2026, 6, 17)


def test_of_two_options_for_a_trade_the_plan_comes_first_then_the_older_one() -> None:
    younger = OptionPeriod(make_option(code="jeune"), date(2026, 5, 1))
    older = OptionPeriod(make_option(code="vieille", trades=ALL), date(2026, 3, 1))
    life = make_life(options=(younger, older))
    day = date(2026, 7, 1)
    assert [source.terms.code for source in life.sources_on(Trade.LOCKSMITH, day)] == ["vieille", "jeune"]
    assert [source.terms.code for source in life.sources_on(Trade.PLUMBING, day)] == ["confort", "vieille"]


def test_a_home_is_covered_from_the_day_on_which_it_is_the_covered_one() -> None:
    moved = date(2026, 6, 1)
    life = make_life(homes=(HomePeriod(HOME, EFFECTIVE, until=moved), HomePeriod(OTHER_HOME, moved)))
    assert life.covered_from(Trade.PLUMBING, OTHER_HOME, moved) == moved
    assert life.covered_from(Trade.PLUMBING, HOME, moved) is None
    assert [home.home_id if (home := life.home_on(day)) else None for day in (date(2026, 5, 31), moved)] == [
        HOME,
        OTHER_HOME,
    ]


def test_the_line_of_time_begins_with_the_waiting() -> None:
    pause = Fact(CoverCause.PAUSE, paris("2026-01-20T00:00"), until=paris("2026-01-25T00:00"))
    end = Fact(CoverCause.TERMINATION, paris("2026-12-01T00:00"))
    life = make_life(facts=(pause, end))
    assert [(each.kind.value, each.since) for each in life.line_of_time()] == [
        ("waiting", paris("2026-01-10T00:00")),
        ("suspended", paris("2026-01-20T00:00")),
        ("waiting", paris("2026-01-25T00:00")),
        ("active", paris("2026-02-09T00:00")),
        ("ended", paris("2026-12-01T00:00")),
    ]
    kinds = {
        "2026-02-08T23:59": CoverKind.WAITING,
        "2026-02-09T00:00": CoverKind.ACTIVE,
        "2027-01-01T00:00": CoverKind.ENDED,
    }
    assert {text: state.kind if (state := life.state_at(paris(text))) else None for text in kinds} == kinds
    assert life.state_at(paris("2026-01-09T23:59")) is None
