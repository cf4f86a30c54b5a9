"""How a subscription opens: days or cycles free of charge, a set-up fee. It can change while nothing was charged."""

from datetime import datetime, timedelta
from uuid import UUID

from webapp.errors import DomainError, InvalidInputError
from webapp.french import counted
from webapp.models.identity import User
from webapp.models.subscriptions import Subscription
from webapp.services.subscriptions import history, scheduling
from webapp.services.subscriptions.editing import editing
from webapp.services.subscriptions.fields import Opening, check_opening
from webapp.services.subscriptions.planning import restate, was_charged


class AlreadyChargedError(DomainError):
    """It has begun: how it opened is past."""


def set_opening(subscription: Subscription, opening: Opening) -> None:
    """Put a checked opening on a subscription that was never charged; its days of trial move the first due date."""
    subscription.anchor_date += timedelta(days=opening.trial_days - (subscription.trial_days or 0))
    subscription.trial_days, subscription.trial_cycles_left = opening.trial_days, opening.trial_cycles
    subscription.setup_fee, subscription.setup_vat_rate = opening.setup_fee, opening.setup_vat_rate


def change_opening(
    subscription_id: UUID, written: Opening, *, version: int, by: User | None, at: datetime
) -> Subscription:
    """Let a subscription that was never charged open otherwise.

    Raises NotFoundError, EditConflictError, EndedError, AlreadyChargedError; InvalidInputError, naming the field.
    """
    opening = check_opening(written)
    with editing(subscription_id, version) as subscription:
        if was_charged(subscription_id):
            raise AlreadyChargedError("Une échéance a déjà été prélevée\u202f: essai et frais ne changent plus.")
        before, old_fee, old_trial = subscription.revenue_per_year, subscription.setup_fee, trial_words(subscription)
        set_opening(subscription, opening)
        today = scheduling.local_date(at, subscription.timezone)
        if subscription.anchor_date < today:
            raise InvalidInputError("La première échéance serait dans le passé.", field="trial")
        scheduling.schedule(subscription, subscription.cycle_no)
        restate(subscription)
        changes = {
            "trial": [old_trial, trial_words(subscription)],
            "setup_fee": [str(old_fee) if old_fee else None, str(opening.setup_fee) if opening.setup_fee else None],
        }
        moved = {name: pair for name, pair in changes.items() if pair[0] != pair[1]}
        history.record_change(subscription, changes=moved, before=before, by=by, at=at)
    return subscription


def trial_words(subscription: Subscription) -> str | None:
    """Its trial in words; None without one."""
    if subscription.trial_days:
        return counted(subscription.trial_days, "jour")
    return counted(subscription.trial_cycles_left, "échéance") if subscription.trial_cycles_left else None
