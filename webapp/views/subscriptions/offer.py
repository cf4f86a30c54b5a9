"""A subscription's coupon; how it opens, and its deletion, while nothing was charged."""

from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import DomainError, InvalidInputError
from webapp.french import field_number, read_number
from webapp.models.subscriptions import Subscription
from webapp.security import current_user
from webapp.services.concurrent_edits import EditConflictError
from webapp.services.subscriptions import coupons, deletion, history, lifecycle, opening, planning
from webapp.services.subscriptions.fields import Opening
from webapp.services.subscriptions.terms import find_terms
from webapp.views.layout import toast
from webapp.views.subscriptions.answers import done, seen_version
from webapp.views.subscriptions.coupons import read_count
from webapp.views.subscriptions.form import VAT_CHOICES

bp = Blueprint("subscription_offer", __name__, url_prefix="/abonnements/<uuid:subscription_id>")

NO_TRIAL, TRIAL_DAYS, TRIAL_CYCLES = "", "jours", "echeances"
TRIALS = [(NO_TRIAL, "Aucun"), (TRIAL_DAYS, "Jours gratuits"), (TRIAL_CYCLES, "Échéances gratuites")]
MEANWHILE_SHOWN = 20


@bp.get("/offre")
def show(subscription_id: UUID) -> ResponseReturnValue:
    """The forms of the coupon and of how it opens."""
    return _page(lifecycle.find_ours(subscription_id))


@bp.post("/coupon")
def apply_coupon(subscription_id: UUID) -> ResponseReturnValue:
    """Give it a coupon from its next cycle on."""
    code = request.form.get("coupon", "")
    try:
        coupons.apply_coupon(subscription_id, code, version=seen_version(), by=current_user(), at=clock.now())
    except (InvalidInputError, EditConflictError) as error:
        return _page(lifecycle.find_ours(subscription_id), error), error.status
    return done(subscription_id, "Coupon appliqué\u202f: il vaut dès la prochaine échéance.")


@bp.post("/coupon/retirer")
def remove_coupon(subscription_id: UUID) -> ResponseReturnValue:
    """Ask for the whole price from its next cycle on."""
    try:
        coupons.remove_coupon(subscription_id, version=seen_version(), by=current_user(), at=clock.now())
    except (InvalidInputError, EditConflictError) as error:
        return _page(lifecycle.find_ours(subscription_id), error), error.status
    return done(subscription_id, "Coupon retiré\u202f: la prochaine échéance est au prix entier.")


@bp.post("/ouverture")
def change_opening(subscription_id: UUID) -> ResponseReturnValue:
    """Let it open otherwise, while nothing was charged."""
    try:
        written = read_opening(request.form)
        opening.change_opening(subscription_id, written, version=seen_version(), by=current_user(), at=clock.now())
    except (InvalidInputError, EditConflictError) as error:
        return _page(lifecycle.find_ours(subscription_id), error), error.status
    return done(subscription_id, "Essai et frais enregistrés.")


def read_opening(form: Any) -> Opening:
    """What a form says of trial and set-up fee. Raises InvalidInputError, naming the field."""
    kind, number = form.get("essai", NO_TRIAL), 0
    if kind in (TRIAL_DAYS, TRIAL_CYCLES):
        number = read_count(form, "duree", "trial") or 0
        if number < 1:
            raise InvalidInputError("Indiquez la durée de l’essai.", field="trial")
    return Opening(
        trial_days=number if kind == TRIAL_DAYS else 0,
        trial_cycles=number if kind == TRIAL_CYCLES else 0,
        setup_fee=read_number(form.get("frais", "")),
        setup_vat_rate=read_number(form.get("frais_tva", "20")),
    )


def _written_opening(subscription: Subscription) -> dict[str, str]:
    """How a subscription opens, as its form shows it."""
    kind = TRIAL_DAYS if subscription.trial_days else TRIAL_CYCLES if subscription.trial_cycles_left else NO_TRIAL
    rate = subscription.setup_vat_rate
    return {
        "essai": kind,
        "duree": str(subscription.trial_days or subscription.trial_cycles_left or ""),
        "frais": field_number(subscription.setup_fee),
        "frais_tva": "20" if rate is None else f"{rate.normalize():f}",
    }


@bp.post("/supprimer")
def delete(subscription_id: UUID) -> ResponseReturnValue:
    """Delete it, as long as it never began."""
    client_id = deletion.delete_subscription(subscription_id, by=current_user(), at=clock.now())
    toast("success", "Abonnement supprimé.")
    return redirect(url_for("client.show", client_id=client_id), 303)


def _page(subscription: Subscription, problem: DomainError | None = None) -> str:
    is_stale = isinstance(problem, EditConflictError)
    missed = max(subscription.version - seen_version(), 1)
    return render_template(
        "subscriptions/offer.html",
        subscription=subscription,
        coupon=find_terms(subscription).coupon,
        is_open=not planning.was_charged(subscription.id),
        trials=TRIALS,
        vat_choices=VAT_CHOICES,
        written=request.form if "essai" in request.form else _written_opening(subscription),
        code=request.form.get("coupon", ""),
        problem=problem,
        meanwhile=history.list_history(subscription.id, limit=min(missed, MEANWHILE_SHOWN)) if is_stale else [],
    )
