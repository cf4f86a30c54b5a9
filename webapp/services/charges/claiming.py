"""Claiming: before a provider is asked for anything, the asking is a row with a lease and a fence.

Each function is one short transaction over a batch. What another worker holds is passed over, and two that find the
same cycle at the same instant are told apart by the unique key: one of them gets the charge.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.dialects.postgresql import insert

from webapp import french
from webapp.extensions import db
from webapp.gateways.providers.protocol import PaymentMetadata, PaymentRequest
from webapp.models.base import new_id
from webapp.models.charges import AttemptStatus, Attention, Charge, ChargeAttempt, ChargeStatus
from webapp.models.providers import SavedPaymentMethod
from webapp.models.subscriptions import Subscription, SubscriptionStatus
from webapp.services.charges import due, effects
from webapp.services.subscriptions import scheduling, taking
from webapp.services.subscriptions.means import DEBITED, Means, load_means
from webapp.transactions import transaction

LEASE = timedelta(minutes=3)
"""How long a silent worker keeps what it claimed: longer than its queue of calls and their timeouts take."""

CANCELED = "L’abonnement a été résilié\u202f: décidez si la somme reste due."

TAKEN_UP = frozenset({ChargeStatus.RETRYING, ChargeStatus.FAILED, ChargeStatus.REVERSED, ChargeStatus.SCHEDULED})
"""States from which a new attempt begins, once ``next_attempt_at`` has come: a retry, or what a person asked for."""
LOOKED_UP = frozenset({ChargeStatus.UNKNOWN, ChargeStatus.PROCESSING, ChargeStatus.AUTHENTICATING})
"""States in which the provider is asked what became of the attempt, once ``next_attempt_at`` has come."""
OPEN_ATTEMPTS = frozenset(
    {AttemptStatus.SENDING, AttemptStatus.UNKNOWN, AttemptStatus.PROCESSING, AttemptStatus.AUTHENTICATING}
)


class ClaimTask(StrEnum):
    """What is to be done with a claim."""

    SEND = "send"
    LOOK_UP = "look_up"


@dataclass(frozen=True, kw_only=True)
class ChargeClaim:
    """The right to ask a provider once, and all that the asking needs: it runs without the database.

    A result is recorded only while the charge's fence is still ``fence``.
    """

    task: ClaimTask
    charge_id: UUID
    fence: int
    lease_until: datetime
    account_id: UUID
    request: PaymentRequest
    provider_payment_id: str | None = None


class Claimed(NamedTuple):
    """What a claim brought: the claims, and where the charges stand that it settled at once (skipped, free, …)."""

    claims: list[ChargeClaim]
    settled: Counter[ChargeStatus] = Counter()  # noqa: RUF012  never changed

    @property
    def is_empty(self) -> bool:
        """Whether there was nothing to take."""
        return not self.claims and not self.settled


def claim_due(*, before: datetime, limit: int, at: datetime) -> Claimed:
    """Take the next cycles due at ``before``: a charge for each, and an attempt where the provider is to be asked."""
    with transaction():
        subscriptions = {each.id: each for each in due.lock_due(before=before, limit=limit)}
        if not subscriptions:
            return Claimed([])
        paid_by = load_means(list(subscriptions.values()))
        charges = insert_charges(list(subscriptions.values()), paid_by, at=at)
        asked = [charge for charge in charges if charge.status is ChargeStatus.SENDING]
        settled = [charge.id for charge in charges if charge.status is not ChargeStatus.SENDING]
        statuses = effects.settle_unasked(settled, subscriptions, at=at)
        return Claimed(_begin_attempts(asked, paid_by, at=at), statuses)


def insert_charges(subscriptions: Sequence[Subscription], paid_by: dict[UUID, Means], *, at: datetime) -> list[Charge]:
    """The charges that are ours, detached: one that another worker made between our look and our lock is left to it."""
    prepared = due.prepare(subscriptions, paid_by, at=at)
    rows = [each.row for each in prepared]
    for row in rows:
        is_asked = row["status"] is ChargeStatus.SENDING
        row.update(attempts_count=int(is_asked), fence=int(is_asked), lease_until=at + LEASE if is_asked else None)
    statement = insert(Charge).on_conflict_do_nothing(
        index_elements=[Charge.organisation_id, Charge.subscription_id, Charge.cycle_no]
    )
    ours = set(db.session.scalars(statement.returning(Charge.id), rows))
    for each in prepared:
        if each.row["id"] in ours:
            taking.take(each.subscription, each.agreed, each.asked, each.after, at=at)
    return [Charge(**row) for row in rows if row["id"] in ours]


def _begin_attempts(charges: Sequence[Charge], paid_by: dict[UUID, Means], *, at: datetime) -> list[ChargeClaim]:
    """An attempt for each charge that is about to be sent, and the claim to send it."""
    means_of = {charge.id: paid_by[charge.subscription_id] for charge in charges}
    rows = [_attempt_for(charge, means_of[charge.id], at) for charge in charges]
    if rows:
        db.session.execute(insert(ChargeAttempt), rows)
    return [
        _claim(ClaimTask.SEND, charge, ChargeAttempt(**row), means_of[charge.id].saved)
        for charge, row in zip(charges, rows, strict=True)
    ]


def _attempt_for(charge: Charge, paid_by: Means, at: datetime) -> dict[str, Any]:
    if paid_by.account is None:
        raise ValueError("a charge without an account is never attempted")
    return {
        "organisation_id": charge.organisation_id,
        "id": new_id(),
        "charge_id": charge.id,
        "number": charge.attempts_count,
        "provider_account_id": paid_by.account.id,
        "provider": paid_by.account.provider,
        "saved_method_id": paid_by.saved.id if paid_by.saved else None,
        "mandate_id": paid_by.mandate.id if paid_by.mandate and not paid_by.saved else None,
        "amount": charge.owed,
        "currency": charge.currency,
        "status": AttemptStatus.SENDING,
        "sends": 1,
        "first_sent_at": at,
        "last_sent_at": at,
        "created_at": at,
    }


def claim_taken_up(*, limit: int, at: datetime) -> Claimed:
    """Take the charges whose next attempt is due: a new attempt with a new key for each, its amount unchanged."""
    with transaction():
        charges = _lock_charges(Charge.status.in_(TAKEN_UP), Charge.next_attempt_at <= at, limit=limit)
        if not charges:
            return Claimed([])
        subscriptions = _subscriptions_of(charges)
        paid_by = load_means(list(subscriptions.values()))
        asked = []
        for charge in charges:
            subscription = subscriptions[charge.subscription_id]
            refusal = _refuse_attempt(charge, subscription, paid_by[subscription.id], at)
            if refusal is None:
                _take_up(charge, paid_by[subscription.id], at)
                asked.append(charge)
            else:
                effects.leave_to_person(charge, subscription, *refusal, at=at)
        db.session.flush()
        statuses: Counter[ChargeStatus] = Counter(
            charge.status for charge in charges if charge.status is not ChargeStatus.SENDING
        )
        return Claimed(_begin_attempts(asked, paid_by, at=at), statuses)


def _lock_charges(*conditions: ColumnElement[bool], limit: int) -> list[Charge]:
    statement: Select[Charge] = (
        select(Charge)
        .where(*conditions)
        .order_by(Charge.next_attempt_at, Charge.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    return list(db.session.scalars(statement))


def _subscriptions_of(charges: Iterable[Charge]) -> dict[UUID, Subscription]:
    wanted = {charge.subscription_id for charge in charges}
    rows = db.session.scalars(
        select(Subscription).where(Subscription.id.in_(wanted)).execution_options(populate_existing=True)
    )
    return {row.id: row for row in rows}


def _refuse_attempt(
    charge: Charge, subscription: Subscription, paid_by: Means, at: datetime
) -> tuple[Attention, str] | None:
    """Why no new attempt may begin, for a person; None where it may."""
    if subscription.status is SubscriptionStatus.CANCELED and charge.status is ChargeStatus.RETRYING:
        return Attention.REFUSED, CANCELED
    obstacle = paid_by.obstacle(scheduling.local_date(at, subscription.timezone))
    if obstacle is not None:
        return Attention.NO_PAYMENT_METHOD, obstacle
    if paid_by.method not in DEBITED:
        return Attention.BY_HAND, due.awaited(paid_by.method)
    return None


def _take_up(charge: Charge, paid_by: Means, at: datetime) -> None:
    effects.move(charge, ChargeStatus.SENDING, at=at)
    effects.set_attention(charge, None, at=at)
    charge.payment_method = paid_by.method
    charge.provider_account_id = paid_by.account.id if paid_by.account else None
    charge.attempts_count += 1
    hold(charge, at=at)


def hold(charge: Charge, *, at: datetime) -> None:
    """Take the locked charge over: whoever had it may write no more."""
    charge.fence += 1
    charge.lease_until = at + LEASE


def claim_look_ups(*, limit: int, at: datetime) -> Claimed:
    """Take what is to be looked up at the provider: the worker that had it is gone, or its time has come."""
    with transaction():
        charges = _lock_charges(Charge.lease_until < at, limit=limit)
        if len(charges) < limit:
            is_free = Charge.lease_until.is_(None)
            is_up = (Charge.status.in_(LOOKED_UP), is_free, Charge.next_attempt_at <= at)
            charges += _lock_charges(*is_up, limit=limit - len(charges))
        if not charges:
            return Claimed([])
        attempts = _open_attempts(charges)
        saved = _saved_methods(attempts.values())
        claims = []
        for charge in charges:
            attempt = attempts[charge.id]
            if charge.status is ChargeStatus.SENDING:  # whoever sent it is gone
                charge.status, attempt.status = ChargeStatus.UNKNOWN, AttemptStatus.UNKNOWN
            hold(charge, at=at)
            claims.append(_claim(ClaimTask.LOOK_UP, charge, attempt, saved.get(attempt.saved_method_id)))
        db.session.flush()
        return Claimed(claims)


def _open_attempts(charges: Sequence[Charge]) -> dict[UUID, ChargeAttempt]:
    """The attempt under way of each: there is one in every state that is looked up, since they change together."""
    wanted = [charge.id for charge in charges]
    rows = db.session.scalars(
        select(ChargeAttempt)
        .where(ChargeAttempt.charge_id.in_(wanted), ChargeAttempt.status.in_(OPEN_ATTEMPTS))
        .execution_options(populate_existing=True)
    )
    return {attempt.charge_id: attempt for attempt in rows}


def _saved_methods(attempts: Iterable[ChargeAttempt]) -> dict[UUID | None, SavedPaymentMethod]:
    wanted = {attempt.saved_method_id for attempt in attempts if attempt.saved_method_id}
    if not wanted:
        return {}
    rows = db.session.scalars(select(SavedPaymentMethod).where(SavedPaymentMethod.id.in_(wanted)))
    return {saved.id: saved for saved in rows}


def claim_resending(charge: Charge, attempt: ChargeAttempt, *, at: datetime) -> ChargeClaim:
    """Send the same attempt again, with its key, in the caller's transaction; the charge is locked."""
    charge.status, attempt.status = ChargeStatus.SENDING, AttemptStatus.SENDING
    attempt.sends += 1
    attempt.last_sent_at = at
    hold(charge, at=at)
    return _claim(ClaimTask.SEND, charge, attempt, _saved_methods([attempt]).get(attempt.saved_method_id))


def _claim(task: ClaimTask, charge: Charge, attempt: ChargeAttempt, saved: SavedPaymentMethod | None) -> ChargeClaim:
    """Nothing in the request may change between two sendings: providers compare it with the first one of its key."""
    if charge.lease_until is None:
        raise ValueError("a claim is held")
    return ChargeClaim(
        task=task,
        charge_id=charge.id,
        fence=charge.fence,
        lease_until=charge.lease_until,
        account_id=attempt.provider_account_id,
        provider_payment_id=attempt.provider_payment_id,
        request=request_of(charge, attempt, saved),
    )


def request_of(charge: Charge, attempt: ChargeAttempt, saved: SavedPaymentMethod | None) -> PaymentRequest:
    """What a provider is asked for by an attempt, by the method that it keeps or by our mandate."""
    return PaymentRequest(
        idempotency_key=attempt.idempotency_key,
        amount=attempt.amount,
        currency=attempt.currency,
        method_reference=saved.method_reference if saved else str(attempt.mandate_id or ""),
        customer_reference=saved.customer_reference if saved else "",
        metadata=PaymentMetadata(
            organisation_id=charge.organisation_id,
            charge_id=charge.id,
            attempt_id=attempt.id,
            subscription_id=charge.subscription_id,
            cycle_no=charge.cycle_no,
        ),
        code=charge.code,
        statement_text=f"{'Complément' if charge.is_supplement else 'Échéance'} du {french.day(charge.due_on)}",
        collect_on=charge.due_on,
    )
