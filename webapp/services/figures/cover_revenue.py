"""The recurring revenue of covers: the reckoning of all subscriptions (``subscriptions.metrics``), narrowed to covers.

A plan or a trade narrows it to the covers that had it at the end of the period.
"""

from datetime import datetime
from functools import partial
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.dialects.postgresql import distinct_on

from webapp import clock, keeping, tenancy
from webapp.models.base import linked
from webapp.models.covers import Cover, CoverOption, CoverPeriod, CoverPlanOption, CoverPlanVersion, Trade
from webapp.services.figures.cover_figures import CoverFiguresView
from webapp.services.figures.recurring import CHURN_PERIOD
from webapp.services.subscriptions import metrics
from webapp.services.subscriptions.metrics import Churn, Movements


class CoverRevenue(NamedTuple):
    """What moved the MRR in the months of a view, and who left in the thirty days before their end, or before now."""

    movements: Movements
    churn: Churn


def find_revenue(view: CoverFiguresView, *, at: datetime) -> tuple[CoverRevenue, datetime]:
    """The revenue of a view, and since when that is known: it is kept for some minutes where it took long."""
    whose = ["all"] if view.commercial_ids is None else sorted(map(str, view.commercial_ids))
    what = [view.first, view.last, view.plan_id, view.trade, *whose]
    return keeping.keep("cover-revenue", what, CoverRevenue, partial(reckon, view, at), at=at)


def reckon(view: CoverFiguresView, at: datetime) -> CoverRevenue:
    """The revenue of a view, as it is now."""
    since, until = instants_of(view)
    left_since, left_until = churn_period(view, at=at)
    scope = scope_of(view)
    return CoverRevenue(
        metrics.movements(since=since, until=until, scope=scope),
        metrics.churn(since=left_since, until=left_until, scope=scope),
    )


def instants_of(view: CoverFiguresView) -> tuple[datetime, datetime]:
    """When the months begin and end in Paris."""
    return clock.start_of(view.first), clock.start_of(view.end)


def churn_period(view: CoverFiguresView, *, at: datetime) -> tuple[datetime, datetime]:
    """The thirty days in which clients are counted who left."""
    until = min(at, clock.start_of(view.end))
    return until - CHURN_PERIOD, until


def scope_of(view: CoverFiguresView) -> metrics.MetricsScope:
    """The subscriptions of the covers that a view counts."""
    conditions = conditions_of(view)
    if view.trade is not None:
        conditions.append(Cover.id.in_(_with_trade(view, view.trade)))
    covers = select(Cover.subscription_id).where(
        Cover.organisation_id == tenancy.current_organisation_id(), *conditions
    )
    return metrics.MetricsScope(subscription_ids=covers)


def conditions_of(view: CoverFiguresView) -> list[ColumnElement[bool]]:
    """What a cover must meet for its commercial and its plan on the last day to be those of a view."""
    conditions: list[ColumnElement[bool]] = []
    if view.commercial_ids is not None:
        conditions.append(Cover.commercial_id.in_(view.commercial_ids))
    if view.plan_id is not None:
        conditions.append(Cover.id.in_(_versions(view).where(CoverPlanVersion.plan_id == view.plan_id)))
    return conditions


def _versions(view: CoverFiguresView) -> Select[UUID]:
    """Covers with the version that each had on the last day."""
    ours = tenancy.current_organisation_id()
    latest = (
        select(CoverPeriod.cover_id, CoverPeriod.version_id)
        .ext(distinct_on(CoverPeriod.cover_id))
        .where(CoverPeriod.organisation_id == ours, CoverPeriod.since < view.end)
        .order_by(CoverPeriod.cover_id, CoverPeriod.since.desc())
        .subquery()
    )
    return (
        select(latest.c.cover_id)
        .join(CoverPlanVersion, CoverPlanVersion.id == latest.c.version_id)
        .where(CoverPlanVersion.organisation_id == ours)
    )


def _with_trade(view: CoverFiguresView, trade: Trade) -> Select[UUID]:
    """The covers that promised the trade on the last day, by plan or by option."""
    by_option = (
        select(CoverOption.cover_id)
        .join(CoverPlanOption, linked(CoverPlanOption, CoverOption.option_id))
        .where(
            CoverOption.organisation_id == tenancy.current_organisation_id(),
            CoverOption.since < view.end,
            CoverOption.until.is_(None) | (CoverOption.until >= view.end),
            CoverPlanOption.trades.contains([trade.value]),
        )
    )
    by_plan = _versions(view).where(CoverPlanVersion.trades.contains([trade.value]))
    return select(by_plan.union(by_option).subquery().c.cover_id)
