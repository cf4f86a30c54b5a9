"""Figures of recurring revenue. Amounts are before tax; a year's amount is exact, a month's is it / 12, rounded once.

What a client brings is followed, not what a subscription does: a second subscription is expansion, and a client has
left once nothing recurring is left. A pause takes the revenue away and a resume brings it back (churn, reactivation).
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from dateutil.relativedelta import relativedelta
from sqlalchemy import CTE, ColumnElement, Date, Row, and_, cast, func, or_, select

from webapp import clock, tenancy
from webapp.extensions import db
from webapp.models.charges import Charge, ChargeStatus
from webapp.models.clients import Client
from webapp.models.money import cents
from webapp.models.subscriptions import RECURRING, Subscription, SubscriptionHistory

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
class Scope:
    """Whose figures: those of ``currency``, of clients of ``commercial_ids`` only where they are given."""

    currency: str = "EUR"
    commercial_ids: Collection[UUID] | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """What a subscription must meet."""
        conditions = [
            Subscription.organisation_id == tenancy.current_organisation_id(),
            Subscription.currency == self.currency,
        ]
        if self.commercial_ids is not None:
            conditions.append(Subscription.client_id.in_(_clients_of(self.commercial_ids)))
        return conditions


EVERYTHING = Scope()

_MOVES = SubscriptionHistory.annual_before != SubscriptionHistory.annual_after
_CHANGE = SubscriptionHistory.annual_after - SubscriptionHistory.annual_before
_OF_SUBSCRIPTION = and_(
    SubscriptionHistory.organisation_id == Subscription.organisation_id,
    SubscriptionHistory.subscription_id == Subscription.id,
)


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


def monthly_revenue(scope: Scope = EVERYTHING) -> Decimal:
    """The monthly recurring revenue at present."""
    yearly = func.coalesce(func.sum(Subscription.annual_amount), 0)
    statement = select(yearly).where(*scope.conditions(), Subscription.status.in_(RECURRING))
    return cents(db.session.execute(statement).scalar_one() / 12)


def revenue_by_month(*, months: int, until: date, scope: Scope = EVERYTHING) -> dict[date, Decimal]:
    """The MRR at the end of each of so many months, by its first day; the last is the month of ``until``.

    That of the present month is as of the last change.
    """
    month = cast(func.date_trunc("month", func.timezone(clock.PARIS.key, SubscriptionHistory.at)), Date)
    last = until.replace(day=1)
    changes = db.session.execute(
        select(month.label("month"), func.sum(_CHANGE))
        .join(Subscription, _OF_SUBSCRIPTION)
        .where(*scope.conditions(), _MOVES, month <= last)
        .group_by(month)
        .order_by(month)
    ).all()
    shown = [last - relativedelta(months=each) for each in reversed(range(months))]
    return {each: cents(sum((change for month, change in changes if month <= each), Decimal(0)) / 12) for each in shown}


def movements(*, since: datetime, until: datetime, scope: Scope = EVERYTHING) -> Movements:
    """What moved the MRR from ``since`` on and before ``until``, client by client.

    Parts are rounded along their running sum, so that they always add up to the cent.
    """
    client = _revenue_of_clients(since, until, scope, only_moved=True)
    start, end = client.c.start, client.c.end
    parts = {
        "new": and_(start == 0, ~client.c.came_before),
        "expansion": and_(start > 0, end > start),
        "contraction": and_(end > 0, end < start),
        "churn": and_(start > 0, end == 0),
        "reactivation": and_(start == 0, client.c.came_before),
    }
    moved = (func.coalesce(func.sum(end - start).filter(part), 0).label(name) for name, part in parts.items())
    total = (
        select(func.coalesce(func.sum(_CHANGE), 0))
        .join(Subscription, _OF_SUBSCRIPTION)
        .where(*scope.conditions(), _MOVES, SubscriptionHistory.at < since)
        .scalar_subquery()
    )
    return _rounded(db.session.execute(select(total.label("start"), *moved)).one())


def _rounded(yearly: Row[*tuple[Any, ...]]) -> Movements:
    running, shown = yearly.start, {"start": cents(yearly.start / 12)}
    for name, part in yearly._mapping.items():
        if name != "start":
            shown[name] = abs(cents((running + part) / 12) - cents(running / 12))
            running += part
    return Movements(**shown, end=cents(running / 12))


class Churn(NamedTuple):
    """Clients who left, of ``everybody``: those active at the start of a period, and new ones since."""

    left: int
    everybody: int

    @property
    def rate(self) -> Decimal | None:
        """As a fraction; None over nobody."""
        return Decimal(self.left) / self.everybody if self.everybody else None


def churn(*, since: datetime, until: datetime, scope: Scope = EVERYTHING) -> Churn:
    """Who left from ``since`` on and before ``until``.

    A client is active while something recurring is paid for; one that came and left in between counts as both.
    """
    client = _revenue_of_clients(since, until, scope)
    here = or_(client.c.start > 0, client.c.came_within)
    found = select(func.count().filter(here, client.c.end == 0), func.count().filter(here)).select_from(client)
    return Churn(*db.session.execute(found).one())


def _revenue_of_clients(since: datetime, until: datetime, scope: Scope, *, only_moved: bool = False) -> CTE:
    """A year's revenue of each client at both ends of a period: the sum of all its changes before.

    ``came_before`` and ``came_within`` tell whether there was any revenue before, or within, the period.
    ``only_moved`` leaves out clients without a change within it, who are most.
    """
    before, within = SubscriptionHistory.at < since, SubscriptionHistory.at >= since
    brings = SubscriptionHistory.annual_after > 0
    change = func.sum(_CHANGE)
    changes = select(Subscription.client_id).join(SubscriptionHistory, _OF_SUBSCRIPTION)
    changes = changes.where(*scope.conditions(), _MOVES, SubscriptionHistory.at < until)
    statement = changes.add_columns(
        func.coalesce(change.filter(before), 0).label("start"),
        change.label("end"),
        func.bool_or(and_(brings, before)).label("came_before"),
        func.bool_or(and_(brings, within)).label("came_within"),
    ).group_by(Subscription.client_id)
    if only_moved:
        statement = statement.where(Subscription.client_id.in_(changes.where(within)))
    return statement.cte("client")


class Unpaid(NamedTuple):
    """What is ``unpaid`` of what was ``due``, both with tax."""

    unpaid: Decimal
    due: Decimal

    @property
    def rate(self) -> Decimal | None:
        """As a fraction; None where nothing was due."""
        return Decimal(self.unpaid) / self.due if self.due else None


def unpaid(*, since: date, until: date, scope: Scope = EVERYTHING) -> Unpaid:
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
