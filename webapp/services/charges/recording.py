"""Recording: what a provider says becomes state, ledger, invoice, schedule and event, in one transaction.

A worker records what it claimed, under its fence. A webhook, or a person who looks, comes without a claim: the lock on
the charge and the state of its attempt tell whether there is still something to record. Order does not matter, and
hearing the same twice changes nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple, TypeVar
from uuid import UUID

import structlog
from sqlalchemy import Select, exists, func, select, update

from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.gateways.providers import protocol, refusals
from webapp.gateways.providers.protocol import PaymentOutcome, PaymentProvider, PaymentState
from webapp.models.banking import Mandate
from webapp.models.base import new_id
from webapp.models.charges import (
    AttemptStatus,
    Attention,
    Charge,
    ChargeAttempt,
    ChargeStatus,
    Refund,
    RefundStatus,
    RefusalClass,
)
from webapp.models.money import Totals
from webapp.models.payments import Payment, PaymentKind
from webapp.models.providers import Milestone, ProviderAccount
from webapp.models.subscriptions import Subscription, SubscriptionStatus
from webapp.services.charges import claiming, effects, retries
from webapp.services.charges.claiming import OPEN_ATTEMPTS, ChargeClaim
from webapp.services.invoices import drafting
from webapp.transactions import transaction

log = structlog.get_logger()

REPLAYED = "replayed"
"""The provider merely repeats a fault that it remembers for this key: only looking up helps."""
CAPTURED = frozenset({AttemptStatus.SUCCEEDED, AttemptStatus.REVERSED})
MONEY_MOVED = frozenset({PaymentState.SUCCEEDED, PaymentState.REVERSED})

Listener = Callable[[Counter[ChargeStatus]], object]
Row = TypeVar("Row", Charge, ChargeAttempt, Subscription, ProviderAccount)

TWICE = "Ce cycle a été payé deux fois\u202f: remboursez l’un des paiements."
REFUNDED = "Remboursé chez le prestataire\u202f: établissez un avoir."
OTHER_AMOUNT = "Le prestataire a encaissé {amount} {currency}, et non le montant demandé."
LOST = "Le prestataire ne connaît pas ce paiement, et sa clé n’est plus honorée\u202f: décidez."
NOT_KNOWN = "Le résultat n’est pas connu\u202f: le prestataire est interrogé régulièrement."
CALLED_OFF = "Le paiement a été annulé chez le prestataire."


class KeyLimits(NamedTuple):
    """How long a provider honours a key, and how late it may still commit a request that looked lost."""

    honoured_key_age: timedelta
    longest_delay: timedelta

    @classmethod
    def of(cls, provider: PaymentProvider) -> "KeyLimits":
        """The provider's own."""
        return cls(provider.honoured_key_age, provider.longest_delay)


NOTHING_DELAYED = KeyLimits(timedelta(0), timedelta(0))


@dataclass(frozen=True)
class Result:
    """What came of a claim. A look-up that found nothing has no outcome."""

    claim: ChargeClaim
    outcome: PaymentOutcome | None
    patience: KeyLimits


@dataclass
class Recorded:
    """What was recorded: how many charges stand where now, and what is to be sent again."""

    statuses: Counter[ChargeStatus] = field(default_factory=Counter)
    again: list[ChargeClaim] = field(default_factory=list)


class _Rows(NamedTuple):
    """``was_told``: shipping was released before the payment was confirmed, as the account's setting says.

    ``balances`` is what the ledger holds for each charge of the batch, with what is being added to it.
    """

    charge: Charge
    attempt: ChargeAttempt
    subscription: Subscription
    account: ProviderAccount
    was_told: bool
    balances: dict[UUID, Decimal]


def record(results: Sequence[Result], *, at: datetime, on_progress: Listener | None = None) -> Recorded:
    """Record what came of a batch of claims of the current organisation, in one transaction.

    Where somebody else took the charge over meanwhile, only money is recorded: that it moved is a fact, whoever saw it.
    ``on_progress`` hears in the same transaction how many charges came to stand where.
    """
    recorded = Recorded()
    with transaction():
        rows = _lock([result.claim.request.attempt_id for result in results])
        for result in results:
            locked = rows[result.claim.request.attempt_id]
            if locked.charge.fence != result.claim.fence:
                log.warning("charge_fence_lost", charge_id=str(locked.charge.id))
                if result.outcome is not None and result.outcome.state in MONEY_MOVED:
                    _apply_uninvited(locked, result.outcome, at=at)
                continue
            if result.outcome is None:
                recorded.again += _not_found(locked, result.patience, at=at)
            else:
                _apply(locked, result.outcome, at=at)
            recorded.statuses[locked.charge.status] += 1
        _draft_invoices(rows.values(), at=at)
        _note_mandates(rows.values())
        if on_progress is not None:
            on_progress(recorded.statuses)
    return recorded


def apply_outcome(attempt_id: UUID, outcome: PaymentOutcome, *, at: datetime) -> ChargeStatus:
    """Record what a provider says about an attempt, whoever received it (webhook, reconciliation, a person who looked).

    Returns where the charge stands now. While a worker has it in hand, what is not final is left to that worker.
    Raises NotFoundError for an attempt that is not the organisation's.
    """
    return apply_outcomes({attempt_id: outcome}, at=at)[attempt_id]


def apply_outcomes(outcomes: Mapping[UUID, PaymentOutcome], *, at: datetime) -> dict[UUID, ChargeStatus]:
    """As ``apply_outcome``, for some hundred attempts in one transaction and few statements."""
    with transaction():
        rows = _lock(list(outcomes))
        if len(rows) < len(outcomes):
            raise NotFoundError("Cette tentative n’existe pas ou plus.")
        applied = []
        for attempt_id, outcome in outcomes.items():
            locked = rows[attempt_id]
            is_held = locked.charge.lease_until is not None and locked.charge.lease_until > at
            if not is_held or outcome.state not in (PaymentState.UNKNOWN, PaymentState.PROCESSING):
                _apply_uninvited(locked, outcome, at=at)
                applied.append(locked)
        _draft_invoices(applied, at=at)
        _note_mandates(applied)
        return {attempt_id: locked.charge.status for attempt_id, locked in rows.items()}


def apply_refund(attempt_id: UUID, at_provider: protocol.ProviderRefund, *, at: datetime) -> None:
    """Record a refund that a provider reports, whoever received the news; what is recorded already changes nothing."""
    with transaction():
        _given_back(_lock([attempt_id])[attempt_id], at_provider, at=at)


def _lock(attempt_ids: Sequence[UUID]) -> dict[UUID, _Rows]:
    """The rows behind the attempts. Charges are locked before subscriptions, each in order: no two wait in a circle."""
    owners = select(ChargeAttempt.charge_id).where(ChargeAttempt.id.in_(attempt_ids))
    charges = _by_id(select(Charge).where(Charge.id.in_(owners)).order_by(Charge.id).with_for_update())
    wanted = {charge.subscription_id for charge in charges.values()}
    subscriptions = _by_id(
        select(Subscription).where(Subscription.id.in_(wanted)).order_by(Subscription.id).with_for_update()
    )
    attempts = _by_id(select(ChargeAttempt).where(ChargeAttempt.id.in_(attempt_ids)))
    wanted = {attempt.provider_account_id for attempt in attempts.values()}
    accounts = _by_id(select(ProviderAccount).where(ProviderAccount.id.in_(wanted)))
    early = {account.id for account in accounts.values() if account.ship_at is Milestone.PROCESSING}
    announced = effects.find_told(
        charges[each.charge_id] for each in attempts.values() if each.provider_account_id in early
    )
    balances = effects.find_balances(charges)
    rows = {}
    for attempt in attempts.values():
        charge = charges[attempt.charge_id]
        subscription, account = subscriptions[charge.subscription_id], accounts[attempt.provider_account_id]
        rows[attempt.id] = _Rows(charge, attempt, subscription, account, charge.id in announced, balances)
    return rows


def _by_id(statement: Select[Row]) -> dict[UUID, Row]:
    return {row.id: row for row in db.session.scalars(statement.execution_options(populate_existing=True))}


def _apply_uninvited(locked: _Rows, outcome: PaymentOutcome, *, at: datetime) -> None:
    """Apply what was not claimed; a worker that had the charge in hand finds its fence moved where that settled it."""
    was_held = locked.charge.lease_until is not None
    _apply(locked, outcome, at=at)
    if was_held and locked.charge.lease_until is None:
        locked.charge.fence += 1


def _apply(locked: _Rows, outcome: PaymentOutcome, *, at: datetime) -> None:
    """Bring the rows to what the provider says. What is recorded already, or contradicts money, changes nothing."""
    attempt = locked.attempt
    attempt.provider_payment_id = outcome.provider_payment_id or attempt.provider_payment_id
    if outcome.state in MONEY_MOVED:
        _captured(locked, outcome, at=at)
        if outcome.state is PaymentState.REVERSED:
            _reversed(locked, outcome, at=at)
        for refund in outcome.refunds:
            _given_back(locked, refund, at=at)
    elif attempt.status in OPEN_ATTEMPTS:
        attempt.provider_code, attempt.provider_message = outcome.code, outcome.message
        if outcome.is_replay:
            attempt.provider_code = REPLAYED
        _STEPS[_state_of(outcome, attempt)](locked, outcome, at)


def _state_of(outcome: PaymentOutcome, attempt: ChargeAttempt) -> PaymentState:
    """The state to act upon.

    What is refused on a page may be paid on it a moment later, with another card.
    A refusal without a payment, of a request that was sent before, says nothing about the first sending. A refusal that
    asks for the client's authentication leaves a payment that the client may still approve.
    """
    if attempt.on_page and outcome.state is not PaymentState.PROCESSING:
        return PaymentState.UNKNOWN
    if outcome.state is PaymentState.REFUSED and outcome.provider_payment_id is None and attempt.sends > 1:
        return PaymentState.UNKNOWN
    wants_client = outcome.refusal_class is RefusalClass.AUTHENTICATION and outcome.authentication_url is not None
    return PaymentState.AUTHENTICATION_REQUIRED if wants_client else outcome.state


def _captured(locked: _Rows, outcome: PaymentOutcome, *, at: datetime) -> None:
    charge, attempt = locked.charge, locked.attempt
    if attempt.status in CAPTURED:
        return
    was_processing = attempt.status is AttemptStatus.PROCESSING
    attempt.status, attempt.settled_at, attempt.refusal = AttemptStatus.SUCCEEDED, at, None
    payment = _movement(locked, PaymentKind.CAPTURE, outcome.amount or attempt.amount, outcome.occurred_at or at, at=at)
    payment.currency = outcome.currency or attempt.currency
    if not charge.can_become(ChargeStatus.SUCCEEDED):  # somebody noted another payment meanwhile
        effects.set_attention(charge, Attention.MISMATCH, at=at)
        charge.explanation = TWICE
        return
    effects.settle_paid(charge, locked.subscription, at=at, is_told=was_processing and locked.was_told)
    if (payment.amount, payment.currency) != (charge.owed, charge.currency):
        effects.set_attention(charge, Attention.MISMATCH, at=at)
        charge.explanation = OTHER_AMOUNT.format(amount=payment.amount, currency=payment.currency)


def _movement(
    locked: _Rows,
    kind: PaymentKind,
    amount: Decimal,
    happened_at: datetime,
    *,
    at: datetime,
    external_id: str | None = None,
    reason: str | None = None,
) -> Payment:
    """Add a row to the ledger."""
    payment = Payment(
        id=new_id(),
        company_id=locked.charge.company_id,
        client_id=locked.charge.client_id,
        charge_id=locked.charge.id,
        attempt_id=locked.attempt.id,
        kind=kind,
        amount=amount,
        currency=locked.attempt.currency,
        method=locked.charge.payment_method,
        provider=locked.attempt.provider,
        external_id=external_id or locked.attempt.provider_payment_id or "",
        reason=reason,
        happened_at=happened_at,
        recorded_at=at,
    )
    db.session.add(payment)
    locked.balances[locked.charge.id] += amount
    return payment


def _reversed(locked: _Rows, outcome: PaymentOutcome, *, at: datetime) -> None:
    charge, attempt = locked.charge, locked.attempt
    if attempt.status is AttemptStatus.REVERSED:
        return
    attempt.status, attempt.settled_at = AttemptStatus.REVERSED, at
    attempt.provider_message = outcome.reversal_reason
    payment = _movement(
        locked,
        PaymentKind.REVERSAL,
        -(outcome.amount or attempt.amount),
        outcome.reversed_at or at,
        at=at,
        reason=outcome.reversal_reason,
    )
    payment.currency = outcome.currency or attempt.currency
    if charge.status is ChargeStatus.SUCCEEDED and locked.balances[charge.id] < charge.owed:
        words = refusals.words_of(outcome.reversal_reason, outcome.reversal_reason)
        effects.settle_reversed(charge, reason=words, at=at)


def _given_back(locked: _Rows, at_provider: protocol.ProviderRefund, *, at: datetime) -> None:
    """A refund is in the ledger once, and so is its failure. What is told late, and is so no more, changes nothing.

    One that we asked for has its credit note with it; else a person makes that.
    """
    payment = db.session.scalar(
        select(Payment).where(
            Payment.attempt_id == locked.attempt.id,
            Payment.kind == PaymentKind.REFUND,
            Payment.external_id == at_provider.external_id,
        )
    )
    is_new = payment is None
    ours = _lock_refund(locked, at_provider)
    if payment is None:
        payment = _movement(
            locked,
            PaymentKind.REFUND,
            -at_provider.amount,
            at_provider.happened_at,
            at=at,
            external_id=at_provider.external_id,
            reason=(ours.reason if ours else at_provider.reason) or None,
        )
        db.session.flush()
    if at_provider.failure is not None:
        _undo_refund(locked, payment, ours, at_provider, at=at)
    elif ours is None and is_new:
        effects.set_attention(locked.charge, Attention.CREDIT_NOTE, at=at)
        locked.charge.explanation = REFUNDED
    elif ours is not None and ours.can_become(RefundStatus.SUCCEEDED):
        ours.status, ours.external_id = RefundStatus.SUCCEEDED, at_provider.external_id
        ours.settled_at, ours.next_attempt_at = at, None
        wanted = Totals.from_json(ours.vat) if ours.vat else None
        by_id = ours.requested_by_id
        effects.settle_refund(locked.charge, payment, reason=ours.reason, by_id=by_id, at=at, wanted=wanted)


def _undo_refund(
    locked: _Rows, payment: Payment, ours: Refund | None, at_provider: protocol.ProviderRefund, *, at: datetime
) -> None:
    """The provider could not deliver a refund: its money is with us again, and in the ledger, once."""
    if db.session.scalar(select(exists().where(Payment.undoes_id == payment.id))):
        return
    failure = _movement(
        locked,
        PaymentKind.REFUND_FAILURE,
        -payment.amount,
        at_provider.failed_at or at,
        at=at,
        external_id=at_provider.external_id,
        reason=refusals.words_of(at_provider.failure, at_provider.failure),
    )
    failure.undoes_id = payment.id
    if ours is not None:
        ours.status, ours.external_id, ours.provider_message = (
            RefundStatus.FAILED,
            at_provider.external_id,
            at_provider.failure,
        )
        ours.settled_at, ours.next_attempt_at = at, None
    effects.settle_refund_failure(locked.charge, failure, refund=ours, at=at)


def _lock_refund(locked: _Rows, at_provider: protocol.ProviderRefund) -> Refund | None:
    """The row by which we asked for it; None where somebody asked at the provider's own site."""
    statement = select(Refund).where(Refund.id == at_provider.refund_id, Refund.attempt_id == locked.attempt.id)
    return db.session.scalar(statement.with_for_update().execution_options(populate_existing=True))


def _processing(locked: _Rows, outcome: PaymentOutcome, at: datetime) -> None:
    charge, attempt, account = locked.charge, locked.attempt, locked.account
    # After a refusal, which was told as well, it is told anew: the cycle is on its way again.
    is_news = not locked.was_told or (
        charge.first_refused_at is not None and attempt.status is not AttemptStatus.PROCESSING
    )
    attempt.status = AttemptStatus.PROCESSING
    _wait(locked, ChargeStatus.PROCESSING, Attention.UNKNOWN, at=at)
    if account.ship_at is Milestone.PROCESSING and is_news:
        effects.tell_charged(charge, Milestone.PROCESSING, at=at)


def _authenticating(locked: _Rows, outcome: PaymentOutcome, at: datetime) -> None:
    locked.attempt.status = AttemptStatus.AUTHENTICATING
    locked.attempt.authentication_url = outcome.authentication_url or locked.attempt.authentication_url
    locked.charge.first_refused_at = locked.charge.first_refused_at or at
    _wait(locked, ChargeStatus.AUTHENTICATING, Attention.AUTHENTICATION, at=at)


def _unknown(locked: _Rows, outcome: PaymentOutcome, at: datetime) -> None:
    """Nothing new. What the provider has said before still stands."""
    attempt = locked.attempt
    if attempt.status in (AttemptStatus.PROCESSING, AttemptStatus.AUTHENTICATING):
        attention = Attention.UNKNOWN if attempt.status is AttemptStatus.PROCESSING else Attention.AUTHENTICATION
        _wait(locked, locked.charge.status, attention, at=at)
        return
    attempt.status = AttemptStatus.UNKNOWN
    _wait(locked, ChargeStatus.UNKNOWN, Attention.UNKNOWN, at=at)
    locked.charge.explanation = NOT_KNOWN


def _wait(locked: _Rows, status: ChargeStatus, attention: Attention, *, at: datetime) -> None:
    """Let go of the charge until the next look; it is on the list for a person if it has waited for long."""
    charge = locked.charge
    effects.move(charge, status, at=at)
    effects.advance(charge, locked.subscription)
    # Who looks at the page, looks at what is paid on it.
    charge.next_attempt_at = None if locked.attempt.on_page else retries.next_look(locked.attempt, at=at)
    is_overdue = retries.is_overdue(charge, locked.attempt, at=at)
    effects.set_attention(charge, attention if is_overdue else None, at=at)


def _refused(locked: _Rows, outcome: PaymentOutcome, at: datetime) -> None:
    attempt = locked.attempt
    refusal = outcome.refusal_class or RefusalClass.HARD
    attempt.status, attempt.refusal, attempt.settled_at = AttemptStatus.REFUSED, refusal, at
    words = refusals.words_of(outcome.code, outcome.message)
    effects.settle_refused(locked.charge, locked.subscription, refusal, message=words, at=at)


def _called_off(locked: _Rows, outcome: PaymentOutcome, at: datetime) -> None:
    locked.attempt.status, locked.attempt.settled_at = AttemptStatus.CANCELED, at
    effects.advance(locked.charge, locked.subscription)
    effects.leave_to_person(locked.charge, locked.subscription, Attention.REFUSED, CALLED_OFF, at=at)


_STEPS: dict[PaymentState, Callable[[_Rows, PaymentOutcome, datetime], None]] = {
    PaymentState.PROCESSING: _processing,
    PaymentState.AUTHENTICATION_REQUIRED: _authenticating,
    PaymentState.UNKNOWN: _unknown,
    PaymentState.REFUSED: _refused,
    PaymentState.CANCELED: _called_off,
}


def _not_found(locked: _Rows, patience: KeyLimits, *, at: datetime) -> list[ChargeClaim]:
    """The provider has no such payment: it is sent again with its key, or waited for, or left to a person."""
    if _may_send_again(locked, patience, at=at):
        effects.set_attention(locked.charge, None, at=at)
        return [claiming.claim_resending(locked.charge, locked.attempt, at=at)]
    _unknown(locked, PaymentOutcome(PaymentState.UNKNOWN), at)
    if locked.charge.status is not ChargeStatus.UNKNOWN and not locked.attempt.on_page:
        effects.set_attention(locked.charge, Attention.MISMATCH, at=at)
    elif is_lost(locked.attempt, patience, at=at):
        locked.charge.explanation = LOST
    return []


def _may_send_again(locked: _Rows, patience: KeyLimits, *, at: datetime) -> bool:
    attempt = locked.attempt
    first, last = attempt.first_sent_at or at, attempt.last_sent_at or at
    return (
        attempt.status in (AttemptStatus.SENDING, AttemptStatus.UNKNOWN)
        and last + patience.longest_delay <= at < first + patience.honoured_key_age
        and attempt.provider_code != REPLAYED
        and (attempt.saved_method_id or attempt.mandate_id) is not None
        and locked.subscription.status is not SubscriptionStatus.CANCELED
    )


def is_lost(attempt: ChargeAttempt, patience: KeyLimits, *, at: datetime) -> bool:
    """Whether a payment that the provider does not know can no longer come into being, nor be sent again."""
    first, last = attempt.first_sent_at or at, attempt.last_sent_at or at
    return at >= max(first + patience.honoured_key_age, last + patience.longest_delay)


def _draft_invoices(rows: Iterable[_Rows], *, at: datetime) -> None:
    """Invoices of what is paid, or, where the provider's setting says so, as soon as the payment is under way."""
    drafting.draft_for_charges(
        [
            locked.charge
            for locked in rows
            if locked.charge.status in (ChargeStatus.SUCCEEDED, ChargeStatus.REVERSED)
            or (locked.charge.status is ChargeStatus.PROCESSING and locked.account.invoice_at is Milestone.PROCESSING)
        ],
        at=at,
    )


def _note_mandates(rows: Iterable[_Rows]) -> None:
    """A mandate lives on by being used (36 months without a collection end it)."""
    used: dict[date, set[UUID]] = {}
    for locked in rows:
        is_presented = locked.attempt.status in CAPTURED or locked.attempt.status is AttemptStatus.PROCESSING
        if locked.attempt.mandate_id is not None and is_presented:
            used.setdefault(locked.charge.due_on, set()).add(locked.attempt.mandate_id)
    for day, mandate_ids in used.items():
        db.session.execute(
            update(Mandate)
            .where(Mandate.id.in_(mandate_ids), func.coalesce(Mandate.last_used_on, day) <= day)
            .values(last_used_on=day)
            .execution_options(synchronize_session=False)
        )
