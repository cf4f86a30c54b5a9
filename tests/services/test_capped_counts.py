"""Counts that stop at a cap."""

import pytest

from webapp.services.capped_counts import COUNT_CAP, Count, capped


@pytest.mark.parametrize(
    ("number", "exact", "count"),
    [
        (COUNT_CAP, False, Count(10_000, is_capped=False)),
        (COUNT_CAP + 1, False, Count(10_000, is_capped=True)),
        (COUNT_CAP + 1, True, Count(10_001, is_capped=False)),
    ],
)
def test_a_count_stops_at_the_cap_unless_asked_for(number: int, exact: bool, count: Count) -> None:
    assert capped(number, exact=exact) == count
