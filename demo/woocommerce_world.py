"""What the pretend shop holds, and all that can happen in it.

Each act changes resources and tells the topics that WooCommerce would, in its order (order.updated before order.created
at a checkout), and tells nothing where WooCommerce tells nothing: an order erased for good, a refund taken back, a
customer's orders once she is deleted. What a delivery holds is read later, when it leaves.
"""

import heapq
import random
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from dateutil.relativedelta import relativedelta

from demo.home import read_json, write_json
from demo.woocommerce_bodies import (
    Article,
    Body,
    Item,
    Numbers,
    Person,
    Stamps,
    customer_body,
    instant,
    money,
    order_body,
    product_body,
    sale_body,
    subscription_body,
)
from webapp import clock

COLLECTIONS: Final = ("customers", "products", "orders", "subscriptions")
ARTICLES: Final = (
    Article(11, "Box du mois", "BOX-M", Decimal("29.90"), "month"),
    Article(
        12, "Café en grains", "CAFE", Decimal("18.50"), "month", options=((21, "Doux"), (22, "Corsé")), attribute="Goût"
    ),
    Article(13, "Panier de la quinzaine", "PAN-2S", Decimal("24.00"), "week", 2),
    Article(14, "Thé de saison", "THE-3S", Decimal("15.00"), "week", 3),
    Article(15, "Savon d’Alep & lavande", "SAVON", Decimal("12.90")),
    Article(16, "Huile", "HUILE", Decimal("14.50"), options=((23, "50 ml"), (24, "100 ml")), attribute="Contenance"),
)  # fmt: skip
BOX, COFFEE, FORTNIGHT, TEA, SOAP, OIL = ARTICLES
FIRST_NAMES: Final = "Camille Nadia Inès Lucas Zoé Hugo Élodie Karim Anaïs Théo Léa Rémi Chloé Yanis Manon Gaël".split()
LAST_NAMES: Final = "Roche Morel Bernard Lefèvre Dupont Marchand Olivier Perrin Renard Vidal Baron Colin Garcia".split()
TOWNS: Final = (
    ("21000", "Dijon"),
    ("35000", "Rennes"),
    ("44000", "Nantes"),
    ("69100", "Villeurbanne"),
    ("59000", "Lille"),
)
LIVING: Final = ("active", "on-hold", "pending", "pending-cancel")


class BadActError(ValueError):
    """Nothing of the kind can happen now; the message says why."""


@dataclass
class World:
    """All resources as bodies, by collection and id. ``now`` is its clock; ``tell`` hears (topic, id) of each event.

    With a ``journal`` (a path) everything is written there after each act, so that a restart forgets nothing.
    """

    url: str
    now: Callable[[], datetime] = clock.now
    tell: Callable[[str, int], None] = field(default=lambda _topic, _woo_id: None)
    journal: Path | None = None
    seed: int = 0
    bodies: dict[str, dict[int, Body]] = field(default_factory=lambda: {name: {} for name in COLLECTIONS})
    former: dict[str, dict[int, Body]] = field(default_factory=lambda: defaultdict(dict))
    """What each resource said before its last change."""
    erased: dict[str, list[int]] = field(default_factory=lambda: {name: [] for name in COLLECTIONS})
    numbers: Numbers = field(default_factory=lambda: Numbers(post=40))
    stamps: Stamps = field(default_factory=Stamps)
    lock: threading.RLock = field(default_factory=threading.RLock)
    stopped_at: datetime | None = None
    """While it is set, the shop's clock stands still there: everything is of the same second."""

    def __post_init__(self) -> None:
        known = read_json(self.journal) if self.journal else {}
        if known:
            self.bodies = {name: {body["id"]: body for body in known[name]} for name in COLLECTIONS}
            self.erased, self.numbers = known["erased"], Numbers(**known["numbers"])
        else:
            for article in ARTICLES:
                self._keep("products", product_body(article, at=self.at(), stamps=self.stamps, url=self.url))

    # ---- Reading

    def at(self) -> datetime:
        """The shop's time, in whole seconds."""
        return (self.stopped_at or self.now()).replace(microsecond=0)

    def body(self, collection: str, woo_id: int) -> Body | None:
        """What a resource says now."""
        return self.bodies[collection].get(woo_id)

    def state(self) -> dict[str, Any]:
        """The truth: every resource that there is, and the ids of those erased for good."""
        with self.lock:
            return {name: list(self.bodies[name].values()) for name in COLLECTIONS} | {
                "erased": self.erased,
                "numbers": asdict(self.numbers),
            }

    def orders_of(self, subscription_id: int) -> list[Body]:
        """Its first order and its renewals, the oldest first."""
        subscription = self.bodies["subscriptions"][subscription_id]
        return [
            order
            for order in self.bodies["orders"].values()
            if order["id"] == subscription["parent_id"] or _renews(order) == str(subscription_id)
        ]

    # ---- Acts

    @contextmanager
    def act(self) -> Iterator[None]:
        """One thing that happens, alone, and is written down."""
        with self.lock:
            yield
            if self.journal:
                write_json(self.journal, self.state())

    def somebody(self) -> Person:
        """An invented person, another one each time."""
        number = self.numbers.next("user")
        chance = random.Random(f"{self.seed}|{number}")
        first, last = chance.choice(FIRST_NAMES), chance.choice(LAST_NAMES)
        postcode, city = chance.choice(TOWNS)
        return Person(
            first_name=first,
            last_name=last,
            email=f"acheteur.{number}@boutique.example",
            phone=f"06 39 98 {number // 100 % 100:02d} {number % 100:02d}",
            address=f"{chance.randint(1, 90)} rue des Essais",
            postcode=postcode,
            city=city,
        )

    def sign_up(self, person: Person | None = None, *, role: str = "customer") -> int:
        """An account is opened, without any order."""
        with self.act():
            return self._open_account(person or self.somebody(), role)

    def subscribe(
        self,
        person: Person | None = None,
        items: Sequence[Item] = (Item(BOX),),
        *,
        customer_id: int = 0,
        is_paid: bool = True,
        is_guest: bool = False,
    ) -> list[int]:
        """Somebody subscribes at the checkout: one subscription for each rhythm in the basket, one first order.

        Returns the subscriptions' ids. Unless it is a guest or a known customer, an account is opened.
        """
        with self.act():
            person = person or self.somebody()
            is_new = not customer_id and not is_guest
            if is_new:
                customer_id = self._open_account(person, "subscriber", silently=True)
            order = self._order(person, items, customer_id)
            made = [
                self._subscription(order, group)
                for group in _by_rhythm([item for item in items if item.article.period])
            ]
            if is_paid:
                self._pay(order)
                for subscription in made:
                    self._activate(subscription, order)
            self.tell("order.updated", order["id"])
            if is_new:
                self._tell_both("customer", customer_id, created_first=True)
            self.tell("order.created", order["id"])
            for subscription in made:
                self._tell_both("subscription", subscription["id"])
            return [subscription["id"] for subscription in made]

    def buy(
        self,
        person: Person | None = None,
        items: Sequence[Item] = (Item(SOAP, quantity=2), Item(OIL, option=23)),
        *,
        customer_id: int = 0,
        is_paid: bool = True,
    ) -> int:
        """A single purchase; of a guest, unless a customer is named. Cash on delivery, where it is not paid."""
        with self.act():
            order = self._order(person or self.somebody(), items, customer_id)
            if is_paid:
                self._pay(order)
            else:
                order |= {"status": "processing", "payment_method": "cod", "payment_method_title": "À la livraison"}
            self._tell_both("order", order["id"])
            self.tell("product.updated", items[0].article.id)
            return int(order["id"])

    def draft(self, person: Person | None = None) -> int:
        """A checkout that the shop refused: a draft with names in it."""
        with self.act():
            order = self._order(person or self.somebody(), [Item(SOAP)], 0)
            order["status"] = "checkout-draft"
            self.tell("order.updated", order["id"])
            return int(order["id"])

    def renew(self, subscription_id: int | None = None, *, outcome: str = "paid", is_early: bool = False) -> int:
        """A subscription renews: paid, failed or pending. Without an id, the living one whose turn it is.

        An early renewal moves the next payment by one period from where it stood.
        """
        with self.act():
            subscription = self._due(subscription_id)
            order = self._renewal(subscription, is_early=is_early)
            planned = instant(subscription["next_payment_date_gmt"])
            if outcome == "paid":
                self._pay(order)
                self._activate(subscription, order)
                if is_early and planned:
                    subscription["next_payment_date_gmt"] = self.stamps.gmt(planned + _period(subscription))
            else:
                order["status"] = outcome
                self._touch("subscriptions", subscription["id"]).update(
                    status="on-hold", last_payment_date_gmt=order["date_created_gmt"]
                )
            self.tell("order.created", order["id"])
            self.tell("order.updated", order["id"])
            self.tell("subscription.updated", subscription["id"])
            return int(order["id"])

    def pay(self, order_id: int) -> None:
        """An order that waited is paid, and so lives what it renews."""
        with self.act():
            order = self._touch("orders", order_id)
            self._pay(order)
            for subscription in self._subscriptions_of(order):
                self._activate(self._touch("subscriptions", subscription["id"]), order)
                self.tell("subscription.updated", subscription["id"])
            self.tell("order.updated", order_id)

    def refund(self, order_id: int | None = None, amount: str | None = None) -> int:
        """Give money back; without an amount, all that is left. Without an order, of the newest that can be."""
        with self.act():
            order_id = order_id or self._refundable()
            order = self._touch("orders", order_id)
            left = Decimal(order["total"]) + sum((Decimal(each["total"]) for each in order["refunds"]), Decimal(0))
            given = min(left, Decimal(amount)) if amount else left
            if given <= 0:
                raise BadActError("nothing is left to give back")
            refund_id = self.numbers.next("post")
            order["refunds"].append({"id": refund_id, "reason": "", "total": f"-{money(given)}", "total_tax": "0.00"})
            if given == left:
                order["status"] = "refunded"
            self.tell("order.updated", order_id)
            return refund_id

    def take_back_refund(self, order_id: int) -> None:
        """A refund is deleted: WooCommerce tells nobody, and changes no date."""
        with self.act():
            self.bodies["orders"][order_id]["refunds"].pop()

    def set_order_status(self, order_id: int, status: str) -> None:
        """A person moves an order: completed, cancelled, failed, …"""
        with self.act():
            self._touch("orders", order_id)["status"] = status
            self.tell("order.updated", order_id)

    def set_subscription_status(self, subscription_id: int, status: str) -> None:
        """A person, or the shop, moves a subscription."""
        with self.act():
            subscription = self._touch("subscriptions", subscription_id)
            subscription["status"] = status
            now = self.stamps.gmt(self.at())
            if status == "pending-cancel":
                end = subscription["next_payment_date_gmt"]
                subscription.update(cancelled_date_gmt=now, end_date_gmt=end, next_payment_date_gmt="")
            elif status == "cancelled":
                ends = subscription["end_date_gmt"] or now
                subscription.update(cancelled_date_gmt=now, end_date_gmt=ends, next_payment_date_gmt="")
            elif status == "expired":
                subscription.update(end_date_gmt=now, next_payment_date_gmt="")
            elif status == "active":
                self._schedule(subscription, self.at())
            self.tell("subscription.updated", subscription_id)

    def switch(self, subscription_id: int, article_id: int) -> int:
        """The subscriber takes another article: the difference is a switch order, the lines are others."""
        with self.act():
            subscription = self._touch("subscriptions", subscription_id)
            article = next(each for each in ARTICLES if each.id == article_id)
            sale = sale_body([Item(article)], self.numbers)
            order = self._order(_person(subscription), [Item(article)], subscription["customer_id"])
            order["meta_data"].append(self._meta("_subscription_switch", str(subscription_id)))
            self._pay(order)
            subscription.update(sale)
            self._tell_both("order", order["id"])
            self.tell("subscription.switched", subscription_id)
            self.tell("subscription.updated", subscription_id)
            return int(order["id"])

    def change_customer(self, customer_id: int, **fields: str) -> None:
        """An account's fields change: ``email`` and names of the account, else of its billing address."""
        with self.act():
            customer = self._touch("customers", customer_id)
            for name, value in fields.items():
                (customer if name in ("email", "first_name", "last_name") else customer["billing"])[name] = value
            self.tell("customer.updated", customer_id)

    def trash(self, order_id: int) -> None:
        """Into the trash; its subscription follows, where it is the first order."""
        with self.act():
            for subscription in self.bodies["subscriptions"].values():
                if subscription["parent_id"] == order_id:
                    self._touch("subscriptions", subscription["id"])["status"] = "trash"
                    self.tell("subscription.updated", subscription["id"])
                    self.tell("subscription.deleted", subscription["id"])
            order = self._touch("orders", order_id)
            order["meta_data"].append(self._meta("_wp_trash_meta_status", order["status"]))
            order["status"] = "trash"
            self.tell("order.deleted", order_id)

    def restore(self, order_id: int) -> None:
        """Out of the trash again, alone."""
        with self.act():
            order = self._touch("orders", order_id)
            order["status"] = next(
                each["value"] for each in reversed(order["meta_data"]) if each["key"] == "_wp_trash_meta_status"
            )
            self.tell("order.restored", order_id)

    def erase_order(self, order_id: int) -> None:
        """Deleted for good, without trash first: nothing is told."""
        with self.act():
            self._erase("orders", order_id)

    def erase_customer(self, customer_id: int) -> None:
        """An account goes, with its subscriptions; its orders become a guest's, which nothing tells."""
        with self.act():
            for order in self.bodies["orders"].values():
                if order["customer_id"] == customer_id:
                    order["customer_id"] = 0
            for subscription in list(self.bodies["subscriptions"].values()):
                if subscription["customer_id"] == customer_id:
                    self._erase("subscriptions", subscription["id"])
                    self.tell("subscription.updated", subscription["id"])
                    self.tell("subscription.deleted", subscription["id"])
            self._erase("customers", customer_id)
            self.tell("customer.deleted", customer_id)

    # ---- A world to begin with

    def populate(self, subscribers: int = 6, *, months: int = 3, guests: int = 2) -> None:
        """Months of life, without a word to anybody: subscribers with renewals, guests, a refund, a failed renewal."""
        tell, self.tell, now, journal = self.tell, lambda _topic, _woo_id: None, self.now(), self.journal
        self.journal = None  # written once, at the end
        try:
            self._live(subscribers, months, guests, now)
        finally:
            self.tell, self.stopped_at, self.journal = tell, None, journal
        with self.act():
            pass

    def _live(self, subscribers: int, months: int, guests: int, now: datetime) -> None:
        """In the order of time, as ids of a shop go."""
        baskets = ([Item(BOX)], [Item(COFFEE, option=22)], [Item(FORTNIGHT)], [Item(BOX, discount=10)], [Item(TEA)])
        begin, until = now - relativedelta(months=months), now - timedelta(days=1)
        due = [(begin + timedelta(hours=number % 72), -number, 0) for number in range(subscribers)]
        due += [(now - timedelta(days=3 + number), -number, -1) for number in range(guests)]
        heapq.heapify(due)
        while due and due[0][0] < until:
            self.stopped_at, number, subscription_id = heapq.heappop(due)
            if subscription_id < 0:
                self.buy(is_paid=number % 2 == 0)
                continue
            if subscription_id:
                self.renew(subscription_id)
            else:
                (subscription_id,) = self.subscribe(items=baskets[-number % len(baskets)])
            heapq.heappush(due, (self._next_payment(subscription_id), number, subscription_id))
        self.stopped_at = until
        if subscribers > 1:
            self.renew(outcome="failed")
        if guests:
            self.refund(amount="12.90")

    # ---- What the acts are made of

    def _keep(self, collection: str, body: Body) -> Body:
        self.bodies[collection][body["id"]] = body
        return body

    def _touch(self, collection: str, woo_id: int) -> Body:
        """A resource about to change: what it said is remembered, its date of change is now."""
        body = self.bodies[collection].get(woo_id)
        if body is None:
            raise BadActError(f"no {woo_id} among the {collection}")
        self.former[collection][woo_id] = deepcopy(body)
        body |= self.stamps.both("modified", self.at())
        return body

    def _erase(self, collection: str, woo_id: int) -> None:
        if self.bodies[collection].pop(woo_id, None) is None:
            raise BadActError(f"no {woo_id} among the {collection}")
        self.erased[collection].append(woo_id)

    def _open_account(self, person: Person, role: str, *, silently: bool = False) -> int:
        customer_id = self.numbers.next("user")
        body = customer_body(customer_id, person, at=self.at(), stamps=self.stamps, url=self.url, role=role)
        self._keep("customers", body)
        if not silently:
            self._tell_both("customer", customer_id, created_first=True)
        return customer_id

    def _order(
        self,
        person: Person,
        items: Sequence[Item],
        customer_id: int,
        *,
        sale: Body | None = None,
        meta: Sequence[Body] = (),
        via: str = "store-api",
    ) -> Body:
        order_id = self.numbers.next("post")
        body = order_body(
            order_id,
            person,
            sale or sale_body(items, self.numbers),
            customer_id=customer_id,
            at=self.at(),
            stamps=self.stamps,
            url=self.url,
            meta=meta,
            created_via=via,
        )
        return self._keep("orders", body)

    def _subscription(self, order: Body, items: Sequence[Item]) -> Body:
        subscription_id = self.numbers.next("post")
        body = subscription_body(
            subscription_id,
            order,
            sale_body(items, self.numbers),
            items[0].article,
            at=self.at(),
            stamps=self.stamps,
            url=self.url,
        )
        return self._keep("subscriptions", body)

    def _renewal(self, subscription: Body, *, is_early: bool) -> Body:
        """An order for the same lines, tied to the subscription by its meta alone."""
        copied = ("discount_total", "discount_tax", "shipping_total", "shipping_tax", "cart_tax", "total", "total_tax")
        lists = ("line_items", "tax_lines", "shipping_lines", "fee_lines", "coupon_lines")
        sale = {name: subscription[name] for name in copied} | {
            name: [line | {"id": self.numbers.next("line")} for line in deepcopy(subscription[name])] for name in lists
        }
        meta = [self._meta("_subscription_renewal", str(subscription["id"]))]
        if is_early:
            meta.append(self._meta("_subscription_renewal_early", str(subscription["id"])))
        self._touch("subscriptions", subscription["id"])
        customer_id = subscription["customer_id"]
        return self._order(_person(subscription), [], customer_id, sale=sale, meta=meta, via="subscription")

    def _pay(self, order: Body) -> None:
        order |= {"status": "processing", "needs_payment": False, "is_editable": False}
        order |= self.stamps.both("paid", self.at())
        order["transaction_id"] = f"pi_{order['id']:08d}"
        if customer := self.bodies["customers"].get(order["customer_id"]):
            customer["is_paying_customer"] = True

    def _activate(self, subscription: Body, order: Body) -> None:
        subscription.update(status="active", last_payment_date_gmt=order["date_created_gmt"])
        subscription |= {name: order[name] for name in ("date_paid", "date_paid_gmt")}
        self._schedule(subscription, self.at())

    def _schedule(self, subscription: Body, since: datetime) -> None:
        """The first date of its grid behind ``since``."""
        start, count = instant(subscription["start_date_gmt"]) or since, 1
        while (due := start + _period(subscription) * count) <= since:
            count += 1
        subscription["next_payment_date_gmt"] = self.stamps.gmt(due)

    def _next_payment(self, subscription_id: int) -> datetime:
        due = instant(self.bodies["subscriptions"][subscription_id]["next_payment_date_gmt"])
        return due or datetime.max.replace(tzinfo=UTC)

    def _due(self, subscription_id: int | None) -> Body:
        """The subscription to renew."""
        if subscription_id is not None:
            return self._touch("subscriptions", subscription_id)
        active = [body for body in self.bodies["subscriptions"].values() if body["status"] == "active"]
        if not active:
            raise BadActError("no active subscription")
        return min(active, key=lambda body: (body["last_payment_date_gmt"], body["id"]))

    def _refundable(self) -> int:
        paid = [
            each for each in self.bodies["orders"].values() if each["date_paid_gmt"] and each["status"] != "refunded"
        ]
        if not paid:
            raise BadActError("no paid order")
        return int(max(paid, key=lambda each: (each["date_paid_gmt"], each["id"]))["id"])

    def _subscriptions_of(self, order: Body) -> list[Body]:
        renewed = _renews(order)
        return [
            each
            for each in self.bodies["subscriptions"].values()
            if each["parent_id"] == order["id"] or str(each["id"]) == renewed
        ]

    def _meta(self, key: str, value: str) -> Body:
        return {"id": self.numbers.next("meta"), "key": key, "value": value}

    def _tell_both(self, kind: str, woo_id: int, *, created_first: bool = False) -> None:
        """Created and updated: of a checkout's order and subscription, updated comes first."""
        for event in ("created", "updated") if created_first else ("updated", "created"):
            self.tell(f"{kind}.{event}", woo_id)


def _renews(order: Mapping[str, Any]) -> str | None:
    return next((each["value"] for each in order["meta_data"] if each["key"] == "_subscription_renewal"), None)


def _period(subscription: Body) -> relativedelta:
    unit, count = subscription["billing_period"], int(subscription["billing_interval"])
    one = {"day": relativedelta(days=1), "week": relativedelta(weeks=1), "month": relativedelta(months=1)}
    return one.get(unit, relativedelta(years=1)) * count


def _by_rhythm(items: Sequence[Item]) -> list[list[Item]]:
    groups: dict[tuple[str, int], list[Item]] = {}
    for item in items:
        groups.setdefault((item.article.period, item.article.interval), []).append(item)
    return list(groups.values())


def _person(body: Body) -> Person:
    """Who is named in an order or a subscription."""
    billing = body["billing"]
    return Person(
        first_name=billing["first_name"],
        last_name=billing["last_name"],
        email=billing["email"],
        phone=billing["phone"],
        address=billing["address_1"],
        postcode=billing["postcode"],
        city=billing["city"],
    )
