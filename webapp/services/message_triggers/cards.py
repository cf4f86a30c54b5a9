"""Cards that are about to expire, told to the clients who pay by them, with a link to give the next one."""

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from uuid import UUID

from sqlalchemy import Row, Select, exists, select

from webapp import clock, links
from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.messages import MessageKind
from webapp.models.providers import ProviderAccount, SavedPaymentMethod
from webapp.models.subscriptions import Subscription, SubscriptionStatus
from webapp.services import each_organisation
from webapp.services.means_requests import asking
from webapp.services.means_requests.asking import Wish
from webapp.services.messages import writing
from webapp.services.messages.writing import Draft
from webapp.transactions import transaction

BATCH = 500
_Card = Row[UUID, UUID, UUID, UUID, date | None, str | None]
ENDED = (SubscriptionStatus.CANCELED, SubscriptionStatus.EXPIRED)


def tell_expiring(*, at: datetime) -> int:
    """Tell every client whose card expires this month or next, and pays a living subscription, once for each expiry.

    Returns how many messages.
    """
    today = at.astimezone(clock.PARIS).date()
    expiring = SavedPaymentMethod.expires_on.between(today, _end_of_next_month(today))
    found = select(SavedPaymentMethod.organisation_id).where(expiring, SavedPaymentMethod.revoked_at.is_(None))
    return each_organisation.work(lambda: _tell_organisation(_cards().where(expiring), at=at), found)


def _end_of_next_month(today: date) -> date:
    following = today.replace(day=monthrange(today.year, today.month)[1]) + timedelta(days=1)
    return following.replace(day=monthrange(following.year, following.month)[1])


def _cards() -> Select[UUID, UUID, UUID, UUID, date | None, str | None]:
    pays = exists().where(linked(SavedPaymentMethod, Subscription.saved_method_id), Subscription.status.not_in(ENDED))
    return (
        select(
            SavedPaymentMethod.id,
            SavedPaymentMethod.client_id,
            SavedPaymentMethod.provider_account_id,
            ProviderAccount.company_id,
            SavedPaymentMethod.expires_on,
            SavedPaymentMethod.last4,
        )
        .join(ProviderAccount, linked(ProviderAccount, SavedPaymentMethod.provider_account_id))
        .where(SavedPaymentMethod.revoked_at.is_(None), pays)
        .order_by(SavedPaymentMethod.id)
        .limit(BATCH)
    )


def _tell_organisation(cards: Select[UUID, UUID, UUID, UUID, date | None, str | None], *, at: datetime) -> int:
    told, after = 0, UUID(int=0)
    while rows := db.session.execute(cards.where(SavedPaymentMethod.id > after)).all():
        with transaction():
            told += writing.write_many(_with_links(rows, at=at), at=at)
        after = rows[-1].id
    return told


def _with_links(rows: Sequence[_Card], *, at: datetime) -> list[Draft]:
    """What is not written yet, each with the link of a request: nobody is asked without being told."""
    cards = {row.id: row for row in rows}
    drafts = writing.leave_out(_drafts(rows))
    wishes = [_wish(cards[draft.subject_id]) for draft in drafts]
    return [
        replace(
            draft,
            variables={**draft.variables, "lien_paiement": links.giving_means(request.token_in_clear())},
            expires_at=request.expires_at,
        )
        if request
        else draft
        for draft, request in zip(drafts, asking.ask(wishes, at=at), strict=True)
    ]


def _wish(card: _Card) -> Wish:
    """Another card at the same provider, before the old one's last day is over."""
    last = card.expires_on
    until = datetime.combine(last + timedelta(days=1), time(), clock.PARIS) if last else None
    return Wish(client_id=card.client_id, account_id=card.provider_account_id, replaces_id=card.id, until=until)


def _drafts(rows: Sequence[_Card]) -> list[Draft]:
    return [
        Draft(
            kind=MessageKind.CARD_EXPIRES,
            company_id=row.company_id,
            client_id=row.client_id,
            subject_id=row.id,
            occasion=str(row.expires_on),
            variables={"carte_fin": f"…{row.last4 or ''}", "expire_le": row.expires_on, "lien_paiement": None},
        )
        for row in rows
    ]
