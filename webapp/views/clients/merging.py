"""Merging clients: several side by side, and what a person chooses of each."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import DomainError, InvalidInputError
from webapp.models.operations import UNDO_WITHIN, OperationState
from webapp.security import current_user
from webapp.services.merging.commands import Choices, StaleError, merge
from webapp.services.merging.preview import FIELDS, Preview, preview
from webapp.services.merging.tables import BELONGINGS
from webapp.views.clients.side_by_side import LABELS, words
from webapp.views.layout import toast

bp = Blueprint("merging", __name__, url_prefix="/clients/fusion")


@bp.get("")
def show() -> ResponseReturnValue:
    """The clients of the address (``fiche``, twice or more) side by side."""
    return _page(preview(_client_ids(), by=current_user()))


@bp.post("")
def perform() -> ResponseReturnValue:
    """Merge them; where that is refused, the page again with the reason, as it was filled in."""
    client_ids, by = _client_ids(), current_user()
    choices = _choices()
    try:
        operation = merge(client_ids, choices, by=by, at=clock.now())
    except StaleError as error:  # what was chosen was chosen of other values
        return _page(preview(client_ids, by=by, kept_id=choices.kept_id), problem=error), error.status
    except DomainError as error:
        shown = preview(client_ids, by=by, kept_id=choices.kept_id)  # raises where there is no such page
        problem = None if shown.obstacles else error
        return _page(shown, problem=problem, choices=choices), error.status
    if operation.state is not OperationState.DONE:
        toast("error", operation.error or "La fusion se poursuit.")
        return redirect(url_for("operations.show", operation_id=operation.id), code=303)
    toast("success", f"{operation.title}\u202f: c’est fait. Vous pouvez l’annuler pendant {UNDO_WITHIN.days} jours.")
    return redirect(url_for("client.show", client_id=choices.kept_id), code=303)


def _client_ids() -> list[UUID]:
    """Raises InvalidInputError for what is no id."""
    try:
        return [UUID(each) for each in request.args.getlist("fiche")]
    except ValueError as error:
        raise InvalidInputError("Choisissez les clients à fusionner.", field="fiche") from error


def _choices() -> Choices:
    return Choices(
        kept_id=_ids("gardee", [""]).get("", UUID(int=0)),
        values=_ids("valeur-", FIELDS),
        defaults={
            UUID(name): chosen
            for name, chosen in _ids(
                "moyen-", [name.removeprefix("moyen-") for name in request.form if name.startswith("moyen-")]
            ).items()
        },
        versions=_versions(),
        is_understood="compris" in request.form,
    )


def _ids(prefix: str, names: Sequence[str] | dict[str, Any]) -> dict[str, UUID]:
    """The ids that the form names; what is none is left out."""
    found = {}
    for name in names:
        with suppress(ValueError):
            found[name] = UUID(request.form.get(f"{prefix}{name}", ""))
    return found


def _versions() -> dict[UUID, int]:
    versions = {}
    for name, value in request.form.items():
        if name.startswith("version-"):
            with suppress(ValueError):
                versions[UUID(name.removeprefix("version-"))] = int(value)
    return versions


def _page(shown: Preview, *, problem: DomainError | None = None, choices: Choices | None = None) -> str:
    chosen = {each.key: each.chosen for each in shown.fields} | dict(choices.values if choices else {})
    totals = [
        (belonging.many, [shown.counts[client.id].get(table, 0) for client in shown.clients])
        for table, belonging in BELONGINGS.items()
        if belonging.many
    ]
    return render_template(
        "merging/show.html",
        shown=shown,
        problem=problem,
        chosen=chosen,
        defaults=choices.defaults if choices else {},
        is_understood=choices.is_understood if choices else False,
        totals=[(what, numbers) for what, numbers in totals if any(numbers)],
        labels=LABELS,
        words=words,
        days=UNDO_WITHIN.days,
        here=url_for("merging.perform", fiche=[client.id for client in shown.clients]),
    )
