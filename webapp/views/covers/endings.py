"""Terminations: the form, the end that it comes to and why, writing it down, and withdrawing it."""

from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from webapp import clock, french
from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.models.base import new_id
from webapp.models.covers import TerminationChannel, TerminationGround
from webapp.security import current_user
from webapp.services.covers import ending, loading, owed, renouncing
from webapp.services.covers.ending import Termination
from webapp.services.covers.ends import Request
from webapp.services.subscriptions import lifecycle
from webapp.views.layout import is_fragment_request, toast
from webapp.views.lists import read, read_day

bp = Blueprint("cover_ending", __name__, url_prefix="/couvertures/<uuid:cover_id>/resiliation")

CHANNELS = [("", "Choisir…"), *((each.value, each.label) for each in TerminationChannel)]
GROUNDS = [("", "Choisir…"), *((each.value, each.label) for each in TerminationGround)]


@bp.get("")
def show(cover_id: UUID) -> ResponseReturnValue:
    """The form; under HTMX, when the cover would end by what is written in it, and why."""
    if not is_fragment_request():
        return _page(cover_id)
    problem, found, asked = None, None, _asked(request.args)
    try:
        if asked.channel and asked.ground and asked.received_on:
            found = ending.preview_termination(cover_id, asked, at=clock.now())
        else:
            loading.find_cover(cover_id)
    except NotFoundError:
        raise
    except DomainError as error:
        problem = error
    return render_template("covers/_end.html", found=found, problem=problem)


@bp.post("")
def add(cover_id: UUID) -> ResponseReturnValue:
    """Write the termination down, once the end that it comes to was shown."""
    form = request.form
    try:
        made = ending.terminate(
            cover_id,
            _asked(form),
            shown=read_day(form.get("fin", "")),
            termination_id=read(UUID, form.get("resiliation")) or new_id(),
            by=current_user(),
            at=clock.now(),
        )
    except InvalidInputError as error:
        return _page(cover_id, problem=error), error.status
    toast("success", f"Résiliation enregistrée\u202f: la couverture prend fin le {french.day(made.ends_on)}.")
    return redirect(url_for("cover.show", cover_id=cover_id), 303)


@bp.post("/retrait")
def withdraw(cover_id: UUID) -> ResponseReturnValue:
    """Take it back before its day."""
    try:
        ending.withdraw(cover_id, reason=request.form.get("motif", ""), by=current_user(), at=clock.now())
    except InvalidInputError as error:
        return _page(cover_id, problem=error), error.status
    toast("success", "Résiliation retirée\u202f: la couverture continue.")
    return redirect(url_for("cover.show", cover_id=cover_id), 303)


def _asked(written: MultiDict[str, str]) -> Request:
    return Request(
        channel=read(TerminationChannel, written.get("moyen")),
        ground=read(TerminationGround, written.get("motif")),
        received_on=read_day(written.get("recue", "")),
        event_on=read_day(written.get("evenement", "")),
        note=written.get("note", ""),
    )


def _page(cover_id: UUID, *, problem: DomainError | None = None) -> str:
    cover = loading.find_cover(cover_id)
    lifecycle.refuse_of_shop(cover.subscription)
    found = _found(cover_id) if request.method == "POST" and problem else None
    values: dict[str, Any] = request.form.to_dict() or {"recue": clock.today().isoformat()}
    until = renouncing.last_day(cover)
    return render_template(
        "covers/ending.html",
        cover=cover,
        standing=cover.termination,
        owed=owed.list_owed_at_end(cover),
        problem=problem,
        found=found,
        written=values,
        termination_id=values.get("resiliation") or new_id(),
        channels=CHANNELS,
        grounds=GROUNDS,
        renounced_until=until if clock.today() <= until else None,
    )


def _found(cover_id: UUID) -> Termination | None:
    """What the form that was refused comes to, where it comes to something."""
    try:
        return ending.preview_termination(cover_id, _asked(request.form), at=clock.now())
    except DomainError:
        return None
