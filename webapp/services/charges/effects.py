"""What follows from a charge's fate, for the charge, its subscription, the ledger and those who listen.

Everything here is written in the caller's transaction, on rows that the caller has locked.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import exists, func, select

from webapp import french
from webapp.extensions import db
from webapp.models.charges import Attention, Charge, ChargeStatus, Refund, RefusalClass
from webapp.models.identity import User
from webapp.models.invoices import Invoice
from webapp.models.money import Totals
from webapp.models.outbox import OutboxEvent, OutboxKind
from webapp.models.payments import Payment
from webapp.models.providers import Milestone
from webapp.models.subscriptions import Subscription, SubscriptionStatus
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services import outbox
from webapp.services.charges import retries
from webapp.services.invoices import crediting, drafting
from webapp.services.subscriptions import lifecycle, scheduling

USED_UP = "Toutes les tentatives ont été refusées."
REFUSED = "Le prestataire a refusé ce paiement définitivement."
FAILED = "Le remboursement a échoué chez le prestataire\u202f: «\u00a0{reason}\u00a0»."
STILL_OWED = "Il reste à rendre au client\u202f: {amount} {currency}."
OWED = frozenset({ChargeStatus.FAILED, ChargeStatus.REVERSED})
"""States in which the client still owes what the charge asked for."""


REFUNDS = frozenset({Attention.REFUND, Attention.REFUND_AGAIN})
"""Why a charge is on the list for a person, where a refund came to nothing."""
ENDED_BY_REFUND = REFUNDS | {Attention.MISMATCH, Attention.CREDIT_NOTE}
"""Why a charge is on the list for a person, where giving money back is what the person does."""


class ChargeStateError(RuntimeError):
    """The table of transitions does not lead there: a bug."""


def move(charge: Charge, status: ChargeStatus, *, at: datetime) -> None:
    """Bring the charge into ``status`` and let go of it. Raises ChargeStateError."""
    if status is not charge.status and not charge.can_become(status):
        raise ChargeStateError(f"{charge.status} does not become {status}")
    charge.status = status
    charge.lease_until = charge.next_attempt_at = charge.explanation = None
    charge.settled_at = at if status.is_settled else None


def settle_unasked(
    charge_ids: Sequence[UUID], subscriptions: Mapping[UUID, Subscription], *, at: datetime
) -> Counter[ChargeStatus]:
    """Charges that no provider is asked for: their cycle is taken all the same; a free one is paid at once.

    Returns how many stand where.
    """
    charges = list(db.session.scalars(select(Charge).where(Charge.id.in_(charge_ids)))) if charge_ids else []
    for charge in charges:
        subscription = subscriptions[charge.subscription_id]
        if charge.status is ChargeStatus.SCHEDULED and charge.attention is None:
            settle_paid(charge, subscription, at=at)
            continue
        advance(charge, subscription)
    drafting.draft_for_charges([charge for charge in charges if _is_invoiced(charge)], at=at)
    return Counter(charge.status for charge in charges)


def _is_invoiced(charge: Charge) -> bool:
    """A client who pays without us is sent the invoice to pay."""
    return charge.status is ChargeStatus.SUCCEEDED or charge.attention is Attention.BY_HAND


def advance(charge: Charge, subscription: Subscription) -> None:
    """The charge's cycle is taken, whatever became of it: the next one is up, at its own date."""
    if subscription.cycle_no == charge.cycle_no:
        scheduling.advance(subscription)


def settle_paid(
    charge: Charge, subscription: Subscription, *, at: datetime, by: User | None = None, is_told: bool = False
) -> None:
    """The money is there, or none was asked: the cycle is paid for and told of, and the subscription goes on.

    A supplement pays for no cycle: nothing about its subscription follows. The caller writes the ledger and drafts the
    invoice. ``is_told`` where the provider's setting released shipping
    before the payment was confirmed.
    """
    was_owed = charge.first_refused_at or charge.status in OWED or charge.attention or charge.is_supplement
    move(charge, ChargeStatus.SUCCEEDED, at=at)
    set_attention(charge, None, at=at)
    if was_owed:
        tell_settled(charge, at=at)
    if charge.is_supplement:
        return
    advance(charge, subscription)
    if subscription.current_period_start is None or charge.period_start >= subscription.current_period_start:
        subscription.current_period_start = charge.period_start
        subscription.current_period_end = charge.period_end
    if not is_told:
        tell_charged(charge, Milestone.SUCCEEDED, at=at)
    if subscription.status is SubscriptionStatus.PENDING or (
        subscription.status is SubscriptionStatus.PAST_DUE and not _owes(subscription, besides=charge)
    ):
        lifecycle.mark_paid(subscription.id, at=at, by=by)


def _owes(subscription: Subscription, *, besides: Charge) -> bool:
    others = exists().where(
        Charge.organisation_id == subscription.organisation_id,
        Charge.subscription_id == subscription.id,
        Charge.id != besides.id,
        Charge.cycle_no.is_not(None),
        Charge.status.in_(OWED),
    )
    return bool(db.session.scalar(select(others)))


def go_on_if_clear(charge: Charge, subscription: Subscription, *, at: datetime, by: User | None) -> None:
    """A debt was given up: an unpaid subscription that owes nothing else goes on."""
    if subscription.status is SubscriptionStatus.PAST_DUE and not _owes(subscription, besides=charge):
        lifecycle.mark_paid(subscription.id, at=at, by=by)


def settle_refused(
    charge: Charge, subscription: Subscription, refusal: RefusalClass, *, message: str | None, at: datetime
) -> None:
    """The provider said no: another attempt has its day, or a person is needed and the subscription is unpaid."""
    charge.first_refused_at = charge.first_refused_at or at
    advance(charge, subscription)
    retry_at = retries.next_attempt(charge, refusal, timezone=subscription.timezone, at=at)
    if retry_at is not None:
        move(charge, ChargeStatus.RETRYING, at=at)
        set_attention(charge, None, at=at)
        charge.next_attempt_at = retry_at
        charge.explanation = message
    else:
        is_used_up = refusal in (RefusalClass.SOFT, RefusalClass.TECHNICAL)
        attention = Attention.AUTHENTICATION if refusal is RefusalClass.AUTHENTICATION else Attention.REFUSED
        leave_to_person(charge, subscription, attention, USED_UP if is_used_up else message or REFUSED, at=at)
    payload = {
        "refusal": refusal.value,
        "retry_at": retry_at.isoformat() if retry_at else None,
        "attempt": charge.attempts_count,
    }
    _tell(OutboxKind.SUBSCRIPTION_CHARGE_FAILED, charge, payload, at=at)


def leave_to_person(
    charge: Charge, subscription: Subscription, attention: Attention, explanation: str, *, at: datetime
) -> None:
    """Nothing more happens by itself: the charge is on the list, and a cycle refused makes its subscription unpaid."""
    is_waiting = charge.status in (ChargeStatus.SCHEDULED, ChargeStatus.FAILED, ChargeStatus.REVERSED)
    move(charge, charge.status if is_waiting else ChargeStatus.FAILED, at=at)
    charge.explanation = explanation
    set_attention(charge, attention, at=at)
    is_refused_cycle = charge.status is ChargeStatus.FAILED and not charge.is_supplement
    if is_refused_cycle and subscription.status is SubscriptionStatus.ACTIVE:
        lifecycle.mark_past_due(subscription, reason=explanation[: lifecycle.REASON_LENGTH], at=at)


def balance_of(charge: Charge) -> Decimal:
    """What the ledger holds for the charge: captures less what went back."""
    return find_balances([charge.id])[charge.id]


def find_balances(charge_ids: Iterable[UUID]) -> dict[UUID, Decimal]:
    """As ``balance_of``, for many charges."""
    balances = dict.fromkeys(charge_ids, Decimal(0))
    statement = select(Payment.charge_id, func.sum(Payment.amount)).where(Payment.charge_id.in_(balances))
    rows = db.session.execute(statement.group_by(Payment.charge_id))
    return balances | {charge_id: total for charge_id, total in rows if charge_id is not None}


def settle_reversed(charge: Charge, *, reason: str | None, at: datetime) -> None:
    """The money went back: the invoice is unpaid again, and a person decides what follows."""
    move(charge, ChargeStatus.REVERSED, at=at)
    charge.explanation = reason
    set_attention(charge, Attention.REVERSED, at=at)
    _tell(OutboxKind.CHARGE_REVERSED, charge, {}, at=at)


def settle_refund(
    charge: Charge, refund: Payment, *, reason: str, by_id: UUID | None, at: datetime, wanted: Totals | None = None
) -> None:
    """Money was given back: the credit note is made, and where nothing else waits the charge is off the list.

    ``wanted`` is what the credit note should take back of each VAT rate; by default it is of all in proportion.
    """
    drafting.draft_for_charge(charge, at=at)
    invoice = crediting.lock_invoice_of(charge.id)
    crediting.credit_refund(invoice, refund, reason=reason, by_id=by_id, at=at, wanted=wanted)
    _restate_waived(charge, invoice)
    if invoice.overpaid:
        if charge.attention is not Attention.MISMATCH:
            leave_refund_to_person(charge, "", at=at)
    elif charge.attention in ENDED_BY_REFUND:
        _take_off_list(charge, at=at)
    _tell(OutboxKind.CHARGE_REFUNDED, charge, {}, at=at)


def _restate_waived(charge: Charge, invoice: Invoice) -> None:
    """Should the charge be asked for once more, credit notes count whose money did not go back."""
    standing = invoice.credited - crediting.sum_given_back(invoice)
    charge.waived = min(max(standing, Decimal(0)), charge.amount)


def settle_refund_failure(charge: Charge, failure: Payment, *, refund: Refund | None, at: datetime) -> None:
    """A refund could not be delivered, and its money is with us again: it is owed where its credit note stands.

    A person makes it again, or pays by hand; where the charge is to be paid once more, so much less is asked for.
    ``refund`` is ours; None where somebody made it at the provider's own site.
    """
    drafting.draft_for_charge(charge, at=at)
    invoice = crediting.lock_invoice_of(charge.id)
    crediting.undo_refund(invoice, failure, at=at)
    _restate_waived(charge, invoice)
    if invoice.overpaid or (refund is not None and charge.status is ChargeStatus.SUCCEEDED):
        leave_refund_to_person(charge, FAILED.format(reason=failure.reason), at=at)
    elif charge.attention is Attention.CREDIT_NOTE:
        _take_off_list(charge, at=at)
    _tell(OutboxKind.CHARGE_REFUNDED, charge, {}, at=at)
    _tell_client(charge, failure, refund, at=at)


def _tell_client(charge: Charge, failure: Payment, refund: Refund | None, *, at: datetime) -> None:
    changes: dict[str, Any] = {
        "charge": [None, charge.code],
        "charge_amount": [None, f"{failure.amount} {failure.currency}"],
        "reason": [None, failure.reason],
    }
    if refund is not None:
        changes["refund"] = [None, refund.code]
    db.session.add(TimelineEvent(client_id=charge.client_id, kind=EventKind.REFUND_FAILED, at=at, changes=changes))


def _take_off_list(charge: Charge, *, at: datetime) -> None:
    """Unless another refund waits for its credit note."""
    set_attention(charge, None, at=at)
    if charge.attention is None:
        charge.explanation = None


def leave_refund_to_person(charge: Charge, explanation: str, *, at: datetime, is_settled: bool = True) -> None:
    """A refund came to nothing, or is long unknown (not ``is_settled``): the charge is on the list.

    As one that is to be made again where we owe the client; a credit note that is to be made goes first.
    """
    invoice = crediting.lock_invoice_of(charge.id)
    attention = Attention.REFUND
    if invoice.overpaid and (is_settled or charge.attention is Attention.REFUND_AGAIN):
        attention = Attention.REFUND_AGAIN
        owed = STILL_OWED.format(amount=french.amount(invoice.overpaid), currency=invoice.currency)
        explanation = f"{explanation} {owed}".strip()
    set_attention(charge, attention, at=at)
    if charge.attention is attention:
        charge.explanation = explanation


def set_attention(charge: Charge, attention: Attention | None, *, at: datetime) -> None:
    """Put the charge on the list for a person, since ``at`` unless it is there already; or take it off.

    It stays while a refund waits for its credit note, whatever else it was there for.
    """
    is_left = attention is None and charge.attention is not None
    if (is_left or attention in REFUNDS) and crediting.list_waiting_refunds(charge.id):
        attention = Attention.CREDIT_NOTE
    if attention is None:
        charge.attention = charge.attention_at = None
    elif charge.attention is not attention:
        charge.attention, charge.attention_at = attention, at


def tell_charged(charge: Charge, milestone: Milestone, *, at: datetime, held_reason: str | None = None) -> None:
    """Tell that the cycle was charged; a supplement is none. What it ships is held, where there is a reason for it."""
    if not charge.is_supplement:
        held = {"held_reason": held_reason} if held_reason else {}
        _tell(OutboxKind.SUBSCRIPTION_CHARGED, charge, {"milestone": milestone.value} | held, at=at)


def tell_settled(charge: Charge, *, at: datetime) -> None:
    """Tell that what was owed of the charge has changed: paid after all, given up, or credited in part."""
    _tell(OutboxKind.CHARGE_SETTLED, charge, {}, at=at)


def tell_refunded(charge: Charge, *, at: datetime) -> None:
    """Tell that money of the charge has gone back, or has come again after that."""
    _tell(OutboxKind.CHARGE_REFUNDED, charge, {}, at=at)


def find_told(charges: Iterable[Charge]) -> set[UUID]:
    """Of which that was told before: an asynchronous payment may release shipping before it is confirmed."""
    subscriptions = {str(charge.id): charge.subscription_id for charge in charges}
    if not subscriptions:
        return set()
    charge_id = OutboxEvent.payload["charge_id"].astext
    announced = db.session.scalars(
        select(charge_id).where(
            OutboxEvent.subject_id.in_(set(subscriptions.values())),
            OutboxEvent.kind == OutboxKind.SUBSCRIPTION_CHARGED,
            charge_id.in_(subscriptions),
        )
    )
    return {UUID(text_id) for text_id in announced}


def _tell(kind: OutboxKind, charge: Charge, more: dict[str, Any], *, at: datetime) -> None:
    payload = {
        "charge_id": str(charge.id),
        "code": charge.code,
        "client_id": str(charge.client_id),
        "company_id": str(charge.company_id),
        "cycle_no": charge.cycle_no,
        "due_on": charge.due_on.isoformat(),
        "amount": str(charge.amount),
        "currency": charge.currency,
    }
    outbox.emit(kind, charge.subscription_id, at=at, payload=payload | more)
