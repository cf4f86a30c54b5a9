"""Notes, tasks and files that people put on a claim file."""

from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import RequestEntityTooLarge

from webapp import clock
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import limiter
from webapp.security import current_user
from webapp.services.claims import notes
from webapp.services.clients import documents
from webapp.services.clients.documents import SIZE_LIMIT
from webapp.views.claims import page
from webapp.views.clients.documents import FORM_AROUND, PACE
from webapp.views.layout import toast
from webapp.views.lists import read
from webapp.views.subscriptions.form import asked_day

bp = Blueprint("claim_notes", __name__, url_prefix="/dossiers/<uuid:claim_id>")


@bp.url_value_preprocessor
def _let_files_pass(endpoint: str | None, _values: dict[str, Any] | None) -> None:
    if endpoint == "claim_notes.add_file":
        request.max_content_length = SIZE_LIMIT + FORM_AROUND


@bp.errorhandler(RequestEntityTooLarge)
def _refuse_unread(_error: RequestEntityTooLarge) -> ResponseReturnValue:
    claim_id = (request.view_args or {})["claim_id"]
    try:
        problem = InvalidInputError(documents.TOO_LARGE, field="file")
        return page.show_page(claim_id, problem=problem, was_read=False), 413
    except NotFoundError:
        return _back(claim_id)


@bp.post("/notes")
def add_note(claim_id: UUID) -> ResponseReturnValue:
    """Write a note down."""
    try:
        notes.add_note(claim_id, request.form.get("note", ""), demand=_demand(), by=current_user(), at=clock.now())
    except InvalidInputError as error:
        error.field = "note"
        return page.show_page(claim_id, problem=error), error.status
    toast("success", "Note enregistrée.")
    return _back(claim_id)


@bp.post("/taches")
def add_task(claim_id: UUID) -> ResponseReturnValue:
    """Give somebody a task."""
    try:
        notes.add_task(
            claim_id,
            request.form.get("tache", ""),
            due_on=asked_day("echeance", field="due_on"),
            for_id=read(UUID, request.form.get("pour")),
            demand=_demand(),
            by=current_user(),
            at=clock.now(),
        )
    except InvalidInputError as error:
        return page.show_page(claim_id, problem=error), error.status
    toast("success", "Tâche ajoutée.")
    return _back(claim_id)


@bp.post("/taches/<uuid:task_id>")
def tick(claim_id: UUID, task_id: UUID) -> ResponseReturnValue:
    """Tick a task off, or with ``faite=0`` open it again."""
    done = request.form.get("faite", "1") != "0"
    notes.set_done(claim_id, task_id, done, by=current_user(), at=clock.now())
    toast("success", "Tâche faite." if done else "Tâche rouverte.")
    return _back(claim_id)


@bp.post("/documents")
@limiter.limit(PACE, key_func=lambda: str(session.get("user_id")))
def add_file(claim_id: UUID) -> ResponseReturnValue:
    """Keep the file ``fichier``."""
    file = request.files.get("fichier")
    name, content = (file.filename or "", file.read()) if file else ("", b"")
    try:
        document = notes.add_file(
            claim_id,
            name,
            content,
            valid_until=asked_day("valable", field="valid_until"),
            by=current_user(),
            at=clock.now(),
        )
    except InvalidInputError as error:
        return page.show_page(claim_id, problem=error), error.status
    toast("success", f"{document.name} a été ajouté.")
    return _back(claim_id)


def _demand() -> UUID | None:
    """What tells the form from others: sent twice, it is carried out once."""
    return read(UUID, request.form.get("demande"))


def _back(claim_id: UUID) -> ResponseReturnValue:
    return redirect(url_for("claim.show", claim_id=claim_id), 303)
