"""Recording: what became of the handing over of a message, under the fence of whoever asked.

Whoever comes without the fence changes nothing: a webhook was quicker, or another worker has taken the message over.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, update

from webapp.extensions import db
from webapp.gateways.messaging import UNREACHABLE, Accepted, Outcome, RefusalKind, Refused, Unknown, honoured_for
from webapp.models.base import new_id
from webapp.models.messages import (
    Channel,
    Message,
    MessageEvent,
    MessageEventKind,
    MessageSender,
    MessageStatus,
    SuppressionReason,
)
from webapp.services.messages import suppressing
from webapp.services.messages.claiming import Claim
from webapp.services.messages.kinds import KINDS
from webapp.tenancy import current_organisation_id

WAITS = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1))
MOST_ATTEMPTS = 27
"""With a wait of an hour after the first ones: about a day."""
BUSY = (UNREACHABLE, "421")
"""Refusals that are the server's, not the message's: the next message would fare the same."""
NOBODY_KNOWS = "Personne ne sait si ce message est parti\u202f: {reason}"
INTERRUPTED = "l’envoi a été interrompu."
GIVEN_UP = "Le prestataire l’a refusé pendant un jour\u202f: {reason}"


@dataclass(frozen=True)
class Finished:
    """A call that was made, and what came of it."""

    claim: Claim
    called_at: datetime
    outcome: Outcome

    @property
    def stops_sender(self) -> bool:
        """Whether the next message would fare the same."""
        return isinstance(self.outcome, Refused) and (
            self.outcome.kind is RefusalKind.ACCOUNT or self.outcome.code in BUSY
        )


@dataclass(frozen=True)
class _Change:
    """What a message becomes, and what is told of it."""

    status: MessageStatus
    event: MessageEventKind
    text: str
    values: dict[str, Any]


def begin(claim: Claim, *, at: datetime) -> bool:
    """Note that the provider is asked now, in the caller's transaction; False where the claim is no longer ours."""
    noted = (
        update(Message)
        .where(Message.id == claim.message_id, Message.fence == claim.fence, Message.status == MessageStatus.SENDING)
        .values(called_at=at, attempts=Message.attempts + 1)
        .execution_options(synchronize_session=False)
    )
    return bool(db.session.execute(noted).rowcount)  # type: ignore[attr-defined]


def record(finished: Finished, sender: MessageSender, *, at: datetime) -> MessageStatus:
    """What came of a call becomes the message's state, in the caller's transaction; returns that state."""
    claim, outcome = finished.claim, finished.outcome
    change = _change_of(finished, sender, at)
    if not _move(claim, change, at=at):
        _keep_provider_id(claim, outcome)
        return change.status
    if isinstance(outcome, Refused) and outcome.kind is RefusalKind.ADDRESS:
        suppressing.suppress(claim.to, SuppressionReason.HARD_BOUNCE, message_id=claim.message_id, at=at)
    _note_sender(finished, sender, at=at)
    return change.status


def put_back(claims: list[Claim]) -> None:
    """Give up messages that nobody was asked to take, in the caller's transaction: they wait as before."""
    back = update(Message).where(
        Message.id.in_([claim.message_id for claim in claims]),
        Message.status == MessageStatus.SENDING,
        Message.called_at.is_(None),
    )
    db.session.execute(
        back.values(status=MessageStatus.QUEUED, lease_until=None).execution_options(synchronize_session=False)
    )


def lose(message: Message, sender: MessageSender | None, *, at: datetime) -> None:
    """Take a message, which is locked, from a worker that has died while it sent it."""
    message.lease_until = None
    if message.called_at is None:
        message.status = MessageStatus.QUEUED
        return
    again = _when_again(message, sender, message.called_at, at)
    change = _unknown(INTERRUPTED, again, at)
    message.status, message.error = change.status, change.values["error"]
    message.not_before = change.values.get("not_before", message.not_before)
    message.resend_until = change.values.get("resend_until", message.resend_until)
    message.fence += 1
    db.session.add(MessageEvent(message_id=message.id, at=at, kind=change.event, text=change.text))


def _change_of(finished: Finished, sender: MessageSender, at: datetime) -> _Change:
    match finished.outcome:
        case Accepted(provider_id, text):
            values = {"sent_at": at, "provider_id": provider_id or None, "error": None, "resend_until": None}
            return _Change(MessageStatus.SENT, MessageEventKind.ACCEPTED, text, values)
        case Unknown(text):
            again = _when_again(finished.claim, sender, finished.called_at, at)
            return _unknown(text, again, at)
        case Refused(kind, code, text):
            return _refused(finished, kind, f"{code} {text}".strip(), at)


@dataclass(frozen=True)
class _Again:
    """A message whose fate is unknown is sent again; by the provider's key only until ``until``."""

    until: datetime | None


def _when_again(
    subject: Claim | Message, sender: MessageSender | None, called_at: datetime, at: datetime
) -> _Again | None:
    """None where a person decides: what need not arrive, from a provider that would send it twice."""
    tried = subject.attempts + (1 if isinstance(subject, Claim) else 0)
    if KINDS[subject.kind].must_arrive:
        return _Again(None) if tried < MOST_ATTEMPTS else None
    honoured = honoured_for(sender.provider, is_sms=sender.channel is Channel.SMS) if sender else None
    if subject.resend_until is None and (honoured is None or tried > 1):
        return None
    until = subject.resend_until or called_at + (honoured or timedelta())
    return _Again(until) if at < until else None


def _unknown(text: str, again: _Again | None, at: datetime) -> _Change:
    error = NOBODY_KNOWS.format(reason=text)
    if again is None:
        return _Change(MessageStatus.UNKNOWN, MessageEventKind.LOST, text, {"error": error})
    values = {"error": error, "resend_until": again.until}
    if again.until is None:
        values["not_before"] = at + WAITS[0]
    return _Change(MessageStatus.QUEUED, MessageEventKind.LOST, text, values)


def _refused(finished: Finished, kind: RefusalKind, words: str, at: datetime) -> _Change:
    event = MessageEventKind.REFUSED
    if kind is RefusalKind.ADDRESS:
        return _Change(MessageStatus.BOUNCED, event, words, {"error": words})
    if kind is RefusalKind.CONTENT:
        return _Change(MessageStatus.FAILED, event, words, {"error": words})
    if finished.stops_sender:  # it is not this message's fault: its next try is not put off
        return _Change(MessageStatus.QUEUED, event, words, {"error": words})
    tried = finished.claim.attempts + 1
    if tried >= MOST_ATTEMPTS:
        return _Change(MessageStatus.FAILED, event, words, {"error": GIVEN_UP.format(reason=words)})
    wait = WAITS[min(tried, len(WAITS)) - 1]
    return _Change(MessageStatus.QUEUED, event, words, {"error": words, "not_before": at + wait})


def _move(claim: Claim, change: _Change, *, at: datetime) -> bool:
    moved = (
        update(Message)
        .where(Message.id == claim.message_id, Message.fence == claim.fence, Message.status == MessageStatus.SENDING)
        .values(status=change.status, lease_until=None, **change.values)
        .execution_options(synchronize_session=False)
    )
    if not db.session.execute(moved).rowcount:  # type: ignore[attr-defined]
        return False
    told = {"id": new_id(), "organisation_id": current_organisation_id(), "message_id": claim.message_id}
    db.session.execute(insert(MessageEvent), told | {"at": at, "kind": change.event, "text": change.text})
    return True


def _keep_provider_id(claim: Claim, outcome: Outcome) -> None:
    """By which what the provider tells later finds the message, whoever has it now."""
    if isinstance(outcome, Accepted) and outcome.provider_id:
        kept = update(Message).where(Message.id == claim.message_id, Message.provider_id.is_(None))
        db.session.execute(kept.values(provider_id=outcome.provider_id).execution_options(synchronize_session=False))


def _note_sender(finished: Finished, sender: MessageSender, *, at: datetime) -> None:
    """The sender rests while its provider takes nothing, and is well again with the first message that is taken."""
    outcome = finished.outcome
    if finished.stops_sender and isinstance(outcome, Refused):
        sender.error, sender.error_at = f"{outcome.code} {outcome.text}".strip(), at
    elif isinstance(outcome, Accepted) and sender.error_at is not None:
        sender.error, sender.error_at = None, None
    else:
        return
    noted = update(MessageSender).where(MessageSender.id == sender.id)
    db.session.execute(
        noted.values(error=sender.error, error_at=sender.error_at).execution_options(synchronize_session=False)
    )
