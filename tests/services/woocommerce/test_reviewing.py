"""What a person decides on what is to be looked at."""

from datetime import timedelta
from uuid import UUID, uuid4

import orjson
import pytest
from sqlalchemy import select

from tests import factories
from tests.conftest import NOW, Cast
from tests.queries import recorded_queries
from tests.services.woocommerce import bodies
from tests.woocommerce_rows import make_resource, make_shop
from webapp import clock
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.clients import Client, Source
from webapp.models.events import EventState
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.models.woocommerce import ResourceKind, WooCommerceEvent, WooCommerceResource, WooCommerceShop
from webapp.services.woocommerce import handling, reviewing
from webapp.services.woocommerce.reviewing import ReviewedError, ReviewView

EMAIL = "camille@example.org"


@pytest.fixture
def shop(cast: Cast) -> WooCommerceShop:
    """A shop that tells nothing by itself."""
    return make_shop(source="savons.example", url="https://savons.example/")


@pytest.fixture
def twins(cast: Cast) -> list[Client]:
    """Two clients with the e-mail of one person."""
    return [factories.ClientFactory(email=EMAIL, last_name=name) for name in ("DURAND", "DUPOND")]


def tell(shop: WooCommerceShop, kind: ResourceKind, body: bodies.Body) -> None:
    """The shop says it, by a pull."""
    handling.apply(shop, kind, orjson.dumps(body), at=clock.now())
    db.session.commit()


def of(woo_id: int) -> WooCommerceResource:
    db.session.expire_all()
    return db.session.scalars(select(WooCommerceResource).where(WooCommerceResource.woo_id == woo_id)).one()


def events() -> list[tuple[EventState, str | None]]:
    db.session.expire_all()
    rows = db.session.scalars(select(WooCommerceEvent).order_by(WooCommerceEvent.woo_id))
    return [(each.state, each.reason) for each in rows]


def told_of(client: Client) -> list[EventKind]:
    rows = db.session.scalars(select(TimelineEvent).where(TimelineEvent.client_id == client.id))
    return [each.kind for each in rows]


def test_who_may_be_the_person_is_offered_and_what_waits_goes_on_once_it_is_decided(
    cast: Cast, shop: WooCommerceShop, twins: list[Client]
) -> None:
    tell(shop, ResourceKind.CUSTOMER, bodies.customer(17, EMAIL, at=NOW))
    tell(shop, ResourceKind.ORDER, bodies.order(282, at=NOW, customer_id=17, paid_at=NOW))
    (row,) = reviewing.list_reviews(ReviewView()).rows
    assert row.resource.woo_id == 17
    assert {each.id for each in row.candidates} == {each.id for each in twins}
    assert {state for state, _ in events()} == {EventState.WAITING}

    assert reviewing.link(of(17).id, twins[1].id, by=cast.admin, at=clock.now()) == twins[1].full_name
    assert of(17).client_id == twins[1].id
    assert reviewing.count_reviews() == 0
    assert {state for state, _ in events()} == {EventState.RECEIVED}
    handling.handle_due(cast.organisation.id)
    assert {state for state, _ in events()} <= {EventState.DONE, EventState.IGNORED}
    assert of(282).client_id == twins[1].id
    assert EventKind.CLIENT_LINKED_TO_SHOP in told_of(twins[1])
    assert told_of(twins[0]) == []


def test_the_person_may_be_a_client_of_its_own(cast: Cast, shop: WooCommerceShop, twins: list[Client]) -> None:
    tell(shop, ResourceKind.CUSTOMER, bodies.customer(17, EMAIL, at=NOW))
    client_id = reviewing.create(of(17).id, by=cast.admin, at=clock.now())
    client = db.session.scalars(select(Client).where(Client.id == client_id)).one()
    assert (client.source, client.email, client.first_name) == (Source.WOOCOMMERCE, EMAIL, "Camille")
    assert client_id not in {each.id for each in twins}
    assert EventKind.CLIENT_FROM_SHOP in told_of(client)


def test_it_is_decided_once(cast: Cast, shop: WooCommerceShop, twins: list[Client]) -> None:
    tell(shop, ResourceKind.CUSTOMER, bodies.customer(17, EMAIL, at=NOW))
    reviewing.link(of(17).id, twins[0].id, by=cast.admin, at=clock.now())
    with pytest.raises(ReviewedError):
        reviewing.link(of(17).id, twins[1].id, by=cast.admin, at=clock.now())
    with pytest.raises(ReviewedError):
        reviewing.create(of(17).id, by=cast.admin, at=clock.now())
    assert of(17).client_id == twins[0].id


def test_only_a_candidate_can_be_chosen(cast: Cast, shop: WooCommerceShop, twins: list[Client]) -> None:
    other = factories.ClientFactory(email="autre@example.org")
    tell(shop, ResourceKind.CUSTOMER, bodies.customer(17, EMAIL, at=NOW))
    with pytest.raises(InvalidInputError):
        reviewing.link(of(17).id, other.id, by=cast.admin, at=clock.now())
    with pytest.raises(NotFoundError):
        reviewing.link(uuid4(), twins[0].id, by=cast.admin, at=clock.now())
    assert of(17).client_id is None


def test_who_is_somebody_of_the_shop_already_is_no_candidate(
    cast: Cast, shop: WooCommerceShop, twins: list[Client]
) -> None:
    third = factories.ClientFactory(email=EMAIL)
    make_resource(shop, 99, third, kind=ResourceKind.ORDER)
    tell(shop, ResourceKind.CUSTOMER, bodies.customer(17, EMAIL, at=NOW))
    (row,) = [each for each in reviewing.list_reviews(ReviewView()).rows if each.resource.woo_id == 17]
    assert {each.id for each in row.candidates} == {each.id for each in twins}


PHONE = "+33639981234"
BY_PHONE = bodies.person("Camille", "", phone="06 39 98 12 34")


def buy_by_phone(shop: WooCommerceShop, woo_id: int) -> WooCommerceResource:
    """An order of a guest without an e-mail; its row."""
    tell(shop, ResourceKind.ORDER, bodies.order(woo_id, at=NOW, paid_at=NOW, customer_id=0, billing=BY_PHONE))
    return of(woo_id)


def offered(woo_id: int) -> set[UUID]:
    """Whom the list offers for an order."""
    rows = reviewing.list_reviews(ReviewView()).rows
    return {each.id for row in rows if row.resource.woo_id == woo_id for each in row.candidates}


def test_who_shares_a_telephone_is_told_apart_by_a_person_each_time(cast: Cast, shop: WooCommerceShop) -> None:
    one, other = (factories.ClientFactory(email=None, phone=PHONE, last_name=name) for name in ("UN", "AUTRE"))
    first = buy_by_phone(shop, 50)
    assert [each["sentence"] for each in first.review] == [
        "2 clients ont ce téléphone\u202f: rattachez le bon, ou créez-en un."
    ]
    reviewing.link(first.id, one.id, by=cast.admin, at=clock.now())
    assert (buy_by_phone(shop, 51).client_id, offered(51)) == (None, {one.id, other.id})
    reviewing.link(of(51).id, other.id, by=cast.admin, at=clock.now())
    assert (buy_by_phone(shop, 52).client_id, offered(52)) == (None, {one.id, other.id})
    made = reviewing.create(of(52).id, by=cast.admin, at=clock.now())
    assert (buy_by_phone(shop, 53).client_id, offered(53)) == (None, {one.id, other.id, made})


def test_a_second_guest_with_the_telephone_of_one_client_waits(cast: Cast, shop: WooCommerceShop) -> None:
    ours = factories.ClientFactory(email=None, phone=PHONE)
    assert buy_by_phone(shop, 50).client_id == ours.id
    second = buy_by_phone(shop, 51)
    assert second.client_id is None
    assert [each["sentence"] for each in second.review] == [
        "Un client de cette boutique a déjà ce téléphone\u202f: rattachez-le, ou créez-en un autre."
    ]
    reviewing.link(second.id, ours.id, by=cast.admin, at=clock.now())
    assert (of(51).client_id, of(51).review) == (ours.id, [])


def test_guests_of_the_shop_alone_are_never_brought_together_by_a_telephone(cast: Cast, shop: WooCommerceShop) -> None:
    tell(shop, ResourceKind.CUSTOMER, bodies.customer(17, EMAIL, at=NOW, billing={"phone": "06 39 98 12 34"}))
    clients = {of(17).client_id, *(buy_by_phone(shop, woo_id).client_id for woo_id in (50, 51))}
    assert len(clients - {None}) == 3
    assert reviewing.count_reviews() == 0


def test_what_was_seen_to_comes_back_only_if_something_else_happens(cast: Cast, shop: WooCommerceShop) -> None:
    tell(shop, ResourceKind.ORDER, bodies.order(282, at=NOW, customer_id=0, paid_at=NOW, status="cancelled"))
    assert [each["code"] for each in of(282).review] == ["PAID_THEN_CANCELED"]
    reviewing.close(of(282).id, by=cast.admin, at=clock.now())
    assert of(282).review == []
    with pytest.raises(ReviewedError):
        reviewing.close(of(282).id, by=cast.admin, at=clock.now())

    later = NOW + timedelta(hours=1)
    again = bodies.order(282, at=NOW, customer_id=0, paid_at=NOW, status="cancelled")
    tell(shop, ResourceKind.ORDER, again | {"date_modified_gmt": bodies.gmt(later)})
    assert of(282).review == []
    strange = again | {"status": "en-preparation", "date_modified_gmt": bodies.gmt(later + timedelta(hours=1))}
    tell(shop, ResourceKind.ORDER, strange)
    assert [each["code"] for each in of(282).review] == ["UNKNOWN_STATUS"]
    tell(shop, ResourceKind.ORDER, again | {"date_modified_gmt": bodies.gmt(later + timedelta(hours=2))})
    assert [each["code"] for each in of(282).review] == ["PAID_THEN_CANCELED"]


def test_what_waited_too_long_and_is_closed_is_waited_for_no_more(cast: Cast, shop: WooCommerceShop) -> None:
    tell(shop, ResourceKind.ORDER, bodies.order(290, at=NOW, customer_id=0, paid_at=NOW, renews=282))
    assert [state for state, _ in events()] == [EventState.WAITING]
    clock.start_at(NOW + timedelta(days=2))
    handling.handle_due(cast.organisation.id)
    assert [each["code"] for each in of(290).review] == ["STILL_WAITING"]
    reviewing.close(of(290).id, by=cast.admin, at=clock.now())
    ((state, reason),) = events()
    assert state is EventState.IGNORED
    assert reason
    assert reason.startswith(f"Classé par {cast.admin.full_name}")
    handling.handle_due(cast.organisation.id)
    assert of(290).review == []


def test_the_list_is_read_in_the_same_number_of_queries_however_long(
    cast: Cast, shop: WooCommerceShop, twins: list[Client]
) -> None:
    def count() -> int:
        db.session.expire_all()
        with recorded_queries() as queries:
            reviewing.list_reviews(ReviewView())
        return len(queries)

    tell(shop, ResourceKind.CUSTOMER, bodies.customer(17, EMAIL, at=NOW))
    make_resource(shop, 90, twins[0], kind=ResourceKind.ORDER, review=[{"code": "MISSING", "sentence": "Absente."}])
    first = count()
    for number in range(18, 24):
        for name in ("UN", "DEUX"):
            factories.ClientFactory(email=f"c{number}@example.org", last_name=name)
        tell(shop, ResourceKind.CUSTOMER, bodies.customer(number, f"c{number}@example.org", at=NOW))
        row = make_resource(shop, 100 + number, factories.ClientFactory(), kind=ResourceKind.ORDER)
        row.review = [{"code": "MISSING", "sentence": "Absente."}]
    db.session.commit()
    assert len(reviewing.list_reviews(ReviewView()).rows) > 10
    assert count() == first <= 7


def test_the_list_is_narrowed_and_read_page_by_page(cast: Cast, shop: WooCommerceShop) -> None:
    other = make_shop(2)
    for number in range(1, 6):
        make_resource(shop, number, kind=ResourceKind.ORDER, review=[{"code": "MISSING", "sentence": "Absente."}])
    make_resource(other, 9, kind=ResourceKind.ORDER, review=[{"code": "MISMATCH", "sentence": "Contradiction."}])
    make_resource(other, 10, kind=ResourceKind.ORDER)
    db.session.commit()

    def numbers(view: ReviewView) -> list[int]:
        return [each.resource.woo_id for each in reviewing.list_reviews(view).rows]

    assert reviewing.count_reviews() == 6
    assert numbers(ReviewView()) == [9, 5, 4, 3, 2, 1]
    assert numbers(ReviewView(code="MISMATCH")) == [9]
    assert numbers(ReviewView(shop_id=shop.id)) == [5, 4, 3, 2, 1]
    first = reviewing.list_reviews(ReviewView(), size=4)
    second = reviewing.list_reviews(ReviewView(cursor=first.next_cursor), size=4)
    assert [each.resource.woo_id for each in second.rows] == [2, 1]
    assert second.next_cursor is None
