"""Somebody whom several clients might be: a person says who it is, and what hung on it goes on."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select

from tests import factories
from tests.conftest import NOW, Cast
from tests.services.woocommerce import bodies
from tests.services.woocommerce.telling import CUSTOMER, ORDER, Teller
from webapp import tenancy
from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.clients import Client, Source
from webapp.models.payments import Payment
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.models.woocommerce import EventState, ResourceKind, WooCommerceEvent
from webapp.services.woocommerce import deciding

DAY = datetime(2026, 11, 2, 9, tzinfo=UTC)


def waiting_event(teller: Teller, kind: ResourceKind, woo_id: int) -> WooCommerceEvent:
    """The event of a word that waits, as the engine keeps it."""
    outcome = teller.outcomes[kind, woo_id]
    event = WooCommerceEvent(
        id=new_id(),
        shop_id=teller.shop.id,
        topic=f"{kind.value}.updated",
        kind=kind,
        woo_id=woo_id,
        body_hash=new_id().bytes,
        state=EventState.WAITING,
        reason=outcome.sentence,
        waits_for=outcome.waits_for,
        next_attempt_at=None,
    )
    db.session.add(event)
    db.session.commit()
    return event


@pytest.fixture
def candidates(organisation_id: UUID) -> list[Client]:
    return [factories.ClientFactory(email="camille@example.org", last_name=name) for name in ("Un", "Deux")]


@pytest.fixture
def events(teller: Teller, candidates: list[Client]) -> list[WooCommerceEvent]:
    """Of a customer whom both might be, and of her paid order."""
    teller.tell(CUSTOMER, bodies.customer(2, "camille@example.org", at=DAY))
    teller.tell(ORDER, bodies.order(44, at=DAY, paid_at=DAY))
    return [waiting_event(teller, CUSTOMER, 2), waiting_event(teller, ORDER, 44)]


def go_on(teller: Teller) -> None:
    for kind, woo_id in ((CUSTOMER, 2), (ORDER, 44)):
        assert teller.look(kind, woo_id).state is EventState.DONE


def test_the_right_client_is_linked(
    teller: Teller, cast: Cast, events: list[WooCommerceEvent], candidates: list[Client]
) -> None:
    deciding.link_client(events[0], candidates[1].id, by=cast.admin, at=NOW)
    for event in events:
        db.session.refresh(event)
        assert (event.state, event.waits_for, event.next_attempt_at) == (EventState.RECEIVED, None, NOW)
    go_on(teller)
    assert db.session.scalars(select(Payment.client_id)).one() == candidates[1].id
    told = db.session.scalars(select(TimelineEvent).filter_by(kind=EventKind.CLIENT_LINKED_TO_SHOP)).one()
    assert (told.client_id, told.user_id, told.changes) == (
        candidates[1].id,
        cast.admin.id,
        {"shop": [None, "Les Savons"]},
    )


def test_a_new_client_is_created(
    teller: Teller, cast: Cast, events: list[WooCommerceEvent], candidates: list[Client]
) -> None:
    created = deciding.create_client(events[1], by=cast.admin, at=NOW)
    go_on(teller)
    client = db.session.scalars(select(Client).where(Client.id == created)).one()
    assert (client.full_name, client.email, client.source) == (
        "Durand Camille",
        "camille@example.org",
        Source.WOOCOMMERCE,
    )
    assert db.session.scalars(select(Payment.client_id)).one() == created


def test_a_guest_is_decided_about_too(teller: Teller, cast: Cast, candidates: list[Client]) -> None:
    teller.tell(ORDER, bodies.order(44, at=DAY, paid_at=DAY, customer_id=0))
    deciding.link_client(waiting_event(teller, ORDER, 44), candidates[0].id, by=cast.admin, at=NOW)
    assert teller.look(ORDER, 44).state is EventState.DONE
    teller.tell(ORDER, bodies.order(45, at=DAY, paid_at=DAY, customer_id=0))
    assert set(db.session.scalars(select(Payment.client_id))) == {candidates[0].id}


def test_nothing_is_decided_twice(cast: Cast, events: list[WooCommerceEvent], candidates: list[Client]) -> None:
    deciding.link_client(events[0], candidates[0].id, by=cast.admin, at=NOW)
    for event in events:
        with pytest.raises(deciding.NotWaitingError):
            deciding.link_client(event, candidates[1].id, by=cast.admin, at=NOW)
        with pytest.raises(deciding.NotWaitingError):
            deciding.create_client(event, by=cast.admin, at=NOW)
    assert db.session.scalar(select(func.count()).select_from(Client)) == 2


def test_a_client_who_is_somebody_else_of_the_shop_is_refused(
    teller: Teller, cast: Cast, events: list[WooCommerceEvent]
) -> None:
    teller.tell(CUSTOMER, bodies.customer(3, "autre@example.org", at=DAY))
    other = db.session.scalars(select(Client).where(Client.email == "autre@example.org")).one()
    with pytest.raises(deciding.TakenError) as refusal:
        deciding.link_client(events[0], other.id, by=cast.admin, at=NOW)
    assert refusal.value.field == "client_id"


def test_a_client_of_another_organisation_is_not_found(cast: Cast, events: list[WooCommerceEvent]) -> None:
    with tenancy.organisation(cast.other_organisation.id):
        theirs = factories.ClientFactory().id
    for unknown in (theirs, uuid4()):
        with pytest.raises(NotFoundError):
            deciding.link_client(events[0], unknown, by=cast.admin, at=NOW)
