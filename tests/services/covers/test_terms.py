"""What can be sold: each fault of terms has a sentence at its field."""

from decimal import Decimal

import pytest

from tests.services.covers.lives import PLUMBING, make_option, make_terms
from webapp.models.covers import Trade, YearKind
from webapp.services.covers.terms import find_faults, find_faults_between


def test_terms_as_they_should_be_have_no_fault() -> None:
    assert find_faults(make_terms()) == {}
    unlimited = make_terms(cap_per_claim=None, cap_per_year=None, claims_per_year=None, waiting_days=365)
    assert find_faults(unlimited) == {}
    assert find_faults(make_option()) == {}


@pytest.mark.parametrize(
    ("values", "field", "says"),
    [
        ({"trades": frozenset()}, "trades", "au moins un métier"),
        ({"waiting_days": -1}, "waiting_days", "négatif"),
        ({"waiting_days": 366}, "waiting_days", "un an"),
        ({"deductible": Decimal("-0.01")}, "deductible", "La franchise est de 0\u00a0€ au moins"),
        ({"deductible": Decimal("1.005")}, "deductible", "deux décimales"),
        ({"deductible": Decimal("NaN")}, "deductible", "n’est pas un montant"),
        ({"cap_per_claim": Decimal(1201)}, "cap_per_claim", "dépasser le plafond annuel"),
        ({"cap_per_claim": Decimal(0)}, "cap_per_claim", "ne peut pas être nul"),
        ({"cap_per_year": Decimal(1_000_001)}, "cap_per_year", "un million"),
        ({"cap_per_year": Decimal("Infinity")}, "cap_per_year", "n’est pas un montant"),
        ({"claims_per_year": 0}, "claims_per_year", "au moins une"),
        ({"claims_per_year": 101}, "claims_per_year", "100 au plus"),
    ],
)
def test_a_fault_has_a_sentence_at_its_field(values: dict[str, object], field: str, says: str) -> None:
    faults = find_faults(make_terms(**values))
    assert list(faults) == [field]
    assert says in faults[field]
    if field != "claims_per_year":
        assert field in find_faults(make_option(**values))


def test_options_are_held_against_their_plan() -> None:
    useless = make_option(code="eau", trades=PLUMBING)
    greedy = make_option(
        code="verre", trades=frozenset({Trade.GLAZING}), draws_on_main=True, cap_per_year=Decimal(1500)
    )
    twice = make_option()
    faults = find_faults_between(make_terms(), [twice, useless, greedy, twice])
    assert {code: sentence.split()[0] for code, sentence in faults.items()} == {
        "eau": "Cette",
        "verre": "Le",
        "serrurerie": "Deux",
    }


def test_all_have_words_for_the_screen() -> None:
    assert all(each.label for each in (*Trade, *YearKind))
