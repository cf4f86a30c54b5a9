"""The same told by two at once: it is one row with one effect, and nobody waits for ever."""

from datetime import timedelta

import orjson
import pytest
from flask import Flask
from sqlalchemy import func, select

from tests import factories
from tests.concurrency import at_once
from tests.gateways.messaging import imap_server
from tests.gateways.messaging.test_bounces import dsn
from tests.mail_server import MailServer
from tests.services.messages.conftest import Desk, open_sender
from webapp import clock, tenancy
from webapp.extensions import db
from webapp.models.messages import Channel, Message, MessageEvent, MessageEventKind, MessageProvider, Suppression
from webapp.models.tasks import Task
from webapp.services.messages import hearing, mailboxes

ADDRESSES = [f"lea{number}@example.org" for number in range(6)]


@pytest.fixture
def desk(committed: None, mail: MailServer) -> Desk:
    """A company whose rows are really committed."""
    organisation = factories.OrganisationFactory()
    tenancy.enter_organisation(organisation.id)
    company = factories.CompanyFactory(is_default=True)
    client = factories.ClientFactory(email=ADDRESSES[0])
    sender = open_sender(company, Channel.EMAIL, mail.credentials)
    db.session.commit()
    return Desk(organisation.id, company, client, sender)


def sent(desk: Desk) -> list[Message]:
    """A message to each of the addresses."""
    clients = [desk.client, *(factories.ClientFactory(email=address) for address in ADDRESSES[1:])]
    messages = [desk.write(client_id=client.id) for client in clients]
    db.session.commit()
    desk.send()
    return [desk.message(message.id) for message in messages]


def number_of(model: type[Suppression] | type[Task] | type[MessageEvent], *conditions: object) -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(model).where(*conditions)) or 0  # type: ignore[arg-type]


BOUNCED = MessageEvent.kind == MessageEventKind.BOUNCED_HARD


def test_two_webhooks_in_opposite_order_tell_once(app: Flask, desk: Desk) -> None:
    told = [
        {
            "event": "hard_bounce",
            "email": message.to_in_clear(),
            "ts_event": int(clock.now().timestamp()),
            "X-Mailin-custom": f"<{message.id}@verger.example>",
        }
        for message in sent(desk)
    ]
    sender = desk.present_sender()
    sender.provider = MessageProvider.BREVO
    token = sender.webhook_token
    db.session.commit()

    def hear(events: list[dict[str, object]]) -> None:
        hearing.hear(token, orjson.dumps(events), at=clock.now() + timedelta(minutes=1))

    ended = at_once(app, desk.organisation_id, *(lambda each=each: hear(each) for each in (told, told[::-1]) * 3))
    assert set(ended) == {"done"}
    number = len(ADDRESSES)
    assert (number_of(MessageEvent, BOUNCED), number_of(Suppression), number_of(Task)) == (number, number, number)


def test_two_readers_of_one_mailbox_tell_once(app: Flask, desk: Desk) -> None:
    messages = sent(desk)
    with imap_server.running() as folder:
        folder.password = "secret"
        for message in messages:
            returned = f"Message-ID: <{message.id}@verger.example>\r\n"
            address = (message.to_in_clear() or "").encode()
            folder.add(dsn(returned=returned).replace(b"lea@example.com", address))
        desk.present_sender().keep_mailbox(folder.credentials)
        db.session.commit()
        ended = at_once(
            app, desk.organisation_id, *(lambda: mailboxes.read_all(desk.organisation_id) for _ in range(3))
        )
        mailboxes.read_all(desk.organisation_id)
    assert set(ended) == {"done"}
    number = len(ADDRESSES)
    assert (number_of(MessageEvent, BOUNCED), number_of(Suppression), number_of(Task)) == (number, number, number)
    assert desk.present_sender().mailbox_uid == number
