"""Renunciation (renonciation): within fourteen days of the agreement a client may give a cover up, without saying why.

The subscription ends at once, and what was paid is owed back: all of it, or, where a claim was covered, what is left of
the days (code des assurances, art. L112-2-1 and L112-10; code de la consommation, art. L221-18 and L221-25). The money
is given back by a person, charge by charge, as any refund.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select

from webapp import french
from webapp.extensions import db
from webapp.models.charges import Charge
from webapp.models.covers import Cover
from webapp.models.identity import User
from webapp.models.money import cents
from webapp.models.timeline import EventKind
from webapp.services.covers import following, ledger, loading, recording
from webapp.services.covers.recording import CoverStateError
from webapp.services.dunning import days
from webapp.services.refunds import commands as refunds
from webapp.services.subscriptions import lifecycle
from webapp.transactions import transaction

DAYS = 14
NOTHING = Decimal("0.00")


class OwedBack(NamedTuple):
    """A charge, and what of it is owed back, with tax."""

    charge: Charge
    amount: Decimal


@dataclass(frozen=True)
class Renunciation:
    """What giving a cover up comes to. ``keeps_days``: a claim was covered, so that the days used are paid for."""

    until: date
    keeps_days: bool
    owed: list[OwedBack]

    @property
    def total(self) -> Decimal:
        """All that is owed back, with tax."""
        return sum((each.amount for each in self.owed), NOTHING)


def last_day(cover: Cover) -> date:
    """The last day on which the cover can be given up."""
    return cover.concluded_on + timedelta(days=DAYS)


def preview_renunciation(cover_id: UUID, *, at: datetime) -> Renunciation:
    """What giving the cover up today comes to; nothing is written. Raises NotFoundError, CoverStateError."""
    cover = loading.find_cover(cover_id)
    _check(cover, at=at)
    keeps_days = any(entry.covered > 0 for entry in ledger.list_entries(cover_id))
    return Renunciation(last_day(cover), keeps_days, _list_owed(cover, keeps_days=keeps_days, on=days.local(at)))


def renounce(cover_id: UUID, *, by: User, at: datetime) -> Cover:
    """End the cover and its subscription, now. Raises NotFoundError, CoverStateError, TransitionRefusedError."""
    with transaction():
        cover = loading.find_cover(cover_id)
        lifecycle.find_ours_for_update(cover.subscription_id)
        _check(loading.find_for_update(cover_id), at=at)
        lifecycle.cancel(cover.subscription_id, reason=following.RENOUNCED, by=by, at=at)
        cover = loading.find_for_update(cover_id)
        following.catch_up(cover, at=at)
        recording.tell(cover, EventKind.COVER_CHANGED, {"reason": [None, following.RENOUNCED]}, by=by, at=at)
    return loading.find_cover(cover_id)


def _check(cover: Cover, *, at: datetime) -> None:
    lifecycle.refuse_of_shop(cover.subscription)
    if cover.client.erased_at:
        raise CoverStateError(recording.ERASED)
    if cover.subscription.status.is_final:
        raise CoverStateError("Cette couverture est terminée.")
    until = last_day(cover)
    if days.local(at) > until:
        raise CoverStateError(f"On pouvait renoncer jusqu’au {french.day(until)}\u202f: résiliez l’abonnement.")
    if ledger.has_open_claim(cover.id):
        raise CoverStateError("Un sinistre est en cours\u202f: on renonce une fois son dossier clos ou annulé.")


def _list_owed(cover: Cover, *, keeps_days: bool, on: date) -> list[OwedBack]:
    statement = select(Charge).where(Charge.subscription_id == cover.subscription_id).order_by(Charge.due_on, Charge.id)
    owed = []
    for charge in db.session.scalars(statement):
        paid = refunds.find_refundable(charge).in_all
        amount = cents(paid * _unused(charge, on)) if keeps_days else paid
        if amount > 0:
            owed.append(OwedBack(charge, amount))
    return owed


def _unused(charge: Charge, on: date) -> Decimal:
    """Which part of the charge's period is still to come, today being used."""
    whole = (charge.period_end - charge.period_start).days
    left = (charge.period_end - max(charge.period_start, on + timedelta(days=1))).days
    return Decimal(max(left, 0)) / Decimal(whole) if whole > 0 else Decimal(0)
