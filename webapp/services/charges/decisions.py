"""What a person may do with a charge that needs one: try again, note a payment, give up, look, take note.

Which action is allowed follows from the charge alone: the same table serves the buttons of the page and the commands.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import selectinload

from webapp import queue, tenancy
from webapp.clock import PARIS
from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.gateways.providers.protocol import PaymentOutcome, PaymentProvider, PaymentState, ProviderError
from webapp.models.base import new_id
from webapp.models.charges import AttemptStatus, Attention, Charge, ChargeAttempt, ChargeStatus
from webapp.models.contracts import PaymentMethod
from webapp.models.identity import User
from webapp.models.means_requests import HostedPage
from webapp.models.payments import Payment, PaymentKind
from webapp.models.subscriptions import Subscription
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.charges import calling, claiming, effects, recording, sweeping
from webapp.services.charges.recording import KeyLimits
from webapp.services.contact import clean_text
from webapp.services.invoices import drafting
from webapp.services.providers.accounts import provider_of
from webapp.services.subscriptions import lifecycle, scheduling
from webapp.services.subscriptions.means import load_means
from webapp.transactions import transaction

REASON_LENGTH = 500
FARTHEST_BACK = timedelta(days=365)

NOT_CALLED_OFF = "Le prestataire n’a pas annulé ce paiement\u202f: son état vient d’être mis à jour."
NOT_LOST_YET = "Le prestataire peut encore recevoir cette demande\u202f: attendez qu’elle soit caduque."
KNOWN_AFTER_ALL = "Le prestataire connaît ce paiement\u202f: son état vient d’être mis à jour."


class NotAllowedError(DomainError):
    """The charge's state does not allow this action."""


class Decision(StrEnum):
    """What a person may do."""

    RETRY = "retry"
    MARK_PAID = "mark_paid"
    GIVE_UP = "give_up"
    LOOK_UP = "look_up"
    DECLARE_LOST = "declare_lost"
    REFUND = "refund"
    CREDIT = "credit"
    DISMISS = "dismiss"

    @property
    def label(self) -> str:
        """The words on the button."""
        return {
            "retry": "Réessayer",
            "mark_paid": "Noter un paiement",
            "give_up": "Abandonner",
            "look_up": "Interroger le prestataire",
            "declare_lost": "Déclarer non reçu",
            "refund": "Rembourser",
            "credit": "Établir l’avoir",
            "dismiss": "Classer",
        }[self.value]


_UNDER_WAY = frozenset({Decision.LOOK_UP, Decision.GIVE_UP})
_OWED = frozenset({Decision.RETRY, Decision.MARK_PAID, Decision.GIVE_UP})
_ALLOWED: dict[ChargeStatus, frozenset[Decision]] = {
    ChargeStatus.SCHEDULED: _OWED,
    ChargeStatus.FAILED: _OWED,
    ChargeStatus.REVERSED: _OWED,
    ChargeStatus.RETRYING: _OWED,
    ChargeStatus.PROCESSING: _UNDER_WAY,
    ChargeStatus.AUTHENTICATING: _UNDER_WAY,
    # Money may still be on its way: no other payment is noted, and no new attempt begun, before that is settled.
    ChargeStatus.UNKNOWN: _UNDER_WAY | {Decision.DECLARE_LOST},
    ChargeStatus.SUCCEEDED: frozenset({Decision.REFUND}),
}


def actions_of(charge: Charge) -> list[Decision]:
    """What may be done with the charge now, in the order of the buttons. With a shop's, a person only takes note."""
    if charge.is_of_shop:
        return [Decision.DISMISS] if charge.attention is not None else []
    allowed = _ALLOWED.get(charge.status, frozenset())
    if charge.status is ChargeStatus.UNKNOWN and charge.attention is not Attention.UNKNOWN:
        allowed = frozenset({Decision.LOOK_UP})
    if charge.attention in effects.REFUNDS | {Attention.MISMATCH}:
        allowed |= {Decision.DISMISS}
    if charge.attention is Attention.CREDIT_NOTE:
        allowed |= {Decision.CREDIT}
    if charge.lease_until is not None:
        allowed = frozenset()
    return [action for action in Decision if action in allowed]


def find_charge(charge_id: UUID) -> Charge:
    """A charge of the current organisation, with its attempts. Raises NotFoundError."""
    statement = select(Charge).where(Charge.id == charge_id).options(selectinload(Charge.attempts))
    return _found(db.session.scalar(statement.execution_options(populate_existing=True)))


def _found(charge: Charge | None) -> Charge:
    if charge is None:
        raise NotFoundError("Ce prélèvement n’existe pas ou plus.")
    return charge


@contextmanager
def deciding(charge_id: UUID, action: Decision) -> Iterator[tuple[Charge, Subscription]]:
    """The charge and its subscription, locked in this order, if its state allows the action.

    Raises NotFoundError, NotAllowedError.
    """
    with transaction():
        statement = select(Charge).where(Charge.id == charge_id).with_for_update()
        charge = _found(db.session.scalar(statement.execution_options(populate_existing=True)))
        _check(charge, action)
        yield charge, lifecycle.find_for_update(charge.subscription_id)


def _check(charge: Charge, action: Decision) -> None:
    if action not in actions_of(charge):
        lifecycle.refuse_of_shop(charge)
        raise NotAllowedError(f"Ce prélèvement ({charge.status.label.lower()}) ne permet pas cette action.")


def retry(charge_id: UUID, *, by: User, at: datetime) -> Charge:
    """Have a new attempt made now, with the subscription's means of payment as they are now.

    Raises NotFoundError, NotAllowedError; InvalidInputError where no means of payment can be used, with the reason.
    """
    with deciding(charge_id, Decision.RETRY) as (charge, subscription):
        means = load_means([subscription])[subscription.id]
        obstacle = means.obstacle(scheduling.local_date(at, subscription.timezone))
        if obstacle is not None:
            raise InvalidInputError(obstacle)
        charge.next_attempt_at = at
        tell(charge, Decision.RETRY, None, by=by, at=at)
        queue.enqueue_once_after_commit(sweeping.JOB, tenancy.current_organisation_id(), on="charges")
    return charge


def mark_paid(
    charge_id: UUID, *, method: PaymentMethod, paid_on: date, reason: str = "", by: User, at: datetime
) -> Charge:
    """Note that the client has paid otherwise (transfer, cheque, …): all that is owed, on ``paid_on``.

    Raises NotFoundError, NotAllowedError; InvalidInputError for a day to come or long past.
    """
    check_day(paid_on, at=at)
    reason = checked_reason(reason, is_needed=False)
    with deciding(charge_id, Decision.MARK_PAID) as (charge, subscription):
        payment = Payment(
            id=new_id(),
            company_id=charge.company_id,
            client_id=charge.client_id,
            charge_id=charge.id,
            kind=PaymentKind.CAPTURE,
            amount=charge.owed,
            currency=charge.currency,
            method=method,
            reason=reason or None,
            happened_at=scheduling.instant_of(paid_on, datetime.min.time(), "Europe/Paris"),
            recorded_at=at,
        )
        db.session.add(payment)
        effects.settle_paid(charge, subscription, at=at, by=by)
        drafting.draft_for_charge(charge, at=at)
        tell(charge, Decision.MARK_PAID, method.label, by=by, at=at)
    return charge


def check_day(paid_on: date, *, at: datetime) -> None:
    """Raise InvalidInputError for a day of payment that is to come, or long past."""
    today = at.astimezone(PARIS).date()
    if paid_on > today:
        raise InvalidInputError("La date du paiement ne peut pas être à venir.", field="paid_on")
    if paid_on < today - FARTHEST_BACK:
        raise InvalidInputError("La date du paiement remonte à plus d’un an.", field="paid_on")


def give_up(charge_id: UUID, *, reason: str, by: User, at: datetime) -> Charge:
    """Ask no more for it. What is under way at the provider is called off first.

    Should the provider capture it after all, that is recorded all the same. Raises NotFoundError; NotAllowedError,
    also where the provider will not call it off; InvalidInputError without a reason.
    """
    reason = checked_reason(reason)
    _call_off(charge_id, at=at)
    with deciding(charge_id, Decision.GIVE_UP) as (charge, subscription):
        for attempt in _open_attempts(charge):
            attempt.status, attempt.settled_at, attempt.on_page = AttemptStatus.CANCELED, at, False
        effects.move(charge, ChargeStatus.CANCELED, at=at)
        effects.set_attention(charge, None, at=at)
        charge.explanation = reason
        db.session.flush()
        effects.go_on_if_clear(charge, subscription, at=at, by=by)
        effects.tell_settled(charge, at=at)
        tell(charge, Decision.GIVE_UP, reason, by=by, at=at)
    return charge


class _UnderWay(NamedTuple):
    """An attempt that is not settled, and the provider that has it: all that is needed to ask outside a transaction."""

    attempt_id: UUID
    provider_payment_id: str | None
    page: str | None
    provider: PaymentProvider
    is_lost: bool


def _find_under_way(charge_id: UUID, action: Decision, *, at: datetime) -> list[_UnderWay]:
    with transaction():
        charge = find_charge(charge_id)
        _check(charge, action)
        under_way = []
        for attempt in _open_attempts(charge):
            provider = provider_of(calling.find_account(attempt.provider_account_id))
            is_lost = recording.is_lost(attempt, KeyLimits.of(provider), at=at)
            page = _find_page(attempt) if attempt.on_page else None
            under_way.append(_UnderWay(attempt.id, attempt.provider_payment_id, page, provider, is_lost))
        return under_way


def _call_off(charge_id: UUID, *, at: datetime) -> None:
    """Cancel at the provider what it has under way for the charge. What it will not cancel is recorded as it stands."""
    try:
        for attempt in _find_under_way(charge_id, Decision.GIVE_UP, at=at):
            outcome = _cancel(attempt)
            # Unknown there, as far as anybody can tell: a person has decided.
            if outcome is not None and outcome.state not in (PaymentState.CANCELED, PaymentState.REFUSED):
                recording.apply_outcome(attempt.attempt_id, outcome, at=at)
                raise NotAllowedError(NOT_CALLED_OFF)
    except ProviderError as error:
        raise NotAllowedError(f"Le prestataire n’a pas pu annuler ce paiement\u202f: {error}") from error


def _cancel(attempt: _UnderWay) -> PaymentOutcome | None:
    """What became of the payment, once nothing more can come of it. A client may not pay it on a page any more."""
    if attempt.page is not None:
        return attempt.provider.close_page(attempt.page).payment
    return attempt.provider.cancel(attempt.provider_payment_id) if attempt.provider_payment_id else None


def _find_page(attempt: ChargeAttempt) -> str | None:
    """The provider's id of the page on which the attempt may be paid."""
    page = select(HostedPage.reference).where(HostedPage.attempt_id == attempt.id)
    return db.session.scalar(page.order_by(HostedPage.id.desc()).limit(1))


def _open_attempts(charge: Charge) -> list[ChargeAttempt]:
    statement = select(ChargeAttempt).where(
        ChargeAttempt.charge_id == charge.id, ChargeAttempt.status.in_(claiming.OPEN_ATTEMPTS)
    )
    return list(db.session.scalars(statement))


def look_up(charge_id: UUID, *, by: User, at: datetime) -> Charge:
    """Have the provider asked now what became of it. Raises NotFoundError, NotAllowedError."""
    with deciding(charge_id, Decision.LOOK_UP) as (charge, _):
        charge.next_attempt_at = at
        queue.enqueue_once_after_commit(sweeping.JOB, tenancy.current_organisation_id(), on="charges")
    return charge


def declare_lost(charge_id: UUID, *, reason: str, by: User, at: datetime) -> Charge:
    """A person has made sure that the provider never collected it: it counts as refused, and may be tried again.

    Only once its key is honoured no more and no request can still be on its way, and after the provider was asked once
    more. Raises NotFoundError, NotAllowedError; InvalidInputError without a reason.
    """
    reason = checked_reason(reason)
    _make_sure_of_loss(charge_id, at=at)
    with deciding(charge_id, Decision.DECLARE_LOST) as (charge, subscription):
        for attempt in _open_attempts(charge):
            attempt.status, attempt.settled_at = AttemptStatus.CANCELED, at
        effects.leave_to_person(charge, subscription, Attention.REFUSED, reason, at=at)
        tell(charge, Decision.DECLARE_LOST, reason, by=by, at=at)
    return charge


def _make_sure_of_loss(charge_id: UUID, *, at: datetime) -> None:
    try:
        for attempt in _find_under_way(charge_id, Decision.DECLARE_LOST, at=at):
            if not attempt.is_lost:
                raise NotAllowedError(NOT_LOST_YET)
            outcome = attempt.provider.find_payment(attempt.attempt_id, provider_payment_id=attempt.provider_payment_id)
            if outcome is not None:
                recording.apply_outcome(attempt.attempt_id, outcome, at=at)
                raise NotAllowedError(KNOWN_AFTER_ALL)
    except ProviderError as error:
        raise NotAllowedError(f"Le prestataire ne répond pas\u202f: {error}") from error


def dismiss(charge_id: UUID, *, reason: str, by: User, at: datetime) -> Charge:
    """A person has dealt with a difference to the provider: it leaves the list.

    Raises NotFoundError, NotAllowedError; InvalidInputError without a reason.
    """
    reason = checked_reason(reason)
    with deciding(charge_id, Decision.DISMISS) as (charge, _):
        effects.set_attention(charge, None, at=at)
        charge.explanation = reason
        tell(charge, Decision.DISMISS, reason, by=by, at=at)
    return charge


def checked_reason(reason: str, *, is_needed: bool = True) -> str:
    """The reason as it is kept. Raises InvalidInputError where it is missing or too long."""
    reason = clean_text(reason)
    if not reason and is_needed:
        raise InvalidInputError("Indiquez un motif.", field="reason")
    if len(reason) > REASON_LENGTH:
        raise InvalidInputError(f"C’est trop long\u202f: {REASON_LENGTH} caractères au plus.", field="reason")
    return reason


def tell(
    charge: Charge,
    action: Decision,
    detail: str | None,
    *,
    by: User,
    at: datetime,
    amount: Decimal | None = None,
    refund: str | None = None,
) -> None:
    """Write a person's decision into the client's timeline, with the charge's amount unless it is about another.

    ``refund`` is the number of the refund that it asks for.
    """
    changes: dict[str, Any] = {
        "charge": [None, charge.code],
        "charge_action": [None, action.label],
        "charge_amount": [None, f"{amount or charge.amount} {charge.currency}"],
    }
    if refund:
        changes["refund"] = [None, refund]
    if detail:
        changes["reason"] = [None, detail]
    db.session.add(
        TimelineEvent(client_id=charge.client_id, kind=EventKind.CHARGE_DECIDED, at=at, user_id=by.id, changes=changes)
    )


def count_needing_person() -> dict[Attention, int]:
    """How many charges of the current organisation are on the list, by why."""
    statement = (
        select(Charge.attention, func.count())
        .where(Charge.organisation_id == tenancy.current_organisation_id(), Charge.attention.is_not(None))
        .group_by(Charge.attention)
    )
    return {attention: count for attention, count in db.session.execute(statement).all() if attention is not None}
