"""Sales that are signed, whose client gave no means of payment: a task for the commercial, until the means has come."""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, String, cast, func, literal, or_, select

from webapp import french, tenancy
from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.clients import Client
from webapp.models.covers import Cover
from webapp.models.sales import CoverSale
from webapp.models.subscriptions import Subscription, SubscriptionStatus
from webapp.models.tasks import Task
from webapp.services import each_organisation
from webapp.services.clients import tasks
from webapp.services.clients.tasks import NewTask
from webapp.services.dunning import days
from webapp.services.subscriptions.means import DEBITED
from webapp.transactions import transaction

PATIENCE = timedelta(days=3)
"""How long the client has to answer by themselves."""
AT_ONCE = 500
KEY = "means:"
TITLE = "Souscription {code} signée le {day}\u202f: le client n’a donné aucun moyen de paiement"


def look(*, at: datetime) -> int:
    """In every organisation: make a task for each sale whose means is missing, once, and tick off those whose means has
    come; returns how many tasks were made.
    """

    def look_here() -> int:
        _settle_come(at=at)
        return each_organisation.until_none(lambda: _raise_some(at=at))

    signed = select(CoverSale.organisation_id).where(CoverSale.cover_id.is_not(None))
    return each_organisation.work(look_here, signed)


def _lacking() -> list[ColumnElement[bool]]:
    """Of a subscription: it waits for its first payment, and nobody has said what by."""
    has_none = Subscription.saved_method_id.is_(None) & Subscription.mandate_id.is_(None)
    is_debited = Subscription.payment_method.in_(DEBITED)
    return [
        Subscription.status == SubscriptionStatus.PENDING,
        or_(Subscription.payment_method.is_(None), is_debited & has_none),
    ]


def _raise_some(*, at: datetime) -> int:
    """Whoever looks at the same time waits for the lock, and then sees these tasks."""
    key = literal(KEY) + cast(Subscription.id, String)
    made_before = select(Task.id).where(Task.organisation_id == tenancy.current_organisation_id(), Task.key == key)
    with transaction():
        name = f"missing means|{tenancy.current_organisation_id()}"
        db.session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))
        lacking = (
            select(CoverSale.client_id, CoverSale.number, CoverSale.signed_at, Subscription.id)
            .join(Cover, linked(Cover, CoverSale.cover_id))
            .join(Subscription, linked(Subscription, Cover.subscription_id))
            .join(Client, linked(Client, CoverSale.client_id))
            .where(*_lacking(), CoverSale.signed_at <= at - PATIENCE, ~made_before.exists())
            .where(Client.archived_at.is_(None), Client.erased_at.is_(None))
            .order_by(CoverSale.id)
            .limit(AT_ONCE)
        )
        wanted = [
            NewTask(
                row.client_id,
                TITLE.format(code=f"{CoverSale.LETTER}-{row.number}", day=french.day(days.local(row.signed_at))),
                days.local(at),
                key=f"{KEY}{row.id}",
            )
            for row in db.session.execute(lacking)
        ]
        tasks.add_and_tell(wanted, at=at)
    return len(wanted)


def _settle_come(*, at: datetime) -> None:
    """Tick off the tasks of subscriptions that lack nothing any more, or are no more."""
    still_open = select(Task.key).where(Task.key.startswith(KEY), Task.done_at.is_(None)).distinct()
    keys = [key for key in db.session.scalars(still_open) if key]
    for start in range(0, len(keys), AT_ONCE):
        some = keys[start : start + AT_ONCE]
        come = set(some) - _list_lacking(some)
        if come:
            tasks.settle(come, at=at)


def _list_lacking(keys: Collection[str]) -> set[str]:
    ids = [UUID(key.removeprefix(KEY)) for key in keys]
    lacking = select(Subscription.id).where(Subscription.id.in_(ids), *_lacking())
    return {f"{KEY}{each}" for each in db.session.scalars(lacking)}
