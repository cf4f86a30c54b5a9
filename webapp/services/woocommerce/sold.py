"""What the lines of a shop say is sold: prices before tax, VAT, and the cents that the shop rounds in its own way."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, NamedTuple
from uuid import UUID

from webapp.models.money import VAT_RATES, line_amount
from webapp.services.subscriptions.fields import LABEL_LENGTH, CheckedLine
from webapp.services.woocommerce.reading import Item, Sale

NEAR = Decimal("0.05")
"""How far a rate that is reckoned from a tax may lie from the one that is meant: cents are rounded."""
HIGHEST_RATE = Decimal("99.99")
CENT, TEN_THOUSANDTH = Decimal("0.01"), Decimal("0.0001")
ELSEWHERE = "elsewhere"
"""The kind of a line of a divided order that another subscription pays: it keeps its place, and costs nothing."""


class Sold(NamedTuple):
    """A line of a sale; only things are boxed."""

    item: Item
    is_thing: bool


@dataclass(frozen=True, slots=True)
class KnownProduct:
    """A product of ours that has the name of a line."""

    id: UUID
    is_shipped: bool


Products = Mapping[str, KnownProduct]
"""By the label of a line."""


def lines_of(sale: Sale) -> Iterator[Sold]:
    """All that is sold, things first, then shipping and fees."""
    yield from (Sold(item, True) for item in sale.items)
    yield from (Sold(item, False) for item in (*sale.shipping_lines, *sale.fees))


def checked_lines(sale: Sale, products: Products) -> list[CheckedLine]:
    """The lines of a subscription of ours that sells the same."""
    rates = dict(sale.tax_rates)
    return [_checked(sold, vat_rate(sold.item, rates), products) for sold in lines_of(sale)]


def _checked(sold: Sold, rate: Decimal, products: Products) -> CheckedLine:
    item, product = sold.item, products.get(sold.item.label) if sold.is_thing else None
    quantity, unit_price, discount, label = _price(item)
    return CheckedLine(
        label=label,
        unit_price=unit_price,
        quantity=quantity,
        vat_rate=rate,
        discount=discount,
        product_id=product.id if product else None,
        is_shipped=sold.is_thing and (product is None or product.is_shipped),
    )


def _price(item: Item) -> tuple[Decimal, Decimal, Decimal, str]:
    """Quantity, unit price, discount and label, whose amount is exactly what the shop says.

    A price that four decimals cannot tell is that of the whole line; a fee below zero is a discount on nothing.
    """
    if item.total < 0:
        return Decimal(1), Decimal(0), -item.total, item.label
    gross = max(item.subtotal, item.total)
    if item.quantity > 0:
        unit_price = (gross / item.quantity).quantize(TEN_THOUSANDTH, ROUND_HALF_UP)
        if line_amount(item.quantity, unit_price) == gross:
            return item.quantity, unit_price, gross - item.total, item.label
    label = f"{item.label} × {item.quantity.normalize():f}"
    return Decimal(1), gross, gross - item.total, label[-LABEL_LENGTH:]


def vat_rate(item: Item, rates: Mapping[int, Decimal | None]) -> Decimal:
    """In percent: what the shop's rates of the line add up to, else reckoned from its tax."""
    named = [rates.get(rate_id) for rate_id in item.rate_ids]
    if named and None not in named:
        return min(sum((rate for rate in named if rate is not None), Decimal(0)), HIGHEST_RATE)
    if not item.total or not item.tax:
        return Decimal(0)
    rate = (item.tax / item.total * 100).quantize(CENT, ROUND_HALF_UP)
    near = min(VAT_RATES, key=lambda known: abs(known - rate))
    return near if abs(near - rate) <= NEAR else max(min(rate, HIGHEST_RATE), Decimal(0))


def charge_lines(sale: Sale, own: Iterable[Item] | None, products: Products, *, ships: bool) -> list[dict[str, Any]]:
    """The lines as a charge freezes them; of a divided order ``own`` are those that it pays.

    Each line of the order keeps its place whoever pays it, since batches name a line by its place.
    """
    paid = None if own is None else {id(item) for item in own}
    rates = dict(sale.tax_rates)
    return [
        _frozen(sold, vat_rate(sold.item, rates), products, ships=ships)
        if paid is None or id(sold.item) in paid
        else _elsewhere(sold.item)
        for sold in lines_of(sale)
    ]


def _frozen(sold: Sold, rate: Decimal, products: Products, *, ships: bool) -> dict[str, Any]:
    line = _checked(sold, rate, products)
    return line.as_json() | {"amount": str(line.amount), "is_shipped": line.is_shipped and ships}


def _elsewhere(item: Item) -> dict[str, Any]:
    return {
        "label": item.label,
        "product_id": None,
        "quantity": "1",
        "unit_price": "0",
        "discount": "0",
        "vat_rate": "0",
        "is_shipped": False,
        "amount": "0.00",
        "kind": ELSEWHERE,
    }


def vat_shares(sale: Sale, own: Iterable[Item] | None, amount: Decimal) -> list[dict[str, str]]:
    """Base and tax by rate, as the shop reckoned them; they come to ``amount``, with tax.

    The shop's cents do not always add up: what is missing goes to the greatest base.
    """
    rates, shares = dict(sale.tax_rates), dict[Decimal, list[Decimal]]()
    for item in [sold.item for sold in lines_of(sale)] if own is None else own:
        share = shares.setdefault(vat_rate(item, rates).normalize() + 0, [Decimal(0), Decimal(0)])
        share[0], share[1] = share[0] + item.total, share[1] + item.tax
    missing = amount - sum((base + tax for base, tax in shares.values()), Decimal(0))
    if missing:
        greatest = max(shares, key=lambda rate: shares[rate][0], default=Decimal(0))
        shares.setdefault(greatest, [Decimal(0), Decimal(0)])[0] += missing
    return [{"rate": str(rate), "base": str(base), "tax": str(tax)} for rate, (base, tax) in sorted(shares.items())]
