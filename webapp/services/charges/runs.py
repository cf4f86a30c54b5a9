"""Runs of the engine: started by the schedule, the button or the command line, shared by any number of workers.

A run is a row before it is a job. Its counters grow with what is recorded, in the same transaction. Each worker that
shares it renews its lease; if all of them die, the sweeper rings again once the lease has run out.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import structlog
from sqlalchemy import and_, exists, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import joinedload

from webapp import clock, tenancy
from webapp.extensions import db
from webapp.french import counted
from webapp.models.base import new_id
from webapp.models.charges import Charge, ChargeRun, ChargeStatus
from webapp.models.runs import RunStatus, RunTrigger
from webapp.queue import enqueue_after_commit
from webapp.services import each_organisation
from webapp.services.charges import claiming, loop
from webapp.services.charges.claiming import LEASE, TAKEN_UP, Claimed
from webapp.services.subscriptions import scheduling
from webapp.transactions import transaction

log = structlog.get_logger()

JOB = "jobs.charges.run"
WAITING_LIMIT = timedelta(seconds=30)
"""How long a run may wait for its first worker before the bell is rung again."""
SILENCE = timedelta(seconds=15)
"""How much later than it should a worker may renew the lease before it is thought to be gone."""
CHARGES_PER_WORKER = 1000
MOST_WORKERS = 8
MOST_CLAIMS = 40
"""A run that was taken up so often without coming to its end is closed as failed."""

INTERRUPTED = "Les prélèvements ont été interrompus plusieurs fois et ont été arrêtés. Relancez-les."
UNEXPECTED = (
    "Une erreur inattendue a arrêté les prélèvements (référence {reference}). Rien n’est perdu\u202f: relancez-les."
)

COUNTED = {
    ChargeStatus.SUCCEEDED: "charged",
    ChargeStatus.PROCESSING: "processing",
    ChargeStatus.AUTHENTICATING: "processing",
    ChargeStatus.RETRYING: "failed",
    ChargeStatus.FAILED: "failed",
    ChargeStatus.UNKNOWN: "unknown",
    ChargeStatus.SKIPPED: "skipped",
    ChargeStatus.SCHEDULED: "skipped",
    ChargeStatus.REVERSED: "skipped",
}
"""Which counter of a run a charge adds to; one that is being sent again adds to none yet."""


def start(*, trigger: RunTrigger, at: datetime, by: UUID | None = None, enqueue: bool = True) -> tuple[UUID, bool]:
    """Start a run of the current organisation, or join the one that is running.

    ``by`` is the user's id. Returns the run's id and whether it is a new one. With ``enqueue=False`` the caller works
    on it in this process.
    """
    run_id, organisation_id = new_id(), tenancy.current_organisation_id()
    with transaction():
        total = count_waiting(at=at)
        inserted = db.session.scalar(
            insert(ChargeRun)
            .values(
                organisation_id=organisation_id,
                id=run_id,
                trigger=trigger,
                status=RunStatus.RUNNING,
                due_before=at,
                total=total,
                started_at=at,
                requested_by_id=by,
            )
            # The index's own words: a bound parameter would not be recognised in a generic plan.
            .on_conflict_do_nothing(index_elements=["organisation_id"], index_where=text("status = 'running'"))
            .returning(ChargeRun.id)
        )
        if inserted is not None:
            if enqueue:
                for _ in range(min(MOST_WORKERS, 1 + total // CHARGES_PER_WORKER)):
                    enqueue_after_commit(JOB, organisation_id, run_id, on="charges")
            return run_id, True
        running = db.session.scalar(select(ChargeRun.id).where(ChargeRun.status == RunStatus.RUNNING))
    if running is None:  # it ended between the two statements: start anew
        return start(trigger=trigger, at=at, by=by, enqueue=enqueue)
    return running, False


def count_waiting(*, at: datetime) -> int:
    """How many charges a run would take up now: cycles due, and attempts whose day has come."""
    retries = select(func.count()).where(
        Charge.organisation_id == tenancy.current_organisation_id(),
        Charge.status.in_(TAKEN_UP),
        Charge.next_attempt_at <= at,
    )
    return scheduling.count_due(before=at) + db.session.execute(retries).scalar_one()


def carry_out(organisation_id: UUID, run_id: UUID) -> None:
    """Work on the run until nothing is left to take. Safe to call at any time, by any number of workers."""
    with tenancy.organisation(organisation_id), structlog.contextvars.bound_contextvars(run_id=str(run_id)):
        due_before = _take_part(run_id, at=clock.now())
        if due_before is None:
            return
        try:
            loop.drive(_claimer(run_id, due_before), on_progress=lambda counts: _count(run_id, counts))
            _finish(run_id, at=clock.now())
        except (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError):
            raise  # the database is away: the sweeper rings again once it is back
        except Exception:
            reference = uuid4().hex[:8]
            log.exception("charge_run_failed", reference=reference)
            db.session.rollback()
            _close(run_id, RunStatus.FAILED, at=clock.now(), error=UNEXPECTED.format(reference=reference))


def _take_part(run_id: UUID, *, at: datetime) -> datetime | None:
    """Share in the run; returns up to when cycles are due for it, None where it has ended."""
    with transaction():
        statement = select(ChargeRun).where(ChargeRun.id == run_id, ChargeRun.status == RunStatus.RUNNING)
        run = db.session.scalar(statement.with_for_update().execution_options(populate_existing=True))
        if run is None:
            return None
        run.fence += 1
        run.lease_until = at + LEASE
        if run.fence <= MOST_CLAIMS:
            return run.due_before
    _close(run_id, RunStatus.FAILED, at=at, error=INTERRUPTED)
    return None


def _claimer(run_id: UUID, due_before: datetime) -> loop.Claimer:
    def claim(limit: int, at: datetime) -> Claimed:
        _renew(run_id, at=at)
        claims = loop.claim_overdue(limit, at)
        return claims if not claims.is_empty else claiming.claim_due(before=due_before, limit=limit, at=at)

    return claim


def _renew(run_id: UUID, *, at: datetime) -> None:
    with transaction():
        db.session.execute(
            update(ChargeRun)
            .where(ChargeRun.id == run_id, ChargeRun.lease_until < at + LEASE / 2)
            .values(lease_until=at + LEASE)
            .execution_options(synchronize_session=False)
        )


def _count(run_id: UUID, statuses: Mapping[ChargeStatus, int]) -> None:
    counts: Counter[str] = Counter()
    for status, number in statuses.items():
        if column := COUNTED.get(status):
            counts[column] += number
    if not counts:
        return
    with transaction():
        db.session.execute(
            update(ChargeRun)
            .where(ChargeRun.id == run_id)
            .values({name: getattr(ChargeRun, name) + number for name, number in counts.items()})
            .execution_options(synchronize_session=False)
        )


def _finish(run_id: UUID, *, at: datetime) -> None:
    """Close the run, unless another worker is still in the midst of it: then it is the other one that does."""
    is_at_work = exists().where(
        Charge.organisation_id == tenancy.current_organisation_id(),
        Charge.status == ChargeStatus.SENDING,
        Charge.lease_until > at,
    )
    if db.session.scalar(select(is_at_work)):
        return
    run = find_run(run_id)
    if run is not None:
        is_partial = run.failed or run.unknown or count_apart(run)
        _close(run_id, RunStatus.PARTIAL if is_partial else RunStatus.SUCCESS, at=at)


def _close(run_id: UUID, status: RunStatus, *, at: datetime, error: str | None = None) -> None:
    done = sum(getattr(ChargeRun, name) for name in sorted(set(COUNTED.values())))
    with transaction():
        db.session.execute(
            update(ChargeRun)
            .where(ChargeRun.id == run_id, ChargeRun.status == RunStatus.RUNNING)
            .values(
                status=status, error=error, finished_at=at, lease_until=None, total=func.greatest(ChargeRun.total, done)
            )
            .execution_options(synchronize_session=False)
        )


def start_due_runs(*, at: datetime) -> int:
    """Start a run for every organisation with something to charge at ``at``; returns how many."""
    waiting = list_organisations_waiting(at=at)
    for organisation_id in waiting:
        with tenancy.organisation(organisation_id):
            run_id, is_new = start(trigger=RunTrigger.SCHEDULED, at=at)
            log.info("charge_run_scheduled", run_id=str(run_id), status="new" if is_new else "joined")
    return len(waiting)


def ring_abandoned(*, at: datetime) -> int:
    """Ring again for every run, of any organisation, that no worker has in hand; returns how many."""
    is_silent = or_(
        ChargeRun.lease_until < at,
        and_(ChargeRun.lease_until.is_(None), ChargeRun.started_at < at - WAITING_LIMIT),
    )
    with tenancy.across_organisations():
        abandoned = db.session.execute(
            select(ChargeRun.organisation_id, ChargeRun.id).where(ChargeRun.status == RunStatus.RUNNING, is_silent)
        ).all()
    for organisation_id, run_id in abandoned:
        log.warning("charge_run_abandoned", run_id=str(run_id))
        enqueue_after_commit(JOB, organisation_id, run_id, on="charges")
    return len(abandoned)


def list_organisations_waiting(*, at: datetime) -> list[UUID]:
    """The organisations in which a run would take something up at ``at``."""
    taken_up = select(Charge.organisation_id).where(Charge.status.in_(TAKEN_UP), Charge.next_attempt_at <= at)
    return sorted({*scheduling.list_organisations_with_due(before=at), *each_organisation.list_found(taken_up)})


def find_run(run_id: UUID) -> ChargeRun | None:
    """A run of the current organisation, as it stands now."""
    return db.session.scalar(select(ChargeRun).where(ChargeRun.id == run_id).execution_options(populate_existing=True))


def list_runs(*, limit: int = 10) -> list[ChargeRun]:
    """The latest runs of the current organisation, newest first, each with who started it."""
    return list(
        db.session.scalars(
            select(ChargeRun)
            .order_by(ChargeRun.started_at.desc(), ChargeRun.id.desc())
            .limit(limit)
            .options(joinedload(ChargeRun.requested_by))
        )
    )


def counts_of(run: ChargeRun) -> dict[str, int]:
    """The counters of a run, by name."""
    return {name: getattr(run, name) for name in ("total", "charged", "processing", "failed", "unknown", "skipped")}


def count_apart(run: ChargeRun) -> int:
    """How many of those that waited at its start no counter tells of: a worker died over them, or others took them.

    Webhooks and the sweeper see to them; the list of charges says where each stands.
    """
    return max(0, run.total - run.charged - run.processing - run.failed - run.unknown - run.skipped)


def standing(run: ChargeRun, *, at: datetime) -> str:
    """What a run under way is about, in a few words: whoever works on it renews its lease when half of it is over."""
    if run.lease_until is None:
        return "En attente d’un processus libre"
    if run.lease_until < at + LEASE / 2 - SILENCE:
        return "Sans nouvelles depuis plus d’une minute\u202f: reprise automatique si besoin"
    return "Prélèvements en cours"


def sentence(run: ChargeRun) -> str:
    """How a run went, in one sentence for a toast."""
    if run.error:
        return run.error
    if not any(counts_of(run).values()):
        return "Il n’y avait rien à prélever."
    parts = [counted(run.charged, "payé"), counted(run.failed, "refusé")]
    parts += [counted(run.processing, "en traitement", "en traitement")] if run.processing else []
    parts += [counted(run.unknown, "inconnu")] if run.unknown else []
    parts += [counted(run.skipped, "non prélevé", "non prélevés")] if run.skipped else []
    apart = count_apart(run)
    parts += [counted(apart, "suivi à part", "suivis à part")] if apart else []
    return f"Prélèvements terminés\u202f: {', '.join(parts)}"
