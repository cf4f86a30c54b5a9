"""Refunds through a provider: claim → call → record, one by one, as charges are.

The row with its frozen amount and its key is there before the provider is called. A result that nobody knows is looked
up, and sent again with the same key while the provider honours that; afterwards, what the provider does not know was
not made. Its webhook may tell of the refund before we do: see ``recording.apply_refund``.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import structlog
from sqlalchemy import select

from webapp import clock, queue, tenancy
from webapp.extensions import db
from webapp.gateways.providers import protocol
from webapp.gateways.providers.protocol import ProviderError, ProviderRejectedError
from webapp.models.charges import Charge, ChargeAttempt, Refund, RefundStatus
from webapp.services.charges import calling, effects, recording, retries
from webapp.services.charges.recording import NOTHING_DELAYED, KeyLimits
from webapp.services.providers.accounts import provider_of
from webapp.transactions import transaction

log = structlog.get_logger()

JOB = "jobs.charges.refund"
LEASE = timedelta(minutes=3)
"""How long a silent worker keeps a refund: longer than both its calls take."""
TURN = 10
"""Refunds that one job takes up, at most: what else waits in its queue gets a turn."""
SELDOM = timedelta(days=1)
NOT_SET_UP = "Le compte chez le prestataire n’est pas configuré."
NOT_MADE = "Le prestataire ne connaît pas ce remboursement, et sa clé n’est plus honorée."
REFUSED = "Le prestataire a refusé le remboursement\u202f: {reason}"
OVERDUE = "Le résultat d’un remboursement n’est pas connu\u202f: le prestataire est interrogé régulièrement."


@dataclass(frozen=True, kw_only=True)
class RefundClaim:
    """The right to ask a provider once about a refund, and all that the asking needs."""

    refund_id: UUID
    fence: int
    attempt_id: UUID
    payment_id: str
    amount: Decimal
    key: str
    provider: protocol.PaymentProvider | None
    was_sent: bool
    is_sent: bool
    is_lost: bool


@dataclass(frozen=True)
class RefundAnswer:
    """What came of it: the refund as the provider tells it; else whether there will be none, and its words."""

    refund: protocol.ProviderRefund | None = None
    is_refused: bool = False
    message: str = ""


def carry_out(organisation_id: UUID) -> int:
    """Send or look up what is due in the organisation; returns how many. Rings again where more may be left."""
    queue.heard(JOB, organisation_id)
    with tenancy.organisation(organisation_id):
        for done in range(TURN):
            claim = _claim(at=clock.now())
            if claim is None:
                return done
            _record(claim, _ask(claim), at=clock.now())
        queue.enqueue_once_after_commit(JOB, organisation_id, on="payments")
    return TURN


def _claim(*, at: datetime) -> RefundClaim | None:
    """Take the refund that has waited longest, and note before it goes out that it may have."""
    with transaction():
        statement = select(Refund).where(Refund.next_attempt_at <= at).order_by(Refund.next_attempt_at, Refund.id)
        refund = db.session.scalar(
            statement.limit(1).with_for_update(skip_locked=True).execution_options(populate_existing=True)
        )
        if refund is None:
            return None
        attempt = db.session.scalars(select(ChargeAttempt).where(ChargeAttempt.id == refund.attempt_id)).one()
        provider = _provider_of(attempt)
        patience = KeyLimits.of(provider) if provider else NOTHING_DELAYED
        was_sent, is_sent = refund.sends > 0, provider is not None and _may_send(refund, patience, at=at)
        if is_sent:
            refund.sends += 1
            refund.first_sent_at, refund.last_sent_at = refund.first_sent_at or at, at
        refund.fence += 1
        refund.next_attempt_at = at + LEASE
        return RefundClaim(
            refund_id=refund.id,
            fence=refund.fence,
            attempt_id=attempt.id,
            payment_id=attempt.provider_payment_id or "",
            amount=refund.amount,
            key=refund.idempotency_key,
            provider=provider,
            was_sent=was_sent,
            is_sent=is_sent,
            is_lost=was_sent and provider is not None and _is_lost(refund, patience, at=at),
        )


def _provider_of(attempt: ChargeAttempt) -> protocol.PaymentProvider | None:
    """None where the account is not set up (any more): it may be again."""
    try:
        return provider_of(calling.find_account(attempt.provider_account_id))
    except ProviderError:
        log.warning("provider_not_set_up", account_id=str(attempt.provider_account_id))
        return None


def _may_send(refund: Refund, patience: KeyLimits, *, at: datetime) -> bool:
    first, last = refund.first_sent_at, refund.last_sent_at
    if first is None or last is None:
        return True
    return last + patience.longest_delay <= at < first + patience.honoured_key_age


def _is_lost(refund: Refund, patience: KeyLimits, *, at: datetime) -> bool:
    """Whether a refund that the provider does not know can no longer come into being, nor be sent again."""
    first, last = refund.first_sent_at or at, refund.last_sent_at or at
    return at >= max(first + patience.honoured_key_age, last + patience.longest_delay)


def _ask(claim: RefundClaim) -> RefundAnswer:
    """Call the provider, outside any transaction. A refund fails where the sending is refused or never answered."""
    if claim.provider is None:
        return RefundAnswer(message=NOT_SET_UP)
    try:
        if claim.was_sent and (refund := _find(claim, claim.provider)):
            return RefundAnswer(refund)
        if claim.is_sent:
            return _send(claim, claim.provider)
    except Exception as error:  # whatever it was, the result is not known
        if not isinstance(error, ProviderError):
            log.exception("refund_call_failed", refund_id=str(claim.refund_id))
        return RefundAnswer(message=f"{type(error).__name__}: {error}"[:500])
    return RefundAnswer(is_refused=claim.is_lost, message=NOT_MADE if claim.is_lost else "")


def _find(claim: RefundClaim, provider: protocol.PaymentProvider) -> protocol.ProviderRefund | None:
    outcome = provider.find_payment(claim.attempt_id, provider_payment_id=claim.payment_id)
    return (
        next((refund for refund in outcome.refunds if refund.refund_id == claim.refund_id), None) if outcome else None
    )


def _send(claim: RefundClaim, provider: protocol.PaymentProvider) -> RefundAnswer:
    try:
        return RefundAnswer(
            provider.refund(claim.payment_id, claim.amount, idempotency_key=claim.key, refund_id=claim.refund_id)
        )
    except ProviderRejectedError as error:
        return RefundAnswer(is_refused=True, message=str(error)[:500])


def _record(claim: RefundClaim, answer: RefundAnswer, *, at: datetime) -> None:
    """Write what came of it. A refund that was made is recorded under any fence, all else under the claim's own."""
    if answer.refund is not None:
        recording.apply_refund(claim.attempt_id, replace(answer.refund, refund_id=claim.refund_id), at=at)
        return
    with transaction():
        charge, refund = _lock(claim.refund_id)
        if refund.fence != claim.fence or refund.next_attempt_at is None:
            return
        refund.provider_message = answer.message or refund.provider_message
        if answer.is_refused:
            refund.status, refund.settled_at, refund.next_attempt_at = RefundStatus.REFUSED, at, None
            effects.leave_refund_to_person(charge, REFUSED.format(reason=answer.message), at=at)
            return
        if refund.sends:
            refund.status = RefundStatus.UNKNOWN
        refund.next_attempt_at = retries.next_look(refund, at=at) or at + SELDOM
        if at - refund.created_at >= retries.UNKNOWN_PATIENCE:
            effects.leave_refund_to_person(charge, OVERDUE, at=at, is_settled=False)


def _lock(refund_id: UUID) -> tuple[Charge, Refund]:
    """The charge first, as everybody locks it first."""
    owner = select(Refund.charge_id).where(Refund.id == refund_id).scalar_subquery()
    charge = select(Charge).where(Charge.id == owner)
    refund = select(Refund).where(Refund.id == refund_id)
    fresh = {"populate_existing": True}
    return (
        db.session.scalars(charge.with_for_update().execution_options(**fresh)).one(),
        db.session.scalars(refund.with_for_update().execution_options(**fresh)).one(),
    )
