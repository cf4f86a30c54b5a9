"""What the lines of a shop come to: VAT, prices, and the cents that the shop rounds in its own way."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import orjson
import pytest

from tests.conftest import NOW
from tests.services.woocommerce import bodies
from webapp.models.woocommerce import ResourceKind
from webapp.services.woocommerce import reading, sold
from webapp.services.woocommerce.reading import Order
from webapp.services.woocommerce.sold import KnownProduct

LABEL = bodies.NAMES[bodies.BOX]


def sale(*, rates: Sequence[Any] | None = None, fees: Sequence[Any] = (), **line: Any) -> Order:
    """An order of one line, with ``rates`` as its tax lines."""
    content = bodies.order(50, at=NOW, shipping=False)
    content["line_items"] = [content["line_items"][0] | line]
    content["fee_lines"] = fees
    if rates is not None:
        content["tax_lines"] = rates
    said = reading.read(ResourceKind.ORDER, orjson.dumps(content), ZoneInfo("Europe/Paris"))
    assert isinstance(said, Order)
    return said


def rate_of(order: Order) -> Decimal:
    return sold.checked_lines(order, {})[0].vat_rate


def rate(rate_id: int, percent: float | None) -> dict[str, Any]:
    return {"id": rate_id, "rate_id": rate_id} | ({} if percent is None else {"rate_percent": percent})


def taxes(*rate_ids: int) -> list[dict[str, Any]]:
    return [{"id": rate_id, "total": "1.00"} for rate_id in rate_ids]


def test_the_rate_is_the_shops_own() -> None:
    assert rate_of(sale(rates=[rate(1, 5.5), rate(2, 20)], taxes=taxes(1))) == Decimal("5.5")


def test_the_rates_of_one_line_add_up() -> None:
    assert rate_of(sale(rates=[rate(1, 8.5), rate(2, 2.5)], taxes=taxes(1, 2))) == 11


@pytest.mark.parametrize(
    ("total", "tax", "expected"),
    [
        ("25.00", "5.00", "20"),
        ("24.92", "4.98", "20"),  # 19.98 %
        ("9.47", "0.52", "5.5"),  # 5.49 %
        ("25.00", "2.00", "8.00"),  # near none of France's
        ("25.00", "0.00", "0"),
        ("0.00", "0.00", "0"),
    ],
)
def test_without_a_rate_it_is_reckoned_from_the_tax(total: str, tax: str, expected: str) -> None:
    line = {"subtotal": total, "total": total, "total_tax": tax}
    assert rate_of(sale(rates=[], taxes=taxes(1), **line)) == Decimal(expected)
    assert rate_of(sale(rates=[rate(1, None)], taxes=taxes(1), **line)) == Decimal(expected)


def test_the_discount_is_what_the_shop_takes_off() -> None:
    (line,) = sold.checked_lines(sale(subtotal="30.00", total="25.50", quantity=3), {})
    assert (line.quantity, line.unit_price, line.discount) == (3, Decimal(10), Decimal("4.50"))


def test_a_price_that_no_four_decimals_tell_is_that_of_the_whole_line() -> None:
    (line,) = sold.checked_lines(sale(subtotal="100.00", total="100.00", quantity=30_000), {})
    assert (line.quantity, line.unit_price, line.label) == (1, Decimal("100.00"), f"{LABEL} × 30000")


def test_a_fee_below_zero_is_a_discount_on_nothing() -> None:
    fee = {"id": 9, "name": "Parrainage", "total": "-5.00", "total_tax": "-1.00"}
    line = sold.checked_lines(sale(fees=[fee]), {})[1]
    assert (line.label, line.unit_price, line.discount, line.is_shipped) == ("Parrainage", 0, Decimal(5), False)


def test_our_product_of_the_same_name_says_whether_it_is_shipped() -> None:
    ours = KnownProduct(uuid4(), is_shipped=False)
    (known,), (unknown,) = sold.checked_lines(sale(), {LABEL: ours}), sold.checked_lines(sale(), {})
    assert (known.product_id, known.is_shipped) == (ours.id, False)
    assert (unknown.product_id, unknown.is_shipped) == (None, True)


def test_bases_and_taxes_come_to_what_is_paid() -> None:
    """The cent that the shop rounded away goes to the greatest base."""
    shares = sold.vat_shares(sale(), None, Decimal("30.01"))
    assert shares == [{"rate": "20", "base": "25.01", "tax": "5.00"}]
