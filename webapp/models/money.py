"""Amounts: Decimal with two places, rounded once, half up; VAT per rate, on totals."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from webapp import french

CENT = Decimal("0.01")
VAT_RATES = tuple(Decimal(rate) for rate in ("0", "2.1", "5.5", "8.5", "10", "20"))
"""The rates of France and its overseas departments, in percent."""
INSURANCE_TAX = Decimal("9")
"""The tax on insurance contracts (TSCA) for all that has no rate of its own, in percent (code général des impôts, art.
1001, 6°). Insurance bears no VAT (art. 261 C), and no VAT has this rate: a line at 9 % is insurance."""
TAX_RATES = (*VAT_RATES, INSURANCE_TAX)
"""What a line can bear."""


def tax_label(rate: Decimal) -> str:
    """The rate of a tax: « 20 % »; of the tax on insurance, which is no VAT, « TSCA 9 % »."""
    return f"{'TSCA ' if rate == INSURANCE_TAX else ''}{french.quantity(rate)}\u202f%"


def tax_name(rate: Decimal) -> str:
    """The tax and its rate: « TVA 20 % », « TSCA 9 % »."""
    return tax_label(rate) if rate == INSURANCE_TAX else f"TVA {tax_label(rate)}"


def cents(amount: Decimal) -> Decimal:
    """The amount rounded to two places, half up (away from zero)."""
    return amount.quantize(CENT, ROUND_HALF_UP)


def line_amount(quantity: Decimal, unit_price: Decimal, discount: Decimal = Decimal(0)) -> Decimal:
    """What one line costs before tax: quantity times price, rounded, less the discount of the whole line."""
    return cents(quantity * unit_price) - cents(discount)


@dataclass(frozen=True)
class VatShare:
    """What one rate contributes: ``base`` before tax and the ``tax`` on it. ``rate`` is in percent."""

    rate: Decimal
    base: Decimal
    tax: Decimal

    @property
    def with_tax(self) -> Decimal:
        """What it comes to."""
        return self.base + self.tax

    def __neg__(self) -> "VatShare":
        return VatShare(self.rate, -self.base, -self.tax)


@dataclass(frozen=True)
class Totals:
    """A document's totals. ``with_tax`` is the sum of the bases and of the taxes, each rounded once per rate."""

    shares: tuple[VatShare, ...]

    @classmethod
    def from_json(cls, shares: Iterable[Mapping[str, Any]]) -> "Totals":
        """The totals that ``as_json`` froze."""
        return cls(tuple(VatShare(*(Decimal(share[name]) for name in ("rate", "base", "tax"))) for share in shares))

    def __neg__(self) -> "Totals":
        return Totals(tuple(-share for share in self.shares))

    @property
    def before_tax(self) -> Decimal:
        """The sum of the bases."""
        return sum((share.base for share in self.shares), Decimal("0.00"))

    @property
    def tax(self) -> Decimal:
        """The sum of the taxes."""
        return sum((share.tax for share in self.shares), Decimal("0.00"))

    @property
    def with_tax(self) -> Decimal:
        """What is to be paid."""
        return self.before_tax + self.tax

    def as_json(self) -> list[dict[str, Any]]:
        """The shares as text, to be frozen with a charge or an invoice."""
        return [{"rate": str(share.rate), "base": str(share.base), "tax": str(share.tax)} for share in self.shares]


def totals(amounts: Iterable[tuple[Decimal, Decimal]]) -> Totals:
    """Total ``(VAT rate, amount before tax)`` pairs: VAT is computed on each rate's sum, half up, lowest rate first."""
    bases: dict[Decimal, Decimal] = {}
    for rate, amount in amounts:
        bases[rate.normalize()] = bases.get(rate.normalize(), Decimal("0.00")) + cents(amount)
    return Totals(tuple(VatShare(rate + 0, base, cents(base * rate / 100)) for rate, base in sorted(bases.items())))


def part_of(whole: Totals, amount: Decimal) -> Totals:
    """``amount`` (with tax, at most ``whole``) divided among the rates in proportion; each rate's tax follows, half up.

    No rate gives more than it has, before tax or in tax, and each gives all of it where ``amount`` is the whole: parts
    taken one after the other from what is left come to exactly the whole. A share may be below zero (a credit among
    what is sold), the whole is above it.
    """
    parts, given, reached = [], Decimal(0), Decimal(0)
    for share in whole.shares:
        reached += share.with_tax
        part = cents(amount * reached / whole.with_tax) - given
        given += part
        if part:
            parts.append(_part_of_share(share, part) if share.with_tax > 0 else -_part_of_share(-share, -part))
    return Totals(tuple(parts))


def _part_of_share(share: VatShare, part: Decimal) -> VatShare:
    tax = min(cents(part * share.rate / (100 + share.rate)), share.tax)
    base = min(part - tax, share.base)
    return VatShare(share.rate, base, part - base)
