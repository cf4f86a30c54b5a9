"""Orders of a subscription as charges of its cycles. A cycle's number is the rank of its order by date and id: one that
comes late takes its place, and those after it move up."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

from sqlalchemy import select

from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.charges import Attention, Charge, ChargeStatus
from webapp.models.contracts import PaymentMethod
from webapp.models.providers import Milestone
from webapp.models.subscriptions import Collector, Subscription
from webapp.models.woocommerce import MappingKind, WooCommerceMapping, WooCommerceShop
from webapp.services.charges import effects
from webapp.services.fulfilment import gathering, moving_cycles
from webapp.services.woocommerce import rhythms, sold, states
from webapp.services.woocommerce.dividing import Part
from webapp.services.woocommerce.reading import Order
from webapp.services.woocommerce.reading import Subscription as Word
from webapp.services.woocommerce.subscription_report import local_day

METHODS = {
    "bacs": PaymentMethod.TRANSFER,
    "cheque": PaymentMethod.CHEQUE,
    "stripe_sepa": PaymentMethod.SEPA,
    "stripe_sepa_debit": PaymentMethod.SEPA,
    "gocardless": PaymentMethod.SEPA,
    "stripe": PaymentMethod.CARD,
    "stripe_cc": PaymentMethod.CARD,
    "woocommerce_payments": PaymentMethod.CARD,
}
"""How a shop's gateway is paid; of others nobody knows."""
UNKNOWN_STATUS = "La boutique dit\u202f: «\u00a0{status}\u00a0»."
REFUSED = "Le paiement a été refusé dans la boutique."


@dataclass(frozen=True, slots=True)
class Cycle:
    """An order that pays for a cycle, and what of it the subscription pays."""

    order: Order
    part: Part


def is_cycle(order: Order, word: Word) -> bool:
    """Whether the order pays for a cycle of the subscription: it began it, or renews it.

    Switches and new beginnings of an ended one pay for what no cycle is.
    """
    if order.switch_of or order.resubscribes:
        return False
    return order.woo_id == word.parent_id or word.woo_id in order.renewal_of


def bring(
    shop: WooCommerceShop,
    subscription: Subscription,
    word: Word,
    cycles: Sequence[Cycle],
    products: sold.Products,
    *,
    at: datetime,
) -> dict[int, Charge]:
    """Have the charges of the locked subscription follow its orders, which come in their order; by the order's id.

    Those that were paid just now are told of, unless they were paid before the shop's boxes are ours to send.
    """
    charges, made = _lock_charges(shop, subscription, word), dict[int, Charge]()
    places = {each.order.woo_id: number for number, each in enumerate(cycles)}
    moving_cycles.move_cycles(subscription, [(charge, places.get(order_id)) for order_id, charge in charges.items()])
    paid = set[int]()
    for number, each in enumerate(cycles):
        charge = charges.get(each.order.woo_id)
        if charge is None:
            charge = made[each.order.woo_id] = _make(shop, subscription, each, number, word)
        is_divided_anew = _follow(shop, charge, each, products)
        if is_divided_anew:
            effects.tell_refunded(charge, at=at)
        if _settle(charge, each.order, at=at):
            paid.add(each.order.woo_id)
    _keep(shop, word, made)
    charges |= made
    _tell_paid(shop, charges, paid, cycles, word, at=at)
    _set_period(subscription, [charges[each.order.woo_id] for each in cycles])
    return charges


def _tell_paid(
    shop: WooCommerceShop,
    charges: Mapping[int, Charge],
    paid: Collection[int],
    cycles: Sequence[Cycle],
    word: Word,
    *,
    at: datetime,
) -> None:
    """Tell of the orders that were ``paid`` just now, by the numbers that they got just now.

    One that came too soon after another is held; it is told of once more, where the other is heard of later.
    """
    before = find_too_soon(cycles, word)
    for each in cycles:
        order_id, is_doubled = each.order.woo_id, each.order.woo_id in before
        if ships(shop, each.order) and (order_id in paid or (is_doubled and before[order_id] in paid)):
            reason = gathering.PAID_TWICE if is_doubled else None
            paid_at = each.order.paid_at or at
            effects.tell_charged(charges[order_id], Milestone.SUCCEEDED, at=paid_at, held_reason=reason)


def _lock_charges(shop: WooCommerceShop, subscription: Subscription, word: Word) -> dict[int, Charge]:
    rows = db.session.execute(
        select(WooCommerceMapping.woo_id, Charge)
        .join(Charge, Charge.id == WooCommerceMapping.charge_id)
        .where(
            WooCommerceMapping.shop_id == shop.id,
            WooCommerceMapping.kind == MappingKind.ORDER,
            WooCommerceMapping.part == word.woo_id,
            Charge.subscription_id == subscription.id,
        )
        .order_by(Charge.id)
        .with_for_update(of=Charge)
        .execution_options(populate_existing=True)
    )
    return {woo_id: charge for woo_id, charge in rows if woo_id is not None}


def _make(shop: WooCommerceShop, subscription: Subscription, cycle: Cycle, number: int, word: Word) -> Charge:
    order = cycle.order
    due_on = local_day(order.created_at, shop.timezone)
    return Charge(
        id=new_id(),
        organisation_id=shop.organisation_id,
        subscription_id=subscription.id,
        cycle_no=number,
        client_id=subscription.client_id,
        company_id=subscription.company_id,
        collected_by=Collector.SHOP,
        reference=f"{subscription.id}+{order.woo_id}",
        due_on=due_on,
        period_start=due_on,
        period_end=rhythms.end_of(due_on, word.period, word.interval),
        currency=order.currency,
        status=ChargeStatus.SCHEDULED,
        lines=[],
        created_at=order.created_at,
    )


def _keep(shop: WooCommerceShop, word: Word, made: Mapping[int, Charge]) -> None:
    db.session.add_all(made.values())
    db.session.flush()  # mappings name charges that are there
    db.session.add_all(
        WooCommerceMapping(
            organisation_id=shop.organisation_id,
            shop_id=shop.id,
            kind=MappingKind.ORDER,
            woo_id=order_id,
            part=word.woo_id,
            charge_id=charge.id,
        )
        for order_id, charge in made.items()
    )


def _follow(shop: WooCommerceShop, charge: Charge, cycle: Cycle, products: sold.Products) -> bool:
    """What is asked for. What was frozen of a line stays while the shop sells the same.

    Returns whether what is paid already is another subscription's now, in part: whoever ships must look once more.
    """
    order, part = cycle.order, cycle.part
    is_paid = charge.status is ChargeStatus.SUCCEEDED
    lines = sold.charge_lines(order, part.items, products, ships=ships(shop, order))
    is_changed = list(map(_sold, charge.lines)) != list(map(_sold, lines))
    if is_changed or not is_paid:
        charge.lines = lines
    shares = sold.vat_shares(order, part.items, part.amount)
    values: dict[str, Any] = {
        "amount": part.amount,
        "amount_before_tax": part.amount - sum((Decimal(share["tax"]) for share in shares), Decimal(0)),
        "vat": shares,
        "payment_method": METHODS.get(order.payment_method),
    }
    for name, value in values.items():
        if getattr(charge, name) != value:
            setattr(charge, name, value)
    return is_changed and is_paid


def _sold(line: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(line[name] for name in ("label", "quantity", "unit_price", "discount", "vat_rate", "amount"))


def ships(shop: WooCommerceShop, order: Order) -> bool:
    """Whether what it pays for is boxed here: not what was paid before the shop's boxes became ours to send."""
    return order.paid_at is None or order.paid_at >= shop.ships_from


def _settle(charge: Charge, order: Order, *, at: datetime) -> bool:
    """Bring its state; returns whether it is paid since now.

    Nothing leaves SUCCEEDED: an order that loses its date of payment is still paid.
    """
    is_paid_now = order.paid_at is not None and charge.status is not ChargeStatus.SUCCEEDED
    if charge.status is not ChargeStatus.SUCCEEDED:
        charge.status = states.charge_status_of(order)
        charge.settled_at = (order.paid_at or order.modified_at) if charge.status.is_settled else None
        charge.explanation = _explanation(order)
    is_lost = is_paid_then_canceled(order)
    if is_lost and charge.attention is None:
        charge.attention, charge.attention_at = Attention.PAID_THEN_CANCELED, at
    elif not is_lost and charge.attention is Attention.PAID_THEN_CANCELED:
        charge.attention = charge.attention_at = None
    return is_paid_now


def _explanation(order: Order) -> str | None:
    if order.paid_at is None and order.status not in states.KNOWN_ORDERS:
        return UNKNOWN_STATUS.format(status=order.status)
    return REFUSED if order.paid_at is None and order.status == "failed" else None


def is_paid_then_canceled(order: Order) -> bool:
    """Whether the shop cancelled what was paid, and has not given all of it back."""
    given_back = sum((refund.amount for refund in order.refunds), Decimal(0))
    return order.paid_at is not None and order.status == "cancelled" and given_back < order.total


def _set_period(subscription: Subscription, charges: Sequence[Charge]) -> None:
    """The next cycle, and the period of the last one that was paid."""
    subscription.cycle_no = len(charges)
    paid = [charge for charge in charges if charge.status is ChargeStatus.SUCCEEDED]
    last: Charge | None = max(paid, key=lambda charge: charge.cycle_no or 0, default=None)
    subscription.current_period_start = last.period_start if last else None
    subscription.current_period_end = last.period_end if last else None


def find_too_soon(cycles: Sequence[Cycle], word: Word) -> dict[int, int]:
    """The ids of paid renewals that follow a paid one within half a period, though nobody asked for them early.

    Each with the id of the one that it follows.
    """
    paid = [each.order for each in cycles if each.order.paid_at is not None and each.order.renewal_of]
    return {
        after.woo_id: before.woo_id
        for before, after in pairwise(paid)
        if not after.is_early and after.created_at - before.created_at < _half(before.created_at.date(), word)
    }


def _half(start: date, word: Word) -> Any:
    return (rhythms.end_of(start, word.period, word.interval) - start) / 2
