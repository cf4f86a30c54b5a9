"""Amounts are rounded once, half up, and VAT per rate on the total."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from webapp.models.money import VAT_RATES, cents, line_amount, totals

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
