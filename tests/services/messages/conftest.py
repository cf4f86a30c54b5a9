"""A company that sends by a real mail server and a pretend SMS gateway, and a client to whom it writes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from demo.sms_gateway import Gateway
from tests import factories, mail_server, sms_gateway
from tests.mail_server import MailServer
from webapp import clock, tenancy
from webapp.config import Settings
from webapp.extensions import db
from webapp.gateways import messaging
from webapp.models.clients import Client
from webapp.models.messages import (
    Channel,
    Message,
    MessageEvent,
    MessageKind,
    MessageProvider,
    MessageSender,
    MessageStatus,
)
from webapp.models.organisations import Company
from webapp.services.messages import sending, sweeping, writing
from webapp.services.messages.drafts import Draft
from webapp.services.messages.rendering import Text

TEXT = Text("Bonjour {{ prenom }}", "Un mot pour **{{ nom_complet }}**.")


@pytest.fixture(scope="session")
def _mail_server() -> Iterator[MailServer]:
    with mail_server.running() as server:
        yield server


@pytest.fixture
def mail(_mail_server: MailServer) -> MailServer:
    """A mail server that has taken nothing yet."""
    _mail_server.forget()
    return _mail_server


@pytest.fixture
def gateway(settings: Settings) -> Iterator[Gateway]:
    """The pretend SMS gateway, as the process knows it."""
    with sms_gateway.running() as (gateway, url):
        messaging.use(settings.model_copy(update={"sms_sandbox_url": url}))
        yield gateway
    messaging.use(settings)


@dataclass
class Desk:
    """Who writes to whom."""

    organisation_id: UUID
    company: Company
    client: Client
    sender: MessageSender

    def draft(self, kind: MessageKind = MessageKind.FREE, **values: Any) -> Draft:
        """A draft to the client, about something of its own."""
        given: dict[str, Any] = {
            "company_id": self.company.id,
            "client_id": self.client.id,
            "subject_id": uuid4(),
            "occasion": "1",
            "variables": {},
            "text": TEXT,
        }
        return Draft(kind=kind, **(given | values))

    def write(self, kind: MessageKind = MessageKind.FREE, **values: Any) -> Message:
        """Write it."""
        message_id = writing.write(self.draft(kind, **values), at=clock.now())
        assert message_id is not None
        return self.message(message_id)

    def message(self, message_id: UUID) -> Message:
        """As it stands now."""
        message = db.session.get(Message, (self.organisation_id, message_id), populate_existing=True)
        assert message is not None
        return message

    def status(self, message: Message) -> MessageStatus:
        """Where it stands now."""
        return self.message(message.id).status

    def present_sender(self) -> MessageSender:
        """The sender as it stands now, after the engine has let go of it."""
        sender = db.session.get(MessageSender, (self.organisation_id, self.sender.id), populate_existing=True)
        assert sender is not None
        return sender

    def send(self) -> None:
        """What the job does."""
        sending.send(self.organisation_id)

    def sweep(self) -> None:
        """What the timetable does."""
        sweeping.sweep(at=clock.now())

    def wait(self, time: timedelta) -> None:
        """Let time pass."""
        clock.start_at(clock.now() + time)

    def events(self, message: Message) -> list[str]:
        """What was told of it, the earliest first."""
        found = db.session.query(MessageEvent).filter(MessageEvent.message_id == message.id)
        return [event.kind.value for event in found.order_by(MessageEvent.at, MessageEvent.id)]


def open_sender(company: Company, channel: Channel, credentials: Mapping[str, str], **values: Any) -> MessageSender:
    """A sender that may send as fast as it likes, at any hour."""
    is_email = channel is Channel.EMAIL
    sender = MessageSender(
        company_id=company.id,
        channel=channel,
        provider=MessageProvider.SMTP if is_email else MessageProvider.PRETEND_SMS,
        from_name="Verger & Cie" if is_email else "VERGER",
        from_address="bonjour@verger.example" if is_email else None,
        pace_per_minute=100_000,
        webhook_token=uuid4().hex,
        **values,
    )
    sender.keep_credentials(dict(credentials))
    db.session.add(sender)
    db.session.flush()
    return sender


@pytest.fixture
def desk(organisation_id: UUID, mail: MailServer) -> Desk:
    """A company with a sender of e-mails, and a client with an address."""
    company = factories.CompanyFactory(name="Verger & Cie", email="contact@verger.example")
    client = factories.ClientFactory(
        first_name="Léa", last_name="MARTIN", email="lea@example.org", address_line1="1 rue des Lilas"
    )
    sender = open_sender(company, Channel.EMAIL, mail.credentials)
    return Desk(tenancy.current_organisation_id(), company, client, sender)


def at(text: str) -> datetime:
    """An instant, and the clock there."""
    instant = datetime.fromisoformat(text)
    clock.start_at(instant)
    return instant
