"""kill -9 of receivers and workers before and after every commit: in the end the rows are those of an undisturbed day.

Besides: Redis forgets everything, PostgreSQL goes away in the middle, two workers share the work.
"""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError

from tests import factories
from tests.forking import die, was_killed
from tests.services.charges.crashing import fork_dying
from tests.services.woocommerce.deliveries import deliver, events, make_signed_shop
from tests.services.woocommerce.telling import Picture, picture
from tests.services.woocommerce.test_handling import BOX, CUSTOMER, LATER, PARENT, product, renewal
from tests.woocommerce import SECRET as REAL_SECRET
from tests.woocommerce import deliveries
from webapp import clock, queue, tenancy
from webapp.extensions import db
from webapp.models.events import EventState
from webapp.models.payments import Payment, PaymentKind
from webapp.models.woocommerce import ResourceKind, WooCommerceShop
from webapp.services import event_engine
from webapp.services.woocommerce import claiming, handling, projecting, receiving

DAY = (
    (renewal(), "order.created"),  # waits for its subscription, which waits for its client
    (BOX, "subscription.created"),
    (PARENT, "order.updated"),
    (CUSTOMER, "customer.created"),
    (BOX, "subscription.updated"),
    (product(), "product.updated"),
    (b"{", "order.updated"),
)
ENDS = [EventState.DONE] * 5 + [EventState.FAILED, EventState.IGNORED]
MOST_POINTS = 60
BEFORE_COMMITS = range(0, MOST_POINTS, 2)
"""More than there are: every commit has a point before and after it, and what follows one comes before the next."""


@pytest.fixture
def open_shop(committed: None) -> Callable[[], WooCommerceShop]:
    """Makes a shop in an organisation of its own, really committed, and enters it."""

    def make(*secrets: str, **more: Any) -> WooCommerceShop:
        clock.start_at(LATER)
        organisation = factories.OrganisationFactory()
        tenancy.enter_organisation(organisation.id)
        shop = make_signed_shop(factories.CompanyFactory(is_default=True).id, *secrets, **more)
        db.session.commit()
        return shop

    return make


def have_told(make: Callable[[], WooCommerceShop]) -> UUID:
    """A shop that has told its day; its organisation."""
    shop = make()
    for number, (content, topic) in enumerate(DAY):
        deliver(content, topic, at=LATER + timedelta(seconds=number), shop_id=shop.id, Delivery_ID=str(number))
    clock.start_at(LATER + timedelta(minutes=1))
    return shop.organisation_id


def fork(what: Callable[[], object], fatal: int | None = None) -> int:
    """Do ``what`` in a process of its own, which dies at the point; returns its process id."""
    return fork_dying(lambda _: what(), fatal=fatal)


def recover(organisation_id: UUID) -> None:
    """Time passes, and everybody is well again."""
    for _ in range(2):
        clock.start_at(clock.now() + event_engine.LEASE + timedelta(minutes=1))
        claiming.sweep(at=clock.now())
        handling.handle_due(organisation_id)


def stand(organisation_id: UUID) -> tuple[Picture, list[EventState]]:
    """What the shop's words have come to, and how their events ended."""
    tenancy.enter_organisation(organisation_id)
    db.session.expire_all()
    told = picture(db.session.scalars(select(WooCommerceShop)).one())
    ends = sorted(event.state for event in events())
    db.session.commit()
    return told, ends


@pytest.fixture
def undisturbed(open_shop: Callable[[], WooCommerceShop]) -> Picture:
    """What the day comes to where nobody dies."""
    organisation_id = have_told(open_shop)
    handling.handle_due(organisation_id)
    told, ends = stand(organisation_id)
    assert ends == sorted(ENDS)
    assert len(told["subscriptions"]) == 1
    assert len(told["charges"]) == 2
    return told


def fail_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have whatever is about more than one resource fail, so that each is handled by itself in the end."""
    project_all = projecting.project_all

    def project_one(words: Any, names: Any, **more: Any) -> Any:
        if len(names) > 1:
            raise ZeroDivisionError
        return project_all(words, names, **more)

    monkeypatch.setattr(projecting, "project_all", project_one)


@pytest.mark.parametrize(
    ("arrange", "least"),
    [
        pytest.param(lambda _: None, 3, id="together"),  # the claim, all that it comes to, a claim that finds nothing
        pytest.param(fail_together, 10, id="by halves"),  # a commit for each resource
    ],
)
def test_a_killed_worker_leaves_nothing_half_done(
    open_shop: Callable[[], WooCommerceShop],
    undisturbed: Picture,
    monkeypatch: pytest.MonkeyPatch,
    arrange: Callable[[pytest.MonkeyPatch], None],
    least: int,
) -> None:
    arrange(monkeypatch)
    killed = 0
    for fatal in BEFORE_COMMITS:
        organisation_id = have_told(open_shop)
        was = was_killed(fork(lambda each=organisation_id: handling.handle_due(each), fatal))  # type: ignore[misc]
        killed += was
        recover(organisation_id)
        assert stand(organisation_id) == (undisturbed, sorted(ENDS)), fatal
        if not was:
            break
    assert killed >= least, "claims, and what they come to"
    assert killed < len(BEFORE_COMMITS), "every point is reached"


def test_a_worker_that_is_killed_while_it_puts_off_has_put_off_or_not(
    open_shop: Callable[[], WooCommerceShop], undisturbed: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    def handle_badly(organisation_id: UUID) -> None:
        monkeypatch.setattr(projecting, "project_all", stumble)  # in a process of its own
        handling.handle_due(organisation_id)

    for fatal in range(2, 8):  # after the claim: each failure is a commit
        organisation_id = have_told(open_shop)
        assert was_killed(fork(lambda each=organisation_id: handle_badly(each), fatal)), fatal  # type: ignore[misc]
        recover(organisation_id)
        assert stand(organisation_id) == (undisturbed, sorted(ENDS)), fatal


def test_what_ends_its_worker_again_and_again_takes_no_others_with_it(
    open_shop: Callable[[], WooCommerceShop], monkeypatch: pytest.MonkeyPatch
) -> None:
    organisation_id = have_told(open_shop)
    project_all = projecting.project_all

    def project_or_die(words: Any, names: Any, **more: Any) -> Any:
        if (ResourceKind.ORDER, PARENT["id"]) in names:
            die()
        return project_all(words, names, **more)

    monkeypatch.setattr(projecting, "project_all", project_or_die)
    deaths = 0
    while was_killed(fork(lambda: handling.handle_due(organisation_id))):
        deaths += 1
        clock.start_at(clock.now() + event_engine.LEASE + timedelta(minutes=1))
        claiming.sweep(at=clock.now())
    assert deaths == len(event_engine.RETRIES) + 1
    tenancy.enter_organisation(organisation_id)
    failed = [event.woo_id for event in events() if event.reason == event_engine.BROKEN_OFF]
    assert failed == [PARENT["id"]]


def test_a_killed_sweep_is_swept_again(open_shop: Callable[[], WooCommerceShop], undisturbed: Picture) -> None:
    for fatal in range(2):
        organisation_id = have_told(open_shop)
        assert was_killed(fork(lambda each=organisation_id: handling.handle_due(each), 1))  # type: ignore[misc]
        clock.start_at(clock.now() + event_engine.LEASE + timedelta(minutes=1))
        assert was_killed(fork(lambda: claiming.sweep(at=clock.now()), fatal))
        recover(organisation_id)
        assert stand(organisation_id) == (undisturbed, sorted(ENDS)), fatal


@pytest.mark.parametrize(("fatal", "kept"), [(0, 0), (1, 1)])
def test_a_killed_receiver_has_kept_the_delivery_or_never_answered(
    open_shop: Callable[[], WooCommerceShop], fatal: int, kept: int
) -> None:
    shop = open_shop()
    organisation_id, shop_id = shop.organisation_id, shop.id
    queue.queue(receiving.QUEUE).connection.flushdb()
    assert was_killed(fork(lambda: deliver(product(), shop_id=shop_id), fatal))
    assert queue.queue(receiving.QUEUE).count == 0, "it died before it rang"
    clock.start_at(LATER + event_engine.PATIENCE + timedelta(seconds=1))
    assert claiming.sweep(at=clock.now()) == kept
    handling.handle_due(organisation_id)
    tenancy.enter_organisation(organisation_id)
    assert [event.state for event in events()] == [EventState.DONE] * kept


def test_what_redis_forgot_is_rung_for_again(open_shop: Callable[[], WooCommerceShop], undisturbed: Picture) -> None:
    line = queue.queue(receiving.QUEUE)
    line.connection.flushdb()
    organisation_id = have_told(open_shop)
    assert line.count == 1, "one bell, whatever the number of deliveries"
    line.connection.flushdb()
    assert claiming.sweep(at=clock.now()) == 1
    (job,) = line.jobs
    assert (job.func_name, job.args) == (receiving.JOB, [str(organisation_id)])
    job.func(*job.args)
    assert stand(organisation_id) == (undisturbed, sorted(ENDS))


def test_postgresql_goes_away_in_the_middle(
    open_shop: Callable[[], WooCommerceShop], undisturbed: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    organisation_id = have_told(open_shop)
    project_all = projecting.project_all

    def project_without_database(*args: Any, **more: Any) -> Any:
        outcomes = project_all(*args, **more)
        db.session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        return outcomes

    with monkeypatch.context() as broken:
        broken.setattr(projecting, "project_all", project_without_database)
        with pytest.raises(OperationalError):
            handling.handle_due(organisation_id)
    db.session.remove()
    tenancy.enter_organisation(organisation_id)
    assert EventState.PROCESSING in {event.state for event in events()}
    db.session.commit()
    recover(organisation_id)
    assert stand(organisation_id) == (undisturbed, sorted(ENDS))


@pytest.fixture
def real_day(open_shop: Callable[..., WooCommerceShop]) -> Callable[[], UUID]:
    """Makes a shop that has told all the real deliveries."""

    def make() -> UUID:
        shop = open_shop(REAL_SECRET, source="127.0.0.1:8870")
        for delivery in deliveries():
            receiving.receive(delivery.headers, delivery.body, shop_id=shop.id, at=delivery.received_at)
        clock.start_at(max(each.received_at for each in deliveries()) + timedelta(hours=1))
        return shop.organisation_id

    return make


def test_workers_at_the_same_time_come_to_the_same(
    real_day: Callable[[], UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = real_day()
    handling.handle_due(alone)
    expected, _ = stand(alone)
    assert expected["subscriptions"]
    shared = real_day()
    monkeypatch.setattr(claiming.ENGINE, "batch", 10)  # so that there is something for each of them
    workers = [fork(lambda: handling.handle_due(shared)) for _ in range(3)]
    assert not any(was_killed(worker) for worker in workers)
    told, ends = stand(shared)
    assert told == expected
    assert not {EventState.RECEIVED, EventState.PROCESSING} & set(ends)
    put_right, standing = look_at_ledger(shared)
    assert standing == look_at_ledger(alone)[1]
    assert max(put_right.values(), default=0) <= 1, "nothing is written and undone again and again"


def look_at_ledger(organisation_id: UUID) -> tuple[Counter[str], int]:
    """How often each order was put right, and how many rows are there but for that: one undone, one that undoes it.

    An order does not say that it begins a subscription: where one worker is at the order before another is at the
    subscription, it is paid without a charge first.
    """
    with tenancy.organisation(organisation_id):
        rows = db.session.scalars(select(Payment)).all()
    put_right = Counter(row.external_id.split("-")[0] for row in rows if row.kind is PaymentKind.REVERSAL)
    return put_right, len(rows) - 2 * put_right.total()


def test_deliveries_arrive_while_workers_handle(open_shop: Callable[[], WooCommerceShop], undisturbed: Picture) -> None:
    shop = open_shop()
    organisation_id, shop_id = shop.organisation_id, shop.id

    def tell() -> None:
        for number, (content, topic) in enumerate(DAY):
            at = LATER + timedelta(seconds=number)
            deliver(content, topic, at=at, shop_id=shop_id, Delivery_ID=str(number))

    clock.start_at(LATER + timedelta(minutes=1))
    processes = [
        fork(tell),
        *(fork(lambda: [handling.handle_due(organisation_id) for _ in range(5)]) for _ in range(2)),
    ]
    assert not any(was_killed(process) for process in processes)
    recover(organisation_id)
    told, _ = stand(organisation_id)
    assert told == undisturbed
