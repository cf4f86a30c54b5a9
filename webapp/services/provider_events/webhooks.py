"""Webhooks: verified and kept as they came, answered at once, handled afterwards by a job.

No order is assumed and nothing is believed: an event only says which payment to fetch again. What is told twice is one
row, and handling a row twice changes nothing. A webhook about a payment that we do not know stays on the list, is tried
again ever more seldom, and is closed by a person.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import structlog
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import undefer

from webapp import crypto, queue, tenancy
from webapp.errors import DomainError, NotFoundError
from webapp.extensions import db
from webapp.gateways.providers import protocol
from webapp.gateways.providers.registry import is_signed
from webapp.models.base import new_id
from webapp.models.charges import ChargeAttempt
from webapp.models.organisations import Organisation
from webapp.models.provider_events import WebhookEvent, WebhookState
from webapp.models.providers import Provider, ProviderAccount
from webapp.services import each_organisation
from webapp.services.charges import recording
from webapp.services.means_requests import looking
from webapp.services.providers.accounts import provider_of
from webapp.transactions import transaction

log = structlog.get_logger()

JOB = "jobs.payments.handle_webhooks"
TURN = 200
"""Events that one job handles, at most: what else waits in its queue gets a turn."""
FIRST_WAIT = timedelta(seconds=10)
LONGEST_WAIT = timedelta(days=1)
PATIENCE = timedelta(seconds=10)
"""How long an event may be due before the sweeper thinks that its bell was not heard."""
KEPT = timedelta(days=400)
"""How long the history of what providers told us reaches back; they repeat an event for days, not months."""
PRUNED_AT_ONCE = 2_000

UNKNOWN_PAYMENT = "Ce paiement ne correspond à aucune de nos tentatives."
_ORGANISATION = re.compile(rb'"organisation"\s*:\s*"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"')
UNREADABLE = "Ce message signé est illisible."


class UnsignedWebhookError(DomainError):
    """None of our accounts has signed this."""

    status = 401


class WebhookStateError(DomainError):
    """The event's state does not allow this."""


def receive(
    provider: Provider, headers: Mapping[str, str], body: bytes, *, at: datetime, account_id: UUID | None = None
) -> None:
    """Keep a webhook, and ring for its handling. Raises UnsignedWebhookError.

    Without ``account_id``, which an account's own address names, the account is the one whose secret signed it.
    """
    account, event = _find_sender(provider, headers, body, at=at, account_id=account_id)
    with tenancy.organisation(account.organisation_id), transaction():
        row_id = new_id()
        place = WebhookEvent.place(account.organisation_id, row_id)
        kept = db.session.execute(
            insert(WebhookEvent.__table__)  # type: ignore[arg-type]
            .values(
                organisation_id=account.organisation_id,
                id=row_id,
                provider_account_id=account.id,
                event_id=_storable(event.event_id, 255),
                kind=_storable(event.kind, 100),
                body=crypto.keyring().encrypt(body, place=place),
                received_at=at,
                next_attempt_at=at,
            )
            .on_conflict_do_nothing()
        )
        if kept.rowcount:  # type: ignore[attr-defined]
            queue.enqueue_once_after_commit(JOB, account.organisation_id, on="payments")


def _storable(text: str, length: int) -> str:
    return text.replace("\0", "")[:length]


def _find_sender(
    provider: Provider, headers: Mapping[str, str], body: bytes, *, at: datetime, account_id: UUID | None
) -> tuple[ProviderAccount, protocol.ProviderEvent]:
    """The account whose secret signed the body; where several share it, that of the organisation it speaks of.

    Secrets are opened one by one, of that organisation's accounts alone where the body names one, and none for a call
    without a signature.
    """
    if not is_signed(provider, headers):
        raise UnsignedWebhookError("Signature absente ou inconnue.")
    senders: list[tuple[ProviderAccount, protocol.ProviderEvent]] = []
    for account in _accounts(provider, account_id, _organisation_named(body)):
        try:
            event = provider_of(account).parse_webhook(headers, body, at=at)
        except protocol.UnreadableWebhookError:
            event = protocol.ProviderEvent(hashlib.sha256(body).hexdigest(), "unreadable")
        except protocol.ProviderError:  # signed by somebody else, or an account that is not set up
            continue
        if event.organisation_id == account.organisation_id:
            return account, event
        senders.append((account, event))
    if not senders:
        raise UnsignedWebhookError("Signature absente ou inconnue.")
    return senders[0]


def _organisation_named(body: bytes) -> UUID | None:
    """The organisation in our metadata. Nothing is believed yet: it only says whose secrets are tried."""
    named = _ORGANISATION.search(body)
    return UUID(named[1].decode()) if named else None


def _accounts(provider: Provider, account_id: UUID | None, organisation_id: UUID | None) -> Sequence[ProviderAccount]:
    statement = select(ProviderAccount).where(ProviderAccount.provider == provider).order_by(ProviderAccount.id)
    if account_id is not None:
        statement = statement.where(ProviderAccount.id == account_id)
    elif organisation_id is not None:
        statement = statement.where(ProviderAccount.organisation_id == organisation_id)
    with tenancy.across_organisations():
        return db.session.scalars(statement.options(undefer(ProviderAccount.credentials))).all()


class _Payment(NamedTuple):
    """What bringing in a payment needs, read before the provider is called."""

    attempt_id: UUID
    provider_payment_id: str | None
    provider: protocol.PaymentProvider


class _Page(NamedTuple):
    """A page of the provider's, which its own service looks at."""

    page_id: UUID


class _Method(NamedTuple):
    """A means of payment that changed at the provider."""

    account_id: UUID
    reference: str


def handle_due(organisation_id: UUID, *, at: datetime) -> int:
    """Handle the organisation's open events, the oldest first; returns how many came to their end."""
    queue.heard(JOB, organisation_id)
    with tenancy.organisation(organisation_id):
        due = db.session.scalars(
            select(WebhookEvent.id)
            .where(WebhookEvent.handled_at.is_(None), WebhookEvent.next_attempt_at <= at)
            .order_by(WebhookEvent.next_attempt_at, WebhookEvent.id)
            .limit(TURN)
        ).all()
        handled = sum(handle(event_id, at=at) for event_id in due)
        if len(due) == TURN:
            queue.enqueue_once_after_commit(JOB, organisation_id, on="payments")
    return handled


def handle(event_id: UUID, *, at: datetime) -> bool:
    """Bring what an event announces into our books; whether it has come to its end. Safe to repeat."""
    try:
        _bring_in(event_id, at=at)
    except Exception as error:
        if not isinstance(error, DomainError | protocol.ProviderError):
            log.exception("webhook_failed", event_id=str(event_id))
        _put_off(event_id, error, at=at)
        return False
    return True


def _bring_in(event_id: UUID, *, at: datetime) -> None:
    with transaction():  # ended before the provider is called
        due = _read(event_id)
    match due:
        case None:
            return
        case _Page(page_id):
            looking.look_at(page_id, at=at)
        case _Method(account_id, reference):
            looking.refresh_method(account_id, reference, at=at)
        case _Payment():
            recording.apply_outcome(due.attempt_id, _fetch(due), at=at)
    with transaction():
        event = _lock(event_id)
        if event.handled_at is None:
            event.attempts += 1
            event.handled_at, event.error = at, None


def _read(event_id: UUID) -> _Payment | _Page | _Method | None:
    """What is to be done; None where it is done."""
    statement = select(WebhookEvent).where(WebhookEvent.id == event_id).options(undefer(WebhookEvent.body))
    row = db.session.scalars(statement).one()
    if row.handled_at is not None:
        return None
    provider = provider_of(row.account)
    place = WebhookEvent.place(row.organisation_id, row.id)
    try:
        event = provider.read_event(crypto.keyring().decrypt(row.body, place=place))
    except protocol.UnreadableWebhookError:
        raise NotFoundError(UNREADABLE) from None
    if event.method_reference is not None:
        return _Method(row.provider_account_id, event.method_reference)
    attempt = _find_attempt(event)
    # What is paid on a page is told with the page: only there it is said which card the client has given.
    if event.page_id is not None and (attempt is None or attempt.on_page):
        return _Page(event.page_id)
    if attempt is None:
        raise NotFoundError(UNKNOWN_PAYMENT)
    if attempt.on_page:
        return _Page(looking.find_page_of(attempt.id))
    payment_id = event.provider_payment_id or attempt.provider_payment_id
    return _Payment(attempt.id, payment_id, provider)


def _find_attempt(event: protocol.ProviderEvent) -> ChargeAttempt | None:
    if event.attempt_id is not None:
        return db.session.scalar(select(ChargeAttempt).where(ChargeAttempt.id == event.attempt_id))
    if event.provider_payment_id is None:
        return None
    return db.session.scalar(
        select(ChargeAttempt).where(ChargeAttempt.provider_payment_id == event.provider_payment_id)
    )


def _fetch(due: _Payment) -> protocol.PaymentOutcome:
    outcome = due.provider.find_payment(due.attempt_id, provider_payment_id=due.provider_payment_id)
    if outcome is None:
        raise protocol.ProviderUnreachableError("the payment that the webhook announces is not there yet")
    return outcome


def _lock(event_id: UUID) -> WebhookEvent:
    statement = select(WebhookEvent).where(WebhookEvent.id == event_id).with_for_update()
    return db.session.scalars(statement.execution_options(populate_existing=True)).one()


def _put_off(event_id: UUID, error: Exception, *, at: datetime) -> None:
    """Note why the event is not handled, and when to try again."""
    with transaction():
        event = _lock(event_id)
        if event.handled_at is None:
            event.attempts += 1
            event.error = _storable(_words(error), 500)
            event.next_attempt_at = at + min(FIRST_WAIT * 2 ** min(event.attempts - 1, 20), LONGEST_WAIT)


def _words(error: Exception) -> str:
    """Why, for the page. What a bug says may hold anything, so that only the log has it."""
    match error:
        case DomainError():
            return error.message
        case protocol.ProviderUnreachableError():
            return f"Le prestataire n’a pas répondu\u202f: {error}"
        case protocol.ProviderError():
            return f"Le prestataire a refusé\u202f: {error}"
        case _:
            return f"Erreur inattendue ({type(error).__name__})\u202f: elle est dans le journal."


def sweep(*, at: datetime) -> int:
    """Ring again for every organisation with events that nobody handled in time; returns how many organisations."""
    waiting = select(WebhookEvent.organisation_id).where(
        WebhookEvent.handled_at.is_(None), WebhookEvent.next_attempt_at <= at - PATIENCE
    )
    return each_organisation.ring(JOB, waiting, on="payments")


def prune(*, at: datetime) -> int:
    """Let go of some events of each organisation that were handled, or closed, long ago; returns how many.

    Bounded, for the timetable: the rest goes with the next ticks.
    """
    return each_organisation.work(lambda: _prune_some(at - KEPT), select(Organisation.id))


def _prune_some(before: datetime) -> int:
    with transaction():
        old = (
            select(WebhookEvent.id)
            .where(WebhookEvent.received_at < before, WebhookEvent.handled_at.is_not(None))
            .order_by(WebhookEvent.received_at, WebhookEvent.id)
            .limit(PRUNED_AT_ONCE)
        )
        ids = db.session.scalars(old.with_for_update(skip_locked=True)).all()
        db.session.execute(
            delete(WebhookEvent).where(WebhookEvent.id.in_(ids)).execution_options(synchronize_session=False)
        )
    return len(ids)


def retry_event(event_id: UUID, *, at: datetime) -> None:
    """Have the event handled once more, now. Raises NotFoundError, WebhookStateError where it is done."""
    with transaction():
        event = _find(event_id)
        if event.handled_at is not None:
            raise WebhookStateError("Cette notification est déjà traitée.")
        event.next_attempt_at = at
        queue.enqueue_once_after_commit(JOB, event.organisation_id, on="payments")


def close_event(event_id: UUID, *, at: datetime) -> None:
    """A person has seen to it: it is tried no more, and keeps its error. Raises NotFoundError, WebhookStateError."""
    with transaction():
        event = _find(event_id)
        if event.state is WebhookState.WAITING:
            raise WebhookStateError("Cette notification n’a pas encore été traitée\u202f: attendez un instant.")
        event.handled_at = event.handled_at or at


def _find(event_id: UUID) -> WebhookEvent:
    """The event, locked."""
    statement = select(WebhookEvent).where(WebhookEvent.id == event_id).with_for_update()
    event = db.session.scalar(statement.execution_options(populate_existing=True))
    if event is None:
        raise NotFoundError("Cette notification n’existe pas ou plus.")
    return event
