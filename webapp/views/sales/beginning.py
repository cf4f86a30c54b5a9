"""The first step of a sale: the client, found or created. The draft begins with it."""

from typing import Any
from uuid import UUID

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import DomainError, InvalidInputError
from webapp.models.base import new_id
from webapp.models.clients import Civility
from webapp.models.sales import CoverSale, SaleStep
from webapp.security import current_user
from webapp.services.clients.duplicates import SimilarClient, SimilarClientsError
from webapp.services.clients.fields import ClientFields, find_own_commercial
from webapp.services.concurrent_edits import EditConflictError
from webapp.services.sales import drafting
from webapp.services.sales.drafting import SaleStateError
from webapp.services.search import search_everywhere
from webapp.views.layout import is_fragment_request
from webapp.views.lists import read
from webapp.views.rate_limits import paced
from webapp.views.sales.framing import frame, seen_version, to_step

bp = Blueprint("sale_beginning", __name__, url_prefix="/souscriptions")

CIVILITIES = [("", "—"), *((each.value, each.value) for each in Civility)]


@bp.get("/nouvelle")
@paced
def new() -> ResponseReturnValue:
    """Whom a cover is sold to: who is found by ``?q=``, or somebody new."""
    if is_fragment_request():
        return render_template("sales/_clients.html", sale=None, **_found())
    return _page(None)


@bp.post("/nouvelle")
def begin() -> ResponseReturnValue:
    """Begin a sale to a client that is there."""
    client_id = read(UUID, request.form.get("client"))
    if client_id is None:
        error = InvalidInputError("Choisissez un client, ou créez-en un.", field="client")
        return _page(None, error), error.status
    sale = drafting.open_sale(client_id, sale_id=_sale_id(), by=current_user(), at=clock.now())
    return to_step(sale)


@bp.post("/nouvelle/client")
def create() -> ResponseReturnValue:
    """Create the client, and begin a sale to them; clients who look alike are shown first."""
    try:
        sale = drafting.open_with_client(
            _written(), confirmed="confirme" in request.form, sale_id=_sale_id(), by=current_user(), at=clock.now()
        )
    except SimilarClientsError as error:
        return _page(None, similar=error.clients), error.status
    except InvalidInputError as error:
        return _page(None, error), error.status
    return to_step(sale)


@bp.get("/<uuid:sale_id>/client")
def client(sale_id: UUID) -> ResponseReturnValue:
    """The client of a sale, and how to choose another."""
    sale = drafting.find_sale(sale_id)
    if is_fragment_request():
        return render_template("sales/_clients.html", sale=sale, **_found())
    return _page(sale) if sale.is_open else to_step(sale)


@bp.post("/<uuid:sale_id>/client")
def choose(sale_id: UUID) -> ResponseReturnValue:
    """Sell to another client, or go on with the same."""
    try:
        sale = drafting.choose_client(
            sale_id,
            read(UUID, request.form.get("client")),
            version=seen_version(),
            at=clock.now(),
        )
    except (InvalidInputError, EditConflictError, SaleStateError) as error:
        return _page(drafting.find_sale(sale_id), error), error.status
    return to_step(sale, SaleStep.HOME)


def _sale_id() -> UUID | None:
    return read(UUID, request.form.get("souscription"))


def _found() -> dict[str, Any]:
    """Who is found; without words those who changed last."""
    typed = " ".join(request.args.get("q", "").split())
    results = search_everywhere(typed)
    sale_id = read(UUID, request.args.get("souscription")) or new_id()
    return {"typed": typed, "results": results, "sale_id": sale_id, "searched": request.args.get("q") is not None}


def _written() -> ClientFields:
    form = request.form
    return ClientFields(
        civility=read(Civility, form.get("civilite")),
        last_name=form.get("nom", ""),
        first_name=form.get("prenom", ""),
        email=form.get("email") or None,
        phone=form.get("telephone") or None,
        address_line1=form.get("adresse") or None,
        address_line2=form.get("complement") or None,
        postcode=form.get("code_postal") or None,
        city=form.get("ville") or None,
        commercial_id=find_own_commercial(current_user()),
    )


def _page(
    sale: CoverSale | None, problem: DomainError | None = None, *, similar: list[SimilarClient] | None = None
) -> str:
    values = _found() | {"sale_id": _sale_id() or new_id()}
    return render_template(
        "sales/client.html",
        **frame(sale, SaleStep.CLIENT, problem),
        **values,
        similar=similar or [],
        written=request.form,
        civilities=CIVILITIES,
    )
