"""What a change of lines at once comes to: a credit for the days not yet used, and the new price of the same days.

The days are those of the cycle that was charged for today. Each VAT rate stands on its own, before tax; the VAT of what
is asked for is that of its document. Over any number of changes, what was charged less what was credited is what each
day cost when it passed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import select

from webapp import french
from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.charges import Charge, ChargeStatus
from webapp.models.coupons import Coupon
from webapp.models.invoices import Invoice
from webapp.models.money import Totals
from webapp.models.plan_changes import Settlement, SubscriptionAdjustment
from webapp.models.subscriptions import Subscription, SubscriptionLine
from webapp.services.subscriptions import proration
from webapp.services.subscriptions.fields import LABEL_LENGTH, CheckedLine
from webapp.services.subscriptions.proration import Days, Prices
from webapp.services.subscriptions.terms import (
    ADJUSTMENT,
    COUPON,
    RECURRING,
    SHORT,
    TRIAL,
    Line,
    coupon_lines,
    find_terms,
    frozen,
    plain_line,
    prices_of,
    totals_of,
)

NOTHING = Decimal("0.00")
NOT_CHARGED = frozenset({ChargeStatus.SKIPPED, ChargeStatus.CANCELED})


@dataclass(frozen=True)
class Proration:
    """What a change comes to. Without a ``base``, nothing that was charged is touched.

    ``lines`` (credits below zero) are as they will be printed; ``price`` is what the whole cycle would cost after the
    change; ``recurring`` (before tax) what it brings per cycle from then on.
    """

    day: date
    base: Charge | None
    lines: list[Line]
    price: Prices
    recurring: Decimal

    @property
    def totals(self) -> Totals:
        """Its amounts; below zero where the client is credited."""
        return totals_of(self.lines)

    @property
    def amount(self) -> Decimal:
        """With tax."""
        return self.totals.with_tax

    @property
    def days(self) -> int:
        """How many days it is about."""
        return (self.base.period_end - self.day).days if self.base else 0


def prorate(subscription: Subscription, lines: Sequence[CheckedLine], day: date, *, today: date) -> Proration:
    """What selling ``lines`` from ``day`` on comes to. Nothing is written.

    Raises InvalidInputError (field « day ») for a day outside the charged cycle, to come, or before an earlier change.
    """
    base = find_base(subscription.id, today)
    earlier = list_adjustments_of(base) if base else []
    _check_day(day, base, earlier, today)
    new = [frozen(line) for line in lines]
    if base is None:
        terms = find_terms(subscription)
        new += coupon_lines(terms.coupon, new) if terms.coupon and terms.coupon_cycles_left != 0 else []
        recurring = NOTHING if terms.trial_cycles_left else sum(prices_of(new).values(), NOTHING)
        return Proration(day, None, [], {}, recurring)
    period = Days(base.period_start, base.period_end)
    discounted = _as_in(base, new)
    recurring = sum(prices_of(discounted).values(), NOTHING)
    price = _shortened(base, prices_of(discounted))
    old = proration.from_json(earlier[-1].price) if earlier else _price_of(base)
    credit = _within(proration.rest_from(old, period, day), _left_of(base, earlier))
    words = _part_of(period, day)
    asked = proration.rest_from(price, period, day)
    moved = {rate for rate in credit | asked if credit.get(rate, NOTHING) != asked.get(rate, NOTHING)}
    credit, asked = ({rate: amount for rate, amount in prices.items() if rate in moved} for prices in (credit, asked))
    printed = list(_print(subscription.lines, credit, words, "Crédit\u202f: ", -1))
    printed += _print(lines, asked, words)
    return Proration(day, base, printed, price, recurring)


def find_base(subscription_id: UUID, day: date) -> Charge | None:
    """The charge of the cycle that ``day`` falls into, unless nothing was asked for it."""
    statement = select(Charge).where(
        Charge.subscription_id == subscription_id,
        Charge.cycle_no.is_not(None),
        Charge.period_start <= day,
        Charge.period_end > day,
        Charge.status.not_in(NOT_CHARGED),
    )
    return db.session.scalar(statement.order_by(Charge.cycle_no.desc()).limit(1))


def list_adjustments_of(base: Charge) -> list[SubscriptionAdjustment]:
    """What changes of the same cycle came to, the first first."""
    statement = select(SubscriptionAdjustment).where(SubscriptionAdjustment.base_charge_id == base.id)
    return list(db.session.scalars(statement.order_by(SubscriptionAdjustment.position)))


def _check_day(day: date, base: Charge | None, earlier: Sequence[SubscriptionAdjustment], today: date) -> None:
    if base is None:
        if day != today:
            raise InvalidInputError(
                "Aucune échéance prélevée ne couvre ce jour\u202f: choisissez aujourd’hui.", field="day"
            )
        return
    first = max([base.period_start, *(each.starts_on for each in earlier)])
    if not first <= day <= today:
        raise InvalidInputError(
            f"Choisissez un jour du {french.day(first)} au {french.day(today)}\u202f: les jours d’avant sont ceux d’une"
            " autre échéance, ou d’un changement déjà compté.",
            field="day",
        )


def _price_of(base: Charge) -> Prices:
    """What the cycle cost, without what is asked for once."""
    return prices_of(line for line in base.lines if line.get("kind") in RECURRING)


def _as_in(base: Charge, lines: list[Line]) -> list[Line]:
    """The lines with the coupon or trial that the cycle had."""
    of_kind: dict[str | None, Line] = {line.get("kind"): line for line in base.lines}
    if TRIAL in of_kind:
        return [plain_line("Essai gratuit", Decimal(line["vat_rate"]), NOTHING, TRIAL) for line in lines]
    if COUPON not in of_kind:
        return lines
    coupon = db.session.scalars(select(Coupon).where(Coupon.id == UUID(of_kind[COUPON]["coupon_id"]))).one()
    return lines + coupon_lines(coupon, lines)


def _shortened(base: Charge, prices: Prices) -> Prices:
    """The prices of the cycle where it is shorter than its rhythm."""
    short = next((line for line in base.lines if line.get("kind") == SHORT), None)
    if short is None:
        return prices
    return {rate: proration.first_days(price, short["days"], short["of"]) for rate, price in prices.items()}


def _left_of(base: Charge, earlier: Sequence[SubscriptionAdjustment]) -> Prices | None:
    """What credit notes have left of what the cycle asked for, by rate; None where there are none.

    Those of adjustments that were refunded are counted once, with their credit note.
    """
    charges = [base.id, *(each.charge_id for each in earlier if each.charge_id)]
    noted = _sum_credit_notes(charges)
    if not noted:
        return None
    kept = [each for each in earlier if each.settlement is not Settlement.REFUND]
    pairs = [(rate, amount) for rate, amount in _price_of(base).items()]
    pairs += [(share.rate, share.base) for each in kept for share in each.totals.shares]
    return proration.sum_by_rate([*pairs, *noted.items()])


def _sum_credit_notes(charge_ids: Sequence[UUID]) -> Prices:
    invoice = select(Invoice.id).where(Invoice.charge_id.in_(charge_ids))
    notes = db.session.scalars(select(Invoice.vat).where(Invoice.corrects_id.in_(invoice)))
    shares: Iterable[Any] = (share for vat in notes for share in Totals.from_json(vat).shares)
    return proration.sum_by_rate((share.rate, share.base) for share in shares)


def _within(credit: Prices, left: Prices | None) -> Prices:
    """Never more is credited than credit notes have left."""
    if left is None:
        return credit
    return {rate: max(min(amount, left.get(rate, NOTHING)), NOTHING) for rate, amount in credit.items()}


def _part_of(period: Days, day: date) -> str:
    last = period.end - timedelta(days=1)
    number = period.number - period.until(day)
    return f"{number} jour{'s' if number > 1 else ''} sur {period.number}, du {french.day(day)} au {french.day(last)}"


def _print(
    sold: Iterable[SubscriptionLine | CheckedLine], prices: Prices, part: str, before: str = "", sign: int = 1
) -> Iterable[Line]:
    """A line for each rate, which names what is sold at it."""
    named = [(line.vat_rate, line.label) for line in sold]
    for rate, amount in sorted(prices.items()):
        if amount:
            names = ", ".join(dict.fromkeys(name for own, name in named if own == rate)) or "Abonnement"
            words, room = before + names, LABEL_LENGTH - len(part) - 3
            shown = words if len(words) <= room else f"{words[: room - 1]}…"
            yield plain_line(f"{shown} ({part})", rate, sign * amount, ADJUSTMENT)
