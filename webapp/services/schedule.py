"""Ticks of the timetable: each is taken once, by whichever scheduler comes first; a missed one is caught up once."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, exists, func, select
from sqlalchemy.dialects.postgresql import insert

from webapp.extensions import db
from webapp.models.schedule import ScheduleTick
from webapp.transactions import transaction

KEPT = timedelta(days=2)
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def tick_at(at: datetime, every: timedelta) -> datetime:
    """The last tick not after ``at`` of a grid of ``every``, aligned to whole hours (UTC)."""
    return at - (at - EPOCH) % every


def take_tick(job: str, *, every: timedelta, at: datetime) -> bool:
    """Take the present tick of ``job``: True for the one caller that should now do the work.

    The very first tick of a job is written down and not worked: a first start does nothing by itself. Ticks missed
    while no scheduler ran count as one, the present one. Joins the caller's transaction, so that a crash before
    its commit leaves the tick to be taken again.
    """
    tick = tick_at(at, every)
    with transaction():
        has_history = db.session.scalar(select(exists().where(ScheduleTick.job == job, ScheduleTick.tick < tick)))
        taken = db.session.scalar(
            insert(ScheduleTick)
            .values(job=job, tick=tick, taken_at=at)
            .on_conflict_do_nothing()
            .returning(ScheduleTick.tick)
        )
        if taken is not None:
            db.session.execute(delete(ScheduleTick).where(ScheduleTick.job == job, ScheduleTick.tick < tick - KEPT))
    return taken is not None and bool(has_history)


def last_tick_at() -> datetime | None:
    """When any scheduler last took a tick: its pulse."""
    return db.session.scalar(select(func.max(ScheduleTick.taken_at)))
