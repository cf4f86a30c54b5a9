"""A pull is started once, owned by one process at a time, and always brought to an end."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from demo.woocommerce_shop import Shop
from tests.conftest import NOW, Cast
from tests.queries import recorded_statements
from tests.services.woocommerce.conftest import Connected, Pull, connect
from webapp import clock, tenancy
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.runs import RunStatus, RunTrigger
from webapp.models.woocommerce import PullScope, WooCommercePull
from webapp.services.leases import LeaseLostError
from webapp.services.woocommerce import pulling, pulls
from webapp.services.woocommerce.pulls import PullRefusedError
from webapp.transactions import transaction

LATER = NOW + pulls.LEASE + timedelta(seconds=1)


def start(connected: Connected, scope: PullScope = PullScope.RECENT, *, at: datetime = NOW, **options: Any) -> Any:
    return pulls.start(connected.row.id, scope=scope, trigger=RunTrigger.MANUAL, at=at, enqueue=False, **options)


def test_one_pull_runs_at_a_time_and_a_second_click_joins_it(connected: Connected) -> None:
    pull_id, is_new = start(connected)
    assert (start(connected), is_new) == ((pull_id, False), True)
    running = pulls.find_running(connected.row.id)
    assert running
    assert (running.id, pulls.sentence(running)) == (pull_id, "Le relevé va commencer…")


def test_a_shop_without_a_key_or_switched_off_is_not_pulled(connected: Connected) -> None:
    connected.row.is_active = False
    db.session.commit()
    with pytest.raises(PullRefusedError, match="désactivée"):
        start(connected)
    connected.row.is_active, connected.row.credentials = True, None
    db.session.commit()
    with pytest.raises(PullRefusedError, match="Sans clé REST"):
        start(connected)


def test_the_shop_of_another_organisation_is_not_found(connected: Connected, cast: Cast) -> None:
    pull_id, _ = start(connected)
    with tenancy.organisation(cast.other_organisation.id):
        with pytest.raises(NotFoundError):
            start(connected)
        assert pulls.find_pull(pull_id) is None
        assert pulls.list_pulls(connected.row.id) == []


@pytest.mark.parametrize(
    ("since", "sentence"),
    [
        (None, "Choisissez la date"),
        (NOW + timedelta(days=1), "dans le futur"),
        (datetime(1990, 1, 1, tzinfo=NOW.tzinfo), "dix ans"),
    ],
)
def test_a_first_pull_begins_at_a_date_that_makes_sense(
    since: datetime | None, sentence: str, connected: Connected
) -> None:
    with pytest.raises(InvalidInputError, match=sentence) as refused:
        start(connected, PullScope.FIRST, since=since)
    assert refused.value.field == "since"


def test_whoever_lost_the_lease_writes_nothing_more(connected: Connected) -> None:
    pull_id, _ = start(connected)
    first = pulls.claim(pull_id, at=NOW)
    assert first
    assert pulls.claim(pull_id, at=NOW) is None
    second = pulls.claim(pull_id, at=LATER)
    assert second
    with pytest.raises(LeaseLostError), transaction():
        pulls.renew(first, at=LATER, done=7)
    pulls.renew(second, at=LATER, done=1)
    with pytest.raises(LeaseLostError):
        pulls.finish(first, status=RunStatus.SUCCESS, at=LATER)
    with recorded_statements() as statements, transaction():
        pulls.finish(second, status=RunStatus.SUCCESS, at=LATER)
    assert len([each for each in statements if each.startswith("UPDATE")]) == 1
    ended = pulls.find_pull(pull_id)
    assert ended
    assert (ended.done, ended.status, ended.lease_until) == (1, RunStatus.SUCCESS, None)


def test_a_pull_that_ended_process_after_process_is_closed(connected: Connected) -> None:
    pull_id, _ = start(connected)
    for number in range(pulls.MAX_ATTEMPTS):
        assert pulls.claim(pull_id, at=NOW + number * 2 * pulls.LEASE)
    assert pulls.claim(pull_id, at=NOW + 20 * pulls.LEASE) is None
    ended = pulls.find_pull(pull_id)
    assert ended
    assert (ended.status, pulls.sentence(ended)) == (RunStatus.FAILED, pulls.INTERRUPTED)


def test_a_lost_bell_and_a_dead_worker_are_swept(connected: Connected) -> None:
    pull_id, _ = start(connected)
    assert pulls.sweep(at=NOW) == 0
    assert pulls.sweep(at=NOW + pulls.WAITING_LIMIT + timedelta(seconds=1)) == 1
    pulls.claim(pull_id, at=NOW)
    assert pulls.sweep(at=NOW) == 0
    assert pulls.sweep(at=LATER) == 1


# ---- The timetable


def scheduled(at: datetime) -> list[PullScope]:
    """What the timetable starts at an instant; each pull ends at once."""
    pulls.start_due(at=at)
    db.session.expire_all()
    running = [each for each in db.session.query(WooCommercePull) if not each.is_finished]
    for each in running:
        each.status, each.finished_at = RunStatus.SUCCESS, at
    db.session.flush()
    return [each.scope for each in running]


def test_shops_are_pulled_every_hour_and_once_a_night_whole(connected: Connected) -> None:
    midnight = NOW.replace(hour=23, minute=5)  # 0:05 or 1:05 in Paris
    assert scheduled(midnight - timedelta(hours=1)) == []  # the very first tick does nothing
    night = [scope for hour in range(12) for scope in scheduled(midnight + timedelta(hours=hour))]
    assert night.count(PullScope.NIGHTLY) == 1
    assert night.count(PullScope.RECENT) == 11
    assert scheduled(midnight + timedelta(hours=11, minutes=10)) == []
    tomorrow = [scope for hour in range(12, 36) for scope in scheduled(midnight + timedelta(hours=hour))]
    assert tomorrow.count(PullScope.NIGHTLY) == 1


def test_a_shop_that_cannot_be_read_is_not_scheduled(connected: Connected) -> None:
    connected.row.is_active = False
    db.session.flush()
    assert [scheduled(NOW + timedelta(hours=hour)) for hour in range(3)] == [[], [], []]


def test_pulls_of_long_ago_are_forgotten(connected: Connected, pull: Pull) -> None:
    pull()
    assert pulls.prune(at=NOW + pulls.KEPT - timedelta(days=1)) == 0
    assert pulls.prune(at=NOW + pulls.KEPT + timedelta(days=1)) == 1


# ---- What is told


def test_what_came_of_a_pull_is_told(connected: Connected, pull: Pull, cast: Cast) -> None:
    connected.shop.world.buy()
    assert pulls.sentence(pull()) == "1 ressource mise à jour."
    assert pulls.sentence(pull()) == "Rien de nouveau\u202f: 1 ressource inchangée."
    newest = pulls.list_pulls(connected.row.id)[0]
    assert newest.requested_by
    assert newest.requested_by.id == cast.manager.id
    assert not pulls.has_been_taken_over(connected.row.id)
    pull(PullScope.FIRST, since=NOW - timedelta(days=1))
    assert pulls.has_been_taken_over(connected.row.id)


def test_how_far_a_pull_has_come_is_told(connected: Connected) -> None:
    pull_id, _ = start(connected)
    lease = pulls.claim(pull_id, at=NOW)
    assert lease
    running = pulls.find_pull(pull_id)
    assert running
    assert pulls.sentence(running) == "Relevé en cours…"
    pulls.renew(lease, at=NOW, phase="Commandes", done=200, total=900)
    db.session.refresh(running)
    assert pulls.sentence(running) == "Commandes\u202f: 200 sur 900…"


def test_another_organisation_can_pull_the_same_shop(connected: Connected, shop: Shop, cast: Cast, pull: Pull) -> None:
    connected.shop.world.buy()
    pull()
    with tenancy.organisation(cast.other_organisation.id):
        row = connect(shop)
        pull_id, _ = pulls.start(
            row.id, scope=PullScope.RECENT, trigger=RunTrigger.MANUAL, at=clock.now(), enqueue=False
        )
        pulling.carry_out(cast.other_organisation.id, pull_id)
        ended = pulls.find_pull(pull_id)
        assert ended
        assert (ended.status, ended.applied) == (RunStatus.SUCCESS, 1)
