"""Sequences of steps as an admin sets them: a change is the next version, and old ones are kept to be looked at."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock, french
from webapp.errors import DomainError, InvalidInputError
from webapp.models.dunning import DunningSequence, DunningSequenceStep, StepAction
from webapp.models.identity import Role
from webapp.security import current_user, requires
from webapp.services.dunning import sequences, steps
from webapp.services.dunning.sequences import KINDS, StepFields
from webapp.services.organisations import list_companies
from webapp.views.layout import toast
from webapp.views.lists import read

bp = Blueprint("dunning_sequences", __name__, url_prefix="/reglages/relances")

for_admins = requires(Role.ADMIN)

BLANK_ROWS = 4
KIND_LABELS = {
    "dunning_reminder": "relance",
    "dunning_sms": "relance",
    "formal_notice": "mise en demeure",
    "suspension_notice": "avis de suspension",
    "termination_notice": "avis de résiliation",
}
ACTIONS = [("", "—")] + [
    (f"{action.value}:{kind or ''}", f"{action.label}{f' ({KIND_LABELS[kind]})' if kind else ''}")
    for action in StepAction
    if action is not StepAction.RESUME
    for kind in KINDS.get(action, (None,))
]


@bp.get("")
@for_admins
def index() -> ResponseReturnValue:
    """The sequences in use, with their steps."""
    return render_template(
        "dunning/sequences.html", sequences=sequences.list_current(at=clock.now()), label_of=steps.label_of
    )


@bp.route("/nouvelle", methods=["GET", "POST"])
@for_admins
def new() -> ResponseReturnValue:
    """The form of a sequence for a company or a family, and its first version."""
    if request.method == "GET":
        return _form_page(None, _shown(sequences.load_default(at=clock.now())))
    try:
        made = sequences.create_sequence(
            name=request.form.get("nom", ""),
            company_id=read(UUID, request.form.get("societe")),
            product_category=request.form.get("famille", ""),
            is_insurance="assurance" in request.form,
            steps=_written_steps(),
            by=current_user().id,
            at=clock.now(),
        )
    except DomainError as error:
        return _form_page(None, request.form, problem=error), error.status
    return _done(f"Séquence «\u00a0{made.name}\u00a0» créée.", made)


@bp.route("/<uuid:sequence_id>", methods=["GET", "POST"])
@for_admins
def edit(sequence_id: UUID) -> ResponseReturnValue:
    """A version with its form, from which the next one is made, and the versions before it."""
    sequence = sequences.find_sequence(sequence_id)
    if request.method == "GET":
        return _form_page(sequence, _shown(sequence))
    try:
        made = sequences.change_sequence(
            sequence_id,
            name=request.form.get("nom", ""),
            is_insurance="assurance" in request.form,
            steps=_written_steps(),
            by=current_user().id,
            at=clock.now(),
        )
    except DomainError as error:
        return _form_page(sequence, request.form, problem=error), error.status
    return _done(f"Version {made.version} enregistrée\u202f: elle vaut pour les dossiers à venir.", made)


@bp.post("/<uuid:sequence_id>/retirer")
@for_admins
def retire(sequence_id: UUID) -> ResponseReturnValue:
    """Use a sequence for no further case."""
    try:
        sequences.retire_sequence(sequence_id, at=clock.now())
    except InvalidInputError as error:
        return _form_page(sequences.find_sequence(sequence_id), {}, problem=error), error.status
    toast("success", "Séquence retirée\u202f: les dossiers en cours la gardent.")
    return redirect(url_for("dunning_sequences.index"), 303)


def _written_steps() -> list[StepFields]:
    """The rows of the form that say something, in their order."""
    found: list[StepFields] = []
    for number in range(min(len(request.form.getlist("rang")), sequences.MOST_STEPS + 1)):
        if not any(request.form.get(f"{name}-{number}", "").strip() for name in ("action", "jour", "titre")):
            continue
        found.append(_step(number, f"step-{len(found)}"))
    return found


def _step(number: int, field: str) -> StepFields:
    """What one row says. Raises InvalidInputError for ``field``."""
    action, _, kind = request.form.get(f"action-{number}", "").partition(":")
    day, title = request.form.get(f"jour-{number}", "").strip(), request.form.get(f"titre-{number}", "")
    chosen, on = read(StepAction, action), read(int, day)
    if chosen is None:
        raise InvalidInputError("Choisissez ce que fait cette étape.", field=field)
    if on is None or abs(on) > 10 * sequences.FARTHEST_DAY:
        raise InvalidInputError("Indiquez un nombre de jours.", field=field)
    typed = request.form.get(f"minimum-{number}", "").strip()
    minimum = french.read_number(typed) if typed else Decimal(0)
    if minimum is None or not minimum.is_finite():
        raise InvalidInputError("Indiquez un montant, par exemple 15,00.", field=field)
    return StepFields(
        day=on,
        action=chosen,
        message_kind=kind or None,
        in_working_days=request.form.get(f"compte-{number}") == "ouvres",
        minimum_amount=minimum,
        title=title,
        asks_means=f"lien-{number}" in request.form,
    )


def _shown(sequence: DunningSequence) -> dict[str, str]:
    """A version as its form shows it."""
    values = {"nom": sequence.name}
    if sequence.is_insurance:
        values["assurance"] = "1"
    for number, step in enumerate(sequence.steps):
        values |= _shown_step(number, step)
    return values


def _shown_step(number: int, step: DunningSequenceStep) -> dict[str, str]:
    shown = {f"lien-{number}": "1"} if step.asks_means else {}
    return shown | {
        f"jour-{number}": str(step.day),
        f"compte-{number}": "ouvres" if step.in_working_days else "calendaires",
        f"action-{number}": f"{step.action.value}:{step.message_kind or ''}",
        f"minimum-{number}": french.quantity(step.minimum_amount) if step.minimum_amount else "",
        f"titre-{number}": step.title,
    }


def _form_page(sequence: DunningSequence | None, written: Any, *, problem: DomainError | None = None) -> str:
    rows = max((int(name.partition("-")[2]) + 1 for name in written if _is_row(name)), default=0)
    fault = problem.field if problem and problem.field and problem.field.startswith("step") else None
    return render_template(
        "dunning/sequence.html",
        sequence=sequence,
        versions=sequences.list_versions(sequence) if sequence else [],
        written=written,
        rows=range(min(max(rows, 1) + (0 if written is request.form else BLANK_ROWS), sequences.MOST_STEPS + 1)),
        problem=problem,
        fault_row=_row_of(fault) if fault else None,
        actions=ACTIONS,
        companies=[("", "Toutes les sociétés"), *((str(each.id), each.name) for each in list_companies())],
        categories=[("", "Toutes les familles"), *((each, each) for each in sequences.list_categories())],
    )


def _is_row(name: str) -> bool:
    prefix, _, number = name.partition("-")
    return prefix == "action" and number.isascii() and number.isdigit() and len(number) < 4


def _row_of(field: str) -> int | None:
    """In which row of the form the step stands that a refusal names: rows that say nothing are no steps."""
    position = read(int, field.partition("-")[2])
    written = [
        number
        for number in range(len(request.form.getlist("rang")))
        if any(request.form.get(f"{name}-{number}", "").strip() for name in ("action", "jour", "titre"))
    ]
    return written[position] if position is not None and position < len(written) else None


def _done(sentence: str, sequence: DunningSequence) -> ResponseReturnValue:
    toast("success", sentence)
    return redirect(url_for("dunning_sequences.edit", sequence_id=sequence.id), 303)
