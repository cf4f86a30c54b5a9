"""Figures of recurring revenue. Amounts are before tax; a year's amount is exact, a month's is it / 12, rounded once.

What a client brings is followed, not what a subscription does: a second subscription is expansion, and a client has
left once nothing recurring is left. A pause takes the revenue away and a resume brings it back (churn, reactivation).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import accumulate
from typing import Any, NamedTuple
from uuid import UUID

from dateutil.relativedelta import relativedelta
from sqlalchemy import CTE, ColumnElement, FromClause, Label, Select, and_, func, select
from sqlalchemy.dialects.postgresql import array

from webapp import clock, tenancy
from webapp.extensions import db
from webapp.models.charges import Charge, ChargeStatus
from webapp.models.clients import Client
from webapp.models.money import cents
from webapp.models.subscriptions import SubscriptionHistory

UNPAID = (
    ChargeStatus.SCHEDULED,
    ChargeStatus.RETRYING,
    ChargeStatus.AUTHENTICATING,
    ChargeStatus.UNKNOWN,
    ChargeStatus.FAILED,
    ChargeStatus.REVERSED,
)
NOT_OWED = (ChargeStatus.SKIPPED, ChargeStatus.CANCELED)


@dataclass(frozen=True)
class MetricsScope:
    """Whose figures: those of ``currency``, of clients of ``commercial_ids`` only where they are given.

    ``subscription_ids``, where it is given, gives those that count.
    """

    currency: str = "EUR"
    commercial_ids: Collection[UUID] | None = None
    subscription_ids: Select[UUID] | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """What a change of revenue must meet. Indexes hold all that is asked of one."""
        conditions = [
            SubscriptionHistory.organisation_id == tenancy.current_organisation_id(),
            SubscriptionHistory.currency == self.currency,
            SubscriptionHistory.annual_before != SubscriptionHistory.annual_after,
        ]
        if self.commercial_ids is not None:
            conditions.append(SubscriptionHistory.client_id.in_(_clients_of(self.commercial_ids)))
        if self.subscription_ids is not None:
            conditions.append(SubscriptionHistory.subscription_id.in_(self.subscription_ids))
        return conditions


EVERYTHING = MetricsScope()

CHANGE = SubscriptionHistory.annual_after - SubscriptionHistory.annual_before
"""By how much a change moves a year’s revenue."""


def _clients_of(commercial_ids: Collection[UUID]) -> Any:
    return select(Client.id).where(
        Client.organisation_id == tenancy.current_organisation_id(), Client.commercial_id.in_(commercial_ids)
    )


class Movements(NamedTuple):
    """What led from ``start`` to ``end``: start + new + expansion − contraction − churn + reactivation = end."""

    start: Decimal
    new: Decimal
    expansion: Decimal
    contraction: Decimal
    churn: Decimal
    reactivation: Decimal
    end: Decimal


def revenue_by_month(*, months: int, until: date, scope: MetricsScope = EVERYTHING) -> dict[date, Decimal]:
    """The MRR at the end of each of so many months, by its first day; the last is the month of ``until``.

    That of the present month is as of the last change.
    """
    first = until.replace(day=1) - relativedelta(months=months - 1)
    first_days = [first + relativedelta(months=number) for number in range(months)]
    *ends, last_end = (clock.start_of(month + relativedelta(months=1)) for month in first_days)
    bucket = func.width_bucket(SubscriptionHistory.at, array(ends, type_=SubscriptionHistory.at.type))
    rows = db.session.execute(
        select(bucket, func.sum(CHANGE)).where(*scope.conditions(), SubscriptionHistory.at < last_end).group_by(bucket)
    ).all()
    changes: dict[int, Decimal] = dict(rows)
    yearly = accumulate(changes.get(number, Decimal(0)) for number in range(months))
    return {month: cents(total / 12) for month, total in zip(first_days, yearly, strict=True)}


def movements(*, since: datetime, until: datetime, scope: MetricsScope = EVERYTHING) -> Movements:
    """What moved the MRR from ``since`` on and before ``until``, client by client."""
    start = select(func.coalesce(func.sum(CHANGE), 0)).where(*scope.conditions(), SubscriptionHistory.at < since)
    return by_month(add_up(revenue_of_moved(since, until, scope), start=start.scalar_subquery()))


def add_up(client: FromClause, *, start: ColumnElement[Decimal]) -> dict[str, Decimal]:
    """What a year brought at the ``start``, and by how much that changed in each movement."""
    return dict(db.session.execute(select(start.label("start"), *sums_of(client))).one()._mapping)


def sums_of(client: FromClause) -> list[Label[Decimal]]:
    """By how much a year’s revenue changed in each movement, of clients of ``revenue_of_moved``."""
    change = func.sum(client.c.end - client.c.start)
    return [func.coalesce(change.filter(part), 0).label(name) for name, part in parts_of(client).items()]


PARTS = ("new", "expansion", "contraction", "churn", "reactivation")
"""What moves revenue, in the order in which parts are rounded."""


def parts_of(client: FromClause) -> dict[str, ColumnElement[bool]]:
    """Which clients of ``revenue_of_moved`` are which movement."""
    start, end = client.c.start, client.c.end
    return {
        "new": and_(start == 0, ~client.c.came_before),
        "expansion": and_(start > 0, end > start),
        "contraction": and_(end > 0, end < start),
        "churn": and_(start > 0, end == 0),
        "reactivation": and_(start == 0, client.c.came_before),
    }


def by_month(yearly: Mapping[str, Decimal]) -> Movements:
    """The twelfth of each part, rounded along their running sum, so that they always add up to the cent."""
    running, amounts = yearly["start"], {"start": cents(yearly["start"] / 12)}
    for name, part in yearly.items():
        if name != "start":
            amounts[name] = abs(cents((running + part) / 12) - cents(running / 12))
            running += part
    return Movements(**amounts, end=cents(running / 12))


class Churn(NamedTuple):
    """Clients who left, of ``everybody``: those active at the start of a period, and new ones since."""

    left: int
    everybody: int

    @property
    def rate(self) -> Decimal | None:
        """As a fraction; None over nobody."""
        return Decimal(self.left) / self.everybody if self.everybody else None


def churn(*, since: datetime, until: datetime, scope: MetricsScope = EVERYTHING) -> Churn:
    """Who left from ``since`` on and before ``until``.

    A client is active while something recurring is paid for; one that came and left in between counts as both. Whose
    revenue changed and is nothing at the end has left: it was something before the change, or after it.
    """
    moved = revenue_of_moved(since, until, scope)
    active = (
        select(SubscriptionHistory.client_id)
        .where(*scope.conditions(), SubscriptionHistory.at < until)
        .group_by(SubscriptionHistory.client_id)
        .having(func.sum(CHANGE) > 0)
        .subquery()
    )
    left, stayed = db.session.execute(
        select(
            select(func.count()).select_from(moved).where(moved.c.end == 0).scalar_subquery(),
            select(func.count()).select_from(active).scalar_subquery(),
        )
    ).one()
    return Churn(left, left + stayed)


def revenue_of_moved(since: datetime, until: datetime, scope: MetricsScope) -> CTE:
    """A year's revenue at both ends of a period of each client with a change within it: the sum of all before.

    ``came_before`` tells whether there was any revenue before the period.
    """
    before, within = SubscriptionHistory.at < since, SubscriptionHistory.at >= since
    change = func.sum(CHANGE)
    changes = select(SubscriptionHistory.client_id).where(*scope.conditions(), SubscriptionHistory.at < until)
    return (
        changes.add_columns(
            func.coalesce(change.filter(before), 0).label("start"),
            change.label("end"),
            func.bool_or(and_(SubscriptionHistory.annual_after > 0, before)).label("came_before"),
        )
        .where(SubscriptionHistory.client_id.in_(changes.where(within)))
        .group_by(SubscriptionHistory.client_id)
        .cte("client")
    )


class Unpaid(NamedTuple):
    """What is ``unpaid`` of what was ``due``, both with tax."""

    unpaid: Decimal
    due: Decimal

    @property
    def rate(self) -> Decimal | None:
        """As a fraction; None where nothing was due."""
        return Decimal(self.unpaid) / self.due if self.due else None


def unpaid(*, since: date, until: date, scope: MetricsScope = EVERYTHING) -> Unpaid:
    """What is unpaid of the cycles due from ``since`` on and before ``until``.

    What the provider is still working on is due, and not unpaid yet.
    """
    conditions = [
        Charge.organisation_id == tenancy.current_organisation_id(),
        Charge.currency == scope.currency,
        Charge.due_on >= since,
        Charge.due_on < until,
        Charge.status.not_in(NOT_OWED),
    ]
    if scope.commercial_ids is not None:
        conditions.append(Charge.client_id.in_(_clients_of(scope.commercial_ids)))
    due, missing = db.session.execute(
        select(
            func.coalesce(func.sum(Charge.amount), 0),
            func.coalesce(func.sum(Charge.amount - Charge.waived).filter(Charge.status.in_(UNPAID)), 0),
        ).where(*conditions)
    ).one()
    return Unpaid(missing, due)
