"""The life of a synchronisation run: started once, owned by one process at a time, always brought to an end.

A run is a row before it is a job. Whoever works on it holds a lease, renewed with every chunk, and a fence; when
the lease runs out (kill -9, power cut) the sweeper rings again, another process takes over with a higher
fence, and whatever the first one still tries to write is refused.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, and_, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert

from webapp import crypto, tenancy
from webapp.errors import DomainError, ForbiddenError, NotFoundError
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.identity import Role, User
from webapp.models.runs import RunStatus, RunTrigger
from webapp.models.winleadplus import RunPhase, SyncRun, WinLeadPlusConfig
from webapp.queue import enqueue_after_commit
from webapp.transactions import transaction

log = structlog.get_logger()

LEASE = timedelta(seconds=45)
"""How long a silent process keeps a run. Chunks renew it every few seconds."""
WAITING_LIMIT = timedelta(seconds=30)
"""How long a run may wait for its first claim before the bell is rung again."""
MAX_ATTEMPTS = 4
"""A run that killed this many processes is closed as failed."""

JOB = "jobs.winleadplus.synchronise"
SIMULATION_STOPPED = "La simulation a été arrêtée\u202f: une synchronisation a commencé."
STOPPED = "Arrêtée à la demande\u202f: ce qui avait été lu est enregistré, le reste le sera la prochaine fois."
INTERRUPTED = "La synchronisation a été interrompue plusieurs fois et a été arrêtée. Relancez-la."


class SwitchedOffError(DomainError):
    """The organisation takes no part in WinLeadPlus."""


class LeaseLostError(DomainError):
    """Another process has taken the run over; this one must stop without writing."""


class StoppedError(DomainError):
    """Somebody asked for the end of the run; what was applied stands."""


@dataclass(frozen=True)
class Lease:
    """The right to write for a run: held as long as the run's fence is still ``fence``."""

    organisation_id: UUID
    run_id: UUID
    fence: int
    attempt: int
    trigger: RunTrigger
    dry_run: bool
    user_token: str | None


def start(
    *,
    trigger: RunTrigger,
    at: datetime,
    by: UUID | None = None,
    user_token: str | None = None,
    dry_run: bool = False,
    enqueue: bool = True,
) -> tuple[UUID, bool]:
    """Start a run of the current organisation, or join the one that is running; a simulation gives way to a real run.

    ``by`` is the user's id, ``user_token`` their access token, kept encrypted until the run has used it. Returns the
    run's id and whether it is a new one. With ``enqueue=False`` the caller works on it in this process. Raises
    SwitchedOffError.
    """
    if db.session.scalar(select(WinLeadPlusConfig.enabled)) is False:  # without a row, the default is on
        raise SwitchedOffError("La synchronisation WinLeadPlus est désactivée pour votre organisation.")
    organisation_id = tenancy.current_organisation_id()
    run_id = new_id()
    sealed = crypto.seal(user_token, place=_token_place(organisation_id, run_id)) if user_token else None
    with transaction():
        if not dry_run:
            _stop_simulation(at=at)
        inserted = db.session.scalar(
            insert(SyncRun)
            .values(
                organisation_id=organisation_id,
                id=run_id,
                trigger=trigger,
                dry_run=dry_run,
                status=RunStatus.RUNNING,
                phase=RunPhase.WAITING,
                started_at=at,
                requested_by_id=by,
                user_token=sealed,
            )
            # The index's own words: a bound parameter would not be recognised in a generic plan.
            .on_conflict_do_nothing(index_elements=["organisation_id"], index_where=text("status = 'running'"))
            .returning(SyncRun.id)
        )
        if inserted is not None:
            if enqueue:
                enqueue_after_commit(JOB, organisation_id, run_id, on="sync")
            return run_id, True
        running = db.session.scalar(select(SyncRun.id).where(SyncRun.status == RunStatus.RUNNING))
    if running is None:  # it ended between the two statements: start anew
        return start(trigger=trigger, at=at, by=by, user_token=user_token, dry_run=dry_run, enqueue=enqueue)
    return running, False


def _stop_simulation(*, at: datetime) -> None:
    """End the simulation under way, if there is one: whoever works on it has lost its lease and writes no more."""
    db.session.execute(
        update(SyncRun)
        .where(SyncRun.status == RunStatus.RUNNING, SyncRun.dry_run)
        .values(
            status=RunStatus.FAILED,
            error=SIMULATION_STOPPED,
            phase=RunPhase.DONE,
            finished_at=at,
            lease_until=None,
            user_token=None,
        )
    )


def claim(run_id: UUID, *, at: datetime) -> Lease | None:
    """Take the run, if nobody holds it: None where it has ended, is held, or was tried too often.

    The user's token is handed out once and wiped; a later claim works with the service account.
    """
    with transaction():
        run = db.session.scalar(
            select(SyncRun)
            .where(SyncRun.id == run_id, SyncRun.status == RunStatus.RUNNING)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        if run is None or (run.lease_until is not None and run.lease_until > at):
            return None
        if run.attempts >= MAX_ATTEMPTS:
            _close(run, status=RunStatus.FAILED, error=INTERRUPTED, at=at)
            return None
        token = None
        if run.user_token is not None:
            token = crypto.unseal(run.user_token, place=_token_place(run.organisation_id, run.id))
        run.user_token = None
        run.fence += 1
        run.attempts += 1
        run.lease_until = at + LEASE
        return Lease(run.organisation_id, run.id, run.fence, run.attempts, run.trigger, run.dry_run, token)


def renew(lease: Lease, *, at: datetime, **progress: object) -> None:
    """Prolong the lease and write ``progress`` (columns of SyncRun), in the caller's transaction.

    Raises LeaseLostError when the run is no longer ours, StoppedError where somebody asked for its end: both undo the
    caller's transaction.
    """
    with transaction():
        renewed = db.session.execute(
            update(SyncRun)
            .where(*_is_mine(lease))
            .values(lease_until=at + LEASE, **progress)
            .returning(SyncRun.stop_requested_at)
            .execution_options(synchronize_session=False)
        ).first()
        if renewed is None:
            raise LeaseLostError("La synchronisation a été reprise par un autre processus.")
        if renewed.stop_requested_at is not None and "finished_at" not in progress:
            raise StoppedError(STOPPED)


def finish(lease: Lease, *, status: RunStatus, at: datetime, error: str | None = None) -> None:
    """Bring the run to its end. ``error`` is a French sentence for the list of runs. Raises LeaseLostError."""
    renew(lease, at=at, status=status, error=error, phase=RunPhase.DONE, finished_at=at, user_token=None)


def _is_mine(lease: Lease) -> list[ColumnElement[bool]]:
    return [SyncRun.id == lease.run_id, SyncRun.fence == lease.fence, SyncRun.status == RunStatus.RUNNING]


def _close(run: SyncRun, *, status: RunStatus, error: str, at: datetime) -> None:
    run.status, run.error, run.finished_at = status, error, at
    run.phase, run.user_token, run.lease_until = RunPhase.DONE, None, None


def sweep(*, at: datetime) -> int:
    """Ring again for every run, of any organisation, whose lease ran out or whose bell was never heard.

    Returns how many. Taking a run over is a compare-and-set in ``claim``: ringing twice is harmless.
    """
    with tenancy.across_organisations():
        abandoned = db.session.execute(
            select(SyncRun.organisation_id, SyncRun.id).where(
                SyncRun.status == RunStatus.RUNNING,
                or_(
                    SyncRun.lease_until < at,
                    and_(SyncRun.lease_until.is_(None), SyncRun.started_at < at - WAITING_LIMIT),
                ),
            )
        ).all()
    for organisation_id, run_id in abandoned:
        log.warning("sync_run_abandoned", run_id=str(run_id), organisation_id=str(organisation_id))
        enqueue_after_commit(JOB, organisation_id, run_id, on="sync")
    return len(abandoned)


def stop(run_id: UUID, *, by: User, at: datetime) -> None:
    """Ask for the end of a run that is under way, between two chunks. Raises NotFoundError, ForbiddenError."""
    with transaction():
        wanted = select(SyncRun).where(SyncRun.id == run_id).with_for_update()
        run = db.session.scalar(wanted.execution_options(populate_existing=True))
        if run is None:
            raise NotFoundError("Cette synchronisation n’existe pas ou plus.")
        if not may_stop(run, by):
            raise ForbiddenError("Seul qui l’a lancée, un manager ou un administrateur peut l’arrêter.")
        if not run.is_finished and run.stop_requested_at is None:
            run.stop_requested_at = at


def may_stop(run: SyncRun, user: User) -> bool:
    """Whether ``user`` started the run, or answers for those who did."""
    return run.requested_by_id == user.id or user.has_role(Role.MANAGER, Role.ADMIN)


def find_run(run_id: UUID) -> SyncRun | None:
    """A run of the current organisation."""
    return db.session.scalar(select(SyncRun).where(SyncRun.id == run_id).execution_options(populate_existing=True))


def _token_place(organisation_id: UUID, run_id: UUID) -> str:
    return f"{organisation_id}|sync_runs.user_token|{run_id}"
