"""The last step of a sale: signed on paper, or by a link that the client is sent."""

from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import RequestEntityTooLarge

from webapp import clock
from webapp.errors import DomainError, InvalidInputError
from webapp.extensions import limiter
from webapp.models.sales import CoverSale, SaleStep
from webapp.security import current_user
from webapp.services.clients import documents
from webapp.services.concurrent_edits import EditConflictError
from webapp.services.messages.listing import list_about
from webapp.services.sales import drafting, offers, signing
from webapp.services.sales.drafting import SaleStateError
from webapp.services.sales.offers import StepMissingError
from webapp.services.sales.wordings import WORDING, find_wording
from webapp.views.clients.documents import FORM_AROUND, PACE
from webapp.views.layout import is_fragment_request, toast
from webapp.views.sales.framing import frame, seen_version, to_step
from webapp.views.sales.steps import summary_values

bp = Blueprint("sale_signing", __name__, url_prefix="/souscriptions/<uuid:sale_id>/signature")


@bp.url_value_preprocessor
def _let_files_pass(endpoint: str | None, _values: dict[str, Any] | None) -> None:
    """Other requests are small. Set here, since the CSRF check reads the form before the view does."""
    if endpoint == "sale_signing.sign":
        request.max_content_length = documents.SIZE_LIMIT + FORM_AROUND


@bp.errorhandler(RequestEntityTooLarge)
def _refuse_unread(_error: RequestEntityTooLarge) -> ResponseReturnValue:
    """What is so large that nobody reads it: the step says so."""
    toast("error", documents.TOO_LARGE)
    return redirect(url_for("sale_signing.show", sale_id=(request.view_args or {})["sale_id"]), 303)


@bp.get("")
def show(sale_id: UUID) -> ResponseReturnValue:
    """How the client can sign; once the link is sent, whether it was used: the page asks by itself."""
    sale = drafting.find_sale(sale_id)
    if is_fragment_request():
        return _state(sale)
    if sale.plan_version is None or not sale.is_open:
        return to_step(sale)
    return _page(sale)


def _state(sale: CoverSale) -> ResponseReturnValue:
    """Nothing new: nothing is swapped. Signed: on to the cover."""
    if sale.cover_id:
        return "", 200, {"HX-Redirect": url_for("cover.show", cover_id=sale.cover_id)}
    return "", 204


@bp.get("/preuve")
def prove(sale_id: UUID) -> ResponseReturnValue:
    """What was signed, when, how, and by which words: what stands in court."""
    sale = drafting.find_sale(sale_id)
    if sale.is_open:
        return to_step(sale)
    return render_template(
        "sales/proof.html",
        sale=sale,
        offer=offers.offer_of(sale, at=clock.now()) if sale.plan_version and sale.has_home else None,
        home_line=drafting.home_line(sale),
        wording=find_wording(sale.wording_version),
    )


@bp.post("/papier")
@limiter.limit(PACE, key_func=lambda: str(session.get("user_id")))
def sign(sale_id: UUID) -> ResponseReturnValue:
    """The client has signed on paper: the scan is kept, and the sale concluded."""
    file = request.files.get("fichier")
    try:
        sale = signing.sign_on_paper(
            sale_id,
            (file.filename or "") if file else "",
            file.read() if file else b"",
            version=seen_version(),
            by=current_user(),
            at=clock.now(),
        )
    except (StepMissingError, InvalidInputError, EditConflictError, SaleStateError) as error:
        return _refused(sale_id, error)
    asked = signing.find_means_request(sale)
    toast("success", f"Souscription {sale.code} signée\u202f: la couverture prend effet avec le premier paiement.")
    if asked is not None:
        return redirect(url_for("means_requests.show", client_id=sale.client_id, request_id=asked.id), 303)
    return to_step(sale)


@bp.post("/lien")
def send(sale_id: UUID) -> ResponseReturnValue:
    """Send the client the link to accept by."""
    try:
        signing.send_link(sale_id, version=seen_version(), by=current_user(), at=clock.now())
    except (StepMissingError, InvalidInputError, EditConflictError, SaleStateError) as error:
        return _refused(sale_id, error)
    toast("success", "Le lien part par e-mail\u202f: cette page suit la réponse du client.")
    return redirect(url_for("sale_signing.show", sale_id=sale_id), 303)


def _refused(sale_id: UUID, error: DomainError) -> ResponseReturnValue:
    if isinstance(error, StepMissingError):
        toast("warning", error.message)
        return to_step(drafting.find_sale(sale_id), error.step)
    return _page(drafting.find_sale(sale_id), error), error.status


def _page(sale: CoverSale, problem: DomainError | None = None) -> str:
    return render_template(
        "sales/signature.html",
        **frame(sale, SaleStep.SIGNATURE, problem),
        **summary_values(sale),
        wording=WORDING,
        taken=documents.TAKEN,
        accepted=",".join(documents.KINDS),
        messages=list_about(sale.id),
    )
