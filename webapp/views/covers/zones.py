"""« Zones »: the table by which plans have prices. Managers read it, admins change it."""

from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import DomainError, InvalidInputError
from webapp.models.identity import Role
from webapp.models.zones import CoverZone
from webapp.security import current_user, requires
from webapp.services.covers import zone_prices, zones
from webapp.services.covers.zones import ZoneFields
from webapp.views.layout import toast

bp = Blueprint("cover_zones", __name__, url_prefix="/couvertures/zones")

for_managers = requires(Role.MANAGER, Role.ADMIN)
for_admins = requires(Role.ADMIN)

KEPT = "Les versions déjà publiées gardent la zone comme elle était."


@bp.get("")
@for_managers
def index() -> ResponseReturnValue:
    """The table, what a postcode costs (``?code_postal=…``), and the form of a new zone."""
    asked = request.args.get("code_postal", "")
    try:
        return _list_page(place=zone_prices.look_up(asked) if asked.strip() else None)
    except InvalidInputError as error:
        return _list_page(lookup_problem=error), error.status


@bp.post("")
@for_admins
def create() -> ResponseReturnValue:
    """Add a zone."""
    try:
        zone = zones.create_zone(request.form.get("code", ""), _written(), at=clock.now())
    except InvalidInputError as error:
        return _list_page(problem=error), error.status
    return _done(f"Zone {zone.label} créée\u202f: donnez-lui un prix dans le brouillon d’une formule.")


@bp.get("/<uuid:zone_id>")
@for_admins
def show(zone_id: UUID) -> ResponseReturnValue:
    """The form of a zone."""
    zone = zones.find_zone(zone_id)
    return _page(zone, {"nom": zone.label, "codes_postaux": " ".join(zone.prefixes)})


@bp.post("/<uuid:zone_id>")
@for_admins
def edit(zone_id: UUID) -> ResponseReturnValue:
    """Give a zone another name, or other postcodes."""
    try:
        zone = zones.edit_zone(zone_id, _written())
    except InvalidInputError as error:
        return _page(zones.find_zone(zone_id), request.form, error), error.status
    return _done(f"Zone {zone.label} enregistrée. {KEPT}")


@bp.post("/<uuid:zone_id>/supprimer")
@for_admins
def drop(zone_id: UUID) -> ResponseReturnValue:
    """Take a zone out of the table."""
    zone = zones.drop_zone(zone_id)
    return _done(f"Zone {zone.label} supprimée. {KEPT}")


def _written() -> ZoneFields:
    return ZoneFields(label=request.form.get("nom", ""), prefixes=request.form.get("codes_postaux", ""))


def _list_page(problem: DomainError | None = None, **values: Any) -> str:
    return render_template(
        "covers/zones.html",
        rows=zone_prices.list_rows(),
        may_write=current_user().has_role(Role.ADMIN),
        asked=request.args.get("code_postal", ""),
        written=request.form,
        problem=problem,
        **{"place": None, "lookup_problem": None, **values},
    )


def _page(zone: CoverZone, written: Any, problem: DomainError | None = None) -> str:
    return render_template("covers/zone.html", zone=zone, written=written, problem=problem)


def _done(sentence: str) -> ResponseReturnValue:
    toast("success", sentence)
    return redirect(url_for("cover_zones.index"), 303)
