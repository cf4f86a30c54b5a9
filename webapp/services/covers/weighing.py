"""What a claim comes to beside its cover: what promises it, what is left, and who bears how much. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property

from webapp.services.covers.claims import Claim, Entry, sum_up
from webapp.services.covers.decisions import Inputs, Left, Over
from webapp.services.covers.intervals import Interval
from webapp.services.covers.lifetime import CoverLife, Source
from webapp.services.covers.terms import NOTHING, OptionTerms, Terms


@dataclass(frozen=True)
class Shares:
    """Who bears how much of what is asked: what is over, by the limit that was reached."""

    covered: Decimal
    deductible: Decimal
    over_claim: Decimal
    over_option: Decimal
    over_year: Decimal


class Weighing:
    """A claim beside what its cover promises for the day of the event, and what is left of it."""

    def __init__(self, life: CoverLife, claim: Claim, ledger: Iterable[Entry], at: datetime) -> None:
        self.life, self.claim, self.at, self.day = life, claim, at, claim.event_on
        self.limits = life.limits_on(self.day)
        self.year = life.year_of(self.day)
        self.entries = tuple(entry for entry in ledger if entry.event_on in self.year and not self._is_own(entry))
        self.used = sum_up(self.entries)
        self.sources = life.sources_on(claim.trade, self.day)
        self.home = life.home_on(self.day)

    def _is_own(self, entry: Entry) -> bool:
        return self.claim.claim_id is not None and entry.claim_id == self.claim.claim_id

    @cached_property
    def states(self) -> tuple[Interval, ...]:
        """How the cover stood at the hour of the event, or where that is not known, in the course of the day."""
        states = self.life.states_on(self.day)
        at = self.claim.event_at
        return states if at is None else tuple(state for state in states if state.holds_at(at))

    @cached_property
    def source(self) -> Source | None:
        """By what the trade is covered: the plan before any option, and what covers it before what still waits."""
        covering = [source for source in self.sources if source.covered_from <= self.day]
        waiting = sorted(self.sources, key=lambda source: source.covered_from)
        return next(iter([*covering, *waiting]), None)

    @property
    def option(self) -> OptionTerms | None:
        """The option by which it is covered."""
        return self.source.option if self.source else None

    @property
    def terms(self) -> Terms | OptionTerms:
        """Whose deductible and cap per claim hold."""
        return self.option or self.limits

    @property
    def counts(self) -> bool:
        """Whether it would be one of the claims per year."""
        return self.option is None or self.option.counts_among_claims

    @property
    def draws_on_main(self) -> bool:
        """Whether it would be part of the plan's yearly cap."""
        return self.option is None or self.option.draws_on_main

    @cached_property
    def left(self) -> Left:
        """What is left of the cover year before this claim."""
        claims, amount = self.limits.claims_per_year, self.limits.cap_per_year
        of_option = self.option.cap_per_year if self.option else None
        return Left(
            claims=None if claims is None else max(claims - self.used.claims, 0),
            amount=None if amount is None else max(amount - self.used.amount, NOTHING),
            option=None
            if self.option is None or of_option is None
            else max(of_option - self.used.by_option.get(self.option.code, NOTHING), NOTHING),
        )

    @cached_property
    def left_after(self) -> Left:
        """What is left of it once this claim is covered."""
        left, covered = self.left, self.shares.covered
        return Left(
            claims=left.claims - 1 if left.claims is not None and self.counts else left.claims,
            amount=left.amount - covered if left.amount is not None and self.draws_on_main else left.amount,
            option=None if left.option is None else left.option - covered,
        )

    @property
    def cap_per_claim(self) -> Decimal | None:
        """The most that is covered of one claim."""
        return None if self.terms.cap_per_claim is None else max(self.terms.cap_per_claim, NOTHING)

    @property
    def left_of_main(self) -> Decimal | None:
        """What is left of the plan's yearly cap for this claim; None where that is no limit to it."""
        return self.left.amount if self.draws_on_main else None

    @cached_property
    def up_to(self) -> Decimal | None:
        """The most that could be covered."""
        limits = (self.cap_per_claim, self.left.option, self.left_of_main)
        return min((limit for limit in limits if limit is not None), default=None)

    @cached_property
    def shares(self) -> Shares:
        """Who bears how much: the client the deductible, then what is over each limit in its turn."""
        asked = self.claim.asked or NOTHING
        deductible = min(max(self.terms.deductible, NOTHING), asked)
        rest, over_claim = _within(asked - deductible, self.cap_per_claim)
        rest, over_option = _within(rest, self.left.option)
        rest, over_year = _within(rest, self.left_of_main)
        return Shares(rest, deductible, over_claim, over_option, over_year)

    @property
    def over(self) -> Over:
        """What no cover bears, by what set the limit."""
        shares = self.shares
        if self.option:
            return Over(per_year=shares.over_year, option=shares.over_claim + shares.over_option)
        return Over(per_claim=shares.over_claim, per_year=shares.over_year)

    @property
    def inputs(self) -> Inputs:
        """What the decision stands on."""
        return Inputs(
            terms=self.limits,
            option=self.option,
            covered_from=self.source.covered_from if self.source else None,
            home_id=self.home.home_id if self.home else None,
            year=self.year,
            states=self.states,
            entries=self.entries,
        )


def _within(amount: Decimal, limit: Decimal | None) -> tuple[Decimal, Decimal]:
    """What of an amount is within a limit, and what is over it."""
    within = amount if limit is None else min(amount, limit)
    return within, amount - within
