"""The life of a search for duplicates: every night among all clients; among those touched, after what touched some.

It is owned by a lease, renewed with every step; whoever takes it over goes on from ``steps_done``, which every step
committed.
"""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import structlog
from sqlalchemy import exists, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import InterfaceError, OperationalError

from webapp import clock, tenancy
from webapp.clock import PARIS
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.clients import Client
from webapp.models.duplicates import DuplicateSearch
from webapp.models.operations import Operation, OperationKind
from webapp.models.organisations import Organisation
from webapp.models.runs import RunStatus
from webapp.models.winleadplus import SyncRun
from webapp.queue import enqueue_after_commit
from webapp.services import each_organisation
from webapp.services.duplicates import finding
from webapp.services.leases import LeaseLostError, Leases
from webapp.transactions import transaction

log = structlog.get_logger()

JOB = "jobs.duplicates.find"
LEASE = timedelta(minutes=5)
"""How long a silent process keeps a search: a step takes some twenty seconds at a million clients."""
WAITING_LIMIT = timedelta(seconds=30)
"""How long a search may wait for its first claim before the bell is rung again."""
MAX_ATTEMPTS = 4
"""A search that ended this many processes is closed as failed; the next one begins anew."""
NIGHT = range(2, 6)
BETWEEN_NIGHTS = timedelta(hours=20)
LOOKS_BACK = timedelta(days=1)
"""How long ago a synchronisation may have ended for its clients to be looked at: the night has seen those before."""
INTERRUPTED = "Cette recherche a été interrompue plusieurs fois et a été arrêtée."
_LEASES = Leases(
    DuplicateSearch,
    JOB,
    "operations",
    lasting=LEASE,
    waiting=WAITING_LIMIT,
    attempts=MAX_ATTEMPTS,
    interrupted=INTERRUPTED,
    taken_over="Cette recherche a été reprise par un autre processus.",
)


def start(*, at: datetime, **cause: UUID) -> UUID | None:
    """Start a search of the current organisation; None while one is running, which is waited for.

    ``cause`` is a ``sync_run_id`` or an ``operation_id``: those that it touched are looked at. Without, all are.
    """
    organisation_id, search_id = tenancy.current_organisation_id(), new_id()
    with transaction():
        inserted = db.session.scalar(
            insert(DuplicateSearch)
            .values(
                organisation_id=organisation_id,
                id=search_id,
                status=RunStatus.RUNNING,
                started_at=at,
                **cause,
            )
            .on_conflict_do_nothing(index_elements=["organisation_id"], index_where=text("status = 'running'"))
            .returning(DuplicateSearch.id)
        )
        if inserted is not None:
            enqueue_after_commit(JOB, organisation_id, search_id, on="operations")
    return inserted


def carry_out(organisation_id: UUID, search_id: UUID) -> None:
    """Work on the search until its end, if nobody else does. Safe to call at any time, any number of times."""
    with tenancy.organisation(organisation_id), structlog.contextvars.bound_contextvars(search_id=str(search_id)):
        search = claim(search_id, at=clock.now())
        if search is None:
            return
        try:
            _work(search)
        except LeaseLostError:
            log.warning("duplicate_search_lease_lost", fence=search.fence)
        except (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError):
            raise  # the database is away: the sweep resumes once it is back
        except Exception:
            reference = uuid4().hex[:8]
            log.exception("duplicate_search_failed", reference=reference)
            db.session.rollback()
            error = f"Une erreur inattendue a arrêté cette recherche (référence {reference})."
            _LEASES.end(search.id, search.fence, at=clock.now(), status=RunStatus.FAILED, error=error)


def _work(search: DuplicateSearch) -> None:
    while search.steps_done < search.steps:
        with transaction():
            found = search.found + finding.take_step(search, search.steps_done, at=clock.now())
            done = search.steps_done + 1
            _LEASES.renew(search.id, search.fence, at=clock.now(), steps_done=done, found=found)
        search.steps_done, search.found = done, found
    with transaction():
        gone = finding.forget_unseen(search)
        _LEASES.end(search.id, search.fence, at=clock.now(), status=RunStatus.SUCCESS)
    log.info("duplicates_found", found=search.found, gone=gone)


def claim(search_id: UUID, *, at: datetime) -> DuplicateSearch | None:
    """Take the search, if nobody holds it: None where it has ended, is held, or was tried too often.

    What is returned is no row of the session any more, and holds where the work has come.
    """
    with transaction():
        search = _LEASES.claim(search_id, at=at)
        if search is not None:
            search.steps = search.steps or finding.count_steps(search)
            db.session.flush()
            db.session.expunge(search)
    return search


# ---- The timetable


def sweep(*, at: datetime) -> int:
    """Ring again for every search that nobody has in hand; returns how many."""
    return _LEASES.sweep(at=at)


def start_due(*, at: datetime) -> int:
    """Start what is due of every organisation: at night the whole search, else one after what touched clients."""
    with_clients = select(Organisation.id).where(exists().where(Client.organisation_id == Organisation.id))
    return each_organisation.work(lambda: _start_due_here(at), with_clients)


def _start_due_here(at: datetime) -> int:
    if _is_night(at) and not _had_its_night(at):
        return start(at=at) is not None
    cause = _find_cause(at)
    return bool(cause) and start(at=at, **cause) is not None


def _is_night(at: datetime) -> bool:
    return at.astimezone(PARIS).hour in NIGHT


def _had_its_night(at: datetime) -> bool:
    last = select(func.max(DuplicateSearch.started_at)).where(
        DuplicateSearch.sync_run_id.is_(None), DuplicateSearch.operation_id.is_(None)
    )
    started_at = db.session.scalar(last)
    return started_at is not None and started_at > at - BETWEEN_NIGHTS


def _find_cause(at: datetime) -> dict[str, UUID]:
    """The first synchronisation, else import or undoing, that changed clients of late and no search has followed."""
    run_id = db.session.scalar(
        select(SyncRun.id)
        .where(
            SyncRun.finished_at > at - LOOKS_BACK,
            SyncRun.status.in_((RunStatus.SUCCESS, RunStatus.PARTIAL)),
            SyncRun.dry_run.is_(False),
            SyncRun.created + SyncRun.updated > 0,
            ~exists().where(DuplicateSearch.sync_run_id == SyncRun.id),
        )
        .order_by(SyncRun.finished_at)
        .limit(1)
    )
    if run_id:
        return {"sync_run_id": run_id}
    operation_id = db.session.scalar(
        select(Operation.id)
        .where(
            Operation.finished_at > at - LOOKS_BACK,
            Operation.kind.in_((OperationKind.IMPORT, OperationKind.UNDO)),
            Operation.applied > 0,
            ~exists().where(DuplicateSearch.operation_id == Operation.id),
        )
        .order_by(Operation.finished_at)
        .limit(1)
    )
    return {"operation_id": operation_id} if operation_id else {}
