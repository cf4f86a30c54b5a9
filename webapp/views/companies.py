"""« Sociétés »: an admin says who sells, as invoices, mandates and bank files name it."""

from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import french
from webapp.errors import InvalidInputError
from webapp.models.identity import Role
from webapp.models.organisations import DEFAULT_PATTERN, Company
from webapp.security import requires
from webapp.services import organisations
from webapp.views.layout import toast

bp = Blueprint("companies", __name__, url_prefix="/societes")

for_admins = requires(Role.ADMIN)
WORDS = {
    "name": "nom",
    "siren": "siren",
    "vat_number": "tva",
    "legal_form": "forme",
    "share_capital": "capital",
    "registry_city": "greffe",
    "address_line1": "adresse",
    "address_line2": "complement",
    "postcode": "code_postal",
    "city": "ville",
    "email": "email",
    "phone": "telephone",
    "umr_pattern": "modele_rum",
}
"""Fields of the form, by what the service calls them."""


@bp.get("")
@for_admins
def index() -> ResponseReturnValue:
    """The companies, each with what its invoices say."""
    return render_template("companies/list.html", companies=organisations.list_companies())


@bp.route("/nouvelle", methods=["GET", "POST"])
@for_admins
def create() -> ResponseReturnValue:
    """The form of a new company; its making."""
    if request.method == "GET":
        return _form_page(None, {"modele_rum": DEFAULT_PATTERN})
    try:
        company = organisations.create_company(_written())
    except InvalidInputError as error:
        return _form_page(None, request.form, error), error.status
    return _done(company)


@bp.route("/<uuid:company_id>", methods=["GET", "POST"])
@for_admins
def edit(company_id: UUID) -> ResponseReturnValue:
    """The form of a company; its change."""
    if request.method == "GET":
        company = organisations.find_company(company_id)
        return _form_page(company, _shown(company))
    try:
        company = organisations.change_company(company_id, _written())
    except InvalidInputError as error:
        return _form_page(organisations.find_company(company_id), request.form, error), error.status
    return _done(company)


def _written() -> dict[str, str]:
    return {field: request.form.get(word, "") for field, word in WORDS.items() if word in request.form}


def _shown(company: Company) -> dict[str, Any]:
    values = {word: getattr(company, field) or "" for field, word in WORDS.items()}
    return values | {"capital": french.field_amount(company.share_capital)}


def _form_page(company: Company | None, written: Any, problem: InvalidInputError | None = None) -> str:
    return render_template("companies/form.html", company=company, written=written, problem=problem)


def _done(company: Company) -> ResponseReturnValue:
    toast("success", f"Société «\u00a0{company.name}\u00a0» enregistrée.")
    return redirect(url_for("companies.index"), 303)
