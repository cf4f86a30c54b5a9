"""Whose revenue of covers moved, client by client: from what is booked of each month (``CoverRevenueMonth``).

A client of whom something waits to be booked is reckoned from the history, in the same statement: no figure is late.
What no month knows is told by the history too, for the clients who come into question: a plan or a trade, and a period
that begins or ends within a month.
"""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from dateutil.relativedelta import relativedelta
from sqlalchemy import ColumnElement, Select, Subquery, and_, column, false, func, literal, select, true, union_all

from webapp import clock, tenancy
from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.covers import Cover
from webapp.models.figures import CoverRevenueMonth, FigureWork
from webapp.models.subscriptions import SubscriptionHistory
from webapp.services.figures.cover_figures import CoverFiguresView
from webapp.services.figures.cover_scope import is_narrowed, which_promise
from webapp.services.figures.recurring import CHURN_PERIOD
from webapp.services.subscriptions import metrics

_TOLD = [each for each in CoverRevenueMonth.__table__.columns if each.name not in ("organisation_id", "id")]


def moved(view: CoverFiguresView) -> Subquery:
    """The clients whose revenue changed in the months of a view, as ``metrics.revenue_of_moved`` tells them."""
    return union_all(*(select(part) for part in moved_apart(view))).subquery("moved")


def moved_apart(view: CoverFiguresView) -> list[Subquery]:
    """The same clients in parts, of which the first is read in the order of an index: a page of it stops early.

    Most have one row in the months, which says everything; of the others, what rows say is added up.
    """
    months = _months()
    which, each = _within(view, months, since=view.first, end=view.end), months.c
    if is_narrowed(view):
        clients = select(each.client_id).where(*which).group_by(each.client_id)
        return [_from_history(view, clients, clock.start_of(view.first), clock.start_of(view.end))]
    is_first, is_last = each.previous_month < view.first, each.next_month >= view.end
    is_whole = each.is_alone & is_first & is_last
    start, end = each.yearly_before, each.yearly_after
    whole = select(each.client_id, start.label("start"), end.label("end"), each.came_before)
    added_up = select(
        each.client_id,
        func.sum(start).filter(is_first).label("start"),
        func.sum(end).filter(is_last).label("end"),
        func.bool_or(each.came_before).filter(is_first).label("came_before"),
    )
    added_up = added_up.group_by(each.client_id).having(func.bool_or(each.has_moved))
    return [
        whole.where(*which, is_whole).subquery("whole"),
        added_up.where(*which, ~is_whole).subquery("added_up"),
    ]


def left(view: CoverFiguresView, *, at: datetime) -> Subquery:
    """The clients whose revenue changed in the thirty days before the end, or before now, and is nothing then."""
    since, until = _churn_period(view, at)
    first = since.astimezone(clock.PARIS).date().replace(day=1)
    if is_narrowed(view):
        months = _months()
        which = _within(view, months, since=first, end=_month_after(until))
        clients = select(months.c.client_id).where(*which).group_by(months.c.client_id)
    else:
        levels = _levels(view, until, since=first)
        clients = select(levels.c.client_id).where(levels.c.level == 0)
    found = _from_history(view, clients, since, until)
    return select(found).where(found.c.end == 0).subquery("gone")


def count_active(view: CoverFiguresView, *, at: datetime) -> int:
    """How many clients brought something at the end, or bring something now."""
    levels = _levels(view, _churn_period(view, at)[1])
    return db.session.execute(select(func.count()).select_from(levels).where(levels.c.level > 0)).scalar_one()


def sum_history(view: CoverFiguresView, *, at: datetime) -> tuple[Decimal, int]:
    """What a year brought before the months of a view, and how many are active: of a plan or a trade, from everything
    that ever happened to the covers that promise it.
    """
    since, (_, until) = clock.start_of(view.first), _churn_period(view, at)
    start, level = (
        func.coalesce(func.sum(metrics.CHANGE).filter(SubscriptionHistory.at < each), 0).label(name)
        for name, each in (("start", since), ("level", until))
    )
    clients = _changes(view, start, level).group_by(Cover.client_id).subquery()
    active = func.count().filter(clients.c.level > 0)
    total, number = db.session.execute(select(func.coalesce(func.sum(clients.c.start), 0), active)).one()
    return total, number


def _levels(view: CoverFiguresView, until: datetime, *, since: date = date.min) -> Subquery:
    """What the clients who moved in a month from ``since`` on brought in a year just before an instant.

    That is what the latest row has, less what came later in the month: nothing, where the instant is now.
    """
    end, months = _month_after(until), _months()
    which = [*_within(view, months, since=since, end=end), months.c.next_month >= end]
    alone = select(months.c.client_id, months.c.yearly_after.label("level")).where(*which, months.c.is_alone)
    added_up = select(months.c.client_id, func.sum(months.c.yearly_after)).where(*which, ~months.c.is_alone)
    latest = union_all(alone, added_up.group_by(months.c.client_id)).subquery("latest")
    within = [SubscriptionHistory.at >= until, SubscriptionHistory.at < clock.start_of(end)]
    changes = _changes(view, Cover.client_id, func.sum(metrics.CHANGE).label("change")).where(*within)
    later = changes.group_by(Cover.client_id).subquery("later")
    level = latest.c.level - func.coalesce(later.c.change, 0)
    return (
        select(latest.c.client_id, level.label("level"))
        .outerjoin_from(latest, later, later.c.client_id == latest.c.client_id)
        .subquery("levels")
    )


def _churn_period(view: CoverFiguresView, at: datetime) -> tuple[datetime, datetime]:
    until = min(at, clock.start_of(view.end))
    return until - CHURN_PERIOD, until


def _month_after(until: datetime) -> date:
    """The first month that begins at an instant, or after it."""
    last = (until - timedelta(microseconds=1)).astimezone(clock.PARIS).date()
    return last.replace(day=1) + relativedelta(months=1)


def _months() -> Subquery:
    """What is booked of each client and month, and what is to be booked of the clients of whom something waits.

    The parts have no conditions of their own: so the database reads each in the order of its index, and stops early.
    """
    ours = tenancy.current_organisation_id()
    rows = func.cover_revenue_rows(ours, func.array(_waiting().scalar_subquery()))
    reckoned = rows.table_valued(*(column(each.name, each.type) for each in _TOLD), name="reckoned")
    known = CoverRevenueMonth.__table__.c
    return union_all(
        select(known.organisation_id, *_TOLD, false().label("is_reckoned")),
        select(literal(ours), *reckoned.c, true()),
    ).subquery("months")


def _waiting() -> Select[UUID]:
    """The clients with a cover of which something changed that is not booked."""
    ours = tenancy.current_organisation_id()
    return (
        select(Cover.client_id)
        .join(FigureWork, linked(Cover, FigureWork.cover_id))
        .where(FigureWork.organisation_id == ours, Cover.organisation_id == ours)
    )


def _within(view: CoverFiguresView, months: Subquery, *, since: date, end: date) -> list[ColumnElement[bool]]:
    """Which of these rows a view reads, of months from ``since`` on and before ``end``."""
    conditions = [
        months.c.organisation_id == tenancy.current_organisation_id(),
        months.c.is_reckoned | months.c.client_id.not_in(_waiting()),
        months.c.month >= since,
        months.c.month < end,
    ]
    if view.commercial_ids is not None:
        conditions.append(months.c.commercial_id.in_(view.commercial_ids))
    return conditions


def _from_history(view: CoverFiguresView, clients: Select[UUID], since: datetime, until: datetime) -> Subquery:
    """Those of some clients whose revenue of the covers of a view changed between two instants.

    They are looked up one by one in the order of the pages, so that a page stops at its last row.
    """
    chosen = clients.order_by(clients.selected_columns.client_id.desc()).subquery("chosen")
    before, within = SubscriptionHistory.at < since, SubscriptionHistory.at >= since
    change = func.sum(metrics.CHANGE)
    told = (
        _changes(
            view,
            func.coalesce(change.filter(before), 0).label("start"),
            change.label("end"),
            func.bool_or(and_(SubscriptionHistory.annual_after > 0, before)).label("came_before"),
        )
        .where(Cover.client_id == chosen.c.client_id, SubscriptionHistory.at < until)
        .having(func.bool_or(within))
        .lateral("told")
    )
    return select(chosen.c.client_id, told).join(told, true()).subquery("moved")


def _changes(view: CoverFiguresView, *columns: Any) -> Select[*tuple[Any, ...]]:
    """Every change of the revenue of the covers of a view."""
    return (
        select(*columns)
        .select_from(Cover)
        .join(
            SubscriptionHistory,
            and_(
                SubscriptionHistory.organisation_id == Cover.organisation_id,
                SubscriptionHistory.subscription_id == Cover.subscription_id,
            ),
        )
        .where(
            Cover.organisation_id == tenancy.current_organisation_id(),
            *metrics.EVERYTHING.conditions(),
            *which_promise(view),
        )
    )
