"""Changing a subscription: its lines, how it is paid, its last day, its preferences."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock, french
from webapp.errors import DomainError, InvalidInputError
from webapp.french import read_number
from webapp.models.base import new_id
from webapp.models.plan_changes import Settlement
from webapp.models.preferences import Scalar, ValueType
from webapp.models.subscriptions import Subscription, SubscriptionHistory
from webapp.security import current_user
from webapp.services.charges import resuming
from webapp.services.concurrent_edits import EditConflictError
from webapp.services.covers import planned
from webapp.services.covers.recording import CoverStateError
from webapp.services.pages.subscription_page import find_preferences
from webapp.services.plan_changes import changing
from webapp.services.plan_changes.changing import NotChosenError, OtherAmountError
from webapp.services.preferences import values
from webapp.services.preferences.values import EffectiveValue
from webapp.services.products import list_products
from webapp.services.subscriptions import editing, history, lifecycle, offering, planning, scheduling
from webapp.services.subscriptions.editing import EndedError
from webapp.services.subscriptions.means import DEBITED
from webapp.views.layout import toast
from webapp.views.lists import read
from webapp.views.subscriptions.answers import done, seen_version
from webapp.views.subscriptions.form import (
    SHIPPED_CHOICES,
    TAX_CHOICES,
    WrittenLine,
    asked_day,
    change_lines,
    lines_of,
    payment_choices,
    payment_word,
    read_lines,
    read_payment,
)

bp = Blueprint("subscription_changes", __name__, url_prefix="/abonnements/<uuid:subscription_id>")

AT_ONCE, AT_NEXT_CYCLE = "maintenant", "echeance"
PREFIX = "preference-"
MEANWHILE_SHOWN = 20


@bp.get("/lignes")
def lines(subscription_id: UUID) -> ResponseReturnValue:
    """The form of the lines."""
    subscription = lifecycle.find_ours(subscription_id)
    return _lines_page(subscription, lines_of(subscription), subscription.version)


@bp.post("/lignes")
def change_lines_of(subscription_id: UUID) -> ResponseReturnValue:
    """Show what other lines come to; with ``confirmer``, sell them; with ``ligne``, the form with one more or less."""
    subscription = lifecycle.find_ours(subscription_id)
    written, version = read_lines(request.form), seen_version()
    if "ligne" in request.form:
        return _lines_page(subscription, change_lines(written, request.form["ligne"]), version)
    try:
        if "confirmer" not in request.form:
            return _preview_page(subscription, written, version)
        return done(subscription_id, _change(subscription_id, written, version))
    except (OtherAmountError, NotChosenError) as error:
        return _preview_page(subscription, written, version, problem=error), error.status
    except InvalidInputError as error:
        return _lines_page(subscription, written, version, problem=error), error.status
    except EditConflictError as error:
        subscription = lifecycle.find_ours(subscription_id)
        return _lines_page(subscription, written, subscription.version, problem=error), error.status


def _change(subscription_id: UUID, written: list[WrittenLine], version: int) -> str:
    """Make the change that was confirmed; returns what to say of it."""
    fields, by, at = [line.fields() for line in written], current_user(), clock.now()
    if not _is_at_once():
        planning.plan_lines(subscription_id, fields, version=version, by=by, at=at)
        return "Changement enregistré\u202f: il vaut à partir de la prochaine échéance."
    adjustment_id = read(UUID, request.form.get("changement"))
    if adjustment_id is None:
        raise OtherAmountError("Vérifiez les montants, puis confirmez.")
    changing.change_now(
        subscription_id,
        fields,
        day=asked_day("jour", field="day"),
        settlement=read(Settlement, request.form.get("reglement")),
        shown=read_number(request.form.get("montant", "")) or Decimal(0),
        adjustment_id=adjustment_id,
        version=version,
        by=by,
        at=at,
    )
    return "Changement enregistré\u202f: il vaut dès maintenant."


def _is_at_once() -> bool:
    return request.form.get("quand") == AT_ONCE


def _preview_page(
    subscription: Subscription, written: list[WrittenLine], version: int, problem: DomainError | None = None
) -> str:
    """What the lines come to: at once, or with the next cycle. Raises InvalidInputError where they make no sense."""
    if subscription.status.is_final:
        raise EndedError(f"Un abonnement {subscription.status.label.lower()} ne se modifie plus.")
    if version != subscription.version:
        raise EditConflictError("Cet abonnement a été modifié entre-temps\u202f: comparez, puis enregistrez.")
    fields = [line.fields() for line in written]
    preview = upcoming = None
    if _is_at_once():
        day = asked_day("jour", field="day")
        preview = changing.preview_change(subscription.id, fields, day=day, at=clock.now())
    else:
        upcoming = planning.preview_lines(subscription, fields)
    printed = preview.proration.lines if preview else upcoming.lines if upcoming else []
    return render_template(
        "subscriptions/change_preview.html",
        subscription=subscription,
        lines=written,
        version=version,
        preview=preview,
        upcoming=upcoming,
        shown=[(line["label"], Decimal(line["vat_rate"]), Decimal(line["amount"])) for line in printed],
        settlement=request.form.get("reglement", preview.ways[0] if preview and preview.ways else ""),
        change_id=new_id(),
        problem=problem,
    )


def _lines_page(
    subscription: Subscription, written: list[WrittenLine], version: int, problem: DomainError | None = None
) -> str:
    now = clock.now()
    return render_template(
        "subscriptions/lines.html",
        subscription=subscription,
        lines=written or [WrittenLine()],
        version=version,
        problem=problem,
        meanwhile=_changed_meanwhile(subscription, problem),
        was_charged=planning.was_charged(subscription.id),
        when=request.form.get("quand", AT_NEXT_CYCLE),
        day=request.form.get("jour", scheduling.local_date(now, subscription.timezone).isoformat()),
        today=scheduling.local_date(now, subscription.timezone).isoformat(),
        **line_choices(),
    )


@bp.post("/changement-prevu/retirer")
def withdraw_plan(subscription_id: UUID) -> ResponseReturnValue:
    """Take the change back that was planned for the next cycle."""
    try:
        planned.withdraw(subscription_id, version=seen_version(), by=current_user(), at=clock.now())
    except CoverStateError as error:
        toast("error", error.message)
        return redirect(url_for("subscription.show", subscription_id=subscription_id), 303)
    return done(subscription_id, "Le changement prévu est retiré.")


@bp.post("/complements/<uuid:adjustment_id>/<any(demander, rembourser):word>")
def settle(subscription_id: UUID, adjustment_id: UUID, word: str) -> ResponseReturnValue:
    """Settle apart what a change at once left to cycles to come."""
    settlement = Settlement.OWN_CHARGE if word == "demander" else Settlement.REFUND
    changing.settle_now(adjustment_id, settlement, subscription_id=subscription_id, by=current_user(), at=clock.now())
    is_asked = settlement is Settlement.OWN_CHARGE
    return done(subscription_id, "Le complément est demandé." if is_asked else "Le remboursement est demandé.")


def _changed_meanwhile(subscription: Subscription, problem: DomainError | None) -> list[SubscriptionHistory]:
    """What was changed since the refused form was opened, the latest first; the form then has the present version."""
    if not isinstance(problem, EditConflictError):
        return []
    missed = max(subscription.version - seen_version(), 1)
    return history.list_history(subscription.id, limit=min(missed, MEANWHILE_SHOWN))


def line_choices() -> dict[str, Any]:
    """What the controls of a line offer."""
    products = [("", "Autre"), *((str(product.id), product.name) for product in list_products())]
    return {"products": products, "vat_choices": TAX_CHOICES, "shipped_choices": SHIPPED_CHOICES}


@bp.get("/paiement")
def payment(subscription_id: UUID) -> ResponseReturnValue:
    """The forms of how it is paid and of its last day."""
    return _payment_page(lifecycle.find_ours(subscription_id))


@bp.post("/paiement")
def change_payment(subscription_id: UUID) -> ResponseReturnValue:
    """Have it paid by other means from now on."""
    fields = read_payment(request.form.get("paiement", ""))
    try:
        changed = editing.change_payment(
            subscription_id, fields, version=seen_version(), by=current_user(), at=clock.now()
        )
    except (InvalidInputError, EditConflictError) as error:
        subscription = lifecycle.find_ours(subscription_id)
        return _payment_page(subscription, problem=as_payment_problem(error)), error.status
    waiting = resuming.count_waiting(subscription_id) if changed.payment_method in DEBITED else 0
    hint = {0: "", 1: " Un prélèvement l’attendait\u202f: il peut être réessayé."}.get(
        waiting, f" {waiting} prélèvements l’attendaient\u202f: ils peuvent être réessayés."
    )
    return done(subscription_id, f"Mode de paiement enregistré.{hint}")


def as_payment_problem(error: DomainError) -> DomainError:
    """Means of payment are one control: a refusal of any part of it stands there."""
    if error.field in ("payment_method", "saved_method_id", "mandate_id"):
        return InvalidInputError(error.message, field="paiement")
    return error


@bp.post("/fin")
def change_end(subscription_id: UUID) -> ResponseReturnValue:
    """Set its last day, or take it away."""
    try:
        ends_on = asked_day("fin", field="ends_on")
        editing.change_end(subscription_id, ends_on, version=seen_version(), by=current_user(), at=clock.now())
    except (InvalidInputError, EditConflictError) as error:
        return _payment_page(lifecycle.find_ours(subscription_id), problem=error), error.status
    return done(subscription_id, "Dernier jour enregistré.")


def _payment_page(subscription: Subscription, problem: DomainError | None = None) -> str:
    choices = payment_choices(offering.list_means(subscription.client_id, on=clock.today()))
    present = payment_word(subscription)
    if present not in dict(choices):
        choices = [*choices, (present, "Moyen de paiement actuel (inutilisable)")]
    return render_template(
        "subscriptions/payment.html",
        subscription=subscription,
        choices=choices,
        chosen=request.form.get("paiement", present),
        ends_on=request.form.get("fin", subscription.ends_on or ""),
        problem=problem,
        meanwhile=_changed_meanwhile(subscription, problem),
    )


@bp.get("/preferences")
def preferences(subscription_id: UUID) -> ResponseReturnValue:
    """The form of its preferences."""
    return _preferences_page(lifecycle.find_subscription(subscription_id))


@bp.post("/preferences")
def change_preferences(subscription_id: UUID) -> ResponseReturnValue:
    """Set its preferences from the cycle that the company's cut-off says."""
    written = {name.removeprefix(PREFIX): value for name, value in request.form.items() if name.startswith(PREFIX)}
    try:
        cycle = values.set_values(
            subscription_id, written, by=current_user(), at=clock.now(), seen=request.form.get("vu", "")
        )
    except (InvalidInputError, EditConflictError) as error:
        return _preferences_page(lifecycle.find_subscription(subscription_id), problem=error), error.status
    return done(subscription_id, f"Préférences enregistrées, à partir de l’échéance n°\u00a0{cycle + 1}.")


def _preferences_page(subscription: Subscription, problem: DomainError | None = None) -> str:
    present = values.list_effective(subscription, cycle=values.LAST_CYCLE)
    return render_template(
        "subscriptions/preferences.html",
        subscription=subscription,
        fields=[
            (effective, _written_value(effective), _choices(effective), _kept_meanwhile(effective, problem))
            for effective in present
        ],
        seen=values.last_change(subscription.id),
        shown=find_preferences(subscription, at=clock.now()),
        problem=problem,
        is_stale=isinstance(problem, EditConflictError),
    )


def _written_value(effective: EffectiveValue) -> str:
    """What stands in the control: what was sent, else the subscription's own value; nothing means the default."""
    sent = request.form.get(PREFIX + effective.schema.code)
    if sent is not None:
        return sent
    if effective.is_default:
        return ""
    return _word(effective.value)


def _kept_meanwhile(effective: EffectiveValue, problem: DomainError | None) -> str:
    """After a conflict, what stands there now, where something else was written."""
    stands = "" if effective.is_default else _word(effective.value)
    if not isinstance(problem, EditConflictError) or stands == _written_value(effective):
        return ""
    return f"Enregistré entre-temps\u202f: {preference_text(effective.value)}"


def _word(value: Scalar | None) -> str:
    """A value as a control holds it."""
    if isinstance(value, bool):
        return "oui" if value else "non"
    return "" if value is None else preference_text(value)


def _choices(effective: EffectiveValue) -> list[tuple[str, str]] | None:
    """What a select offers, with a present value that is no longer offered; None where the value is typed."""
    schema = effective.schema
    if schema.value_type not in (ValueType.ENUM, ValueType.BOOLEAN):
        return None
    offered = list(schema.allowed_values) if schema.value_type is ValueType.ENUM else ["oui", "non"]
    present = _word(effective.value)
    if effective.is_outdated and present not in offered:
        offered.append(present)
    nothing = "Aucune" if schema.default is None else f"Par défaut\u202f: {preference_text(schema.default)}"
    is_yes_or_no = schema.value_type is ValueType.BOOLEAN
    return [("", nothing), *((option, option.capitalize() if is_yes_or_no else option) for option in offered)]


@bp.app_template_filter("preference")
def preference_text(value: Scalar | None) -> str:
    """A preference's value as it reads on a page."""
    if value is None:
        return french.NOTHING
    if isinstance(value, bool):
        return "Oui" if value else "Non"
    return str(value) if isinstance(value, str) else french.field_number(value)
