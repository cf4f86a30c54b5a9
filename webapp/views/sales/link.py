"""The link by which a client reads a sale and accepts it. Nobody is signed in; the token is the right.

The token stands in the address alone: no page here names another site, no answer is kept, and none is to be found by a
search engine. A GET changes nothing, since mail filters follow links; the POST needs no CSRF token, since nobody can
send it who does not know the link.
"""

from uuid import UUID

from flask import Blueprint, Response, make_response, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock, tenancy
from webapp.errors import DomainError, NotFoundError
from webapp.extensions import csrf, limiter
from webapp.security import public
from webapp.services import plan_documents
from webapp.services.sales import drafting, offers, signing
from webapp.services.sales.signing import Acceptance
from webapp.services.sales.wordings import WORDING
from webapp.views.covers.plans import send_document

bp = Blueprint("sale_link", __name__, url_prefix="/accord")
csrf.exempt(bp)

VISITS = "30 per minute"


@bp.get("/<token>")
@public
@limiter.limit(VISITS)
def show(token: str) -> ResponseReturnValue:
    """The sale, and « J’accepte »."""
    try:
        organisation_id, _ = signing.find_link(token)
        with tenancy.organisation(organisation_id):
            return _page(token, signing.read_link(token, at=clock.now()))
    except DomainError as error:
        return _refusal(error)


@bp.post("/<token>")
@public
@limiter.limit(VISITS)
def accept(token: str) -> ResponseReturnValue:
    """The client accepts; whoever is to give a means of payment is led there at once."""
    try:
        organisation_id, _ = signing.find_link(token)
        with tenancy.organisation(organisation_id):
            read = signing.accept(token, from_address=request.remote_addr or "", at=clock.now())
            return _page(token, read)
    except DomainError as error:
        return _refusal(error)


@bp.get("/<token>/documents/<uuid:document_id>")
@public
@limiter.limit(VISITS)
def document(token: str, document_id: UUID) -> ResponseReturnValue:
    """A document of the plan."""
    try:
        organisation_id, sale_id = signing.find_link(token)
        with tenancy.organisation(organisation_id):
            version_id = offers.sold_of(drafting.find_sale(sale_id)).id
            return _guarded(send_document(*plan_documents.find_file(document_id, version_id=version_id)))
    except DomainError as error:
        return _refusal(error)


def _page(token: str, read: Acceptance) -> Response:
    sale, asked = read.sale, signing.find_means_request(read.sale)
    content = render_template(
        "sales/accept.html",
        title="C’est signé" if read.offer is None else "Votre souscription",
        sale=sale,
        offer=read.offer,
        company=offers.sold_of(sale).plan.company.name,
        home_line=drafting.home_line(sale),
        token=token,
        wording=WORDING,
        means_address=url_for("means_link.show", token=asked.token_in_clear()) if asked else None,
        sentence="",
    )
    return _guarded(make_response(content))


def _refusal(error: DomainError) -> ResponseReturnValue:
    title = "Lien inconnu" if isinstance(error, NotFoundError) else "Page indisponible"
    content = render_template(
        "sales/accept.html", title=title, sentence=error.message, offer=None, sale=None, company="", means_address=None
    )
    return _guarded(make_response(content, error.status))


def _guarded(response: Response) -> Response:
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Robots-Tag"] = "noindex"
    return response
