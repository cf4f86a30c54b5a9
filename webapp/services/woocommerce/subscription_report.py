"""A shop's subscription, brought to ours: what it sells, its rhythm, its dates, its address, its state.

All of it is the shop's; preferences, holds and gifts are ours. ``reason`` of what changes names the shop.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import ARRAY, BigInteger, Uuid, and_, any_, bindparam, delete, select
from sqlalchemy.orm import Load, aliased, undefer

from webapp.extensions import db
from webapp.models.base import linked, new_id
from webapp.models.charges import Charge
from webapp.models.clients import Source
from webapp.models.organisations import Company
from webapp.models.subscriptions import (
    Collector,
    Frequency,
    ShopPeriod,
    Subscription,
    SubscriptionLine,
    SubscriptionStatus,
)
from webapp.models.woocommerce import MappingKind, WooCommerceMapping, WooCommerceShop
from webapp.services.subscriptions import history, lifecycle, scheduling
from webapp.services.subscriptions.fields import CheckedLine
from webapp.services.subscriptions.terms import set_lines
from webapp.services.woocommerce import outcomes, rhythms, sold, states
from webapp.services.woocommerce.reading import Address, Order
from webapp.services.woocommerce.reading import Subscription as Word

CURRENCY = "Cet abonnement est en {currency}, la société en {ours}\u202f: il n’est pas repris."
RHYTHM = "La boutique dit un rythme que personne ne connaît\u202f: {interval} {period}."
NOT_OURS_TO_CHARGE = "{rhythm}\u202f: le CRM n’encaisse pas à ce rythme."
BELOW_NOTHING = "Le montant de cet abonnement est négatif\u202f: il n’est pas repris."
DELIVERY = (
    "delivery_name",
    "delivery_company",
    "delivery_line1",
    "delivery_line2",
    "delivery_postcode",
    "delivery_city",
    "delivery_country",
    "delivery_phone",
)


def check(word: Word, company: Company, collected_by: Collector) -> None:
    """Raises HeldUpError for what cannot be taken over."""
    if word.currency != company.currency:
        raise outcomes.failed(CURRENCY.format(currency=word.currency or outcomes.NO_CURRENCY, ours=company.currency))
    if not rhythms.is_known(word.period, word.interval):
        raise outcomes.failed(RHYTHM.format(interval=word.interval, period=word.period))
    is_other = rhythms.frequency_of(word.period, word.interval) is Frequency.OTHER
    if is_other and collected_by is Collector.CRM:
        raise outcomes.failed(NOT_OURS_TO_CHARGE.format(rhythm=ShopPeriod(word.period).every(word.interval)))
    if sum((each.item.total for each in sold.lines_of(word)), Decimal(0)) < 0:
        raise outcomes.failed(BELOW_NOTHING)


class Held(NamedTuple):
    """A subscription of ours, locked, the mapping that leads to it, and what it sells.

    ``charges`` are those of the shop's orders, by their ids, locked.
    """

    row: Subscription
    mapping: WooCommerceMapping
    lines: list[CheckedLine]
    charges: dict[int, Charge]

    @property
    def is_shops(self) -> bool:
        """Whether the shop collects it: all of it follows the shop then."""
        return self.row.collected_by is Collector.SHOP


_OF_SHOP = (
    WooCommerceMapping.shop_id == bindparam("shop_id"),
    WooCommerceMapping.kind == MappingKind.SUBSCRIPTION,
    WooCommerceMapping.woo_id == any_(bindparam("woo_ids", type_=ARRAY(BigInteger))),
)
_ORDER = aliased(WooCommerceMapping)
_CHARGES = (
    select(Charge, WooCommerceMapping.woo_id, _ORDER.woo_id)
    .join(
        WooCommerceMapping,
        and_(
            Charge.organisation_id == WooCommerceMapping.organisation_id,
            Charge.subscription_id == WooCommerceMapping.subscription_id,
        ),
    )
    .outerjoin(_ORDER, and_(linked(Charge, _ORDER.charge_id), _ORDER.part == WooCommerceMapping.woo_id))
    .where(*_OF_SHOP)
    .order_by(Charge.id)
    .with_for_update(of=Charge)
    .execution_options(populate_existing=True)
)
_SUBSCRIPTIONS = (
    select(Subscription, WooCommerceMapping)
    .join(WooCommerceMapping, linked(Subscription, WooCommerceMapping.subscription_id))
    .where(*_OF_SHOP)
    .order_by(Subscription.id)
    .with_for_update(of=Subscription)
    .options(Load(Subscription).undefer_group("delivery"), undefer(WooCommerceMapping.snapshot))
    .execution_options(populate_existing=True)
)
_LINES = (
    select(SubscriptionLine)
    .where(SubscriptionLine.subscription_id == any_(bindparam("ids", type_=ARRAY(Uuid))))
    .order_by(SubscriptionLine.subscription_id, SubscriptionLine.position)
)


def find_for_update(shop: WooCommerceShop, woo_ids: Collection[int]) -> dict[int, Held]:
    """Our subscriptions by the shop's ids, locked until the transaction ends, with the address of each.

    Their charges are locked before, as by whoever decides on a charge.
    """
    which = {"shop_id": shop.id, "woo_ids": sorted(woo_ids)}
    charges: dict[int, dict[int, Charge]] = defaultdict(dict)
    for charge, woo_id, order_id in db.session.execute(_CHARGES, which):
        if woo_id is not None and order_id is not None:
            charges[woo_id][order_id] = charge
    rows = db.session.execute(_SUBSCRIPTIONS, which).all()
    lines: dict[UUID, list[CheckedLine]] = defaultdict(list)
    for line in db.session.scalars(_LINES, {"ids": [row.id for row, _ in rows]}) if rows else ():
        lines[line.subscription_id].append(CheckedLine.of(line))
    return {
        mapping.woo_id: Held(row, mapping, lines[row.id], charges[mapping.woo_id])
        for row, mapping in rows
        if mapping.woo_id is not None
    }


def create(shop: WooCommerceShop, word: Word, client_id: UUID, products: sold.Products, *, at: datetime) -> Held:
    """Make it as the shop tells it, pending: its state is brought afterwards. It is dated by the shop."""
    lines = sold.checked_lines(word, products)
    subscription = Subscription(
        id=new_id(),
        organisation_id=shop.organisation_id,
        company_id=shop.company_id,
        client_id=client_id,
        status=SubscriptionStatus.PENDING,
        timezone=shop.timezone,
        currency=word.currency,
        recurring_amount=sum((line.amount for line in lines), Decimal("0.00")),
        source=Source.WOOCOMMERCE,
        collected_by=shop.collected_by,
        created_at=word.created_at,
        changed_at=word.created_at,
        cycle_no=0,
        version=0,
        **dict.fromkeys(DELIVERY),
    )
    _set_rhythm(subscription, word)
    mapping = WooCommerceMapping(
        id=new_id(),
        organisation_id=shop.organisation_id,
        shop_id=shop.id,
        kind=MappingKind.SUBSCRIPTION,
        woo_id=word.woo_id,
        subscription_id=subscription.id,
        snapshot=None,
        last_synced_at=at,
    )
    held = Held(subscription, mapping, lines, {})
    _change_address(held, word)
    if held.is_shops:
        _change_dates(subscription, word)
    db.session.add(subscription)
    db.session.flush()  # what names it finds it
    db.session.add(mapping)
    set_lines(subscription, lines)
    if not held.is_shops:
        scheduling.schedule(subscription, 0)
    history.record(
        subscription,
        history.CREATED,
        old_status=None,
        before=Decimal(0),
        reason=reason_of(shop),
        changes={"recurring_amount": [None, str(subscription.recurring_amount)]},
        by=None,
        at=word.created_at,
    )
    return held


def reason_of(shop: WooCommerceShop) -> str:
    """Who did it, in histories."""
    return f"Boutique «\u00a0{shop.name}\u00a0»"


def local_day(instant: datetime, zone: str) -> date:
    """The date in the shop."""
    return instant.astimezone(ZoneInfo(zone)).date()


def _anchor(subscription: Subscription, word: Word) -> date:
    """The start in the shop; of one that we charge, its next payment as it was handed over."""
    starts_at = word.starts_at
    if subscription.collected_by is Collector.CRM:
        starts_at = word.next_payment_at or starts_at
    return local_day(starts_at, subscription.timezone)


def _set_rhythm(subscription: Subscription, word: Word) -> None:
    subscription.frequency = rhythms.frequency_of(word.period, word.interval)
    subscription.anchor_date = _anchor(subscription, word)
    if subscription.collected_by is Collector.SHOP:
        subscription.shop_period, subscription.shop_interval = ShopPeriod(word.period), word.interval


# ------------------------------------------------------------------------------------------------ what changes


def update(shop: WooCommerceShop, held: Held, word: Word, products: sold.Products) -> None:
    """Bring what the shop changed of a subscription that it collects. Dated by the shop."""
    subscription = held.row
    before, changes = subscription.revenue_per_year, _change_rhythm(subscription, word)
    changes |= _change_lines(held, sold.checked_lines(word, products))
    changes |= _change_dates(subscription, word)
    changes |= _change_address(held, word)
    if changes:
        history.record_change(
            subscription, changes=changes, before=before, reason=reason_of(shop), by=None, at=word.modified_at
        )


def _change_rhythm(subscription: Subscription, word: Word) -> dict[str, Any]:
    old_label, old_anchor = subscription.rhythm_label, subscription.anchor_date
    old_pair = subscription.shop_period, subscription.shop_interval
    _set_rhythm(subscription, word)
    changes: dict[str, Any] = {}
    if (subscription.shop_period, subscription.shop_interval) != old_pair:
        changes["frequency"] = [old_label, subscription.rhythm_label]
    if subscription.anchor_date != old_anchor:
        changes["anchor_date"] = [old_anchor.isoformat(), subscription.anchor_date.isoformat()]
    return changes


def _change_lines(held: Held, lines: Sequence[CheckedLine]) -> dict[str, Any]:
    """What is sold, where the shop sells something else now; what our products say of shipping is taken then."""
    subscription, ours = held.row, list(held.lines)
    if [_price_of(line) for line in ours] == [_price_of(line) for line in lines]:
        return {}
    old = subscription.recurring_amount
    db.session.execute(delete(SubscriptionLine).where(SubscriptionLine.subscription_id == subscription.id))
    set_lines(subscription, lines)
    held.lines[:] = lines
    db.session.expire(subscription, ["lines"])
    if old == subscription.recurring_amount:
        return {"lines": [", ".join(line.label for line in ours), ", ".join(line.label for line in lines)]}
    return {"recurring_amount": [str(old), str(subscription.recurring_amount)]}


def _price_of(line: CheckedLine) -> tuple[Any, ...]:
    return line.label, line.quantity, line.unit_price, line.discount, line.vat_rate


def _change_dates(subscription: Subscription, word: Word) -> dict[str, Any]:
    """The next payment moves with each renewal, and is told of by its charge, not by the history."""
    is_over = subscription.status.is_final
    subscription.expected_at = None if is_over or word.status in states.ENDING else word.next_payment_at
    end = local_day(word.ends_at, subscription.timezone) if word.ends_at else None
    wanted = {
        "cancels_on": end if word.status == states.PENDING_CANCEL and not is_over else None,
        "ends_on": None if word.status in states.CANCELING else end,
    }
    changes = {}
    for name, new in wanted.items():
        old = getattr(subscription, name)
        if old != new:
            setattr(subscription, name, new)
            changes[name] = [old.isoformat() if old else None, new.isoformat() if new else None]
    return changes


def _change_address(held: Held, word: Word) -> dict[str, Any]:
    """Where it goes, where the shop says another address than the last time: what was changed here stays."""
    subscription, mapping = held.row, held.mapping
    wanted = [] if word.is_erased else _delivery(word.shipping)
    said = mapping.snapshot_in_clear()
    if said.get("delivery", []) == wanted or word.is_erased:
        return {}
    mapping.keep_snapshot(said | {"delivery": wanted})
    changes = {}
    for name, new in zip(DELIVERY, wanted or [""] * len(DELIVERY), strict=True):
        old = getattr(subscription, name)
        if (old or None) != (new or None):
            setattr(subscription, name, new or None)
            changes[name] = [old, new or None]
    return changes


def _delivery(shipping: Address) -> list[str]:
    """An address of its own, whole, or none."""
    country = shipping.country or "FR"
    if not shipping.line1 or not shipping.city or (country == "FR" and not shipping.postcode):
        return []
    name = f"{shipping.first_name} {shipping.last_name}".strip()[:200]
    place = [shipping.line1, shipping.line2, shipping.postcode, shipping.city, country]
    return [name, shipping.company, *place, shipping.phone]


# ------------------------------------------------------------------------------------------------ state


def move(shop: WooCommerceShop, subscription: Subscription, word: Word, orders: Sequence[Order]) -> bool:
    """Bring the state that the shop's word comes to, dated by the shop; False where nothing leads there.

    The locked subscription is one that the shop collects. Out of a final state only a person leads.
    """
    wanted = states.status_of(word, orders)
    if wanted is subscription.status:
        return True
    path = states.way(subscription.status, wanted)
    for status in path:
        lifecycle.change_status(subscription, status, reason=reason_of(shop), by=None, at=word.modified_at)
    return bool(path)
