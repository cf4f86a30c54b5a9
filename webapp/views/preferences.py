"""Preferences as an admin defines them for the whole organisation, and each company's weekly cut-off."""

from datetime import time
from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import DomainError, InvalidInputError
from webapp.models.identity import Role
from webapp.models.preferences import PreferenceSchema, ValueType
from webapp.security import requires
from webapp.services import public_holidays
from webapp.services.fulfilment import cut_off_changes
from webapp.services.preferences import cut_offs, schemas
from webapp.services.preferences.cut_offs import UsedCutOffError
from webapp.services.preferences.schemas import Misfit, SchemaFields, UsedSchemaError, ValuesLeftOutError
from webapp.views.layout import toast
from webapp.views.lists import read
from webapp.views.subscriptions.changes import preference_text

bp = Blueprint("preferences", __name__, url_prefix="/preferences")

VALUE_TYPES = [(value_type.value, value_type.label) for value_type in ValueType]
WEEKDAYS = [(str(number), name.capitalize()) for number, name in enumerate(cut_offs.WEEKDAYS)]
REGIONS = [("", "France entière"), *public_holidays.REGIONS.items()]
LARGEST_POSITION = 9999

for_admins = requires(Role.ADMIN)


@bp.get("")
@for_admins
def index() -> ResponseReturnValue:
    """The fields, in their order, and the cut-off of each company."""
    return _index_page()


def _index_page(company_id: UUID | None = None, problem: DomainError | None = None) -> str:
    companies, now = cut_offs.list_cut_offs(), clock.now()
    return render_template(
        "preferences/index.html",
        schemas=schemas.list_schemas(include_inactive=True),
        companies=companies,
        upcoming={company.id: cut_offs.list_next(cut_off, now) for company, cut_off in companies},
        own_cut_offs=cut_offs.list_own_cut_offs(),
        weekdays=WEEKDAYS,
        regions=REGIONS,
        refused_company=company_id,
        problem=problem,
        written=request.form,
    )


@bp.route("/nouvelle", methods=["GET", "POST"])
@for_admins
def new() -> ResponseReturnValue:
    """The form of a new field, and its creation."""
    if request.method == "GET":
        return _form_page(None, _blank())
    try:
        schema = schemas.create_schema(_written(), at=clock.now())
    except InvalidInputError as error:
        return _form_page(None, request.form, problem=error), error.status
    return _done(f"Préférence «\u00a0{schema.label}\u00a0» créée.")


@bp.route("/<uuid:schema_id>", methods=["GET", "POST"])
@for_admins
def edit(schema_id: UUID) -> ResponseReturnValue:
    """The form of a field, and its change; where values would be left out, with what that means and a confirmation."""
    schema = schemas.find_schema(schema_id)
    if request.method == "GET":
        return _form_page(schema, _shown(schema))
    try:
        schemas.edit_schema(schema_id, _written(), confirmed="confirmed" in request.form)
    except ValuesLeftOutError as error:
        return _form_page(schema, request.form, problem=error, misfits=error.misfits), error.status
    except InvalidInputError as error:
        return _form_page(schema, request.form, problem=error), error.status
    return _done(f"Préférence «\u00a0{schema.label}\u00a0» enregistrée.")


@bp.post("/<uuid:schema_id>/activation")
@for_admins
def set_active(schema_id: UUID) -> ResponseReturnValue:
    """Ask for the field (``active=1``), or no longer."""
    schema = schemas.set_active(schema_id, request.form.get("active") == "1")
    asked = "de nouveau demandée" if schema.is_active else "désactivée\u202f: les valeurs données sont gardées"
    return _done(f"Préférence «\u00a0{schema.label}\u00a0» {asked}.")


@bp.post("/<uuid:schema_id>/supprimer")
@for_admins
def delete(schema_id: UUID) -> ResponseReturnValue:
    """Delete a field that was never used; else say why not."""
    try:
        schema = schemas.delete_schema(schema_id)
    except UsedSchemaError as error:
        return _index_page(problem=error), error.status
    return _done(f"Préférence «\u00a0{schema.label}\u00a0» supprimée.")


@bp.post("/heures-limites/<uuid:company_id>/supprimer")
@for_admins
def delete_cut_off(company_id: UUID) -> ResponseReturnValue:
    """Go back to the default cut-off; where that is not possible, say why."""
    try:
        cut_off_changes.delete_cut_off(company_id, at=clock.now())
    except UsedCutOffError as error:
        return _index_page(company_id, error), error.status
    return _done("Heure limite supprimée\u202f: celle par défaut s’applique (lundi à midi).")


@bp.post("/heures-limites/<uuid:company_id>")
@for_admins
def set_cut_off(company_id: UUID) -> ResponseReturnValue:
    """Set a company's cut-off."""
    at = read(time.fromisoformat, request.form.get("heure"))
    weekday = read(int, request.form.get("jour"))
    try:
        if at is None or at.tzinfo is not None:
            raise _refused("Indiquez une heure, par exemple 12:00.", "at")
        cut_off_changes.set_cut_off(
            company_id,
            changed_at=clock.now(),
            weekday=-1 if weekday is None else weekday,
            at=at.replace(second=0, microsecond=0),
            timezone=request.form.get("fuseau", "").strip(),
            is_active="actif" in request.form,
            before_holidays="avancer" in request.form,
            holiday_region=request.form.get("region") or None,
            locks_itself="verrouiller" in request.form,
        )
    except InvalidInputError as error:
        return _index_page(company_id, error), error.status
    return _done("Heure limite enregistrée.")


def _refused(message: str, field: str) -> InvalidInputError:
    return InvalidInputError(message, field=field)


def _written() -> SchemaFields:
    value_type = read(ValueType, request.form.get("type"))
    if value_type is None:
        raise InvalidInputError("Choisissez un type.", field="value_type")
    position = read(int, request.form.get("ordre") or "0")
    if position is None or not 0 <= position <= LARGEST_POSITION:
        raise InvalidInputError(f"L’ordre est un nombre de 0 à {LARGEST_POSITION}.", field="position")
    return SchemaFields(
        code=request.form.get("code", ""),
        label=request.form.get("nom", ""),
        value_type=value_type,
        allowed_values=request.form.get("choix", "").splitlines(),
        required="obligatoire" in request.form,
        default=request.form.get("defaut", ""),
        position=position,
    )


def _shown(schema: PreferenceSchema) -> dict[str, str]:
    """A field as its form shows it."""
    values = {
        "code": schema.code,
        "nom": schema.label,
        "type": schema.value_type.value,
        "choix": "\n".join(schema.allowed_values),
        "defaut": "" if schema.default is None else preference_text(schema.default),
        "ordre": str(schema.position),
    }
    return values | ({"obligatoire": "1"} if schema.required else {})


def _blank() -> dict[str, str]:
    """A new field comes last."""
    last = max((schema.position for schema in schemas.list_schemas(include_inactive=True)), default=-1)
    return {"type": ValueType.STRING.value, "ordre": str(min(last + 1, LARGEST_POSITION))}


def _form_page(
    schema: PreferenceSchema | None,
    written: Any,
    *,
    problem: DomainError | None = None,
    misfits: list[Misfit] | None = None,
) -> str:
    return render_template(
        "preferences/form.html",
        schema=schema,
        written=written,
        problem=problem,
        misfits=misfits,
        in_use=schemas.count_values(schema.id) if schema else [],
        value_types=VALUE_TYPES,
    )


def _done(sentence: str) -> ResponseReturnValue:
    toast("success", sentence)
    return redirect(url_for("preferences.index"), 303)
