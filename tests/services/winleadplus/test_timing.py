"""Every organisation synchronises by itself, at its own interval, where the integration is on."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from tests import factories
from tests.conftest import Cast
from webapp import tenancy
from webapp.extensions import db
from webapp.models.runs import RunTrigger
from webapp.models.winleadplus import SyncRun, WinLeadPlusConfig
from webapp.services.winleadplus import runs, status, timing

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def _runs() -> list[SyncRun]:
    db.session.expire_all()
    return list(db.session.scalars(select(SyncRun)))


def _config() -> WinLeadPlusConfig:
    return db.session.scalars(select(WinLeadPlusConfig)).one()


@pytest.fixture
def alone(cast: Cast) -> None:
    """No other organisation synchronises."""
    with tenancy.organisation(cast.other_organisation.id):
        factories.WinLeadPlusConfigFactory(enabled=False)
    db.session.commit()


@pytest.mark.usefixtures("alone")
def test_a_run_starts_every_hour(cast: Cast) -> None:
    assert timing.start_due_runs(at=NOON) == 0
    assert timing.start_due_runs(at=NOON + timedelta(minutes=59)) == 0
    assert timing.start_due_runs(at=NOON + timedelta(minutes=60)) == 1
    (run,) = _runs()
    assert run.trigger is RunTrigger.SCHEDULED
    assert timing.start_due_runs(at=NOON + timedelta(minutes=61)) == 0


@pytest.mark.usefixtures("alone")
def test_a_tick_during_a_run_joins_it(cast: Cast) -> None:
    timing.start_due_runs(at=NOON)
    runs.start(trigger=RunTrigger.MANUAL, at=NOON + timedelta(minutes=59))
    timing.start_due_runs(at=NOON + timedelta(minutes=60))
    assert len(_runs()) == 1


@pytest.mark.usefixtures("alone")
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


@pytest.mark.usefixtures("alone")
def test_a_tick_during_a_simulation_is_not_lost(cast: Cast) -> None:
    timing.start_due_runs(at=NOON)
    runs.start(trigger=RunTrigger.MANUAL, at=NOON + timedelta(minutes=59), dry_run=True)
    timing.start_due_runs(at=NOON + timedelta(minutes=60))
    assert sorted((run.dry_run, run.is_finished) for run in _runs()) == [(False, False), (True, True)]


def test_a_new_organisation_synchronises_by_itself_without_ever_having_set_anything(cast: Cast) -> None:
    with tenancy.organisation(cast.other_organisation.id):
        assert db.session.scalar(select(WinLeadPlusConfig)) is None
        assert status.overview(at=NOON + timedelta(minutes=12)).next_at == NOON + timedelta(hours=1)
    _config().enabled = False
    db.session.commit()
    assert timing.start_due_runs(at=NOON + timedelta(minutes=12)) == 0
    assert timing.start_due_runs(at=NOON + timedelta(hours=1)) == 1
    with tenancy.organisation(cast.other_organisation.id):
        assert [run.trigger for run in _runs()] == [RunTrigger.SCHEDULED]
