"""The recurring revenue of covers: what it is, what moved it and who left, as of all subscriptions (``metrics``).

A plan or a trade narrows it to the covers that had it at the end of the period.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import NamedTuple

from sqlalchemy import func, select

from webapp import keeping, tenancy
from webapp.extensions import db
from webapp.models.figures import CoverRevenueMonth, FigureWork
from webapp.services.figures import cover_moves
from webapp.services.figures.cover_figures import CoverFiguresView
from webapp.services.subscriptions import metrics
from webapp.services.subscriptions.metrics import Churn, Movements


class CoverRevenue(NamedTuple):
    """What moved the revenue in the months of a view, and who left in the thirty days before their end, or before now.

    ``yearly`` is what a year brought at the ``start``, and each movement of it; ``left`` is by how much it changed of
    those who left.
    """

    yearly: dict[str, Decimal]
    churn: Churn
    left: Decimal

    @property
    def movements(self) -> Movements:
        """By month, rounded."""
        return metrics.by_month(self.yearly)

    @property
    def yearly_at_end(self) -> Decimal:
        """What a year brings in the end."""
        return sum(self.yearly.values(), Decimal(0))


def find_revenue(view: CoverFiguresView, *, at: datetime) -> tuple[CoverRevenue, datetime]:
    """The revenue of a view, and since when that is known: it is kept for some minutes where it took long, but not once
    something changed of which it is the sum, so that a number is that of its rows.
    """
    whose = ["all"] if view.commercial_ids is None else sorted(map(str, view.commercial_ids))
    what = [view.first, view.last, view.plan_id, view.trade, *_latest(), *whose]
    return keeping.keep("cover-revenue", what, CoverRevenue, partial(reckon, view, at), at=at)


def _latest() -> Sequence[int | None]:
    """What changed last, waiting to be booked and booked: both stand as long as nothing changes."""
    ours = tenancy.current_organisation_id()
    parts = (
        select(func.max(table.id)).where(table.organisation_id == ours).scalar_subquery()
        for table in (FigureWork, CoverRevenueMonth)
    )
    return db.session.execute(select(*parts)).one()


def reckon(view: CoverFiguresView, at: datetime) -> CoverRevenue:
    """The revenue of a view, as it is now."""
    told = cover_moves.sum_up(view, at=at)
    left = cover_moves.left(view, at=at).c
    change = func.coalesce(func.sum(left.end - left.start), 0)
    gone, lost = db.session.execute(select(func.count(), change)).one()
    moved = {name: told[name] for name in metrics.PARTS}
    yearly = {"start": told["level"] - sum(moved.values())} | moved
    return CoverRevenue(yearly, Churn(gone, gone + int(told["active"])), lost)


def yearly_at_end(view: CoverFiguresView, *, at: datetime) -> Decimal:
    """What a year brings at the end of a view, as it is now."""
    return cover_moves.sum_up(view, at=at)["level"]
