"""What a subscription's cycles cost, one after the other: lines, coupon, trial, set-up fee, what changes left over.

``Terms`` are what is agreed as of the next cycle. ``Terms.ask`` tells what that cycle asks for and the terms after it:
the claim of a cycle takes the first and keeps the second, a forecast goes on from the second.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import ROUND_DOWN, Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, or_, select, text
from sqlalchemy.orm import aliased

from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.charges import Charge, ChargeStatus
from webapp.models.coupons import Coupon
from webapp.models.money import CENT, Totals, cents, totals
from webapp.models.plan_changes import PlannedChange, SubscriptionAdjustment
from webapp.models.subscriptions import Rhythm, Subscription, SubscriptionLine
from webapp.services.subscriptions import proration, scheduling
from webapp.services.subscriptions.fields import LABEL_LENGTH, CheckedLine
from webapp.services.subscriptions.proration import Prices
from webapp.services.subscriptions.scheduling import CyclePeriod

NOTHING = Decimal("0.00")
COUPON, TRIAL, SHORT, SETUP, ADJUSTMENT = "coupon", "trial", "short", "setup", "adjustment"
"""What a line of a charge is that sells nothing by itself; a line that does has no ``kind``."""
RECURRING = frozenset({None, COUPON, TRIAL, SHORT})
SETUP_LABEL = "Frais de mise en service"

Line = dict[str, Any]
"""A line as a charge freezes it."""


@dataclass(frozen=True)
class LeftOver:
    """What a change made at once left to be settled with cycles to come: ``bases`` by rate, ``lines`` as printed."""

    adjustment_id: UUID
    made_on: date
    bases: Prices
    lines: list[Line]

    @property
    def is_credit(self) -> bool:
        """Whether the client gets something."""
        return _with_tax(self.bases) < 0


@dataclass(frozen=True)
class AskedCycle:
    """What a cycle asks for. ``recurring`` (before tax) is what of it is revenue of every cycle.

    ``left_over`` is what remains of each adjustment that it takes up, by its id.
    """

    cycle: int
    period: CyclePeriod
    lines: list[Line]
    recurring: Decimal
    left_over: dict[UUID, Prices]

    @property
    def totals(self) -> Totals:
        """Its amounts, VAT on each rate's sum."""
        return totals_of(self.lines)


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What is agreed as of the next cycle; see ``Subscription`` for what the values mean."""

    lines: tuple[CheckedLine, ...]
    frequency: Rhythm
    anchor_date: date
    anchor_cycle: int = 0
    planned: PlannedChange | None = None
    coupon: Coupon | None = None
    coupon_cycles_left: int | None = None
    trial_cycles_left: int = 0
    setup_fee: Decimal | None = None
    setup_vat_rate: Decimal | None = None
    left_overs: tuple[LeftOver, ...] = ()

    def due_on(self, cycle: int) -> date:
        """When a cycle falls due."""
        return scheduling.due_date(self.anchor_date, self.frequency, cycle - self.anchor_cycle)

    def ask(self, cycle: int, *, is_skipped: bool = False) -> tuple[AskedCycle, "Terms"]:
        """What the cycle asks for, and the terms after it.

        One that is skipped uses up nothing: neither trial nor coupon, nor what is asked for once.
        """
        terms, period, short_of = self._with_planned(cycle)
        if terms.coupon_cycles_left == 0:
            terms = replace(terms, coupon=None, coupon_cycles_left=None)
        lines = terms.recurring_lines()
        recurring = _before_tax(lines)
        if short_of:
            lines += _short_lines(lines, (period.end - period.start).days, short_of)
        if is_skipped:
            return AskedCycle(cycle, period, lines, recurring, {}), terms
        after = terms._after_free_cycle() if terms.trial_cycles_left else terms._after_coupon()
        if terms.setup_fee and not terms.trial_cycles_left:
            lines.append(plain_line(SETUP_LABEL, terms.setup_vat_rate or Decimal(20), terms.setup_fee, SETUP))
            after = replace(after, setup_fee=None, setup_vat_rate=None)
        taken = _take_left_overs(lines, terms.left_overs)
        asked = AskedCycle(cycle, period, lines, recurring, taken)
        return asked, replace(after, left_overs=_remaining(terms.left_overs, taken))

    def recurring_lines(self) -> list[Line]:
        """What every cycle asks for as things stand: the lines, free on trial, else less the coupon."""
        lines = [frozen(line) for line in self.lines]
        if self.trial_cycles_left:
            return lines + _trial_lines(lines)
        return lines + coupon_lines(self.coupon, lines) if self.coupon is not None else lines

    def _after_free_cycle(self) -> "Terms":
        """A cycle that is free uses up no coupon: what was promised for some cycles is promised for paid ones."""
        return replace(self, trial_cycles_left=self.trial_cycles_left - 1)

    def _after_coupon(self) -> "Terms":
        left = self.coupon_cycles_left
        return self if left is None else replace(self, coupon_cycles_left=left - 1)

    def _with_planned(self, cycle: int) -> tuple["Terms", CyclePeriod, int]:
        """The terms with the planned change made, the cycle's period, and of how many days it is a part (0: whole)."""
        start, planned = self.due_on(cycle), self.planned
        if planned is None:
            return self, CyclePeriod(start, self.due_on(cycle + 1)), 0
        lines = self.lines if planned.lines is None else tuple(map(CheckedLine.from_json, planned.lines))
        changed = replace(self, lines=lines, planned=None)
        if planned.frequency is None and planned.anchor_date is None:
            return changed, CyclePeriod(start, self.due_on(cycle + 1)), 0
        frequency = planned.frequency or self.frequency
        anchor = planned.anchor_date or start
        passed = scheduling.first_cycle_from(anchor, frequency, start)
        first = scheduling.due_date(anchor, frequency, passed)
        is_short = first > start
        changed = replace(changed, frequency=frequency, anchor_date=anchor, anchor_cycle=cycle + int(is_short) - passed)
        if not is_short:
            return changed, CyclePeriod(start, changed.due_on(cycle + 1)), 0
        whole = (scheduling.due_date(start, frequency, 1) - start).days
        return changed, CyclePeriod(start, first), whole


# --- lines ---


def frozen(line: CheckedLine) -> Line:
    """A line of the subscription as a charge freezes it."""
    return line.as_json() | {"amount": str(line.amount)}


def plain_line(label: str, rate: Decimal, amount: Decimal, kind: str, **more: Any) -> Line:
    """A line that sells nothing by itself, of ``amount`` before tax."""
    return {
        "label": label[:LABEL_LENGTH],
        "product_id": None,
        "quantity": "1",
        "unit_price": str(amount),
        "discount": "0",
        "vat_rate": str(rate),
        "amount": str(amount),
        "kind": kind,
        **more,
    }


def totals_of(lines: Iterable[Line]) -> Totals:
    """The totals of the lines, VAT on each rate's sum."""
    return totals((Decimal(line["vat_rate"]), Decimal(line["amount"])) for line in lines)


def prices_of(lines: Iterable[Line]) -> Prices:
    """The sums of the lines by VAT rate, before tax."""
    return proration.sum_by_rate((Decimal(line["vat_rate"]), Decimal(line["amount"])) for line in lines)


def _before_tax(lines: Iterable[Line]) -> Decimal:
    return sum((Decimal(line["amount"]) for line in lines), NOTHING)


def coupon_lines(coupon: Coupon, lines: Sequence[Line]) -> list[Line]:
    """The discount on each rate's sum. Never more than there is: an amount is divided in proportion."""
    prices = {rate: price for rate, price in sorted(prices_of(lines).items()) if price}
    whole, off = sum(prices.values(), NOTHING), []
    amount = min(coupon.amount, whole) if coupon.amount is not None else None
    given = reached = NOTHING
    for rate, price in prices.items():
        reached += price
        if amount is None:
            part = cents(price * (coupon.percent or 0) / 100)
        else:
            part = cents(amount * reached / whole) - given
            given += part
        if part:
            label = f"Coupon {coupon.code}\u202f: {coupon.label}"
            off.append(plain_line(label, rate, -part, COUPON, coupon_id=str(coupon.id)))
    return off


def _trial_lines(lines: Sequence[Line]) -> list[Line]:
    return [plain_line("Essai gratuit", rate, -price, TRIAL) for rate, price in prices_of(lines).items() if price]


def _short_lines(lines: Sequence[Line], days: int, of: int) -> list[Line]:
    """What is taken off a period that is shorter than its rhythm."""
    label = f"Période de {days} jours au lieu de {of}"
    return [
        plain_line(label, rate, -proration.rest(price, days, of), SHORT, days=days, of=of)
        for rate, price in prices_of(lines).items()
        if price
    ]


# --- what changes left over ---


def _with_tax(bases: Prices) -> Decimal:
    return totals(bases.items()).with_tax


def _take_left_overs(lines: list[Line], left_overs: Sequence[LeftOver]) -> dict[UUID, Prices]:
    """Add what the cycle can carry to ``lines``: all that is to be paid, then credits while its total is not negative.

    Returns what remains of each.
    """
    remaining: dict[UUID, Prices] = {}
    for each in sorted(left_overs, key=lambda left_over: left_over.is_credit):
        room = prices_of(lines)
        taken = _fitting(each.bases, room)
        remaining[each.adjustment_id] = {rate: base - taken.get(rate, NOTHING) for rate, base in each.bases.items()}
        is_whole = taken == each.bases and prices_of(each.lines) == each.bases
        lines += each.lines if is_whole else _taken_lines(each, taken)
    return remaining


def _taken_lines(left_over: LeftOver, taken: Prices) -> list[Line]:
    label = f"Crédit du changement du {left_over.made_on:%d/%m/%Y}"
    more = {"adjustment_id": str(left_over.adjustment_id)}
    return [plain_line(label, rate, base, ADJUSTMENT, **more) for rate, base in taken.items() if base]


def _fitting(bases: Prices, room: Prices) -> Prices:
    """How much of ``bases`` the total of ``room`` bears: all of it, or what is to be paid and some of the credit."""

    def total(more: Prices) -> Decimal:
        return _with_tax(proration.sum_by_rate([*room.items(), *more.items()]))

    if total(bases) >= 0:
        return dict(bases)
    taken = {rate: base for rate, base in bases.items() if base > 0}
    # Rates that the cycle sells first: there a credit takes the amount down to exactly nothing.
    for rate in sorted((rate for rate in bases if bases[rate] < 0), key=lambda rate: (-room.get(rate, NOTHING), rate)):
        fits = (total(taken) * 100 / (100 + rate)).quantize(CENT, ROUND_DOWN)
        credit = min(-bases[rate], fits + 2 * CENT)
        while credit > 0 and total(taken | {rate: -credit}) < 0:
            credit -= CENT
        taken[rate] = -max(credit, NOTHING)
    return taken


def _remaining(left_overs: Sequence[LeftOver], taken: dict[UUID, Prices]) -> tuple[LeftOver, ...]:
    rest = (replace(each, bases=taken[each.adjustment_id]) for each in left_overs)
    return tuple(each for each in rest if any(each.bases.values()))


# --- loading ---


def load_terms(subscriptions: Sequence[Subscription]) -> dict[UUID, Terms]:
    """The terms of each subscription, in four queries however many there are."""
    ids = [subscription.id for subscription in subscriptions]
    lines, planned, left_overs = _load_lines(ids), _load_planned(ids), _load_left_overs(ids)
    coupons = _load_coupons({each.coupon_id for each in subscriptions if each.coupon_id})
    return {
        each.id: Terms(
            lines=tuple(lines.get(each.id, ())),
            frequency=each.rhythm,
            anchor_date=each.anchor_date,
            anchor_cycle=each.anchor_cycle or 0,
            planned=planned.get(each.id),
            coupon=coupons.get(each.coupon_id),
            coupon_cycles_left=each.coupon_cycles_left,
            trial_cycles_left=each.trial_cycles_left or 0,
            setup_fee=each.setup_fee,
            setup_vat_rate=each.setup_vat_rate,
            left_overs=tuple(left_overs.get(each.id, ())),
        )
        for each in subscriptions
    }


def find_terms(subscription: Subscription) -> Terms:
    """As ``load_terms``, for one."""
    return load_terms([subscription])[subscription.id]


def is_special() -> ColumnElement[bool]:
    """In a statement on subscriptions: whether its next cycle may ask for something else than the sum of its lines."""
    adjusted = linked(Subscription, SubscriptionAdjustment.subscription_id)
    return or_(
        Subscription.skips_cycle.is_not_distinct_from(Subscription.cycle_no),
        Subscription.coupon_id.is_not(None),
        Subscription.trial_cycles_left > 0,
        Subscription.setup_fee.is_not(None),
        exists().where(linked(Subscription, PlannedChange.subscription_id)),
        exists().where(adjusted, is_open()),
    )


def is_open() -> ColumnElement[bool]:
    """In a statement on adjustments: whether something is left to be settled with cycles to come.

    A credit of a cycle that was given up is one of nothing.
    """
    base = aliased(Charge)
    given_up = exists().where(linked(base, SubscriptionAdjustment.base_charge_id), base.status == ChargeStatus.CANCELED)
    is_left = SubscriptionAdjustment.left_over != text("'[]'::jsonb")
    return and_(is_left, or_(SubscriptionAdjustment.amount >= 0, ~given_up))


def _load_lines(ids: Sequence[UUID]) -> dict[UUID, list[CheckedLine]]:
    lines: dict[UUID, list[CheckedLine]] = {}
    statement = select(SubscriptionLine).where(SubscriptionLine.subscription_id.in_(ids))
    order = SubscriptionLine.subscription_id, SubscriptionLine.position
    for line in db.session.scalars(statement.order_by(*order)):
        lines.setdefault(line.subscription_id, []).append(CheckedLine.of(line))
    return lines


def _load_planned(ids: Sequence[UUID]) -> dict[UUID, PlannedChange]:
    rows = db.session.scalars(select(PlannedChange).where(PlannedChange.subscription_id.in_(ids)))
    return {row.subscription_id: row for row in rows}


def _load_coupons(ids: set[UUID]) -> dict[UUID | None, Coupon]:
    if not ids:
        return {}
    return {row.id: row for row in db.session.scalars(select(Coupon).where(Coupon.id.in_(ids)))}


def _load_left_overs(ids: Sequence[UUID]) -> dict[UUID, list[LeftOver]]:
    """What is to be settled with cycles to come. A credit waits until the cycle that it is of was paid."""
    is_paid = Charge.status == ChargeStatus.SUCCEEDED
    statement = (
        select(SubscriptionAdjustment)
        .join(Charge, linked(Charge, SubscriptionAdjustment.base_charge_id))
        .where(
            SubscriptionAdjustment.subscription_id.in_(ids),
            is_open(),
            or_(SubscriptionAdjustment.amount >= 0, is_paid),
        )
        .order_by(SubscriptionAdjustment.id)
    )
    found: dict[UUID, list[LeftOver]] = {}
    for row in db.session.scalars(statement.execution_options(populate_existing=True)):
        left_over = LeftOver(row.id, row.starts_on, proration.from_json(row.left_over), row.lines)
        found.setdefault(row.subscription_id, []).append(left_over)
    return found


def set_lines(subscription: Subscription, lines: Sequence[CheckedLine]) -> None:
    """Add the lines to a subscription that has none, and set its recurring amount."""
    subscription.recurring_amount = sum((line.amount for line in lines), Decimal("0.00"))
    db.session.add_all(
        SubscriptionLine(
            subscription_id=subscription.id,
            position=position,
            product_id=line.product_id,
            label=line.label,
            quantity=line.quantity,
            unit_price=line.unit_price,
            vat_rate=line.vat_rate,
            discount=line.discount,
            is_shipped=line.is_shipped,
        )
        for position, line in enumerate(lines)
    )
    db.session.flush()
