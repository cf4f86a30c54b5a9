"""Hearing what became of messages: providers tell it by webhook, mail servers by a report in a mailbox.

All that one of them tells at once is one transaction. An event is believed where it names a message that the sender's
company has handed over; any other is left alone. Told twice, it is one row and moves the message once; what comes too
late to move it is kept on it all the same.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import exists, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import undefer

from webapp import clock, crypto, tenancy
from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.gateways import messaging
from webapp.gateways.messaging import LONGEST_SEND, ProviderEvent
from webapp.gateways.wording import words
from webapp.models.base import linked, new_id
from webapp.models.clients import Client
from webapp.models.consents import ConsentChannel, ConsentPurpose
from webapp.models.messages import (
    Channel,
    Message,
    MessageEvent,
    MessageEventKind,
    MessageSender,
    MessageStatus,
    SuppressionReason,
    address_purpose,
)
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.clients import tasks
from webapp.services.clients.tasks import NewTask
from webapp.services.consents.recording import ConsentFields, record
from webapp.services.messages import suppressing, telling
from webapp.services.messages.kinds import KINDS
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction

EARLIEST, LATEST = timedelta(minutes=1), LONGEST_SEND
"""Around the moment at which an SMS was handed over: when its gateway tells of it, if its id did not reach us."""
LONGEST_ID = 255
ANSWERED = "Le client a répondu à notre message\u202f: sa réponse est dans l’historique."
BECOMES = {
    MessageEventKind.ACCEPTED: MessageStatus.SENT,
    MessageEventKind.DELIVERED: MessageStatus.DELIVERED,
    MessageEventKind.BOUNCED_HARD: MessageStatus.BOUNCED,
    MessageEventKind.COMPLAINED: MessageStatus.COMPLAINED,
}
SUPPRESSES = {
    MessageEventKind.BOUNCED_HARD: SuppressionReason.HARD_BOUNCE,
    MessageEventKind.COMPLAINED: SuppressionReason.COMPLAINT,
}
OFFERS = {Channel.EMAIL: ConsentPurpose.PROSPECTION_EMAIL, Channel.SMS: ConsentPurpose.PROSPECTION_SMS}
"""What a client who unsubscribes from a message that needs no consent wants no more of."""
_TOKEN = re.compile(r"[\w-]{1,64}", re.ASCII)
_MESSAGE_ID = re.compile(r"<([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})@[^<>]*>", re.IGNORECASE)


class _Told(NamedTuple):
    """An event, and the message that it tells of."""

    event: ProviderEvent
    message: Message

    @property
    def is_of_recipient(self) -> bool:
        """Whether it is of the address that we wrote to: somebody may have passed the message on."""
        said, ours = self.event.address, self.message.to_in_clear() or ""
        return said is None or said.strip().lower() == ours.lower()


def hear(token: str, body: bytes, *, at: datetime) -> int:
    """Record what a webhook tells; returns how many events were new.

    Raises NotFoundError for an address that no sender has, or has any more; WebhookBodyError.
    """
    sender = _find_sender(token)
    events = messaging.read_webhook(sender.provider, body)
    with tenancy.organisation(sender.organisation_id), transaction():
        return hear_events(sender.company_id, events, at=at)


def _find_sender(token: str) -> MessageSender:
    """One that sends no more listens still: what it has sent arrives, or not."""
    sender = None
    if _TOKEN.fullmatch(token):
        with tenancy.across_organisations():
            sender = db.session.scalar(select(MessageSender).where(MessageSender.webhook_token == token))
    if sender is None:
        raise NotFoundError("Cette adresse n’existe pas.")
    return sender


def hear_events(company_id: UUID, events: Sequence[ProviderEvent], *, at: datetime, is_final: bool = False) -> int:
    """Record events about messages of the company, in the caller's transaction; returns how many were new.

    ``is_final``: what was not delivered for another reason than its address is not tried any more by whoever tells it,
    as by a mail server that sends a report (RFC 3464).
    """
    named = _find_named(company_id, events)
    messages = _lock(set(named.values()))
    told = [
        _Told(event, messages[named[number]]) for number, event in enumerate(events) if named.get(number) in messages
    ]
    fresh = _keep(told)
    before = {message.id: message.status for message in messages.values()}
    for each in fresh:
        _move(each, at=at, is_final=is_final)
    news = [each for each in messages.values() if telling.is_news(before[each.id], each.status)]
    telling.tell([message.id for message in news], at=at)
    _suppress(fresh, at=at)
    _unsubscribe(fresh, at=at)
    _tell_answers(fresh, at=at)
    return len(fresh)


def _find_named(company_id: UUID, events: Sequence[ProviderEvent]) -> dict[int, UUID]:
    """The messages that events are about, by the event's place: by our Message-ID, or by what the provider calls them.

    A Message-ID holds an id that nobody knows who has not seen the message.
    """
    ours = {number: found for number, event in enumerate(events) if (found := _our_id(event))}
    theirs = {
        number: event.provider_id
        for number, event in enumerate(events)
        if event.provider_id and event.provider_id.isprintable()
    }
    known = db.session.execute(
        select(Message.id, Message.provider_id).where(
            Message.company_id == company_id,
            or_(Message.id.in_(set(ours.values())), Message.provider_id.in_(set(theirs.values()))),
        )
    ).all()
    ids = {row.id for row in known}
    by_provider_id = {row.provider_id: row.id for row in known if row.provider_id}
    named = {number: by_provider_id[each] for number, each in theirs.items() if each in by_provider_id}
    named |= {number: each for number, each in ours.items() if each in ids}
    unknown = {number: events[number] for number in theirs.keys() - named.keys() - ours.keys()}
    return named | _find_unanswered(company_id, unknown)


def _our_id(event: ProviderEvent) -> UUID | None:
    found = _MESSAGE_ID.fullmatch(event.message_id or "")
    return UUID(found[1]) if found else None


def _find_unanswered(company_id: UUID, events: Mapping[int, ProviderEvent]) -> dict[int, UUID]:
    """SMS whose id their gateway has not answered, or not yet: the only one to that number at that moment."""
    purpose = address_purpose(current_organisation_id())
    indexes = {
        number: crypto.blind_indexes(event.address, purpose=purpose)
        for number, event in events.items()
        if event.address
    }
    if not indexes:
        return {}
    unanswered = db.session.execute(
        select(Message.id, Message.to_index, Message.called_at).where(
            Message.company_id == company_id,
            Message.channel == Channel.SMS,
            Message.to_index.in_({index for each in indexes.values() for index in each}),
            Message.provider_id.is_(None),
            Message.status.in_((MessageStatus.SENDING, MessageStatus.UNKNOWN, MessageStatus.QUEUED)),
            Message.called_at.is_not(None),
        )
    ).all()
    found = {}
    for number, of_address in indexes.items():
        at = events[number].at
        fits = [
            row.id
            for row in unanswered
            if row.to_index in of_address and row.called_at - EARLIEST <= at <= row.called_at + LATEST
        ]
        if len(fits) == 1:
            found[number] = fits[0]
    return found


def _lock(message_ids: Collection[UUID]) -> dict[UUID, Message]:
    """In the order of their ids, so that two webhooks wait for each other once; none to a client who was erased."""
    if not message_ids:
        return {}
    is_erased = exists().where(linked(Client, Message.client_id), Client.erased_at.is_not(None))
    wanted = select(Message).where(Message.id.in_(message_ids), ~is_erased).order_by(Message.id)
    locked = wanted.options(undefer(Message.to)).with_for_update().execution_options(populate_existing=True)
    return {message.id: message for message in db.session.scalars(locked)}


def _keep(told: Iterable[_Told]) -> list[_Told]:
    """A row each; returns those that were not told before, in their order."""
    rows = {new_id(): each for each in told}
    if not rows:
        return []
    statement = insert(MessageEvent).on_conflict_do_nothing().returning(MessageEvent.id)
    kept = set(
        db.session.scalars(
            statement,
            [
                {
                    "organisation_id": current_organisation_id(),
                    "id": event_id,
                    "message_id": message.id,
                    "at": event.at,
                    "kind": event.kind,
                    "text": _text(event, message),
                }
                for event_id, (event, message) in rows.items()
            ],
        )
    )
    return [each for event_id, each in rows.items() if event_id in kept]


def _text(event: ProviderEvent, message: Message) -> str:
    """What was said; of another address than the message went to, with that address."""
    said = event.text if _Told(event, message).is_of_recipient else f"{event.address}\u202f: {event.text}"
    return words(said)


def _move(told: _Told, *, at: datetime, is_final: bool) -> None:
    """The message comes to stand where the event says, if it may; whoever was sending it records nothing any more."""
    event, message = told
    message.provider_id = message.provider_id or _provider_id(event)
    status = BECOMES.get(event.kind)
    if is_final and event.kind is MessageEventKind.BOUNCED_SOFT:
        status = MessageStatus.BOUNCED
    if status is None or not told.is_of_recipient or not message.can_become(status):
        return
    message.status = status
    message.lease_until = message.resend_until = None
    message.fence += 1
    if status is MessageStatus.BOUNCED:
        message.error = words(event.text)
    else:
        message.error, message.sent_at = None, message.sent_at or min(event.at, at)


def _provider_id(event: ProviderEvent) -> str | None:
    given = event.provider_id or ""
    return given if 0 < len(given) <= LONGEST_ID and given.isprintable() else None


def _suppress(fresh: Iterable[_Told], *, at: datetime) -> None:
    """In the order of the addresses, so that two webhooks wait for each other once."""
    dead = {
        message.to_in_clear() or "": (SUPPRESSES[event.kind], message.id)
        for event, message in fresh
        if event.kind in SUPPRESSES and _Told(event, message).is_of_recipient
    }
    for address, (reason, message_id) in sorted(dead.items()):
        if address:
            suppressing.suppress(address, reason, message_id=message_id, at=at)


def _unsubscribe(fresh: Iterable[_Told], *, at: datetime) -> None:
    """Whoever unsubscribes withdraws the consent that the message needed, or else that to offers by its channel."""
    withdrawn = {
        (message.client_id, KINDS[message.kind].purpose(message.channel) or OFFERS[message.channel])
        for event, message in fresh
        if _is_against(event) and message.client_id and message.channel in OFFERS
    }
    for client_id, purpose in sorted(withdrawn):
        record(client_id, ConsentFields(purpose=purpose, agrees=False, channel=ConsentChannel.WEB), by=None, at=at)


def _is_against(event: ProviderEvent) -> bool:
    """Whether the client wants no more: « STOP » is what every SMS with offers asks to answer."""
    is_stop = event.kind is MessageEventKind.REPLIED and event.text.strip().upper() == "STOP"
    return is_stop or event.kind is MessageEventKind.UNSUBSCRIBED


def _tell_answers(fresh: Iterable[_Told], *, at: datetime) -> None:
    """An answer stands in the client's timeline, and the commercial gets a task to read it."""
    answers = [(event, message) for event, message in fresh if event.kind is MessageEventKind.REPLIED]
    clients = {message.client_id for _, message in answers if message.client_id}
    if not clients:
        return
    today = at.astimezone(clock.PARIS).date()
    tasks.add_for_commercials([NewTask(client_id, ANSWERED, today) for client_id in sorted(clients)], at=at)
    db.session.add_all(
        TimelineEvent(
            client_id=message.client_id,
            message_id=message.id,
            kind=EventKind.MESSAGE_ANSWERED,
            at=min(event.at, at),
            body=event.text,
        )
        for event, message in answers
        if message.client_id
    )
