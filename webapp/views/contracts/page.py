"""A contract's page, and the forms that create and change one."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from webapp import clock
from webapp.errors import InvalidInputError
from webapp.models.clients import Client
from webapp.models.contracts import Contract
from webapp.security import current_user
from webapp.services.clients.editing import find_client
from webapp.services.clients.listing import list_clients
from webapp.services.clients.selection import ClientsView
from webapp.services.concurrent_edits import EditConflictError
from webapp.services.contracts import editing, profile
from webapp.services.contracts.fields import ContractFields
from webapp.services.covers.listing import list_of_contract
from webapp.views.contracts.form import ContractForm
from webapp.views.layout import toast
from webapp.views.lists import read

bp = Blueprint("contract", __name__, url_prefix="/contrats")

CANDIDATES_SHOWN = 10
NEVER = datetime(1, 1, 2, tzinfo=UTC)
"""What a form that does not say which version it saw has seen."""

Page = str | Response | tuple[str, int]


@bp.get("/<uuid:contract_id>")
def show(contract_id: UUID) -> Page:
    """The contract's page."""
    found = profile.find_profile(contract_id)
    return render_template("contracts/show.html", profile=found, subscriptions=list_of_contract(contract_id))


@bp.route("/nouveau", methods=["GET", "POST"])
def new() -> Page:
    """The form of a new contract of the client ``?client=``, and its creation; without one, the choice of one."""
    client_id = read(UUID, request.args.get("client"))
    if client_id is None:
        return _choose_client()
    client = find_client(client_id)
    form = ContractForm()
    form.offer_choices(commercial_id=client.commercial_id)
    if request.method == "GET":
        form.show(ContractFields(commercial_id=client.commercial_id))
        return _form_page(form, client, None)
    return _save(form, client, None)


@bp.route("/<uuid:contract_id>/modifier", methods=["GET", "POST"])
def edit(contract_id: UUID) -> Page:
    """The form of a contract, and its change."""
    contract = editing.find_contract(contract_id)
    client = find_client(contract.client_id)
    form = ContractForm()
    form.offer_choices(commercial_id=contract.commercial_id)
    if request.method == "GET":
        form.show(ContractFields.of(contract))
        form.remember(contract.changed_at)
        return _form_page(form, client, contract)
    return _save(form, client, contract)


def _choose_client() -> str:
    search = " ".join(request.args.get("q", "").split())
    rows = list_clients(ClientsView(search=search)).page.rows[:CANDIDATES_SHOWN] if search else []
    return render_template("contracts/choose_client.html", search=search, rows=rows)


def _form_page(form: ContractForm, client: Client, contract: Contract | None, **given: Any) -> str:
    form.offer_blank_lines()
    values = {"differences": None, **given, "products": profile.list_product_names()}
    return render_template("contracts/form.html", form=form, client=client, contract=contract, **values)


def _save(form: ContractForm, client: Client, contract: Contract | None) -> Page:
    """Create or change the contract; where that is refused, the form again, as it was filled in, with the reason."""
    if not form.validate_on_submit():
        form.show_faults()
        return _form_page(form, client, contract), 422
    written, by, at = form.written(), current_user(), clock.now()
    try:
        if contract is None:
            saved = editing.create_contract(client.id, written, by=by, at=at)
            toast("success", f"Contrat {saved.reference} créé.")
        else:
            seen = read(datetime.fromisoformat, form.seen.data) or NEVER
            saved = editing.edit_contract(contract.id, written, seen=seen, by=by, at=at)
            toast("success", f"Contrat {saved.reference}\u202f: modifications enregistrées.")
    except InvalidInputError as error:
        form.show_refusal(error)
        form.show_faults()
        return _form_page(form, client, contract), error.status
    except EditConflictError as error:
        form.remember(error.version)
        differences = form.show_merged(error.theirs)
        return _form_page(form, client, contract, differences=differences), error.status
    return redirect(url_for("contract.show", contract_id=saved.id), code=303)
