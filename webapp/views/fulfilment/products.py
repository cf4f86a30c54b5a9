"""« Produits » among the settings of batches: which are shipped, and what they weigh."""

from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import french
from webapp.errors import InvalidInputError
from webapp.models.identity import Role
from webapp.security import requires
from webapp.services.fulfilment import products
from webapp.services.products import create_product
from webapp.views.layout import toast
from webapp.views.subscriptions.coupons import read_count

bp = Blueprint("shipped_products", __name__, url_prefix="/lots/reglages/produits")

for_admins = requires(Role.ADMIN)


@bp.get("")
@for_admins
def index() -> ResponseReturnValue:
    """The products by name, each with its form."""
    return _page()


@bp.post("")
@for_admins
def create() -> ResponseReturnValue:
    """Add a product to the catalogue."""
    form = request.form
    try:
        product = create_product(
            form.get("nom", ""),
            category=form.get("categorie", ""),
            supplier=form.get("fournisseur", ""),
            is_shipped="expedie" in form,
            weight_g=read_count(form, "poids", "weight_g"),
        )
    except InvalidInputError as error:
        return _page(problem=error), error.status
    return _done(f"Produit «\u00a0{product.name}\u00a0» créé.")


@bp.post("/<uuid:product_id>")
@for_admins
def save(product_id: UUID) -> ResponseReturnValue:
    """Keep whether a product is shipped, and what it weighs."""
    try:
        weight_g = read_count(request.form, "poids", "weight_g")
        product = products.save_product(product_id, is_shipped="expedie" in request.form, weight_g=weight_g)
    except InvalidInputError as error:
        return _page(product_id, error), error.status
    return _done(f"Produit «\u00a0{product.name}\u00a0» enregistré.")


@bp.post("/<uuid:product_id>/lignes")
@for_admins
def apply(product_id: UUID) -> ResponseReturnValue:
    """Have the lines of living subscriptions follow the product."""
    number = products.apply_to_lines(product_id)
    changed = french.plural(number, "ligne d’abonnement changée", "lignes d’abonnement changées")
    return _done(f"{french.whole(number)} {changed}, dès leur prochaine échéance.")


def _page(refused_id: UUID | None = None, problem: InvalidInputError | None = None) -> str:
    search = request.values.get("q", "")
    return render_template(
        "fulfilment/products.html",
        page=products.list_products(search=search, cursor=request.values.get("page")),
        search=search,
        cursor=request.values.get("page", ""),
        refused_id=refused_id,
        problem=problem,
        written=request.form,
    )


def _done(sentence: str) -> ResponseReturnValue:
    toast("success", sentence)
    search, cursor = request.form.get("q") or None, request.form.get("page") or None
    return redirect(url_for("shipped_products.index", q=search, page=cursor), 303)
