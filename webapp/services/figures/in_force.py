"""From when to when covers are in force, as the book of figures has it: booked by the timetable after every change.

A cover is in force on a day where it is at its end, waiting included. What its facts, plans and options say is compared
with what is booked; the difference is added. Done twice, it adds nothing.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import delete, func, insert, select

from webapp import clock
from webapp.extensions import db
from webapp.models.base import linked, new_id
from webapp.models.covers import (
    Cover,
    CoverFact,
    CoverKind,
    CoverOption,
    CoverPeriod,
    CoverPlanOption,
    CoverPlanVersion,
)
from webapp.models.figures import FigureEntry, FigureKind, FigureWork
from webapp.services import each_organisation
from webapp.services.covers.intervals import Fact, intervals_of
from webapp.services.covers.loading import fact_of
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction

LOT = 500
"""Changes that are looked at in one transaction."""
NOT_IN_FORCE = (CoverKind.SUSPENDED, CoverKind.ENDED)


class Step(NamedTuple):
    """What changes on a day: a cover of that plan, which promises these trades, comes into force (1) or leaves (-1)."""

    day: date
    plan_id: UUID
    trades: tuple[str, ...]


@dataclass
class Past:
    """What is known of a cover, as far as it says when it is in force."""

    facts: list[Fact] = field(default_factory=list)
    periods: list[tuple[date, UUID, Sequence[str]]] = field(default_factory=list)
    options: list[tuple[date, date | None, Sequence[str]]] = field(default_factory=list)

    def steps(self) -> Counter[Step]:
        """By how much the covers in force change, by day, plan and trades."""
        states = [
            (interval.since.astimezone(clock.PARIS).date(), interval.kind not in NOT_IN_FORCE)
            for interval in intervals_of(self.facts)
        ]
        days = {day for day, _ in states} | {since for since, *_ in self.periods}
        days |= {day for since, until, _ in self.options for day in (since, until) if day}
        steps: Counter[Step] = Counter()
        before: tuple[UUID, tuple[str, ...]] | None = None
        for day in sorted(days):
            is_in_force = next((held for since, held in reversed(states) if since <= day), False)
            now = self._promise(day) if is_in_force else None
            if now != before:
                if before:
                    steps[Step(day, *before)] -= 1
                if now:
                    steps[Step(day, *now)] += 1
                before = now
        return steps

    def _promise(self, day: date) -> tuple[UUID, tuple[str, ...]]:
        """The plan and the trades of a day, as ``cover_promise`` of migration 0057 has them."""
        begun = [period for period in self.periods if period[0] <= day] or self.periods[:1]
        _, plan_id, trades = begun[-1]
        added = [
            each for since, until, more in self.options if since <= day and (not until or until > day) for each in more
        ]
        return plan_id, tuple(sorted({*trades, *added}))


def book_all(*, at: datetime) -> int:
    """Book what changed in every organisation. Returns how many entries that took; ``at`` is the timetable's."""
    return each_organisation.work(book, select(FigureWork.organisation_id))


def book() -> int:
    """Book what changed in the organisation, lot by lot. Returns how many entries that took."""
    added = 0
    while True:
        with transaction():
            booked = book_lot()
        if booked is None:
            return added
        added += booked


def book_lot() -> int | None:
    """Book a lot of changes, in the caller's transaction; None where there is none."""
    take_turn()
    lot = select(FigureWork.id).order_by(FigureWork.id).limit(LOT)
    taken = delete(FigureWork).where(FigureWork.id.in_(lot)).returning(FigureWork.cover_id)
    cover_ids = sorted(set(db.session.scalars(taken)))
    if not cover_ids:
        return None
    db.session.execute(select(func.book_past(current_organisation_id(), cover_ids)))
    clients = func.array(select(Cover.client_id).where(Cover.id.in_(cover_ids)).scalar_subquery())
    db.session.execute(select(func.book_cover_revenue(current_organisation_id(), clients)))
    entries = list(_differences(cover_ids))
    if entries:
        db.session.execute(insert(FigureEntry), entries)
    return len(entries)


def take_turn() -> None:
    """Wait for whoever books what changed in the organisation, and let others wait until the transaction ends."""
    name = f"figure-work|{current_organisation_id()}"
    db.session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


def _differences(cover_ids: Sequence[UUID]) -> Iterator[dict[str, object]]:
    open_month = db.session.scalar(select(func.figure_open_month(current_organisation_id())))
    pasts, booked = _load(cover_ids), _list_booked(cover_ids)
    commercials = dict(iter(db.session.execute(select(Cover.id, Cover.commercial_id).where(Cover.id.in_(cover_ids)))))
    for cover_id, commercial_id in commercials.items():
        wanted = pasts[cover_id].steps()
        wanted.subtract(booked[cover_id])
        for step, change in sorted(wanted.items()):
            if change:
                yield {
                    "organisation_id": current_organisation_id(),
                    "id": new_id(),
                    "month": max(step.day.replace(day=1), open_month or date.min),
                    "day": step.day,
                    "kind": FigureKind.IN_FORCE,
                    "amount": Decimal(change),
                    "cover_id": cover_id,
                    "plan_id": step.plan_id,
                    "trades": list(step.trades),
                    "commercial_id": commercial_id,
                }


def _load(cover_ids: Sequence[UUID]) -> dict[UUID, Past]:
    pasts: dict[UUID, Past] = defaultdict(Past)
    facts = select(CoverFact).where(CoverFact.cover_id.in_(cover_ids)).order_by(CoverFact.at, CoverFact.id)
    for row in db.session.scalars(facts):
        pasts[row.cover_id].facts.append(fact_of(row))
    periods = (
        select(CoverPeriod.cover_id, CoverPeriod.since, CoverPlanVersion.plan_id, CoverPlanVersion.trades)
        .join(CoverPlanVersion, linked(CoverPlanVersion, CoverPeriod.version_id))
        .where(CoverPeriod.cover_id.in_(cover_ids))
    )
    for cover_id, since, plan_id, trades in db.session.execute(periods.order_by(CoverPeriod.since)):
        pasts[cover_id].periods.append((since, plan_id, trades))
    options = (
        select(CoverOption.cover_id, CoverOption.since, CoverOption.until, CoverPlanOption.trades)
        .join(CoverPlanOption, linked(CoverPlanOption, CoverOption.option_id))
        .where(CoverOption.cover_id.in_(cover_ids))
    )
    for cover_id, since, until, trades in db.session.execute(options):
        pasts[cover_id].options.append((since, until, trades))
    return pasts


def _list_booked(cover_ids: Iterable[UUID]) -> dict[UUID, Counter[Step]]:
    booked: dict[UUID, Counter[Step]] = defaultdict(Counter)
    columns = (FigureEntry.cover_id, FigureEntry.day, FigureEntry.plan_id, FigureEntry.trades)
    statement = (
        select(*columns, func.sum(FigureEntry.amount))
        .where(FigureEntry.cover_id.in_(cover_ids), FigureEntry.kind == FigureKind.IN_FORCE)
        .group_by(*columns)
    )
    for cover_id, day, plan_id, trades, amount in db.session.execute(statement):
        booked[cover_id][Step(day, plan_id, tuple(trades))] += int(amount)
    return booked
