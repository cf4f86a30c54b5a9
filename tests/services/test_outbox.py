"""What happened is written with the change, and told at least once to each subscriber."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import select

from jobs import outbox as jobs
from tests import factories
from tests.conftest import Cast
from webapp import clock, queue, tenancy
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.outbox import OutboxDelivery, OutboxEvent, OutboxKind
from webapp.services import outbox
from webapp.transactions import transaction

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
CHARGED = OutboxKind.SUBSCRIPTION_CHARGED
SUBJECT = UUID(int=7)

heard: list[tuple[str, UUID]] = []
deaf = False


def listen(event: OutboxEvent) -> None:
    heard.append((event.kind.value, event.subject_id))


def write(event: OutboxEvent) -> None:
    """Write a client, then fail if the test says so."""
    with transaction():
        factories.ClientFactory(last_name=f"Told of {event.subject_id.int}")
    if deaf:
        raise RuntimeError("not listening")


@pytest.fixture(autouse=True)
def subscribers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    listeners = (f"{__name__}.listen", f"{__name__}.write")
    monkeypatch.setitem(outbox.SUBSCRIBERS, CHARGED, listeners)
    yield
    heard.clear()


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.deaf", True)


def _told() -> int:
    return len(db.session.scalars(select(Client).where(Client.last_name.like("Told of%"))).all())


def _delivery(subscriber: str) -> OutboxDelivery:
    return db.session.scalars(
        select(OutboxDelivery)
        .where(OutboxDelivery.subscriber == f"{__name__}.{subscriber}")
        .execution_options(populate_existing=True)
    ).one()


def test_every_subscriber_listed_in_the_code_exists() -> None:
    for names in outbox.SUBSCRIBERS.values():
        for name in names:
            assert callable(outbox._resolve(name))


def test_an_event_is_delivered_to_each_subscriber_once(cast: Cast) -> None:
    outbox.emit(CHARGED, SUBJECT, at=NOON, payload={"cycle": 3})
    assert outbox.deliver(cast.organisation.id, at=NOON) == 2
    assert outbox.deliver(cast.organisation.id, at=NOON) == 0
    assert heard == [("subscription.charged", SUBJECT)]
    assert _told() == 1
    (event,) = outbox.list_events(SUBJECT)
    assert event.payload == {"cycle": 3}
    assert [delivery.delivered_at for delivery in event.deliveries] == [NOON, NOON]


def test_an_event_nobody_listens_to_is_kept_and_rings_no_bell(cast: Cast) -> None:
    outbox.emit(OutboxKind.SUBSCRIPTION_CREATED, SUBJECT, at=NOON)
    assert len(outbox.list_events(SUBJECT)) == 1
    assert queue.queue("outbox").jobs == []


def test_an_event_goes_with_the_change_that_was_rolled_back(cast: Cast) -> None:
    with pytest.raises(ZeroDivisionError), transaction():
        outbox.emit(CHARGED, SUBJECT, at=NOON)
        raise ZeroDivisionError
    assert outbox.list_events(SUBJECT) == []
    assert queue.queue("outbox").jobs == []


def test_many_events_ring_once_until_the_bell_is_heard(cast: Cast) -> None:
    for _ in range(3):
        outbox.emit(CHARGED, SUBJECT, at=NOON)
    (job,) = queue.queue("outbox").jobs
    assert (job.func_name, job.args) == (outbox.JOB, [str(cast.organisation.id)])
    outbox.deliver(cast.organisation.id, at=NOON)
    outbox.emit(CHARGED, SUBJECT, at=NOON)
    assert len(queue.queue("outbox").jobs) == 2


def test_a_failing_subscriber_leaves_nothing_behind_and_does_not_stop_the_others(cast: Cast, failing: None) -> None:
    outbox.emit(CHARGED, SUBJECT, at=NOON)
    assert outbox.deliver(cast.organisation.id, at=NOON) == 1
    assert _told() == 0
    assert heard == [("subscription.charged", SUBJECT)]
    delivery = _delivery("write")
    assert delivery.error == "RuntimeError: not listening"
    assert (delivery.attempts, delivery.delivered_at) == (1, None)


def test_a_failed_delivery_is_tried_again_later_and_later(
    cast: Cast, failing: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox.emit(CHARGED, SUBJECT, at=NOON)
    outbox.deliver(cast.organisation.id, at=NOON)
    second = NOON + outbox.FIRST_WAIT
    assert outbox.deliver(cast.organisation.id, at=second - timedelta(seconds=1)) == 0
    outbox.deliver(cast.organisation.id, at=second)
    assert _delivery("write").next_attempt_at == second + 2 * outbox.FIRST_WAIT
    monkeypatch.setattr(f"{__name__}.deaf", False)
    assert outbox.deliver(cast.organisation.id, at=NOON + timedelta(minutes=5)) == 1
    assert _told() == 1
    assert _delivery("write").error is None


def test_waiting_never_exceeds_an_hour(cast: Cast, failing: None) -> None:
    outbox.emit(CHARGED, SUBJECT, at=NOON)
    with transaction():
        _delivery("write").attempts = 5000
    outbox.deliver(cast.organisation.id, at=NOON)
    assert _delivery("write").next_attempt_at == NOON + outbox.LONGEST_WAIT


def test_a_delivery_that_another_worker_holds_is_passed_over(committed: None) -> None:
    cast = factories.make_cast(Cast)
    organisation_id = cast.organisation.id
    outbox.emit(CHARGED, SUBJECT, at=NOON)
    held = select(OutboxDelivery.event_id).where(OutboxDelivery.organisation_id == organisation_id).with_for_update()
    with db.engine.connect() as other_worker:
        assert len(other_worker.execute(held).all()) == 2
        assert outbox.deliver(organisation_id, at=NOON) == 0
    assert outbox.deliver(organisation_id, at=NOON) == 2
    assert len(heard) == 1


def test_the_sweeper_rings_for_what_redis_forgot(cast: Cast) -> None:
    outbox.emit(CHARGED, SUBJECT, at=NOON)
    queue.queue("outbox").connection.flushdb()
    tenancy.enter_organisation(None)
    assert outbox.sweep(at=NOON) == 0
    assert outbox.sweep(at=NOON + outbox.PATIENCE) == 1
    assert len(queue.queue("outbox").jobs) == 1


def test_the_job_delivers_what_waits(cast: Cast) -> None:
    outbox.emit(CHARGED, SUBJECT, at=clock.now())
    jobs.deliver(str(cast.organisation.id))
    assert heard == [("subscription.charged", SUBJECT)]


def test_another_organisations_events_stay_with_it(cast: Cast) -> None:
    outbox.emit(CHARGED, SUBJECT, at=NOON)
    assert outbox.deliver(cast.other_organisation.id, at=NOON) == 0
    with tenancy.organisation(cast.other_organisation.id):
        assert outbox.list_events(SUBJECT) == []


def test_what_was_delivered_long_ago_goes_with_its_deliveries(cast: Cast) -> None:
    outbox.emit(CHARGED, SUBJECT, at=NOON)
    outbox.emit(OutboxKind.SUBSCRIPTION_CREATED, SUBJECT, at=NOON)
    outbox.deliver(cast.organisation.id, at=NOON)
    later = NOON + outbox.KEPT
    outbox.emit(CHARGED, SUBJECT, at=later)
    outbox.deliver(cast.organisation.id, at=later)
    tenancy.enter_organisation(None)
    assert outbox.prune(at=later) == 0
    assert outbox.prune(at=later + timedelta(seconds=1)) == 2
    tenancy.enter_organisation(cast.organisation.id)
    assert [event.occurred_at for event in outbox.list_events(SUBJECT)] == [later]
    assert {each.event_id for each in db.session.scalars(select(OutboxDelivery))} == {
        event.id for event in outbox.list_events(SUBJECT)
    }


def test_what_somebody_has_not_heard_stays_however_old(cast: Cast, failing: None) -> None:
    outbox.emit(CHARGED, SUBJECT, at=NOON)
    outbox.deliver(cast.organisation.id, at=NOON)
    assert outbox.prune(at=NOON + 2 * outbox.KEPT) == 0
    assert len(outbox.list_events(SUBJECT)) == 1


def test_pruning_is_done_little_by_little(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "PRUNED_AT_ONCE", 2)
    for hour in range(3):
        outbox.emit(OutboxKind.SUBSCRIPTION_CREATED, SUBJECT, at=NOON + timedelta(hours=hour))
    late = NOON + 2 * outbox.KEPT
    assert [outbox.prune(at=late) for _ in range(3)] == [2, 1, 0]
