"""Operations: their plans, their progress, what they did, and how they are undone."""

from uuid import UUID

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import ForbiddenError, NotFoundError
from webapp.french import whole
from webapp.models.operations import ItemAction, Operation, OperationItem, OperationKind, OperationState
from webapp.security import current_user
from webapp.services.operations import deciding, listing, runs, undoing
from webapp.services.operations.handlers import handler_of
from webapp.services.operations.listing import ItemFilter
from webapp.views.figures.spreadsheets import csv_file
from webapp.views.formats import field_label, field_value
from webapp.views.layout import Kind, accepted, is_fragment_request, toast
from webapp.views.lists import read

bp = Blueprint("operations", __name__, url_prefix="/operations")

TOAST_KINDS: dict[OperationState, Kind] = {
    OperationState.PLANNED: "info",
    OperationState.DONE: "success",
    OperationState.PARTIAL: "warning",
    OperationState.FAILED: "error",
    OperationState.CANCELED: "info",
}
HEADINGS = ("Ligne", "Objet", "Libellé", "Action", "Champ", "Avant", "Après", "Motif")


@bp.get("")
def index() -> ResponseReturnValue:
    """The operations, the newest first (``genre``, ``apres``)."""
    kind = read(OperationKind, request.args.get("genre"))
    page = listing.list_operations(kind=kind, cursor=request.args.get("apres", ""))

    def address(cursor: str | None) -> str | None:
        return None if cursor is None else url_for("operations.index", genre=kind, apres=cursor or None)

    return render_template(
        "operations/list.html",
        rows=page.rows,
        kind=kind,
        kinds=list(OperationKind),
        first_page=address("") if page.previous_cursor else None,
        previous_page=address(page.previous_cursor),
        next_page=address(page.next_cursor),
    )


@bp.get("/<uuid:operation_id>")
def show(operation_id: UUID) -> ResponseReturnValue:
    """One operation: where it is, and its items (``genre``, ``apres``)."""
    operation = runs.find(operation_id)
    if is_fragment_request() and request.args.get("suivi"):
        return _follow(operation)
    if is_fragment_request() and "apres" in request.args:
        return render_template("operations/_item_rows.html", **_items(operation))
    return render_template("operations/show.html", **_page_values(operation))


@bp.post("/<uuid:operation_id>/appliquer")
def apply(operation_id: UUID) -> ResponseReturnValue:
    """Have the plan applied, exactly as it stands."""
    deciding.apply(operation_id, by=current_user(), at=clock.now())
    return accepted(_address(operation_id), lambda: _follow(runs.find(operation_id)))


@bp.post("/<uuid:operation_id>/abandonner")
def cancel(operation_id: UUID) -> ResponseReturnValue:
    """Give the plan up."""
    deciding.cancel(operation_id, by=current_user(), at=clock.now())
    toast("success", "Plan abandonné\u202f: rien n’a été modifié.")
    return redirect(_address(operation_id), 303)


@bp.post("/<uuid:operation_id>/arreter")
def stop(operation_id: UUID) -> ResponseReturnValue:
    """Stop what is being applied, after the part that is under way."""
    deciding.stop(operation_id, by=current_user(), at=clock.now())
    toast("info", "Arrêt demandé.")
    return redirect(_address(operation_id), 303)


@bp.post("/<uuid:operation_id>/annuler")
def undo(operation_id: UUID) -> ResponseReturnValue:
    """Plan the undoing, which is looked at before it is applied."""
    undo_id = undoing.plan_undo(operation_id, by=current_user(), at=clock.now())
    return redirect(_address(undo_id), 303)


@bp.get("/<uuid:operation_id>/elements.csv")
def download(operation_id: UUID) -> ResponseReturnValue:
    """Every item of the operation, a line for each field that changes."""
    operation = runs.find(operation_id)
    rows = [line for row in listing.all_items(operation.id) for line in _lines(operation, row)]
    return csv_file(f"operation-{operation.created_at:%Y-%m-%d}.csv", HEADINGS, rows)


def action_word(operation: Operation, item: OperationItem) -> str:
    """What is to be done with a row, what was done with it, or that it was left out, or not come to."""
    if item.left_out:
        return "Écarté"
    label, done_label = item.action.label, item.action.done_label
    if item.action is ItemAction.LINK and _takes_apart(operation):
        label, done_label = "À détacher", "Détaché"
    if item.position <= operation.reached:
        return done_label
    return "Non appliqué" if operation.is_finished and done_label != label else label


def _takes_apart(operation: Operation) -> bool:
    """Whether what was linked is parted again: an undo links nothing else."""
    return operation.kind is OperationKind.UNDO


def filter_word(operation: Operation, only: ItemFilter) -> str:
    """What a filter of the items is called."""
    return "Détachement" if only is ItemFilter.LINKS and _takes_apart(operation) else only.label


def _lines(operation: Operation, row: listing.ItemRow) -> list[list[str]]:
    item = row.item
    head = [str(item.line or item.position), item.target.label, item.label, action_word(operation, item)]
    why = item.left_out or item.reason or ""
    return [
        [*head, field_label(key), _worded(before, key), _worded(after, key), why] for key, before, after in row.changes
    ] or [[*head, "", "", "", why]]


def _worded(value: str | None, key: str) -> str:
    return "" if value is None else field_value(value, key)


def _address(operation_id: UUID) -> str:
    return url_for("operations.show", operation_id=operation_id)


def _follow(operation: Operation) -> Response:
    """The progress; once it has come to its end, the page anew, with a toast that says so."""
    if operation.state.is_worked_on:
        return make_response(render_template("operations/_progress.html", operation=operation))
    toast(TOAST_KINDS[operation.state], sentence(operation))
    return make_response("", {"HX-Redirect": _address(operation.id)})


def _page_values(operation: Operation) -> dict[str, object]:
    at = clock.now()
    return {
        "operation": operation,
        "sentence": sentence(operation),
        "may_decide": _may_decide(operation),
        "can_undo": operation.can_be_undone(at=at),
        "past_undoing": undoing.PAST if operation.is_past_undoing(at=at) else "",
        "listed_in": operation.listed_in_in_clear() if operation.kind is OperationKind.BULK else None,
        "undone_by": listing.find_undo(operation.id),
        **_items(operation),
    }


def _items(operation: Operation) -> dict[str, object]:
    only = read(ItemFilter, request.args.get("genre"))
    counts = listing.count_items(operation.id)
    page = listing.list_items(operation.id, only, after=read(int, request.args.get("apres")) or 0)
    filters = [each for each in ItemFilter if counts[each] or each is only]
    return {
        "operation": operation,
        "items": page.rows,
        "after": page.after,
        "only": only,
        "counts": counts,
        "filters": filters,
        "actions": ItemAction,
        "action_word": action_word,
        "filter_word": filter_word,
    }


def _may_decide(operation: Operation) -> bool:
    try:
        handler_of(operation.kind).check_right(operation, current_user())
    except (ForbiddenError, NotFoundError):
        return False
    return True


def sentence(operation: Operation) -> str:
    """Where the operation is, and what it came to."""
    if operation.state is OperationState.FAILED:
        return operation.error or "L’opération a échoué."
    if operation.state is OperationState.CANCELED:
        return "Abandonnée\u202f: rien n’a été modifié."
    if operation.state in (OperationState.PREPARING, OperationState.RUNNING):
        return operation.state.label
    counts = _planned(operation) if operation.state is OperationState.PLANNED else _applied(operation)
    told = ", ".join(f"{whole(number)} {word}" for number, word in counts if number) or "rien à faire"
    ended = f"{operation.state.label}\u202f: {told}."
    return f"{ended} {operation.error}" if operation.error else ended


def _planned(operation: Operation) -> list[tuple[int, str]]:
    return [
        (operation.creates, "à créer"),
        *_planned_changes(operation),
        (operation.links, "à détacher" if _takes_apart(operation) else "à rattacher"),
        (operation.unchanged, "inchangés" if operation.unchanged > 1 else "inchangé"),
        (operation.undecided, "à décider"),
        (operation.errors, "en erreur"),
    ]


def _planned_changes(operation: Operation) -> list[tuple[int, str]]:
    """What becomes of rows that are there; only some kinds do more than modify them."""
    if operation.kind not in (OperationKind.UNDO, OperationKind.ERASURE):
        return [(operation.updates, "à modifier")]
    counts = listing.count_items(operation.id)
    return [
        (counts[ItemFilter.UPDATES], "à modifier"),
        (counts[ItemFilter.REMOVES], "à retirer"),
        (counts[ItemFilter.ERASES], "à effacer"),
    ]


def _applied(operation: Operation) -> list[tuple[int, str]]:
    return [
        (operation.applied, "appliqués" if operation.applied > 1 else "appliqué"),
        (operation.left_out, "écartés" if operation.left_out > 1 else "écarté"),
        (operation.unchanged, "inchangés" if operation.unchanged > 1 else "inchangé"),
        (operation.undecided, "non décidés" if operation.undecided > 1 else "non décidé"),
        (operation.errors, "en erreur"),
    ]
