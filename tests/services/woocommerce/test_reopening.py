"""What a person has retried is looked at again, though nothing of it is new."""

import orjson
import pytest

from tests.conftest import NOW, Cast
from tests.services.woocommerce import bodies
from tests.woocommerce_rows import make_event, make_shop, reload_event
from webapp import clock
from webapp.extensions import db
from webapp.models.events import EventState
from webapp.models.woocommerce import ResourceKind, WooCommerceShop
from webapp.services.woocommerce import handling, reopening
from webapp.services.woocommerce.events_listing import EventsView

CUSTOMER = bodies.customer(17, "camille@example.org", at=NOW)


@pytest.fixture
def shop(cast: Cast) -> WooCommerceShop:
    """A shop of which one account is known."""
    row = make_shop()
    handling.apply(row, ResourceKind.CUSTOMER, orjson.dumps(CUSTOMER), at=clock.now())
    db.session.commit()
    return row


def test_what_is_known_is_projected_once_more(cast: Cast, shop: WooCommerceShop) -> None:
    event = make_event(shop, 17, EventState.FAILED, body=CUSTOMER, kind=ResourceKind.CUSTOMER, topic="customer.updated")
    db.session.commit()
    reopening.retry_event(event.id, at=clock.now())
    assert reload_event(event.id).state is EventState.RECEIVED
    handling.handle_due(cast.organisation.id)
    assert reload_event(event.id).state is EventState.DONE


def test_all_of_a_view_are_retried_and_nothing_else(cast: Cast, shop: WooCommerceShop) -> None:
    states = (EventState.FAILED, EventState.WAITING, EventState.DONE, EventState.IGNORED)
    events = {state: make_event(shop, number, state) for number, state in enumerate(states, 1)}
    other = make_event(make_shop(2), 9, EventState.FAILED)
    db.session.commit()
    assert reopening.retry_all(EventsView(shop_id=shop.id), at=clock.now()) == 2
    assert {state: reload_event(each.id).state for state, each in events.items()} == {
        EventState.FAILED: EventState.RECEIVED,
        EventState.WAITING: EventState.RECEIVED,
        EventState.DONE: EventState.DONE,
        EventState.IGNORED: EventState.IGNORED,
    }
    assert reload_event(other.id).state is EventState.FAILED
