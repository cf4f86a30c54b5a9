"""What people do with a request: ask, hand the link on, call it off, and use what came of it."""

import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import undefer

from webapp import tenancy
from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.gateways.providers.protocol import ProviderError
from webapp.models.base import new_id
from webapp.models.charges import Attention, Charge
from webapp.models.identity import User
from webapp.models.means_requests import OPEN, MeansRequest, MeansRequestStatus
from webapp.models.providers import ProviderAccount, SavedPaymentMethod
from webapp.models.subscriptions import Collector, Subscription, SubscriptionStatus
from webapp.models.timeline import EventKind
from webapp.services.charges import decisions, on_page
from webapp.services.charges.decisions import Decision, NotAllowedError
from webapp.services.clients.locking import lock_client
from webapp.services.means_requests import looking
from webapp.services.providers.accounts import provider_of
from webapp.services.subscriptions import editing, lifecycle, scheduling
from webapp.services.subscriptions.means import load_means
from webapp.transactions import transaction

LIFE = timedelta(days=14)
TOKEN_BYTES = 32
NOTHING_TO_PAY = "Rien n’est à payer pour cet abonnement en ce moment\u202f: demandez le moyen de paiement seul."


class RequestStateError(DomainError):
    """The request is in a state in which this cannot be done."""


class AlreadyAskedError(DomainError):
    """The client was asked already, and may still answer; ``request_id`` is that request."""

    def __init__(self, request_id: UUID, code: str) -> None:
        super().__init__(f"Une demande ({code}) est déjà ouverte pour ce client\u202f: voici son lien.")
        self.request_id = request_id


@dataclass(frozen=True, kw_only=True)
class RequestFields:
    """What is asked for: with whom it is kept, what for, and whether what is owed is paid in the same visit."""

    account_id: UUID | None
    subscription_id: UUID | None = None
    takes_payment: bool = False


def find_request(client_id: UUID, request_id: UUID) -> MeansRequest:
    """A request to the client. Raises NotFoundError."""
    statement = select(MeansRequest).where(MeansRequest.id == request_id, MeansRequest.client_id == client_id)
    request = db.session.scalar(statement.options(undefer(MeansRequest.token)))
    if request is None:
        raise NotFoundError("Cette demande n’existe pas ou plus.")
    return request


def list_accounts() -> list[ProviderAccount]:
    """The accounts whose provider shows clients a page of its own, company by company."""
    statement = select(ProviderAccount).where(ProviderAccount.is_active)
    accounts = db.session.scalars(statement.order_by(ProviderAccount.company_id, ProviderAccount.provider))
    return [account for account in accounts if _has_page(account)]


def _has_page(account: ProviderAccount) -> bool:
    try:
        return bool(provider_of(account).page_methods)
    except ProviderError:  # not set up
        return False


def create_request(
    client_id: UUID, fields: RequestFields, *, request_id: UUID | None = None, by: User, at: datetime
) -> MeansRequest:
    """Ask the client for a means of payment; the link is handed on by a person.

    A form brings the ``request_id``: sent twice, it asks once. Raises NotFoundError; AlreadyAskedError while another
    request waits for the client's answer; InvalidInputError, naming the field.
    """
    with transaction():
        lock_client(client_id)
        if request_id is not None and db.session.scalar(select(MeansRequest.id).where(MeansRequest.id == request_id)):
            return find_request(client_id, request_id)
        account = _find_account(fields.account_id)
        _refuse_second(client_id, account)
        subscription = _find_subscription(client_id, fields.subscription_id, account)
        charge = _find_charge(subscription, at=at) if fields.takes_payment else None
        request = MeansRequest(
            organisation_id=tenancy.current_organisation_id(),
            id=request_id or new_id(),
            client_id=client_id,
            provider_account_id=account.id,
            subscription_id=subscription.id if subscription else None,
            charge_id=charge.id if charge else None,
            takes_payment=fields.takes_payment,
            status=MeansRequestStatus.DRAFT,
            expires_at=at + LIFE,
            requested_by_id=by.id,
            created_at=at,
        )
        request.keep_token(secrets.token_urlsafe(TOKEN_BYTES))
        db.session.add(request)
        db.session.flush()
        looking.tell(request, EventKind.MEANS_REQUESTED, {"means_request": [None, request.code]}, by=by, at=at)
    return request


def _find_account(account_id: UUID | None) -> ProviderAccount:
    account = next((account for account in list_accounts() if account.id == account_id), None)
    if account is None:
        raise InvalidInputError("Choisissez la société et son prestataire.", field="account_id")
    return account


def _refuse_second(client_id: UUID, account: ProviderAccount) -> None:
    statement = select(MeansRequest).where(
        MeansRequest.client_id == client_id,
        MeansRequest.provider_account_id == account.id,
        MeansRequest.status.in_(OPEN),
    )
    request = db.session.scalar(statement)
    if request is not None:
        raise AlreadyAskedError(request.id, request.code)


def _find_subscription(client_id: UUID, subscription_id: UUID | None, account: ProviderAccount) -> Subscription | None:
    if subscription_id is None:
        return None
    statement = select(Subscription).where(Subscription.id == subscription_id, Subscription.client_id == client_id)
    subscription = db.session.scalar(statement)
    if subscription is None or subscription.status.is_final:
        raise InvalidInputError("Choisissez un abonnement en cours de ce client.", field="subscription_id")
    lifecycle.refuse_of_shop(subscription)
    if subscription.company_id != account.company_id:
        raise InvalidInputError("Cet abonnement est celui d’une autre société.", field="account_id")
    return subscription


def _find_charge(subscription: Subscription | None, *, at: datetime) -> Charge | None:
    """What is paid in the visit; None for the first cycle, which is claimed once the client comes."""
    if subscription is None:
        raise InvalidInputError("Choisissez l’abonnement dont l’échéance est à payer.", field="subscription_id")
    charge = on_page.find_payable(subscription.id)
    if charge is None and on_page.find_first_amount(subscription, at=at) is None:
        raise InvalidInputError(NOTHING_TO_PAY, field="takes_payment")
    return charge


def mark_sent(client_id: UUID, request_id: UUID, *, at: datetime) -> MeansRequest:
    """Somebody handed the link on. Doing so twice changes nothing. Raises NotFoundError."""
    with transaction():
        find_request(client_id, request_id)
        request = looking.lock_request(request_id)
        if request.status is MeansRequestStatus.DRAFT:
            request.status, request.sent_at = MeansRequestStatus.SENT, at
    return request


def look_up(client_id: UUID, request_id: UUID, *, at: datetime) -> MeansRequest:
    """Have the provider asked now. Raises NotFoundError; UnavailableError where it does not answer."""
    find_request(client_id, request_id)
    looking.look_at_request(request_id, at=at)
    return find_request(client_id, request_id)


def cancel(client_id: UUID, request_id: UUID, *, by: User, at: datetime) -> MeansRequest:
    """Call the request off: its link leads nowhere any more, and nothing can be paid by it.

    The client may have been quicker: then it is done. Raises NotFoundError; RequestStateError where it has ended;
    UnavailableError where the provider does not answer, and its page may still be used.
    """
    request = find_request(client_id, request_id)
    if not request.status.is_open:
        raise RequestStateError(f"Cette demande est terminée\u202f: {request.status.label.lower()}.")
    looking.end_request(request_id, MeansRequestStatus.CANCELED, by=by, at=at)
    return find_request(client_id, request_id)


class Waiting(NamedTuple):
    """What has nothing usable to be paid by, at the company whose provider keeps the new means."""

    subscriptions: Sequence[Subscription]
    charges: int


def find_waiting(request: MeansRequest, *, at: datetime) -> Waiting:
    """What could go on with the means that came of the request."""
    saved = _saved(request)
    if saved is None or not saved.is_usable(at.date()):
        return Waiting([], 0)
    waiting = _without_means(_candidates(request).order_by(Subscription.number), at=at)
    mine = select(Subscription.id).where(Subscription.saved_method_id == saved.id)
    charges = _waiting_charges([*(subscription.id for subscription in waiting), *db.session.scalars(mine)])
    return Waiting(waiting, len(charges))


def _saved(request: MeansRequest) -> SavedPaymentMethod | None:
    return db.session.scalar(select(SavedPaymentMethod).where(SavedPaymentMethod.id == request.saved_method_id))


def _candidates(request: MeansRequest) -> Select[Subscription]:
    return select(Subscription).where(
        Subscription.client_id == request.client_id,
        Subscription.company_id == request.account.company_id,
        Subscription.collected_by == Collector.CRM,
        Subscription.status.not_in((SubscriptionStatus.CANCELED, SubscriptionStatus.EXPIRED)),
    )


def _without_means(candidates: Select[Subscription], *, at: datetime) -> list[Subscription]:
    subscriptions = list(db.session.scalars(candidates))
    means = load_means(subscriptions)
    return [
        subscription
        for subscription in subscriptions
        if means[subscription.id].obstacle(scheduling.local_date(at, subscription.timezone))
    ]


def _waiting_charges(subscription_ids: Sequence[UUID]) -> Sequence[Charge]:
    statement = select(Charge).where(
        Charge.subscription_id.in_(subscription_ids),
        Charge.attention.in_((Attention.NO_PAYMENT_METHOD, Attention.REFUSED, Attention.AUTHENTICATION)),
        Charge.lease_until.is_(None),
        Charge.next_attempt_at.is_(None),
    )
    charges = db.session.scalars(statement.order_by(Charge.id)).all()
    return [charge for charge in charges if Decision.RETRY in decisions.actions_of(charge)]


def use_for_waiting(client_id: UUID, request_id: UUID, *, by: User, at: datetime) -> Waiting:
    """Pay by the new means what had none, and have its waiting charges tried; returns what was waiting.

    Doing so twice changes nothing. Raises NotFoundError; RequestStateError where no means came of it.
    """
    request = find_request(client_id, request_id)
    saved = _saved(request)
    if saved is None:
        raise RequestStateError("Aucun moyen de paiement n’est encore enregistré par cette demande.")
    with transaction():
        lock_client(client_id)
        waiting = find_waiting(request, at=at)
        # As they stand once locked: one that went to another company meanwhile is not paid by this one's means.
        locked = _candidates(request).where(Subscription.id.in_(each.id for each in waiting.subscriptions))
        locked = locked.order_by(Subscription.id).with_for_update().execution_options(populate_existing=True)
        for subscription in _without_means(locked, at=at):
            editing.pay_by_saved(subscription, saved, by=by, at=at)
    mine = select(Subscription.id).where(Subscription.saved_method_id == saved.id)
    for charge in _waiting_charges(db.session.scalars(mine).all()):
        with suppress(NotAllowedError):  # somebody was quicker
            decisions.retry(charge.id, by=by, at=at)
    return waiting
