"""What an event waits for is asked of the shop at once, where there is a key."""

from sqlalchemy import select

from tests.conftest import Cast
from tests.services.woocommerce.conftest import Connected
from tests.services.woocommerce.deliveries import deliver, events
from webapp import clock, queue
from webapp.extensions import db
from webapp.models.subscriptions import Subscription
from webapp.models.woocommerce import EventState
from webapp.services.woocommerce import fetching, handling, receiving

SECRET = "a-secret-of-ours"


def waiting_renewal(cast: Cast, connected: Connected) -> None:
    connected.row.keep_secrets([SECRET])
    db.session.commit()
    world = connected.shop.world
    world.subscribe()
    renewal = world.renew()
    deliver(world.bodies["orders"][renewal], "order.created", shop_id=connected.row.id, Source="")
    handling.handle_due(cast.organisation.id)


def test_what_is_waited_for_is_fetched(cast: Cast, connected: Connected) -> None:
    line = queue.queue(receiving.QUEUE)
    line.empty()
    waiting_renewal(cast, connected)
    assert events()[0].state is EventState.WAITING
    assert receiving.FETCH_JOB in [job.func_name for job in line.jobs]
    for _ in range(3):  # the account, then the subscription
        fetching.fetch_awaited(cast.organisation.id, connected.row.id)
        handling.handle_due(cast.organisation.id)
    assert [event.state for event in events()] == [EventState.DONE]
    assert db.session.scalars(select(Subscription)).one()


def test_a_shop_that_does_not_answer_is_left_to_the_next_pull(cast: Cast, connected: Connected) -> None:
    waiting_renewal(cast, connected)
    connected.row.credentials = None
    db.session.commit()
    assert fetching.fetch_awaited(cast.organisation.id, connected.row.id) == 0
    assert events()[0].state is EventState.WAITING
    assert events()[0].next_attempt_at is not None
    assert clock.now() < events()[0].next_attempt_at  # type: ignore[operator]
