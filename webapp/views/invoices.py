"""Invoices and credit notes: the list, one with what was paid and credited on it, its PDF, and a gesture on it."""

from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from flask import Blueprint, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from webapp import clock
from webapp.errors import InvalidInputError
from webapp.french import read_number
from webapp.models.base import new_id
from webapp.models.identity import Role
from webapp.models.invoices import Invoice, InvoiceKind, InvoiceStatus
from webapp.models.saved_views import SavedList
from webapp.security import current_user, requires
from webapp.services.charges import decisions
from webapp.services.invoices import listing, printing
from webapp.services.invoices.columns import COLUMNS
from webapp.services.invoices.listing import InvoicesView
from webapp.services.organisations import list_companies
from webapp.services.refunds import commands
from webapp.views.layout import is_fragment_request, list_part, toast
from webapp.views.lists import Chip, read, read_client
from webapp.views.rate_limits import paced
from webapp.views.shown_lists import ListPage, ShownList, list_values, open_page, page_values

bp = Blueprint("invoices", __name__, url_prefix="/factures")

KINDS = [("", "Factures et avoirs"), *((kind.value, f"{kind.label}s") for kind in InvoiceKind)]
STATUSES = [("", "Tous les statuts"), *((status.value, status.label) for status in InvoiceStatus)]
USUAL = ("numero", "client", "statut", "total", "reste", "emission", "echeance", "societe")
"""The columns that each row holds; others are read where they are chosen."""
COUNTED = 1000
"""Up to how many the number below the list is exact."""


@bp.get("")
@paced
def index() -> ResponseReturnValue:
    """The list of invoices as the address says. What cannot be read in it is ignored."""
    shown = open_page(PAGE)
    view = read_view(shown.arguments)
    page = listing.list_invoices(view)
    number = listing.count_invoices(view, at_most=COUNTED + 1)
    values: dict[str, Any] = {
        "view": view,
        "rows": page.rows,
        "headings": shown.headings(),
        "cells": shown.cells[1:],
        "values": listing.read_cells([row.id for row in page.rows], shown.beside(USUAL)),
        "number": min(number, COUNTED),
        "is_capped": number > COUNTED,
        "balances": listing.balances_of_client(view.client_id) if view.client_id else [],
        "problem": shown.problem,
        "first_page": shown.at(_address(view, cursor="")) if view.cursor else None,
        "next_page": page.next_cursor and shown.at(_address(view, cursor=page.next_cursor)),
        **list_values(shown, _address(view, cursor="")),
    }
    if not is_fragment_request():
        return render_template("invoices/list.html", **values, **_form_values(view, shown), **page_values(shown))
    return list_part("invoices", render_template("invoices/_list.html", **values), address=shown.at(_address(view)))


def read_view(arguments: MultiDict[str, str]) -> InvoicesView:
    """The view that an address asks for. What cannot be read in it is ignored."""
    return InvoicesView(
        search=" ".join(arguments.get("q", "").split()),
        kind=read(InvoiceKind, arguments.get("genre")),
        status=read(InvoiceStatus, arguments.get("statut")),
        client_id=read_client(arguments.get("client")),
        company_id=read(UUID, arguments.get("societe")),
        cursor=arguments.get("apres", ""),
    )


def _address(view: InvoicesView, **changes: Any) -> str:
    target = replace(view, **changes)
    query: dict[str, Any] = {
        "q": target.search,
        "genre": target.kind,
        "statut": target.status,
        "client": target.client_id,
        "societe": target.company_id,
        "apres": target.cursor,
    }
    return url_for("invoices.index", **{name: value for name, value in query.items() if value})


PAGE = ListPage(
    SavedList.INVOICES,
    plain=lambda arguments: _address(replace(read_view(arguments), cursor="")),
    columns=COLUMNS,
    usual=USUAL,
    fixed=USUAL[0],
    narrow=("client", "statut", "total"),
)


def _form_values(view: InvoicesView, shown: ShownList) -> dict[str, Any]:
    without = shown.at(_address(view, client_id=None, cursor=""))
    return {
        "kinds": KINDS,
        "statuses": STATUSES,
        "companies": [("", "Toutes les sociétés"), *((str(company.id), company.name) for company in list_companies())],
        "chips": [Chip("D’un seul client", [("client", str(view.client_id))], without)] if view.client_id else [],
    }


@bp.get("/<uuid:invoice_id>")
def show(invoice_id: UUID) -> ResponseReturnValue:
    """One invoice, with what was paid, taken back and credited on it; with ``?action=geste`` the form of a gesture."""
    return _page(invoice_id, is_asked=request.args.get("action") == "geste")


@bp.post("/<uuid:invoice_id>/geste")
@requires(Role.MANAGER, Role.ADMIN)
def waive(invoice_id: UUID) -> ResponseReturnValue:
    """A commercial gesture on what remains to be paid; where what was written is refused, its form with the reason."""
    try:
        commands.waive(
            invoice_id,
            note_id=read(UUID, request.form.get("demande")) or new_id(),
            amount=read_number(request.form.get("montant", "")) or Decimal(0),
            reason=request.form.get("motif", ""),
            by=current_user(),
            at=clock.now(),
        )
    except InvalidInputError as error:
        return _page(invoice_id, is_asked=True, problem=error), error.status
    toast("success", "Avoir établi\u202f: son numéro est attribué dans un instant.")
    return redirect(url_for("invoices.show", invoice_id=invoice_id), 303)


def _page(invoice_id: UUID, *, is_asked: bool, problem: InvalidInputError | None = None) -> str:
    invoice = listing.find_invoice(invoice_id)
    waivable, may_refund = _what_may_be_done(invoice)
    return render_template(
        "invoices/show.html",
        invoice=invoice,
        settlements=listing.list_settlements(invoice.id),
        credit_notes=listing.list_credit_notes(invoice.id),
        waivable=waivable,
        may_refund=may_refund,
        is_asked=is_asked and bool(waivable),
        problem=problem,
        written=request.form,
        demand=request.form.get("demande") or new_id(),
    )


def _what_may_be_done(invoice: Invoice) -> tuple[Decimal, bool]:
    """How much a gesture may take off, and whether something may be refunded; nothing for those who may do neither."""
    if not current_user().handles_charges or invoice.charge_id is None:
        return Decimal(0), False
    charge = decisions.find_charge(invoice.charge_id)
    return commands.waivable_of(invoice, charge), commands.may_refund(charge)


@bp.get("/<uuid:invoice_id>/pdf")
def download(invoice_id: UUID) -> ResponseReturnValue:
    """The invoice or credit note as a PDF. A draft, which has no number yet, is refused."""
    invoice = listing.find_invoice(invoice_id)
    response = make_response(printing.print_invoice(invoice.id))
    response.mimetype = "application/pdf"
    response.headers.set("Content-Disposition", "attachment", filename=printing.file_name(invoice))
    return response
