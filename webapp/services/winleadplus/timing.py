"""When an organisation synchronises by itself."""

from datetime import datetime, timedelta

import structlog
from sqlalchemy import func, select

from webapp import tenancy
from webapp.extensions import db
from webapp.models.organisations import Organisation
from webapp.models.runs import RunTrigger
from webapp.models.winleadplus import DEFAULT_INTERVAL_MINUTES, WinLeadPlusConfig
from webapp.services.schedule import take_tick, tick_at
from webapp.services.winleadplus import runs
from webapp.transactions import transaction

log = structlog.get_logger()


def next_due(config: WinLeadPlusConfig, *, at: datetime) -> datetime | None:
    """The next tick of the organisation's grid after ``at``; None while its integration is switched off."""
    if not config.enabled:
        return None
    every = timedelta(minutes=config.interval_minutes)
    return tick_at(at, every) + every


def start_due_runs(*, at: datetime) -> int:
    """Start a run for every organisation whose tick has come. Returns how many ticks were taken."""
    with tenancy.across_organisations():
        configs = db.session.execute(
            select(Organisation.id, func.coalesce(WinLeadPlusConfig.interval_minutes, DEFAULT_INTERVAL_MINUTES))
            .outerjoin(WinLeadPlusConfig, WinLeadPlusConfig.organisation_id == Organisation.id)
            .where(WinLeadPlusConfig.enabled.is_not(False))  # without a row, the defaults hold
        ).all()
    started = 0
    for organisation_id, minutes in configs:
        with tenancy.organisation(organisation_id), transaction():
            # One transaction: a crash leaves the tick to be taken again, or the run to be found by the sweeper.
            if take_tick(f"winleadplus:{organisation_id}", every=timedelta(minutes=minutes), at=at):
                run_id, is_new = runs.start(trigger=RunTrigger.SCHEDULED, at=at)
                log.info("sync_scheduled", run_id=str(run_id), status="new" if is_new else "joined")
                started += 1
    return started
