"""What pages show of requests: those of a client, one of them, and what a new one may be for."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import undefer

from webapp import links
from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.charges import Charge
from webapp.models.identity import User
from webapp.models.means_requests import OPEN, MeansRequest
from webapp.models.organisations import Company
from webapp.models.providers import ProviderAccount, SavedPaymentMethod
from webapp.models.subscriptions import Subscription, SubscriptionStatus
from webapp.services.charges import on_page
from webapp.services.means_requests import commands

LATEST = 10


@dataclass(frozen=True)
class AskedFor:
    """A request, with the rows behind it."""

    request: MeansRequest
    company: str
    account: ProviderAccount
    by: User | None
    subscription: Subscription | None
    charge: Charge | None
    saved: SavedPaymentMethod | None


_ASKED = (
    select(MeansRequest, Company.name, ProviderAccount, User, Subscription, Charge, SavedPaymentMethod)
    .join(ProviderAccount, linked(ProviderAccount, MeansRequest.provider_account_id))
    .join(Company, linked(Company, ProviderAccount.company_id))
    .outerjoin(User, linked(User, MeansRequest.requested_by_id))
    .outerjoin(Subscription, linked(Subscription, MeansRequest.subscription_id))
    .outerjoin(Charge, linked(Charge, MeansRequest.charge_id))
    .outerjoin(SavedPaymentMethod, linked(SavedPaymentMethod, MeansRequest.saved_method_id))
)


def list_requests(client_id: UUID) -> list[AskedFor]:
    """The client's latest requests, the latest first, in one query."""
    statement = _ASKED.where(MeansRequest.client_id == client_id).order_by(MeansRequest.id.desc()).limit(LATEST)
    return [AskedFor(*row) for row in db.session.execute(statement)]


def describe(request: MeansRequest) -> AskedFor:
    """One request, with the rows behind it."""
    return AskedFor(*db.session.execute(_ASKED.where(MeansRequest.id == request.id)).one())


def list_saved(client_id: UUID) -> Sequence[SavedPaymentMethod]:
    """What providers keep for the client, the latest first."""
    statement = select(SavedPaymentMethod).where(SavedPaymentMethod.client_id == client_id)
    return db.session.scalars(statement.order_by(SavedPaymentMethod.created_at.desc(), SavedPaymentMethod.id)).all()


def load_payment_links(charge_ids: Collection[UUID], *, at: datetime) -> dict[UUID, str]:
    """Where clients may pay these charges now: the links of requests that are open and take the payment, by charge."""
    statement = select(MeansRequest).where(
        MeansRequest.charge_id.in_(charge_ids),
        MeansRequest.takes_payment,
        MeansRequest.status.in_(OPEN),
        MeansRequest.expires_at > at,
    )
    return {
        request.charge_id: links.giving_means(request.token_in_clear())
        for request in db.session.scalars(statement.order_by(MeansRequest.id).options(undefer(MeansRequest.token)))
        if request.charge_id is not None
    }


def find_payment_link(charge_id: UUID, *, at: datetime) -> str | None:
    """The link by which a client pays the charge now; None where nobody asked for that, or it is over."""
    return load_payment_links([charge_id], at=at).get(charge_id)


class PageAccount(NamedTuple):
    """An account whose provider shows clients a page, and whose it is."""

    account: ProviderAccount
    company: str


def list_accounts() -> list[PageAccount]:
    """Those of the organisation."""
    names = {row.id: row.name for row in db.session.execute(select(Company.id, Company.name))}
    return [PageAccount(account, names[account.company_id]) for account in commands.list_accounts()]


class ForWhat(NamedTuple):
    """A living subscription of the client; ``to_pay`` is what could be paid in the visit, with tax, or None."""

    id: UUID
    label: str
    company_id: UUID
    to_pay: Decimal | None
    currency: str


def list_subscriptions(client_id: UUID, *, at: datetime) -> list[ForWhat]:
    """What a means of payment may be asked for."""
    statement = (
        select(Subscription)
        .where(
            Subscription.client_id == client_id,
            Subscription.status.not_in((SubscriptionStatus.CANCELED, SubscriptionStatus.EXPIRED)),
        )
        .order_by(Subscription.number)
    )
    return [
        ForWhat(row.id, f"{row.code} · {row.status.label}", row.company_id, _to_pay(row, at=at), row.currency)
        for row in db.session.scalars(statement)
    ]


def _to_pay(subscription: Subscription, *, at: datetime) -> Decimal | None:
    charge = on_page.find_payable(subscription.id)
    return charge.owed if charge is not None else on_page.find_first_amount(subscription, at=at)


def account_for(subscription_id: str | None, subscriptions: list[ForWhat], accounts: list[PageAccount]) -> str:
    """The account of the company of a subscription, as the form writes it; the first where there is none."""
    company = next((row.company_id for row in subscriptions if str(row.id) == subscription_id), None)
    fitting = [entry.account for entry in accounts if company in (None, entry.account.company_id)]
    return str(fitting[0].id) if fitting else ""
