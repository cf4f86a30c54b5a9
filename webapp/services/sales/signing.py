"""The end of a sale: on paper, or by the client who follows a link. Contract, subscription and cover come at once."""

import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select

from webapp import clock, links, tenancy
from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.clients import ClientStatus
from webapp.models.contracts import ContractStatus
from webapp.models.covers import Cover
from webapp.models.documents import Document
from webapp.models.identity import User
from webapp.models.means_requests import OPEN, MeansRequest
from webapp.models.messages import MessageKind
from webapp.models.sales import CoverSale, SignatureWay
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.clients import documents
from webapp.services.clients.fields import find_own_commercial, list_commercials
from webapp.services.contracts.editing import create_contract
from webapp.services.contracts.fields import ContractFields, ContractLineFields
from webapp.services.covers import loading, selling
from webapp.services.covers.homes import HomeFields
from webapp.services.covers.selling import CoverRequest
from webapp.services.dunning import days
from webapp.services.means_requests import commands as means_requests
from webapp.services.means_requests.commands import AlreadyAskedError, RequestFields
from webapp.services.messages import writing
from webapp.services.messages.writing import Draft
from webapp.services.sales import choosing, confirming, drafting, offers
from webapp.services.sales.drafting import SaleStateError
from webapp.services.sales.offers import Offer
from webapp.services.sales.wordings import WORDING
from webapp.transactions import transaction

LIFE = timedelta(days=14)
TOKEN_BYTES = 32
UNKNOWN_LINK = "Ce lien n’existe pas, ou plus. Demandez-en un autre à votre interlocuteur."
EXPIRED = "Ce lien a expiré. Demandez-en un autre à votre interlocuteur."
CHANGED = "Cette proposition n’est plus d’actualité. Votre interlocuteur vous en enverra une autre."


class LinkEndedError(DomainError):
    """The link leads nowhere any more."""

    status = 410


@dataclass(frozen=True)
class Acceptance:
    """What a client finds behind a link: the sale, and what is to be accepted; None once it is signed."""

    sale: CoverSale
    offer: Offer | None


def sign_on_paper(sale_id: UUID, given_name: str, content: bytes, *, version: int, by: User, at: datetime) -> CoverSale:
    """Keep the signed paper, and conclude. Who sends the form twice is led to what stands.

    Raises NotFoundError; EditConflictError, StepMissingError, SaleStateError; InvalidInputError, naming the field;
    QuotaError.
    """
    with transaction():
        sale = drafting.lock_sale(sale_id)
        if sale.signed_at:
            return sale
        with drafting.step(sale_id, None, version, at=at) as sale:
            offer = offers.check_ready(sale, at=at)
            document = documents.add_document(sale.client_id, given_name, content, by=by, at=at)
            db.session.flush()
        _conclude(sale, offer, SignatureWay.PAPER, document=document, by=by, at=at)
    return drafting.find_sale(sale_id)


def send_link(sale_id: UUID, *, version: int, by: User, at: datetime) -> CoverSale:
    """Send the client a link to accept by; one that was sent before leads nowhere any more.

    Raises NotFoundError; EditConflictError, StepMissingError, SaleStateError; InvalidInputError, naming the field.
    """
    with transaction():
        with drafting.step(sale_id, None, version, at=at) as sale:
            offer = offers.check_ready(sale, at=at)
            if not sale.client.email:
                raise InvalidInputError("Ce client n’a pas d’adresse e-mail.", field="email")
        token = secrets.token_urlsafe(TOKEN_BYTES)
        sale.token_hash, sale.token_expires_at = CoverSale.hash_of(token), at + LIFE
        sale.sent_at, sale.sent_by_id = at, by.id
        if writing.write(_message(sale, offer, token), at=at, by=by.id) is None:
            raise SaleStateError("Ce message est désactivé pour cette société\u202f: faites signer sur papier.")
    return drafting.find_sale(sale_id)


def _message(sale: CoverSale, offer: Offer, token: str) -> Draft:
    return Draft(
        kind=MessageKind.SALE_ACCEPTANCE,
        company_id=offer.version.plan.company_id,
        client_id=sale.client_id,
        subject_id=sale.id,
        occasion=str(sale.version),
        expires_at=sale.token_expires_at,
        variables={
            "formule": offer.version.plan.label,
            "logement": drafting.home_line(sale),
            "montant": offer.price.each.with_tax,
            "rythme": offer.price.per,
            "prise_effet": None if sale.starts_at_once and not sale.effective_on else offer.effective_on,
            "lien": links.accepting_sale(token),
            "valable_jusqu_au": (sale.token_expires_at or sale.changed_at).astimezone(clock.PARIS).date(),
        },
    )


def find_link(token: str) -> tuple[UUID, UUID]:
    """The organisation and the sale behind a link. Raises NotFoundError."""
    with tenancy.across_organisations():
        statement = select(CoverSale.organisation_id, CoverSale.id)
        row = db.session.execute(statement.where(CoverSale.token_hash == CoverSale.hash_of(token))).one_or_none()
    if row is None:
        raise NotFoundError(UNKNOWN_LINK)
    return row.organisation_id, row.id


def read_link(token: str, *, at: datetime) -> Acceptance:
    """What is to be accepted; the caller works for the organisation of the link.

    Raises NotFoundError; LinkEndedError where the link has expired, or what it is about has changed.
    """
    return _read(drafting.find_sale(find_link(token)[1]), at=at)


def _read(sale: CoverSale, *, at: datetime) -> Acceptance:
    if sale.signed_at:
        return Acceptance(sale, None)
    if sale.token_expires_at is None or sale.token_expires_at <= at:
        raise LinkEndedError(EXPIRED)
    try:
        return Acceptance(sale, offers.check_ready(sale, at=at))
    except SaleStateError as error:
        raise LinkEndedError(CHANGED) from error


def accept(token: str, *, from_address: str, at: datetime) -> Acceptance:
    """The client accepts: the sale is concluded; a second time nothing happens.

    The caller works for the organisation of the link. Raises NotFoundError, LinkEndedError.
    """
    _, sale_id = find_link(token)
    with transaction():
        sale = drafting.lock_sale(sale_id)
        if sale.token_hash != CoverSale.hash_of(token):
            raise NotFoundError(UNKNOWN_LINK)
        read = _read(sale, at=at)
        if read.offer is not None:
            _conclude(sale, read.offer, SignatureWay.LINK, from_address=from_address[:45], by=_find_seller(sale), at=at)
    return Acceptance(drafting.find_sale(sale_id), None)


def _find_seller(sale: CoverSale) -> User:
    """Who sent the link, or began the sale: what the client concludes is told as sold by them."""
    user = db.session.scalar(select(User).where(User.id.in_([sale.sent_by_id, sale.owner_id])).limit(1))
    if user is None:
        raise LinkEndedError(CHANGED)
    return user


def _conclude(
    sale: CoverSale,
    offer: Offer,
    way: SignatureWay,
    *,
    document: Document | None = None,
    from_address: str | None = None,
    by: User,
    at: datetime,
) -> None:
    """Contract, pending subscription and cover, in the caller's transaction: a prospect is a client from now on, who is
    asked for a means, and sent the confirmation.
    """
    contract_id = _make_contract(sale, offer, by=by, at=at)
    cover = _sell(sale, offer, contract_id, by=by, at=at)
    if sale.asks_client:
        _ask_for_means(sale, offer, cover, by=by, at=at)
    changes: dict[str, list[str | None]] = {
        "sale": [None, sale.code],
        "cover": [None, cover.code],
        "signed_by": [None, way.label],
    }
    if sale.client.status is ClientStatus.PROSPECT:
        changes["status"] = [sale.client.status.value, ClientStatus.ACTIVE.value]
        sale.client.status, sale.client.changed_at = ClientStatus.ACTIVE, at
        sale.client.version += 1
    db.session.add(
        TimelineEvent(client_id=sale.client_id, kind=EventKind.SALE_SIGNED, at=at, user_id=by.id, changes=changes)
    )
    sale.contract_id, sale.cover_id = contract_id, cover.id
    sale.signed_document_id = document.id if document else None
    sale.effective_on, sale.signed_at, sale.signed_by = offer.effective_on, at, way
    sale.signed_from, sale.wording_version, sale.changed_at = from_address, WORDING.version, at
    db.session.flush()
    confirming.confirm(sale, offer, at=at)


def _sell(sale: CoverSale, offer: Offer, contract_id: UUID, *, by: User, at: datetime) -> Cover:
    home = drafting.home_of(sale)
    asked = CoverRequest(
        version_id=offer.version.id,
        option_codes=frozenset(sale.option_codes),
        home_id=sale.home_id,
        home=home if isinstance(home, HomeFields) else selling.NO_HOME,
        concluded_on=days.local(at),
        effective_on=offer.effective_on,
    )
    return selling.sell_cover(
        sale.client_id,
        asked,
        frequency=sale.frequency,
        payment=choosing.payment_of(sale),
        contract_id=contract_id,
        by=by,
        at=at,
    )


def _make_contract(sale: CoverSale, offer: Offer, *, by: User, at: datetime) -> UUID:
    sold = [(offer.version.plan.label, offer.plan_price), *((each.label, each.price) for each, _ in offer.options)]
    today = days.local(at)
    fields = ContractFields(
        reference=f"{offer.version.plan.code}-{sale.code}",
        status=ContractStatus.ACTIVE,
        company_id=offer.version.plan.company_id,
        commercial_id=_find_commercial(sale, by),
        contract_type=offer.version.nature.label,
        description=f"Souscription {sale.code}\u202f: {drafting.home_line(sale)}",
        amount=offer.price.monthly.before_tax * 12,
        signed_on=today,
        starts_on=offer.effective_on,
        payment_method=sale.payment_method,
        lines=tuple(ContractLineFields(label=label, unit_price=price) for label, price in sold),
    )
    return create_contract(sale.client_id, fields, by=by, at=at).id


def _find_commercial(sale: CoverSale, by: User) -> UUID | None:
    """The client's commercial; where that one has left, or there is none, who sells."""
    active = {commercial.id for commercial in list_commercials()}
    return sale.client.commercial_id if sale.client.commercial_id in active else find_own_commercial(by)


def _ask_for_means(sale: CoverSale, offer: Offer, cover: Cover, *, by: User, at: datetime) -> None:
    """The first cycle is paid in the same visit where the client wants the cover at once, and it costs something."""
    account = choosing.find_account(offer.version.plan.company_id)
    if account is None:
        return  # closed meanwhile: a person chooses how it is paid
    fields = RequestFields(
        account_id=account.id,
        subscription_id=cover.subscription_id,
        takes_payment=sale.starts_at_once and offer.price.each.with_tax > 0,
    )
    with suppress(AlreadyAskedError):  # the client is being asked already: that link serves
        means_requests.create_request(sale.client_id, fields, by=by, at=at)


def find_means_request(sale: CoverSale) -> MeansRequest | None:
    """What the client was asked for at the end of the sale, while it can be answered."""
    if sale.cover_id is None or not sale.asks_client:
        return None
    cover = loading.find_cover(sale.cover_id)
    statement = select(MeansRequest.id).where(
        MeansRequest.subscription_id == cover.subscription_id, MeansRequest.status.in_(OPEN)
    )
    request_id = db.session.scalar(statement.order_by(MeansRequest.id.desc()).limit(1))
    return means_requests.find_request(sale.client_id, request_id) if request_id else None
