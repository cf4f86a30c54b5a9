"""Noting on a client's page what the client has consented to, or is against."""

from typing import Any
from uuid import UUID

from flask import Blueprint, make_response, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import RequestEntityTooLarge

from webapp import clock
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import limiter
from webapp.models.consents import Consent, ConsentChannel, ConsentPurpose, ConsentState
from webapp.security import current_user
from webapp.services.clients import documents
from webapp.services.clients.editing import find_client
from webapp.services.consents.listing import find_present
from webapp.services.consents.recording import ConsentFields, Upload, record
from webapp.views.clients import tabs
from webapp.views.clients.documents import FORM_AROUND, PACE
from webapp.views.clients.tabs import ClientTab
from webapp.views.layout import is_fragment_request, toast
from webapp.views.lists import IMPOSSIBLE_DAY, has_impossible_day, read, read_day

bp = Blueprint("consents", __name__, url_prefix="/clients/<uuid:client_id>/consentements")

OTHER_WORDING = "autre"
SAID = {
    ConsentState.GIVEN: "Consentement enregistré",
    ConsentState.WITHDRAWN: "Retrait enregistré",
    ConsentState.REFUSED: "Refus enregistré",
}


@bp.url_value_preprocessor
def _let_files_pass(endpoint: str | None, _values: dict[str, Any] | None) -> None:
    """Other requests are small. Set here, since the CSRF check reads the form before the view does."""
    if endpoint == "consents.add":
        request.max_content_length = documents.SIZE_LIMIT + FORM_AROUND


@bp.errorhandler(RequestEntityTooLarge)
def _refuse_unread(_error: RequestEntityTooLarge) -> ResponseReturnValue:
    """What is so large that nobody reads it: which form it was is not known, so that none is filled in again."""
    client_id = (request.view_args or {})["client_id"]
    try:
        return tabs.page(client_id, ClientTab.CONSENTS, problem=InvalidInputError(documents.TOO_LARGE)), 413
    except NotFoundError:
        return redirect(_address(client_id), 303)  # no handler answers for this one: the page itself says so


@bp.get("")
def show(client_id: UUID) -> ResponseReturnValue:
    """Where a refused form leaves its address: the tab that it stands in."""
    find_client(client_id)
    return redirect(_address(client_id), 303)


@bp.post("")
@limiter.limit(PACE, key_func=lambda: str(session.get("user_id")))
def add(client_id: UUID) -> ResponseReturnValue:
    """Note what the client said; where that is refused, the tab with the form as it was filled in, and the reason."""
    find_client(client_id)
    try:
        consent = record(
            client_id,
            _written(),
            consent_id=read(UUID, request.form.get("consentement")),
            by=current_user(),
            at=clock.now(),
        )
    except InvalidInputError as error:
        return tabs.page(client_id, ClientTab.CONSENTS, problem=error, written=request.form), error.status
    _say(consent)
    if not is_fragment_request():
        return redirect(_address(client_id), 303)
    response = make_response(tabs.page(client_id, ClientTab.CONSENTS, noted=consent.purpose))
    response.headers["HX-Replace-Url"] = _address(client_id)
    return response


def _written() -> ConsentFields:
    """What the form says. Raises InvalidInputError, naming the field."""
    purpose, channel = (
        read(ConsentPurpose, request.form.get("finalite")),
        read(ConsentChannel, request.form.get("canal")),
    )
    if purpose is None:
        raise InvalidInputError("Choisissez la finalité.", field="purpose")
    if channel is None or channel.value not in dict(tabs.CHANNELS):
        raise InvalidInputError("Choisissez comment le client l’a dit.", field="channel")
    if has_impossible_day(request.form.get("date")):
        raise InvalidInputError(IMPOSSIBLE_DAY, field="said_on")
    document, wording = request.form.get("document", ""), request.form.get("texte", "")
    if document and read(UUID, document) is None:
        raise InvalidInputError("Ce document n’est pas, ou plus, l’un de ceux du client.", field="document_id")
    if wording not in ("", OTHER_WORDING) and read(UUID, wording) is None:
        raise InvalidInputError("Choisissez l’un des textes de cette finalité.", field="wording_id")
    file = request.files.get("fichier")
    return ConsentFields(
        purpose=purpose,
        agrees=request.form.get("accord") == "1",
        channel=channel,
        said_on=read_day(request.form.get("date")),
        wording_id=read(UUID, wording),
        is_other_wording=wording == OTHER_WORDING,
        document_id=read(UUID, document),
        upload=Upload(file.filename, file.read()) if file and file.filename else None,
        note=request.form.get("note", ""),
    )


def _say(consent: Consent) -> None:
    """What was noted; where the client said something else later, that this stands."""
    present = find_present(consent.client_id)[consent.purpose]
    words = f"{SAID[consent.state]}\u202f: {consent.purpose.label}."
    if present is None or present.id == consent.id:
        toast("success", words)
    else:
        toast(
            "warning", f"{words} Ce que le client a dit plus tard vaut toujours\u202f: {present.state.label.lower()}."
        )


def _address(client_id: UUID) -> str:
    return url_for("client.show", client_id=client_id, onglet=ClientTab.CONSENTS, vue=request.args.get("vue"))
