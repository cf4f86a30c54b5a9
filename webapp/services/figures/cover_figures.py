"""The figures of Depanssur, by month, plan, trade and commercial: read from the tallies of the book.

Premium and exposure are those of whole months, days to come included where the cycle is paid. A trade narrows premium
and covers to those that promise it, and claims to its own.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from dateutil.relativedelta import relativedelta
from sqlalchemy import ColumnElement, case, func, select

from webapp import tenancy
from webapp.extensions import db
from webapp.models.covers import Trade
from webapp.models.figures import FigureEntry, FigureKind, FigureTally
from webapp.models.money import cents

YEAR = 365
"""Days of a cover-year."""
LEVELS = (FigureKind.IN_FORCE, FigureKind.INVOICED, FigureKind.SETTLED)
"""Of which what was booked before a period counts in it, too."""
COST = (FigureKind.PAID, FigureKind.RESERVE, FigureKind.RECOVERED)
NOTHING = Decimal("0.00")


@dataclass(frozen=True, kw_only=True)
class CoverFiguresView:
    """Which figures: of the months from ``first`` to ``last`` (their first days), narrowed where something is given."""

    first: date
    last: date
    plan_id: UUID | None = None
    trade: Trade | None = None
    commercial_ids: frozenset[UUID] | None = None

    @property
    def end(self) -> date:
        """The day after the last one."""
        return self.last + relativedelta(months=1)

    @property
    def days(self) -> int:
        """How many days the months have."""
        return (self.end - self.first).days

    def conditions(self, rows: type[FigureTally] | type[FigureEntry]) -> list[ColumnElement[bool]]:
        """What entries, or tallies of them, must meet, whatever their kind."""
        conditions = [
            rows.organisation_id == tenancy.current_organisation_id(),
            rows.month <= self.last,
            (rows.month >= self.first) | rows.kind.in_(LEVELS),
        ]
        if self.plan_id is not None:
            conditions.append(rows.plan_id == self.plan_id)
        if self.trade is not None:
            conditions.append(rows.trades.contains([self.trade.value]))
        if self.commercial_ids is not None:
            conditions.append(rows.commercial_id.in_(self.commercial_ids))
        return conditions


@dataclass(frozen=True, kw_only=True)
class CoverFigures:
    """What the months of a view come to.

    ``in_force`` are the covers at their end, ``cover_days`` the days on which covers were in force. ``refused`` are
    claims by the step that refused. ``receivables`` are at the end, with tax, as ``invoiced``. ``late`` is, by kind,
    what of it concerns months that were closed before. ``days`` are those of the period.
    """

    days: int
    in_force: int = 0
    cover_days: int = 0
    earned: Decimal = NOTHING
    paid: Decimal = NOTHING
    reserve: Decimal = NOTHING
    recovered: Decimal = NOTHING
    accepted: int = 0
    refused: dict[str, int]
    receivables: Decimal = NOTHING
    invoiced: Decimal = NOTHING
    late: dict[FigureKind, Decimal]

    @property
    def cost(self) -> Decimal:
        """What claims cost: what was paid, and what they are expected to cost more or less, less what came back."""
        return self.paid + self.reserve - self.recovered

    @property
    def loss_ratio(self) -> Decimal | None:
        """S/P: the cost of claims over the premium; None without premium."""
        return self.cost / self.earned if self.earned else None

    @property
    def cover_years(self) -> Decimal:
        """How many years covers were in force, in all."""
        return Decimal(self.cover_days) / YEAR

    @property
    def frequency(self) -> Decimal | None:
        """Accepted claims per 100 cover-years; None without any, and where more was taken back than accepted."""
        return Decimal(100 * YEAR * self.accepted) / self.cover_days if self.cover_days and self.accepted >= 0 else None

    @property
    def mean_cost(self) -> Decimal | None:
        """What an accepted claim costs, to the cent, so that page and files say the same; None without any."""
        return cents(self.cost / self.accepted) if self.accepted > 0 else None

    @property
    def all_refused(self) -> int:
        """Claims that were refused."""
        return sum(self.refused.values())

    @property
    def refused_share(self) -> Decimal | None:
        """Which part of the decided claims was refused; None where none was decided."""
        return self._part_of_decided(self.all_refused)

    def share_of(self, reason: str) -> Decimal | None:
        """Which part of the decided claims was refused for that reason."""
        return self._part_of_decided(self.refused[reason])

    @property
    def takes_refusals_back(self) -> bool:
        """Whether claims refused in an earlier month were decided otherwise in these: they count below zero."""
        return any(refused < 0 for refused in self.refused.values())

    def _part_of_decided(self, refused: int) -> Decimal | None:
        """None where no part can be told: decisions of earlier months that were taken back count below zero."""
        decided = self.accepted + self.all_refused
        return Decimal(refused) / decided if decided > 0 and 0 <= refused <= decided else None

    @property
    def dso(self) -> Decimal | None:
        """How many days of sales are still to be paid; None where nothing was invoiced."""
        return self.receivables / self.invoiced * self.days if self.invoiced > 0 else None


def count_figures(view: CoverFiguresView) -> CoverFigures:
    """The figures of a view, in one statement."""
    return _figures(_read_sums(view), view.first, view.last)


def count_with_course(view: CoverFiguresView, *, months: int = 12) -> tuple[CoverFigures, dict[date, CoverFigures]]:
    """The figures of a view, and those of each of so many months up to its last, in one statement."""
    firsts = [view.last - relativedelta(months=back) for back in reversed(range(months))]
    sums = _read_sums(replace(view, first=min(view.first, firsts[0])))
    return _figures(sums, view.first, view.last), {month: _figures(sums, month, month) for month in firsts}


class _Sum(NamedTuple):
    """What the book holds of a month (None: of those before all that are asked for)."""

    kind: FigureKind
    reason: str | None
    is_late: bool
    month: date | None
    amount: Decimal
    days: Decimal


def _read_sums(view: CoverFiguresView) -> list[_Sum]:
    month = case((FigureTally.month >= view.first, FigureTally.month))
    keys = (FigureTally.kind, FigureTally.reason, FigureTally.is_late, month)
    amount, days = func.sum(FigureTally.amount), func.sum(FigureTally.days)
    statement = select(*keys, amount, days).where(*view.conditions(FigureTally)).group_by(*keys)
    return [_Sum(*row) for row in db.session.execute(statement)]


def _figures(sums: Sequence[_Sum], first: date, last: date) -> CoverFigures:
    """What the months from ``first`` to ``last`` come to."""
    known = [each for each in sums if each.month is None or each.month <= last]
    within = [each for each in known if each.month is not None and each.month >= first]
    amounts, levels = _add_up(within), _add_up(known)
    refused: Counter[str] = Counter()
    for each in within:
        if each.kind is FigureKind.REFUSED:
            refused[each.reason or ""] += int(each.amount)
    return CoverFigures(
        days=(_after(last) - first).days,
        in_force=int(levels[FigureKind.IN_FORCE]),
        cover_days=_cover_days(known, first, last),
        earned=amounts[FigureKind.EARNED],
        paid=amounts[FigureKind.PAID],
        reserve=amounts[FigureKind.RESERVE],
        recovered=amounts[FigureKind.RECOVERED],
        accepted=int(amounts[FigureKind.ACCEPTED]),
        refused={reason: number for reason, number in sorted(refused.items()) if number},
        receivables=levels[FigureKind.INVOICED] - levels[FigureKind.SETTLED],
        invoiced=amounts[FigureKind.INVOICED],
        late={kind: amount for kind, amount in _add_up(each for each in within if each.is_late).items() if amount},
    )


def _add_up(sums: Iterable[_Sum]) -> dict[FigureKind, Decimal]:
    amounts = dict.fromkeys(FigureKind, NOTHING)
    for each in sums:
        amounts[each.kind] += each.amount
    return amounts


def _cover_days(sums: Iterable[_Sum], first: date, last: date) -> int:
    """The days from ``first`` on of what came into force before, and of the rest from its own day on."""
    end, days = _after(last), NOTHING
    for each in sums:
        if each.kind is FigureKind.IN_FORCE and each.month is not None and each.month >= first:
            days += each.days + each.amount * (end - _after(each.month)).days
        elif each.kind is FigureKind.IN_FORCE:
            days += each.amount * (end - first).days
    return int(days)


def _after(month: date) -> date:
    return month + relativedelta(months=1)
