"""« Importer »: Fichier → Colonnes → Plan → Résultat, each step at an address of its own. For managers and admins."""

from typing import Any
from uuid import UUID

from flask import Blueprint, Response, g, make_response, redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import RequestEntityTooLarge

from webapp import clock
from webapp.errors import DomainError, InvalidInputError
from webapp.extensions import limiter
from webapp.models.identity import Role
from webapp.models.imports import Import, ImportState, Policy
from webapp.models.operations import Operation, OperationState
from webapp.security import current_user, requires
from webapp.services.imports import columns, commands, csv_files, models_to_fill, reading, rejects
from webapp.services.imports.commands import FixedError
from webapp.services.operations import listing, runs
from webapp.services.operations.listing import ItemFilter
from webapp.services.organisations import list_companies
from webapp.services.products import list_products
from webapp.views.layout import is_fragment_request, toast
from webapp.views.lists import read
from webapp.views.operations import sentence

bp = Blueprint("imports", __name__, url_prefix="/imports")

PACE = "20 per minute"
FORM_AROUND = 100_000
"""Bytes of a request beside the file."""
STEPS = ("Fichier", "Colonnes", "Plan", "Résultat")
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

for_managers = requires(Role.MANAGER, Role.ADMIN)


@bp.url_value_preprocessor
def _let_files_pass(endpoint: str | None, _values: dict[str, Any] | None) -> None:
    """Other requests are small. Set here, since the CSRF check reads the form before the view does."""
    if endpoint == "imports.create":
        request.max_content_length = reading.SIZE_LIMIT + FORM_AROUND


@bp.errorhandler(RequestEntityTooLarge)
def _refuse_unread(_error: RequestEntityTooLarge) -> ResponseReturnValue:
    """What is so large that nobody reads it is refused where any other file is: beside the field."""
    return _form_page(InvalidInputError(reading.TOO_LARGE, field="file")), 413


@bp.get("/nouveau")
@for_managers
def new() -> ResponseReturnValue:
    """The form that takes a file."""
    return _form_page()


@bp.post("")
@for_managers
@limiter.limit(PACE, key_func=lambda: f"user:{g.user.id}")
def create() -> ResponseReturnValue:
    """Keep the file and have it read."""
    file = request.files.get("fichier")
    if file is None or not file.filename:
        return _form_page(InvalidInputError("Choisissez un fichier.", field="file")), InvalidInputError.status
    try:
        import_id = commands.start(file.filename, file.stream, by=current_user(), at=clock.now())
    except InvalidInputError as error:
        return _form_page(error), error.status
    return redirect(_address("show", import_id), 303)


def _form_page(problem: InvalidInputError | None = None) -> str:
    return render_template(
        "imports/new.html",
        problem=problem,
        most_rows=reading.MOST_ROWS,
        size_limit=reading.SIZE_LIMIT,
        too_large=reading.TOO_LARGE,
    )


@bp.get("/modele.csv")
@for_managers
def model_csv() -> ResponseReturnValue:
    """A model to fill in."""
    return _download(models_to_fill.as_csv(), "modele-import.csv", "text/csv")


@bp.get("/modele.xlsx")
@for_managers
def model_xlsx() -> ResponseReturnValue:
    """A model to fill in."""
    return _download(models_to_fill.as_xlsx(), "modele-import.xlsx", _XLSX)


def _download(content: bytes, name: str, kind: str) -> Response:
    headers = {"Content-Type": kind, "Content-Disposition": f'attachment; filename="{name}"'}
    return make_response(content, headers)


@bp.get("/<uuid:import_id>")
@for_managers
def show(import_id: UUID) -> ResponseReturnValue:
    """How the file was read, with its first rows; while it is being read, how that goes."""
    kept = commands.find(import_id, by=current_user())
    if is_fragment_request() and request.args.get("suivi"):
        if kept.state is ImportState.READING:
            return render_template("imports/_progress.html", kept=kept)
        return make_response("", {"HX-Redirect": _address("show", import_id)})
    return _file_page(kept)


@bp.post("/<uuid:import_id>/lecture")
@for_managers
def correct(import_id: UUID) -> ResponseReturnValue:
    """Have the file read in another way."""
    form = request.form
    written = {name: form.get(name) or None for name in ("encoding", "separator", "sheet")}
    header = read(int, form.get("header"))
    try:
        commands.correct(import_id, {**written, "header": header}, by=current_user(), at=clock.now())
    except (InvalidInputError, FixedError) as error:
        return _file_page(commands.find(import_id, by=current_user()), error), error.status
    return redirect(_address("show", import_id), 303)


def _file_page(kept: Import, problem: DomainError | None = None) -> str:
    found = commands.reading_of(kept)
    if problem is None and kept.error:
        problem = InvalidInputError(kept.error, field=kept.error_field)
    return render_template(
        "imports/file.html",
        kept=kept,
        reading=found,
        problem=problem,
        encodings=list(csv_files.ENCODINGS.items()),
        separators=list(csv_files.SEPARATORS.items()),
        kind=reading.KINDS[found.kind] if found else None,
        steps=STEPS,
        step=0,
    )


@bp.get("/<uuid:import_id>/colonnes")
@for_managers
def match(import_id: UUID) -> ResponseReturnValue:
    """What each column is."""
    kept = commands.find(import_id, by=current_user())
    return _columns_page(kept, kept.columns, kept.rules)


@bp.post("/<uuid:import_id>/colonnes")
@for_managers
def plan(import_id: UUID) -> ResponseReturnValue:
    """Have the plan made."""
    form = request.form
    keys = [key or None for key in form.getlist("colonne")]
    rules = {
        "policy": form.get("policy", ""),
        "creates_clients": bool(form.get("creates_clients")),
        "creates_commercials": bool(form.get("creates_commercials")),
        "company_id": form.get("company_id") or None,
    }
    by = current_user()
    kept = commands.find(import_id, by=by)
    try:
        mapped = {name: kept.rules.get(name, {}) for name in ("companies", "products")}
        commands.match(import_id, keys, {**rules, **mapped}, by=by, at=clock.now())
    except (InvalidInputError, FixedError) as error:
        return make_response(_columns_page(commands.find(import_id, by=by), keys, rules, error), error.status)
    return redirect(_address("show_plan", import_id), 303)


def _columns_page(
    kept: Import, keys: list[str | None], rules: dict[str, object], problem: DomainError | None = None
) -> ResponseReturnValue:
    found = commands.reading_of(kept)
    if found is None or kept.state is not ImportState.READ:
        return redirect(_address("show", kept.id), 303)
    options = [
        (part, [(column.key, column.label) for column in columns.COLUMNS if column.part == key])
        for key, part in columns.PARTS.items()
    ]
    return render_template(
        "imports/columns.html",
        kept=kept,
        reading=found,
        keys=[*keys, *[None] * (len(found.headings) - len(keys))],
        rules=rules,
        options=options,
        policies=[(each.value, each.label) for each in Policy],
        companies=[(str(company.id), company.name) for company in list_companies()],
        problem=problem,
        steps=STEPS,
        step=1,
    )


@bp.get("/<uuid:import_id>/plan")
@for_managers
def show_plan(import_id: UUID) -> ResponseReturnValue:
    """The plan in short, what a person decides of it, and what came of it."""
    kept = commands.find(import_id, by=current_user())
    if kept.operation_id is None:
        return redirect(_address("match", import_id), 303)
    operation = runs.find(kept.operation_id)
    if is_fragment_request() and request.args.get("suivi"):
        if operation.state.is_worked_on:
            return render_template("imports/_plan_progress.html", kept=kept, operation=operation)
        toast("info" if operation.state is OperationState.PLANNED else "success", sentence(operation))
        return make_response("", {"HX-Redirect": _address("show_plan", import_id)})
    is_planned = operation.state is OperationState.PLANNED
    undecided = listing.list_items(operation.id, ItemFilter.UNDECIDED) if is_planned else None
    return render_template(
        "imports/plan.html",
        kept=kept,
        operation=operation,
        sentence=sentence(operation),
        undecided=undecided.rows if undecided else [],
        unknown=_unknown(operation) if is_planned else [],
        has_rejects=not operation.state.is_worked_on
        and bool(operation.errors or operation.undecided or operation.left_out),
        steps=STEPS,
        step=3 if operation.is_finished else 2,
    )


def _unknown(operation: Operation) -> list[tuple[str, str, list[str], list[tuple[str, str]]]]:
    """What the file names and nobody knows: its name in the form, a heading, the names, and what they can be."""
    companies = operation.settings.get("unknown_companies", [])
    products = operation.settings.get("unknown_products", [])
    unknown = []
    if companies:
        choices = [(str(company.id), company.name) for company in list_companies()]
        unknown.append(("societe", "Ces sociétés n’existent pas", companies, choices))
    if products:
        choices = [
            (commands.SHIPPED, "Créer ce produit, qui s’expédie"),
            (commands.UNSHIPPED, "Créer ce produit, qui ne s’expédie pas"),
            *((str(product.id), product.name) for product in list_products()),
        ]
        unknown.append(("produit", "Ces produits n’existent pas", products, choices))
    return unknown


@bp.post("/<uuid:import_id>/decisions")
@for_managers
def decide(import_id: UUID) -> ResponseReturnValue:
    """Say who undecided lines are, and which companies and products are meant; the plan is made anew."""
    form = request.form
    decisions = {name.removeprefix("ligne-"): what for name, what in form.items() if name.startswith("ligne-") and what}
    if form.get("everyone"):
        decisions["everyone"] = form["everyone"]
    companies, products = _chosen("societe"), _chosen("produit")
    commands.decide(import_id, decisions, companies, products=products, by=current_user(), at=clock.now())
    return redirect(_address("show_plan", import_id), 303)


def _chosen(kind: str) -> dict[str, str]:
    """Foreign names of a kind, and what somebody chose for them."""
    names, ids = request.form.getlist(kind), request.form.getlist(f"{kind}_id")
    return {name: chosen for name, chosen in zip(names, ids, strict=False) if chosen}


@bp.get("/<uuid:import_id>/rejets")
@for_managers
def download_rejects(import_id: UUID) -> ResponseReturnValue:
    """The lines that were not taken, in the shape of the file, with why."""
    made = rejects.write(commands.find(import_id, by=current_user()))
    response = send_file(made.file, mimetype=made.content_type, as_attachment=True, download_name=made.name)
    response.call_on_close(made.file.close)
    return response


def _address(step: str, import_id: UUID) -> str:
    return url_for(f"imports.{step}", import_id=import_id)
