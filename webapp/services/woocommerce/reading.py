"""What a shop sends, bytes in, typed resources out: strict about what matters, lenient about how it is written.

Pure: no database, no clock. ``skim`` reads only what tells a newer word from an older one, and costs little more than
parsing; ``read`` reads the whole. The shapes of the values are in ``values``, what surprised in docs/woocommerce.md.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from webapp.models.woocommerce import ResourceKind
from webapp.services.woocommerce import values
from webapp.services.woocommerce.values import UnreadableError

Json = dict[str, Any]

LEGACY = "Ce crochet envoie l’ancienne version de l’API\u202f: choisissez l’API v3 dans la boutique."
NOT_JSON = "Le contenu n’est pas du JSON."
NOT_AN_OBJECT = "Le contenu n’est pas une ressource de WooCommerce."
GONE = "La boutique n’avait plus cette ressource quand elle a envoyé la notification."
EMPTY = "La boutique a envoyé une notification vide."
NOT_ALLOWED = "La boutique refuse de montrer ses données\u202f: la personne qui a créé le crochet n’en a plus le droit."
ERROR = "La boutique a envoyé une erreur au lieu de la ressource\u202f: «\u00a0{message}\u00a0»."

VOLATILE = (
    "_links",
    "avatar_url",
    "payment_url",
    "customer_ip_address",
    "customer_user_agent",
    "cart_hash",
    "price_html",
)
"""What says nothing of the resource, or what we have no use for and is personal: it is neither kept nor compared."""
ERASED_EMAIL = "deleted@site.invalid"
"""What WordPress writes where a person's data were erased."""
LINES_LIMIT = 1_000
RENEWAL, SWITCH, RESUBSCRIPTION = "_subscription_renewal", "_subscription_switch", "_subscription_resubscribe"
EARLY_RENEWAL = "_subscription_renewal_early"

# The later word of two that were said in the same second.
ORDER_STEPS = (
    "checkout-draft",
    "pending",
    "on-hold",
    "failed",
    "processing",
    "completed",
    "cancelled",
    "refunded",
    "trash",
)
# Each renewal puts a subscription on hold and makes it active again: active is the later one.
SUBSCRIPTION_STEPS = (
    "pending",
    "on-hold",
    "active",
    "pending-cancel",
    "switched",
    "cancelled",
    "expired",
    "trash",
)


@dataclass(frozen=True, slots=True)
class Word:
    """What every resource tells: of two words on one id, the one with the greater ``standing`` holds."""

    kind: ResourceKind
    woo_id: int
    modified_at: datetime
    rank: int
    hash: bytes
    canonical: bytes
    status: str

    @property
    def standing(self) -> tuple[datetime, int, bytes]:
        """By what words are compared: Woo's dates are whole seconds, so that the status decides, then the content."""
        return self.modified_at, self.rank, self.hash


@dataclass(frozen=True, slots=True)
class Address:
    """A billing or shipping address. ``email`` and ``phone`` (E.164) are empty where there is none that works."""

    first_name: str = ""
    last_name: str = ""
    company: str = ""
    line1: str = ""
    line2: str = ""
    postcode: str = ""
    city: str = ""
    country: str = ""
    email: str = ""
    phone: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing of where."""
        return not (self.line1 or self.line2 or self.postcode or self.city)


@dataclass(frozen=True, slots=True)
class Customer(Word):
    """A user of the shop. ``email`` is the account's, which may differ from the billing one."""

    email: str
    first_name: str
    last_name: str
    role: str
    billing: Address
    shipping: Address
    is_erased: bool


@dataclass(frozen=True, slots=True)
class Attribute:
    """What the buyer chose of a variation: ``name`` and ``value`` for machines, as people read them beside."""

    name: str
    value: str
    shown_name: str
    shown_value: str


@dataclass(frozen=True, slots=True)
class Item:
    """A line: ``subtotal`` and ``total`` before tax, before and after discount; of shipping and fees they are equal.

    ``attributes`` are what the buyer chose.
    """

    woo_id: int
    label: str
    quantity: Decimal
    subtotal: Decimal
    total: Decimal
    tax: Decimal
    rate_ids: tuple[int, ...]
    product_id: int = 0
    variation_id: int = 0
    sku: str = ""
    attributes: tuple[Attribute, ...] = ()


@dataclass(frozen=True, slots=True)
class RefundWord:
    """Money that went back: ``amount`` with tax, positive."""

    woo_id: int
    amount: Decimal
    reason: str


@dataclass(frozen=True, slots=True)
class Sale(Word):
    """What orders and subscriptions have in common. Amounts in ``currency``; ``total`` with tax."""

    parent_id: int
    customer_id: int
    currency: str
    created_at: datetime
    paid_at: datetime | None
    total: Decimal
    total_tax: Decimal
    billing: Address
    shipping: Address
    payment_method: str
    items: tuple[Item, ...]
    shipping_lines: tuple[Item, ...]
    fees: tuple[Item, ...]
    tax_rates: tuple[tuple[int, Decimal | None], ...]

    @property
    def is_erased(self) -> bool:
        """Whether the person's data were erased in the shop."""
        return self.billing.email == ERASED_EMAIL


@dataclass(frozen=True, slots=True)
class Order(Sale):
    """An order. ``renewal_of``, ``switch_of`` and ``resubscribes`` are ids of subscriptions, empty of most orders."""

    number: str
    refunds: tuple[RefundWord, ...]
    renewal_of: tuple[int, ...]
    switch_of: tuple[int, ...]
    resubscribes: tuple[int, ...]
    is_early: bool
    transaction_id: str

    @property
    def subscription_ids(self) -> set[int]:
        """The subscriptions that it renews, switches or takes up again."""
        return {*self.renewal_of, *self.switch_of, *self.resubscribes}


@dataclass(frozen=True, slots=True)
class Subscription(Sale):
    """A subscription. ``period`` and ``interval`` as the shop says them: month, 2."""

    period: str
    interval: int
    starts_at: datetime
    trial_ends_at: datetime | None
    next_payment_at: datetime | None
    ends_at: datetime | None
    cancelled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Product(Word):
    """A product of the shop."""

    name: str
    sku: str


@dataclass(frozen=True, slots=True)
class Deleted:
    """The shop says only the id: it was put into the trash, or deleted."""

    kind: ResourceKind
    woo_id: int


@dataclass(frozen=True, slots=True)
class Problem:
    """Signed, and not the resource. ``is_fault`` where somebody must do something about it; else it is passed over."""

    sentence: str
    is_fault: bool = False


Resource = Customer | Order | Subscription | Product
Read = Resource | Deleted | Problem


def read(kind: ResourceKind, body: bytes, zone: ZoneInfo) -> Read:
    """What the body says. ``zone`` is the shop's: dates without ``_gmt`` are read in it. Raises UnreadableError."""
    content = _parse(body)
    said = _skim(kind, content, zone)
    if not isinstance(said, Word):
        return said
    return _READERS[kind](content, zone, said)


def skim(kind: ResourceKind, body: bytes, zone: ZoneInfo) -> Word | Deleted | Problem:
    """As ``read``, without what only projecting needs: enough to see that nothing is new. Raises UnreadableError."""
    return _skim(kind, _parse(body), zone)


def skim_parsed(kind: ResourceKind, content: Any, zone: ZoneInfo) -> Word | Deleted | Problem:
    """As ``skim``, of what is parsed already; what is not compared is taken out of ``content``."""
    return _skim(kind, content, zone)


def _parse(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:  # lone surrogates and numbers of forty digits, which the faster one refuses
        return values.without_surrogates(json.loads(body, parse_constant=_refuse))
    except (ValueError, RecursionError) as error:
        raise UnreadableError(NOT_JSON) from error


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _skim(kind: ResourceKind, content: Any, zone: ZoneInfo) -> Word | Deleted | Problem:
    if content == []:
        return Problem(EMPTY)
    if not isinstance(content, dict):
        raise UnreadableError(NOT_AN_OBJECT)
    if "code" in content and "id" not in content:
        return _problem(content)
    if isinstance(content.get(kind.value), dict):
        raise UnreadableError(LEGACY)
    woo_id = values.read_id(content.get("id"), "id")
    if not woo_id:
        raise UnreadableError(NOT_AN_OBJECT)
    if len(content) == 1:
        return Deleted(kind, woo_id)
    for name in VOLATILE:
        content.pop(name, None)
    canonical = _canonical(content)
    status = values.read_text(content.get("role" if kind is ResourceKind.CUSTOMER else "status"), 40)
    return Word(
        kind=kind,
        woo_id=woo_id,
        modified_at=_modified_at(content, zone),
        rank=_RANKS[kind](content, status),
        hash=hashlib.sha256(canonical).digest(),
        canonical=canonical,
        status=status,
    )


def _problem(content: Json) -> Problem:
    code = values.read_text(content.get("code"), 100)
    if code.endswith("_invalid_id"):
        return Problem(GONE)
    if "cannot_view" in code:
        return Problem(NOT_ALLOWED, is_fault=True)
    message = values.read_text(content.get("message"), 200) or code
    return Problem(ERROR.format(message=message), is_fault=True)


def _canonical(content: Json) -> bytes:
    try:
        return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    except (orjson.JSONEncodeError, TypeError):  # an integer that is too great for the faster one
        return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _modified_at(content: Json, zone: ZoneInfo) -> datetime:
    """When it was last changed; of a new plain user, who has no such date, when it was made."""
    for name in ("date_modified", "date_created"):
        instant = values.read_instant(content, name, zone)
        if instant is not None:
            return instant
    return datetime.fromtimestamp(0, UTC)


# ------------------------------------------------------------------------------------------------ ranks


def _rank_customer(content: Json, _role: str) -> int:
    return int(content.get("email") == ERASED_EMAIL)


def _rank_order(content: Json, status: str) -> int:
    """Paid is later than unpaid, then the status, then how much has gone back."""
    refunds = content.get("refunds")
    paid = bool(content.get("date_paid_gmt") or content.get("date_paid"))
    return (
        paid * 100_000 + _step(ORDER_STEPS, status) * 1_000 + min(len(refunds) if isinstance(refunds, list) else 0, 999)
    )


def _rank_subscription(_content: Json, status: str) -> int:
    return _step(SUBSCRIPTION_STEPS, status)


def _step(steps: tuple[str, ...], status: str) -> int:
    """A status that we do not know stands beside those that are at work: it was given by hand."""
    return 2 * steps.index(status) if status in steps else 2 * steps.index(steps[len(steps) // 2]) + 1


_RANKS: dict[ResourceKind, Callable[[Json, str], int]] = {
    ResourceKind.CUSTOMER: _rank_customer,
    ResourceKind.ORDER: _rank_order,
    ResourceKind.SUBSCRIPTION: _rank_subscription,
    ResourceKind.PRODUCT: lambda _content, _status: 0,
}


# ------------------------------------------------------------------------------------------------ kinds


def _word(word: Word) -> Json:
    return {name: getattr(word, name) for name in Word.__slots__}


def _read_customer(content: Json, _zone: ZoneInfo, word: Word) -> Customer:
    billing = _address(content.get("billing"))
    email = values.read_email(content.get("email"))
    return Customer(
        **_word(word),
        email=email,
        first_name=values.read_text(content.get("first_name"), 200) or billing.first_name,
        last_name=values.read_text(content.get("last_name"), 200) or billing.last_name,
        role=word.status,
        billing=billing,
        shipping=_address(content.get("shipping")),
        is_erased=ERASED_EMAIL in (email, billing.email),
    )


def _read_order(content: Json, zone: ZoneInfo, word: Word) -> Order:
    meta = _meta(content)
    return Order(
        **_sale(content, zone, word),
        number=values.read_text(content.get("number"), 40) or str(word.woo_id),
        refunds=tuple(
            sorted(map(_refund, values.read_list(content, "refunds", LINES_LIMIT)), key=lambda each: each.woo_id)
        ),
        renewal_of=_ids(meta, RENEWAL),
        switch_of=_ids(meta, SWITCH),
        resubscribes=_ids(meta, RESUBSCRIPTION),
        is_early=EARLY_RENEWAL in meta,
        transaction_id=values.read_text(content.get("transaction_id"), 200),
    )


def _read_subscription(content: Json, zone: ZoneInfo, word: Word) -> Subscription:
    sale = _sale(content, zone, word)
    interval = values.read_id(content.get("billing_interval"), "billing_interval")
    return Subscription(
        **sale,
        period=values.read_text(content.get("billing_period"), 10),
        interval=interval or 1,
        starts_at=_date(content, "start", zone) or sale["created_at"],
        trial_ends_at=_date(content, "trial_end", zone),
        next_payment_at=_date(content, "next_payment", zone),
        ends_at=_date(content, "end", zone),
        cancelled_at=_date(content, "cancelled", zone),
    )


def _date(content: Json, name: str, zone: ZoneInfo) -> datetime | None:
    """A date of a subscription: ``start`` is said as ``start_date_gmt``."""
    return values.read_instant(content, f"{name}_date", zone)


def _read_product(content: Json, _zone: ZoneInfo, word: Word) -> Product:
    return Product(
        **_word(word),
        name=values.read_text(content.get("name"), 200),
        sku=values.read_text(content.get("sku"), 100),
    )


_READERS: dict[ResourceKind, Callable[[Json, ZoneInfo, Word], Resource]] = {
    ResourceKind.CUSTOMER: _read_customer,
    ResourceKind.ORDER: _read_order,
    ResourceKind.SUBSCRIPTION: _read_subscription,
    ResourceKind.PRODUCT: _read_product,
}


def _sale(content: Json, zone: ZoneInfo, word: Word) -> Json:
    return _word(word) | {
        "parent_id": values.read_id(content.get("parent_id"), "parent_id"),
        "customer_id": values.read_id(content.get("customer_id"), "customer_id"),
        "currency": values.read_text(content.get("currency"), 3).upper(),
        "created_at": values.read_instant(content, "date_created", zone) or word.modified_at,
        "paid_at": values.read_instant(content, "date_paid", zone),
        "total": values.read_amount(content.get("total"), "total"),
        "total_tax": values.read_amount(content.get("total_tax"), "total_tax"),
        "billing": (billing := _address(content.get("billing"))),
        "shipping": _address(content.get("shipping"), region=billing.country),
        "payment_method": values.read_text(content.get("payment_method"), 100),
        "items": _items(content, "line_items", "name"),
        "shipping_lines": _items(content, "shipping_lines", "method_title"),
        "fees": _items(content, "fee_lines", "name"),
        "tax_rates": tuple(
            (values.read_id(line.get("rate_id"), "rate_id"), values.read_rate(line.get("rate_percent")))
            for line in values.read_list(content, "tax_lines", LINES_LIMIT)
        ),
    }


def _address(written: Any, region: str = "") -> Address:
    if not isinstance(written, dict):
        return Address()
    country = values.read_country(written.get("country"))
    return Address(
        first_name=values.read_text(written.get("first_name"), 200),
        last_name=values.read_text(written.get("last_name"), 200),
        company=values.read_text(written.get("company"), 200),
        line1=values.read_text(written.get("address_1"), 200),
        line2=values.read_text(written.get("address_2"), 200),
        postcode=values.read_postcode(written.get("postcode"), country),
        city=values.read_text(written.get("city"), 100),
        country=country,
        email=values.read_email(written.get("email")),
        phone=values.read_phone(written.get("phone"), country or region),
    )


def _items(content: Json, name: str, label: str) -> tuple[Item, ...]:
    lines = [_item(line, label) for line in values.read_list(content, name, LINES_LIMIT)]
    return tuple(sorted(lines, key=lambda line: line.woo_id))


def _item(line: Mapping[str, Any], label: str) -> Item:
    total = values.read_amount(line.get("total"), "total")
    subtotal = values.read_amount(line["subtotal"], "subtotal") if line.get("subtotal") not in (None, "") else total
    return Item(
        woo_id=values.read_id(line.get("id"), "id"),
        label=values.read_text(line.get(label), 200) or "Sans nom",
        quantity=values.read_quantity(line.get("quantity", 1)),
        subtotal=subtotal,
        total=total,
        tax=values.read_amount(line.get("total_tax"), "total_tax"),
        rate_ids=tuple(
            values.read_id(tax.get("id"), "id")
            for tax in values.read_list(line, "taxes", 100)
            if tax.get("total") not in (None, "", "0", "0.00", 0)
        ),
        product_id=values.read_id(line.get("product_id"), "product_id"),
        variation_id=values.read_id(line.get("variation_id"), "variation_id"),
        sku=values.read_text(line.get("sku"), 100),
        attributes=tuple(_attributes(line)),
    )


def _attributes(line: Mapping[str, Any]) -> Iterator[Attribute]:
    """What the buyer chose. Names that begin with an underscore are the shop's own notes; values may be anything."""
    for meta in values.read_list(line, "meta_data", LINES_LIMIT):
        name, value = values.read_text(meta.get("key"), 200), values.read_text(meta.get("value"), 500)
        if name and value and not name.startswith("_"):
            shown_name = values.read_text(meta.get("display_key"), 200) or name
            yield Attribute(name, value, shown_name, values.read_text(meta.get("display_value"), 500) or value)


def _refund(written: Mapping[str, Any]) -> RefundWord:
    return RefundWord(
        woo_id=values.read_id(written.get("id"), "id"),
        amount=abs(values.read_amount(written.get("total"), "total")),
        reason=values.read_text(written.get("reason"), 500),
    )


def _meta(content: Json) -> dict[str, list[Any]]:
    """The notes of the resource by name: one name may stand there several times."""
    by_name: dict[str, list[Any]] = {}
    for meta in values.read_list(content, "meta_data", 10 * LINES_LIMIT):
        if isinstance(meta.get("key"), str):
            by_name.setdefault(meta["key"], []).append(meta.get("value"))
    return by_name


def _ids(meta: Mapping[str, list[Any]], name: str) -> tuple[int, ...]:
    """The subscriptions that a note names; a note that names none that exists is none."""
    found = set()
    for value in meta.get(name, ()):
        try:
            found.add(values.read_id(value, name))
        except UnreadableError:
            continue
    return tuple(sorted(found - {0}))
