"""A client is told once that something is on its way, with its tracking number."""

from sqlalchemy import select
from sqlalchemy.orm import undefer

from tests import factories
from tests.conftest import Cast
from tests.services.fulfilment.packing import add_line, dispatch, make_batch, pack, parcels, shipments
from webapp import clock
from webapp.extensions import db
from webapp.models.fulfilment import ParcelStatus
from webapp.models.messages import Message, MessageKind
from webapp.models.outbox import OutboxDelivery, OutboxEvent, OutboxKind
from webapp.services import outbox
from webapp.services.fulfilment import handing_over
from webapp.services.message_triggers.shipments import tell_sent


def events() -> list[OutboxEvent]:
    kind = OutboxEvent.kind == OutboxKind.SHIPMENT_HANDED_OVER
    return list(db.session.scalars(select(OutboxEvent).where(kind).order_by(OutboxEvent.id)))


def messages() -> list[Message]:
    return list(db.session.scalars(select(Message).options(undefer(Message.content)).order_by(Message.id)))


def test_what_is_handed_over_is_told_with_its_number_and_content(cast: Cast) -> None:
    batch = make_batch(12)
    client = factories.ClientFactory(email="lea@example.org")
    add_line(batch, 347, client_id=client.id, label="Café du Brésil")
    dispatch(batch, cast.manager)
    parcels()[0].tracking_number = "8R12345678901"
    db.session.commit()
    handing_over.hand_over(batch.id, by=cast.manager, at=clock.now())
    for _ in range(2):
        outbox.deliver(cast.organisation.id, at=clock.now())
    (message,) = messages()
    assert (message.kind, message.client_id) == (MessageKind.SHIPMENT_SENT, client.id)
    said = str(message.content_in_clear())
    for words in ("L000012-0347", "8R12345678901", "Café du Brésil"):
        assert words in said, words


def test_each_shipment_of_a_selection_is_an_event_with_its_delivery(cast: Cast) -> None:
    batch = pack(3)
    made = dispatch(batch, cast.manager)
    handing_over.hand_over(batch.id, shipment_ids=[each.id for each in made[:2]], by=cast.manager, at=clock.now())
    assert {each.subject_id for each in events()} == {each.id for each in made[:2]}
    deliveries = db.session.scalars(select(OutboxDelivery.event_id)).all()
    assert sorted(deliveries) == sorted(each.id for each in events())


def test_told_again_it_is_written_once_and_of_what_was_called_off_not_at_all(cast: Cast) -> None:
    batch = pack(2)
    made = dispatch(batch, cast.manager)
    handing_over.hand_over(batch.id, by=cast.manager, at=clock.now())
    shipments()[1].status = ParcelStatus.CANCELED
    db.session.commit()
    for event in (*events(), *events()):
        tell_sent(event)
    assert [each.subject_id for each in messages()] == [made[0].id]
