"""What of a subscription's charges is owed back to the client when its cover ends; a person refunds each."""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select

from webapp.extensions import db
from webapp.models.charges import Charge
from webapp.models.covers import Cover, TerminationGround
from webapp.models.money import cents
from webapp.services.refunds import commands as refunds

NOTHING = Decimal("0.00")


class OwedBack(NamedTuple):
    """A charge, and what of it is owed back, with tax."""

    charge: Charge
    amount: Decimal


def list_owed(subscription_id: UUID, *, unused_from: date | None) -> list[OwedBack]:
    """What was paid for the days from ``unused_from`` on; all that was paid where that is None."""
    statement = select(Charge).where(Charge.subscription_id == subscription_id).order_by(Charge.due_on, Charge.id)
    if unused_from is not None:
        statement = statement.where(Charge.period_end > unused_from)
    owed = []
    for charge in db.session.scalars(statement):
        paid = refunds.find_refundable(charge).in_all
        amount = paid if unused_from is None else cents(paid * _unused(charge, unused_from))
        if amount > 0:
            owed.append(OwedBack(charge, amount))
    return owed


def list_owed_at_end(cover: Cover) -> list[OwedBack]:
    """What is owed back for the termination that stands: cycles that were paid since count, too. Nothing for fraud."""
    standing = cover.termination
    if standing is None or standing.ground is TerminationGround.FRAUD:
        return []
    return list_owed(cover.subscription_id, unused_from=standing.due_on)


def total_of(owed: Iterable[OwedBack]) -> Decimal:
    """All that is owed back, with tax."""
    return sum((each.amount for each in owed), NOTHING)


def _unused(charge: Charge, since: date) -> Decimal:
    """Which part of the charge's period lies at ``since`` or later."""
    whole = (charge.period_end - charge.period_start).days
    left = (charge.period_end - max(charge.period_start, since)).days
    return Decimal(max(left, 0)) / Decimal(whole) if whole > 0 else Decimal(0)
