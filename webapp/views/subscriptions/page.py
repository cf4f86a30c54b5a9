"""A subscription's page, and what a person may do there: only what its state allows."""

from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import InvalidInputError
from webapp.french import money
from webapp.models.subscriptions import Subscription, SubscriptionStatus
from webapp.security import current_user
from webapp.services.covers import loading as covers
from webapp.services.pages.subscription_page import SubscriptionProfile, find_profile
from webapp.services.subscriptions import lifecycle, scheduling, skipping
from webapp.views.formats import field_value
from webapp.views.layout import toast
from webapp.views.lists import read
from webapp.views.subscriptions.form import asked_day

bp = Blueprint("subscription", __name__, url_prefix="/abonnements")

AT_PERIOD_END = "echeance"
NO_CYCLE = "-1"


class SubscriptionAction(StrEnum):
    """What a person may do with a subscription, as the address says it."""

    ACTIVATE = "activer"
    PAUSE = "suspendre"
    RESUME = "reprendre"
    SKIP = "sauter"
    CHARGE = "retablir"
    CANCEL = "resilier"
    KEEP = "maintenir"

    @property
    def label(self) -> str:
        """The words on the button."""
        return {
            "activer": "Activer",
            "suspendre": "Suspendre",
            "reprendre": "Reprendre",
            "resilier": "Résilier",
            "maintenir": "Annuler la résiliation",
            "sauter": "Sauter la prochaine échéance",
            "retablir": "Rétablir la prochaine échéance",
        }[self.value]

    @property
    def done(self) -> str:
        """The sentence of the toast."""
        return {
            "activer": "Abonnement activé.",
            "suspendre": "Abonnement suspendu.",
            "reprendre": "Abonnement repris.",
            "resilier": "Résiliation enregistrée.",
            "maintenir": "La résiliation prévue est annulée.",
            "sauter": "La prochaine échéance est sautée\u202f: rien ne sera prélevé ni expédié.",
            "retablir": "La prochaine échéance est rétablie.",
        }[self.value]


def actions_of(subscription: Subscription) -> list[SubscriptionAction]:
    """What the state allows, in the order of the buttons; nothing where a shop holds it."""
    if subscription.is_of_shop:
        return []
    status = subscription.status
    is_to_come = status is SubscriptionStatus.ACTIVE and subscription.next_charge_on is not None
    skips = subscription.skips_next
    allowed = {
        SubscriptionAction.ACTIVATE: status is SubscriptionStatus.PENDING,
        SubscriptionAction.PAUSE: status is SubscriptionStatus.ACTIVE,
        SubscriptionAction.RESUME: status is SubscriptionStatus.PAUSED,
        SubscriptionAction.CANCEL: subscription.can_become(SubscriptionStatus.CANCELED),
        SubscriptionAction.KEEP: subscription.cancel_at_period_end,
        SubscriptionAction.SKIP: is_to_come and not skips,
        SubscriptionAction.CHARGE: is_to_come and skips and not scheduling.is_due(subscription, at=clock.now()),
    }
    return [action for action in SubscriptionAction if allowed[action]]


@bp.get("/<uuid:subscription_id>")
def show(subscription_id: UUID) -> ResponseReturnValue:
    """The page; with ``?action=…`` that action's form is open on it."""
    return _page(subscription_id, asked=read(SubscriptionAction, request.args.get("action")))


@bp.post("/<uuid:subscription_id>/<any(activer, suspendre, reprendre, resilier, maintenir, sauter, retablir):word>")
def act(subscription_id: UUID, word: str) -> ResponseReturnValue:
    """Do one of the actions; where what was written is refused, its form again with the reason."""
    action = SubscriptionAction(word)
    try:
        _DO[action](subscription_id, _read_form())
    except InvalidInputError as error:
        return _page(subscription_id, asked=action, problem=error), error.status
    toast("success", action.done)
    return redirect(url_for("subscription.show", subscription_id=subscription_id), 303)


def _read_form() -> dict[str, Any]:
    return {
        "reason": request.form.get("motif", ""),
        "resume_on": asked_day("reprise", field="resume_on"),
        "at_period_end": request.form.get("quand") == AT_PERIOD_END,
        "cycle": read(int, request.form.get("echeance") or NO_CYCLE),
    }


def _activate(subscription_id: UUID, _form: dict[str, Any]) -> None:
    lifecycle.activate(subscription_id, by=current_user(), at=clock.now())


def _pause(subscription_id: UUID, form: dict[str, Any]) -> None:
    lifecycle.pause(
        subscription_id, reason=form["reason"], resume_on=form["resume_on"], by=current_user(), at=clock.now()
    )


def _resume(subscription_id: UUID, _form: dict[str, Any]) -> None:
    lifecycle.resume(subscription_id, by=current_user(), at=clock.now())


def _cancel(subscription_id: UUID, form: dict[str, Any]) -> None:
    lifecycle.cancel(
        subscription_id, reason=form["reason"], at_period_end=form["at_period_end"], by=current_user(), at=clock.now()
    )


def _keep(subscription_id: UUID, _form: dict[str, Any]) -> None:
    lifecycle.withdraw_cancellation(subscription_id, by=current_user(), at=clock.now())


def _skip(subscription_id: UUID, form: dict[str, Any]) -> None:
    skipping.skip_cycle(subscription_id, form["cycle"], by=current_user(), at=clock.now())


def _charge_after_all(subscription_id: UUID, form: dict[str, Any]) -> None:
    skipping.charge_after_all(subscription_id, form["cycle"], by=current_user(), at=clock.now())


_DO: dict[SubscriptionAction, Callable[[UUID, dict[str, Any]], None]] = {
    SubscriptionAction.ACTIVATE: _activate,
    SubscriptionAction.PAUSE: _pause,
    SubscriptionAction.RESUME: _resume,
    SubscriptionAction.CANCEL: _cancel,
    SubscriptionAction.KEEP: _keep,
    SubscriptionAction.SKIP: _skip,
    SubscriptionAction.CHARGE: _charge_after_all,
}


@bp.app_template_filter("changed_value")
def changed_value(value: object, field: str, currency: str) -> str:
    """One side of a change in the history."""
    if field in ("recurring_amount", "planned_amount", "setup_fee", "prorated"):
        return money(Decimal(str(value)), currency)
    return field_value(value, field)


def _may_be_deleted(profile: SubscriptionProfile) -> bool:
    subscription = profile.subscription
    return subscription.status is SubscriptionStatus.PENDING and not profile.charges and not subscription.is_of_shop


def _page(
    subscription_id: UUID, *, asked: SubscriptionAction | None = None, problem: InvalidInputError | None = None
) -> str:
    profile = find_profile(subscription_id, at=clock.now())
    actions = actions_of(profile.subscription)
    return render_template(
        "subscriptions/show.html",
        profile=profile,
        subscription=profile.subscription,
        actions=actions,
        asked=asked if asked in actions else None,
        problem=problem,
        written=request.form,
        may_charge=current_user().handles_charges,
        may_be_deleted=_may_be_deleted(profile),
        cover=covers.find_bare(subscription_id),
    )
