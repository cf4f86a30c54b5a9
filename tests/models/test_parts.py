"""Parts of an amount: each rate gives its share, also where one is below zero, and all parts come to the whole."""

from decimal import Decimal

from hypothesis import assume, given
from hypothesis import strategies as st

from webapp.models.money import VAT_RATES, Totals, VatShare, part_of, totals

AMOUNTS = st.decimals("-500", "500", places=2)


@given(
    bases=st.lists(st.tuples(st.sampled_from(VAT_RATES), AMOUNTS), min_size=1, max_size=4),
    cuts=st.lists(st.integers(1, 99), max_size=4),
)
def test_parts_taken_from_what_is_left_come_to_the_whole(bases: list[tuple[Decimal, Decimal]], cuts: list[int]) -> None:
    left = whole = totals(bases)
    assume(whole.with_tax > 0)
    for cut in cuts:
        amount = (left.with_tax * cut / 100).quantize(Decimal("0.01"))
        if 0 < amount < left.with_tax:
            part = part_of(left, amount)
            assert part.with_tax == amount
            left = _less(left, part)
    assert part_of(left, left.with_tax) == Totals(tuple(share for share in left.shares if share.with_tax))
    assert left.with_tax > 0


def _less(left: Totals, part: Totals) -> Totals:
    taken = {share.rate: share for share in part.shares}
    nothing = Decimal(0)
    rest = []
    for share in left.shares:
        given_of = taken.get(share.rate, VatShare(share.rate, nothing, nothing))
        rest.append(VatShare(share.rate, share.base - given_of.base, share.tax - given_of.tax))
    return Totals(tuple(rest))
