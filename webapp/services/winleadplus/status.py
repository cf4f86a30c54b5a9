"""What pages tell about synchronisations: how fresh the clients are, the last runs, and what these left. No writes."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select, tuple_
from sqlalchemy.orm import joinedload, undefer

from webapp.extensions import db
from webapp.french import whole
from webapp.models.base import linked
from webapp.models.clients import Client
from webapp.models.identity import User
from webapp.models.runs import RunStatus
from webapp.models.winleadplus import ItemKind, SyncItem, SyncRun, WinLeadPlusConfig
from webapp.services.winleadplus.config import defaults
from webapp.services.winleadplus.timing import next_due

RUNS_SHOWN = 6
ITEMS_SHOWN = 50

PROBLEMS = (ItemKind.CONFLICT, ItemKind.ERROR, ItemKind.WARNING)
"""What a person may want to look at, or to end."""

_STANDING = select(
    WinLeadPlusConfig,
    select(SyncRun.finished_at)
    .where(SyncRun.status == RunStatus.SUCCESS, SyncRun.dry_run.is_(False))
    .order_by(SyncRun.started_at.desc())
    .limit(1)
    .scalar_subquery(),
)
_NEWEST = (SyncRun.started_at.desc(), SyncRun.id.desc())
_NEWEST_RUNS = select(SyncRun).options(joinedload(SyncRun.requested_by)).order_by(*_NEWEST)
_BY_PROSPECT = (SyncItem.external_id, SyncItem.kind)
"""The order of the unique index: a page of items reads its own rows."""


@dataclass(frozen=True)
class Runs:
    """A page of runs, newest first. ``before`` continues it, None on the last page."""

    rows: Sequence[SyncRun]
    before: UUID | None


@dataclass(frozen=True)
class SynchronisationOverview:
    """How the current organisation stands with WinLeadPlus at the instant ``at``.

    An organisation without a configuration has the default one. ``next_at`` is None while nothing is scheduled,
    ``last_success_at`` while no run but a simulation has succeeded.
    """

    at: datetime
    is_enabled: bool
    next_at: datetime | None
    last_success_at: datetime | None
    runs: Runs

    @property
    def running(self) -> SyncRun | None:
        """The run under way: there is one at most, and it is the newest."""
        return next((run for run in self.runs.rows if not run.is_finished), None)

    @property
    def last_ended(self) -> SyncRun | None:
        """The newest run that came to its end and was no simulation."""
        return next((run for run in self.runs.rows if run.is_finished and not run.dry_run), None)


def overview(*, at: datetime, before: UUID | None = None) -> SynchronisationOverview:
    """All that the panel shows, in two statements whatever the number of runs; ``before`` as in ``list_runs``."""
    row = db.session.execute(_STANDING).first()
    config, last_success_at = row if row is not None else (defaults(), None)
    return SynchronisationOverview(
        at=at,
        is_enabled=config.enabled,
        next_at=next_due(config, at=at),
        last_success_at=last_success_at,
        runs=list_runs(before=before),
    )


def list_runs(*, before: UUID | None = None, limit: int = RUNS_SHOWN) -> Runs:
    """The runs older than the run ``before``, or the newest ones; ``requested_by`` is loaded with them."""
    statement = _NEWEST_RUNS
    if before is not None:
        started_at = select(SyncRun.started_at).where(SyncRun.id == before).scalar_subquery()
        statement = statement.where(tuple_(SyncRun.started_at, SyncRun.id) < tuple_(started_at, before))
    rows = db.session.scalars(statement.limit(limit + 1)).all()
    page = rows[:limit]
    return Runs(page, before=page[-1].id if len(rows) > limit else None)


def select_all_runs() -> Select[*tuple[Any, ...]]:
    """Every run in that order, joined with who asked for it: an export adds the columns."""
    return select(SyncRun.id).outerjoin(User, linked(User, SyncRun.requested_by_id)).order_by(*_NEWEST)


def sentence(run: SyncRun) -> str:
    """How an ended run went, in a sentence; for one that failed, why."""
    if run.status is RunStatus.FAILED:
        return run.error or "La synchronisation a échoué."
    if run.dry_run:
        parts = [f"{run.created} à créer", f"{run.updated} à mettre à jour", _counted(run.skipped, "ignoré")]
    else:
        parts = [_counted(run.created, "créé"), f"{run.updated} mis à jour", _counted(run.skipped, "ignoré")]
    parts += [f"{run.errors} en erreur"] if run.errors else []
    parts += [f"{run.conflicts} à rattacher"] if run.conflicts else []
    is_flagged = run.absent and run.absence_confirmed_at is not None
    parts += [_counted(run.absent, "signalé") + (" absents" if run.absent > 1 else " absent")] if is_flagged else []
    ended = f"{'Simulation' if run.dry_run else 'Sync'} terminée : {', '.join(parts)}"
    return f"{ended}. {run.error}" if run.error else ended


def _counted(number: int, participle: str) -> str:
    """With the plural at zero, as the sentence was asked for: « 250 créés, 0 mis à jour, 0 ignorés »."""
    return f"{whole(number)} {participle if number == 1 else f'{participle}s'}"


@dataclass(frozen=True)
class Items:
    """A page of what a run did or would do, by prospect. ``after`` continues it, None on the last page.

    ``candidates`` holds, by id, the clients that the conflicts among them may be linked to.
    """

    rows: Sequence[SyncItem]
    after: UUID | None
    candidates: Mapping[UUID, Client]


def count_open_conflicts(run_id: UUID) -> int:
    """How many prospects of a run still wait for a person to link them, or to say that they are new."""
    waiting = select(func.count()).select_from(SyncItem)
    waiting = waiting.where(
        SyncItem.run_id == run_id, SyncItem.kind == ItemKind.CONFLICT, SyncItem.resolved_at.is_(None)
    )
    return db.session.scalars(waiting).one()


def list_items(run_id: UUID, *, kinds: Collection[ItemKind], after: UUID | None = None, is_open: bool = False) -> Items:
    """The run's items of these kinds, ITEMS_SHOWN at a time, after the item ``after``; those not ended, if so asked."""
    statement = (
        select(SyncItem)
        .options(undefer(SyncItem.before), undefer(SyncItem.after))
        .where(*_items_of(run_id, kinds, is_open))
        .order_by(*_BY_PROSPECT)
        .limit(ITEMS_SHOWN + 1)
    )
    last = find_item(run_id, after) if after else None
    if last is not None:
        statement = statement.where(tuple_(*_BY_PROSPECT) > tuple_(last.external_id, last.kind.value))
    rows = db.session.scalars(statement).all()
    page = rows[:ITEMS_SHOWN]
    return Items(page, after=page[-1].id if len(rows) > ITEMS_SHOWN else None, candidates=find_candidates(page))


@dataclass(frozen=True)
class ItemsView:
    """The items of a run of these kinds; those not ended, where ``is_open``."""

    run_id: UUID
    kinds: tuple[ItemKind, ...]
    is_open: bool = False


def select_all_items(view: ItemsView) -> Select[*tuple[Any, ...]]:
    """Every item of a view in that order, joined with its run: an export adds the columns."""
    return (
        select(SyncItem.id)
        .join(SyncRun, linked(SyncRun, SyncItem.run_id))
        .where(*_items_of(view.run_id, view.kinds, view.is_open))
        .order_by(*_BY_PROSPECT)
    )


def _items_of(run_id: UUID, kinds: Collection[ItemKind], is_open: bool) -> list[ColumnElement[bool]]:
    still_open = [SyncItem.resolved_at.is_(None)] if is_open else []
    return [SyncItem.run_id == run_id, SyncItem.kind.in_(kinds), *still_open]


def find_item(run_id: UUID, item_id: UUID) -> SyncItem | None:
    """An item of a run of the current organisation."""
    statement = select(SyncItem).where(SyncItem.id == item_id, SyncItem.run_id == run_id)
    return db.session.scalar(statement.execution_options(populate_existing=True))


def find_candidates(items: Collection[SyncItem]) -> Mapping[UUID, Client]:
    """The clients that these items name as candidates, by id; those deleted since are missing."""
    ids = {client_id for item in items for client_id in item.candidate_ids}
    if not ids:
        return {}
    return {client.id: client for client in db.session.scalars(select(Client).where(Client.id.in_(ids)))}
