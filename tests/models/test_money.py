"""Amounts are rounded once, half up, and VAT per rate on the total."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from webapp.models.money import (
    INSURANCE_TAX,
    VAT_RATES,
    Totals,
    VatShare,
    cents,
    line_amount,
    part_of,
    tax_label,
    tax_name,
    totals,
)

amounts = st.decimals(min_value=0, max_value=100_000, places=2)


def test_half_a_cent_goes_up() -> None:
    assert cents(Decimal("2.345")) == Decimal("2.35")
    assert cents(Decimal("-2.345")) == Decimal("-2.35")


def test_a_line_is_rounded_once_and_then_discounted() -> None:
    assert line_amount(Decimal("3"), Decimal("3.3333"), Decimal("1.50")) == Decimal("8.50")


def test_vat_is_computed_on_each_rates_total_not_per_line() -> None:
    # 3 × 0.33 at 20 %: 0.198 on the total is 0.20; line by line it would have been 3 × 0.07.
    result = totals([(Decimal(20), Decimal("0.33"))] * 3 + [(Decimal("5.5"), Decimal("10.00"))])
    assert result.as_json() == [
        {"rate": "5.5", "base": "10.00", "tax": "0.55"},
        {"rate": "20", "base": "0.99", "tax": "0.20"},
    ]
    assert (result.before_tax, result.tax, result.with_tax) == (Decimal("10.99"), Decimal("0.75"), Decimal("11.74"))


def test_the_same_rate_written_otherwise_is_one_rate() -> None:
    assert len(totals([(Decimal("20"), Decimal(1)), (Decimal("20.00"), Decimal(1))]).shares) == 1


@given(st.lists(st.tuples(st.sampled_from(VAT_RATES), amounts)))
def test_the_total_is_the_sum_of_its_parts(lines: list[tuple[Decimal, Decimal]]) -> None:
    result = totals(lines)
    assert result.before_tax == sum(amount for _, amount in lines)
    assert result.with_tax == sum(share.base + share.tax for share in result.shares)


def test_a_part_takes_from_each_rate_in_proportion() -> None:
    whole = totals([(Decimal(20), Decimal("100.00")), (Decimal("5.5"), Decimal("100.00"))])  # 120.00 and 105.50
    assert part_of(whole, Decimal("22.55")).as_json() == [
        {"rate": "5.5", "base": "10.00", "tax": "0.55"},
        {"rate": "20", "base": "10.00", "tax": "2.00"},
    ]


@given(
    st.lists(st.tuples(st.sampled_from(VAT_RATES), amounts), min_size=1, max_size=4),
    st.lists(st.floats(min_value=0.001, max_value=1), max_size=8),
)
def test_parts_taken_one_after_the_other_never_exceed_a_rate_and_end_at_nothing(
    lines: list[tuple[Decimal, Decimal]], fractions: list[float]
) -> None:
    left = totals(lines)
    for fraction in [*fractions, 1.0]:
        amount = cents(left.with_tax * Decimal(fraction))
        if not amount:
            continue
        part = {share.rate: share for share in part_of(left, amount).shares}
        assert sum(share.with_tax for share in part.values()) == amount
        nothing = VatShare(Decimal(0), Decimal(0), Decimal(0))
        pairs = [(share, part.get(share.rate, nothing)) for share in left.shares]
        assert all(0 <= taken.base <= share.base and 0 <= taken.tax <= share.tax for share, taken in pairs)
        left = Totals(tuple(VatShare(s.rate, s.base - t.base, s.tax - t.tax) for s, t in pairs))
    assert left.with_tax == 0
    assert all(share.base == share.tax == 0 for share in left.shares)


def test_the_tax_on_insurance_is_told_apart_from_vat() -> None:
    assert tax_label(INSURANCE_TAX) == "TSCA 9\u202f%"
    assert tax_label(Decimal("5.50")) == "5,5\u202f%"
    assert [tax_name(rate) for rate in (INSURANCE_TAX, Decimal(20))] == ["TSCA 9\u202f%", "TVA 20\u202f%"]
    assert INSURANCE_TAX not in VAT_RATES
