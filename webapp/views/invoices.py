"""Invoices: the list, one with what was paid on it, and its PDF."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from flask import Blueprint, make_response, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp.models.invoices import InvoiceStatus
from webapp.services.invoices import listing, printing
from webapp.services.invoices.listing import InvoicesView
from webapp.services.subscriptions.offering import list_companies
from webapp.views.layout import is_fragment_request
from webapp.views.lists import Chip, read

bp = Blueprint("invoices", __name__, url_prefix="/factures")

STATUSES = [("", "Tous les statuts"), *((each.value, each.label) for each in InvoiceStatus)]
COUNTED = 1000
"""Up to how many the number below the list is exact."""


@bp.get("")
def index() -> ResponseReturnValue:
    """The list of invoices as the address says. What cannot be read in it is ignored."""
    view = _read_view()
    shown = listing.list_invoices(view)
    number = listing.count_invoices(view, at_most=COUNTED + 1)
    values: dict[str, Any] = {
        "view": view,
        "rows": shown.rows,
        "number": min(number, COUNTED),
        "is_capped": number > COUNTED,
        "balances": listing.balances_of_client(view.client_id) if view.client_id else [],
        "first_page": _address(view, cursor="") if view.cursor else None,
        "next_page": _address(view, cursor=shown.next_cursor) if shown.next_cursor else None,
    }
    if not is_fragment_request():
        return render_template("invoices/list.html", **values, **_form_values(view))
    response = make_response(render_template("invoices/_list.html", **values))
    if request.headers.get("HX-Source") == "form#invoices-filters":
        response.headers["HX-Push-Url"] = _address(view)  # without the filters that filter nothing
    return response


def _read_view() -> InvoicesView:
    return InvoicesView(
        search=" ".join(request.args.get("q", "").split()),
        status=read(InvoiceStatus, request.args.get("statut")),
        client_id=read(UUID, request.args.get("client")),
        company_id=read(UUID, request.args.get("societe")),
        cursor=request.args.get("apres", ""),
    )


def _address(view: InvoicesView, **changes: Any) -> str:
    shown = replace(view, **changes)
    query: dict[str, Any] = {
        "q": shown.search,
        "statut": shown.status,
        "client": shown.client_id,
        "societe": shown.company_id,
        "apres": shown.cursor,
    }
    return url_for("invoices.index", **{name: value for name, value in query.items() if value})


def _form_values(view: InvoicesView) -> dict[str, Any]:
    without = _address(view, client_id=None, cursor="")
    return {
        "statuses": STATUSES,
        "companies": [("", "Toutes les sociétés"), *((str(each.id), each.name) for each in list_companies())],
        "chips": [Chip("D’un seul client", [("client", str(view.client_id))], without)] if view.client_id else [],
    }


@bp.get("/<uuid:invoice_id>")
def show(invoice_id: UUID) -> ResponseReturnValue:
    """One invoice, with what was paid and taken back on it."""
    invoice = listing.find_invoice(invoice_id)
    return render_template("invoices/show.html", invoice=invoice, settlements=listing.list_settlements(invoice.id))


@bp.get("/<uuid:invoice_id>/pdf")
def download(invoice_id: UUID) -> ResponseReturnValue:
    """The invoice as a PDF. A draft, which has no number yet, is refused."""
    invoice = listing.find_invoice(invoice_id)
    response = make_response(printing.print_invoice(invoice.id))
    response.mimetype = "application/pdf"
    response.headers.set("Content-Disposition", "attachment", filename=printing.file_name(invoice))
    return response
