"""Messages about a subscription: welcome, refused payment, paused, resumed, canceled, ended."""

from datetime import date
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.orm import aliased

from webapp import clock
from webapp.extensions import db
from webapp.models.charges import Charge, ChargeStatus, RefusalClass
from webapp.models.messages import MessageKind
from webapp.models.outbox import OutboxEvent
from webapp.models.subscriptions import Subscription, SubscriptionHistory, SubscriptionStatus
from webapp.services.covers import loading
from webapp.services.means_requests import listing as means_requests
from webapp.services.message_triggers import covers
from webapp.services.messages import writing
from webapp.services.messages.writing import Draft
from webapp.services.subscriptions import lifecycle, naming, scheduling

FIRST = "first"
_CHARGED = (ChargeStatus.SUCCEEDED, ChargeStatus.PROCESSING)
_PAID_ONCE = (ChargeStatus.SUCCEEDED, ChargeStatus.REVERSED)
_REFUSED = (ChargeStatus.RETRYING, ChargeStatus.AUTHENTICATING, ChargeStatus.FAILED)
_REASONS = {
    RefusalClass.HARD: "Votre banque a refusé ce paiement, et ce moyen de paiement ne peut plus être utilisé.",
    RefusalClass.SOFT: "Votre banque a refusé ce paiement pour le moment\u202f: le plus souvent, le solde ou le "
    "plafond est insuffisant.",
    RefusalClass.AUTHENTICATION: "Votre banque demande votre accord pour ce paiement.",
    RefusalClass.TECHNICAL: "Un incident technique a empêché ce paiement.",
}
"""Why a payment was refused, as a client reads it."""


def welcome(event: OutboxEvent) -> None:
    """Welcome the client to a subscription whose first paid cycle was charged, once in its life."""
    charge = _find_charge(event)
    if charge is None or not charge.amount or charge.status not in _CHARGED:
        return
    subscription = lifecycle.find_subscription(charge.subscription_id)
    if subscription.status.is_final or _paid_before(charge):
        return
    _write(
        MessageKind.WELCOME,
        subscription,
        FIRST,
        montant=charge.owed,
        prochaine_echeance=subscription.next_charge_on,
    )


def _find_charge(event: OutboxEvent) -> Charge | None:
    """The charge that the event is about; None of a shop's, which writes to its customers itself."""
    charge = db.session.scalar(select(Charge).where(Charge.id == UUID(event.payload["charge_id"])))
    return None if charge is None or charge.is_of_shop else charge


def _paid_before(charge: Charge) -> bool:
    """Whether an earlier cycle was paid: it was the first."""
    earlier = aliased(Charge)
    is_earlier = exists().where(
        earlier.organisation_id == charge.organisation_id,
        earlier.subscription_id == charge.subscription_id,
        earlier.cycle_no < charge.cycle_no,
        earlier.amount > 0,
        earlier.status.in_(_PAID_ONCE),
    )
    return bool(db.session.scalar(select(is_earlier)))


def tell_refused(event: OutboxEvent) -> None:
    """Tell the client why an attempt was refused and what comes next; nothing once another attempt has begun."""
    charge = _find_charge(event)
    attempt = event.payload.get("attempt")
    if charge is None or charge.status not in _REFUSED or attempt not in (None, charge.attempts_count):
        return
    subscription = lifecycle.find_subscription(charge.subscription_id)
    retry_at = charge.next_attempt_at if charge.status is ChargeStatus.RETRYING else None
    _write(
        MessageKind.PAYMENT_FAILED,
        subscription,
        str(charge.attempts_count),
        subject_id=charge.id,
        montant=charge.owed,
        motif=_REASONS[RefusalClass(event.payload["refusal"])],
        prochain_essai=scheduling.local_date(retry_at, subscription.timezone) if retry_at else None,
        lien_paiement=means_requests.find_payment_link(charge.id, at=clock.now()),
    )


def tell_paused(event: OutboxEvent) -> None:
    """Tell of a pause that still holds: what that means for a cover. What dunning suspends, it tells of itself."""
    change = _find_change(event, SubscriptionStatus.PAUSED)
    if change is None:
        return
    subscription, cover = lifecycle.find_subscription(event.subject_id), loading.find_of_subscription(event.subject_id)
    if cover is not None:
        covers.tell_suspended(event, cover, resumes_on=subscription.resume_on, at=clock.now())
    elif change.reason != lifecycle.UNPAID:
        _write(MessageKind.SUBSCRIPTION_PAUSED, subscription, str(event.id), reprise_le=subscription.resume_on)


def tell_resumed(event: OutboxEvent) -> None:
    """Tell that a subscription goes on, as long as it does."""
    if _find_change(event, SubscriptionStatus.ACTIVE) is not None:
        subscription = lifecycle.find_subscription(event.subject_id)
        cover, next_charge = loading.find_of_subscription(event.subject_id), subscription.next_charge_on
        if cover is not None:
            covers.tell_resumed(event, cover, next_charge_on=next_charge, at=clock.now())
        else:
            _write(MessageKind.SUBSCRIPTION_RESUMED, subscription, str(event.id), prochaine_echeance=next_charge)


def tell_canceled(event: OutboxEvent) -> None:
    """Tell of a cancellation. What never began is not told of, nor what dunning ends, which it tells of itself."""
    change = _find_change(event, SubscriptionStatus.CANCELED)
    if change is not None and change.old_status is not SubscriptionStatus.PENDING and change.reason != lifecycle.UNPAID:
        if change.reason == lifecycle.RENOUNCED:
            return  # confirmed as a renunciation
        subscription = lifecycle.find_subscription(event.subject_id)
        cover = loading.find_bare(event.subject_id)
        if cover and cover.termination and cover.termination.ends_on <= _day_of(event, subscription):
            return  # confirmed when it was written down
        _write(MessageKind.SUBSCRIPTION_CANCELED, subscription, str(event.id), date_fin=_day_of(event, subscription))


def tell_ended(event: OutboxEvent) -> None:
    """Tell that a subscription has come to its natural end."""
    if _find_change(event, SubscriptionStatus.EXPIRED) is not None:
        subscription = lifecycle.find_subscription(event.subject_id)
        ended_on = subscription.ends_on or _day_of(event, subscription)
        _write(MessageKind.SUBSCRIPTION_ENDED, subscription, str(event.id), date_fin=ended_on)


def _find_change(event: OutboxEvent, status: SubscriptionStatus) -> SubscriptionHistory | None:
    """The change that the event tells of, while no other change of status has followed it."""
    latest = (
        select(SubscriptionHistory)
        .where(
            SubscriptionHistory.subscription_id == event.subject_id,
            SubscriptionHistory.old_status != SubscriptionHistory.new_status,
        )
        .order_by(SubscriptionHistory.at.desc(), SubscriptionHistory.id.desc())
        .limit(1)
    )
    change = db.session.scalar(latest)
    is_it = change is not None and change.new_status is status and change.at == event.occurred_at
    return change if is_it else None


def _day_of(event: OutboxEvent, subscription: Subscription) -> date:
    return scheduling.local_date(event.occurred_at, subscription.timezone)


def _write(
    kind: MessageKind,
    subscription: Subscription,
    occasion: str,
    *,
    subject_id: UUID | None = None,
    **variables: object,
) -> None:
    if subscription.is_of_shop:
        return  # the shop writes to its customers itself
    name = naming.find_names([subscription.id])[subscription.id]
    draft = Draft(
        kind=kind,
        company_id=subscription.company_id,
        client_id=subscription.client_id,
        subject_id=subject_id or subscription.id,
        occasion=occasion,
        variables={"abonnement": name, **variables},
    )
    writing.write(draft, at=clock.now())
