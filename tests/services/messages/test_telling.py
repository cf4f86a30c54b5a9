"""The client's timeline: each message that left, came back or is held, once for each."""

from datetime import timedelta

import orjson

from tests import factories
from tests.conftest import NOW
from tests.mail_server import MailServer
from tests.queries import recorded_statements
from tests.services.messages.conftest import Desk
from webapp import clock
from webapp.extensions import db
from webapp.gateways.messaging import Accepted, Unknown
from webapp.models.messages import Channel, Message, MessageKind, MessageProvider, MessageStatus
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.messages import claiming, deciding, hearing, letters, recording, writing
from webapp.services.messages.rendering import Text
from webapp.transactions import transaction

SENT, BACK, HELD = EventKind.MESSAGE_SENT, EventKind.MESSAGE_NOT_DELIVERED, EventKind.MESSAGE_HELD


def news(message: Message) -> list[EventKind]:
    """What the client's timeline tells of it, the earliest first."""
    found = db.session.query(TimelineEvent).filter(TimelineEvent.message_id == message.id)
    assert all(event.client_id == message.client_id for event in found)
    return [event.kind for event in found.order_by(TimelineEvent.at, TimelineEvent.id)]


def body(message: Message) -> str | None:
    """Why, as the timeline says it."""
    return db.session.query(TimelineEvent.body).filter(TimelineEvent.message_id == message.id).scalar()


def hear(desk: Desk, message: Message, *events: str) -> None:
    """What Brevo tells of it, as one body, an hour later."""
    sender = desk.present_sender()
    sender.provider = MessageProvider.BREVO
    db.session.flush()
    told = [
        {
            "event": event,
            "email": "lea@example.org",
            "ts_event": int((clock.now() + timedelta(hours=1)).timestamp()),
            "X-Mailin-custom": f"<{message.id}@verger.example>",
        }
        for event in events
    ]
    hearing.hear(sender.webhook_token, orjson.dumps(told), at=clock.now() + timedelta(hours=1))


def test_what_left_is_told_once_however_much_is_heard_of_it(desk: Desk, mail: MailServer) -> None:
    message = desk.write()
    assert news(message) == []
    desk.send()
    desk.send()
    hear(desk, message, "delivered")
    hear(desk, message, "delivered", "spam")
    assert (desk.status(message), news(message)) == (MessageStatus.COMPLAINED, [SENT])


def test_what_comes_back_is_told_with_its_reason(desk: Desk) -> None:
    message = desk.write()
    desk.send()
    hear(desk, message, "hard_bounce")
    hear(desk, message, "hard_bounce")
    assert news(message) == [SENT, BACK]


def test_what_is_refused_at_once_came_back(desk: Desk) -> None:
    desk.client.email = "550.lea@example.org"
    message = desk.write()
    desk.send()
    assert news(message) == [BACK]
    assert "550" in (body(message) or "")


def test_what_was_delivered_before_its_answer_is_recorded_left_once(desk: Desk) -> None:
    message = desk.write()
    lot = claiming.claim(desk.sender.id, at=clock.now())
    assert lot is not None
    hear(desk, message, "delivered")
    finished = recording.Finished(lot.claims[0], clock.now(), Accepted("", "250"))
    with transaction():
        recording.note(finished, None, lot.sender, at=clock.now())
    assert (desk.status(message), news(message)) == (MessageStatus.DELIVERED, [SENT])


def test_what_nobody_knows_of_is_told_once_somebody_does(desk: Desk) -> None:
    message = desk.write()
    lot = claiming.claim(desk.sender.id, at=clock.now())
    assert lot is not None
    with transaction():
        recording.note(recording.Finished(lot.claims[0], clock.now(), Unknown("?")), None, lot.sender, at=clock.now())
    assert (desk.status(message), news(message)) == (MessageStatus.UNKNOWN, [])
    deciding.consider_sent(message.id, at=clock.now(), by=None)
    assert news(message) == [SENT]


def test_what_is_held_is_told_with_why_and_again_when_it_leaves(desk: Desk) -> None:
    desk.client.email = None
    message = desk.write()
    assert news(message) == [HELD]
    assert body(message) == "Le client n’a pas d’adresse pour ce canal."
    deciding.send_again(message.id, at=clock.now(), by=None)  # nothing has changed
    assert news(message) == [HELD]
    desk.client.email = "lea@example.org"
    db.session.flush()
    desk.wait(timedelta(minutes=1))
    deciding.send_again(message.id, at=clock.now(), by=None)
    desk.send()
    assert news(message) == [HELD, SENT]


def test_what_became_of_no_use_is_held_at_the_door_and_by_the_sweep(desk: Desk) -> None:
    end = clock.now() + timedelta(hours=1)
    at_the_door, swept = desk.write(expires_at=end), desk.write(expires_at=end, not_before=end + timedelta(hours=9))
    desk.wait(timedelta(hours=2))
    desk.send()
    desk.sweep()
    assert [news(at_the_door), news(swept)] == [[HELD], [HELD]]


def test_a_letter_left_when_it_was_posted(desk: Desk) -> None:
    desk.client.address_line1, desk.client.postcode, desk.client.city = "1 rue des Prés", "44000", "Nantes"
    message = desk.write(channel=Channel.LETTER)
    user = factories.UserFactory()
    assert news(message) == []
    letters.mark_posted([message.id], at=NOW, by=user)
    letters.mark_posted([message.id], at=NOW, by=user)
    assert news(message) == [SENT]


def test_what_was_cancelled_or_goes_to_a_colleague_is_not_told(desk: Desk) -> None:
    cancelled = desk.write()
    deciding.cancel(cancelled.id, at=NOW, by=None)
    user = factories.UserFactory(email="nora@verger.example")
    digest = desk.write(MessageKind.FREE, client_id=None, user_id=user.id, text=Text("Essai", "Bonjour."))
    desk.send()
    assert desk.status(digest) is MessageStatus.SENT
    assert [news(cancelled), news(digest)] == [[], []]


def test_many_that_are_held_are_told_by_two_statements(desk: Desk) -> None:
    desk.client.email = None
    db.session.flush()
    drafts = [desk.draft() for _ in range(30)]
    with recorded_statements() as queries:
        assert writing.write_many(drafts, at=clock.now()) == 30
        db.session.flush()
    assert sum("INSERT INTO timeline_events" in query for query in queries) == 1
    assert db.session.query(TimelineEvent).filter(TimelineEvent.kind == HELD).count() == 30
