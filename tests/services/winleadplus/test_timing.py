"""Every organisation synchronises by itself, at its own interval, where the integration is on."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from tests import factories
from tests.conftest import Cast
from webapp import tenancy
from webapp.extensions import db
from webapp.models.winleadplus import RunTrigger, SyncRun, WinLeadPlusConfig
from webapp.services.winleadplus import runs, timing

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def _runs() -> list[SyncRun]:
    db.session.expire_all()
    return list(db.session.scalars(select(SyncRun)))


def _config() -> WinLeadPlusConfig:
    return db.session.scalars(select(WinLeadPlusConfig)).one()


def test_a_run_starts_every_hour(cast: Cast) -> None:
    assert timing.start_due_runs(at=NOON) == 0
    assert timing.start_due_runs(at=NOON + timedelta(minutes=59)) == 0
    assert timing.start_due_runs(at=NOON + timedelta(minutes=60)) == 1
    (run,) = _runs()
    assert run.trigger is RunTrigger.SCHEDULED
    assert timing.start_due_runs(at=NOON + timedelta(minutes=61)) == 0


def test_a_tick_during_a_run_joins_it(cast: Cast) -> None:
    timing.start_due_runs(at=NOON)
    runs.start(trigger=RunTrigger.MANUAL, at=NOON + timedelta(minutes=59))
    timing.start_due_runs(at=NOON + timedelta(minutes=60))
    assert len(_runs()) == 1


def test_a_disabled_integration_stays_quiet(cast: Cast) -> None:
    _config().enabled = False
    db.session.commit()
    timing.start_due_runs(at=NOON)
    assert timing.start_due_runs(at=NOON + timedelta(hours=1)) == 0


def test_each_organisation_keeps_its_own_interval(cast: Cast) -> None:
    _config().interval_minutes = 15
    with tenancy.organisation(cast.other_organisation.id):
        factories.WinLeadPlusConfigFactory(interval_minutes=60)
    db.session.commit()
    timing.start_due_runs(at=NOON)
    assert timing.start_due_runs(at=NOON + timedelta(minutes=15)) == 1
    assert timing.start_due_runs(at=NOON + timedelta(minutes=60)) == 2


def test_the_next_run_is_at_the_next_whole_interval(cast: Cast) -> None:
    config = _config()
    assert timing.next_due(config, at=NOON + timedelta(minutes=12)) == NOON + timedelta(hours=1)
    config.enabled = False
    assert timing.next_due(config, at=NOON) is None
