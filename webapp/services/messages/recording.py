"""Recording: what became of the handing over of a message, under the fence of whoever asked.

Whoever comes without the fence changes nothing: a webhook was quicker, or another worker has taken the message over.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import DateTime, Integer, String, Uuid, bindparam, text, tuple_, update

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
from webapp.services.messages import suppressing, telling
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


class _Change(NamedTuple):
    """What a message becomes, and what is told of it; ``not_before`` empty: as it was."""

    status: MessageStatus
    event: MessageEventKind
    text: str
    error: str | None
    sent_at: datetime | None = None
    provider_id: str | None = None
    resend_until: datetime | None = None
    not_before: datetime | None = None


_NOTHING = _Change(MessageStatus.SENT, MessageEventKind.ACCEPTED, "", None)
_NOTE = text(
    """
    WITH moved AS (
      UPDATE messages SET status = :status, lease_until = NULL, error = :error, resend_until = :resend_until,
             sent_at = coalesce(:sent_at, sent_at), provider_id = coalesce(:provider_id, provider_id),
             not_before = coalesce(:not_before, not_before)
       WHERE organisation_id = :organisation_id AND id = :finished_id AND fence = :finished_fence
         AND status = 'sending'
      RETURNING id, client_id
    ), told AS (
      INSERT INTO message_events (organisation_id, id, message_id, at, kind, text)
      SELECT :organisation_id, :event_id, id, :at, :event, :text FROM moved
    ), told_client AS (
      INSERT INTO timeline_events (organisation_id, id, client_id, message_id, kind, at, changes, body)
      SELECT :organisation_id, :news_id, client_id, id, :news, :at, '{}', :error FROM moved
       WHERE client_id IS NOT NULL AND :news IS NOT NULL
    ), begun AS (
      UPDATE messages SET called_at = :at, attempts = attempts + 1
       WHERE organisation_id = :organisation_id AND id = :begun_id AND fence = :begun_fence AND status = 'sending'
      RETURNING id
    )
    SELECT EXISTS (SELECT FROM moved), EXISTS (SELECT FROM begun)
    """
).bindparams(
    *(bindparam(name, type_=Uuid()) for name in ("organisation_id", "event_id", "news_id", "finished_id", "begun_id")),
    *(bindparam(name, type_=DateTime(timezone=True)) for name in ("at", "sent_at", "resend_until", "not_before")),
    *(bindparam(name, type_=Integer()) for name in ("finished_fence", "begun_fence")),
    *(bindparam(name, type_=String()) for name in ("status", "error", "provider_id", "event", "text", "news")),
)


def note(
    finished: Finished | None, following: Claim | None, sender: MessageSender, *, at: datetime
) -> tuple[MessageStatus | None, bool]:
    """What came of a call becomes the message's state, and the next call is noted before it is made.

    In the caller's transaction, and one statement, since it is what every message costs. Returns the state that the
    finished one has come to, and whether the following one is still ours.
    """
    change = _change_of(finished, sender, at) if finished else _NOTHING
    moved, begun = db.session.execute(
        _NOTE,
        change._asdict()
        | {
            "organisation_id": current_organisation_id(),
            "event_id": new_id(),
            "news_id": new_id(),
            "news": telling.KINDS.get(change.status),
            "at": at,
            "finished_id": finished.claim.message_id if finished else None,
            "finished_fence": finished.claim.fence if finished else None,
            "begun_id": following.message_id if following else None,
            "begun_fence": following.fence if following else None,
        },
    ).one()
    if finished is None:
        return None, begun
    if moved:
        _follow(finished, sender, at=at)
    else:
        _keep_provider_id(finished)
    return change.status, begun


def _follow(finished: Finished, sender: MessageSender, *, at: datetime) -> None:
    """What an outcome means for the address and for the sender."""
    claim, outcome = finished.claim, finished.outcome
    if isinstance(outcome, Refused) and outcome.kind is RefusalKind.ADDRESS:
        suppressing.suppress(claim.to, SuppressionReason.HARD_BOUNCE, message_id=claim.message_id, at=at)
    _note_sender(finished, sender, at=at)


def put_back(claims: list[Claim]) -> None:
    """Give up messages that nobody was asked to take, in the caller's transaction: they wait as before."""
    back = update(Message).where(
        tuple_(Message.id, Message.fence).in_([(claim.message_id, claim.fence) for claim in claims]),
        Message.status == MessageStatus.SENDING,
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
    message.status, message.error, message.resend_until = change.status, change.error, change.resend_until
    message.not_before = change.not_before or message.not_before
    message.fence += 1
    db.session.add(MessageEvent(message_id=message.id, at=at, kind=change.event, text=change.text))


def _change_of(finished: Finished, sender: MessageSender, at: datetime) -> _Change:
    match finished.outcome:
        case Accepted(provider_id, text):
            return _Change(MessageStatus.SENT, MessageEventKind.ACCEPTED, text, None, at, provider_id or None)
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
        return _Change(MessageStatus.UNKNOWN, MessageEventKind.LOST, text, error)
    wait = at + WAITS[0] if again.until is None else None
    return _Change(MessageStatus.QUEUED, MessageEventKind.LOST, text, error, resend_until=again.until, not_before=wait)


def _refused(finished: Finished, kind: RefusalKind, words: str, at: datetime) -> _Change:
    event = MessageEventKind.REFUSED
    if kind is RefusalKind.ADDRESS:
        return _Change(MessageStatus.BOUNCED, event, words, words)
    if kind is RefusalKind.CONTENT:
        return _Change(MessageStatus.FAILED, event, words, words)
    if finished.stops_sender:  # it is not this message's fault: its next try is not put off
        return _Change(MessageStatus.QUEUED, event, words, words)
    tried = finished.claim.attempts + 1
    if tried >= MOST_ATTEMPTS:
        return _Change(MessageStatus.FAILED, event, words, GIVEN_UP.format(reason=words))
    wait = WAITS[min(tried, len(WAITS)) - 1]
    return _Change(MessageStatus.QUEUED, event, words, words, not_before=at + wait)


def _keep_provider_id(finished: Finished) -> None:
    """By which what the provider tells later finds the message, whoever has it now."""
    claim, outcome = finished.claim, finished.outcome
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
