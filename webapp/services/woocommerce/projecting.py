"""Projecting: what is kept of a client or subscription and its orders, brought to our rows.

Only kept resources are read, under the lock of the shop, so that neither order nor repetition matters; again, it
changes nothing. What the shop does wrong is an Outcome with a sentence; nothing is raised for it (ADR 68).
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Text, cast, func, select

from webapp.extensions import db
from webapp.models.charges import Charge
from webapp.models.organisations import Company
from webapp.models.products import Product
from webapp.models.providers import Milestone
from webapp.models.woocommerce import EventState, ResourceKind, WooCommerceShop
from webapp.services.charges import effects
from webapp.services.woocommerce import (
    attributes,
    client_report,
    cycles,
    dividing,
    flags,
    kept,
    matching,
    money,
    outcomes,
    sold,
    states,
    subscription_report,
)
from webapp.services.woocommerce.kept import Family, Kept, Name, Subscriptions, Words
from webapp.services.woocommerce.matching import People
from webapp.services.woocommerce.outcomes import DONE, HeldUpError, Outcome
from webapp.services.woocommerce.reading import Customer, Order, Resource, Sale
from webapp.services.woocommerce.reading import Subscription as Word
from webapp.services.woocommerce.subscription_report import Held

NEVER_SEEN = "La boutique l’a supprimé avant que nous l’ayons vu."
CURRENCY = "Cette commande est en {currency}, la société en {ours}\u202f: elle n’est pas reprise."
BELOW_NOTHING = "Le montant de cette commande est négatif\u202f: elle n’est pas reprise."
DRAFT = "Panier non validé."
BEGINS = "Attend de savoir si elle ouvre un abonnement."
BEGINS_WITHIN = timedelta(minutes=2)
"""How long after an order the shop tells of the subscription that it begins; it takes seconds."""
SETTLING = "Suspendu depuis peu\u202f: attend dix minutes la suite d’un renouvellement."
WAITS_FOR_SUBSCRIPTION = "Attend l’abonnement n°\u00a0{woo_id}."


def hold(shop: WooCommerceShop) -> None:
    """Let nobody else keep or project what the shop says until the transaction ends. To be called before either."""
    db.session.scalar(select(WooCommerceShop.id).where(WooCommerceShop.id == shop.id).with_for_update(key_share=True))


def passed_over(resource: Resource) -> str | None:
    """Why a resource is neither kept nor projected; None for all that are. A refused checkout is no order yet."""
    return DRAFT if isinstance(resource, Order) and resource.status == states.DRAFT else None


def project(shop: WooCommerceShop, kind: ResourceKind, woo_id: int, *, at: datetime) -> Outcome:
    """Bring what is kept of a resource, and all that hangs on it, to our rows; in the caller's transaction."""
    hold(shop)
    return project_all(Words.load(shop, [(kind, woo_id)]), [(kind, woo_id)], at=at)[kind, woo_id]


def project_all(words: Words, names: Collection[Name], *, at: datetime) -> dict[Name, Outcome]:
    """As ``project``, of several resources of the shop that is held: what they have in common is brought once.

    ``words`` were loaded with them. What the shop does wrong with one leaves the others as they would be without it.
    """
    found = [each for name in sorted(names, key=_place) if (each := words.find(name)) is not None]
    projection = _Projection.load(words, found, at=at)
    ends = dict.fromkeys(names, Outcome(EventState.IGNORED, NEVER_SEEN))
    flagged = dict[Name, list[flags.Flag]]()
    for each in found:
        name = each.row.kind, each.row.woo_id
        try:
            flagged[name], ends[name] = projection.report(each), DONE
        except HeldUpError as held_up:
            flagged[name], ends[name] = flags.of_outcome(each.word, held_up.outcome), held_up.outcome
    projection.end()
    for each in found:
        flags.put(each.row, each.word, flagged[each.row.kind, each.row.woo_id], at=at)
    db.session.flush()
    return ends


def _place(name: Name) -> tuple[int, int]:
    """Who it is comes first, then what is sold, then what was paid of it."""
    kind, woo_id = name
    return _ORDER.index(kind), woo_id


_ORDER = (ResourceKind.CUSTOMER, ResourceKind.SUBSCRIPTION, ResourceKind.ORDER, ResourceKind.PRODUCT)


@dataclass(frozen=True, slots=True)
class Paid:
    """An order's money: whose it is, and what of it belongs to which charge."""

    order: Order
    client_id: UUID
    shares: money.Shares


@dataclass(slots=True)
class _Projection:
    """What is read of our rows for some resources, and what is to be written of them at the end."""

    words: Words
    at: datetime
    company: Company
    products: sold.Products
    held: dict[int, Held]
    people: People
    told: dict[int, list[flags.Flag]] = field(default_factory=dict)
    families: dict[int, Family] = field(default_factory=dict)
    paid: dict[int, Paid] = field(default_factory=dict)

    @classmethod
    def load(cls, words: Words, found: Sequence[Kept[Any]], *, at: datetime) -> "_Projection":
        """Read and lock what these resources lead to, in few queries however many they are."""
        shop, sales = words.shop, words.list_sales()
        subscriptions = [each.word.woo_id for each in sales if isinstance(each.word, Word)]
        held = subscription_report.find_for_update(shop, subscriptions) if subscriptions else {}
        told: list[Customer | Sale] = [each.word for each in found if isinstance(each.word, Customer | Sale)]
        told += [each.word for each in sales if isinstance(each.word, Word)]
        told += [
            each.word for word in told if isinstance(word, Sale) and (each := words.find_customer(word.customer_id))
        ]
        people = People.load(words, map(matching.person_of, told))
        company = db.session.get_one(Company, (shop.organisation_id, shop.company_id))
        return cls(words, at, company, _find_products(each.word for each in sales), held, people)

    @property
    def shop(self) -> WooCommerceShop:
        """The shop that is held."""
        return self.words.shop

    # -------------------------------------------------------------------------------------------- kinds

    def report(self, resource: Kept[Any]) -> list[flags.Flag]:
        """Bring a resource; what a person should look at. Raises HeldUpError."""
        if resource.row.kind is ResourceKind.CUSTOMER:
            return self._report_customer(resource)
        if resource.row.kind is ResourceKind.SUBSCRIPTION:
            return self._report_subscription(resource)
        if resource.row.kind is ResourceKind.ORDER:
            return self._report_order(resource)
        return []  # products are kept, so that orders may be understood; nothing of ours follows

    def _report_customer(self, customer: Kept[Any]) -> list[flags.Flag]:
        found = matching.find_customers_client(self.people, customer)
        client_report.report(self.people, found, None, at=self.at)
        return [flags.DOUBLE] if found.is_double else []

    def _report_subscription(self, subscription: Kept[Any]) -> list[flags.Flag]:
        client_id = self._report_subscriber(subscription)
        self._bring(subscription, client_id)
        if _is_settling(subscription.word, self.at):
            again_at = subscription.word.modified_at + states.SETTLING
            raise HeldUpError(Outcome(EventState.WAITING, SETTLING, again_at=again_at))
        return self.told[subscription.word.woo_id]

    def _report_order(self, order: Kept[Any]) -> list[flags.Flag]:
        word: Order = order.word
        self._check_order(word)
        found = matching.find_buyer(self.people, order, at=self.at)
        client_report.report(self.people, found, word, at=self.at, has_bought=word.paid_at is not None)
        subscriptions = [
            each
            for each in self.words.list_subscriptions(word.renewal_of, parents=[word.woo_id])
            if cycles.is_cycle(word, each.word)
        ]
        missing = set(word.renewal_of) - {each.word.woo_id for each in subscriptions}
        if missing and not word.switch_of and not word.resubscribes:
            first = min(missing)
            raise outcomes.waiting(WAITS_FOR_SUBSCRIPTION.format(woo_id=first), f"subscription:{first}")
        if not subscriptions:
            self._wait_for_what_it_begins(word)
            self.paid.setdefault(word.woo_id, Paid(word, found.client_id, {None: word.total}))
            return []
        held = [self._bring_for_order(each) for each in subscriptions]
        is_double = word.paid_at is not None and word.renewal_of and any(not each.is_shops for each in held)
        return [flags.PAID_THERE] if is_double else []

    def _check_order(self, order: Order) -> None:
        if order.currency != self.company.currency:
            raise outcomes.failed(
                CURRENCY.format(currency=order.currency or outcomes.NO_CURRENCY, ours=self.company.currency)
            )
        if order.total < 0:
            raise outcomes.failed(BELOW_NOTHING)

    def _wait_for_what_it_begins(self, order: Order) -> None:
        """An order that begins a subscription comes before it, and does not say so. Its money is written once it is
        known what it is for: the ledger is only ever added to.
        """
        is_new = abs(self.at - order.created_at) < BEGINS_WITHIN and not (order.switch_of or order.resubscribes)
        if is_new and order.paid_at is not None and order.customer_id and kept.has_subscriptions(self.shop):
            raise HeldUpError(Outcome(EventState.WAITING, BEGINS, again_at=order.created_at + BEGINS_WITHIN))

    # -------------------------------------------------------------------------------------------- subscriptions

    def _report_subscriber(self, subscription: Kept[Word]) -> UUID:
        found = matching.find_buyer(self.people, subscription, at=self.at)
        has_bought = subscription.word.status == "active"
        client_report.report(self.people, found, subscription.word, at=self.at, has_bought=has_bought)
        return found.client_id

    def _bring_for_order(self, subscription: Kept[Word]) -> Held:
        """For the sake of an order, the person of a subscription that is there is known."""
        held = self.held.get(subscription.word.woo_id)
        return self._bring(subscription, held.row.client_id if held else self._report_subscriber(subscription))

    def _bring(self, subscription: Kept[Word], client_id: UUID) -> Held:
        """Bring a subscription, once; its orders, and what others pay of them, are brought at the end.

        Nothing of one that we charge is the shop's any more. Raises HeldUpError.
        """
        word = subscription.word
        held = self.held.get(word.woo_id)
        subscription_report.check(word, self.company, held.row.collected_by if held else self.shop.collected_by)
        if held is None:
            held = subscription_report.create(self.shop, word, client_id, self.products, at=self.at)
            self.held[word.woo_id] = held
        if word.woo_id not in self.told:
            family = self.words.family_of(subscription)
            self.told[word.woo_id] = self._bring_subscription(held, word, family)
            self.families |= {each.word.woo_id: family for each in family.subscriptions}
        return held

    def _bring_subscription(self, held: Held, word: Word, family: Family) -> list[flags.Flag]:
        if not held.is_shops:
            is_ended = word.status in states.ENDING and not held.row.status.is_final
            return [flags.ENDED_THERE] if is_ended else []
        orders = [each.word for each in family.orders if cycles.is_cycle(each.word, word)]
        is_followed = _is_settling(word, self.at) or subscription_report.move(self.shop, held.row, word, orders)
        subscription_report.update(self.shop, held, word, self.products)
        faults = attributes.bring(self.shop, held.row, word, held.mapping, at=self.at)
        return faults if is_followed else [*faults, flags.REVIVED]

    # -------------------------------------------------------------------------------------------- orders and money

    def end(self) -> None:
        """Bring the orders of all families, as charges of what is ours already, then the money of all orders."""
        families = {id(family): family for family in self.families.values()}
        brought = [each for family in families.values() for each in self._bring_orders(family)]
        db.session.flush()  # what names charges finds them
        for each in brought:
            cycles.keep(self.shop, each)
            cycles.tell(self.shop, each, at=self.at)
        changed = self._bring_money()
        for each in brought:
            for cycle in each.cycles:
                charge = each.charges[cycle.order.woo_id]
                if charge.id in changed and cycles.ships(self.shop, cycle.order):
                    _tell_ships(charge, holds_money=changed[charge.id], at=self.at)

    def _bring_orders(self, family: Family) -> list[cycles.Brought]:
        """Charges of every subscription of the family that is ours already, and what is paid of them."""
        followed = [
            each.word
            for each in family.subscriptions
            if (held := self.held.get(each.word.woo_id)) is not None and held.is_shops
        ]
        parts = {
            order.word.woo_id: dividing.divide(order.word, payers)
            for order in family.orders
            if (payers := [word for word in followed if cycles.is_cycle(order.word, word)])
        }
        brought = []
        for word in followed:
            theirs = [
                cycles.Cycle(order.word, parts[order.word.woo_id][word.woo_id])
                for order in family.orders
                if cycles.is_cycle(order.word, word)
            ]
            held = self.held[word.woo_id]
            brought.append(cycles.bring(self.shop, held, word, theirs, self.products, at=self.at))
        for order in family.orders:
            order.row.client_id = order.row.client_id or self._client_of(order.word, family.subscriptions)
            if order.row.client_id is not None:
                shares: dict[UUID | None, Decimal] = {
                    self.held[woo_id].charges[order.word.woo_id].id: part.amount
                    for woo_id, part in parts.get(order.word.woo_id, {}).items()
                }
                self.paid[order.word.woo_id] = Paid(order.word, order.row.client_id, shares or {None: order.word.total})
        return brought

    def _client_of(self, order: Order, subscriptions: Subscriptions) -> UUID | None:
        """Whose an order is that nobody looked at yet: its subscription's client's."""
        named = {order.woo_id, *order.subscription_ids}
        return next(
            (
                self.held[each.word.woo_id].row.client_id
                for each in subscriptions
                if each.word.woo_id in self.held and (each.word.woo_id in named or each.word.parent_id == order.woo_id)
            ),
            None,
        )

    def _bring_money(self) -> dict[UUID, bool]:
        """Write what the ledger lacks; the charges of which it changes whether they hold money, and whether they do
        now.
        """
        ledgers = money.find_ledgers(self.shop, self.paid.keys()) if self.paid else {}
        planned, changed = [], dict[UUID, bool]()
        for order_id, each in self.paid.items():
            ledger = ledgers[order_id]
            movements = money.plan(each.order, each.shares, ledger)
            if movements:
                payer = money.Payer(each.client_id, self.shop.company_id)
                planned.append((each.order, payer, movements, len(ledger)))
                changed |= money.find_changed(ledger, movements)
        if planned:
            money.write(self.shop, planned)
        return changed


def _find_products(sales: Iterable[Sale]) -> sold.Products:
    """Our products by the labels of lines, in one query."""
    labels = {item.label for sale in sales for item in sale.items}
    if not labels:
        return {}
    named = func.unnest(cast(sorted(labels), ARRAY(Text))).table_valued("label").render_derived()
    rows = db.session.execute(
        select(named.c.label, Product.id, Product.is_shipped).join(
            Product, Product.name_key == func.fold(named.c.label)
        )
    )
    return {label: sold.KnownProduct(product_id, is_shipped) for label, product_id, is_shipped in rows}


def _is_settling(word: Word, at: datetime) -> bool:
    """Woo puts every automatic renewal on hold for a moment: that is waited out, or the MRR would churn each time."""
    return word.status == states.ON_HOLD and at < word.modified_at + states.SETTLING


def _tell_ships(charge: Charge, *, holds_money: bool, at: datetime) -> None:
    """Have what it ships taken out of its batch, or put into one again."""
    if holds_money:
        effects.tell_charged(charge, Milestone.SUCCEEDED, at=at)
    else:
        effects.tell_refunded(charge, at=at)
