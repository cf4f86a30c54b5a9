"""What changes a cover: another plan, an option more or less, and giving it up. Each says first what it comes to."""

from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import DomainError, NotFoundError
from webapp.french import read_number
from webapp.models.base import new_id
from webapp.security import current_user
from webapp.services.covers import changing, loading, options, planned, profile, renouncing
from webapp.services.covers.changing import PlanChange
from webapp.services.covers.options import OptionChange
from webapp.services.covers.pricing import Confirmed
from webapp.services.covers.terms import NOTHING
from webapp.services.plan_changes.changing import OtherAmountError
from webapp.views.covers import wording
from webapp.views.layout import toast
from webapp.views.lists import read, read_day

bp = Blueprint("cover_changes", __name__)


@bp.route("/couvertures/<uuid:cover_id>/formule", methods=["GET", "POST"])
def change_plan(cover_id: UUID) -> ResponseReturnValue:
    """Other plans; what the chosen one comes to (``?formule=…``); and the change."""
    asked = read(UUID, request.values.get("formule"))
    try:
        if request.method == "POST":
            changing.change_plan(cover_id, asked, read_confirmed(), by=current_user(), at=clock.now())
            return _done(cover_id, "La formule change.")
        change = changing.preview_plan(cover_id, asked, at=clock.now()) if asked else None
    except NotFoundError:
        raise
    except DomainError as error:
        return _plans_page(cover_id, asked=asked, problem=error), error.status
    return _plans_page(cover_id, asked=asked, change=change)


@bp.post("/couvertures/<uuid:cover_id>/formule/garder")
def keep_plan(cover_id: UUID) -> ResponseReturnValue:
    """Take the plan back that was to come: the present one goes on."""
    form = request.form
    try:
        planned.keep_plan(
            cover_id,
            version_id=read(UUID, form.get("formule")),
            since=read_day(form.get("depuis", "")),
            version=read(int, form.get("version")) or 0,
            by=current_user(),
            at=clock.now(),
        )
    except NotFoundError:
        raise
    except DomainError as error:
        toast("error", error.message)
        return redirect(url_for("cover.show", cover_id=cover_id), 303)
    return _done(cover_id, "La formule en cours continue.")


def _plans_page(
    cover_id: UUID, *, asked: UUID | None, change: PlanChange | None = None, problem: DomainError | None = None
) -> str:
    shown = profile.find_profile(cover_id, at=clock.now())
    choices = changing.list_choices(shown.cover)
    postcode = shown.cover.homes[-1].home.postcode
    return render_template(
        "covers/change.html",
        shown=shown,
        cover=shown.cover,
        choices=choices,
        promises={version.id: wording.in_a_line(version) for version in choices},
        prices={version.id: version.price_at(postcode) for version in (*choices, shown.version)},
        asked=asked,
        change=change,
        changed_trades=wording.changed_trades(shown.version, change.version) if change else [],
        change_id=new_id(),
        problem=problem,
    )


@bp.route("/couvertures/<uuid:cover_id>/options", methods=["GET", "POST"])
def add_option(cover_id: UUID) -> ResponseReturnValue:
    """What an option comes to (``?option=…``), and adding it."""
    code = request.values.get("option", "")
    try:
        if request.method == "POST":
            options.add_option(cover_id, code, read_confirmed(), by=current_user(), at=clock.now())
            return _done(cover_id, "Option ajoutée.")
        change = options.preview_option(cover_id, code, at=clock.now())
    except NotFoundError:
        raise
    except DomainError as error:
        return _option_page(cover_id, problem=error), error.status
    return _option_page(cover_id, change=change)


@bp.route("/couvertures/<uuid:cover_id>/options/<uuid:option_id>/fin", methods=["GET", "POST"])
def end_option(cover_id: UUID, option_id: UUID) -> ResponseReturnValue:
    """What the end of an option comes to, and letting it end with the next cycle."""
    try:
        if request.method == "POST":
            options.end_option(cover_id, option_id, read_confirmed(), by=current_user(), at=clock.now())
            return _done(cover_id, "L’option prend fin avec la prochaine échéance.")
        change = options.preview_end(cover_id, option_id, at=clock.now())
    except NotFoundError:
        raise
    except DomainError as error:
        return _option_page(cover_id, problem=error), error.status
    return _option_page(cover_id, change=change, is_end=True)


def _option_page(
    cover_id: UUID, *, change: OptionChange | None = None, is_end: bool = False, problem: DomainError | None = None
) -> str:
    return render_template(
        "covers/option.html",
        cover=loading.find_cover(cover_id),
        change=change,
        is_end=is_end,
        change_id=new_id(),
        problem=problem,
    )


def read_confirmed() -> Confirmed:
    """What the form that showed a price sends back. Raises OtherAmountError where it showed none."""
    change_id = read(UUID, request.form.get("changement"))
    if change_id is None:
        raise OtherAmountError("Vérifiez ce que le changement coûte, puis confirmez.")
    return Confirmed(
        shown=read_number(request.form.get("montant", "")) or NOTHING,
        change_id=change_id,
        version=read(int, request.form.get("version")) or 0,
    )


@bp.route("/couvertures/<uuid:cover_id>/renonciation", methods=["GET", "POST"])
def renounce(cover_id: UUID) -> ResponseReturnValue:
    """What giving the cover up comes to, and doing it."""
    values: dict[str, Any] = {"cover": loading.find_cover(cover_id), "renunciation": None, "problem": None}
    try:
        if request.method == "POST":
            renouncing.renounce(cover_id, by=current_user(), at=clock.now())
            return _done(cover_id, "Renonciation enregistrée\u202f: la couverture est terminée.")
        values["renunciation"] = renouncing.preview_renunciation(cover_id, at=clock.now())
    except NotFoundError:
        raise
    except DomainError as error:
        values["problem"] = error
        return render_template("covers/renounce.html", **values), error.status
    return render_template("covers/renounce.html", **values)


def _done(cover_id: UUID, sentence: str) -> ResponseReturnValue:
    toast("success", sentence)
    return redirect(url_for("cover.show", cover_id=cover_id), 303)
