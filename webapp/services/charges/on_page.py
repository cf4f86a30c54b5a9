"""Charges that a client pays on a provider's page: taken for it, and let go again where nothing came of it.

While an attempt is on a page, the engine leaves its charge alone, and a card that is refused there says nothing: the
client may try another. Money that moved is recorded as ever (``recording``), whoever tells of it first.
"""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import exists, select

from webapp.extensions import db
from webapp.gateways.providers.protocol import PaymentRequest
from webapp.models.base import new_id
from webapp.models.charges import AttemptStatus, Attention, Charge, ChargeAttempt, ChargeStatus
from webapp.models.providers import ProviderAccount
from webapp.models.subscriptions import Collector, Subscription, SubscriptionStatus
from webapp.services.charges import claiming, due, effects, retries
from webapp.services.subscriptions import lifecycle
from webapp.services.subscriptions.means import Means

TAKEN = frozenset({ChargeStatus.SCHEDULED, ChargeStatus.FAILED, ChargeStatus.REVERSED})
"""States from which a charge goes onto a page. One that is to be tried again by itself is left to the engine."""
FIRST_CYCLE = 0
NOT_PAID = "Le client a quitté la page sans payer."


def find_payable(subscription_id: UUID) -> Charge | None:
    """The charge of a subscription that has waited longest and may be paid on a page; None where none may."""
    statement = (
        select(Charge)
        .where(
            Charge.subscription_id == subscription_id,
            Charge.collected_by == Collector.CRM,
            Charge.status.in_(TAKEN),
            Charge.lease_until.is_(None),
            Charge.next_attempt_at.is_(None),
            Charge.amount > Charge.waived,
        )
        .order_by(Charge.due_on, Charge.id)
        .limit(1)
    )
    return db.session.scalar(statement)


def find_first_amount(subscription: Subscription, *, at: datetime) -> Decimal | None:
    """What is asked for its first cycle, with tax; None where somebody has claimed it, or nothing is asked for it."""
    is_claimed = select(exists().where(Charge.subscription_id == subscription.id))
    if (
        subscription.status is not SubscriptionStatus.PENDING
        or subscription.cycle_no != FIRST_CYCLE
        or subscription.next_charge_at is None
        or db.session.scalar(is_claimed)
    ):
        return None
    [cycle] = due.prepare([subscription], {subscription.id: Means()}, at=at)
    amount: Decimal = cycle.row["amount"]
    return amount or None


def claim(
    subscription_id: UUID, charge_id: UUID | None, account: ProviderAccount, *, at: datetime
) -> ChargeAttempt | None:
    """Take what is owed for a page, in the caller's transaction: the charge, or the first cycle, claimed exactly once.

    None where there is nothing to pay now: it is paid, under way, or somebody else has it in hand.
    """
    if charge_id is None:
        charge_id = _claim_first(subscription_id, account, at=at)
    charge = _lock(charge_id) if charge_id else None
    if charge is None or not is_payable(charge) or charge.company_id != account.company_id:
        return None
    effects.move(charge, ChargeStatus.AUTHENTICATING, at=at)
    effects.set_attention(charge, None, at=at)
    charge.provider_account_id = account.id
    charge.attempts_count += 1
    charge.fence += 1
    attempt = ChargeAttempt(
        id=new_id(),
        charge_id=charge.id,
        number=charge.attempts_count,
        provider_account_id=account.id,
        provider=account.provider,
        amount=charge.owed,
        currency=charge.currency,
        status=AttemptStatus.AUTHENTICATING,
        on_page=True,
        sends=1,
        first_sent_at=at,
        last_sent_at=at,
        created_at=at,
    )
    db.session.add(attempt)
    db.session.flush()
    return attempt


def _claim_first(subscription_id: UUID, account: ProviderAccount, *, at: datetime) -> UUID | None:
    """The charge of the first cycle, made where there is none yet, as the engine makes one that nothing can pay.

    Charges are locked before subscriptions: one that somebody makes meanwhile is left for another time.
    """
    known = select(Charge.id).where(Charge.subscription_id == subscription_id, Charge.cycle_no == FIRST_CYCLE)
    charge_id = db.session.scalar(known)
    if charge_id is not None:
        return charge_id
    subscription = lifecycle.find_for_update(subscription_id)
    if subscription.company_id != account.company_id or find_first_amount(subscription, at=at) is None:
        return None
    [charge] = claiming.insert_charges([subscription], {subscription.id: Means()}, at=at)
    effects.settle_unasked([charge.id], {subscription.id: subscription}, at=at)
    return charge.id


def _lock(charge_id: UUID) -> Charge | None:
    statement = select(Charge).where(Charge.id == charge_id).with_for_update()
    return db.session.scalar(statement.execution_options(populate_existing=True))


def is_payable(charge: Charge) -> bool:
    """Whether a charge, as it stands, may be paid on a page."""
    is_free = charge.lease_until is None and charge.next_attempt_at is None
    return not charge.is_of_shop and charge.status in TAKEN and is_free and charge.owed > 0


def request_for(attempt: ChargeAttempt) -> PaymentRequest:
    """What the provider is asked for; the same however often, since what was frozen stays."""
    charge = db.session.scalars(select(Charge).where(Charge.id == attempt.charge_id)).one()
    return claiming.request_of(charge, attempt, None)


def release(attempt_id: UUID, *, at: datetime) -> None:
    """The page has ended: what was not paid on it waits for a person again, in the caller's transaction.

    Letting go twice changes nothing, and neither does letting go of what was paid.
    """
    owner = select(ChargeAttempt.charge_id).where(ChargeAttempt.id == attempt_id).scalar_subquery()
    charge = db.session.scalars(
        select(Charge).where(Charge.id == owner).with_for_update().execution_options(populate_existing=True)
    ).one()
    attempt = db.session.scalars(
        select(ChargeAttempt).where(ChargeAttempt.id == attempt_id).execution_options(populate_existing=True)
    ).one()
    attempt.on_page = False
    if attempt.status is AttemptStatus.PROCESSING and charge.lease_until is None:
        charge.next_attempt_at = retries.next_look(attempt, at=at)
    if attempt.status is not AttemptStatus.AUTHENTICATING:
        return
    attempt.status, attempt.settled_at = AttemptStatus.CANCELED, at
    if charge.status is not ChargeStatus.AUTHENTICATING:
        return
    was_tried = attempt.number > 1
    effects.move(charge, ChargeStatus.FAILED if was_tried else ChargeStatus.SCHEDULED, at=at)
    effects.set_attention(charge, Attention.REFUSED if was_tried else Attention.NO_PAYMENT_METHOD, at=at)
    charge.explanation = NOT_PAID
