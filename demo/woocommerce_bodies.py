"""What the pretend shop's REST v3 says of a resource: the fields of WooCommerce 11, in its own forms.

Amounts are texts, prices of lines floats, intervals texts; dates stand in the shop's zone without offset and, with
``_gmt``, in UTC without Z; a date that is not there is null of an order, "" of a subscription.
"""

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

Body = dict[str, Any]

VAT: Final = Decimal("0.20")
SHIPPING: Final = Decimal("5.88")
"""With tax."""
CENT: Final = Decimal("0.01")
SUBSCRIPTION_DATES: Final = ("start", "trial_end", "next_payment", "last_payment", "cancelled", "end")


@dataclass(frozen=True)
class Article:
    """Something that the shop sells. ``price`` includes tax; ``period`` where it is sold by subscription."""

    id: int
    name: str
    sku: str
    price: Decimal
    period: str = ""
    interval: int = 1
    options: tuple[tuple[int, str], ...] = ()
    """Variations: id and the value of ``attribute``."""
    attribute: str = ""


@dataclass(frozen=True)
class Person:
    """Who buys, as typed at the checkout."""

    first_name: str
    last_name: str
    email: str
    phone: str
    address: str
    postcode: str
    city: str

    def address_body(self) -> Body:
        """Without e-mail, as a shipping address."""
        return {
            "first_name": self.first_name,
            "last_name": self.last_name,
            "company": "",
            "address_1": self.address,
            "address_2": "",
            "city": self.city,
            "state": "",
            "postcode": self.postcode,
            "country": "FR",
        }

    def billing(self) -> Body:
        """As of an order or a subscription."""
        return self.address_body() | {"email": self.email, "phone": self.phone}

    def shipping(self) -> Body:
        """As of an order or a subscription."""
        return self.address_body() | {"phone": self.phone}


@dataclass(frozen=True)
class Item:
    """An article in a basket: which option, how many, and how many percent less."""

    article: Article
    option: int = 0
    quantity: int = 1
    discount: int = 0


@dataclass
class Numbers:
    """Where ids come from: orders, subscriptions, products and refunds share one row of them, as posts do."""

    post: int = 10
    user: int = 1
    line: int = 0
    meta: int = 0

    def next(self, name: str) -> int:
        """The next id of that kind."""
        value: int = getattr(self, name) + 1
        setattr(self, name, value)
        return value


@dataclass
class Stamps:
    """Writes instants as the shop does."""

    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Europe/Paris"))

    def local(self, at: datetime | None, missing: str | None = None) -> str | None:
        """In the shop's zone, without offset."""
        return missing if at is None else f"{at.astimezone(self.zone):%Y-%m-%dT%H:%M:%S}"

    def gmt(self, at: datetime | None, missing: str | None = None) -> str | None:
        """In UTC, without Z."""
        return missing if at is None else f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}"

    def both(self, name: str, at: datetime | None) -> Body:
        """``date_<name>`` and ``date_<name>_gmt``."""
        return {f"date_{name}": self.local(at), f"date_{name}_gmt": self.gmt(at)}


def instant(text: str | None) -> datetime | None:
    """A ``_gmt`` date of a body."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC) if text else None


def encode(body: object) -> bytes:
    """JSON as PHP writes it: ASCII, compact, slashes escaped."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=True).replace("/", "\\/").encode("ascii")


def money(amount: Decimal) -> str:
    """An amount as a body holds it."""
    return str(amount.quantize(CENT, ROUND_HALF_UP))


def net_and_tax(gross: Decimal) -> tuple[Decimal, Decimal]:
    """What a price with tax is made of."""
    net = (gross / (1 + VAT)).quantize(CENT, ROUND_HALF_UP)
    return net, gross - net


def line_body(item: Item, numbers: Numbers) -> Body:
    """A line of an order or a subscription."""
    article, quantity = item.article, item.quantity
    before, before_tax = net_and_tax(article.price * quantity)
    paid = (article.price * quantity * (100 - item.discount) / 100).quantize(CENT, ROUND_HALF_UP)
    total, tax = net_and_tax(paid)
    option = dict(article.options).get(item.option, "")
    name = f"{article.name} - {option}" if option else article.name
    chosen = _meta(numbers, article.attribute.lower(), option) | {
        "display_key": article.attribute,
        "display_value": option,
    }
    return {
        "id": numbers.next("line"),
        "name": html.escape(name, quote=False),
        "product_id": article.id,
        "variation_id": item.option,
        "quantity": quantity,
        "tax_class": "",
        "subtotal": money(before),
        "subtotal_tax": money(before_tax),
        "total": money(total),
        "total_tax": money(tax),
        "taxes": [{"id": 1, "total": money(tax), "subtotal": money(before_tax)}],
        "meta_data": [chosen] if option else [],
        "sku": article.sku,
        "global_unique_id": "",
        "price": round(float(article.price / (1 + VAT)), 6),
        "image": {"id": "", "src": ""},
        "parent_name": html.escape(article.name, quote=False) if option else None,
    }


def sale_body(items: Sequence[Item], numbers: Numbers, *, ships: bool = True) -> Body:
    """What is bought and what it costs: the part that orders and subscriptions have in common."""
    lines = [line_body(item, numbers) for item in items]
    cart_tax = sum((Decimal(line["total_tax"]) for line in lines), Decimal(0))
    less = sum((Decimal(line["subtotal"]) - Decimal(line["total"]) for line in lines), Decimal(0))
    less_tax = sum((Decimal(line["subtotal_tax"]) - Decimal(line["total_tax"]) for line in lines), Decimal(0))
    shipping, shipping_tax = net_and_tax(SHIPPING) if ships else (Decimal(0), Decimal(0))
    net = sum((Decimal(line["total"]) for line in lines), shipping)
    tax = cart_tax + shipping_tax
    return {
        "discount_total": money(less),
        "discount_tax": money(less_tax),
        "shipping_total": money(shipping),
        "shipping_tax": money(shipping_tax),
        "cart_tax": money(cart_tax),
        "total": money(net + tax),
        "total_tax": money(tax),
        "line_items": lines,
        "tax_lines": [_tax_line(cart_tax, shipping_tax, numbers)],
        "shipping_lines": [_shipping_line(shipping, shipping_tax, numbers)] if ships else [],
        "fee_lines": [],
        "coupon_lines": [_coupon_line(less, less_tax, numbers)] if less else [],
    }


def _tax_line(cart: Decimal, shipping: Decimal, numbers: Numbers) -> Body:
    return {
        "id": numbers.next("line"),
        "rate_code": "FR-TVA-1",
        "rate_id": 1,
        "label": "TVA",
        "compound": False,
        "tax_total": money(cart),
        "shipping_tax_total": money(shipping),
        "rate_percent": int(VAT * 100),
        "meta_data": [],
    }


def _shipping_line(net: Decimal, tax: Decimal, numbers: Numbers) -> Body:
    return {
        "id": numbers.next("line"),
        "method_title": "Colissimo",
        "method_id": "flat_rate",
        "instance_id": "1",
        "total": money(net),
        "total_tax": money(tax),
        "taxes": [{"id": 1, "total": money(tax), "subtotal": ""}],
        "tax_status": "taxable",
        "meta_data": [],
    }


def _coupon_line(net: Decimal, tax: Decimal, numbers: Numbers) -> Body:
    return {
        "id": numbers.next("line"),
        "code": "bienvenue",
        "discount": money(net),
        "discount_tax": money(tax),
        "meta_data": [],
    }


def _meta(numbers: Numbers, key: str, value: object) -> Body:
    return {"id": numbers.next("meta"), "key": key, "value": value}


def order_body(
    order_id: int,
    person: Person,
    sale: Body,
    *,
    customer_id: int,
    at: datetime,
    stamps: Stamps,
    url: str,
    meta: Sequence[Body] = (),
    created_via: str = "store-api",
) -> Body:
    """An order nobody has paid yet."""
    return {
        "id": order_id,
        "parent_id": 0,
        "status": "pending",
        "currency": "EUR",
        "version": "11.0.1",
        "prices_include_tax": True,
        **stamps.both("created", at),
        **stamps.both("modified", at),
        **stamps.both("completed", None),
        **stamps.both("paid", None),
        "customer_id": customer_id,
        "order_key": f"wc_order_{order_id:013d}",
        "billing": person.billing(),
        "shipping": person.shipping(),
        "payment_method": "stripe",
        "payment_method_title": "Carte bancaire",
        "transaction_id": "",
        "customer_ip_address": "127.0.0.1",
        "customer_user_agent": "",
        "created_via": created_via,
        "customer_note": "",
        "cart_hash": "",
        "number": str(order_id),
        "meta_data": [{"id": 1, "key": "is_vat_exempt", "value": "no"}, *meta],
        **sale,
        "refunds": [],
        "payment_url": f"{url}checkout/order-pay/{order_id}/?pay_for_order=true&key=wc_order_{order_id:013d}",
        "is_editable": True,
        "needs_payment": True,
        "needs_processing": True,
        "currency_symbol": "€",
        "_links": links(url, "orders", order_id),
    }


def subscription_body(
    subscription_id: int, order: Body, sale: Body, article: Article, *, at: datetime, stamps: Stamps, url: str
) -> Body:
    """A subscription whose first order is ``order``, not paid yet."""
    copied = ("currency", "version", "prices_include_tax", "customer_id", "billing", "shipping", "payment_method")
    return {
        "id": subscription_id,
        "parent_id": order["id"],
        "status": "pending",
        **{name: order[name] for name in copied},
        **stamps.both("created", at),
        **stamps.both("modified", at),
        **stamps.both("completed", None),
        **stamps.both("paid", None),
        "order_key": f"wc_order_{subscription_id:013d}",
        "payment_method_title": order["payment_method_title"],
        "created_via": order["created_via"],
        "customer_note": "",
        "number": str(subscription_id),
        "meta_data": [{"id": 2, "key": "is_vat_exempt", "value": "no"}],
        **sale,
        "billing_period": article.period,
        "billing_interval": str(article.interval),
        **{f"{name}_date_gmt": "" for name in SUBSCRIPTION_DATES},
        "start_date_gmt": stamps.gmt(at),
        "resubscribed_from": "",
        "resubscribed_subscription": "",
        "removed_line_items": [],
        "_links": links(url, "subscriptions", subscription_id),
    }


def customer_body(customer_id: int, person: Person, *, at: datetime, stamps: Stamps, url: str, role: str) -> Body:
    """An account."""
    address = person.address_body()
    return {
        "id": customer_id,
        **stamps.both("created", at),
        **stamps.both("modified", at),
        "email": person.email.lower(),
        "first_name": person.first_name,
        "last_name": person.last_name,
        "role": role,
        "username": person.email.partition("@")[0],
        "billing": person.billing(),
        "shipping": address | {"phone": ""},
        "is_paying_customer": False,
        "avatar_url": "",
        "meta_data": [],
        "_links": links(url, "customers", customer_id),
    }


def product_body(article: Article, *, at: datetime, stamps: Stamps, url: str) -> Body:
    """An article on sale."""
    kind = {(False, False): "simple", (False, True): "variable", (True, False): "subscription"}.get(
        (bool(article.period), bool(article.options)), "variable-subscription"
    )
    return {
        "id": article.id,
        "name": html.escape(article.name, quote=False),
        "slug": article.sku.lower(),
        **stamps.both("created", at),
        **stamps.both("modified", at),
        "type": kind,
        "status": "publish",
        "sku": article.sku,
        "price": money(article.price),
        "regular_price": money(article.price),
        "sale_price": "",
        "total_sales": 0,
        "virtual": False,
        "shipping_required": True,
        "parent_id": 0,
        "attributes": [
            {
                "id": 0,
                "name": article.attribute,
                "position": 0,
                "visible": True,
                "variation": True,
                "options": [value for _, value in article.options],
            }
        ]
        if article.options
        else [],
        "variations": [option for option, _ in article.options],
        "meta_data": [],
        "stock_status": "instock",
        "_links": links(url, "products", article.id),
    }


def links(url: str, collection: str, resource_id: int) -> Body:
    """Where a resource stands."""
    base = f"{url}wp-json/wc/v3/{collection}"
    return {"self": [{"href": f"{base}/{resource_id}"}], "collection": [{"href": base}]}
