"""« Opérateurs »: who may ask about covers from outside, and by which key. For admins."""

from uuid import UUID

from flask import Blueprint, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import DomainError, InvalidInputError
from webapp.models.identity import Role
from webapp.security import current_user, requires
from webapp.services.operators import keys
from webapp.services.operators.keys import NewKey
from webapp.views.layout import toast

bp = Blueprint("operators", __name__, url_prefix="/couvertures/operateurs")

for_admins = requires(Role.ADMIN)


@bp.get("")
@for_admins
def index() -> ResponseReturnValue:
    """All operators, and the form of a new one."""
    return _page()


@bp.post("")
@for_admins
def create() -> ResponseReturnValue:
    """Make an operator; its key is shown on this answer, and never again."""
    try:
        made = keys.add_operator(request.form.get("nom", ""), by=current_user(), at=clock.now())
    except InvalidInputError as error:
        return _page(problem=error), error.status
    answer = make_response(_page(made=made), 201)
    answer.headers["Cache-Control"] = "no-store"
    return answer


@bp.post("/<uuid:operator_id>/revoquer")
@for_admins
def revoke(operator_id: UUID) -> ResponseReturnValue:
    """Let its key open nothing any more."""
    operator = keys.revoke(operator_id, at=clock.now())
    toast("success", f"La clé de {operator.name} n’ouvre plus rien.")
    return redirect(url_for("operators.index"), 303)


def _page(*, made: NewKey | None = None, problem: DomainError | None = None) -> str:
    return render_template(
        "operators/index.html",
        operators=keys.list_operators(),
        made=made,
        problem=problem,
        written=request.form if problem else {},
        api=url_for("operator_api.covers", _external=True),
    )
