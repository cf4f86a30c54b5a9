"""Work that outlives its processes (docs/adr/0078): a row before it is a job, and one process's at a time.

Whoever works on a row holds a lease, renewed with every step, and a fence, which grows with every owner: one that comes
back late finds that it does not hold it any more. When a lease runs out, the sweep rings again, and another goes on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, TypeVar
from uuid import UUID

import structlog
from sqlalchemy import and_, inspect, literal, or_, select, update

from webapp import tenancy
from webapp.errors import DomainError
from webapp.extensions import db
from webapp.models.runs import Leased, RunStatus
from webapp.queue import enqueue_after_commit
from webapp.transactions import transaction

log = structlog.get_logger()

Row = TypeVar("Row", bound=Leased)


class LeaseLostError(DomainError):
    """Another process has taken the row over; this one must stop without writing."""


class StoppedError(DomainError):
    """Somebody asked for the end of the work; what was done stands."""


@dataclass(frozen=True)
class Leases(Generic[Row]):
    """How the rows of a table are owned. ``job`` works on one, on ``queue``; it gets its organisation's id and its own.

    A silent process keeps a row for ``lasting``; the first claim is waited for during ``waiting``; a row that ended
    ``attempts`` processes fails with the sentence ``interrupted``. ``taken_over`` says that a lease was lost.
    ``at_end`` are columns that get a value of their own when a row ends, however it does. ``stopped`` is said where
    somebody asked for the end, which tables that allow it keep as ``stop_requested_at``.
    """

    table: type[Row]
    job: str
    queue: str
    lasting: timedelta
    waiting: timedelta
    attempts: int
    interrupted: str
    taken_over: str
    at_end: Mapping[str, object] = field(default_factory=dict)
    stopped: str | None = None

    def claim(self, row_id: UUID, *, at: datetime) -> Row | None:
        """Take the row, in the caller's transaction: None where it has ended, is held, or was tried too often."""
        row = db.session.scalar(
            select(self.table)
            .where(self.table.id == row_id, self.table.status == RunStatus.RUNNING)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        if row is None or (row.lease_until is not None and row.lease_until > at):
            return None
        if row.attempts >= self.attempts:
            row.status, row.error, row.finished_at, row.lease_until = RunStatus.FAILED, self.interrupted, at, None
            for column, value in self.at_end.items():
                setattr(row, column, value)
            return None
        row.fence += 1
        row.attempts += 1
        row.lease_until = at + self.lasting
        return row

    def renew(self, row_id: UUID, fence: int, *, at: datetime, **progress: object) -> None:
        """Prolong the lease and write ``progress`` (columns of the row); in the caller's transaction, if any.

        Raises LeaseLostError where the row has another owner, or none, StoppedError where somebody asked for its end:
        both undo the caller's transaction.
        """
        with transaction():
            if self._write(row_id, fence, {"lease_until": at + self.lasting, **progress}) is not None:
                raise StoppedError(self.stopped or "")

    def end(self, row_id: UUID, fence: int, *, at: datetime, status: RunStatus, **progress: object) -> None:
        """Bring the row to its end, with what ``renew`` takes. Raises LeaseLostError."""
        values = {**self.at_end, "lease_until": None, "status": status, "finished_at": at}
        with transaction():
            self._write(row_id, fence, values | progress)

    def _write(self, row_id: UUID, fence: int, values: dict[str, object]) -> datetime | None:
        """Write to a row that is ours; gives back when somebody asked for its end. Raises LeaseLostError."""
        asked_at = inspect(self.table).columns["stop_requested_at"] if self.stopped else literal(None)
        written = db.session.execute(
            update(self.table)
            .where(self.table.id == row_id, self.table.fence == fence, self.table.status == RunStatus.RUNNING)
            .values(values)
            .returning(asked_at)
            .execution_options(synchronize_session=False)
        ).first()
        if written is None:
            raise LeaseLostError(self.taken_over)
        found: datetime | None = written[0]
        return found

    def sweep(self, *, at: datetime) -> int:
        """Ring again for every row, of any organisation, whose lease ran out or whose bell was never heard.

        Returns how many. Taking a row over is a compare-and-set in ``claim``: ringing twice is harmless.
        """
        with tenancy.across_organisations():
            abandoned = db.session.execute(
                select(self.table.organisation_id, self.table.id).where(
                    self.table.status == RunStatus.RUNNING,
                    or_(
                        self.table.lease_until < at,
                        and_(self.table.lease_until.is_(None), self.table.started_at < at - self.waiting),
                    ),
                )
            ).all()
        for organisation_id, row_id in abandoned:
            log.warning("work_abandoned", job=self.job, run_id=str(row_id), organisation_id=str(organisation_id))
            enqueue_after_commit(self.job, organisation_id, row_id, on=self.queue)
        return len(abandoned)
