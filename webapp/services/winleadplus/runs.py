"""The life of a synchronisation run: started once, owned by one process at a time, always brought to an end.

A run is owned by leases (``services/leases.py``), renewed with every chunk. It may carry the token of whoever asked for
it, which is handed out once.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert

from webapp import crypto, tenancy
from webapp.errors import DomainError, ForbiddenError, NotFoundError
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.identity import Role, User
from webapp.models.runs import RunStatus, RunTrigger
from webapp.models.winleadplus import RunPhase, SyncRun
from webapp.queue import enqueue_after_commit
from webapp.services.leases import Leases
from webapp.services.winleadplus.config import is_switched_on
from webapp.transactions import transaction

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

_ENDED = {"phase": RunPhase.DONE, "user_token": None}
_LEASES = Leases(
    SyncRun,
    JOB,
    "sync",
    lasting=LEASE,
    waiting=WAITING_LIMIT,
    attempts=MAX_ATTEMPTS,
    interrupted=INTERRUPTED,
    taken_over="La synchronisation a été reprise par un autre processus.",
    at_end=_ENDED,
    stopped=STOPPED,
)


class SwitchedOffError(DomainError):
    """The organisation takes no part in WinLeadPlus."""


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
    if not is_switched_on():
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
            finished_at=at,
            lease_until=None,
            **_ENDED,
        )
    )


def claim(run_id: UUID, *, at: datetime) -> Lease | None:
    """Take the run, if nobody holds it: None where it has ended, is held, or was tried too often.

    The user's token is handed out once and wiped; a later claim works with the service account.
    """
    with transaction():
        run = _LEASES.claim(run_id, at=at)
        if run is None:
            return None
        token = None
        if run.user_token is not None:
            token = crypto.unseal(run.user_token, place=_token_place(run.organisation_id, run.id))
        run.user_token = None
        return Lease(run.organisation_id, run.id, run.fence, run.attempts, run.trigger, run.dry_run, token)


def renew(lease: Lease, *, at: datetime, **progress: object) -> None:
    """Prolong the lease and write ``progress`` (columns of SyncRun), in the caller's transaction.

    Raises LeaseLostError when the run is no longer ours, StoppedError where somebody asked for its end: both undo the
    caller's transaction.
    """
    _LEASES.renew(lease.run_id, lease.fence, at=at, **progress)


def finish(lease: Lease, *, status: RunStatus, at: datetime, error: str | None = None) -> None:
    """Bring the run to its end. ``error`` is a French sentence for the list of runs. Raises LeaseLostError."""
    _LEASES.end(lease.run_id, lease.fence, at=at, status=status, error=error)


def sweep(*, at: datetime) -> int:
    """Ring again for every run that nobody has in hand; returns how many."""
    return _LEASES.sweep(at=at)


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
