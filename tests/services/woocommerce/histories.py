"""A shop that lives: what it says, word by word, as time goes on. Drawn by chance, from a seed or by hypothesis."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from dateutil.relativedelta import relativedelta

from tests.services.woocommerce import bodies
from tests.services.woocommerce.bodies import BOX, SOAP, TEA, Body, gmt
from tests.services.woocommerce.telling import CUSTOMER, ORDER, SUBSCRIPTION
from webapp.models.woocommerce import ResourceKind
from webapp.services.woocommerce import reading

Said = tuple[ResourceKind, Body, datetime]
"""A word, and when it was said."""


@dataclass
class History:
    """A shop, and all it has said, in the order in which it happened."""

    chance: Random
    now: datetime = datetime(2026, 9, 1, 8, tzinfo=UTC)
    words: list[Said] = field(default_factory=list)
    state: dict[tuple[ResourceKind, int], Body] = field(default_factory=dict)
    last_id: int = 100

    def truth(self) -> list[Said]:
        """What the shop would show now: one word on each resource."""
        return [(kind, dict(body), self.now) for (kind, _), body in self.state.items()]

    def live(self, steps: int) -> None:
        """Let things happen."""
        for _ in range(self.chance.randint(1, 3)):
            self.sign_up()
        for _ in range(steps):
            self.now += timedelta(hours=self.chance.choice([0, 0, 1, 30, 200]))
            self.chance.choice(_STEPS)(self)

    def say(self, kind: ResourceKind, body: Body, **changes: Any) -> Body:
        """Keep what is changed, and tell of it; a second passes, or none.

        Not in one second where it goes back (a refund that is taken back at once): nobody could tell which was later.
        """
        self.now += timedelta(seconds=self.chance.choice([0, 0, 1, 5]))
        body = body | changes | {"date_modified_gmt": gmt(self.now)}
        before = self.state.get((kind, body["id"]))
        if before is not None and _standing(kind, body) < _standing(kind, before):
            self.now += timedelta(seconds=1)
            body["date_modified_gmt"] = gmt(self.now)
        self.state[kind, body["id"]] = body
        self.words.append((kind, dict(body), self.now))
        return body

    def new_id(self) -> int:
        self.last_id += 1
        return self.last_id

    def pick(self, kind: ResourceKind, which: Callable[[Body], bool] = lambda body: True) -> Body | None:
        found = [body for (each, _), body in self.state.items() if each is kind and which(body)]
        return self.chance.choice(found) if found else None

    # ------------------------------------------------------------------------------------------ what happens

    def sign_up(self) -> None:
        number = self.new_id()
        name = f"Client{number}"
        self.say(CUSTOMER, bodies.customer(number, f"{name.lower()}@example.org", at=self.now, name=name))

    def move_house(self) -> None:
        if body := self.pick(CUSTOMER):
            city = self.chance.choice(["Lyon", "Dijon", "Brest"])
            self.say(CUSTOMER, body, billing=body["billing"] | {"city": city, "phone": "06 39 98 12 34"})

    def buy_as_guest(self) -> None:
        known = self.pick(CUSTOMER)
        email = known["email"].upper() if known and self.chance.random() < 0.5 else f"invite{self.new_id()}@example.org"
        self.buy(customer_id=0, billing=bodies.person("Invitée", email, city=self.chance.choice(["Lille", "Nice"])))

    def buy_once(self) -> None:
        if body := self.pick(CUSTOMER):
            self.buy(customer_id=body["id"], billing=body["billing"])

    def buy(self, **more: Any) -> None:
        paid = self.now if self.chance.random() < 0.7 else None
        body = bodies.order(self.new_id(), [SOAP], at=self.now, paid_at=paid, **more)
        self.say(ORDER, body)

    def give_up_checkout(self) -> None:
        body = bodies.order(self.new_id(), [SOAP], at=self.now, customer_id=0, status="checkout-draft")
        self.words.append((ORDER, body, self.now))

    def subscribe(self) -> None:
        """One subscription, or two in one order, with or without something that is bought once."""
        buyer = self.pick(CUSTOMER)
        if buyer is None:
            return
        sold = self.chance.choice([[BOX], [TEA], [BOX, TEA], [BOX, TEA, SOAP], [BOX, SOAP]])
        own = {"customer_id": buyer["id"], "billing": buyer["billing"]}
        parent = bodies.order(self.new_id(), sold, at=self.now, paid_at=self.now, **own)
        self.say(ORDER, parent)
        for product in sold:
            if product != SOAP:
                body = bodies.subscription(self.new_id(), [product], at=self.now, parent_id=parent["id"], **own)
                unit = self.chance.choice([("month", "1"), ("week", "1"), ("week", "3"), ("year", "1")])
                self.say(SUBSCRIPTION, self.with_next(body | {"billing_period": unit[0], "billing_interval": unit[1]}))

    def with_next(self, body: Body) -> Body:
        step = relativedelta(**{f"{body['billing_period']}s": int(body["billing_interval"])})
        return body | {"next_payment_date_gmt": gmt(self.now + step)}

    def renew(self) -> None:
        """On hold, an order, paid or refused, and active again, mostly within one second."""
        body = self.pick(SUBSCRIPTION, lambda each: each["status"] == "active")
        if body is None:
            return
        body = self.say(SUBSCRIPTION, body, status="on-hold")
        order = self.renewal(body)
        if self.chance.random() < 0.7:
            self.pay(order)
        else:
            self.say(ORDER, order, status="failed")

    def renew_early(self) -> None:
        if body := self.pick(SUBSCRIPTION, lambda each: each["status"] == "active"):
            self.pay(self.renewal(body, early=True))

    def renewal(self, body: Body, **more: Any) -> Body:
        products = [line["product_id"] for line in body["line_items"]]
        own = {"customer_id": body["customer_id"], "billing": body["billing"], "renews": body["id"]}
        return self.say(ORDER, bodies.order(self.new_id(), products, at=self.now, **own, **more))

    def pay(self, order: Body) -> None:
        self.say(ORDER, order, status="processing", date_paid_gmt=gmt(self.now))
        for note in order["meta_data"]:
            if note["key"] == "_subscription_renewal":
                body = self.state[SUBSCRIPTION, int(note["value"])]
                if body["status"] in ("on-hold", "active"):
                    self.say(SUBSCRIPTION, self.with_next(body), status="active")

    def pay_late(self) -> None:
        unpaid = self.pick(ORDER, lambda each: not each["date_paid_gmt"] and each["status"] != "cancelled")
        if unpaid:
            self.pay(unpaid)

    def switch(self) -> None:
        if body := self.pick(SUBSCRIPTION, lambda each: each["status"] == "active"):
            own = {"customer_id": body["customer_id"], "billing": body["billing"], "switches": body["id"]}
            self.say(ORDER, bodies.order(self.new_id(), [TEA], at=self.now, paid_at=self.now, **own))
            self.say(SUBSCRIPTION, body, line_items=[bodies.item(body["id"] * 10, TEA)])

    def take_up_again(self) -> None:
        if ended := self.pick(SUBSCRIPTION, lambda each: each["status"] == "cancelled"):
            own = {"customer_id": ended["customer_id"], "billing": ended["billing"]}
            parent = bodies.order(self.new_id(), at=self.now, paid_at=self.now, resubscribes=ended["id"], **own)
            self.say(ORDER, parent)
            self.say(SUBSCRIPTION, bodies.subscription(self.new_id(), at=self.now, parent_id=parent["id"], **own))

    def refund(self) -> None:
        if body := self.pick(ORDER, lambda each: bool(each["date_paid_gmt"]) and each["status"] != "refunded"):
            given = sum(float(each["total"]) for each in body["refunds"])
            if self.chance.random() < 0.4:
                rest = f"{float(body['total']) + given:.2f}"
                self.say(ORDER, body, status="refunded", refunds=[*body["refunds"], bodies.refund(self.new_id(), rest)])
            elif -given + 3 < float(body["total"]):
                self.say(ORDER, body, refunds=[*body["refunds"], bodies.refund(self.new_id(), "3.00")])

    def take_refund_back(self) -> None:
        if body := self.pick(ORDER, lambda each: bool(each["refunds"])):
            self.say(ORDER, body, status="processing", refunds=body["refunds"][:-1])

    def cancel_order(self) -> None:
        if body := self.pick(ORDER, lambda each: each["status"] != "refunded"):
            self.say(ORDER, body, status="cancelled")

    def end(self) -> None:
        if body := self.pick(SUBSCRIPTION, lambda each: each["status"] in ("active", "on-hold")):
            body = self.say(
                SUBSCRIPTION,
                body,
                status="pending-cancel",
                end_date_gmt=body["next_payment_date_gmt"],
                next_payment_date_gmt="",
            )
            if self.chance.random() < 0.5:
                self.say(SUBSCRIPTION, body, status="cancelled", end_date_gmt=gmt(self.now))

    def expire(self) -> None:
        if body := self.pick(SUBSCRIPTION, lambda each: each["status"] == "active"):
            changes = {"status": "expired", "end_date_gmt": gmt(self.now), "next_payment_date_gmt": ""}
            self.say(SUBSCRIPTION, body, **changes)


def _standing(kind: ResourceKind, body: Body) -> Any:
    word = reading.skim(kind, orjson.dumps(body), ZoneInfo("Europe/Paris"))
    assert isinstance(word, reading.Word)
    return word.standing


_STEPS: list[Callable[[History], None]] = [
    History.sign_up,
    History.move_house,
    History.buy_as_guest,
    History.buy_once,
    History.give_up_checkout,
    *[History.subscribe] * 2,
    *[History.renew] * 4,
    History.renew_early,
    History.pay_late,
    History.switch,
    History.take_up_again,
    *[History.refund] * 2,
    History.take_refund_back,
    History.cancel_order,
    History.end,
    History.expire,
]
