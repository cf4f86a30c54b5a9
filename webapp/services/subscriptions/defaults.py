"""A client's default means of payment, company by company: what its subscriptions follow unless they name their own.

Each subscription keeps what it is paid by; a change of the default is written into those that follow it at once.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Select, delete, select
from sqlalchemy.dialects.postgresql import insert

from webapp.errors import InvalidInputError
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.identity import User
from webapp.models.organisations import Company
from webapp.models.providers import DefaultMeans, ProviderAccount
from webapp.models.subscriptions import TRANSITIONS, Subscription, SubscriptionStatus
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.clients.locking import lock_client
from webapp.services.organisations import find_company, list_companies
from webapp.services.subscriptions import history, means, offering
from webapp.services.subscriptions.editing import set_means
from webapp.services.subscriptions.means import Means, PaymentFields
from webapp.services.subscriptions.offering import PaymentOffer
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction

LIVING = [status for status in SubscriptionStatus if TRANSITIONS[status]]


class CompanyDefault(NamedTuple):
    """What the client's subscriptions with a company follow; ``obstacle`` is why nothing can be collected by it."""

    company: Company
    means: Means
    obstacle: str | None


def list_defaults(client_id: UUID, *, on: date) -> list[CompanyDefault]:
    """The default of each company to which the client has given something to pay by, as it stands on that day."""
    offer = offering.list_means(client_id, on=on)
    defaults = db.session.scalars(select(DefaultMeans).where(DefaultMeans.client_id == client_id)).all()
    chosen = {default.company_id for default in defaults}
    listed = []
    for company in list_companies() if chosen or offer.saved or offer.mandates else ():
        if company.id in chosen or _has_some(_of_company(offer, company.id)):
            paid_by = find_default_means(client_id, company.id)
            listed.append(CompanyDefault(company, paid_by, paid_by.obstacle(on) if paid_by.method else None))
    return listed


def find_default_means(client_id: UUID, company_id: UUID) -> Means:
    """The default of the client with the company; empty where there is none."""
    default = means.find_default(client_id, company_id)
    return means.find_means(default, client_id=client_id, company_id=company_id)


def list_choices(client_id: UUID, company_id: UUID, *, on: date) -> PaymentOffer:
    """What may be the client's default with the company on that day."""
    return _of_company(offering.list_means(client_id, on=on), company_id)


def _has_some(offer: PaymentOffer) -> bool:
    return bool(offer.saved or offer.mandates)


def _of_company(offer: PaymentOffer, company_id: UUID) -> PaymentOffer:
    accounts = select(ProviderAccount.id).where(ProviderAccount.company_id == company_id)
    own = set(db.session.scalars(accounts)) if offer.saved else set()
    return PaymentOffer(
        [saved for saved in offer.saved if saved.provider_account_id in own],
        [mandate for mandate in offer.mandates if mandate.company_id in (None, company_id)],
    )


def list_followers(client_id: UUID, company_id: UUID) -> Sequence[Subscription]:
    """The living subscriptions of the client with the company that follow the default, in the order of their number."""
    return db.session.scalars(_followers(client_id, company_id).order_by(Subscription.number)).all()


def set_default(
    client_id: UUID, company_id: UUID, fields: PaymentFields, *, by: User | None, at: datetime
) -> Sequence[Subscription]:
    """Make it the default, or with empty ``fields`` take the default away; the subscriptions that follow it.

    Doing so twice changes nothing. Raises NotFoundError; InvalidInputError for what is not a card or mandate of this
    client with this company.
    """
    with transaction():
        lock_client(client_id)
        company = find_company(company_id)
        before = find_default_means(client_id, company_id)
        paid_by = means.find_means(fields, client_id=client_id, company_id=company_id)
        if paid_by.method and not (paid_by.saved or paid_by.mandate):
            raise InvalidInputError("Choisissez un mandat ou un moyen de paiement enregistré.", field="payment_method")
        locked = _followers(client_id, company_id).order_by(Subscription.id).with_for_update()
        followers = db.session.scalars(locked.execution_options(populate_existing=True)).all()
        if (before.saved, before.mandate) == (paid_by.saved, paid_by.mandate):
            return followers
        _store(client_id, company_id, paid_by, at=at)
        words = [describe(before), describe(paid_by)]
        for subscription in followers:
            set_means(subscription, replace(paid_by, is_inherited=True))
            history.record_change(subscription, changes={"payment_method": words}, by=by, at=at)
        changes = {"company": [None, company.name], "payment_method": words}
        event = TimelineEvent(
            client_id=client_id,
            kind=EventKind.DEFAULT_MEANS_CHANGED,
            at=at,
            user_id=by.id if by else None,
            changes=changes,
        )
        db.session.add(event)
    return followers


def _followers(client_id: UUID, company_id: UUID) -> Select[Subscription]:
    return select(Subscription).where(
        Subscription.client_id == client_id,
        Subscription.company_id == company_id,
        Subscription.means_inherited,
        Subscription.status.in_(LIVING),
    )


def _store(client_id: UUID, company_id: UUID, paid_by: Means, *, at: datetime) -> None:
    if paid_by.method is None:
        is_one = (DefaultMeans.client_id == client_id, DefaultMeans.company_id == company_id)
        db.session.execute(delete(DefaultMeans).where(*is_one))
        return
    chosen = {
        "payment_method": paid_by.method,
        "saved_method_id": paid_by.saved.id if paid_by.saved else None,
        "mandate_id": paid_by.mandate.id if paid_by.mandate else None,
    }
    row = {"organisation_id": current_organisation_id(), "id": new_id(), "created_at": at}
    row |= {"client_id": client_id, "company_id": company_id}
    keys = [DefaultMeans.organisation_id, DefaultMeans.client_id, DefaultMeans.company_id]
    statement = insert(DefaultMeans).values(row | chosen)
    db.session.execute(statement.on_conflict_do_update(index_elements=keys, set_=chosen))


def describe(paid_by: Means) -> str | None:
    """Means in words, without an IBAN or a number of a card."""
    if paid_by.method is None:
        return None
    if paid_by.saved is not None:
        return f"{paid_by.method.label}\u202f: {paid_by.saved.label or 'enregistré'}"
    if paid_by.mandate is not None:
        return f"{paid_by.method.label}\u202f: mandat {paid_by.mandate.umr or 'déclaré'}"
    return paid_by.method.label
