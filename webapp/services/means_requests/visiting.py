"""What a client meets who follows the link: the provider's page, made when it is needed.

The page is a row before the provider is asked for it, with a key of its own: whoever dies in between, or opens the link
twice at once, is answered the same page. A page that has ended is followed by another while the request is open.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import structlog
from sqlalchemy import select

from webapp import queue, tenancy
from webapp.errors import NotFoundError, UnavailableError
from webapp.extensions import db
from webapp.gateways.providers.protocol import (
    OpenedPage,
    PageMetadata,
    PageRequest,
    PaymentProvider,
    ProviderError,
    ProviderRejectedError,
)
from webapp.models.base import new_id
from webapp.models.charges import AttemptStatus, ChargeAttempt
from webapp.models.means_requests import HostedPage, HostedPageStatus, MeansRequest, MeansRequestStatus
from webapp.models.organisations import Company
from webapp.models.providers import SavedPaymentMethod
from webapp.services.charges import calling, on_page
from webapp.services.means_requests import looking
from webapp.services.providers.accounts import provider_of
from webapp.transactions import transaction

log = structlog.get_logger()

MARGIN = timedelta(minutes=2)
"""A page that ends so soon is of no use to whoever opens it."""
TRIES = 2
"""What a page is for may end while it is opened; the next one is for what is left."""
UNKNOWN_LINK = "Ce lien n’existe pas, ou plus. Demandez-en un autre à votre interlocuteur."
CLOSED = "La page de paiement n’est pas disponible pour l’instant. Réessayez dans quelques minutes."


@dataclass(frozen=True)
class Visit:
    """Where the client stands: ``url`` is the provider's page, None where the request has ended."""

    company: str
    status: MeansRequestStatus
    url: str | None = None


class _Wanted(NamedTuple):
    """A page to be asked for, and all that the asking needs."""

    page_id: UUID
    request: PageRequest
    provider: PaymentProvider


def find_link(token: str) -> tuple[UUID, UUID]:
    """The organisation and the request behind a link. Raises NotFoundError."""
    with tenancy.across_organisations():
        row = db.session.execute(
            select(MeansRequest.organisation_id, MeansRequest.id).where(
                MeansRequest.token_hash == MeansRequest.hash_of(token)
            )
        ).one_or_none()
    if row is None:
        raise NotFoundError(UNKNOWN_LINK)
    return row.organisation_id, row.id


def open_link(token: str, *, return_url: str, leave_url: str, at: datetime) -> Visit:
    """The provider's page for whoever holds the link.

    Raises NotFoundError; UnavailableError where there is none now.
    """
    organisation_id, request_id = find_link(token)
    with tenancy.organisation(organisation_id):
        for _ in range(TRIES):
            _let_go_of_old_page(request_id, at=at)
            wanted = _prepare(request_id, return_url=return_url, leave_url=leave_url, at=at)
            if isinstance(wanted, Visit):
                return wanted
            opened = _ask(wanted, at=at)
            visit = _show(request_id, wanted, opened, at=at)
            if visit is not None:
                return visit
            _withdraw(wanted, opened, at=at)
    raise UnavailableError(CLOSED)


def look_on_return(token: str, *, at: datetime) -> Visit:
    """The client is back from the provider's page, whatever was done there: the provider is asked soon.

    Raises NotFoundError.
    """
    organisation_id, request_id = find_link(token)
    with tenancy.organisation(organisation_id), transaction():
        request = looking.lock_request(request_id)
        page = looking.find_open_page(request_id)
        if page is not None:
            page.next_look_at = at
            queue.enqueue_once_after_commit(looking.JOB, organisation_id, on="payments")
        return _visit(request)


def _let_go_of_old_page(request_id: UUID, *, at: datetime) -> None:
    """A page that has ended, or is about to, is asked about before another one is made."""
    with transaction():
        page = looking.find_open_page(request_id)
        is_old = page is not None and page.closes_at <= at + MARGIN
    if page is None or not is_old:
        return
    try:
        looking.close_page(page.id, at=at)
    except ProviderError as error:
        raise UnavailableError(CLOSED) from error


def _prepare(request_id: UUID, *, return_url: str, leave_url: str, at: datetime) -> Visit | _Wanted:
    """The page that is open already; else one to be asked for, as a row."""
    with transaction():
        request = looking.lock_request(request_id)
        page = looking.find_open_page(request_id)
        is_late = request.expires_at <= at and page is None
        if not request.status.is_open or is_late or (page and page.status is HostedPageStatus.SUBMITTED):
            return _visit(request, MeansRequestStatus.EXPIRED if request.status.is_open and is_late else None)
        if page is not None and page.status is HostedPageStatus.OPEN:
            return _visit(request, url=page.url_in_clear())
        provider = provider_of(calling.find_account(request.provider_account_id))
        if page is None:
            page = _make_page(request, provider, at=at)
        return _Wanted(page.id, _request_for(request, page, provider, return_url, leave_url), provider)


def _visit(request: MeansRequest, status: MeansRequestStatus | None = None, *, url: str | None = None) -> Visit:
    return Visit(_company(request).name, status or request.status, url)


def _company(request: MeansRequest) -> Company:
    return db.session.scalars(select(Company).where(Company.id == request.account.company_id)).one()


def _make_page(request: MeansRequest, provider: PaymentProvider, *, at: datetime) -> HostedPage:
    attempt: ChargeAttempt | None = None
    if request.takes_payment and request.subscription_id is not None:
        attempt = on_page.claim(request.subscription_id, request.charge_id, request.account, at=at)
        request.charge_id = attempt.charge_id if attempt else request.charge_id
    page = HostedPage(
        organisation_id=request.organisation_id,
        id=new_id(),
        request_id=request.id,
        status=HostedPageStatus.OPENING,
        closes_at=at + provider.page_life,
        attempt_id=attempt.id if attempt else None,
        next_look_at=at + looking.FIRST_LOOK,
        created_at=at,
    )
    db.session.add(page)
    db.session.flush()
    return page


def _request_for(
    request: MeansRequest, page: HostedPage, provider: PaymentProvider, return_url: str, leave_url: str
) -> PageRequest:
    attempt = db.session.scalar(select(ChargeAttempt).where(ChargeAttempt.id == page.attempt_id))
    return PageRequest(
        idempotency_key=page.idempotency_key,
        metadata=PageMetadata(request.organisation_id, page.id),
        methods=provider.page_methods,
        currency=attempt.currency if attempt else _company(request).currency,
        return_url=return_url,
        leave_url=leave_url,
        closes_at=page.closes_at,
        customer_reference=_customer(request),
        customer_name=request.client.full_name,
        customer_email=request.client.email or "",
        payment=on_page.request_for(attempt) if attempt else None,
    )


def _customer(request: MeansRequest) -> str:
    """The customer that the provider knows the client by already."""
    statement = select(SavedPaymentMethod.customer_reference).where(
        SavedPaymentMethod.client_id == request.client_id,
        SavedPaymentMethod.provider_account_id == request.provider_account_id,
        SavedPaymentMethod.customer_reference != "",
    )
    return db.session.scalar(statement.order_by(SavedPaymentMethod.id.desc()).limit(1)) or ""


def _ask(wanted: _Wanted, *, at: datetime) -> OpenedPage:
    """Call the provider, outside any transaction. Raises UnavailableError."""
    try:
        return wanted.provider.open_page(wanted.request)
    except ProviderRejectedError as error:
        log.warning("page_rejected", page_id=str(wanted.page_id))
        looking.note_rejection(wanted.page_id, str(error), at=at)
        raise UnavailableError(CLOSED) from error
    except ProviderError as error:  # nobody knows: the next visit asks with the same key
        raise UnavailableError(CLOSED) from error


def _show(request_id: UUID, wanted: _Wanted, opened: OpenedPage, *, at: datetime) -> Visit | None:
    """Record the page. None where what it is for has ended meanwhile: nobody gets to see it."""
    with transaction():
        request = looking.lock_request(request_id)
        page = looking.find_open_page(request_id)
        if page is None or page.id != wanted.page_id:
            return None
        if page.status is HostedPageStatus.OPENING:
            page.status, page.reference, page.closes_at = HostedPageStatus.OPEN, opened.reference, opened.closes_at
            page.keep_url(opened.url)
        if not request.status.is_open or not _is_still_owed(page):
            return None
        if request.status is not MeansRequestStatus.OPENED:
            request.status, request.opened_at = MeansRequestStatus.OPENED, at
        return _visit(request, url=opened.url)


def _withdraw(wanted: _Wanted, opened: OpenedPage, *, at: datetime) -> None:
    """End a page that nobody has seen. Raises UnavailableError: it must have ended before another one is made."""
    try:
        wanted.provider.close_page(opened.reference)
        looking.look_at(wanted.page_id, at=at)
    except ProviderError as error:
        raise UnavailableError(CLOSED) from error


def _is_still_owed(page: HostedPage) -> bool:
    """Whether what is to be paid on the page was not given up, or paid otherwise, while it was opened."""
    if page.attempt_id is None:
        return True
    status = select(ChargeAttempt.status).where(ChargeAttempt.id == page.attempt_id)
    return db.session.scalars(status).one() is AttemptStatus.AUTHENTICATING
