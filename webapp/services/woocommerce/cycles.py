"""Orders of a subscription as charges of its cycles. A cycle's number is the rank of its order by date and id: one that
comes late takes its place, and those after it move up."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

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
from webapp.services.woocommerce.subscription_report import Held, local_day

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


@dataclass(frozen=True, slots=True)
class Brought:
    """The charges of a subscription by their orders' ids; ``made`` and ``paid`` are those that are new, and paid, now.

    ``anew`` are paid ones of which another subscription pays a part now.
    """

    word: Word
    cycles: Sequence[Cycle]
    charges: Mapping[int, Charge]
    made: Collection[int]
    paid: Collection[int]
    anew: Collection[int]


def bring(
    shop: WooCommerceShop, held: Held, word: Word, cycles: Sequence[Cycle], products: sold.Products, *, at: datetime
) -> Brought:
    """Have the charges of the locked subscription follow its orders, which come in their order.

    ``keep`` and ``tell`` are to be called once what is made is flushed.
    """
    charges, places = held.charges, {each.order.woo_id: number for number, each in enumerate(cycles)}
    known = [(charge, places.get(order_id)) for order_id, charge in charges.items()]
    moving_cycles.move_cycles(held.row, known)
    made, paid, anew = set[int](), set[int](), set[int]()
    for number, each in enumerate(cycles):
        order_id = each.order.woo_id
        if order_id not in charges:
            charges[order_id] = _make(shop, held.row, each, number, word)
            db.session.add(charges[order_id])
            made.add(order_id)
        if _follow(shop, charges[order_id], each, products):
            anew.add(order_id)
        if _settle(charges[order_id], each.order, at=at):
            paid.add(order_id)
    _set_period(held.row, [charges[each.order.woo_id] for each in cycles])
    return Brought(word, cycles, charges, made, paid, anew)


def keep(shop: WooCommerceShop, brought: Brought) -> None:
    """Remember which charges are which orders'."""
    db.session.add_all(
        WooCommerceMapping(
            organisation_id=shop.organisation_id,
            shop_id=shop.id,
            kind=MappingKind.ORDER,
            woo_id=order_id,
            part=brought.word.woo_id,
            charge_id=brought.charges[order_id].id,
        )
        for order_id in brought.made
    )


def tell(shop: WooCommerceShop, brought: Brought, *, at: datetime) -> None:
    """Tell of what was divided anew, and of what was ``paid`` just now, by the numbers that they got just now: unless
    it was paid before the shop's boxes are ours to send.

    One that came too soon after another is held; it is told of once more, where the other is heard of later.
    """
    before = find_too_soon(brought.cycles, brought.word)
    for each in brought.cycles:
        order_id, is_doubled = each.order.woo_id, each.order.woo_id in before
        charge = brought.charges[order_id]
        if order_id in brought.anew:
            effects.tell_refunded(charge, at=at)
        if ships(shop, each.order) and (order_id in brought.paid or (is_doubled and before[order_id] in brought.paid)):
            reason = gathering.PAID_TWICE if is_doubled else None
            paid_at = each.order.paid_at or at
            effects.tell_charged(charge, Milestone.SUCCEEDED, at=paid_at, held_reason=reason)


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
