"""Files of a client: added, served with rights checked, taken away."""

from pathlib import Path
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, redirect, request, send_file, session, url_for
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Response as BaseResponse

from webapp import clock
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import limiter
from webapp.models.documents import Document
from webapp.security import current_user
from webapp.services.clients import documents
from webapp.services.clients.documents import SIZE_LIMIT
from webapp.services.clients.editing import find_client
from webapp.views.clients import tabs
from webapp.views.clients.page import REVEALS
from webapp.views.clients.tabs import ClientTab
from webapp.views.layout import toast
from webapp.views.subscriptions.form import asked_day

bp = Blueprint("documents", __name__, url_prefix="/clients/<uuid:client_id>/documents")

PACE = "30 per minute; 500 per day"
FORM_AROUND = 100_000
"""Bytes that the form adds to the file."""

Page = str | BaseResponse | tuple[str, int]


@bp.url_value_preprocessor
def _let_files_pass(endpoint: str | None, _values: dict[str, Any] | None) -> None:
    """Other requests are small. Set here, since the CSRF check reads the form before the view does."""
    if endpoint == "documents.add":
        request.max_content_length = SIZE_LIMIT + FORM_AROUND


@bp.errorhandler(RequestEntityTooLarge)
def _refuse_unread(_error: RequestEntityTooLarge) -> Page:
    """What is so large that nobody reads it is refused where any other file is: beside the field."""
    client_id = (request.view_args or {})["client_id"]
    try:
        problem = InvalidInputError(documents.TOO_LARGE, field="file")
        return tabs.page(client_id, ClientTab.DOCUMENTS, problem=problem), 413
    except NotFoundError:
        return _tab(client_id)  # no handler answers for this one: the page itself says that there is none


@bp.post("")
@limiter.limit(PACE, key_func=lambda: str(session.get("user_id")))
def add(client_id: UUID) -> Page:
    """Keep the file ``fichier``; where that is refused, the tab again with the reason."""
    find_client(client_id)
    file = request.files.get("fichier")
    try:
        document = documents.add_document(
            client_id,
            (file.filename or "") if file else "",
            file.read() if file else b"",
            valid_until=asked_day("valable", field="valid_until"),
            by=current_user(),
            at=clock.now(),
        )
    except InvalidInputError as error:
        return tabs.page(client_id, ClientTab.DOCUMENTS, problem=error), error.status
    toast("success", f"{document.name} a été ajouté.")
    return _tab(client_id)


@bp.get("")
def show(client_id: UUID) -> BaseResponse:
    """Where a refused file leaves its address: the tab that its form stands in."""
    find_client(client_id)
    return _tab(client_id)


@bp.get("/<uuid:document_id>")
def download(client_id: UUID, document_id: UUID) -> Response:
    """The file, always as a download: nothing that somebody put here is shown under our name."""
    return _sent(*documents.find_file(client_id, document_id))


@bp.post("/<uuid:document_id>/mandat-signe")
@limiter.limit(REVEALS, key_func=lambda: str(session.get("user_id")))
def open_signed_copy(client_id: UUID, document_id: UUID) -> Response:
    """The signed copy of a mandate, for those who may see IBANs; the timeline tells who looked."""
    return _sent(*documents.open_signed_copy(client_id, document_id, by=current_user(), at=clock.now()))


def _sent(document: Document, path: Path) -> Response:
    response = send_file(path, mimetype=document.content_type, as_attachment=True, download_name=document.name)
    response.headers["Cache-Control"] = "private, no-store"
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return response


@bp.post("/<uuid:document_id>/validite")
def set_validity(client_id: UUID, document_id: UUID) -> BaseResponse:
    """Say until when it is valid, on the client's tab or, with ``dossier``, on the page of its claim file."""
    try:
        document = documents.set_validity(
            client_id,
            document_id,
            asked_day("valable", field="valid_until"),
            by=current_user(),
            at=clock.now(),
        )
        toast("success", f"Validité de {document.name} enregistrée.")
    except InvalidInputError as error:
        document = documents.find_document(client_id, document_id)
        toast("error", error.message)
    if "dossier" in request.args and document.claim_id:
        return redirect(url_for("claim.show", claim_id=document.claim_id), code=303)
    return _tab(client_id)


@bp.post("/<uuid:document_id>/retirer")
def remove(client_id: UUID, document_id: UUID) -> Page:
    """Take the file away."""
    document = documents.remove_document(client_id, document_id, by=current_user(), at=clock.now())
    toast("success", f"{document.name} a été retiré.")
    return _tab(client_id)


def _tab(client_id: UUID) -> BaseResponse:
    address = url_for("client.show", client_id=client_id, onglet=ClientTab.DOCUMENTS, vue=request.args.get("vue"))
    return redirect(address, code=303)
