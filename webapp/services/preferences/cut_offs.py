"""The weekly cut-off of a company: a change before it holds for the cycle in preparation, after it for the next.

The cycle N in preparation is the one charged last, until the first cut-off after its due date; from then on it
is settled, and changes hold from the next one to be charged.
"""

from datetime import datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.organisations import Company
from webapp.models.preferences import CutOff
from webapp.models.subscriptions import Subscription, SubscriptionStatus
from webapp.services.subscriptions import scheduling
from webapp.services.subscriptions.fields import check_timezone
from webapp.transactions import transaction

WEEKDAYS = ("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche")


FINAL = frozenset(status for status in SubscriptionStatus if status.is_final)


class UsedCutOffError(DomainError):
    """Living subscriptions count on the cut-off."""


def find_cut_off(company_id: UUID) -> CutOff:
    """The company's cut-off; the default one (Monday 12:00, Europe/Paris) where none was set."""
    cut_off = db.session.scalar(select(CutOff).where(CutOff.company_id == company_id))
    return cut_off or _default(company_id)


def list_cut_offs() -> list[tuple[Company, CutOff]]:
    """Each company of the organisation with its cut-off, the default company first."""
    own = {cut_off.company_id: cut_off for cut_off in db.session.scalars(select(CutOff))}
    companies = db.session.scalars(select(Company).order_by(Company.is_default.desc(), Company.name))
    return [(company, own.get(company.id) or _default(company.id)) for company in companies]


def _default(company_id: UUID) -> CutOff:
    return CutOff(company_id=company_id, weekday=0, at=time(12), timezone="Europe/Paris", is_active=True)


def set_cut_off(company_id: UUID, *, weekday: int, at: time, timezone: str, is_active: bool) -> CutOff:
    """Set the company's cut-off. Raises NotFoundError; InvalidInputError, naming the field."""
    if not 0 <= weekday < len(WEEKDAYS):
        raise InvalidInputError("Choisissez un jour de la semaine.", field="weekday")
    check_timezone(timezone)
    with transaction():
        if db.session.scalar(select(Company.id).where(Company.id == company_id)) is None:
            raise NotFoundError("Cette société n’existe pas ou plus.")
        cut_off = find_cut_off(company_id)
        cut_off.weekday, cut_off.at, cut_off.timezone, cut_off.is_active = weekday, at, timezone, is_active
        db.session.add(cut_off)
        db.session.flush()
    return cut_off


def delete_cut_off(company_id: UUID) -> None:
    """Go back to the default one; not while living subscriptions count on the company's own.

    Raises NotFoundError where none was set, UsedCutOffError.
    """
    with transaction():
        cut_off = db.session.scalar(select(CutOff).where(CutOff.company_id == company_id).with_for_update())
        if cut_off is None:
            raise NotFoundError("Cette société n’a pas d’heure limite à elle.")
        living = select(func.count(Subscription.id)).where(
            Subscription.company_id == company_id, Subscription.status.not_in(FINAL)
        )
        number = db.session.execute(living).scalar_one()
        if number and cut_off.is_active:
            raise UsedCutOffError(
                f"Des abonnements en cours ({number}) dépendent de cette heure limite\u202f: changez-la, ou"
                " désactivez-la d’abord."
            )
        db.session.delete(cut_off)
        db.session.flush()


def list_own_cut_offs() -> set[UUID]:
    """The companies that have a cut-off of their own."""
    return set(db.session.scalars(select(CutOff.company_id)))


def next_cut_off(cut_off: CutOff, after: datetime) -> datetime:
    """The first cut-off at ``after`` or later (UTC)."""
    local = after.astimezone(ZoneInfo(cut_off.timezone)).date()
    day = local + timedelta(days=(cut_off.weekday - local.weekday()) % 7)
    instant = scheduling.instant_of(day, cut_off.at, cut_off.timezone)
    if instant >= after:
        return instant
    return scheduling.instant_of(day + timedelta(days=7), cut_off.at, cut_off.timezone)


def first_cycle_for_change(subscription: Subscription, cut_off: CutOff, *, at: datetime) -> int:
    """The cycle from which a change made at ``at`` holds."""
    prepared = subscription.cycle_no - 1
    if prepared < 0 or not cut_off.is_active:
        return subscription.cycle_no
    settled_at = next_cut_off(cut_off, scheduling.due_of(subscription, prepared).at)
    return prepared if at < settled_at else subscription.cycle_no
