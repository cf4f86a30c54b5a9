"""Coupons as managers define them: the list, and what is done with one."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import DomainError, InvalidInputError
from webapp.french import read_number
from webapp.models.identity import Role
from webapp.security import current_user, requires
from webapp.services.subscriptions import coupons
from webapp.services.subscriptions.coupons import CouponFields, UsedCouponError
from webapp.views.layout import toast
from webapp.views.subscriptions.form import asked_day

bp = Blueprint("coupons", __name__, url_prefix="/abonnements/coupons")

PERCENT, AMOUNT = "pourcentage", "montant"
KINDS = [(PERCENT, "Pourcentage du montant HT"), (AMOUNT, "Montant HT par échéance")]

for_managers = requires(Role.MANAGER, Role.ADMIN)


@bp.get("")
@for_managers
def index() -> ResponseReturnValue:
    """All coupons, and the form of a new one."""
    return _page()


@bp.post("")
@for_managers
def create() -> ResponseReturnValue:
    """Define a coupon."""
    try:
        coupon = coupons.create_coupon(_written(), by=current_user(), at=clock.now())
    except InvalidInputError as error:
        return _page(error), error.status
    return _done(f"Coupon {coupon.code} créé.")


@bp.post("/<uuid:coupon_id>/activation")
@for_managers
def set_active(coupon_id: UUID) -> ResponseReturnValue:
    """Let it be given (``active=1``), or no longer."""
    coupon = coupons.set_active(coupon_id, request.form.get("active") == "1")
    state = "peut de nouveau être appliqué" if coupon.is_active else "est désactivé\u202f: ceux qui l’ont le gardent"
    return _done(f"Le coupon {coupon.code} {state}.")


@bp.post("/<uuid:coupon_id>/supprimer")
@for_managers
def delete(coupon_id: UUID) -> ResponseReturnValue:
    """Delete one that nobody got; else say why not."""
    try:
        coupon = coupons.delete_coupon(coupon_id)
    except UsedCouponError as error:
        return _page(error), error.status
    return _done(f"Coupon {coupon.code} supprimé.")


def _written() -> CouponFields:
    discount = read_number(request.form.get("valeur", ""))
    is_percent = request.form.get("nature", PERCENT) == PERCENT
    return CouponFields(
        code=request.form.get("code", ""),
        label=request.form.get("nom", ""),
        percent=discount if is_percent else None,
        amount=None if is_percent else discount,
        cycles=read_count(request.form, "echeances", "cycles"),
        valid_from=asked_day("debut", field="valid_from"),
        valid_until=asked_day("fin", field="valid_until"),
        max_uses=read_count(request.form, "utilisations", "max_uses"),
    )


def read_count(form: Any, name: str, field: str) -> int | None:
    """A whole number of a form, or nothing; what is written and is none is refused as ``field``."""
    number = read_number(form.get(name, ""))
    if number is None:
        return None
    if not number.is_finite() or number != number.to_integral_value() or abs(number) > Decimal(10**9):
        raise InvalidInputError("Indiquez un nombre entier.", field=field)
    return int(number)


def _page(problem: DomainError | None = None) -> str:
    written: Any = request.form if request.method == "POST" else {}
    return render_template(
        "coupons/index.html", coupons=coupons.list_coupons(), kinds=KINDS, written=written, problem=problem
    )


def _done(sentence: str) -> ResponseReturnValue:
    toast("success", sentence)
    return redirect(url_for("coupons.index"), 303)
