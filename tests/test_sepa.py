"""Patterns of mandates' references: what can make references that banks read, and what cannot."""

import pytest

from webapp import sepa
from webapp.errors import InvalidInputError
from webapp.models.organisations import Company


@pytest.mark.parametrize("pattern", ["", "RUM", "{numero}{numero}", "/{numero}", "é-{numero}", "x" * 26 + "{numero}"])
def test_a_pattern_that_makes_no_references_is_refused_wherever_it_comes_from(pattern: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        Company(name="Nord", umr_pattern=pattern)
    assert refusal.value.field == "umr_pattern"


def test_a_pattern_that_fits_makes_references_that_sort_as_their_numbers() -> None:
    pattern = "x" * 25 + "{numero}"
    assert Company(name="Nord", umr_pattern=pattern).umr_pattern == pattern
    made = [sepa.fill_pattern("RUM-{numero}", number) for number in (1, 9, 10, 1_234_567)]
    assert made == sorted(made) == ["RUM-0000001", "RUM-0000009", "RUM-0000010", "RUM-1234567"]
