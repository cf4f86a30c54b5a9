"""What holds of every cover, whatever happened to it: limits, intervals, counters, decisions that stand to reason."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.examples import IS_THOROUGH, some
from tests.services.covers import generated
from tests.services.covers.generated import History, decide_at_once
from webapp import clock
from webapp.models.covers import CoverCause, CoverKind, Trade
from webapp.services.covers.claims import Claim, Entry
from webapp.services.covers.counters import remaining
from webapp.services.covers.decisions import Decision, Outcome, Over
from webapp.services.covers.intervals import Fact, Interval, activated, intervals_of
from webapp.services.covers.lifetime import CoverLife
from webapp.services.covers.reviewing import Decided, left_to_review

MANY_LIVES = settings(
    max_examples=some(200),
    phases=[Phase.explicit, Phase.generate] if not IS_THOROUGH else [Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
START = date(2026, 1, 10)


def _sum_of_claims(entries: Sequence[Entry]) -> dict[object, Decimal]:
    """What each claim covers in the end; a correction below zero gives nothing back beyond it."""
    sums: dict[object, Decimal] = {}
    for entry in entries:
        sums[entry.claim_id] = sums.get(entry.claim_id, Decimal(0)) + entry.covered
    return {claim_id: max(covered, Decimal(0)) for claim_id, covered in sums.items()}


def _within(history: History, place: int) -> list[Entry]:
    """What counted in the cover year of the claim at a place when it was decided."""
    before = [entry for each in history.decided[:place] for entry in each.entries]
    year = history.life.year_of(history.decided[place].decision.claim.event_on)
    return [entry for entry in before if entry.event_on in year]


@given(history=generated.histories())
@MANY_LIVES
def test_nothing_is_covered_above_any_limit(history: History) -> None:
    for place, each in enumerate(history.decided):
        decision, before = each.decision, _within(history, place)
        if not decision.covered:
            continue
        limits, option = history.life.limits_on(decision.claim.event_on), decision.inputs.option
        cap_per_claim = (option or limits).cap_per_claim
        assert cap_per_claim is None or decision.covered <= cap_per_claim
        if limits.cap_per_year is not None and (option is None or option.draws_on_main):
            of_main = _sum_of_claims([entry for entry in before if entry.draws_on_main])
            assert sum(of_main.values()) + decision.covered <= limits.cap_per_year
        if option is not None and option.cap_per_year is not None:
            of_option = _sum_of_claims([entry for entry in before if entry.option == option.code])
            assert sum(of_option.values()) + decision.covered <= option.cap_per_year
        if limits.claims_per_year is not None and (option is None or option.counts_among_claims):
            counted = _sum_of_claims([entry for entry in before if entry.counts])
            assert sum(covered > 0 for covered in counted.values()) < limits.claims_per_year


@given(history=generated.histories())
@MANY_LIVES
def test_what_is_asked_is_borne_by_somebody(history: History) -> None:
    for each in history.decided:
        decision = each.decision
        if decision.outcome is Outcome.REFUSED:
            assert (decision.covered, decision.deductible, decision.over) == (0, 0, Over())
            assert decision.after == decision.before
        else:
            assert decision.covered + decision.deductible + decision.over.total == decision.claim.asked
            assert decision.covered > 0
            assert min(decision.deductible, *vars(decision.over).values()) >= 0
            assert decision.up_to is None or decision.covered <= decision.up_to


@given(history=generated.histories())
@MANY_LIVES
def test_only_what_is_promised_is_covered(history: History) -> None:
    for each in history.decided:
        decision, life = each.decision, history.life
        if decision.outcome is not Outcome.ACCEPTED:
            continue
        claim, home = decision.claim, life.home_on(decision.claim.event_on)
        assert home is not None
        assert claim.home_id in (None, home.home_id)
        sources = life.sources_on(claim.trade, claim.event_on)
        assert any(source.covered_from <= claim.event_on for source in sources)
        instants = (
            [claim.event_at]
            if claim.event_at
            else [clock.start_of(claim.event_on) + timedelta(hours=h) for h in range(24)]
        )
        states = [life.state_at(instant) for instant in instants]
        assert all(state is not None and state.kind in (CoverKind.ACTIVE, CoverKind.WAITING) for state in states)


@given(history=generated.histories())
@MANY_LIVES
def test_a_decision_is_always_the_same_and_kept_whole(history: History) -> None:
    for place, each in enumerate(history.decided):
        before = [entry for earlier in history.decided[:place] for entry in earlier.entries]
        assert decide_at_once(history.life, each.decision.claim, before) == each.decision
        stored = each.decision.as_json()
        assert Decision.from_json(stored) == each.decision
        assert Decision.from_json(stored).as_json() == stored


@given(history=generated.histories(), data=st.data(), more=generated.AMOUNTS)
@MANY_LIVES
def test_who_asks_for_more_is_covered_for_no_less(history: History, data: st.DataObject, more: Decimal) -> None:
    claim: Claim = data.draw(generated.claims(history.life))
    asked = claim.asked or Decimal(0)
    less = decide_at_once(history.life, claim, history.ledger)
    greater = decide_at_once(history.life, _asking(claim, asked + more), history.ledger)
    assert less.covered <= greater.covered <= less.covered + more + (asked if less.outcome is Outcome.REFUSED else 0)
    assert less.deductible <= greater.deductible
    assert less.over.total <= greater.over.total
    assert less.outcome is Outcome.REFUSED or greater.outcome is less.outcome


def _asking(claim: Claim, asked: Decimal) -> Claim:
    return replace(claim, asked=asked)


@given(history=generated.histories(), offset=generated.OFFSETS)
@MANY_LIVES
def test_counters_are_the_sums_of_the_ledger(history: History, offset: int) -> None:
    on = history.life.effective_on + timedelta(days=offset)
    counters = remaining(history.life, history.ledger, on)
    within = [entry for entry in history.ledger if entry.event_on in counters.year]
    assert counters.amount == sum(_sum_of_claims([entry for entry in within if entry.draws_on_main]).values())
    counted = _sum_of_claims([entry for entry in within if entry.counts])
    assert counters.claims == sum(covered > 0 for covered in counted.values())
    for option in counters.options:
        of_option = _sum_of_claims([entry for entry in within if entry.option == option.code])
        assert option.amount == sum(of_option.values())
    assert counters.sentence.endswith(f"{counters.year.renewed_on:%d/%m/%Y}")


@given(history=generated.histories())
@MANY_LIVES
def test_what_is_left_is_what_the_next_one_finds(history: History) -> None:
    for place, each in enumerate(history.decided):
        decision = each.decision
        if decision.outcome is Outcome.ACCEPTED and len(each.entries) == 1:
            before = [entry for earlier in history.decided[: place + 1] for entry in earlier.entries]
            again = replace(decision.claim, claim_id=None)
            assert decide_at_once(history.life, again, before).before == decision.after


@given(life=generated.lives(), trade=st.sampled_from(Trade))
@MANY_LIVES
def test_what_is_covered_does_not_wait_anew(life: CoverLife, trade: Trade) -> None:
    days = [period.since for period in (*life.plans, *life.options) if period.since > life.effective_on]
    for day in days:
        was_covered = any(source.covered_from < day for source in life.sources_on(trade, day - timedelta(days=1)))
        for source in life.sources_on(trade, day):
            assert source.since < day or not was_covered or source.covered_from < day
            assert source.covered_from <= source.since + timedelta(days=source.terms.waiting_days)


@given(happened=st.lists(generated.facts(START), max_size=8))
@MANY_LIVES
def test_intervals_neither_overlap_nor_leave_holes(happened: list[Fact]) -> None:
    intervals = intervals_of([activated(START), *happened])
    assert intervals[0].since == clock.start_of(START)
    assert intervals[-1].until is None
    for one, next_one in pairwise(intervals):
        assert one.since < next_one.since
        assert one.until == next_one.since
        assert (one.kind, one.cause, one.note) != (next_one.kind, next_one.cause, next_one.note)
    if not any(fact.cause is CoverCause.CORRECTION for fact in happened):
        assert all(interval.kind is not CoverKind.ENDED for interval in intervals[:-1])


@given(happened=st.lists(generated.facts(START), max_size=8), hours=st.integers(0, 24 * generated.LENGTH))
@MANY_LIVES
def test_every_instant_is_as_its_facts_say(happened: list[Fact], hours: int) -> None:
    instant = clock.start_of(START) + timedelta(hours=hours)
    [interval] = [each for each in intervals_of([activated(START), *happened]) if each.holds_at(instant)]
    assert interval.kind is _kind_by_hand(happened, instant)


def _kind_by_hand(happened: list[Fact], instant: object) -> CoverKind:
    """The kind at an instant, told by the last correction and by what was begun, and not ended, after it."""
    held = [fact for fact in happened if fact.holds_at(instant)]  # type: ignore[arg-type]
    kind = CoverKind.ACTIVE
    for place in reversed(range(len(held))):
        if held[place].cause is CoverCause.CORRECTION:
            kind, held = held[place].kind or CoverKind.ACTIVE, held[place + 1 :]
            break
    if kind is CoverKind.ENDED or any(fact.cause in (CoverCause.TERMINATION, CoverCause.RENUNCIATION) for fact in held):
        return CoverKind.ENDED
    payments = [(fact.since, place) for place, fact in enumerate(held) if fact.cause is CoverCause.PAYMENT]
    resumptions = [(fact.since, place) for place, fact in enumerate(held) if fact.cause is CoverCause.RESUMPTION]
    for place, fact in enumerate(held):
        if fact.cause is CoverCause.UNPAID:
            is_lifted = any(
                (since, at) > (fact.since, place) or (at > place and since <= fact.since) for since, at in payments
            )
            if not is_lifted:
                return CoverKind.SUSPENDED
        if fact.cause is CoverCause.PAUSE and not any(lifted > (fact.since, place) for lifted in resumptions):
            return CoverKind.SUSPENDED
    return CoverKind.ACTIVE if payments or resumptions else kind


@given(happened=st.lists(generated.facts(START), max_size=6), data=st.data())
@MANY_LIVES
def test_the_order_in_which_facts_are_written_does_not_matter(happened: list[Fact], data: st.DataObject) -> None:
    by_time = {fact.since: fact for fact in happened if fact.cause not in (CoverCause.CORRECTION, CoverCause.UNPAID)}
    shuffled: list[Fact] = data.draw(st.permutations(list(by_time.values())))
    assert intervals_of([*shuffled, activated(START)]) == intervals_of([activated(START), *by_time.values()])


@given(life=generated.lives(), offset=generated.OFFSETS)
@MANY_LIVES
def test_the_line_of_time_is_the_intervals_with_the_waiting_told_apart(life: CoverLife, offset: int) -> None:
    instant = clock.start_of(life.effective_on + timedelta(days=offset))
    state = life.state_at(instant)
    assert state is not None
    stored = next(each for each in life.intervals if each.holds_at(instant))
    is_waiting = offset < life.plans[0].terms.waiting_days and stored.kind is CoverKind.ACTIVE
    assert state.kind is (CoverKind.WAITING if is_waiting else stored.kind)
    _assert_gapless(life.line_of_time())


def _assert_gapless(line: Sequence[Interval]) -> None:
    assert [each.until for each in line] == [*(each.since for each in line[1:]), None]


@given(history=generated.histories())
@MANY_LIVES
def test_without_a_correction_nothing_is_doubtful(history: History) -> None:
    as_decided = [Decided(each.decision, each.entries) for each in history.decided]
    assert left_to_review(history.life, as_decided) == ()


@given(history=generated.histories())
@MANY_LIVES
def test_a_correction_makes_later_claims_doubtful_only(history: History) -> None:
    for place, was in enumerate(history.decided):
        if not was.entries:
            continue
        given_back = replace(was.entries[0], covered=-sum((entry.covered for entry in was.entries), Decimal(0)))
        corrected = Decided(was.decision, (*was.entries, given_back))
        decided = [*history.decided[:place], corrected, *history.decided[place + 1 :]]
        earlier = {each.decision.claim.claim_id for each in decided[: place + 1]}
        for doubt in left_to_review(history.life, decided):
            assert doubt.claim_id not in earlier
            assert given_back.event_on in doubt.decided.inputs.year
            assert doubt.would_be.covered >= doubt.decided.covered  # what one gave back is there for another
