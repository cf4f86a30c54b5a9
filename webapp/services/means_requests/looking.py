"""What became of a page: asked of the provider, by whoever has a reason to, and recorded once.

A webhook, the sweep, the client's return and a person all end here. The page is read before and recorded after the
call, under the lock of its request; what is recorded already changes nothing.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import structlog
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from webapp import queue, tenancy
from webapp.errors import NotFoundError, UnavailableError
from webapp.extensions import db
from webapp.gateways.providers.protocol import PageOutcome, PageState, PaymentProvider, ProviderError, ProviderMethod
from webapp.models.base import linked, new_id
from webapp.models.charges import Charge, ChargeAttempt
from webapp.models.clients import Client
from webapp.models.identity import User
from webapp.models.means_requests import HostedPage, HostedPageStatus, MeansRequest, MeansRequestStatus
from webapp.models.providers import SavedPaymentMethod
from webapp.models.subscriptions import Subscription, SubscriptionStatus
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services import each_organisation
from webapp.services.charges import calling, on_page, recording
from webapp.services.providers.accounts import provider_of
from webapp.services.subscriptions import defaults, editing, lifecycle, means, saved_methods
from webapp.services.subscriptions.means import PaymentFields
from webapp.transactions import transaction

log = structlog.get_logger()

JOB = "jobs.payments.look_at_pages"
FIRST_LOOK = timedelta(minutes=1)
TURN = 50
"""Pages that one job looks at, at most: what else waits in its queue gets a turn."""
PATIENCE = timedelta(seconds=10)
_LOOKS = (  # while a page is younger than the first, look again after the second
    (timedelta(minutes=10), FIRST_LOOK),
    (timedelta(hours=2), timedelta(minutes=10)),
    (timedelta(days=30), timedelta(hours=2)),
)
SELDOM = timedelta(days=1)
NOT_ANSWERING = "Le prestataire ne répond pas\u202f: réessayez dans quelques minutes."
NOT_ENDED = "Le client vient de répondre, et sa banque n’a pas encore confirmé\u202f: la demande reste ouverte."
REJECTED = "Le prestataire refuse d’ouvrir sa page\u202f: {reason}"
NOT_SAVED = "Le prestataire n’a pas gardé le moyen de paiement."
_REASONS = {
    MeansRequestStatus.EXPIRED: "Le client n’a pas répondu à temps.",
    MeansRequestStatus.CANCELED: "La demande a été annulée.",
}


class _Asked(NamedTuple):
    """A page that the provider is to be asked about, read before the call."""

    page_id: UUID
    reference: str
    provider: PaymentProvider


def lock_request(request_id: UUID) -> MeansRequest:
    """The request, locked until the transaction ends, as it stands now."""
    statement = select(MeansRequest).where(MeansRequest.id == request_id).with_for_update()
    request = db.session.scalar(statement.execution_options(populate_existing=True))
    if request is None:
        raise NotFoundError("Cette demande n’existe pas ou plus.")
    return request


def find_open_page(request_id: UUID) -> HostedPage | None:
    """The page on which the client may still answer; the caller holds the request."""
    statement = select(HostedPage).where(HostedPage.request_id == request_id, HostedPage.next_look_at.is_not(None))
    return db.session.scalar(statement.execution_options(populate_existing=True))


def find_page_of(attempt_id: UUID) -> UUID:
    """The page on which an attempt is, or was, to be paid. Raises NotFoundError."""
    page_id = db.session.scalar(select(HostedPage.id).where(HostedPage.attempt_id == attempt_id))
    if page_id is None:
        raise NotFoundError("Cette page ne correspond à aucune de nos demandes.")
    return page_id


def look_at(page_id: UUID, *, at: datetime) -> None:
    """Ask what became of a page, and record it. Raises NotFoundError, ProviderError."""
    with transaction():  # ended before the provider is called
        page = db.session.scalar(select(HostedPage).where(HostedPage.id == page_id))
        if page is None:
            raise NotFoundError("Cette page ne correspond à aucune de nos demandes.")
        asked = _asked(page)
    if asked is not None:
        _record(asked.page_id, asked.provider.find_page(asked.reference), at=at)
    else:
        _give_up_unopened(page_id, at=at)


def look_at_request(request_id: UUID, *, at: datetime) -> None:
    """As ``look_at``, for the open page of a request, where there is one. Raises UnavailableError."""
    with transaction():
        page = find_open_page(request_id)
    if page is None:
        return
    try:
        look_at(page.id, at=at)
    except ProviderError as error:
        raise UnavailableError(NOT_ANSWERING) from error


def close_page(page_id: UUID, *, at: datetime) -> None:
    """Have the provider end a page, and record what came of it. Raises ProviderError."""
    with transaction():
        asked = _asked(db.session.scalars(select(HostedPage).where(HostedPage.id == page_id)).one())
    if asked is not None:
        _record(asked.page_id, asked.provider.close_page(asked.reference), at=at)
    else:
        _give_up_unopened(page_id, at=at)


def note_rejection(page_id: UUID, why: str, *, at: datetime) -> None:
    """The provider will not make this page: staff read why, and the next visit asks for another."""
    with transaction():
        request, page = _lock(page_id)
        _end_page(page, HostedPageStatus.CLOSED, at=at)
        request.explanation = REJECTED.format(reason=why[:300])


def end_request(request_id: UUID, status: MeansRequestStatus, *, by: User | None, at: datetime) -> None:
    """Bring a request to an end without an answer, once its page can bring none any more: it may be done after all.

    Raises UnavailableError where the provider does not answer: its page may still be used.
    """
    with transaction():
        page = find_open_page(request_id)
    if page is not None:
        try:
            close_page(page.id, at=at)
        except ProviderError as error:
            raise UnavailableError(NOT_ANSWERING) from error
    with transaction():
        request = lock_request(request_id)
        page = find_open_page(request_id)
        if page is not None and page.status is HostedPageStatus.OPENING:
            _end_page(page, HostedPageStatus.CLOSED, at=at)
        elif page is not None:  # a bank is about to answer, or the client opened another page meanwhile
            raise UnavailableError(NOT_ENDED)
        if request.status.is_open:
            _end(request, status, _REASONS[status], by=by, at=at)


def _asked(page: HostedPage) -> _Asked | None:
    """None while the provider was only asked to open it: it has no name there that we know of."""
    if page.reference is None:
        return None
    account = db.session.scalars(
        select(MeansRequest.provider_account_id).where(MeansRequest.id == page.request_id)
    ).one()
    return _Asked(page.id, page.reference, provider_of(calling.find_account(account)))


def _record(page_id: UUID, outcome: PageOutcome, *, at: datetime) -> None:
    """Write what became of a page, whoever asked. The same told again changes nothing."""
    with transaction():
        request, page = _lock(page_id)
        match outcome.state:
            case PageState.OPEN:
                _look_again(page, at=at)
            case PageState.SUBMITTED:
                page.status = HostedPageStatus.SUBMITTED
                _look_again(page, at=at)
            case PageState.COMPLETED:
                _complete(request, page, outcome, at=at)
            case PageState.REFUSED:
                _settle_payment(page, outcome, None, at=at)
                _end_page(page, HostedPageStatus.REFUSED, at=at)
                if request.status.is_open:
                    _end(request, MeansRequestStatus.REFUSED, outcome.message or NOT_SAVED, by=None, at=at)
            case PageState.CLOSED:
                _settle_payment(page, outcome, None, at=at)
                _end_page(page, HostedPageStatus.CLOSED, at=at)


def _lock(page_id: UUID) -> tuple[MeansRequest, HostedPage]:
    owner = select(HostedPage.request_id).where(HostedPage.id == page_id)
    request = lock_request(db.session.scalars(owner).one())
    page = select(HostedPage).where(HostedPage.id == page_id).execution_options(populate_existing=True)
    return request, db.session.scalars(page).one()


def _look_again(page: HostedPage, *, at: datetime) -> None:
    if not page.has_ended:
        age = at - page.created_at
        page.next_look_at = at + next((wait for limit, wait in _LOOKS if age < limit), SELDOM)


def _complete(request: MeansRequest, page: HostedPage, outcome: PageOutcome, *, at: datetime) -> None:
    """The client has given it: kept once, used by what it was asked for, and what was paid with it is recorded."""
    if outcome.method is None:
        _settle_payment(page, outcome, None, at=at)
        _end_page(page, HostedPageStatus.COMPLETED, at=at)
        if request.status.is_open:
            _end(request, MeansRequestStatus.REFUSED, NOT_SAVED, by=None, at=at)
        return
    saved = save_method(request.client_id, request.provider_account_id, outcome.method, at=at)
    _lock_in_order(request, page)
    _settle_payment(page, outcome, saved, at=at)
    _end_page(page, HostedPageStatus.COMPLETED, at=at)
    if request.status is MeansRequestStatus.DONE:
        return
    request.status, request.ended_at, request.saved_method_id = MeansRequestStatus.DONE, at, saved.id
    request.explanation = None
    _make_default(request, saved, at=at)
    if request.subscription_id is not None:
        subscription = lifecycle.find_for_update(request.subscription_id)
        # It may have gone to another company since, which has no part in what this one's provider keeps.
        if not subscription.status.is_final and subscription.company_id == request.account.company_id:
            editing.pay_by_saved(subscription, saved, by=None, at=at)
    if request.replaces_id is not None:
        _replace(request.replaces_id, saved, request, at=at)
    words = {"means_request": [None, request.code], "payment_method": [None, saved.label]}
    tell(request, EventKind.MEANS_SAVED, words, by=None, at=at)


def _lock_in_order(request: MeansRequest, page: HostedPage) -> None:
    """The charge, the client, the client's subscriptions: as everybody locks them, so that no two wait in a circle."""
    charges = select(Charge.id).join(ChargeAttempt, linked(Charge, ChargeAttempt.charge_id))
    db.session.execute(charges.where(ChargeAttempt.id == page.attempt_id).with_for_update(of=Charge))
    db.session.execute(select(Client.id).where(Client.id == request.client_id).with_for_update(key_share=True))
    mine = select(Subscription.id).where(Subscription.client_id == request.client_id).order_by(Subscription.id)
    db.session.execute(mine.with_for_update())


def _make_default(request: MeansRequest, saved: SavedPaymentMethod, *, at: datetime) -> None:
    """The first means that a client gives to a company is what the subscriptions follow that name none."""
    company_id = request.account.company_id
    if means.find_default(request.client_id, company_id).method is None:
        fields = PaymentFields(method=saved.method, saved_method_id=saved.id)
        defaults.set_default(request.client_id, company_id, fields, by=None, at=at)


def _replace(old_id: UUID, saved: SavedPaymentMethod, request: MeansRequest, *, at: datetime) -> None:
    """The new card pays all that the old one paid: as the default of the client, and where it was named."""
    company_id = request.account.company_id
    default = defaults.find_default_means(request.client_id, company_id).saved
    if default is not None and default.id == old_id:
        fields = PaymentFields(method=saved.method, saved_method_id=saved.id)
        defaults.set_default(request.client_id, company_id, fields, by=None, at=at)
    named = select(Subscription).where(
        Subscription.client_id == request.client_id,
        Subscription.saved_method_id == old_id,
        Subscription.status.not_in((SubscriptionStatus.CANCELED, SubscriptionStatus.EXPIRED)),
    )
    for subscription in db.session.scalars(named.order_by(Subscription.id).execution_options(populate_existing=True)):
        editing.pay_by_saved(subscription, saved, by=None, at=at)


def save_method(client_id: UUID, account_id: UUID, method: ProviderMethod, *, at: datetime) -> SavedPaymentMethod:
    """Keep what the provider keeps for the client, once however often it is told of."""
    db.session.execute(
        insert(SavedPaymentMethod)
        .values(
            organisation_id=tenancy.current_organisation_id(),
            id=new_id(),
            client_id=client_id,
            provider_account_id=account_id,
            method=method.method,
            customer_reference=method.customer_reference,
            method_reference=method.method_reference,
            label=saved_methods.label_of(method.method, brand=method.brand, last4=method.last4)[:100],
            brand=method.brand[:40] or None,
            last4=method.last4[-4:] or None,
            expires_on=method.expires_on,
            created_at=at,
        )
        .on_conflict_do_nothing()
    )
    statement = select(SavedPaymentMethod).where(
        SavedPaymentMethod.provider_account_id == account_id,
        SavedPaymentMethod.method_reference == method.method_reference,
    )
    return db.session.scalars(statement).one()


def _settle_payment(page: HostedPage, outcome: PageOutcome, saved: SavedPaymentMethod | None, *, at: datetime) -> None:
    """Record what was paid on the page, and with what."""
    if page.attempt_id is None or outcome.payment is None:
        return
    owner = select(ChargeAttempt.charge_id).where(ChargeAttempt.id == page.attempt_id).scalar_subquery()
    charge = db.session.scalars(select(Charge).where(Charge.id == owner).with_for_update()).one()
    if saved is not None:
        charge.payment_method = saved.method
        db.session.flush()
    recording.apply_outcome(page.attempt_id, outcome.payment, at=at)


def _end_page(page: HostedPage, status: HostedPageStatus, *, at: datetime) -> None:
    """What was not paid on it waits for a person again."""
    if page.has_ended:
        return
    page.status, page.next_look_at = status, None
    if page.attempt_id is not None:
        db.session.flush()
        on_page.release(page.attempt_id, at=at)


def _end(request: MeansRequest, status: MeansRequestStatus, why: str, *, by: User | None, at: datetime) -> None:
    request.status, request.ended_at, request.explanation = status, at, why
    words = {"means_request": [None, request.code], "reason": [None, why]}
    tell(request, EventKind.MEANS_NOT_GIVEN, words, by=by, at=at)


def _give_up_unopened(page_id: UUID, *, at: datetime) -> None:
    """Nobody knows a page that was asked for long ago, and whose answer was lost: nobody can answer on it."""
    with transaction():
        _, page = _lock(page_id)
        if page.status is HostedPageStatus.OPENING:
            if page.closes_at <= at:
                _end_page(page, HostedPageStatus.CLOSED, at=at)
            else:
                _look_again(page, at=at)


def refresh_method(account_id: UUID, method_reference: str, *, at: datetime) -> None:
    """Take over how a means of payment stands at the provider: a card that its bank has replaced, or one that is gone.

    Raises NotFoundError for one that we do not keep; ProviderError.
    """
    with transaction():
        kept = _find_kept(account_id, method_reference)
        if kept is None:
            raise NotFoundError("Ce moyen de paiement n’est celui d’aucun de nos clients.")
        provider = provider_of(calling.find_account(account_id))
    method = provider.find_method(method_reference)
    with transaction():
        saved = _find_kept(account_id, method_reference)
        if saved is None:
            return
        if method is None:
            _revoke(saved, at=at)
        elif method.expires_on is not None:
            saved_methods.update_card(
                saved, brand=method.brand, last4=method.last4, expires_on=method.expires_on, at=at
            )


def _revoke(saved: SavedPaymentMethod, *, at: datetime) -> None:
    if saved.revoked_at is None:
        saved.revoked_at = at
        changes: dict[str, Any] = {"payment_method": [saved.label, None]}
        db.session.add(TimelineEvent(client_id=saved.client_id, kind=EventKind.MEANS_REVOKED, at=at, changes=changes))


def _find_kept(account_id: UUID, method_reference: str) -> SavedPaymentMethod | None:
    statement = select(SavedPaymentMethod).where(
        SavedPaymentMethod.provider_account_id == account_id, SavedPaymentMethod.method_reference == method_reference
    )
    return db.session.scalar(statement.with_for_update().execution_options(populate_existing=True))


def tell(
    request: MeansRequest, kind: EventKind, changes: Mapping[str, list[Any]], *, by: User | None, at: datetime
) -> None:
    """Write into the client's timeline."""
    event = TimelineEvent(
        client_id=request.client_id, kind=kind, at=at, user_id=by.id if by else None, changes=dict(changes)
    )
    db.session.add(event)


def look_at_due(organisation_id: UUID, *, at: datetime) -> int:
    """Look at the organisation's pages whose time has come, and end the requests that have run out.

    Returns how many.
    """
    queue.heard(JOB, organisation_id)
    with tenancy.organisation(organisation_id):
        pages = db.session.scalars(
            select(HostedPage.id).where(HostedPage.next_look_at <= at).order_by(HostedPage.next_look_at).limit(TURN)
        ).all()
        for page_id in pages:
            _look_or_put_off(page_id, at=at)
        expired = db.session.scalars(
            select(MeansRequest.id).where(MeansRequest.ended_at.is_(None), MeansRequest.expires_at <= at).limit(TURN)
        ).all()
        for request_id in expired:
            _expire(request_id, at=at)
        if TURN in (len(pages), len(expired)):
            queue.enqueue_once_after_commit(JOB, organisation_id, on="payments")
    return len(pages) + len(expired)


def _look_or_put_off(page_id: UUID, *, at: datetime) -> None:
    try:
        look_at(page_id, at=at)
    except Exception as error:
        if not isinstance(error, ProviderError):
            log.exception("page_look_failed", page_id=str(page_id))
        with transaction():
            _look_again(_lock(page_id)[1], at=at)


def _expire(request_id: UUID, *, at: datetime) -> None:
    try:
        end_request(request_id, MeansRequestStatus.EXPIRED, by=None, at=at)
    except UnavailableError:  # its page may still be used: at the next look
        log.warning("means_request_not_ended", means_request_id=str(request_id))


def sweep(*, at: datetime) -> int:
    """Ring for every organisation with pages to look at, or requests that have run out; returns how many."""
    pages = select(HostedPage.organisation_id).where(HostedPage.next_look_at <= at - PATIENCE)
    requests = select(MeansRequest.organisation_id).where(
        MeansRequest.ended_at.is_(None), MeansRequest.expires_at <= at
    )
    return each_organisation.ring(JOB, pages, requests, on="payments")
