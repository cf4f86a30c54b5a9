"""Coupons: defined by managers, given to subscriptions by whoever sells, one at a time."""

import re
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Select, exists, select, update

from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.coupons import Coupon
from webapp.models.identity import User
from webapp.models.subscriptions import Subscription
from webapp.services.contact import clean_text
from webapp.services.subscriptions import history, scheduling
from webapp.services.subscriptions.editing import editing
from webapp.services.subscriptions.planning import restate, was_charged
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction

LABEL_LENGTH = 100
MOST_CYCLES, MOST_USES = 120, 1_000_000
LARGEST_AMOUNT = Decimal(1_000_000)
_IN_ORDER = (Coupon.is_active.desc(), Coupon.code)
_CODE = re.compile(r"[A-Z0-9][A-Z0-9-]{1,29}")


class UsedCouponError(DomainError):
    """The coupon was given to somebody."""


@dataclass(frozen=True, kw_only=True)
class CouponFields:
    """A coupon as written: ``percent`` or ``amount`` (before tax), for so many ``cycles`` or, without, for ever."""

    code: str
    label: str
    percent: Decimal | None = None
    amount: Decimal | None = None
    cycles: int | None = None
    valid_from: date | None = None
    valid_until: date | None = None
    max_uses: int | None = None


def list_coupons() -> list[Coupon]:
    """All of the organisation, those that can be given first, by code."""
    return list(db.session.scalars(select(Coupon).order_by(*_IN_ORDER)))


def select_all() -> Select[*tuple[Any, ...]]:
    """Every one in that order: an export adds the columns."""
    return select(Coupon.id).order_by(*_IN_ORDER)


def create_coupon(written: CouponFields, *, by: User | None, at: datetime) -> Coupon:
    """Define a coupon. Raises InvalidInputError, naming the field."""
    fields = _checked(written)
    with transaction():
        if db.session.scalar(select(Coupon.id).where(Coupon.code == fields.code)):
            raise InvalidInputError("Ce code est déjà celui d’un autre coupon.", field="code")
        coupon = Coupon(
            code=fields.code,
            label=fields.label,
            percent=fields.percent,
            amount=fields.amount,
            cycles=fields.cycles,
            valid_from=fields.valid_from,
            valid_until=fields.valid_until,
            max_uses=fields.max_uses,
            created_by_id=by.id if by else None,
            created_at=at,
        )
        db.session.add(coupon)
        db.session.flush()
    return coupon


def _checked(written: CouponFields) -> CouponFields:
    code, label = written.code.strip().upper(), clean_text(written.label)
    if not _CODE.fullmatch(code):
        raise InvalidInputError("Un code a de 2 à 30 lettres sans accent, chiffres ou tirets.", field="code")
    if not label or len(label) > LABEL_LENGTH:
        raise InvalidInputError(f"Indiquez un nom, de {LABEL_LENGTH} caractères au plus.", field="label")
    _check_discount(written.percent, written.amount)
    _check_count(written.cycles, MOST_CYCLES, "cycles")
    _check_count(written.max_uses, MOST_USES, "max_uses")
    if written.valid_from and written.valid_until and written.valid_until < written.valid_from:
        raise InvalidInputError("Le dernier jour précède le premier.", field="valid_until")
    return replace(written, code=code, label=label)


def _check_discount(percent: Decimal | None, amount: Decimal | None) -> None:
    if (percent is None) == (amount is None):
        raise InvalidInputError("Indiquez un pourcentage ou un montant, l’un des deux.", field="percent")
    value, largest = (percent, Decimal(100)) if percent is not None else (amount, LARGEST_AMOUNT)
    name = "percent" if percent is not None else "amount"
    if value is None or not value.is_finite() or not 0 < value <= largest or value != round(value, 2):
        raise InvalidInputError(
            f"Indiquez un nombre au-dessus de zéro, de {largest} au plus, avec deux décimales au plus.", field=name
        )


def _check_count(number: int | None, largest: int, field: str) -> None:
    if number is not None and not 1 <= number <= largest:
        raise InvalidInputError(f"Indiquez un nombre de 1 à {largest}.", field=field)


def set_active(coupon_id: UUID, is_active: bool) -> Coupon:
    """Let it be given, or no longer; subscriptions that have it keep it. Raises NotFoundError."""
    with transaction():
        coupon = _lock(Coupon.id == coupon_id)
        if coupon is None:
            raise NotFoundError("Ce coupon n’existe pas ou plus.")
        coupon.is_active = is_active
    return coupon


def delete_coupon(coupon_id: UUID) -> Coupon:
    """Delete a coupon that nobody ever got. Raises NotFoundError, UsedCouponError."""
    with transaction():
        coupon = _lock(Coupon.id == coupon_id)
        if coupon is None:
            raise NotFoundError("Ce coupon n’existe pas ou plus.")
        has_owner = exists().where(
            Subscription.organisation_id == current_organisation_id(), Subscription.coupon_id == coupon_id
        )
        if coupon.uses or db.session.scalar(select(has_owner)):
            raise UsedCouponError(
                f"Le coupon {coupon.code} a été appliqué {coupon.uses} fois\u202f: il ne se supprime pas,"
                " désactivez-le."
            )
        db.session.delete(coupon)
        db.session.flush()
    return coupon


def _lock(condition: object) -> Coupon | None:
    statement = select(Coupon).where(condition).with_for_update()  # type: ignore[arg-type]
    return db.session.scalar(statement.execution_options(populate_existing=True))


def apply_coupon(subscription_id: UUID, code: str, *, version: int, by: User | None, at: datetime) -> Subscription:
    """Give a subscription the coupon of that code, from its next cycle on; one at a time.

    Raises NotFoundError, EditConflictError, EndedError; InvalidInputError (field « coupon »).
    """
    with editing(subscription_id, version) as subscription:
        if subscription.coupon_id is not None:
            raise InvalidInputError("Cet abonnement a déjà un coupon\u202f: retirez-le d’abord.", field="coupon")
        before = subscription.revenue_per_year
        coupon = give(subscription, code, at=at)
        if not was_charged(subscription_id):
            restate(subscription)
        history.record_change(subscription, changes={"coupon": [None, coupon.code]}, before=before, by=by, at=at)
    return subscription


def give(subscription: Subscription, code: str, *, at: datetime) -> Coupon:
    """Put the coupon on the locked or new subscription. Raises InvalidInputError (field « coupon »)."""
    coupon = find_valid(code, on=scheduling.local_date(at, subscription.timezone))
    coupon.uses += 1
    subscription.coupon_id, subscription.coupon_cycles_left = coupon.id, coupon.cycles
    db.session.flush()
    return coupon


def find_valid(code: str, *, on: date) -> Coupon:
    """The coupon of that code, locked, if it can be given on that day. Raises InvalidInputError (field « coupon »)."""
    coupon = _lock(Coupon.code == clean_text(code).upper())
    fault = None
    if coupon is None:
        fault = "Ce coupon n’existe pas."
    elif not coupon.is_active:
        fault = "Ce coupon est désactivé."
    elif coupon.valid_from and on < coupon.valid_from:
        fault = "Ce coupon n’est pas encore valable."
    elif coupon.valid_until and on > coupon.valid_until:
        fault = "Ce coupon n’est plus valable."
    elif coupon.max_uses is not None and coupon.uses >= coupon.max_uses:
        fault = "Ce coupon a été appliqué autant de fois que permis."
    if coupon is None or fault:
        raise InvalidInputError(fault or "", field="coupon")
    return coupon


def give_back(coupon_id: UUID) -> None:
    """A subscription that never began goes: its use of the coupon does not count."""
    statement = update(Coupon).where(Coupon.id == coupon_id, Coupon.uses > 0)
    db.session.execute(statement.values(uses=Coupon.uses - 1))


def remove_coupon(subscription_id: UUID, *, version: int, by: User | None, at: datetime) -> Subscription:
    """Ask for the whole price from the next cycle on.

    Raises NotFoundError, EditConflictError, EndedError; InvalidInputError where it has none.
    """
    with editing(subscription_id, version) as subscription:
        if subscription.coupon_id is None:
            raise InvalidInputError("Cet abonnement n’a pas de coupon.", field="coupon")
        before = subscription.revenue_per_year
        code = db.session.scalars(select(Coupon.code).where(Coupon.id == subscription.coupon_id)).one()
        is_new = not was_charged(subscription_id)
        if is_new:
            give_back(subscription.coupon_id)
        subscription.coupon_id = subscription.coupon_cycles_left = None
        if is_new:
            restate(subscription)
        history.record_change(subscription, changes={"coupon": [code, None]}, before=before, by=by, at=at)
    return subscription
