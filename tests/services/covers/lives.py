"""Terms, lives and claims for tests, with a default for all that a test does not care about."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from webapp import clock
from webapp.models.covers import Trade
from webapp.services.covers.claims import Claim
from webapp.services.covers.intervals import Fact, activated, intervals_of
from webapp.services.covers.lifetime import CoverLife, HomePeriod, OptionPeriod, PlanPeriod
from webapp.services.covers.terms import OptionTerms, Terms

EFFECTIVE = date(2026, 1, 10)
HOME = UUID(int=1)
OTHER_HOME = UUID(int=2)
PLUMBING = frozenset({Trade.PLUMBING})


def make_terms(**values: object) -> Terms:
    """Plumbing and electricity, after thirty days, up to 500 a claim, 1,200 a year and three claims."""
    usual = {
        "code": "confort",
        "version": 1,
        "label": "Confort",
        "trades": frozenset({Trade.PLUMBING, Trade.ELECTRICITY}),
        "waiting_days": 30,
        "deductible": Decimal(50),
        "cap_per_claim": Decimal(500),
        "cap_per_year": Decimal(1200),
        "claims_per_year": 3,
    }
    return Terms(**{**usual, **values})  # type: ignore[arg-type]


def make_option(**values: object) -> OptionTerms:
    """A locksmith, after fifteen days, up to 300 a claim and a year, apart from the plan's cap."""
    usual = {
        "code": "serrurerie",
        "label": "Serrurerie",
        "trades": frozenset({Trade.LOCKSMITH}),
        "waiting_days": 15,
        "deductible": Decimal(50),
        "cap_per_claim": Decimal(300),
        "cap_per_year": Decimal(300),
    }
    return OptionTerms(**{**usual, **values})  # type: ignore[arg-type]


def make_life(
    *plans: tuple[Terms, date],
    facts: tuple[Fact, ...] = (),
    options: tuple[OptionPeriod, ...] = (),
    homes: tuple[HomePeriod, ...] | None = None,
    anniversary: date | None = None,
) -> CoverLife:
    """A life since 10 January 2026, or since its first plan, at HOME, with what happened after its activation."""
    plans = plans or ((make_terms(), EFFECTIVE),)
    effective_on = plans[0][1]
    return CoverLife(
        effective_on=effective_on,
        plans=tuple(PlanPeriod(terms, since) for terms, since in plans),
        options=options,
        homes=(HomePeriod(HOME, effective_on),) if homes is None else homes,
        intervals=intervals_of([activated(effective_on), *facts]),
        anniversary=anniversary,
    )


def make_claim(on: str | date, **values: object) -> Claim:
    """A burst pipe at HOME on a day, declared on the same day, 200 asked."""
    day = on if isinstance(on, date) else date.fromisoformat(on)
    usual = {"trade": Trade.PLUMBING, "event_on": day, "declared_on": day, "asked": Decimal(200), "home_id": HOME}
    return Claim(**{**usual, **values})  # type: ignore[arg-type]


def evening_of(day: date) -> datetime:
    """Six o'clock in the evening in Paris."""
    return clock.start_of(day) + timedelta(hours=18)


def paris(text: str) -> datetime:
    """An instant as a clock on the wall in Paris shows it."""
    return datetime.fromisoformat(text).replace(tzinfo=clock.PARIS)
