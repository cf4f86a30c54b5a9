"""What becomes of a claim, step by step: what refuses it, what only a person can judge, and who bears how much."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from tests.services.covers.lives import (
    EFFECTIVE,
    HOME,
    OTHER_HOME,
    evening_of,
    make_claim,
    make_life,
    make_option,
    make_terms,
    paris,
)
from webapp.errors import InvalidInputError
from webapp.models.covers import CoverCause, CoverKind, Trade
from webapp.services.covers.claims import Claim, Entry, sum_up
from webapp.services.covers.counters import remaining
from webapp.services.covers.deciding import decide
from webapp.services.covers.decisions import Decision, Left, Outcome, Over, Step
from webapp.services.covers.intervals import Fact
from webapp.services.covers.lifetime import CoverLife, HomePeriod, OptionPeriod

UNPAID = Fact(CoverCause.UNPAID, paris("2026-05-01T00:00"))
PAYMENT = Fact(CoverCause.PAYMENT, paris("2026-05-20T12:00"))
LOCKSMITH = OptionPeriod(make_option(), date(2026, 3, 1))


def _decide(life: CoverLife, claim: Claim, *ledger: Entry, at: date | None = None) -> Decision:
    return decide(life, claim, ledger, evening_of(at or max(claim.declared_on, claim.event_on)))


def _entry(number: int, covered: int, on: str = "2026-04-01", **values: object) -> Entry:
    entry = Entry(claim_id=UUID(int=number), event_on=date.fromisoformat(on), covered=Decimal(covered))
    return replace(entry, **values)  # type: ignore[arg-type]


def _judged(decision: Decision) -> tuple[Outcome, Step]:
    return decision.outcome, decision.reason.step


@pytest.mark.parametrize(
    ("claim", "step", "says"),
    [
        (make_claim("2026-01-09"), Step.IN_FORCE, "ne prend effet que le 10/01/2026"),
        (make_claim("2026-01-10"), Step.WAITING, "jusqu’au 08/02/2026 inclus"),
        (make_claim("2026-05-10"), Step.SUSPENDED, "suspendue pour impayé depuis le 01/05/2026 à 00:00"),
        (make_claim("2026-04-01", trade=Trade.GLAZING), Step.TRADE, "ni par la formule"),
        (make_claim("2026-02-01", trade=Trade.GLAZING), Step.TRADE, "ni par une option"),
        (make_claim("2026-04-01", home_id=OTHER_HOME), Step.HOME, "pas le logement couvert"),
        (make_claim("2026-04-01", asked=Decimal(50)), Step.DEDUCTIBLE, "ne la dépassent pas"),
        (make_claim("2026-04-01", asked=Decimal(0)), Step.DEDUCTIBLE, "Rien n’est demandé"),
        (make_claim("2026-12-02"), Step.IN_FORCE, "a pris fin le 01/12/2026 (déménagement)"),
    ],
)
def test_the_first_step_that_refuses_is_the_reason(claim: Claim, step: Step, says: str) -> None:
    end = Fact(CoverCause.TERMINATION, paris("2026-12-01T00:00"), note="déménagement")
    decision = _decide(make_life(facts=(UNPAID, PAYMENT, end)), claim)
    assert _judged(decision) == (Outcome.REFUSED, step)
    assert says in decision.reason.sentence
    assert decision.lines[-1] is decision.reason
    assert [line.step for line in decision.lines] == list(Step)[: len(decision.lines)]
    assert (decision.covered, decision.deductible, decision.over, decision.entry) == (0, 0, Over(), None)
    assert decision.after == decision.before


def test_a_cover_that_was_never_activated_covers_nothing() -> None:
    life = replace(make_life(), intervals=())
    assert _judged(_decide(life, make_claim("2026-04-01"))) == (Outcome.REFUSED, Step.IN_FORCE)


def test_the_day_of_the_event_decides_not_that_of_the_declaration() -> None:
    life = make_life(facts=(UNPAID,))
    assert _decide(life, make_claim("2026-04-30", declared_on=date(2026, 5, 6))).outcome is Outcome.ACCEPTED
    assert _decide(life, make_claim("2026-05-01")).outcome is Outcome.REFUSED


@pytest.mark.parametrize(
    ("hour", "outcome"),
    [
        ("2026-05-20T11:59", Outcome.REFUSED),
        ("2026-05-20T12:00", Outcome.ACCEPTED),
        (None, Outcome.TO_REVIEW),
    ],
)
def test_on_the_day_on_which_a_cover_resumes_the_hour_decides(hour: str | None, outcome: Outcome) -> None:
    claim = make_claim("2026-05-20", event_at=paris(hour) if hour else None)
    decision = _decide(make_life(facts=(UNPAID, PAYMENT)), claim)
    assert decision.outcome is outcome
    if outcome is not Outcome.ACCEPTED:
        assert decision.reason.step is Step.SUSPENDED


def test_on_the_day_on_which_a_cover_ends_the_hour_decides() -> None:
    life = make_life(facts=(Fact(CoverCause.TERMINATION, paris("2026-05-20T12:00")),))
    judged = [
        _judged(_decide(life, make_claim("2026-05-20", event_at=at)))[0] for at in (None, paris("2026-05-20T11:00"))
    ]
    assert judged == [Outcome.TO_REVIEW, Outcome.ACCEPTED]


def test_a_pause_is_told_apart_from_what_is_unpaid() -> None:
    pause = Fact(CoverCause.PAUSE, paris("2026-05-01T00:00"), until=paris("2026-06-01T00:00"))
    decision = _decide(make_life(facts=(pause,)), make_claim("2026-05-20"))
    assert "suspendue (pause)" in decision.reason.sentence


@pytest.mark.parametrize(
    ("event_on", "last"),
    [
        ("2026-04-01", date(2026, 4, 9)),  # Easter Monday is no working day
        ("2026-04-30", date(2026, 5, 11)),  # nor are 1 and 8 May
        ("2026-06-06", date(2026, 6, 12)),  # a Saturday
    ],
)
def test_a_late_declaration_goes_to_a_person_who_sees_what_it_would_come_to(event_on: str, last: date) -> None:
    life = make_life()
    assert _decide(life, make_claim(event_on, declared_on=last)).outcome is Outcome.ACCEPTED
    late = _decide(life, make_claim(event_on, declared_on=last + timedelta(days=1)))
    assert _judged(late) == (Outcome.TO_REVIEW, Step.DECLARED)
    assert (late.covered, late.deductible, late.after.amount) == (150, 50, 1050)
    assert "seraient, si une personne l’accepte, pris en charge" in late.lines[-1].sentence
    assert late.entry is None


def test_a_late_declaration_of_what_is_not_covered_is_refused() -> None:
    claim = make_claim("2026-04-01", declared_on=date(2026, 6, 1), asked=Decimal(20))
    assert _judged(_decide(make_life(), claim)) == (Outcome.REFUSED, Step.DEDUCTIBLE)


@pytest.mark.parametrize(
    ("event_on", "declared_on", "at"),
    [("2026-04-02", "2026-04-02", "2026-04-01"), ("2026-04-02", "2026-04-01", "2026-04-02")],
)
def test_days_that_cannot_be_go_to_a_person(event_on: str, declared_on: str, at: str) -> None:
    claim = make_claim(event_on, declared_on=date.fromisoformat(declared_on))
    assert _judged(_decide(make_life(), claim, at=date.fromisoformat(at))) == (Outcome.TO_REVIEW, Step.DECLARED)


def test_a_claim_at_a_home_that_was_left_yesterday() -> None:
    moved = date(2026, 6, 1)
    homes = (HomePeriod(HOME, EFFECTIVE, until=moved), HomePeriod(OTHER_HOME, moved, label="3 rue Haute, Lyon"))
    life = make_life(homes=homes)
    assert _decide(life, make_claim("2026-05-31")).outcome is Outcome.ACCEPTED
    left = _decide(life, make_claim(moved))
    assert "c’était 3 rue Haute, Lyon" in left.reason.sentence
    assert _decide(life, make_claim(moved, home_id=None)).inputs.home_id == OTHER_HOME


def test_on_29_february() -> None:
    life = make_life((make_terms(), date(2024, 1, 30)))
    assert _judged(_decide(life, make_claim("2024-02-28"))) == (Outcome.REFUSED, Step.WAITING)
    assert _decide(life, make_claim("2024-02-29")).outcome is Outcome.ACCEPTED


def test_claims_of_another_year_and_the_claim_itself_do_not_count() -> None:
    life, claim = make_life(), make_claim("2026-06-01", claim_id=UUID(int=9))
    ledger = [_entry(1, 500), _entry(2, 500, on="2025-12-01"), _entry(9, 150), _entry(3, 400, on="2027-01-10")]
    assert _decide(life, claim, *ledger).before == Left(2, Decimal(700))


def test_the_plans_own_cap_does_not_bound_an_option_that_stands_apart() -> None:
    claim = make_claim("2026-06-01", trade=Trade.LOCKSMITH)
    used_up = [_entry(1, 1200)]
    assert _decide(make_life(options=(LOCKSMITH,)), claim, *used_up).covered == 150
    drawing = replace(LOCKSMITH, terms=make_option(draws_on_main=True))
    refused = _decide(make_life(options=(drawing,)), claim, *used_up)
    assert _judged(refused) == (Outcome.REFUSED, Step.CAP_PER_YEAR)
    split = _decide(make_life(options=(drawing,)), replace(claim, asked=Decimal(400)), _entry(1, 1000))
    assert (split.covered, split.over) == (200, Over(per_year=Decimal(100), option=Decimal(50)))


def test_an_option_may_stand_apart_from_the_claims_per_year() -> None:
    claim = make_claim("2026-06-01", trade=Trade.LOCKSMITH, claim_id=UUID(int=9))
    three = [_entry(number, 100) for number in (1, 2, 3)]
    assert _judged(_decide(make_life(options=(LOCKSMITH,)), claim, *three)) == (Outcome.REFUSED, Step.CLAIMS_LEFT)
    apart = make_life(options=(replace(LOCKSMITH, terms=make_option(counts_among_claims=False)),))
    decision = _decide(apart, claim, *three)
    assert (decision.outcome, decision.after.claims) == (Outcome.ACCEPTED, 0)
    assert decision.entry is not None
    assert sum_up([decision.entry]).claims == 0


def test_a_claim_of_no_known_amount_takes_one_of_the_claims_and_no_money() -> None:
    claim = make_claim("2026-06-01", asked=None, claim_id=UUID(int=9))
    decision = _decide(make_life(), claim, _entry(1, 500), _entry(2, 500))
    assert (decision.outcome, decision.up_to, decision.covered) == (Outcome.ACCEPTED, 200, 0)
    assert decision.lines[-1].sentence == "200\u00a0€ au plus, une fois le montant connu."
    assert decision.entry is not None
    assert sum_up([decision.entry]).claims == 1
    full = [decision.entry, _entry(1, 1), _entry(2, 1)]
    assert _judged(_decide(make_life(), make_claim("2026-06-02"), *full)) == (Outcome.REFUSED, Step.CLAIMS_LEFT)


def test_what_an_option_covers_does_not_wait_for_the_plan() -> None:
    quick = OptionPeriod(make_option(waiting_days=0, trades=frozenset(Trade)), EFFECTIVE)
    decision = _decide(make_life(options=(quick,)), make_claim("2026-01-20"))
    assert (decision.covered, decision.inputs.option) == (150, quick.terms)
    assert _decide(make_life(options=(quick,)), make_claim("2026-02-09")).inputs.option is None


def test_where_more_was_used_than_there_is_nothing_is_left() -> None:
    by_hand = [_entry(number, 400) for number in (1, 2, 3, 4)]
    decision = _decide(make_life(), make_claim("2026-06-01"), *by_hand)
    assert _judged(decision) == (Outcome.REFUSED, Step.CLAIMS_LEFT)
    assert decision.before == Left(0, Decimal(0))


def test_what_was_corrected_to_nothing_is_no_claim() -> None:
    entries = [_entry(1, 300), _entry(1, -300), _entry(2, 100), _entry(2, -130)]
    used = sum_up(entries)
    assert (used.claims, used.amount) == (0, 0)
    assert _decide(make_life(), make_claim("2026-06-01"), *entries).before == Left(3, Decimal(1200))


def test_limits_that_there_are_not() -> None:
    free = make_terms(deductible=Decimal(0), cap_per_claim=None, cap_per_year=None, claims_per_year=None)
    decision = _decide(make_life((free, EFFECTIVE)), make_claim("2026-06-01", asked=Decimal(9999)), _entry(1, 5000))
    assert (decision.covered, decision.up_to, decision.after) == (9999, None, Left(None, None))
    assert remaining(make_life((free, EFFECTIVE)), [_entry(1, 5000)], date(2026, 6, 1)).sentence == (
        "1 intervention, 5\u202f000\u00a0€, renouvelé le 10/01/2027"
    )


def test_to_the_cent() -> None:
    decision = _decide(make_life(), make_claim("2026-06-01", asked=Decimal("550.01")))
    assert (decision.covered, decision.over.per_claim) == (500, Decimal("0.01"))
    assert "0,01\u00a0€ au-delà du plafond par intervention" in decision.lines[-1].sentence


def test_during_the_waiting_of_an_upgrade_the_former_limits_hold() -> None:
    better = make_terms(version=2, cap_per_claim=Decimal(900), cap_per_year=Decimal(3000))
    life = make_life((make_terms(), EFFECTIVE), (better, date(2026, 6, 1)))
    asked = {"asked": Decimal(1000)}
    assert _decide(life, make_claim("2026-06-30", **asked)).covered == 500
    assert _decide(life, make_claim("2026-07-01", **asked)).covered == 900


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"asked": Decimal(-1)}, "asked"),
        ({"asked": Decimal("1000000.01")}, "asked"),
        ({"asked": Decimal("1.005")}, "asked"),
        ({"asked": Decimal("NaN")}, "asked"),
        ({"event_on": date(1, 1, 1)}, "event_on"),
        ({"declared_on": date(9999, 1, 1)}, "declared_on"),
        ({"event_at": paris("2026-04-02T00:00")}, "event_at"),
    ],
)
def test_what_no_claim_can_say_has_a_sentence_at_its_field(values: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        make_claim("2026-04-01", **values)
    assert (refusal.value.field, refusal.value.message[-1]) == (field, ".")


def test_all_have_words_for_the_screen() -> None:
    assert all(each.label for kind in (Outcome, Step, CoverKind, CoverCause) for each in kind)
