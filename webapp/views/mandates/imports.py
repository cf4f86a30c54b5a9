"""Mandates completed by a list: sent, shown line by line, applied. For managers."""

from uuid import UUID

from flask import Blueprint, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import InvalidInputError
from webapp.extensions import limiter
from webapp.models.identity import Role
from webapp.security import current_user, requires
from webapp.services.mandates import imports, lists
from webapp.views.figures.spreadsheets import csv_file
from webapp.views.layout import toast

bp = Blueprint("mandate_imports", __name__, url_prefix="/prelevements/mandats/listes")

PACE = "20 per minute"
HEADINGS = ("Ligne", "Client", "Code postal", "IBAN", "RUM", "Date", "Lieu", "Motif")

for_managers = requires(Role.MANAGER, Role.ADMIN)


@bp.get("")
@for_managers
def new() -> ResponseReturnValue:
    """The form that takes a list."""
    return _form_page()


@bp.post("")
@for_managers
@limiter.limit(PACE, key_func=lambda: f"user:{g.user.id}")
def create() -> ResponseReturnValue:
    """Read a list; nothing is completed before it is applied."""
    file = request.files.get("liste")
    name, content = (file.filename or "", file.read()) if file else ("", b"")
    try:
        kept = imports.read_import(name, content, by=current_user(), at=clock.now())
    except InvalidInputError as error:
        return _form_page(error), error.status
    return redirect(url_for("mandate_imports.show", import_id=kept.id), 303)


def _form_page(problem: InvalidInputError | None = None) -> str:
    return render_template("mandates/import_new.html", problem=problem, most_lines=lists.MOST_LINES)


@bp.get("/<uuid:import_id>")
@for_managers
def show(import_id: UUID) -> ResponseReturnValue:
    """What each line will do, or has done, and why not."""
    kept = imports.find_import(import_id)
    lines = imports.lines_of(kept)
    return render_template(
        "mandates/import.html",
        kept=kept,
        good=[line for line in lines if line.fault is None],
        refused=[line for line in lines if line.fault is not None],
    )


@bp.post("/<uuid:import_id>/application")
@for_managers
def apply(import_id: UUID) -> ResponseReturnValue:
    """Complete what is still as it was shown; pressing again changes nothing."""
    imports.apply_import(import_id, by=current_user(), at=clock.now())
    toast("success", "Liste appliquée.")
    return redirect(url_for("mandate_imports.show", import_id=import_id), 303)


@bp.get("/<uuid:import_id>/rejets.csv")
@for_managers
def download_refused(import_id: UUID) -> ResponseReturnValue:
    """The lines that complete nothing, each with its reason."""
    refused = [line for line in imports.lines_of(imports.find_import(import_id)) if line.fault is not None]
    cells = [
        (line.number, line.client, line.postcode, line.iban, line.umr, line.signed_on, line.signed_in, line.fault)
        for line in refused
    ]
    return csv_file("mandats-rejetes.csv", HEADINGS, cells)
