"""A shop that tells things: whatever is told is kept and projected, what waits is woken, as the engine does."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from sqlalchemy import select

from tests.conftest import NOW
from tests.woocommerce import Delivery
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.charges import Charge
from webapp.models.clients import Client
from webapp.models.events import EventState
from webapp.models.payments import Payment
from webapp.models.preferences import PreferenceValue
from webapp.models.subscriptions import Subscription
from webapp.models.woocommerce import ResourceKind, WooCommerceMapping, WooCommerceResource, WooCommerceShop
from webapp.services.charges import effects
from webapp.services.event_engine import Outcome
from webapp.services.woocommerce import keeping, projecting, reading
from webapp.services.woocommerce.kept import Words
from webapp.transactions import transaction

ORDER, CUSTOMER, SUBSCRIPTION = ResourceKind.ORDER, ResourceKind.CUSTOMER, ResourceKind.SUBSCRIPTION


def make_shop(company_id: Any, **more: Any) -> WooCommerceShop:
    """A shop whose boxes are all ours to send."""
    fields = {
        "name": "Les Savons",
        "url": "https://savons.example",
        "source": "savons.example",
        "ships_from": datetime(2020, 1, 1, tzinfo=NOW.tzinfo),
    }
    shop = WooCommerceShop(id=new_id(), company_id=company_id, **fields | more)
    db.session.add(shop)
    db.session.flush()
    return shop


@dataclass
class Teller:
    """Tells a shop's words at ``at``; ``outcomes`` are the last of each resource."""

    shop: WooCommerceShop
    at: datetime = NOW + timedelta(days=30)
    outcomes: dict[tuple[ResourceKind, int], Outcome] = field(default_factory=dict)

    def tell(
        self, kind: ResourceKind, content: dict[str, Any] | bytes, *, said_at: datetime | None = None
    ) -> Outcome | None:
        """One word, and whatever it wakes. None where the word is not one on a resource."""
        body = content if isinstance(content, bytes) else orjson.dumps(content)
        word = reading.read(kind, body, ZoneInfo(self.shop.timezone))
        if isinstance(word, reading.Problem):
            return None
        with transaction():
            projecting.hold(self.shop)
            if not isinstance(word, reading.Deleted) and projecting.passed_over(word):
                return None
            words = Words.load(self.shop, told=[word])
            keeping.keep(words, word, at=said_at or self.at)
            outcome = projecting.project_all(words, [(kind, word.woo_id)], at=self.at)[kind, word.woo_id]
        return self._wake(kind, word.woo_id, outcome)

    def look(self, kind: ResourceKind, woo_id: int) -> Outcome:
        """Project a resource, then what waits for it."""
        with transaction():
            outcome = projecting.project(self.shop, kind, woo_id, at=self.at)
        return self._wake(kind, woo_id, outcome)

    def _wake(self, kind: ResourceKind, woo_id: int, outcome: Outcome) -> Outcome:
        self.outcomes[kind, woo_id] = outcome
        if outcome.state is EventState.DONE:
            name = "client" if kind is CUSTOMER else kind.value
            for waiting in [
                key
                for key, other in self.outcomes.items()
                if other.waits_for == f"{name}:{woo_id}" and key != (kind, woo_id)
            ]:
                self.look(*waiting)
        return outcome

    def tell_all(self, deliveries: Iterable[Delivery]) -> None:
        """Many deliveries, one after the other, each said when it was sent."""
        for delivery in deliveries:
            if delivery.kind is not None:
                self.tell(delivery.kind, delivery.body, said_at=delivery.received_at)


# ------------------------------------------------------------------------------------------------ what came of it

CLIENT_FIELDS = (
    *("source", "status", "last_name", "first_name", "email", "phone"),
    *("address_line1", "address_line2", "postcode", "city", "country"),
    *("delivery_name", "delivery_line1", "delivery_line2", "delivery_postcode", "delivery_city", "delivery_country"),
)
SUBSCRIPTION_FIELDS = (
    *("status", "frequency", "shop_period", "shop_interval", "anchor_date", "timezone", "cycle_no", "expected_at"),
    *("current_period_start", "current_period_end", "cancels_on", "ends_on", "currency", "recurring_amount"),
    *("collected_by", "next_charge_at", "source"),
    *("delivery_name", "delivery_line1", "delivery_line2", "delivery_postcode", "delivery_city", "delivery_phone"),
)
LINE_FIELDS = ("label", "quantity", "unit_price", "discount", "vat_rate", "is_shipped", "product_id")
CHARGE_FIELDS = (
    *("cycle_no", "due_on", "period_start", "period_end", "amount_before_tax", "vat", "amount", "currency", "lines"),
    *("payment_method", "status", "settled_at", "attention", "explanation", "collected_by"),
)
RESOURCE_FIELDS = ("status", "review", "missing_since", "trashed_since", "modified_at", "hash")

Picture = dict[str, Any]


def picture(shop: WooCommerceShop) -> Picture:
    """All that a shop's words have come to, by the shop's own ids: equal where the same rows are there."""
    db.session.expire_all()
    clients = {client.id: client for client in db.session.scalars(select(Client))}
    mappings = db.session.scalars(select(WooCommerceMapping).where(WooCommerceMapping.shop_id == shop.id)).all()
    resources = db.session.scalars(select(WooCommerceResource).where(WooCommerceResource.shop_id == shop.id)).all()
    return {
        "clients": sorted(repr(_fields(client, CLIENT_FIELDS)) for client in clients.values()),
        "subscriptions": {each.woo_id: _subscription(each, clients) for each in mappings if each.subscription_id},
        "charges": {(each.woo_id, each.part): _charge(each) for each in mappings if each.charge_id},
        "money": _money(mappings, clients),
        "resources": {
            (each.kind.value, each.woo_id): [*_fields(each, RESOURCE_FIELDS).values(), _name(clients, each.client_id)]
            for each in resources
        },
    }


def _fields(row: Any, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}


def _name(clients: dict[Any, Client], client_id: Any) -> str:
    return "" if client_id is None else repr(_fields(clients[client_id], CLIENT_FIELDS))


def _subscription(mapping: WooCommerceMapping, clients: dict[Any, Client]) -> dict[str, Any]:
    row = db.session.scalars(select(Subscription).where(Subscription.id == mapping.subscription_id)).one()
    preferences = db.session.execute(
        select(PreferenceValue.schema_id, PreferenceValue.effective_from_cycle, PreferenceValue.value).where(
            PreferenceValue.subscription_id == row.id
        )
    )
    return _fields(row, SUBSCRIPTION_FIELDS) | {
        "client": _name(clients, row.client_id),
        "lines": [_fields(line, LINE_FIELDS) for line in row.lines],
        "preferences": sorted(map(repr, preferences.all())),
    }


def _charge(mapping: WooCommerceMapping) -> dict[str, Any]:
    charge = db.session.scalars(select(Charge).where(Charge.id == mapping.charge_id)).one()
    return _fields(charge, CHARGE_FIELDS) | {"paid": effects.balance_of(charge)}


def _money(mappings: Iterable[WooCommerceMapping], clients: dict[Any, Client]) -> dict[Any, Decimal]:
    """Balances: of each order with each charge, and of each client."""
    charges = {each.charge_id: (each.woo_id, each.part) for each in mappings if each.charge_id}
    orders = {each.payment_id: each.woo_id for each in mappings if each.payment_id}
    balances: dict[Any, Decimal] = defaultdict(Decimal)
    for payment in db.session.scalars(select(Payment)):
        balances[orders[payment.id], charges.get(payment.charge_id)] += payment.amount
        balances[_name(clients, payment.client_id)] += payment.amount
    return {key: amount for key, amount in balances.items() if amount}
