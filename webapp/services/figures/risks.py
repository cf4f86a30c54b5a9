"""Risques: what a manager should look at before it costs something. Each number leads to the rows behind it."""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from uuid import UUID

from sqlalchemy import select

from webapp.extensions import db
from webapp.models.contracts import ContractStatus
from webapp.models.runs import RunStatus
from webapp.models.winleadplus import SyncRun
from webapp.services.contracts.selection import ContractsView
from webapp.services.figures.breakdowns import Number, number
from webapp.services.figures.portfolio import ClientsNumber, count_portfolios, portfolio, portfolios_in
from webapp.services.figures.scope import Scope
from webapp.services.winleadplus.status import count_open_conflicts

HORIZONS = (30, 60, 90)
"""Within how many days contracts end."""


@dataclass(frozen=True)
class Conflicts:
    """Prospects of the last synchronisation that wait for a person to link them; ``run_id`` None before the first."""

    number: int
    run_id: UUID | None


@dataclass(frozen=True)
class Risks:
    """What is at risk in a scope. ``without_commercial`` and ``conflicts`` are nobody's: only who sees all has them.

    ``ending`` by number of days; ``without_contact`` by what a list can show at once.
    """

    ending: dict[int, Number]
    without_mandate: Number
    without_contact: list[ClientsNumber]
    without_commercial: ClientsNumber | None
    conflicts: Conflicts | None


def find_risks(scope: Scope, *, today: date) -> Risks:
    """The risks in ``scope`` as of ``today``."""
    active = replace(scope.view, status=ContractStatus.ACTIVE)
    lacking = count_portfolios(lacks_contact=True)
    return Risks(
        ending={days: number(_ending(active, today, days)) for days in HORIZONS},
        without_mandate=number(replace(scope.view, lacks_mandate=True)),
        without_contact=portfolios_in(scope, lacking, lacks_contact=True),
        without_commercial=portfolio(None, count_portfolios()) if scope.is_all else None,
        conflicts=count_conflicts() if scope.is_all else None,
    )


def _ending(view: ContractsView, today: date, days: int) -> ContractsView:
    return replace(view, ends_since=today, ends_until=today + timedelta(days=days))


def count_conflicts() -> Conflicts:
    """Conflicts that the last real run left: what waits is tried again by each, so older ones tell nothing new."""
    run_id = db.session.scalar(
        select(SyncRun.id)
        .where(SyncRun.status.in_([RunStatus.SUCCESS, RunStatus.PARTIAL]), SyncRun.dry_run.is_(False))
        .order_by(SyncRun.started_at.desc(), SyncRun.id.desc())
        .limit(1)
    )
    return Conflicts(count_open_conflicts(run_id) if run_id else 0, run_id)
