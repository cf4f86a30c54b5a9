"""Hearing what became of messages: once, in any order, and of our own alone."""

from datetime import datetime, timedelta
from itertools import permutations
from typing import Any
from uuid import uuid4

import orjson
import pytest

from demo.sms_gateway import Gateway
from tests import factories
from tests.conftest import NOW
from tests.mail_server import MailServer
from tests.services.messages.conftest import Desk, open_sender
from webapp import clock, tenancy
from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.gateways.messaging import Accepted, WebhookBodyError
from webapp.models.commercials import Commercial
from webapp.models.consents import ConsentPurpose, ConsentState, PresentConsent
from webapp.models.messages import (
    Channel,
    Message,
    MessageKind,
    MessageProvider,
    MessageSender,
    MessageStatus,
    Suppression,
    SuppressionReason,
)
from webapp.models.tasks import Task
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.messages import claiming, hearing, recording
from webapp.services.messages.rendering import Text
from webapp.transactions import transaction

LATER = timedelta(hours=1)


@pytest.fixture
def brevo(desk: Desk) -> MessageSender:
    """The company's e-mails leave by Brevo now: what it told of them is heard."""
    desk.sender.provider = MessageProvider.BREVO
    db.session.flush()
    return desk.sender


def told(message: Message, event: str, **values: Any) -> dict[str, Any]:
    """What Brevo tells of an e-mail."""
    said = {
        "event": event,
        "email": "lea@example.org",
        "ts_event": int((clock.now() + LATER).timestamp()),
        "X-Mailin-custom": f"<{message.id}@verger.example>",
    }
    return said | {name.replace("_", "-"): value for name, value in values.items()}


def hear(sender: MessageSender, *events: dict[str, Any]) -> int:
    return hearing.hear(sender.webhook_token, orjson.dumps(events), at=clock.now() + LATER)


def sent(desk: Desk, **values: Any) -> Message:
    """A message that has left, by the mail server of the tests."""
    provider = desk.sender.provider
    desk.sender.provider = MessageProvider.SMTP
    message = desk.write(**values)
    desk.send()
    desk.present_sender().provider = provider
    db.session.flush()
    assert desk.status(message) is MessageStatus.SENT
    return message


def suppressions() -> list[SuppressionReason]:
    return [each.reason for each in db.session.query(Suppression)]


def test_what_was_delivered_is_so(desk: Desk, brevo: MessageSender) -> None:
    message = sent(desk)
    assert hear(brevo, told(message, "delivered")) == 1
    assert desk.status(message) is MessageStatus.DELIVERED
    assert desk.events(message) == ["accepted", "delivered"]


def test_told_twice_it_is_one_row(desk: Desk, brevo: MessageSender) -> None:
    message = sent(desk)
    event = told(message, "hard_bounce")
    assert [hear(brevo, event, event), hear(brevo, event)] == [1, 0]
    assert suppressions() == [SuppressionReason.HARD_BOUNCE]
    assert db.session.query(Task).count() == 1


@pytest.mark.parametrize("order", list(permutations(("request", "delivered", "spam"))))
def test_whatever_the_order_the_last_word_stands(desk: Desk, brevo: MessageSender, order: tuple[str, ...]) -> None:
    message = sent(desk)
    for event in order:
        hear(brevo, told(message, event))
    assert desk.status(message) is MessageStatus.COMPLAINED
    assert sorted(desk.events(message)) == ["accepted", "accepted", "complained", "delivered"]
    assert suppressions() == [SuppressionReason.COMPLAINT]


def test_what_does_not_exist_gets_nothing_more_and_its_commercial_a_task(desk: Desk, brevo: MessageSender) -> None:
    message = sent(desk)
    hear(brevo, told(message, "hard_bounce", reason="550 no such user"))
    found = desk.message(message.id)
    assert (found.status, found.error) == (MessageStatus.BOUNCED, "550 no such user")
    assert suppressions() == [SuppressionReason.HARD_BOUNCE]
    [task] = db.session.query(Task)
    assert "lea@example.org ne fonctionne plus" in task.title
    events = db.session.query(TimelineEvent.kind).filter_by(client_id=desk.client.id)
    assert {kind for (kind,) in events} == {
        EventKind.MESSAGE_SENT,
        EventKind.MESSAGE_NOT_DELIVERED,
        EventKind.ADDRESS_SUPPRESSED,
    }


def test_what_bounces_from_elsewhere_says_nothing_of_our_address(desk: Desk, brevo: MessageSender) -> None:
    """Somebody has passed the e-mail on to an address that does not exist."""
    message = sent(desk)
    assert hear(brevo, told(message, "hard_bounce", email="autre@example.org", reason="no such user")) == 1
    assert desk.status(message) is MessageStatus.SENT
    assert suppressions() == []
    assert desk.message(message.id).error is None


def test_a_soft_bounce_is_kept_and_changes_nothing(desk: Desk, brevo: MessageSender) -> None:
    message = sent(desk)
    hear(brevo, told(message, "soft_bounce"))
    assert desk.status(message) is MessageStatus.SENT
    assert desk.events(message)[-1] == "bounced_soft"
    assert suppressions() == []


def test_a_message_of_nobody_is_left_alone(desk: Desk, brevo: MessageSender) -> None:
    message = sent(desk)
    stray = told(message, "hard_bounce") | {"X-Mailin-custom": f"<{uuid4()}@verger.example>"}
    foreign = told(message, "hard_bounce") | {"X-Mailin-custom": "newsletter 12", "message-id": "<1@mailin.example>"}
    assert hear(brevo, stray, foreign) == 0
    assert suppressions() == []


def test_one_company_says_nothing_of_the_messages_of_another(desk: Desk, brevo: MessageSender) -> None:
    message = sent(desk)
    other = open_sender(factories.CompanyFactory(), Channel.EMAIL, {})
    other.provider = MessageProvider.BREVO
    db.session.flush()
    assert hear(other, told(message, "hard_bounce")) == 0
    assert desk.status(message) is MessageStatus.SENT


def test_one_organisation_says_nothing_of_the_messages_of_another(desk: Desk, brevo: MessageSender, cast: Any) -> None:
    message = sent(desk)
    with tenancy.organisation(cast.other_organisation.id):
        other = open_sender(factories.CompanyFactory(), Channel.EMAIL, {})
        other.provider = MessageProvider.BREVO
        db.session.flush()
    assert hear(other, told(message, "hard_bounce")) == 0
    assert desk.status(message) is MessageStatus.SENT
    assert suppressions() == []


def test_a_provider_that_is_quicker_than_its_own_answer_has_the_last_word(desk: Desk, brevo: MessageSender) -> None:
    message = desk.write()
    lot = claiming.claim(brevo.id, at=clock.now())
    assert lot is not None
    with transaction():
        recording.note(None, lot.claims[0], lot.sender, at=clock.now())
    hear(brevo, told(message, "delivered"))
    finished = recording.Finished(lot.claims[0], clock.now(), Accepted("theirs"))
    with transaction():
        recording.note(finished, None, lot.sender, at=clock.now())
    found = desk.message(message.id)
    assert (found.status, found.lease_until, found.provider_id) == (MessageStatus.DELIVERED, None, "theirs")
    assert found.sent_at == NOW + LATER
    assert found.fence > lot.claims[0].fence, "whoever was sending it has lost it"


def test_the_fate_of_a_message_becomes_known(desk: Desk, brevo: MessageSender, mail: MailServer) -> None:
    brevo.provider = MessageProvider.SMTP
    message = desk.write()
    mail.order("drop", times=1)
    desk.send()
    assert desk.status(message) is MessageStatus.UNKNOWN
    desk.present_sender().provider = MessageProvider.BREVO
    db.session.flush()
    hear(brevo, told(message, "request"))
    found = desk.message(message.id)
    assert (found.status, found.error) == (MessageStatus.SENT, None)


@pytest.mark.parametrize(
    ("kind", "purpose"),
    [
        (MessageKind.FREE, ConsentPurpose.PROSPECTION_EMAIL),
        (MessageKind.INVOICE, ConsentPurpose.PROSPECTION_EMAIL),
    ],
)
def test_whoever_unsubscribes_gets_no_more_offers(
    desk: Desk, brevo: MessageSender, kind: MessageKind, purpose: ConsentPurpose
) -> None:
    message = sent(desk, kind=kind)
    for _ in range(2):
        hear(brevo, told(message, "unsubscribed"))
    found = db.session.query(PresentConsent.purpose, PresentConsent.state).filter_by(client_id=desk.client.id)
    assert found.all() == [(purpose, ConsentState.REFUSED)]
    assert desk.status(message) is MessageStatus.SENT


def test_a_colleagues_message_has_no_client_to_tell(desk: Desk, brevo: MessageSender, cast: Any) -> None:
    cast.manager.email = "lea@example.org"
    message = sent(desk, client_id=None, user_id=cast.manager.id, text=Text("Bonjour", "Un mot."))
    for event in ("unsubscribed", "reply", "hard_bounce"):
        hear(brevo, told(message, event))
    assert desk.status(message) is MessageStatus.BOUNCED
    assert db.session.query(Task).count() == 0


class TestSms:
    """By the pretend gateway, which knows its own ids alone."""

    @pytest.fixture
    def sms(self, desk: Desk, gateway: Gateway) -> MessageSender:
        """The company sends SMS."""
        desk.client.phone = "+33639981234"
        return open_sender(desk.company, Channel.SMS, {})

    def write(self, desk: Desk) -> Message:
        return desk.write(channel=Channel.SMS, text=Text("", "Bonjour"))

    def hear(self, sender: MessageSender, event: str, provider_id: str | None, at: datetime, text: str = "") -> int:
        said = {"event": event, "id": provider_id, "to": "+33639981234", "text": text, "at": at.isoformat()}
        return hearing.hear(sender.webhook_token, orjson.dumps(said), at=clock.now())

    def test_an_sms_is_found_by_the_gateways_id(self, desk: Desk, sms: MessageSender) -> None:
        message = self.write(desk)
        desk.send()
        assert self.hear(sms, "delivered", desk.message(message.id).provider_id, clock.now()) == 1
        assert desk.status(message) is MessageStatus.DELIVERED

    def test_an_answer_is_told_and_somebody_is_to_read_it(self, desk: Desk, sms: MessageSender, cast: Any) -> None:
        desk.client.commercial_id = db.session.query(Commercial.id).filter_by(user_id=cast.commercial.id).scalar()
        message = self.write(desk)
        desk.send()
        self.hear(sms, "replied", desk.message(message.id).provider_id, clock.now(), "Rappelez-moi demain")
        [event] = db.session.query(TimelineEvent).filter_by(kind=EventKind.MESSAGE_ANSWERED)
        assert (event.client_id, event.message_id) == (desk.client.id, message.id)
        assert event.body == "Rappelez-moi demain"
        [task] = db.session.query(Task)
        assert (task.user_id, task.client_id) == (cast.commercial.id, desk.client.id)

    def test_stop_is_heard(self, desk: Desk, sms: MessageSender) -> None:
        message = self.write(desk)
        desk.send()
        self.hear(sms, "replied", desk.message(message.id).provider_id, clock.now(), " Stop ")
        found = db.session.query(PresentConsent.purpose, PresentConsent.state).filter_by(client_id=desk.client.id)
        assert found.all() == [(ConsentPurpose.PROSPECTION_SMS, ConsentState.REFUSED)]

    def test_an_sms_whose_id_was_lost_is_known_by_number_and_moment(
        self, desk: Desk, sms: MessageSender, gateway: Gateway
    ) -> None:
        message = self.write(desk)
        gateway.mode, gateway.times = "drop", 1
        desk.send()
        assert desk.status(message) is MessageStatus.UNKNOWN
        assert self.hear(sms, "delivered", "sms_lost", clock.now() + LATER) == 0, "an hour later it may be another"
        assert self.hear(sms, "delivered", "sms_lost", clock.now()) == 1
        found = desk.message(message.id)
        assert (found.status, found.provider_id) == (MessageStatus.DELIVERED, "sms_lost")

    def test_of_two_to_one_number_nobody_guesses(self, desk: Desk, sms: MessageSender, gateway: Gateway) -> None:
        messages = [self.write(desk), self.write(desk)]
        gateway.mode, gateway.times = "drop", 2
        desk.send()
        assert self.hear(sms, "delivered", "sms_lost", clock.now()) == 0
        assert {desk.status(message) for message in messages} == {MessageStatus.UNKNOWN}


def test_one_that_sends_no_more_listens_still(desk: Desk, brevo: MessageSender) -> None:
    message = sent(desk)
    brevo.is_active = False
    db.session.flush()
    assert hear(brevo, told(message, "delivered")) == 1


@pytest.mark.parametrize("token", ["", "x", "\0", "é", "a" * 65, "a b"])
def test_an_address_of_nobody_is_none(desk: Desk, token: str) -> None:
    with pytest.raises(NotFoundError):
        hearing.hear(token, b"{}", at=clock.now())


def test_a_provider_without_webhooks_tells_nothing(desk: Desk) -> None:
    with pytest.raises(WebhookBodyError):
        hearing.hear(desk.sender.webhook_token, b"{}", at=clock.now())


@pytest.mark.parametrize(
    "values",
    [
        {"message_id": "\0", "reason": "a\0b"},
        {"message_id": "x" * 5000, "reason": "y" * 5000},
        {"message_id": 12, "email": "\ufffd@\0"},
        {"ts_event": 253402300799},
    ],
)
def test_hostile_values_do_no_harm(desk: Desk, brevo: MessageSender, values: dict[str, Any]) -> None:
    message = sent(desk)
    assert hear(brevo, told(message, "delivered", **values)) == 1
    assert hear(brevo, told(message, "delivered", **values) | {"X-Mailin-custom": "\0"}) == 0
