"""Whose revenue of covers moved, client by client: from what is booked of each cover and month (``CoverRevenueMonth``).
What all clients come to, from the tallies of these rows (``CoverMovementTally``).

A client of whom something waits to be booked is reckoned from the history, in the same statement: no figure is late.
A plan or a trade narrows the rows to covers whose latest row before the end has it. A period that begins or ends within
a month is told by the history, for the clients who come into question.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CTE,
    ColumnElement,
    Select,
    Subquery,
    and_,
    column,
    false,
    func,
    literal,
    select,
    true,
    union,
    union_all,
)

from webapp import clock, tenancy
from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.covers import Cover
from webapp.models.figures import CoverMovementTally, CoverRevenueMonth, FigureWork
from webapp.models.subscriptions import SubscriptionHistory
from webapp.services.figures.cover_figures import CoverFiguresView
from webapp.services.figures.cover_scope import which_promise
from webapp.services.figures.recurring import CHURN_PERIOD
from webapp.services.subscriptions import metrics

_TOLD = [each for each in CoverRevenueMonth.__table__.columns if each.name not in ("organisation_id", "id")]
_SUMS = ("active", "level", *metrics.PARTS)


def sum_up(view: CoverFiguresView, *, at: datetime) -> dict[str, Decimal]:
    """What a year brings at the end (``level``), how many clients are ``active`` then, or now, and each movement.

    That is what the tallies hold, but for some clients: what the tallies have of these is taken off, and what their
    rows tell is added.
    """
    some, row = _misjudged(view, at), CoverRevenueMonth.__table__.c
    tallied = [*_of_view(view, row), *_promise(view, row), row.is_alone, row.client_id.in_(select(some.c.client_id))]
    in_months = select(row.yearly_before.label("start"), row.yearly_after.label("end"), row.came_before)
    in_months = in_months.where(*tallied, row.has_moved, row.month >= view.first)
    at_end = select(row.yearly_after.label("end"), row.yearly_after.label("level"))
    at_end = at_end.where(*tallied, row.next_month >= view.end)
    months = _months()
    parts = [
        _sum_tallies(view),
        _sum_movements(in_months.subquery("in_months"), -1),
        _sum_levels(at_end.subquery("at_end"), -1),
        _sum_movements(moved(view, months, among=some), 1),
        _sum_levels(levels(view, months, at=at, among=some), 1),
    ]
    told = union_all(*parts).subquery("told")
    return dict(db.session.execute(select(*(func.sum(told.c[name]).label(name) for name in _SUMS))).one()._mapping)


def _sum_tallies(view: CoverFiguresView) -> Select[*tuple[Any, ...]]:
    tally = CoverMovementTally.__table__.c
    at_end = (func.sum(tally[name]) for name in ("active", "level"))
    in_months = (func.sum(tally[name]).filter(tally.month >= view.first) for name in metrics.PARTS)
    sums = zip(_SUMS, (*at_end, *in_months), strict=True)
    return select(*(func.coalesce(each, 0).label(name) for name, each in sums)).where(
        *_of_view(view, tally), *_promise(view, tally)
    )


def _sum_movements(clients: Subquery, sign: int) -> Select[*tuple[Any, ...]]:
    return select(literal(0), literal(0), *(sign * each for each in metrics.sums_of(clients)))


def _sum_levels(clients: Subquery, sign: int) -> Select[*tuple[Any, ...]]:
    active, level = func.count().filter(clients.c.level > 0), func.coalesce(func.sum(clients.c.end), 0)
    return select(sign * active, sign * level, *(literal(0) for _ in metrics.PARTS))


def _misjudged(view: CoverFiguresView, at: datetime) -> CTE:
    """The clients whom the tallies may not tell as they are: those with several covers, who moved in several months of
    the period, of whom something is to be booked, or came after now.
    """
    row, later = CoverRevenueMonth.__table__.c, _later(view, at)
    ours = row.organisation_id == tenancy.current_organisation_id()
    return union(
        select(row.client_id).where(ours, ~row.is_alone),
        select(row.client_id).where(ours, row.previous_month >= view.first, row.month < view.end),
        _waiting(),
        select(later.c.client_id),
    ).cte("misjudged")


def moved(view: CoverFiguresView, months: Subquery | None = None, *, among: CTE | None = None) -> Subquery:
    """The clients whose revenue changed in the months of a view, as ``metrics.revenue_of_moved`` tells them."""
    return union_all(*(select(part) for part in moved_apart(view, months, among=among))).subquery("moved")


def moved_apart(view: CoverFiguresView, months: Subquery | None = None, *, among: CTE | None = None) -> list[Subquery]:
    """The same clients in parts, of which the first is read in the order of an index: a page of it stops early.

    Most have one row in the months, which says everything; of the others, what rows say is added up.
    """
    months = _months() if months is None else months
    each = months.c
    which = [*_within(view, months, among), each.month >= view.first]
    is_first, is_last = each.previous_month < view.first, each.next_month >= view.end
    is_only = each.is_alone & is_first & is_last
    start, end = each.yearly_before, each.yearly_after
    whole = select(each.client_id, start.label("start"), end.label("end"), each.came_before)
    added_up = select(
        each.client_id,
        func.sum(start).filter(is_first).label("start"),
        func.sum(end).filter(is_last).label("end"),
        func.bool_or(each.came_before).filter(is_first).label("came_before"),
    )
    added_up = added_up.group_by(each.client_id).having(func.bool_or(each.has_moved))
    if promise := _promise(view, each):
        promising = select(each.cover_id).where(*which, is_last, *promise)
        added_up = added_up.where(each.cover_id.in_(promising.correlate(None)))
    return [
        whole.where(*which, is_only, each.has_moved, *promise).subquery("whole"),
        added_up.where(*which, ~is_only).subquery("added_up"),
    ]


def left(view: CoverFiguresView, *, at: datetime) -> Subquery:
    """The clients whose revenue changed in the thirty days before the end, or before now, and is nothing then."""
    until = min(at, clock.start_of(view.end))
    since = until - CHURN_PERIOD
    told = levels(view, _months(), at=at, since=since.astimezone(clock.PARIS).date().replace(day=1))
    clients = select(told.c.client_id).where(told.c.level == 0)
    found = _from_history(view, clients, since, until)
    return select(found).where(found.c.end == 0).subquery("gone")


def levels(
    view: CoverFiguresView, months: Subquery, *, at: datetime, since: date = date.min, among: CTE | None = None
) -> Subquery:
    """What the clients who moved in a month from ``since`` on bring in a year at the ``end``, and by now (``level``).

    That is what the latest row has; by now, less what came later: nothing, unless the view ended before.
    """
    each = months.c
    which = [*_within(view, months, among), each.month >= since, each.next_month >= view.end, *_promise(view, each)]
    later = _later(view, at)
    is_settled = each.is_alone & each.client_id.not_in(select(later.c.client_id))
    end = each.yearly_after
    settled = select(each.client_id, end.label("end"), end.label("level")).where(*which, is_settled)
    added_up = select(each.client_id, func.sum(end).label("end")).where(*which, ~is_settled)
    latest = added_up.group_by(each.client_id).subquery("latest")
    level = latest.c.end - func.coalesce(later.c.change, 0)
    corrected = select(latest.c.client_id, latest.c.end, level)
    corrected = corrected.outerjoin_from(latest, later, later.c.client_id == latest.c.client_id)
    return union_all(settled, corrected).subquery("levels")


def _later(view: CoverFiguresView, at: datetime) -> Subquery:
    """By how much the revenue of clients changed from an instant on, before the end."""
    within = [SubscriptionHistory.at >= at, SubscriptionHistory.at < clock.start_of(view.end)]
    changes = _changes(view, Cover.client_id, func.sum(metrics.CHANGE).label("change"))
    return changes.where(*within).group_by(Cover.client_id).subquery("later")


def _months() -> Subquery:
    """What is booked of each client and month, and what is to be booked of the clients of whom something waits.

    The parts have no conditions of their own: so the database reads each in the order of its index, and stops early.
    """
    ours = tenancy.current_organisation_id()
    rows = func.cover_revenue_rows(ours, func.array(_waiting().scalar_subquery()))
    told = rows.table_valued(*(column(each.name, each.type) for each in _TOLD), name="told")
    reckoned = select(*told.c).cte("reckoned")
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


def _within(view: CoverFiguresView, months: Subquery, among: CTE | None) -> list[ColumnElement[bool]]:
    """Which of these rows a view reads, of months before its end; of some clients where these are given."""
    each = months.c
    conditions = [*_of_view(view, each), each.is_reckoned | each.client_id.not_in(_waiting())]
    return conditions if among is None else [*conditions, each.client_id.in_(select(among.c.client_id))]


def _of_view(view: CoverFiguresView, row: Any) -> list[ColumnElement[bool]]:
    """Which rows, or tallies, are of months before the end, and of the commercials of a view."""
    conditions = [row.organisation_id == tenancy.current_organisation_id(), row.month < view.end]
    if view.commercial_ids is not None:
        conditions.append(row.commercial_id.in_(view.commercial_ids))
    return conditions


def _promise(view: CoverFiguresView, row: Any) -> list[ColumnElement[bool]]:
    """What the latest row of a cover before the end must tell for its promise to be that of a view."""
    conditions: list[ColumnElement[bool]] = []
    if view.plan_id is not None:
        conditions.append(row.plan_id == view.plan_id)
    if view.trade is not None:
        conditions.append(row.trades.contains([view.trade.value]))
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
