"""Recurring revenue in a scope, by the clients’ present commercials: what it is, what moved it, who left or owes.

All but the present is in the main currency.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import NamedTuple
from uuid import UUID

from webapp import clock, keeping
from webapp.services.contracts.counting import MAIN_CURRENCY
from webapp.services.contracts.selection import OfTeam
from webapp.services.figures.period import DAY, Period
from webapp.services.figures.scope import Scope
from webapp.services.subscriptions import metrics
from webapp.services.subscriptions.listing import (
    ANY_RECURRING,
    SubscriptionsView,
    SubscriptionTotals,
    count_subscriptions,
)
from webapp.services.subscriptions.metrics import Churn, Movements, Unpaid

CHURN_PERIOD = timedelta(days=30)
MONTHS = 12


@dataclass(frozen=True)
class RevenueNumber:
    """Subscriptions that bring something every month, and the view of them."""

    totals: SubscriptionTotals
    view: SubscriptionsView


class Course(NamedTuple):
    """How it came about: ``months`` as ``revenue_by_month``, ``churn`` over CHURN_PERIOD, the others of the period."""

    months: dict[date, Decimal]
    movements: Movements
    churn: Churn
    unpaid: Unpaid


@dataclass(frozen=True)
class Recurring:
    """``present``, by what a list can show at once, is of this instant; the ``course`` is as it was ``known_at``."""

    present: list[RevenueNumber]
    course: Course
    known_at: datetime


def find_recurring(scope: Scope, period: Period, *, at: datetime) -> Recurring:
    """The recurring revenue of ``scope`` in a period, as known at ``at``, in a fixed number of statements.

    The course of very many subscriptions takes long to tell, and is then kept for some minutes.
    """
    present = [RevenueNumber(count_subscriptions(view), view) for view in _views(scope)]
    whose = ["all"] if scope.is_all else sorted(map(str, scope.members))
    what = [period.since, period.until, *whose]
    course, known_at = keeping.keep("recurring", what, Course, partial(_tell, scope, period, at), at=at)
    return Recurring(present, course, known_at)


def _tell(scope: Scope, period: Period, at: datetime) -> Course:
    narrowed, after = _narrowed(scope), period.until + DAY
    return Course(
        months=revenue_by_month(scope, period, today=at.astimezone(clock.PARIS).date()),
        movements=metrics.movements(since=clock.start_of(period.since), until=clock.start_of(after), scope=narrowed),
        churn=metrics.churn(since=at - CHURN_PERIOD, until=at, scope=narrowed),
        unpaid=metrics.unpaid(since=period.since, until=after, scope=narrowed),
    )


def revenue_by_month(scope: Scope, period: Period, *, today: date) -> dict[date, Decimal]:
    """The MRR at the end of each of twelve months, by its first day; the last is that of the period, or the present."""
    return metrics.revenue_by_month(months=MONTHS, until=min(period.until, today), scope=_narrowed(scope))


def _narrowed(scope: Scope) -> metrics.MetricsScope:
    return metrics.MetricsScope(MAIN_CURRENCY, commercial_ids=None if scope.is_all else list(scope.members))


def _views(scope: Scope) -> Iterator[SubscriptionsView]:
    if scope.is_all:
        yield SubscriptionsView(status=ANY_RECURRING)
    for seller in scope.sellers:
        if isinstance(seller, OfTeam):
            yield SubscriptionsView(status=ANY_RECURRING, team=seller.id)
        elif isinstance(seller, UUID):
            yield SubscriptionsView(status=ANY_RECURRING, commercial=seller)
