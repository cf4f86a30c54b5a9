"""The worked example of the specification, row by row and to the cent: one cover, eleven claims, two cover years."""

import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest

from webapp import clock
from webapp.models.covers import Trade
from webapp.services.covers.claims import Claim, Entry
from webapp.services.covers.counters import remaining
from webapp.services.covers.deciding import decide
from webapp.services.covers.decisions import Decision, Left, Outcome, Over, Step
from webapp.services.covers.intervals import activated, intervals_of
from webapp.services.covers.lifetime import CoverLife, HomePeriod, OptionPeriod, PlanPeriod
from webapp.services.covers.terms import OptionTerms, Terms

HOME = UUID(int=1)
NOT_OVER = Over()
EFFECTIVE = date(2026, 1, 10)
PLAN = Terms(
    code="confort",
    version=1,
    label="Confort",
    trades=frozenset({Trade.PLUMBING, Trade.ELECTRICITY}),
    waiting_days=30,
    deductible=Decimal(50),
    cap_per_claim=Decimal(500),
    cap_per_year=Decimal(1200),
    claims_per_year=3,
)
LOCKSMITH = OptionTerms(
    code="serrurerie",
    label="Serrurerie",
    trades=frozenset({Trade.LOCKSMITH}),
    waiting_days=15,
    deductible=Decimal(50),
    cap_per_claim=Decimal(300),
    cap_per_year=Decimal(300),
)
LIFE = CoverLife(
    effective_on=EFFECTIVE,
    plans=(PlanPeriod(PLAN, EFFECTIVE),),
    options=(OptionPeriod(LOCKSMITH, date(2026, 5, 1)),),
    homes=(HomePeriod(HOME, EFFECTIVE),),
    intervals=intervals_of([activated(EFFECTIVE)]),
)


@dataclass(frozen=True)
class Row:
    """A claim, and what is to become of it: ``left`` are claims, the yearly cap, and the option's where it is told."""

    day: str
    trade: Trade
    asked: int
    covered: int = 0
    deductible: int = 0
    over: Over = NOT_OVER
    reason: Step = Step.COVERED
    says: str = ""
    left: tuple[int, int, int | None] = (0, 0, None)


ROWS = [
    Row(
        "2026-02-08", Trade.PLUMBING, 180, reason=Step.WAITING, says="jusqu’au 08/02/2026 inclus", left=(3, 1200, None)
    ),
    Row("2026-02-09", Trade.PLUMBING, 420, 370, 50, left=(2, 830, None)),
    Row("2026-05-15", Trade.LOCKSMITH, 250, reason=Step.WAITING, says="jusqu’au 15/05/2026 inclus", left=(2, 830, 300)),
    Row("2026-06-03", Trade.ELECTRICITY, 640, 500, 50, Over(per_claim=Decimal(90)), left=(1, 330, None)),
    Row("2026-09-12", Trade.LOCKSMITH, 380, 300, 50, Over(option=Decimal(30)), left=(0, 330, 0)),
    Row("2026-11-02", Trade.PLUMBING, 200, reason=Step.CLAIMS_LEFT, says="3 sur 3 interventions", left=(0, 330, None)),
    Row("2027-01-09", Trade.PLUMBING, 40, reason=Step.CLAIMS_LEFT, says="avant le 10/01/2027", left=(0, 330, None)),
    Row("2027-01-10", Trade.PLUMBING, 450, 400, 50, left=(2, 800, None)),
    Row("2027-02-20", Trade.PLUMBING, 900, 500, 50, Over(per_claim=Decimal(350)), left=(1, 300, None)),
    Row(
        "2027-03-05",
        Trade.ELECTRICITY,
        600,
        300,
        50,
        Over(per_claim=Decimal(50), per_year=Decimal(200)),
        left=(0, 0, None),
    ),
    Row("2027-03-06", Trade.ELECTRICITY, 45, reason=Step.CLAIMS_LEFT, says="3 sur 3 interventions", left=(0, 0, None)),
]


def _decide_all() -> list[tuple[Decision, list[Entry]]]:
    """The decisions of the rows, one after the other, each with the ledger after it."""
    decided, ledger = [], list[Entry]()
    for number, row in enumerate(ROWS):
        day = date.fromisoformat(row.day)
        claim = Claim(
            trade=row.trade,
            event_on=day,
            declared_on=day,
            asked=Decimal(row.asked),
            home_id=HOME,
            claim_id=UUID(int=number),
        )
        decision = decide(LIFE, claim, ledger, _evening_of(day))
        if decision.entry:
            ledger.append(decision.entry)
        decided.append((decision, list(ledger)))
    return decided


def _evening_of(day: date) -> datetime:
    return clock.start_of(day) + timedelta(hours=18)


@pytest.mark.parametrize("number", range(len(ROWS)))
def test_the_worked_example(number: int) -> None:
    row, (decision, ledger) = ROWS[number], _decide_all()[number]
    is_refused = row.reason is not Step.COVERED
    assert decision.outcome is (Outcome.REFUSED if is_refused else Outcome.ACCEPTED)
    assert decision.reason.step is row.reason
    assert row.says in decision.reason.sentence
    assert (decision.covered, decision.deductible, decision.over) == (row.covered, row.deductible, row.over)
    claims, amount, option = row.left
    assert decision.after == Left(claims, Decimal(amount), None if option is None else Decimal(option))
    counters = remaining(LIFE, ledger, date.fromisoformat(row.day))
    assert (counters.claims, counters.amount) == (3 - claims, 1200 - amount)


def test_what_people_read() -> None:
    decision, ledger = _decide_all()[9]
    assert [line.sentence.replace("\u202f", " ").replace("\u00a0", " ") for line in decision.lines] == [
        "La couverture était en vigueur le 05/03/2027 (prise d’effet le 10/01/2026).",
        "Le délai de carence était terminé : couvert depuis le 09/02/2026.",
        "La couverture n’était pas suspendue.",
        "Le métier « Électricité » est couvert par la formule « Confort » (version 1).",
        "C’était le logement couvert ce jour-là.",
        "Déclaré le 05/03/2027, dans les 5 jours ouvrés.",
        "2 sur 3 interventions déjà prises en charge cette année : il en reste 1.",
        "Franchise de 50 € à la charge du client.",
        "Plafond par intervention : 500 € ; 50 € au-delà.",
        "Plafond annuel : il reste 300 € sur 1 200 € ; 200 € au-delà.",
        "300 € pris en charge sur 600 € demandés. Reste à la charge du client : 50 € de franchise, "
        "50 € au-delà du plafond par intervention, 200 € au-delà du plafond annuel.",
    ]
    spring = _decide_all()[3][1]
    assert remaining(LIFE, spring, date(2026, 6, 3)).sentence == (
        "2 sur 3 interventions, 870\u00a0€ sur 1\u202f200\u00a0€, renouvelé le 10/01/2027"
    )
    [option] = remaining(LIFE, ledger[:3], date(2026, 9, 12)).options
    assert option.sentence == "Serrurerie\u202f: 300\u00a0€ sur 300\u00a0€"


def test_a_decision_of_the_first_version_still_shows_the_same() -> None:
    stored = json.loads(Path(__file__).with_name("decision_v1.json").read_text())
    decision = Decision.from_json(stored)
    assert (decision.version, decision.outcome, decision.covered) == (1, Outcome.ACCEPTED, 300)
    assert decision.over == Over(per_claim=Decimal(50), per_year=Decimal(200))
    assert [line.sentence for line in decision.lines] == [line["sentence"] for line in stored["lines"]]
    assert decision.as_json() == stored


def test_a_decision_shows_the_same_once_it_was_stored() -> None:
    for decision, _ in _decide_all():
        assert Decision.from_json(decision.as_json()) == decision
