"""Projecting: what is kept of a client or subscription and its orders, brought to our rows.

Only kept resources are read, under the lock of the shop, so that neither order nor repetition matters; again, it
changes nothing. What the shop does wrong is an Outcome with a sentence; nothing is raised for it (ADR 68).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
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
from webapp.services.woocommerce.kept import Kept
from webapp.services.woocommerce.outcomes import DONE, HeldUpError, Outcome
from webapp.services.woocommerce.reading import Order, Resource, Sale
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
    row = kept.find_row(shop, kind, woo_id)
    word = kept.word_of(shop, row) if row is not None else None
    if row is None or word is None:
        return Outcome(EventState.IGNORED, NEVER_SEEN)
    try:
        more = _REPORTS[kind](shop, Kept(row, word), at)
        outcome = DONE
    except HeldUpError as held_up:
        outcome, more = held_up.outcome, flags.of_outcome(word, held_up.outcome)
    flags.put(row, word, more, at=at)
    db.session.flush()
    return outcome


# ------------------------------------------------------------------------------------------------ kinds


def _report_customer(shop: WooCommerceShop, customer: Kept[Any], at: datetime) -> list[flags.Flag]:
    found = matching.find_customers_client(shop, customer)
    client_report.report(shop, found, None, at=at)
    return [flags.DOUBLE] if found.is_double else []


def _report_subscription(shop: WooCommerceShop, subscription: Kept[Any], at: datetime) -> list[flags.Flag]:
    told = _report_family(shop, subscription, at).flags
    if _is_settling(subscription.word, at):
        again_at = subscription.word.modified_at + states.SETTLING
        raise HeldUpError(Outcome(EventState.WAITING, SETTLING, again_at=again_at))
    return told


def _report_order(shop: WooCommerceShop, order: Kept[Any], at: datetime) -> list[flags.Flag]:
    word: Order = order.word
    _check_order(shop, word)
    found = matching.find_buyer(shop, order, at=at)
    client_report.report(shop, found, word, at=at, has_bought=word.paid_at is not None)
    subscriptions = [
        each
        for each in kept.list_subscriptions(shop, word.renewal_of, parents=[word.woo_id])
        if cycles.is_cycle(word, each.word)
    ]
    missing = set(word.renewal_of) - {each.word.woo_id for each in subscriptions}
    if missing and not word.switch_of and not word.resubscribes:
        first = min(missing)
        raise outcomes.waiting(WAITS_FOR_SUBSCRIPTION.format(woo_id=first), f"subscription:{first}")
    if not subscriptions:
        _wait_for_what_it_begins(shop, word, at)
        _bring_money(shop, [Paid(word, found.client_id, {None: word.total})])
        return []
    held = [_report_family(shop, each, at, for_order=True).held for each in subscriptions]
    is_double = word.paid_at is not None and word.renewal_of and any(not each.is_shops for each in held)
    return [flags.PAID_THERE] if is_double else []


def _check_order(shop: WooCommerceShop, order: Order) -> None:
    company = db.session.get_one(Company, (shop.organisation_id, shop.company_id))
    if order.currency != company.currency:
        raise outcomes.failed(CURRENCY.format(currency=order.currency, ours=company.currency))
    if order.total < 0:
        raise outcomes.failed(BELOW_NOTHING)


def _wait_for_what_it_begins(shop: WooCommerceShop, order: Order, at: datetime) -> None:
    """An order that begins a subscription comes before it, and does not say so. Its money is written once it is known
    what it is for: the ledger is only ever added to.
    """
    is_new = abs(at - order.created_at) < BEGINS_WITHIN and not (order.switch_of or order.resubscribes)
    if is_new and order.paid_at is not None and order.customer_id and kept.has_subscriptions(shop):
        raise HeldUpError(Outcome(EventState.WAITING, BEGINS, again_at=order.created_at + BEGINS_WITHIN))


def _report_product(_shop: WooCommerceShop, _product: Kept[Any], _at: datetime) -> list[flags.Flag]:
    """Products are kept, so that orders may be understood; nothing of ours follows."""
    return []


_REPORTS: Mapping[ResourceKind, Callable[[WooCommerceShop, Kept[Any], datetime], list[flags.Flag]]] = {
    ResourceKind.CUSTOMER: _report_customer,
    ResourceKind.ORDER: _report_order,
    ResourceKind.SUBSCRIPTION: _report_subscription,
    ResourceKind.PRODUCT: _report_product,
}


# ------------------------------------------------------------------------------------------------ a family


@dataclass(frozen=True, slots=True)
class Family:
    """Subscriptions that share orders, and all their orders, in the order of cycles."""

    subscriptions: kept.Subscriptions
    orders: kept.Orders


@dataclass(frozen=True, slots=True)
class Report:
    """Our subscription, and what a person should look at."""

    held: Held
    flags: list[flags.Flag]


def _report_family(shop: WooCommerceShop, subscription: Kept[Word], at: datetime, *, for_order: bool = False) -> Report:
    """Bring a subscription with its orders, and what others pay of the same orders.

    Where it is for the sake of an order, the person of a subscription that is there is known. Raises HeldUpError.
    """
    word, family = subscription.word, _load_family(shop, subscription)
    ours = subscription_report.find_for_update(shop, [each.word.woo_id for each in family.subscriptions])
    held = ours.get(word.woo_id)
    client_id = held.row.client_id if held and for_order else _report_subscriber(shop, subscription, at)
    company = db.session.get_one(Company, (shop.organisation_id, shop.company_id))
    subscription_report.check(word, company, held.row.collected_by if held else shop.collected_by)
    products = _find_products(family)
    if held is None:
        held = ours[word.woo_id] = subscription_report.create(shop, word, client_id, products, at=at)
    told = _bring_subscription(shop, held, word, family, products, at=at)
    _bring_orders(shop, family, ours, products, at=at)
    return Report(held, told)


def _report_subscriber(shop: WooCommerceShop, subscription: Kept[Word], at: datetime) -> UUID:
    found = matching.find_buyer(shop, subscription, at=at)
    client_report.report(shop, found, subscription.word, at=at, has_bought=subscription.word.status == "active")
    return found.client_id


def _load_family(shop: WooCommerceShop, subscription: Kept[Word]) -> Family:
    """All that shares orders with the subscription, and shares orders with that; what is in another currency is not."""
    subscriptions: kept.Subscriptions = [subscription]
    while True:
        found = kept.list_orders(shop, [each.word for each in subscriptions])
        orders = [each for each in found if each.word.currency == subscription.word.currency]
        named = {woo_id for order in orders for woo_id in order.word.renewal_of}
        named |= {each.word.woo_id for each in subscriptions}
        parents = {each.word.parent_id for each in subscriptions} - {0}
        more = kept.list_subscriptions(shop, named, parents=parents)
        if len(more) <= len(subscriptions):
            return Family(more, orders)
        subscriptions = more


def _find_products(family: Family) -> sold.Products:
    """Our products by the labels of lines, in one query."""
    sales: list[Sale] = [*(each.word for each in family.subscriptions), *(each.word for each in family.orders)]
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


def _bring_subscription(
    shop: WooCommerceShop, held: Held, word: Word, family: Family, products: sold.Products, *, at: datetime
) -> list[flags.Flag]:
    """Nothing of one that we charge is the shop's any more."""
    if not held.is_shops:
        is_ended = word.status in states.ENDING and not held.row.status.is_final
        return [flags.ENDED_THERE] if is_ended else []
    orders = [each.word for each in family.orders if cycles.is_cycle(each.word, word)]
    is_followed = _is_settling(word, at) or subscription_report.move(shop, held.row, word, orders)
    subscription_report.update(shop, held, word, products)
    faults = attributes.bring(shop, held.row, word, held.mapping, at=at)
    return faults if is_followed else [*faults, flags.REVIVED]


def _is_settling(word: Word, at: datetime) -> bool:
    """Woo puts every automatic renewal on hold for a moment: that is waited out, or the MRR would churn each time."""
    return word.status == states.ON_HOLD and at < word.modified_at + states.SETTLING


@dataclass(frozen=True, slots=True)
class Paid:
    """An order's money: whose it is, and what of it belongs to which charge."""

    order: Order
    client_id: UUID
    shares: money.Shares


def _bring_orders(
    shop: WooCommerceShop, family: Family, ours: Mapping[int, Held], products: sold.Products, *, at: datetime
) -> None:
    """Charges of every subscription of the family that is ours already, then the money of all their orders."""
    followed = [
        each.word for each in family.subscriptions if (held := ours.get(each.word.woo_id)) is not None and held.is_shops
    ]
    parts = {
        order.word.woo_id: dividing.divide(order.word, payers)
        for order in family.orders
        if (payers := [word for word in followed if cycles.is_cycle(order.word, word)])
    }
    charges: dict[int, dict[int, Charge]] = {}
    for word in followed:
        theirs = [
            cycles.Cycle(order.word, parts[order.word.woo_id][word.woo_id])
            for order in family.orders
            if cycles.is_cycle(order.word, word)
        ]
        charges[word.woo_id] = cycles.bring(shop, ours[word.woo_id].row, word, theirs, products, at=at)
    paid = []
    for order in family.orders:
        client_id = order.row.client_id or _client_of(order.word, family.subscriptions, ours)
        if client_id is not None:
            order.row.client_id = client_id
            shares: dict[UUID | None, Any] = {
                charges[woo_id][order.word.woo_id].id: part.amount
                for woo_id, part in parts.get(order.word.woo_id, {}).items()
            }
            paid.append(Paid(order.word, client_id, shares or {None: order.word.total}))
    changed = _bring_money(shop, paid)
    told = {order.word.woo_id: order.word for order in family.orders}
    for by_order in charges.values():
        for order_id, charge in by_order.items():
            if charge.id in changed and cycles.ships(shop, told[order_id]):
                _tell_ships(charge, holds_money=changed[charge.id], at=at)


def _tell_ships(charge: Charge, *, holds_money: bool, at: datetime) -> None:
    """Have what it ships taken out of its batch, or put into one again."""
    if holds_money:
        effects.tell_charged(charge, Milestone.SUCCEEDED, at=at)
    else:
        effects.tell_refunded(charge, at=at)


def _client_of(order: Order, subscriptions: kept.Subscriptions, ours: Mapping[int, Held]) -> UUID | None:
    """Whose an order is that nobody looked at yet: its subscription's client's."""
    named = {order.woo_id, *order.renewal_of, *order.switch_of, *order.resubscribes}
    return next(
        (
            ours[each.word.woo_id].row.client_id
            for each in subscriptions
            if each.word.woo_id in ours and (each.word.woo_id in named or each.word.parent_id == order.woo_id)
        ),
        None,
    )


def _bring_money(shop: WooCommerceShop, paid: Sequence[Paid]) -> dict[UUID, bool]:
    """Write what the ledger lacks; the charges of which it changes whether they hold money, and whether they do now."""
    ledgers = money.find_ledgers(shop, [each.order.woo_id for each in paid])
    planned, changed = [], dict[UUID, bool]()
    for each in paid:
        ledger = ledgers[each.order.woo_id]
        movements = money.plan(each.order, each.shares, ledger)
        if movements:
            payer = money.Payer(each.client_id, shop.company_id)
            planned.append((each.order, payer, movements, len(ledger)))
            changed |= money.find_changed(ledger, movements)
    if planned:
        money.write(shop, planned)
    return changed
