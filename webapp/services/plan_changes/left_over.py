"""What a change of lines left to a next cycle that does not come: a person asks for it, or leaves it."""

from decimal import Decimal
from uuid import UUID

from sqlalchemy import select

from webapp import french
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.outbox import OutboxEvent
from webapp.models.subscriptions import SubscriptionHistory
from webapp.models.tasks import Task
from webapp.services.clients import tasks
from webapp.services.clients.tasks import NewTask
from webapp.services.plan_changes import changing
from webapp.services.subscriptions import lifecycle, scheduling
from webapp.transactions import transaction

TITLE = "Complément de {amount} TTC jamais demandé\u202f: l’abonnement {code} a pris fin"


def tell_ended(event: OutboxEvent) -> None:
    """Listens to the outbox: a subscription ended. What it still owes is a task of the client's commercial, once.

    Not after a renunciation, which gives back what was paid, nor of an erased client.
    """
    with transaction():
        subscription = lifecycle.find_for_update(event.subject_id)
        totals = [changing.left_of(each).with_tax for each in changing.list_open(subscription.id)]
        left = sum((total for total in totals if total > 0), Decimal(0))
        if not left or not subscription.status.is_final or _was_told(subscription.id) or _is_renounced(event):
            return
        if db.session.scalar(select(Client.erased_at).where(Client.id == subscription.client_id)) is None:
            title = TITLE.format(amount=french.money(left, subscription.currency), code=subscription.code)
            due_on = scheduling.local_date(event.occurred_at, subscription.timezone)
            task = NewTask(subscription.client_id, title, due_on, key=changing.task_key(subscription.id))
            tasks.add_and_tell([task], at=event.occurred_at)


def _was_told(subscription_id: UUID) -> bool:
    return db.session.scalar(select(Task.id).where(Task.key == changing.task_key(subscription_id)).limit(1)) is not None


def _is_renounced(event: OutboxEvent) -> bool:
    change = select(SubscriptionHistory.id).where(
        SubscriptionHistory.subscription_id == event.subject_id,
        SubscriptionHistory.reason == lifecycle.RENOUNCED,
        SubscriptionHistory.at == event.occurred_at,
    )
    return db.session.scalar(change.limit(1)) is not None
