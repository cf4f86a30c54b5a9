"""A run from its claim to its end: stream, compare, apply, finish."""

from collections.abc import Callable, Generator
from contextlib import closing
from uuid import UUID, uuid4

import psycopg
import structlog
from sqlalchemy.exc import InterfaceError, OperationalError

from webapp import clock, tenancy
from webapp.errors import DomainError
from webapp.extensions import db
from webapp.gateways import identity, winleadplus
from webapp.gateways.json_stream import Element
from webapp.models.runs import RunStatus, RunTrigger
from webapp.models.winleadplus import WinLeadPlusConfig as Config
from webapp.services.leases import LeaseLostError, StoppedError
from webapp.services.winleadplus import config, runs
from webapp.services.winleadplus.applying import Applier
from webapp.services.winleadplus.plans import Rules
from webapp.services.winleadplus.progress import Work
from webapp.services.winleadplus.runs import Lease
from webapp.services.winleadplus.sellers import seller
from webapp.services.winleadplus.writing import Author

log = structlog.get_logger()


def carry_out(organisation_id: UUID, run_id: UUID) -> None:
    """Work on the run until its end, if nobody else does. Safe to call at any time, any number of times."""
    with tenancy.organisation(organisation_id), structlog.contextvars.bound_contextvars(run_id=str(run_id)):
        lease = runs.claim(run_id, at=clock.now())
        if lease is None:
            return
        try:
            _work(lease)
        except LeaseLostError:
            log.warning("sync_lease_lost", fence=lease.fence)


def _work(lease: Lease) -> None:
    try:
        _synchronise(lease)
    except LeaseLostError:
        raise
    except StoppedError as error:
        db.session.rollback()
        runs.finish(lease, status=RunStatus.PARTIAL, error=error.message, at=clock.now())
    except DomainError as error:
        _fail(lease, error.message)
    except (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError):
        raise  # the database is away: the sweeper resumes the run once it is back
    except Exception:
        reference = uuid4().hex[:8]
        log.exception("sync_failed", reference=reference)
        _fail(lease, f"Une erreur inattendue a arrêté la synchronisation (référence {reference}).")


def _fail(lease: Lease, reason: str) -> None:
    log.warning("sync_run_failed", attempt=lease.attempt)
    db.session.rollback()
    runs.finish(lease, status=RunStatus.FAILED, error=reason, at=clock.now())


def _synchronise(lease: Lease) -> None:
    settings = config.find()
    if not settings.enabled:
        raise runs.SwitchedOffError("La synchronisation WinLeadPlus est désactivée pour votre organisation.")
    work = Work(lease, _applier(lease, settings))
    work.begin()
    missing = None
    try:
        with closing(_stream(lease, settings, work.keep_lease)) as stream:
            for elements in stream:
                work.take(elements)
    except winleadplus.IncompleteError as error:
        missing = error.message
    work.end(missing=missing)


def _applier(lease: Lease, settings: Config) -> Applier:
    author = Author(lease.organisation_id, lease.run_id, *seller(), clock.now())
    rules = Rules(lease.organisation_id, settings.import_without_contracts)
    return Applier(author, rules, is_dry_run=lease.dry_run, is_resumed=lease.attempt > 1)


def _stream(lease: Lease, settings: Config, while_waiting: Callable[[], None]) -> Generator[list[Element], None, None]:
    """The user's token for a run that they wait for; the service account's for any other, resumed ones included."""
    is_awaited = lease.trigger is RunTrigger.MANUAL and lease.user_token is not None
    return winleadplus.stream_prospects(
        config.endpoint_of(settings),
        token=lease.user_token or identity.service_token(),
        patience=winleadplus.SOMEONE_WAITS if is_awaited else winleadplus.NOBODY_WAITS,
        while_waiting=while_waiting,
    )
