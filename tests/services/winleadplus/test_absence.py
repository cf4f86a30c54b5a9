"""Prospects that vanish: flagged, unless too many do at once to believe it; and a run that somebody stops."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import select

from tests.conftest import Cast
from tests.services.winleadplus.conftest import Sync, counts
from tests.services.winleadplus.looking import client_of
from tests.services.winleadplus.raw import first
from tests.upstream import Upstream
from webapp import clock, tenancy
from webapp.errors import DomainError, ForbiddenError, NotFoundError
from webapp.extensions import db
from webapp.models.runs import RunStatus, RunTrigger
from webapp.models.winleadplus import ItemKind, SyncItem, SyncMapping, SyncRun
from webapp.services.clients.listing import list_clients
from webapp.services.clients.selection import ClientsView
from webapp.services.winleadplus import absence, runs, status
from webapp.services.winleadplus.carry_out import carry_out

ALL = range(1, 31)


def _absent() -> Sequence[str]:
    missing = select(SyncMapping.external_id).where(SyncMapping.missing_since.is_not(None))
    return db.session.scalars(missing.order_by(SyncMapping.external_id)).all()


@pytest.mark.parametrize(
    ("vanished", "held", "is_too_many"),
    [(20, 20, False), (21, 420, False), (21, 419, True), (21, 21, True), (50, 1001, False), (51, 1001, True)],
)
def test_more_than_twenty_and_more_than_one_in_twenty_are_too_many(vanished: int, held: int, is_too_many: bool) -> None:
    assert absence.is_incredible(vanished, held) is is_too_many


@pytest.fixture
def doubted(winleadplus: Upstream, sync: Sync) -> SyncRun:
    """A run whose answer lacked 25 of 30 prospects."""
    winleadplus.serve([first(number) for number in ALL])
    sync()
    winleadplus.serve([first(number) for number in range(1, 6)])
    return sync()


def test_too_many_at_once_change_nothing_and_are_named(doubted: SyncRun) -> None:
    assert (doubted.status, doubted.absent) == (RunStatus.PARTIAL, 25)
    assert "25 prospects sur 30" in (doubted.error or "")
    assert _absent() == []
    named = db.session.scalars(
        select(SyncItem.external_id).where(SyncItem.run_id == doubted.id, SyncItem.kind == ItemKind.ABSENT)
    )
    assert {int(each) for each in named} == set(range(6, 31))


def test_a_few_are_flagged_at_once_named_and_counted(winleadplus: Upstream, sync: Sync, cast: Cast) -> None:
    winleadplus.serve([first(number) for number in ALL])
    sync()
    winleadplus.serve([first(number) for number in ALL if number not in (7, 8)])
    clock.start_at(clock.now() + timedelta(hours=1))
    run = sync()
    assert (run.status, run.absent, _absent()) == (RunStatus.SUCCESS, 2, ["7", "8"])
    assert status.sentence(run) == "Sync terminée : 0 créés, 0 mis à jour, 28 ignorés, 2 signalés absents"
    named = select(SyncItem.external_id).where(SyncItem.run_id == run.id, SyncItem.kind == ItemKind.ABSENT)
    assert sorted(db.session.scalars(named)) == ["7", "8"]
    assert not absence.awaits_confirmation(run)
    assert absence.confirm(run.id, by=cast.admin, at=clock.now()) == 0
    clock.start_at(clock.now() + timedelta(hours=1))
    again = sync()
    assert (again.absent, _absent()) == (0, ["7", "8"])  # told once


def test_an_empty_answer_is_not_believed_either(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(number) for number in ALL])
    sync()
    winleadplus.serve([])
    assert (sync().status, _absent()) == (RunStatus.PARTIAL, [])


def test_an_admin_confirms_it_once(cast: Cast, doubted: SyncRun) -> None:
    for who in (cast.manager, cast.commercial):
        with pytest.raises(ForbiddenError):
            absence.confirm(doubted.id, by=who, at=clock.now())
    assert absence.confirm(doubted.id, by=cast.admin, at=clock.now()) == 25
    assert absence.confirm(doubted.id, by=cast.admin, at=clock.now()) == 0
    assert len(_absent()) == 25
    db.session.refresh(doubted)
    assert "l’a confirmé" in (doubted.error or "")
    listed = list_clients(ClientsView(absent=True))
    assert (listed.total.number, len(listed.page.rows)) == (25, 25)


def test_what_came_back_before_the_admin_looked_is_no_longer_his_to_confirm(
    cast: Cast, winleadplus: Upstream, sync: Sync, doubted: SyncRun
) -> None:
    clock.start_at(clock.now() + timedelta(hours=1))
    winleadplus.serve([first(number) for number in ALL])
    assert sync().status is RunStatus.SUCCESS
    with pytest.raises(DomainError, match="plus récente"):
        absence.confirm(doubted.id, by=cast.admin, at=clock.now())
    assert _absent() == []


def test_another_organisation_confirms_and_stops_nothing(cast: Cast, doubted: SyncRun) -> None:
    with tenancy.organisation(cast.other_organisation.id):
        for ask in (absence.confirm, runs.stop):
            with pytest.raises(NotFoundError):
                ask(doubted.id, by=cast.outsider, at=clock.now())


def test_a_run_stops_between_two_chunks_and_says_so(cast: Cast, winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(number) for number in ALL])
    run_id, _ = runs.start(trigger=RunTrigger.MANUAL, at=clock.now(), by=cast.commercial.id, enqueue=False)
    with pytest.raises(ForbiddenError):
        runs.stop(run_id, by=cast.colleague, at=clock.now())
    runs.stop(run_id, by=cast.commercial, at=clock.now())
    carry_out(cast.organisation.id, run_id)
    db.session.expire_all()
    stopped = runs.find_run(run_id)
    assert stopped
    assert (stopped.status, stopped.error) == (RunStatus.PARTIAL, runs.STOPPED)
    assert counts(sync()) == (30, 0, 0)
    assert client_of(1).city == "Lille"
