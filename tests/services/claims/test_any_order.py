"""Whatever is declared, decided, contested and canceled in any order: counters are the ledger's, caps hold."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from tests.conftest import Cast
from tests.examples import some
from tests.services.claims.files import NOON, add_option, declare, evening_of, make_cover
from webapp.errors import DomainError
from webapp.extensions import db
from webapp.models.claims import Claim, ClaimDecision, ClaimStatus
from webapp.models.covers import Cover, Trade
from webapp.services.claims import accounts, deciding, doubting, money, working
from webapp.services.covers import ledger, loading
from webapp.services.covers.counters import remaining

AMOUNTS = st.sampled_from([None, "0", "50", "60.01", "300", "420", "640.10", "1500"])
OFTEN = ("accept", "correct", "contest")
SELDOM = ("refuse", "confirm", "start", "close", "reopen", "cancel", "paid", "recovered", "reserve", "look")
ACTS = st.sampled_from([*OFTEN, *OFTEN, *SELDOM])
DECLARED = st.tuples(st.just("declare"), st.sampled_from([0, 0, 0, 30, 100]), AMOUNTS)
DONE = st.tuples(ACTS, st.integers(0, 5), AMOUNTS)
STEPS = st.lists(st.one_of(DECLARED, DONE, DONE), min_size=6, max_size=18)
OVER = (ClaimStatus.REFUSED, ClaimStatus.CLOSED, ClaimStatus.CANCELED)
STANDING = (ClaimStatus.ACCEPTED, ClaimStatus.IN_PROGRESS, ClaimStatus.CLOSED)


class World:
    """A cover with its claims, and what people do with them, whether it is allowed or not."""

    def __init__(self, cast: Cast) -> None:
        self.by = cast.manager
        self.cover: Cover = make_cover(cast.commercial, claims_per_year=3, cap_per_year=Decimal(1000))
        add_option(self.cover, "SERRURERIE", by=self.by, at=evening_of(date(2026, 5, 1)))
        self.life = loading.life_of(loading.find_cover(self.cover.id))
        self.claims: list[Claim] = []
        self.at = NOON

    def do(self, act: str, number: int, amount: str | None) -> None:
        """One step, a minute after the one before it; what is refused changes nothing."""
        self.at += timedelta(minutes=1)
        if act == "declare":
            day = NOON.date() - timedelta(days=number)
            trade = Trade.LOCKSMITH if amount == "300" else Trade.PLUMBING
            self.claims.append(declare(self.cover, self.by, day, amount, trade=trade, at=self.at))
            return
        if not self.claims:
            return
        claim = self.claims[number % len(self.claims)]
        before = self.state_of(claim)
        try:
            self.acts(claim, None if amount is None else Decimal(amount))[act]()
        except DomainError:
            assert self.state_of(claim) == before, (act, "a refusal changes nothing")

    def acts(self, claim: Claim, amount: Decimal | None) -> dict[str, Callable[[], object]]:
        common: dict[str, Any] = {"version": claim.version, "by": self.by, "at": self.at}
        why = common | {"reason": "Motif"}
        money_too = common | {"note": "Remarque"}
        return {
            "accept": lambda: deciding.accept(claim.id, covered=amount, **why),
            "refuse": lambda: deciding.refuse(claim.id, **why),
            "contest": lambda: deciding.contest(claim.id, **why),
            "correct": lambda: deciding.correct_asked(claim.id, asked=amount, **why),
            "confirm": lambda: deciding.confirm(claim.id, **why),
            "start": lambda: working.start(claim.id, **common),
            "close": lambda: working.close(claim.id, **common),
            "reopen": lambda: working.reopen(claim.id, **why),
            "cancel": lambda: working.cancel(claim.id, **why),
            "paid": lambda: money.add_paid(claim.id, amount, **money_too),
            "recovered": lambda: money.add_recovered(claim.id, amount, **money_too),
            "reserve": lambda: money.set_reserve(claim.id, amount, **money_too),
            "look": lambda: doubting.look_again(self.cover.id, at=self.at),
        }

    @staticmethod
    def state_of(claim: Claim) -> tuple[object, ...]:
        """What a refusal must leave alone."""
        sums = accounts.sums_of(claim.id)
        return claim.status, claim.version, claim.asked, claim.covered, claim.doubt, sums

    def check(self) -> None:
        """What holds at every moment."""
        ruled: list[Claim] = []
        for claim in self.claims:
            sums = accounts.sums_of(claim.id)
            assert claim.covered == sums.covered >= 0
            assert sums.reserve >= 0
            assert 0 <= sums.recovered <= sums.paid
            assert claim.doubt is None or claim.status in doubting.STANDING
            if claim.status in OVER and claim.status is not ClaimStatus.REFUSED:
                assert sums.reserve == 0
            if claim.status not in STANDING:
                assert claim.covered == 0
            elif claim.asked is not None:
                assert claim.covered + claim.deductible + claim.over == claim.asked
            if not self.is_override(claim):
                ruled.append(claim)
        self.check_caps(ruled)

    def check_caps(self, ruled: list[Claim]) -> None:
        """Counters are what the files say; what no person decided otherwise is within every limit."""
        counters = remaining(self.life, ledger.list_entries(self.cover.id), NOON.date())
        by_plan = [claim for claim in self.claims if claim.trade is Trade.PLUMBING]
        by_option = [claim for claim in self.claims if claim.trade is Trade.LOCKSMITH]
        assert counters.amount == sum(claim.covered for claim in by_plan)
        assert counters.options[0].amount == sum(claim.covered for claim in by_option)
        assert counters.claims == sum(map(self.takes_place, self.claims))
        assert sum(claim.covered for claim in ruled if claim in by_plan) <= 1000
        assert sum(claim.covered for claim in ruled if claim in by_option) <= 300
        assert sum(map(self.takes_place, ruled)) <= 3
        assert all(claim.covered <= 500 for claim in ruled)

    @staticmethod
    def takes_place(claim: Claim) -> bool:
        """Whether it is one of the claims of the year."""
        return claim.covered > 0 or (claim.status in STANDING and claim.asked is None)

    @staticmethod
    def is_override(claim: Claim) -> bool:
        """Whether the decision that holds is a person's, against the rules."""
        statement = select(ClaimDecision.is_override).where(ClaimDecision.claim_id == claim.id)
        return bool(db.session.scalar(statement.order_by(ClaimDecision.at.desc(), ClaimDecision.id.desc()).limit(1)))


@settings(
    max_examples=some(60),
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS)
def test_any_order(cast: Cast, steps: list[tuple[str, int, str | None]]) -> None:
    world = World(cast)
    for step in [("declare", 0, "420"), ("declare", 0, None), *steps]:
        world.do(*step)
        world.check()
