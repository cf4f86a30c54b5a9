"""What was paid and given back, in the ledger. It is only ever added to: what turns out otherwise is put right by rows.

``payments.external_id`` names the order, the refund and how many rows of the order came before: 44-0, 44-r35-1.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, any_, bindparam, select

from webapp.extensions import db
from webapp.models.base import linked, new_id
from webapp.models.payments import Payment, PaymentKind
from webapp.models.providers import Provider
from webapp.models.woocommerce import MappingKind, WooCommerceMapping, WooCommerceShop
from webapp.services.woocommerce.cycles import METHODS
from webapp.services.woocommerce.reading import Order

NOTHING = Decimal(0)
DIVIDED = "La commande n°\u00a0{number} est répartie autrement entre ses abonnements."
VANISHED = "Ce remboursement n’existe plus dans la boutique."

Shares = Mapping[UUID | None, Decimal]
"""What of an order's money belongs to each charge; None for what is paid without one. The first gives back first."""


@dataclass(frozen=True, slots=True)
class Payer:
    """Whose money it is."""

    client_id: UUID
    company_id: UUID


_LEDGERS = (
    select(WooCommerceMapping.woo_id, Payment)
    .join(Payment, linked(Payment, WooCommerceMapping.payment_id))
    .where(
        WooCommerceMapping.shop_id == bindparam("shop_id"),
        WooCommerceMapping.kind == MappingKind.PAYMENT,
        WooCommerceMapping.woo_id == any_(bindparam("order_ids", type_=ARRAY(BigInteger))),
    )
    .order_by(WooCommerceMapping.woo_id, WooCommerceMapping.part)
)


def find_ledgers(shop: WooCommerceShop, order_ids: Collection[int]) -> dict[int, list[Payment]]:
    """The rows that are there, in one query."""
    ledgers: dict[int, list[Payment]] = {order_id: [] for order_id in order_ids}
    for woo_id, payment in db.session.execute(_LEDGERS, {"shop_id": shop.id, "order_ids": sorted(order_ids)}):
        if woo_id is not None:
            ledgers[woo_id].append(payment)
    return ledgers


@dataclass(frozen=True, slots=True)
class Movement:
    """A row that the ledger lacks; ``refund_id`` is 0 for what was paid."""

    charge_id: UUID | None
    kind: PaymentKind
    amount: Decimal
    happened_at: datetime
    reason: str | None = None
    refund_id: int = 0
    undoes_id: UUID | None = None


def plan(order: Order, shares: Shares, ledger: Sequence[Payment]) -> list[Movement]:
    """What the ledger lacks of an order."""
    if order.paid_at is None:
        return []
    return [*_captures(order, order.paid_at, shares, ledger), *_refunds(order, shares, ledger)]


def _captures(order: Order, paid_at: datetime, shares: Shares, ledger: Sequence[Payment]) -> Iterator[Movement]:
    """What is paid for each charge, less what is there already; of one that pays no more, what is taken off again."""
    there: dict[UUID | None, Decimal] = defaultdict(Decimal)
    for row in ledger:
        if row.kind in (PaymentKind.CAPTURE, PaymentKind.REVERSAL):
            there[row.charge_id] += row.amount
    reason = DIVIDED.format(number=order.number) if there else None
    for charge_id in dict.fromkeys([*shares, *there]):
        missing = shares.get(charge_id, NOTHING) - there.get(charge_id, NOTHING)
        if missing:
            kind = PaymentKind.CAPTURE if missing > 0 else PaymentKind.REVERSAL
            yield Movement(charge_id, kind, missing, paid_at, reason)


def _refunds(order: Order, shares: Shares, ledger: Sequence[Payment]) -> Iterator[Movement]:
    """Each refund once, of the charges in their order; what is said otherwise now is undone, then written anew."""
    undone = {row.undoes_id for row in ledger if row.undoes_id is not None}
    standing: dict[tuple[int, UUID | None], list[Payment]] = defaultdict(list)
    for row in ledger:
        if row.kind is PaymentKind.REFUND and row.id not in undone:
            standing[_refund_of(row), row.charge_id].append(row)
    wanted = _allot(order, shares)
    for (refund_id, charge_id), rows in standing.items():
        if -sum((row.amount for row in rows), NOTHING) == wanted.get((refund_id, charge_id), NOTHING):
            wanted.pop((refund_id, charge_id), None)
            continue
        for row in rows:
            failure = PaymentKind.REFUND_FAILURE
            yield Movement(charge_id, failure, -row.amount, order.modified_at, VANISHED, refund_id, row.id)
    reasons = {refund.woo_id: refund.reason or None for refund in order.refunds}
    for (refund_id, charge_id), amount in wanted.items():
        yield Movement(charge_id, PaymentKind.REFUND, -amount, order.modified_at, reasons[refund_id], refund_id)


def _allot(order: Order, shares: Shares) -> dict[tuple[int, UUID | None], Decimal]:
    """Of which charge each refund is: the first that has money left; what exceeds all is the first one's."""
    left = dict(shares) or {None: NOTHING}
    first = next(iter(left))
    wanted: dict[tuple[int, UUID | None], Decimal] = {}
    for refund in order.refunds:
        rest = refund.amount
        for charge_id in left:
            taken = min(rest, left[charge_id])
            if taken > 0:
                wanted[refund.woo_id, charge_id] = taken
                left[charge_id] -= taken
                rest -= taken
        if rest:
            wanted[refund.woo_id, first] = wanted.get((refund.woo_id, first), NOTHING) + rest
    return wanted


def _refund_of(row: Payment) -> int:
    return int(row.external_id.split("-")[1].removeprefix("r"))


def write(shop: WooCommerceShop, planned: Sequence[tuple[Order, Payer, Sequence[Movement], int]]) -> None:
    """Write the movements of many orders: order, whose money it is, what is missing, how many rows it has already."""
    rows = [
        (order, number, _row(shop, order, payer, movement, number))
        for order, payer, movements, count in planned
        for number, movement in enumerate(movements, start=count)
    ]
    db.session.add_all(row for _, _, row in rows)
    db.session.flush()  # mappings name rows that are there
    db.session.add_all(
        WooCommerceMapping(
            organisation_id=shop.organisation_id,
            shop_id=shop.id,
            kind=MappingKind.PAYMENT,
            woo_id=order.woo_id,
            part=number,
            payment_id=row.id,
        )
        for order, number, row in rows
    )


def _row(shop: WooCommerceShop, order: Order, payer: Payer, movement: Movement, number: int) -> Payment:
    middle = f"-r{movement.refund_id}" if movement.refund_id else ""
    return Payment(
        id=new_id(),
        organisation_id=shop.organisation_id,
        shop_id=shop.id,
        company_id=payer.company_id,
        client_id=payer.client_id,
        charge_id=movement.charge_id,
        undoes_id=movement.undoes_id,
        kind=movement.kind,
        amount=movement.amount,
        currency=order.currency,
        method=METHODS.get(order.payment_method),
        provider=Provider.WOOCOMMERCE,
        external_id=f"{order.woo_id}{middle}-{number}",
        reason=movement.reason,
        happened_at=movement.happened_at,
    )


def find_changed(ledger: Sequence[Payment], movements: Sequence[Movement]) -> dict[UUID, bool]:
    """The charges that held money and hold none now, or hold some again, and whether they do now.

    What is paid for the first time is told of by its charge.
    """
    old: dict[UUID, Decimal] = defaultdict(Decimal)
    for row in ledger:
        if row.charge_id is not None:
            old[row.charge_id] += row.amount
    new = dict(old)
    for movement in movements:
        if movement.charge_id is not None:
            new[movement.charge_id] = new.get(movement.charge_id, NOTHING) + movement.amount
    return {
        charge_id: balance > 0
        for charge_id, balance in new.items()
        if (balance > 0) != (charge_id not in old or old[charge_id] > 0)
    }
