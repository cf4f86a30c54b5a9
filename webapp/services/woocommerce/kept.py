"""The latest words of a shop, as they are kept: rows together with what they say."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar, cast
from zoneinfo import ZoneInfo

from sqlalchemy import ARRAY, BigInteger, Text, and_, any_, bindparam, func, or_, select
from sqlalchemy.orm import undefer

from webapp.extensions import db
from webapp.models.woocommerce import ResourceKind, WooCommerceResource, WooCommerceShop
from webapp.services.woocommerce import reading
from webapp.services.woocommerce.reading import Customer, Deleted, Order, Resource, Sale, Subscription

Said = TypeVar("Said", bound=reading.Word)
Name = tuple[ResourceKind, int]
"""A resource of the shop: its kind, and its id there."""


class Kept(NamedTuple, Generic[Said]):
    """A resource: its ``row``, and the ``word`` in it."""

    row: WooCommerceResource
    word: Said


Orders = Sequence[Kept[Order]]
Subscriptions = Sequence[Kept[Subscription]]


_SALES = (ResourceKind.SUBSCRIPTION, ResourceKind.ORDER)


@dataclass(frozen=True, slots=True)
class Family:
    """Subscriptions that share orders, by id, and all their orders, in the order of cycles."""

    subscriptions: Subscriptions
    orders: Orders


def word_of(shop: WooCommerceShop, row: WooCommerceResource) -> Resource | None:
    """What it says; None where only its deletion was heard of."""
    body = row.body_in_clear()
    if body is None:
        return None
    said = reading.read(row.kind, body, ZoneInfo(shop.timezone))
    return said if isinstance(said, Customer | Order | Subscription | reading.Product) else None


def has_subscriptions(shop: WooCommerceShop) -> bool:
    """Whether the shop has told of any."""
    which = WooCommerceResource.shop_id == shop.id, WooCommerceResource.kind == ResourceKind.SUBSCRIPTION
    return db.session.scalar(select(WooCommerceResource.id).where(*which).limit(1)) is not None


# Statements made once: what builds and looks through them would take longer than the rows.
def _ids(name: str) -> Any:
    return any_(bindparam(name, type_=ARRAY(BigInteger)))


_ROWS = (
    select(WooCommerceResource)
    .where(WooCommerceResource.shop_id == bindparam("shop_id"))
    .options(undefer(WooCommerceResource.body))
    .execution_options(populate_existing=True)
)
_NAMED = (
    func.unnest(bindparam("kinds", type_=ARRAY(Text)), bindparam("ids", type_=ARRAY(BigInteger)))
    .table_valued("kind", "woo_id")
    .render_derived()
)
_BY_NAME = _ROWS.join(
    _NAMED, and_(WooCommerceResource.kind == _NAMED.c.kind, WooCommerceResource.woo_id == _NAMED.c.woo_id)
)
_SUBSCRIPTIONS = _ROWS.where(
    WooCommerceResource.kind == ResourceKind.SUBSCRIPTION,
    or_(WooCommerceResource.woo_id == _ids("subscriptions"), WooCommerceResource.parent_id == _ids("orders")),
)
_ORDERS = _ROWS.where(
    WooCommerceResource.kind == ResourceKind.ORDER,
    or_(
        WooCommerceResource.woo_id == _ids("orders"),
        WooCommerceResource.related_ids.overlap(bindparam("subscriptions", type_=ARRAY(BigInteger))),
    ),
)


@dataclass(slots=True)
class _Links:
    """Ids of orders by the subscription that they are of, and of subscriptions by the order that they began with."""

    orders: dict[int, set[int]]
    subscriptions: dict[int, set[int]]

    @classmethod
    def of(cls, rows: Iterable[WooCommerceResource]) -> "_Links":
        links = cls(defaultdict(set), defaultdict(set))
        for row in rows:
            if row.kind is ResourceKind.ORDER:
                for woo_id in row.related_ids or ():
                    links.orders[woo_id].add(row.woo_id)
            elif row.kind is ResourceKind.SUBSCRIPTION and row.parent_id:
                links.orders[row.woo_id].add(row.parent_id)
                links.subscriptions[row.parent_id].add(row.woo_id)
        return links


@dataclass(slots=True)
class Words:
    """What is kept of some resources, of all that shares orders with them, and of the customers that these name.

    Rows are read once, in few queries however many they are, with the shop held (``projecting.hold``).
    """

    shop: WooCommerceShop
    _rows: dict[Name, WooCommerceResource] = field(default_factory=dict)
    _said: dict[Name, tuple[bytes | None, Resource | None]] = field(default_factory=dict)
    _families: dict[int, Family] = field(default_factory=dict)
    _links: _Links | None = None

    @classmethod
    def load(
        cls, shop: WooCommerceShop, names: Iterable[Name] = (), *, told: Iterable[Resource | Deleted] = ()
    ) -> "Words":
        """Read what is kept of these resources, and of those that ``told`` is about: words that may be kept next."""
        words, told = cls(shop), list(told)
        sales = [each for each in told if isinstance(each, Sale)]
        words._read_named({*names, *((each.kind, each.woo_id) for each in told)})
        words._read_families(sales)
        buyers = {row.customer_id for row in words.rows} | {each.customer_id for each in sales}
        words._read_named({(ResourceKind.CUSTOMER, woo_id) for woo_id in buyers if woo_id})
        return words

    def _read_named(self, names: Collection[Name]) -> None:
        missing = sorted(set(names) - self._rows.keys())
        if missing:
            self._read(_BY_NAME, kinds=[kind.value for kind, _ in missing], ids=[woo_id for _, woo_id in missing])

    def _read_families(self, told: Sequence[Sale]) -> None:
        """Read what shares orders with what is read or told, until nothing new is named."""
        asked = dict[Any, tuple[list[int], list[int]]]()
        orders = {woo_id for kind, woo_id in self._rows if kind is ResourceKind.ORDER}
        orders |= {each.woo_id if isinstance(each, Order) else each.parent_id for each in told} - {0}
        is_all = False
        while not is_all:
            is_all = True
            for statement in (_SUBSCRIPTIONS, _ORDERS):
                named = self._named(told, orders)
                if any(named) and asked.get(statement) != named:
                    self._read(statement, subscriptions=named[0], orders=named[1])
                    asked[statement], is_all = named, False

    def _named(self, told: Sequence[Sale], orders: Collection[int]) -> tuple[list[int], list[int]]:
        """The ids of the subscriptions that are there or named; of ``orders``, and of those that these began with."""
        subscriptions, parents = set[int](), set(orders)
        for (kind, woo_id), row in self._rows.items():
            if kind is ResourceKind.SUBSCRIPTION:
                subscriptions.add(woo_id)
                parents |= {row.parent_id} if row.parent_id else set()
            elif kind is ResourceKind.ORDER:
                subscriptions.update(row.related_ids)
        for sale in told:
            subscriptions |= sale.subscription_ids if isinstance(sale, Order) else {sale.woo_id}
        return sorted(subscriptions), sorted(parents)

    def _read(self, statement: Any, **values: object) -> None:
        for row in db.session.scalars(statement, {"shop_id": self.shop.id, **values}):
            self._rows[row.kind, row.woo_id] = row

    # -------------------------------------------------------------------------------------------- what is there

    def row(self, name: Name) -> WooCommerceResource | None:
        """What is kept of a resource that was asked for."""
        return self._rows.get(name)

    def take(self, row: WooCommerceResource, word: Resource | None = None) -> None:
        """Have a row that was made, or that says something else from now on: ``word``."""
        name = row.kind, row.woo_id
        self._rows[name] = row
        self._families.clear()
        self._links = None
        if word is not None:
            self._said[name] = row.hash, word

    @property
    def rows(self) -> Collection[WooCommerceResource]:
        """All that was read."""
        return self._rows.values()

    def find(self, name: Name) -> Kept[Any] | None:
        """A resource with what it says; None where the shop has not told of it."""
        row = self._rows.get(name)
        if row is None:
            return None
        if name not in self._said or self._said[name][0] != row.hash:
            self._said[name] = row.hash, word_of(self.shop, row)
        word = self._said[name][1]
        return None if word is None else Kept(row, word)

    def list_sales(self) -> list[Kept[Sale]]:
        """All subscriptions and orders that were read."""
        found = (self.find(name) for name in self._rows if name[0] in _SALES)
        return cast("list[Kept[Sale]]", [each for each in found if each is not None])

    def find_customer(self, woo_id: int) -> Kept[Customer] | None:
        """The customer, where the shop has told of her."""
        return self.find((ResourceKind.CUSTOMER, woo_id)) if woo_id else None

    def list_subscriptions(self, woo_ids: Collection[int], *, parents: Collection[int] = ()) -> Subscriptions:
        """The subscriptions with these ids, and those that one of the orders ``parents`` began; by id."""
        begun = (woo_id for parent in parents for woo_id in self._linked.subscriptions.get(parent, ()))
        return cast("Subscriptions", self._find_all(ResourceKind.SUBSCRIPTION, {*woo_ids, *begun}))

    def family_of(self, subscription: Kept[Subscription]) -> Family:
        """All that shares orders with it, and shares orders with that; what is in another currency is not."""
        if subscription.word.woo_id not in self._families:
            family = self._find_family(subscription)
            for each in family.subscriptions:
                if each.word.currency == subscription.word.currency:
                    self._families[each.word.woo_id] = family
        return self._families[subscription.word.woo_id]

    def _find_family(self, subscription: Kept[Subscription]) -> Family:
        found: Subscriptions = [subscription]
        while True:
            orders = [each for each in self._orders_of(found) if each.word.currency == subscription.word.currency]
            named = {woo_id for order in orders for woo_id in order.word.renewal_of}
            named |= {each.word.woo_id for each in found}
            more = self.list_subscriptions(named, parents={each.word.parent_id for each in found} - {0})
            if len(more) <= len(found):
                return Family(more, orders)
            found = more

    def _orders_of(self, subscriptions: Subscriptions) -> Orders:
        """The orders that began these subscriptions, renewed, switched or took them up again."""
        ids = {woo_id for each in subscriptions for woo_id in self._linked.orders.get(each.word.woo_id, ())}
        found = cast("Orders", self._find_all(ResourceKind.ORDER, ids))
        return sorted(found, key=lambda each: (each.word.created_at, each.word.woo_id))

    def _find_all(self, kind: ResourceKind, woo_ids: Collection[int]) -> list[Kept[Resource]]:
        return [each for woo_id in sorted(woo_ids) if (each := self.find((kind, woo_id))) is not None]

    @property
    def _linked(self) -> _Links:
        if self._links is None:
            self._links = _Links.of(self._rows.values())
        return self._links
