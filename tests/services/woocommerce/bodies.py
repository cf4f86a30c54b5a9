"""Bodies as WooCommerce writes them, short: what is said of a customer, an order, a subscription."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

Body = dict[str, Any]

BOX, TEA, SOAP = 18, 19, 20
"""Products: two that are subscribed to, one that is bought once."""
PRICES = {BOX: Decimal("25.00"), TEA: Decimal("12.50"), SOAP: Decimal("10.00")}
NAMES = {BOX: "Box mensuelle", TEA: "Box de thé", SOAP: "Savon d'Alep &amp; lavande"}


def gmt(instant: datetime | None) -> str | None:
    """As the shop writes it."""
    return instant.strftime("%Y-%m-%dT%H:%M:%S") if instant else None


def person(name: str, address: str, **more: Any) -> Body:
    """A billing address."""
    return {
        "first_name": name,
        "last_name": "Durand",
        "company": "",
        "address_1": "12 rue des Lilas",
        "address_2": "",
        "city": "Lyon",
        "postcode": "69003",
        "country": "FR",
        "email": address,
        "phone": "",
    } | more


def customer(woo_id: int, email: str, *, at: datetime, name: str = "Camille", **more: Any) -> Body:
    """An account."""
    billing = person(name, email, **more.pop("billing", {}))
    return {
        "id": woo_id,
        "date_created_gmt": gmt(at),
        "date_modified_gmt": gmt(at),
        "email": email,
        "first_name": name,
        "last_name": "Durand",
        "role": "customer",
        "billing": billing,
        "shipping": {key: value for key, value in billing.items() if key not in ("email", "phone")},
    } | more


def item(woo_id: int, product_id: int, quantity: int = 1) -> Body:
    """A line, with 20 % VAT."""
    total = PRICES[product_id] * quantity
    return {
        "id": woo_id,
        "name": NAMES[product_id],
        "product_id": product_id,
        "variation_id": 0,
        "quantity": quantity,
        "subtotal": str(total),
        "total": str(total),
        "total_tax": str(total / 5),
        "taxes": [{"id": 1, "total": str(total / 5), "subtotal": str(total / 5)}],
        "meta_data": [],
    }


def sale(woo_id: int, products: Sequence[int], *, at: datetime, shipping: bool = True, **more: Any) -> Body:
    """What orders and subscriptions have in common."""
    lines = [item(10 * woo_id + number, product) for number, product in enumerate(products)]
    sent = [
        {
            "id": 10 * woo_id + 9,
            "method_title": "Colissimo",
            "total": "5.00",
            "total_tax": "1.00",
            "taxes": [{"id": 1, "total": "1.00"}],
        }
    ]
    before_tax = sum((PRICES[product] for product in products), Decimal(5 if shipping else 0))
    billing = more.pop("billing", None) or person("Camille", "camille@example.org")
    return {
        "id": woo_id,
        "parent_id": 0,
        "currency": "EUR",
        "date_created_gmt": gmt(at),
        "date_modified_gmt": gmt(at),
        "total": str(before_tax * Decimal("1.2")),
        "total_tax": str(before_tax / 5),
        "customer_id": 2,
        "payment_method": "stripe",
        "billing": billing,
        "shipping": {key: value for key, value in billing.items() if key != "email"},
        "line_items": lines,
        "shipping_lines": sent if shipping else [],
        "fee_lines": [],
        "tax_lines": [{"id": 1, "rate_id": 1, "rate_percent": 20}],
        "meta_data": [],
    } | more


def order(
    woo_id: int, products: Sequence[int] = (BOX,), *, at: datetime, paid_at: datetime | None = None, **more: Any
) -> Body:
    """An order; ``renews``, ``switches`` and ``resubscribes`` name a subscription."""
    notes = {
        "renews": "_subscription_renewal",
        "switches": "_subscription_switch",
        "resubscribes": "_subscription_resubscribe",
    }
    meta = [{"key": key, "value": str(more.pop(name))} for name, key in notes.items() if name in more]
    if more.pop("early", False):
        meta.append({"key": "_subscription_renewal_early", "value": "1"})
    return sale(
        woo_id,
        products,
        at=at,
        **{
            "number": str(woo_id),
            "status": "processing" if paid_at else "pending",
            "date_paid_gmt": gmt(paid_at),
            "refunds": [],
            "meta_data": meta,
        }
        | more,
    )


def subscription(woo_id: int, products: Sequence[int] = (BOX,), *, at: datetime, **more: Any) -> Body:
    """A subscription by the month, begun by order 44."""
    return sale(
        woo_id,
        products,
        at=at,
        **{
            "parent_id": 44,
            "status": "active",
            "date_paid_gmt": gmt(at),
            "billing_period": "month",
            "billing_interval": "1",
            "start_date_gmt": gmt(at),
            "trial_end_date_gmt": "",
            "next_payment_date_gmt": "",
            "end_date_gmt": "",
            "cancelled_date_gmt": "",
        }
        | more,
    )


def refund(woo_id: int, amount: str, reason: str = "") -> Body:
    """As an order lists it."""
    return {"id": woo_id, "reason": reason, "total": f"-{amount}"}
