"""The weekly cut-off of a company: when it is, and when the next ones are.

One that would fall on a public holiday comes on the last working day before it; only this module knows of that.
"""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from itertools import islice
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.organisations import Company
from webapp.models.preferences import CutOff
from webapp.models.subscriptions import Subscription, SubscriptionStatus
from webapp.services import public_holidays
from webapp.services.subscriptions import scheduling
from webapp.services.subscriptions.fields import check_timezone
from webapp.transactions import transaction

WEEKDAYS = ("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche")


FINAL = frozenset(status for status in SubscriptionStatus if status.is_final)


class UpcomingCutOff(NamedTuple):
    """A cut-off to come: the instant ``at`` (UTC) and the local day ``on``.

    Where ``planned``, its day of the week, is a public holiday (``holiday``), ``on`` comes before it.
    """

    at: datetime
    on: date
    planned: date
    holiday: str | None


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
    return CutOff(
        company_id=company_id,
        weekday=0,
        at=time(12),
        timezone="Europe/Paris",
        is_active=True,
        before_holidays=True,
        locks_itself=True,
    )


def set_cut_off(
    company_id: UUID,
    *,
    weekday: int,
    at: time,
    timezone: str,
    is_active: bool,
    before_holidays: bool = True,
    holiday_region: str | None = None,
    locks_itself: bool = True,
) -> CutOff:
    """Set the company's cut-off; see ``CutOff``. Raises NotFoundError; InvalidInputError, naming the field."""
    if not 0 <= weekday < len(WEEKDAYS):
        raise InvalidInputError("Choisissez un jour de la semaine.", field="weekday")
    check_timezone(timezone)
    if holiday_region is not None and holiday_region not in public_holidays.REGIONS:
        raise InvalidInputError("Choisissez une région de la liste.", field="holiday_region")
    with transaction():
        if db.session.scalar(select(Company.id).where(Company.id == company_id)) is None:
            raise NotFoundError("Cette société n’existe pas ou plus.")
        cut_off = find_cut_off(company_id)
        cut_off.weekday, cut_off.at, cut_off.timezone, cut_off.is_active = weekday, at, timezone, is_active
        cut_off.before_holidays, cut_off.holiday_region = before_holidays, holiday_region
        cut_off.locks_itself = locks_itself
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
    return next(_from(cut_off, after)).at


def list_next(cut_off: CutOff, after: datetime, *, number: int = 3) -> list[UpcomingCutOff]:
    """The next cut-offs, from ``after`` on."""
    return list(islice(_from(cut_off, after), number))


def _from(cut_off: CutOff, after: datetime) -> Iterator[UpcomingCutOff]:
    """The cut-offs at ``after`` or later. None comes a week early, so they never change places."""
    planned = after.astimezone(ZoneInfo(cut_off.timezone)).date()
    planned += timedelta(days=(cut_off.weekday - planned.weekday()) % 7)
    while True:
        upcoming = _on(cut_off, planned)
        if upcoming.at >= after:
            yield upcoming
        planned += timedelta(days=7)


def _on(cut_off: CutOff, planned: date) -> UpcomingCutOff:
    region = cut_off.holiday_region
    holiday = public_holidays.name_of(planned, region) if cut_off.before_holidays else None
    on = public_holidays.last_working_day_before(planned, region) if holiday else planned
    return UpcomingCutOff(scheduling.instant_of(on, cut_off.at, cut_off.timezone), on, planned, holiday)
