"""The recurring revenue of covers: the reckoning of all subscriptions (``subscriptions.metrics``), narrowed to covers.

A plan or a trade narrows it to the covers that had it at the end of the period.
"""

from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import NamedTuple

from sqlalchemy import ColumnElement, ScalarSelect, func, select

from webapp import clock, keeping, tenancy
from webapp.extensions import db
from webapp.models.covers import Cover, CoverOption, CoverPeriod, CoverPlanOption, CoverPlanVersion
from webapp.models.figures import CoverRevenueTally
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
        metrics.movements(since=since, until=until, scope=scope, start=_yearly_before(view, view.first)),
        metrics.churn(since=left_since, until=left_until, scope=scope),
    )


def yearly_at_end(view: CoverFiguresView) -> Decimal:
    """What a year brings at the end of a view."""
    return Decimal(db.session.execute(select(_yearly_before(view, view.end))).scalar_one())


def _yearly_before(view: CoverFiguresView, month: date) -> ScalarSelect[Decimal]:
    """What a year brought before a month: from the tallies, which know commercials, but no plans and trades."""
    if view.plan_id is not None or view.trade is not None:
        return metrics.revenue_before(clock.start_of(month), scope_of(view))
    conditions = [
        CoverRevenueTally.organisation_id == tenancy.current_organisation_id(),
        CoverRevenueTally.month < month,
    ]
    if view.commercial_ids is not None:
        conditions.append(CoverRevenueTally.commercial_id.in_(view.commercial_ids))
    return select(func.coalesce(func.sum(CoverRevenueTally.amount), 0)).where(*conditions).scalar_subquery()


def instants_of(view: CoverFiguresView) -> tuple[datetime, datetime]:
    """When the months begin and end in Paris."""
    return clock.start_of(view.first), clock.start_of(view.end)


def churn_period(view: CoverFiguresView, *, at: datetime) -> tuple[datetime, datetime]:
    """The thirty days in which clients are counted who left."""
    until = min(at, clock.start_of(view.end))
    return until - CHURN_PERIOD, until


def scope_of(view: CoverFiguresView) -> metrics.MetricsScope:
    """The subscriptions of the covers that a view counts."""
    covers = select(Cover.subscription_id).where(
        Cover.organisation_id == tenancy.current_organisation_id(), *which_promise(view)
    )
    return metrics.MetricsScope(subscription_ids=covers)


def which_promise(view: CoverFiguresView) -> list[ColumnElement[bool]]:
    """What a cover must meet to be counted in a view; of a trade, it promised that on the last day."""
    conditions = conditions_of(view)
    if view.trade is not None:
        conditions.append(_has_version(view, CoverPlanVersion.trades.contains([view.trade.value])) | _has_option(view))
    return conditions


def conditions_of(view: CoverFiguresView) -> list[ColumnElement[bool]]:
    """What a cover must meet for its commercial and its plan on the last day to be those of a view."""
    conditions: list[ColumnElement[bool]] = []
    if view.commercial_ids is not None:
        conditions.append(Cover.commercial_id.in_(view.commercial_ids))
    if view.plan_id is not None:
        conditions.append(_has_version(view, CoverPlanVersion.plan_id == view.plan_id))
    return conditions


def _has_version(view: CoverFiguresView, which: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether a cover had such a version of a plan on the last day: looked up cover by cover, by key."""
    ours = tenancy.current_organisation_id()
    latest = (
        select(CoverPeriod.version_id)
        .where(
            CoverPeriod.organisation_id == ours,
            CoverPeriod.cover_id == Cover.id,
            CoverPeriod.since < view.end,
        )
        .order_by(CoverPeriod.since.desc())
        .limit(1)
        .correlate(Cover)
        .scalar_subquery()
    )
    return latest.in_(select(CoverPlanVersion.id).where(CoverPlanVersion.organisation_id == ours, which))


def _has_option(view: CoverFiguresView) -> ColumnElement[bool]:
    """Whether a cover had an option with the trade on the last day."""
    ours, trade = tenancy.current_organisation_id(), view.trade.value if view.trade else ""
    with_trade = select(CoverPlanOption.id).where(
        CoverPlanOption.organisation_id == ours, CoverPlanOption.trades.contains([trade])
    )
    return (
        select(CoverOption.id)
        .where(
            CoverOption.organisation_id == ours,
            CoverOption.cover_id == Cover.id,
            CoverOption.since < view.end,
            CoverOption.until.is_(None) | (CoverOption.until >= view.end),
            CoverOption.option_id.in_(with_trade),
        )
        .correlate(Cover)
        .exists()
    )
