"""Lives of covers drawn by chance: changes of plan, options, moves, whatever happens to a cover, and claims."""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

from hypothesis import strategies as st

from tests.services.covers.lives import HOME, OTHER_HOME, evening_of
from webapp import clock
from webapp.models.covers import CoverCause, CoverKind, Trade, YearKind
from webapp.services.covers.claims import Claim, Entry
from webapp.services.covers.deciding import decide
from webapp.services.covers.decisions import Decision
from webapp.services.covers.intervals import Fact, activated, intervals_of
from webapp.services.covers.lifetime import CoverLife, HomePeriod, OptionPeriod, PlanPeriod
from webapp.services.covers.reviewing import Decided
from webapp.services.covers.terms import OptionTerms, Terms

STARTS = st.sampled_from([date(2024, 2, 29), date(2025, 10, 1), date(2026, 1, 10), date(2026, 3, 1)])
LENGTH = 900
"""Days within which all of a life happens."""
OFFSETS = st.integers(0, LENGTH)
TRADES = st.frozensets(st.sampled_from(Trade), min_size=3)
WAITING = st.sampled_from([0, 1, 15, 30, 90])
USUAL_AMOUNTS = [Decimal(amount) for amount in ("0", "49.99", "50", "120", "200.05", "350", "420", "640.10", "1300")]
AMOUNTS = st.sampled_from(USUAL_AMOUNTS) | st.integers(0, 90_000).map(lambda cents: Decimal(cents) / 100)
DEDUCTIBLES = st.sampled_from([Decimal(0), Decimal("49.99"), Decimal(50)])
CAPS_PER_CLAIM = st.sampled_from([None, Decimal(300), Decimal("499.99")])
CAPS_PER_YEAR = st.sampled_from([None, Decimal(500), Decimal(500), Decimal("800.50")])


CAUSES = (
    *(CoverCause.UNPAID, CoverCause.PAYMENT, CoverCause.PAUSE, CoverCause.RESUMPTION) * 3,
    *(CoverCause.CORRECTION, CoverCause.CORRECTION, CoverCause.TERMINATION, CoverCause.RENUNCIATION),
)
"""Most of them leave something to be decided."""


@st.composite
def terms(draw: st.DrawFn) -> Terms:
    """What a plan promises."""
    return Terms(
        code="confort",
        version=draw(st.integers(1, 9)),
        label="Confort",
        trades=draw(TRADES),
        waiting_days=draw(WAITING),
        deductible=draw(DEDUCTIBLES),
        cap_per_claim=draw(CAPS_PER_CLAIM),
        cap_per_year=draw(CAPS_PER_YEAR),
        claims_per_year=draw(st.sampled_from([None, 2, 3])),
        year=draw(st.sampled_from(YearKind)),
    )


@st.composite
def options(draw: st.DrawFn, start: date) -> OptionPeriod:
    """An option, for good or for some days."""
    code = draw(st.sampled_from(["serrurerie", "verre"]))
    sold = OptionTerms(
        code=code,
        label=code.title(),
        trades=draw(TRADES),
        waiting_days=draw(WAITING),
        deductible=draw(DEDUCTIBLES),
        cap_per_claim=draw(CAPS_PER_CLAIM),
        cap_per_year=draw(CAPS_PER_YEAR),
        draws_on_main=draw(st.booleans()),
        counts_among_claims=draw(st.booleans()),
    )
    since = start + timedelta(days=draw(OFFSETS))
    until = draw(st.none() | st.integers(1, LENGTH).map(lambda days: since + timedelta(days=days)))
    return OptionPeriod(sold, since, until)


@st.composite
def facts(draw: st.DrawFn, start: date) -> Fact:
    """Something that happens to a cover at a full hour of its life, or somewhat before."""
    cause = draw(st.sampled_from(CAUSES))
    since = clock.start_of(start) + timedelta(hours=draw(st.integers(-48, LENGTH * 24)))
    has_until = cause in (CoverCause.PAUSE, CoverCause.CORRECTION)
    until = since + timedelta(hours=draw(st.integers(1, 2000))) if has_until and draw(st.booleans()) else None
    kinds = st.sampled_from([CoverKind.ACTIVE, CoverKind.ACTIVE, CoverKind.SUSPENDED, CoverKind.ENDED])
    kind = draw(kinds) if cause is CoverCause.CORRECTION else None
    return Fact(cause, since, until, kind)


@st.composite
def lives(draw: st.DrawFn) -> CoverLife:
    """A cover with its upgrades and downgrades, options, moves, and whatever happened to it."""
    start = draw(STARTS)
    changes = sorted(start + timedelta(days=days) for days in draw(st.lists(OFFSETS, max_size=3)))
    moves = draw(st.none() | OFFSETS.map(lambda days: start + timedelta(days=days)))
    homes = (HomePeriod(HOME, start, until=moves), *([HomePeriod(OTHER_HOME, moves)] if moves else []))
    happened = draw(st.lists(facts(start), max_size=3))
    return CoverLife(
        effective_on=start,
        plans=tuple(PlanPeriod(draw(terms()), since) for since in (start, *changes)),
        options=tuple(draw(st.lists(options(start), max_size=3))),
        homes=homes,
        intervals=intervals_of([activated(start), *happened]),
    )


@st.composite
def claims(draw: st.DrawFn, life: CoverLife, first: int = -2, last: int = LENGTH) -> Claim:
    """A claim between two days of a life, or somewhat before, mostly for what the plan of its start covers."""
    event_on = life.effective_on + timedelta(days=draw(st.integers(first, last)))
    usual = sorted(life.plans[0].terms.trades)
    return Claim(
        trade=draw(st.sampled_from([*usual, *usual, *Trade])),
        event_on=event_on,
        declared_on=event_on + timedelta(days=draw(st.sampled_from([0, 0, 0, 0, 1, 3, 5, 20, -1]))),
        asked=draw(AMOUNTS),
        home_id=draw(st.sampled_from([None, None, None, None, HOME, OTHER_HOME])),
        event_at=draw(st.none() | st.just(clock.start_of(event_on) + timedelta(hours=13))),
        claim_id=UUID(int=draw(st.integers(1, 2**64))),
    )


@dataclass(frozen=True)
class History:
    """A life, its claims as they were decided one after the other, and the ledger that this left."""

    life: CoverLife
    decided: tuple[Decided, ...]

    @property
    def ledger(self) -> list[Entry]:
        """All entries, in the order in which they were written."""
        return [entry for each in self.decided for entry in each.entries]


def decide_at_once(life: CoverLife, claim: Claim, ledger: list[Entry]) -> Decision:
    """The decision in the evening of the declaration, or of the event where that is later."""
    return decide(life, claim, ledger, evening_of(max(claim.event_on, claim.declared_on)))


def _claim_id(claim: Claim) -> object:
    return claim.claim_id


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Claims that are decided one after the other, some of them corrected afterwards."""
    life = draw(lives())
    decided: list[Decided] = []
    ledger: list[Entry] = []
    first = draw(OFFSETS)
    some_claims = st.lists(claims(life, first, first + 150), min_size=2, max_size=8, unique_by=_claim_id)
    for claim in draw(some_claims):
        decision = decide_at_once(life, claim, ledger)
        entries = [decision.entry] if decision.entry else []
        if entries and draw(st.integers(0, 3)) == 0:
            entries.append(replace(entries[0], covered=draw(AMOUNTS) - entries[0].covered))
        ledger += entries
        decided.append(Decided(decision, tuple(entries)))
    return History(life, tuple(decided))
