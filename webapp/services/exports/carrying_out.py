"""An export that a worker writes: claimed with a lease and a fence, read as of one instant, sealed, recorded.

What a worker that died has left is taken over from the start, under another name: half a file is nobody's. The file is
named by the row once it is whole, in one transaction with its entry of the journal.
"""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import structlog
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import or_, select, update
from sqlalchemy.orm import undefer

from webapp import clock, queue, tenancy
from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.gateways import document_store
from webapp.gateways.document_store import SealedFile
from webapp.models.exports import KEPT, Export
from webapp.models.identity import User
from webapp.models.runs import RunStatus
from webapp.services.exports import commands
from webapp.services.exports.commands import JOB, QUEUE, find_list
from webapp.services.exports.reading import Wanted, count_rows, read_rows
from webapp.services.exports.writing import Batches
from webapp.services.list_columns import chosen
from webapp.transactions import transaction

log = structlog.get_logger()

LEASE = timedelta(minutes=2)
EVERY = timedelta(seconds=1)
"""How often progress is told and the lease renewed."""
MOST_CLAIMS = 3
"""A file that kills its worker so often is given up."""
UNEXPECTED = "Une erreur inattendue s’est produite (référence {reference}). Redemandez cet export."
GIVEN_UP = "Cet export s’est interrompu plusieurs fois. Redemandez-le avec moins de lignes, ou en CSV."
UNREADABLE = "Cet export a été demandé avant une mise à jour du CRM\u202f: redemandez-le."


class Claim(NamedTuple):
    """The right to write an export, as long as its fence is still ``fence``."""

    export_id: UUID
    organisation_id: UUID
    fence: int
    file_name: str
    key: bytes
    asked_at: datetime
    wanted: Wanted


class LostClaimError(Exception):
    """Somebody else has taken the export over, or it is gone."""


def write(organisation_id: UUID, export_id: UUID) -> None:
    """Write an export, unless it is finished or in somebody's hands."""
    with tenancy.organisation(organisation_id):
        claim = _claim(export_id, at=clock.now())
        if claim is None:
            return
        try:
            _write_file(claim)
        except LostClaimError:
            log.warning("export_lost", export_id=str(export_id))
        except Exception:
            reference = uuid4().hex[:8]
            log.exception("export_failed", export_id=str(export_id), reference=reference)
            _end(claim, RunStatus.FAILED, error=UNEXPECTED.format(reference=reference))


def _claim(export_id: UUID, *, at: datetime) -> Claim | None:
    with transaction():
        export = db.session.scalar(
            select(Export)
            .where(Export.id == export_id, _is_free(at))
            .with_for_update(skip_locked=True)
            .options(undefer(Export.asked), undefer(Export.file_key))
            .execution_options(populate_existing=True)
        )
        if export is None:
            return None
        _forget_files(export)
        wanted = _wanted(export)
        if wanted is None or export.fence >= MOST_CLAIMS:
            export.status, export.ended_at = RunStatus.FAILED, at
            export.error = GIVEN_UP if wanted else UNREADABLE
            return None
        key = AESGCM.generate_key(256)
        export.keep_file_key(key)
        export.fence += 1
        export.written, export.lease_until = 0, at + LEASE
        name = export.file_name
        return Claim(export.id, export.organisation_id, export.fence, name, key, export.created_at, wanted)


def _is_free(at: datetime) -> Any:
    is_unowned = or_(Export.lease_until.is_(None), Export.lease_until < at)
    return (Export.status == RunStatus.RUNNING) & is_unowned


def _wanted(export: Export) -> Wanted | None:
    view, filters = export.asked_in_clear()
    try:
        listed = find_list(export.list_key)
        seen = listed.read(view)
    except (NotFoundError, ValueError):
        return None
    today = export.created_at.astimezone(clock.PARIS).date()
    columns = chosen(export.columns, listed.columns(today), default=listed.defaults(today))
    return Wanted(listed, seen, columns, export.format, filters, export.reason)


def _write_file(claim: Claim) -> None:
    """What was put down in clear is gone before the row says that there is a file: nobody comes back for it then."""
    folder = document_store.working_folder(claim.file_name, organisation_id=claim.organisation_id)
    try:
        total = _write_rows(claim, folder)
    finally:
        document_store.drop_work(claim.file_name, organisation_id=claim.organisation_id)
    _end(claim, RunStatus.SUCCESS, total=total)


def _write_rows(claim: Claim, folder: Path) -> int:
    """Read on a connection of its own, whose one snapshot holds count and rows; progress is told on the session's."""
    at = claim.asked_at
    with (
        db.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection,
        SealedFile(claim.file_name, organisation_id=claim.organisation_id, key=claim.key) as file,
    ):
        total = count_rows(connection, claim.wanted, at=at)
        with closing(read_rows(connection, claim.wanted, at=at)) as rows:
            commands.write(claim.wanted, file, _told(claim, rows, total), working_folder=folder)
    return total


def _told(claim: Claim, batches: Batches, total: int) -> Iterator[Any]:
    """The batches, telling how far they are; raises where they end before the list does."""
    written, told_at = 0, clock.now()
    _tell(claim, 0, total)
    for batch in batches:
        yield batch
        written += len(batch)
        if clock.now() - told_at >= EVERY:
            _tell(claim, written, total)
            told_at = clock.now()
    if written != total:
        raise AssertionError(f"{written} rows of {total}")
    _tell(claim, written, total)


def _tell(claim: Claim, written: int, total: int) -> None:
    """Raises LostClaimError."""
    _change(claim, written=written, total=total, lease_until=clock.now() + LEASE)


def _change(claim: Claim, **values: Any) -> None:
    with transaction():
        changed = db.session.execute(
            update(Export)
            .where(Export.id == claim.export_id, Export.fence == claim.fence, Export.status == RunStatus.RUNNING)
            .values(**values)
            .execution_options(synchronize_session=False)
        ).rowcount  # type: ignore[attr-defined]
        if not changed:
            raise LostClaimError


def _end(claim: Claim, status: RunStatus, *, total: int = 0, error: str | None = None) -> None:
    """Under the fence; what was taken out goes into the journal with it."""
    at = clock.now()
    try:
        with transaction():
            _change(claim, status=status, error=error, ended_at=at, lease_until=None)
            if status is RunStatus.SUCCESS:
                owner = select(User).join(Export, Export.user_id == User.id).where(Export.id == claim.export_id)
                commands.note(claim.wanted, total, by=db.session.scalar(owner), at=at)
    except LostClaimError:
        document_store.drop(claim.file_name, organisation_id=claim.organisation_id)
        raise


def sweep(*, at: datetime) -> int:
    """Ring for every export that nobody has in hand; returns how many."""
    with tenancy.across_organisations():
        waiting = db.session.execute(select(Export.organisation_id, Export.id).where(_is_free(at))).all()
    for organisation_id, export_id in waiting:
        queue.enqueue_once_after_commit(JOB, organisation_id, export_id, on=QUEUE)
    return len(waiting)


def prune(*, at: datetime) -> int:
    """Forget exports that were kept long enough, their files first; returns how many."""
    with tenancy.across_organisations(), transaction():
        old = db.session.scalars(select(Export).where(Export.created_at < at - KEPT).with_for_update()).all()
        for export in old:
            _forget_files(export)
            db.session.delete(export)
    return len(old)


def _forget_files(export: Export) -> None:
    """Take away what the present owner and earlier ones have put down."""
    for fence in range(1, export.fence + 1):
        name = export.name_of_file(fence)
        document_store.drop(name, organisation_id=export.organisation_id)
        document_store.drop_work(name, organisation_id=export.organisation_id)
