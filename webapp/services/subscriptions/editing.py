"""Changing a living subscription: its means of payment, its last day. What is charged already stays."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import select

from webapp.errors import DomainError, InvalidInputError
from webapp.extensions import db
from webapp.models.identity import User
from webapp.models.providers import ProviderAccount, SavedPaymentMethod
from webapp.models.subscriptions import Subscription
from webapp.services.concurrent_edits import EditConflictError
from webapp.services.subscriptions import history, means, scheduling
from webapp.services.subscriptions.lifecycle import find_for_update, find_subscription, refuse_of_shop
from webapp.transactions import transaction


class EndedError(DomainError):
    """The subscription has ended: nothing about it changes any more."""


def change_payment(
    subscription_id: UUID, payment: means.PaymentFields, *, version: int, by: User | None, at: datetime
) -> Subscription:
    """Have it paid by other means from now on.

    Raises NotFoundError, EditConflictError, EndedError; InvalidInputError, naming the field.
    """
    with editing(subscription_id, version, with_means=True) as subscription:
        paid_by = means.find_means(payment, client_id=subscription.client_id, company_id=subscription.company_id)
        old = subscription.payment_method
        set_means(subscription, paid_by)
        changes = {"payment_method": [old.label if old else None, paid_by.method.label if paid_by.method else None]}
        history.record_change(subscription, changes=changes, by=by, at=at)
    return subscription


def pay_by_saved(subscription: Subscription, saved: SavedPaymentMethod, *, by: User | None, at: datetime) -> None:
    """Have it paid from now on by what a provider keeps. The caller has it locked; doing so twice changes nothing."""
    if subscription.saved_method_id == saved.id:
        return
    account = db.session.scalars(select(ProviderAccount).where(ProviderAccount.id == saved.provider_account_id)).one()
    old = subscription.payment_method
    set_means(subscription, means.Means(method=saved.method, saved=saved, account=account))
    changes = {"payment_method": [old.label if old else None, saved.label or saved.method.label]}
    history.record_change(subscription, changes=changes, by=by, at=at)


def change_end(
    subscription_id: UUID, ends_on: date | None, *, version: int, by: User | None, at: datetime
) -> Subscription:
    """Let its life end after ``ends_on``, or go on without an end.

    Raises NotFoundError, EditConflictError, EndedError; InvalidInputError for a day that has passed.
    """
    with editing(subscription_id, version) as subscription:
        if ends_on is not None and ends_on < scheduling.local_date(at, subscription.timezone):
            raise InvalidInputError("Le dernier jour ne peut pas être dans le passé.", field="ends_on")
        old, subscription.ends_on = subscription.ends_on, ends_on
        scheduling.schedule(subscription, subscription.cycle_no)
        changes = {"ends_on": [old.isoformat() if old else None, ends_on.isoformat() if ends_on else None]}
        history.record_change(subscription, changes=changes, by=by, at=at)
    return subscription


def set_means(subscription: Subscription, paid_by: means.Means) -> None:
    """Put the means of payment on the subscription."""
    subscription.payment_method = paid_by.method
    subscription.provider_account_id = paid_by.account.id if paid_by.account else None
    subscription.saved_method_id = paid_by.saved.id if paid_by.saved else None
    subscription.mandate_id = paid_by.mandate.id if paid_by.mandate else None
    subscription.means_inherited = paid_by.is_inherited


@contextmanager
def editing(
    subscription_id: UUID, version: int, *, with_means: bool = False, of_shop_too: bool = False
) -> Iterator[Subscription]:
    """The subscription, locked, as its editor saw it.

    Raises NotFoundError, EditConflictError, EndedError; HeldByShopError unless ``of_shop_too``.

    ``with_means`` where its means of payment may come to follow the client's: who changes those locks the client first.
    """
    with transaction():
        if with_means:
            means.hold_default(find_subscription(subscription_id).client_id)
        subscription = find_for_update(subscription_id)
        if not of_shop_too:
            refuse_of_shop(subscription)
        if subscription.version != version:
            raise EditConflictError("Cet abonnement a été modifié entre-temps\u202f: comparez, puis enregistrez.")
        if subscription.status.is_final:
            raise EndedError(f"Un abonnement {subscription.status.label.lower()} ne se modifie plus.")
        yield subscription
