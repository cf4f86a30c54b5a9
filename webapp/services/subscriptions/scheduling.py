"""When cycles fall due. Always computed from the anchor: chaining from the last date drifts after a short month."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta
from sqlalchemy import Select, exists, func, select

from webapp import tenancy
from webapp.extensions import db
from webapp.models.organisations import Organisation
from webapp.models.subscriptions import SCHEDULED, Frequency, Rhythm, Subscription

DAYS: dict[Rhythm, int] = {Frequency.WEEKLY: 7, Frequency.BIWEEKLY: 14}
MONTHS: dict[Rhythm, int] = {
    Frequency.MONTHLY: 1,
    Frequency.BIMONTHLY: 2,
    Frequency.QUARTERLY: 3,
    Frequency.ANNUAL: 12,
}


class CyclePeriod(NamedTuple):
    """The days that one cycle pays for; ``end`` is the first day of the next."""

    start: date
    end: date


class Due(NamedTuple):
    """A cycle, and when it falls due: the local date ``on``, the instant ``at`` (UTC)."""

    cycle: int
    on: date
    at: datetime


def due_date(anchor: date, frequency: Rhythm, cycle: int) -> date:
    """The local date of a cycle: anchor + cycle × period, clamped to the month's end (31 Jan → 28 Feb → 31 Mar)."""
    if days := DAYS.get(frequency):
        return anchor + timedelta(days=days * cycle)
    return anchor + relativedelta(months=MONTHS[frequency] * cycle)


def period_of(anchor: date, frequency: Rhythm, cycle: int) -> CyclePeriod:
    """What a cycle pays for."""
    return CyclePeriod(due_date(anchor, frequency, cycle), due_date(anchor, frequency, cycle + 1))


def instant_of(day: date, at: time, timezone: str) -> datetime:
    """The instant (UTC) of a local time. One that does not exist moves forward; of one that exists twice, the first.

    That is what fold=0 means in either case (PEP 495).
    """
    return datetime.combine(day, at, ZoneInfo(timezone)).replace(fold=0).astimezone(UTC)


def first_cycle_from(anchor: date, frequency: Rhythm, day: date) -> int:
    """The first cycle that does not fall due before ``day``; 0 where the anchor is still to come."""
    if days := DAYS.get(frequency):
        return max(0, -((anchor - day).days // days))
    months = (day.year - anchor.year) * 12 + day.month - anchor.month
    cycle = max(0, months // MONTHS[frequency])
    return cycle if due_date(anchor, frequency, cycle) >= day else cycle + 1


def local_date(at: datetime, timezone: str) -> date:
    """The date of an instant where the subscription lives."""
    return at.astimezone(ZoneInfo(timezone)).date()


def date_of(subscription: Subscription, cycle: int) -> date:
    """The local date of a cycle of the subscription."""
    return due_date(subscription.anchor_date, subscription.rhythm, cycle - (subscription.anchor_cycle or 0))


def cycle_from(subscription: Subscription, day: date) -> int:
    """The first cycle of the subscription's present rhythm that does not fall due before ``day``."""
    since_anchor = first_cycle_from(subscription.anchor_date, subscription.rhythm, day)
    return max(0, since_anchor + (subscription.anchor_cycle or 0))


def due_of(subscription: Subscription, cycle: int) -> Due:
    """When a cycle of the subscription falls due."""
    on = date_of(subscription, cycle)
    return Due(cycle, on, instant_of(on, subscription.charge_time, subscription.timezone))


def schedule(subscription: Subscription, cycle: int) -> None:
    """Make ``cycle`` the next one to charge; nothing falls due in a state without charges, nor past its end.

    Nor does anything of what a shop collects, whose rhythm may be none of ours.
    """
    subscription.cycle_no = cycle
    if subscription.is_of_shop:
        subscription.next_charge_on = subscription.next_charge_at = None
        return
    due = due_of(subscription, cycle)
    falls_due = subscription.status in SCHEDULED and is_within_life(subscription, due.on)
    subscription.next_charge_on = due.on if falls_due else None
    subscription.next_charge_at = due.at if falls_due else None


def advance(subscription: Subscription) -> None:
    """The present cycle is taken: the next one is up, at its own date however late this one was."""
    schedule(subscription, subscription.cycle_no + 1)


def skip_to(subscription: Subscription, day: date) -> range:
    """Go on with the first cycle not before ``day``; returns the cycles passed over, which are never charged."""
    cycle = max(subscription.cycle_no, cycle_from(subscription, day))
    skipped = range(subscription.cycle_no, cycle)
    schedule(subscription, cycle)
    return skipped


def end_of_paid_period(subscription: Subscription, today: date) -> date:
    """The first day after what is paid, or, where nothing is paid for today, after the cycle that today falls into."""
    paid_until = subscription.current_period_end
    if paid_until is not None and paid_until >= today:
        return paid_until
    return date_of(subscription, cycle_from(subscription, today + timedelta(days=1)))


def is_within_life(subscription: Subscription, day: date) -> bool:
    """Whether a cycle of that day still belongs to it."""
    if subscription.cancels_on is not None and day >= subscription.cancels_on:
        return False
    return subscription.ends_on is None or day <= subscription.ends_on


def is_due(subscription: Subscription, *, at: datetime) -> bool:
    """Whether its next cycle may be charged at ``at``."""
    return subscription.next_charge_at is not None and subscription.next_charge_at <= at


def due_statement(*, before: datetime, limit: int) -> Select[Subscription]:
    """The current organisation's subscriptions due at ``before`` or earlier, the longest due first.

    For the engine to lock (``with_for_update(skip_locked=True)``) or to narrow. Costs the same however many there are.
    """
    return (
        select(Subscription)
        .where(
            Subscription.organisation_id == tenancy.current_organisation_id(),
            Subscription.next_charge_at.is_not(None),
            Subscription.next_charge_at <= before,
        )
        .order_by(Subscription.next_charge_at, Subscription.id)
        .limit(limit)
    )


def list_due(*, before: datetime, limit: int = 1000) -> list[tuple[UUID, Due]]:
    """What is due in the current organisation at ``before`` or earlier, the longest due first."""
    columns = (Subscription.id, Subscription.cycle_no, Subscription.next_charge_on, Subscription.next_charge_at)
    rows: Sequence[Any] = db.session.execute(
        due_statement(before=before, limit=limit).with_only_columns(*columns)
    ).all()
    return [(row.id, Due(row.cycle_no, row.next_charge_on, row.next_charge_at)) for row in rows]


def count_due(*, before: datetime) -> int:
    """How many subscriptions of the current organisation are due at ``before`` or earlier."""
    return db.session.execute(
        select(func.count())
        .select_from(Subscription)
        .where(Subscription.organisation_id == tenancy.current_organisation_id(), Subscription.next_charge_at <= before)
    ).scalar_one()


def list_organisations_with_due(*, before: datetime) -> list[UUID]:
    """The organisations with something due at ``before`` or earlier: each is then worked for on its own."""
    has_due = exists().where(
        Subscription.organisation_id == Organisation.id,
        Subscription.next_charge_at.is_not(None),
        Subscription.next_charge_at <= before,
    )
    with tenancy.across_organisations():
        return list(db.session.scalars(select(Organisation.id).where(has_due).order_by(Organisation.id)))
