"""What some days of a period cost, to the cent. Every day costs the same; the residual is on the last.

All amounts are before tax, by VAT rate. Whoever splits a period into any parts gets back exactly its price: a part is
the difference of two running sums, each rounded once.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from webapp.models.money import cents

Prices = dict[Decimal, Decimal]
"""VAT rate (percent) → amount before tax."""


class Days(NamedTuple):
    """The days from ``start`` to ``end`` (excluded) that a price pays for."""

    start: date
    end: date

    @property
    def number(self) -> int:
        """How many."""
        return (self.end - self.start).days

    def until(self, day: date) -> int:
        """How many come before ``day``."""
        return (day - self.start).days


def first_days(price: Decimal, days: int, of: int) -> Decimal:
    """What the first ``days`` of a period of ``of`` days cost, the whole of which costs ``price``."""
    return cents(price * days / of)


def rest(price: Decimal, days: int, of: int) -> Decimal:
    """What remains of ``price`` after the first ``days``."""
    return price - first_days(price, days, of)


def rest_from(prices: Prices, period: Days, day: date) -> Prices:
    """What the days from ``day`` to the end of the period cost."""
    return {rate: rest(price, period.until(day), period.number) for rate, price in prices.items()}


def sum_by_rate(amounts: Iterable[tuple[Decimal, Decimal]]) -> Prices:
    """Add up ``(rate, amount)`` pairs."""
    sums: Prices = {}
    for rate, amount in amounts:
        key = rate.normalize() + 0
        sums[key] = sums.get(key, Decimal("0.00")) + amount
    return sums


def as_json(prices: Mapping[Decimal, Decimal]) -> list[dict[str, Any]]:
    """As they are kept; a rate with nothing is left out."""
    return [{"rate": str(rate), "base": str(base)} for rate, base in sorted(prices.items()) if base]


def from_json(kept: Iterable[Mapping[str, Any]]) -> Prices:
    """The prices that ``as_json`` wrote."""
    return {Decimal(each["rate"]): Decimal(each["base"]) for each in kept}
