"""Which later claims a correction makes doubtful, and which plan may follow what was used."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from uuid import UUID

import pytest

from tests.services.covers.lives import evening_of, make_claim, make_life, make_terms, paris
from webapp.models.covers import CoverCause
from webapp.services.covers.claims import Entry
from webapp.services.covers.counters import find_excess, remaining
from webapp.services.covers.deciding import decide
from webapp.services.covers.intervals import Fact, activated, intervals_of
from webapp.services.covers.lifetime import CoverLife
from webapp.services.covers.reviewing import Decided, left_to_review

LIFE = make_life()


def _live(life: CoverLife, *claims: tuple[str, int]) -> list[Decided]:
    """Claims of plumbing that were decided one after the other."""
    decided: list[Decided] = []
    for number, (day, asked) in enumerate(claims, start=1):
        claim = make_claim(day, asked=Decimal(asked), claim_id=UUID(int=number))
        ledger = [entry for each in decided for entry in each.entries]
        decision = decide(life, claim, ledger, evening_of(claim.event_on))
        decided.append(Decided(decision, (decision.entry,) if decision.entry else ()))
    return decided


def _correct(decided: list[Decided], place: int, by: int) -> list[Decided]:
    """The claims with a further entry for one of them."""
    each = decided[place]
    entry = replace(each.entries[0], covered=Decimal(by))
    return [*decided[:place], Decided(each.decision, (*each.entries, entry)), *decided[place + 1 :]]


def test_money_that_comes_back_makes_doubtful_what_was_bounded_by_what_was_left() -> None:
    decided = _live(LIFE, ("2026-03-01", 550), ("2026-03-02", 550), ("2026-03-03", 550))
    assert [each.decision.covered for each in decided] == [500, 500, 200]
    assert left_to_review(LIFE, decided) == ()
    [doubt] = left_to_review(LIFE, _correct(decided, 0, by=-250))
    assert doubt.claim_id == UUID(int=3)
    assert doubt.sentence.replace("\u00a0", " ").replace("\u202f", " ") == (
        "Décidé : accepté, 200 € pris en charge. Serait aujourd’hui : accepté, 450 € pris en charge."
    )


def test_a_claim_that_comes_to_nothing_leaves_room_for_one_that_was_refused() -> None:
    decided = _live(LIFE, *[(f"2026-03-0{day}", 100) for day in (1, 2, 3, 4)])
    [doubt] = left_to_review(LIFE, _correct(decided, 1, by=-50))
    assert doubt.claim_id == UUID(int=4)
    assert "refusé (interventions restantes)" in doubt.sentence


def test_of_a_correction_nobody_feels_nothing_is_doubtful() -> None:
    decided = _live(LIFE, ("2026-03-01", 200), ("2026-03-02", 200))
    assert left_to_review(LIFE, _correct(decided, 0, by=-50)) == ()


def test_what_a_person_accepted_counts_for_those_that_follow() -> None:
    first, second = _live(LIFE, ("2026-01-20", 200), ("2026-03-02", 550))
    accepted = Entry(claim_id=UUID(int=1), event_on=date(2026, 1, 20), covered=Decimal(1000))
    [doubt] = left_to_review(LIFE, [Decided(first.decision, (accepted,)), second])
    assert (doubt.claim_id, doubt.would_be.covered) == (UUID(int=2), 200)


def test_a_payment_that_is_known_late_makes_a_refusal_doubtful() -> None:
    facts = [activated(date(2026, 1, 10)), Fact(CoverCause.UNPAID, paris("2026-05-01T00:00"))]
    suspended = replace(LIFE, intervals=intervals_of(facts))
    decided = _live(suspended, ("2026-05-10", 200), ("2026-05-25", 200))
    paid = replace(LIFE, intervals=intervals_of([*facts, Fact(CoverCause.PAYMENT, paris("2026-05-20T12:00"))]))
    assert [doubt.claim_id for doubt in left_to_review(paid, decided)] == [UUID(int=2)]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"claims_per_year": 1}, "2 interventions cette année"),
        ({"cap_per_year": Decimal(600)}, "700\u00a0€ déjà pris en charge"),
        ({"cap_per_year": Decimal(700), "claims_per_year": 2}, None),
        ({"cap_per_year": None, "claims_per_year": None}, None),
    ],
)
def test_a_plan_that_promises_less_than_was_used_may_not_follow(values: dict[str, object], says: str | None) -> None:
    ledger = [entry for each in _live(LIFE, ("2026-03-01", 400), ("2026-03-02", 400)) for entry in each.entries]
    excess = find_excess(remaining(LIFE, ledger, date(2026, 6, 1)), make_terms(**values))
    assert excess is None if says is None else excess is not None and says in excess
    assert find_excess(remaining(LIFE, ledger, date(2027, 6, 1)), make_terms(**values)) is None
