"""Whose revenue of covers moved, client by client: from what is booked of each cover and month (``CoverRevenueMonth``).
What all clients come to, from the tallies of these rows (``CoverMovementTally``).

A client of whom something waits to be booked is reckoned from the history, in the same statement: no figure is late.
A plan or a trade narrows the rows to covers whose latest row before the end has it. A period that begins or ends within
a month is told by the history, for the clients who come into question.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CTE,
    ColumnElement,
    CompoundSelect,
    Select,
    Subquery,
    and_,
    column,
    false,
    func,
    literal,
    select,
    true,
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
    months, later = _months(), _later(view, at)
    moves, ends = _untold_moves(view, months), _untold_ends(view, months, later)
    of_month = select(moves.c.yearly_before.label("start"), moves.c.yearly_after.label("end"), moves.c.came_before)
    of_month = of_month.where(~moves.c.is_reckoned, moves.c.is_alone, moves.c.has_moved, *_promise(view, moves.c))
    of_end = select(ends.c.yearly_after.label("end"), ends.c.yearly_after.label("level"))
    of_end = of_end.where(~ends.c.is_reckoned, ends.c.is_alone)
    parts = [
        _sum_tallies(view),
        _sum_movements(of_month.subquery("of_month"), -1),
        _sum_movements(_add_up(view, moves.c, [~moves.c.is_stale]).subquery("moved"), 1),
        _sum_levels(of_end.subquery("of_end"), -1),
        _sum_levels(_level_of(ends.c, [~ends.c.is_stale], later).subquery("levels"), 1),
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


def _untold_moves(view: CoverFiguresView, months: Subquery) -> CTE:
    """The rows in the months of a view of clients whose movement no tally tells: they have several covers, are to be
    booked, or moved in several of these months.
    """
    each, row = months.c, CoverRevenueMonth.__table__.c
    again = select(row.client_id).where(
        row.organisation_id == tenancy.current_organisation_id(), row.previous_month >= view.first, row.month < view.end
    )
    rows = select(months, _is_stale(each).label("is_stale")).where(*_of_view(view, each), each.month >= view.first)
    return _look_at(rows, each, each.client_id.in_(_waiting()), each.client_id.in_(again)).cte("moves")


def _untold_ends(view: CoverFiguresView, months: Subquery, later: Subquery) -> CTE:
    """The latest rows before the end of clients who bring something by no tally: they have several covers, are to be
    booked, or something came after now.
    """
    each = months.c
    which = [*_of_view(view, each), each.next_month >= view.end, *_promise(view, each)]
    rows = select(months, _is_stale(each).label("is_stale")).where(*which)
    comes_later = each.client_id.in_(select(later.c.client_id))
    return _look_at(rows, each, each.client_id.in_(_waiting()), comes_later).cte("ends")


def _look_at(
    rows: Select[*tuple[Any, ...]], row: Any, waits: ColumnElement[bool], is_one: ColumnElement[bool]
) -> CompoundSelect[*tuple[Any, ...]]:
    """Those of some rows that are of clients with several covers, or reckoned, then of clients of whom something waits,
    then of the others who are one of those asked for: apart, so that an index finds each.
    """
    is_alone = ~row.is_reckoned & row.is_alone
    return union_all(*(rows.where(part) for part in (~is_alone, is_alone & waits, is_alone & ~waits & is_one)))


def moved(view: CoverFiguresView) -> Subquery:
    """The clients whose revenue changed in the months of a view, as ``metrics.revenue_of_moved`` tells them."""
    return union_all(*(select(part) for part in moved_apart(view))).subquery("moved")


def moved_apart(view: CoverFiguresView) -> list[Subquery]:
    """The same clients in parts, of which the first is read in the order of an index: a page of it stops early.

    Most have one row in the months, which says everything; of the others, what rows say is added up.
    """
    row, moves = CoverRevenueMonth.__table__.c, _untold_moves(view, _months())
    whole = select(row.client_id, row.yearly_before.label("start"), row.yearly_after.label("end"), row.came_before)
    whole = whole.where(*_of_view(view, row), row.month >= view.first, _is_only(view, row), row.has_moved)
    whole = whole.where(row.client_id.not_in(_waiting()), *_promise(view, row))
    return [whole.subquery("whole"), _add_up(view, moves.c, [~moves.c.is_stale]).subquery("added_up")]


def _add_up(view: CoverFiguresView, row: Any, which: Sequence[ColumnElement[bool]]) -> Select[*tuple[Any, ...]]:
    """Clients whose revenue changed, from all that rows tell of the months of a view."""
    is_first, is_last = row.previous_month < view.first, row.next_month >= view.end
    if promise := _promise(view, row):
        promising = select(row.cover_id).where(*which, is_last, *promise).correlate(None)
        which = [*which, row.cover_id.in_(promising)]
    return (
        select(
            row.client_id,
            func.sum(row.yearly_before).filter(is_first).label("start"),
            func.sum(row.yearly_after).filter(is_last).label("end"),
            func.bool_or(row.came_before).filter(is_first).label("came_before"),
        )
        .where(*which)
        .group_by(row.client_id)
        .having(func.bool_or(row.has_moved))
    )


def left(view: CoverFiguresView, *, at: datetime) -> Subquery:
    """The clients whose revenue changed in the thirty days before the end, or before now, and is nothing then."""
    until = min(at, clock.start_of(view.end))
    since = until - CHURN_PERIOD
    each, later = _months().c, _later(view, at)
    month = since.astimezone(clock.PARIS).date().replace(day=1)
    which = [*_of_view(view, each), ~_is_stale(each), each.month >= month, each.next_month >= view.end]
    which += _promise(view, each)
    is_settled = each.is_alone & each.client_id.not_in(select(later.c.client_id))
    settled = select(each.client_id).where(*which, is_settled, each.yearly_after == 0)
    told = _level_of(each, [*which, ~is_settled], later).subquery("told")
    without = union_all(settled, select(told.c.client_id).where(told.c.level == 0)).subquery("without")
    clients = select(without.c.client_id)
    found = _from_history(view, clients, since, until)
    return select(found).where(found.c.end == 0).subquery("gone")


def _level_of(row: Any, which: Sequence[ColumnElement[bool]], later: Subquery) -> Select[*tuple[Any, ...]]:
    """What clients bring in a year at the ``end``, by their latest rows, and by now (``level``)."""
    ends = select(row.client_id, func.sum(row.yearly_after).label("end")).where(*which).group_by(row.client_id)
    latest = ends.subquery("latest")
    level = (latest.c.end - func.coalesce(later.c.change, 0)).label("level")
    joined = select(latest.c.client_id, latest.c.end, level)
    return joined.outerjoin_from(latest, later, later.c.client_id == latest.c.client_id)


def _later(view: CoverFiguresView, at: datetime) -> Subquery:
    """By how much the revenue of clients changed from an instant on, before the end: nothing, from now on."""
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


def _is_stale(row: Any) -> Any:
    """Whether something changed since a row was booked."""
    return ~row.is_reckoned & row.client_id.in_(_waiting())


def _is_only(view: CoverFiguresView, row: Any) -> Any:
    """Whether a row tells all of its client in the months of a view."""
    return row.is_alone & (row.previous_month < view.first) & (row.next_month >= view.end)


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
