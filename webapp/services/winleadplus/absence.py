"""Prospects that WinLeadPlus no longer names: flagged, unless so many vanish at once that nobody would believe it."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, text, update

from webapp import tenancy
from webapp.errors import DomainError, ForbiddenError, NotFoundError
from webapp.extensions import db
from webapp.french import whole
from webapp.models.identity import Role, User
from webapp.models.runs import RunStatus
from webapp.models.winleadplus import ItemKind, SyncItem, SyncMapping, SyncRun
from webapp.transactions import transaction

BELIEVED = 20
"""So many may vanish at once, whatever share of all they are."""
BELIEVED_SHARE = 20
"""One in so many may."""

_NAME = text(
    """INSERT INTO sync_items (organisation_id, id, run_id, external_id, kind, label, client_id, created_at)
    SELECT m.organisation_id, gen_random_uuid(), :run_id, m.external_id, 'absent',
           left(trim(c.last_name || ' ' || c.first_name), 200), m.client_id, :at
    FROM sync_mappings m JOIN clients c ON c.organisation_id = m.organisation_id AND c.id = m.client_id
    WHERE m.organisation_id = :organisation_id AND m.external_id = ANY(:vanished)
    ON CONFLICT DO NOTHING"""
)


def is_incredible(vanished: int, held: int) -> bool:
    """Whether ``vanished`` of ``held`` prospects are too many: more than 20, and more than one in twenty."""
    return vanished > BELIEVED and vanished * BELIEVED_SHARE > held


_DOUBTED = "aucun n’a été signalé absent. Un administrateur doit confirmer que c’est bien le cas."
_CONFIRMED = "un administrateur l’a confirmé, et ils sont signalés absents."


def doubt(vanished: int, held: int) -> str:
    """What the run says of it."""
    return f"{whole(vanished)} prospects sur {whole(held)} ont disparu d’un coup de la réponse\u202f: {_DOUBTED}"


def count_held() -> int:
    """How many prospects WinLeadPlus named last time."""
    present = select(func.count()).select_from(SyncMapping).where(SyncMapping.missing_since.is_(None))
    return db.session.scalar(present) or 0


def flag(vanished: list[str], *, at: datetime) -> None:
    """Say of these prospects that WinLeadPlus no longer names them, in the caller's transaction."""
    db.session.execute(
        update(SyncMapping)
        .where(SyncMapping.external_id.in_(vanished))
        .values(missing_since=at)
        .execution_options(synchronize_session=False)
    )


def name(vanished: list[str], run_id: UUID, *, at: datetime) -> None:
    """Keep which they are as items of the run, in the caller's transaction: to be looked at, and may be confirmed."""
    values = {"run_id": run_id, "vanished": vanished, "at": at, "organisation_id": tenancy.current_organisation_id()}
    db.session.execute(_NAME, values)


def confirm(run_id: UUID, *, by: User, at: datetime) -> int:
    """Flag those that the run named, since an admin says that they are gone indeed; again, nothing more happens.

    Returns how many. Raises NotFoundError, ForbiddenError; DomainError where a later run has looked since.
    """
    if not by.has_role(Role.ADMIN):
        raise ForbiddenError("Confirmer des absences est réservé aux administrateurs.")
    with transaction():
        wanted = select(SyncRun).where(SyncRun.id == run_id).with_for_update()
        run = db.session.scalar(wanted.execution_options(populate_existing=True))
        if run is None:
            raise NotFoundError("Cette synchronisation n’existe pas ou plus.")
        if run.absence_confirmed_at is not None:
            return 0
        if not awaits_confirmation(run):
            raise DomainError("Une synchronisation plus récente a eu lieu\u202f: c’est elle qui fait foi.")
        run.absence_confirmed_at = at
        run.error = (run.error or "").replace(_DOUBTED, _CONFIRMED)
        named = select(SyncItem.external_id).where(SyncItem.run_id == run_id, SyncItem.kind == ItemKind.ABSENT)
        flagged = db.session.execute(
            update(SyncMapping)
            .where(SyncMapping.external_id.in_(named), SyncMapping.missing_since.is_(None))
            .values(missing_since=run.finished_at)
            .execution_options(synchronize_session=False)
        )
    return int(flagged.rowcount)  # type: ignore[attr-defined]


def awaits_confirmation(run: SyncRun) -> bool:
    """Whether the run is the last that looked, and what it found missing was neither believed nor confirmed."""
    if not run.absent or not run.is_finished or run.absence_confirmed_at is not None:
        return False
    later = select(SyncRun.id).where(
        SyncRun.started_at > run.started_at,
        SyncRun.dry_run.is_(False),
        SyncRun.status.in_((RunStatus.SUCCESS, RunStatus.PARTIAL)),
    )
    return db.session.scalar(later.limit(1)) is None
