"""Where a subscription is delivered: the form of an address of its own and of the message that goes along."""

from dataclasses import asdict
from uuid import UUID

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import DomainError, InvalidInputError
from webapp.models.subscriptions import Subscription
from webapp.security import current_user
from webapp.services.concurrent_edits import EditConflictError
from webapp.services.subscriptions import delivery, history, lifecycle
from webapp.services.subscriptions.delivery import DeliveryFields
from webapp.views.clients.form import COUNTRIES
from webapp.views.formats import phone
from webapp.views.subscriptions.answers import done, seen_version

bp = Blueprint("subscription_delivery", __name__, url_prefix="/abonnements/<uuid:subscription_id>/livraison")

MEANWHILE_SHOWN = 20


@bp.get("")
def show(subscription_id: UUID) -> ResponseReturnValue:
    """The form."""
    return _page(lifecycle.find_subscription(subscription_id))


@bp.post("")
def change(subscription_id: UUID) -> ResponseReturnValue:
    """Keep what was written."""
    written = DeliveryFields(**{name: request.form.get(name) for name in DeliveryFields.__dataclass_fields__})
    try:
        delivery.change_delivery(subscription_id, written, version=seen_version(), by=current_user(), at=clock.now())
    except (InvalidInputError, EditConflictError) as error:
        return _page(lifecycle.find_subscription(subscription_id), problem=error), error.status
    return done(subscription_id, "Livraison enregistrée.")


@bp.post("/supprimer")
def remove(subscription_id: UUID) -> ResponseReturnValue:
    """Deliver to the client again."""
    try:
        delivery.remove_address(subscription_id, version=seen_version(), by=current_user(), at=clock.now())
    except EditConflictError as error:
        return _page(lifecycle.find_subscription(subscription_id), problem=error), error.status
    return done(subscription_id, "L’abonnement est de nouveau livré chez le client.")


def _page(subscription: Subscription, problem: DomainError | None = None) -> str:
    fields = delivery.find_fields(subscription)
    shown = asdict(fields) | {
        "delivery_country": fields.delivery_country or "FR",
        "delivery_phone": phone(fields.delivery_phone) if fields.delivery_phone else None,
    }
    is_stale = isinstance(problem, EditConflictError)
    missed = max(subscription.version - seen_version(), 1)
    return render_template(
        "subscriptions/delivery.html",
        subscription=subscription,
        has_address=fields.delivery_line1 is not None,
        written=shown | request.form.to_dict(),
        lengths=delivery.LENGTHS,
        message_length=delivery.MESSAGE_LENGTH,
        countries=list(COUNTRIES.items()),
        problem=problem,
        meanwhile=history.list_history(subscription.id, limit=min(missed, MEANWHILE_SHOWN)) if is_stale else [],
    )
