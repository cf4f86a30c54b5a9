"""Cards that are about to expire, told to the clients who pay by them."""

from calendar import monthrange
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import Row, Select, exists, select

from webapp import clock, tenancy
from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.messages import MessageKind
from webapp.models.providers import ProviderAccount, SavedPaymentMethod
from webapp.models.subscriptions import Subscription, SubscriptionStatus
from webapp.services.messages import writing
from webapp.services.messages.writing import Draft

BATCH = 500
ENDED = (SubscriptionStatus.CANCELED, SubscriptionStatus.EXPIRED)


def tell_expiring(*, at: datetime) -> int:
    """Tell every client whose card expires this month or next, and pays a living subscription, once for each expiry.

    Returns how many messages.
    """
    today = at.astimezone(clock.PARIS).date()
    expiring = SavedPaymentMethod.expires_on.between(today, _end_of_next_month(today))
    with tenancy.across_organisations():
        statement = select(SavedPaymentMethod.organisation_id).where(expiring, SavedPaymentMethod.revoked_at.is_(None))
        organisations = db.session.scalars(statement.distinct()).all()
    told = 0
    for organisation_id in organisations:
        with tenancy.organisation(organisation_id):
            told += _tell_organisation(_cards().where(expiring), at=at)
    return told


def _end_of_next_month(today: date) -> date:
    following = today.replace(day=monthrange(today.year, today.month)[1]) + timedelta(days=1)
    return following.replace(day=monthrange(following.year, following.month)[1])


def _cards() -> Select[UUID, UUID, UUID, date | None, str | None]:
    pays = exists().where(linked(SavedPaymentMethod, Subscription.saved_method_id), Subscription.status.not_in(ENDED))
    return (
        select(
            SavedPaymentMethod.id,
            SavedPaymentMethod.client_id,
            ProviderAccount.company_id,
            SavedPaymentMethod.expires_on,
            SavedPaymentMethod.last4,
        )
        .join(ProviderAccount, linked(ProviderAccount, SavedPaymentMethod.provider_account_id))
        .where(SavedPaymentMethod.revoked_at.is_(None), pays)
        .order_by(SavedPaymentMethod.id)
        .limit(BATCH)
    )


def _tell_organisation(cards: Select[UUID, UUID, UUID, date | None, str | None], *, at: datetime) -> int:
    told, after = 0, UUID(int=0)
    while rows := db.session.execute(cards.where(SavedPaymentMethod.id > after)).all():
        told += writing.write_many(_drafts(rows), at=at)
        after = rows[-1].id
    return told


def _drafts(rows: Sequence[Row[UUID, UUID, UUID, date | None, str | None]]) -> list[Draft]:
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
