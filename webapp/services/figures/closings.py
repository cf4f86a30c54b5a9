"""Months of cover figures are closed by an admin, one after the other, and never opened again.

What is closed was told to a board, and reckoned with: a month that could be opened would leave two truths about it. A
correction is an entry of the first open month, which says of which day it is. The database refuses an entry in a closed
month, and any change of one; who books and who closes wait for each other (``figure_open_month``).
"""

from datetime import date, datetime
from typing import Any

from dateutil.relativedelta import relativedelta
from sqlalchemy import func, select, text

from webapp import clock, french
from webapp.errors import DomainError, NotFoundError
from webapp.extensions import db
from webapp.models.figures import FigureClosing, FigureEntry
from webapp.models.identity import User
from webapp.services.figures import in_force
from webapp.services.figures.cover_figures import CoverFigures, CoverFiguresView, count_figures
from webapp.services.figures.cover_revenue import CoverRevenue, reckon
from webapp.services.figures.cover_satisfaction import Satisfaction, count_answers
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction

_FINGERPRINT = text(
    """
    SELECT count(*), encode(sha256(coalesce(string_agg(sha256(convert_to(concat_ws('|', id, day, kind, amount, cover_id,
      claim_id, charge_id, invoice_id, source_id, plan_id, trades, commercial_id, reason), 'UTF8')), '' ORDER BY id),
      '')), 'hex')
    FROM figure_entries WHERE organisation_id = :organisation_id AND month = :month
    """
)


TOLD = (
    *("days", "in_force", "cover_days", "earned", "paid", "reserve", "recovered", "cost", "accepted", "receivables"),
    "invoiced",
)


class ClosingError(DomainError):
    """This month cannot be closed."""


def list_closings() -> list[FigureClosing]:
    """The months that are closed, the latest first."""
    return list(db.session.scalars(select(FigureClosing).order_by(FigureClosing.month.desc())))


def find_closing(month: date) -> FigureClosing:
    """A month that is closed. Raises NotFoundError."""
    closing = db.session.scalar(select(FigureClosing).where(FigureClosing.month == month))
    if closing is None:
        raise NotFoundError("Ce mois n’est pas clôturé.")
    return closing


def last_closed() -> date | None:
    """The last month that is closed, by its first day."""
    return db.session.scalar(select(func.max(FigureClosing.month)))


def next_to_close(*, today: date) -> date | None:
    """The month that can be closed now: the first open one, once it is over; None where there is none."""
    last = last_closed()
    month = last + relativedelta(months=1) if last else db.session.scalar(select(func.min(FigureEntry.month)))
    return month if month and month + relativedelta(months=1) <= today else None


def close_month(month: date, *, by: User, at: datetime) -> FigureClosing:
    """Close a month: what concerns it later is booked in the first open one.

    One transaction: killed anywhere, the month is open, or closed whole. Raises ClosingError where it is closed, not
    over, or not the next one.
    """
    name = f"figures|{current_organisation_id()}"
    with transaction():
        in_force.take_turn()  # before the other lock, as whoever books
        db.session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))
        _check_next(month, at=at)
        while in_force.book_lot() is not None:
            pass
        entries, fingerprint = _read_fingerprint(month)
        view = CoverFiguresView(first=month, last=month)
        closing = FigureClosing(
            month=month,
            closed_at=at,
            closed_by_id=by.id,
            entries=entries,
            fingerprint=fingerprint,
            figures=_kept(count_figures(view), reckon(view, at), count_answers(view)),
        )
        db.session.add(closing)
        db.session.flush()
    return closing


def is_unchanged(closing: FigureClosing) -> bool:
    """Whether the entries of a closed month are those that were there when it was closed."""
    return _read_fingerprint(closing.month) == (closing.entries, closing.fingerprint)


def _check_next(month: date, *, at: datetime) -> None:
    last, following = last_closed(), next_to_close(today=at.astimezone(clock.PARIS).date())
    name = french.month(month).capitalize()
    if last is not None and month <= last:
        raise ClosingError(f"{name} est déjà clôturé.")
    if following is None or month < following:
        raise ClosingError(f"{name} n’est pas encore terminé, ou n’a rien à clôturer.")
    if month > following:
        raise ClosingError(f"Clôturez d’abord {french.month(following)}\u202f: les mois se clôturent dans l’ordre.")


def _read_fingerprint(month: date) -> tuple[int, str]:
    given = {"organisation_id": current_organisation_id(), "month": month}
    entries, fingerprint = db.session.execute(_FINGERPRINT, given).one()
    return entries, fingerprint


def _kept(figures: CoverFigures, revenue: CoverRevenue, satisfaction: Satisfaction) -> dict[str, Any]:
    """What the month came to, as it was told: amounts as texts, which keep their digits."""
    told = {name: str(getattr(figures, name)) for name in TOLD}
    moved = {name: str(amount) for name, amount in revenue.movements._asdict().items()}
    return {**told, "refused": figures.refused, "mrr": moved, "churn": list(revenue.churn), "nps": list(satisfaction)}
