"""« Adresses bloquées »: what gets nothing more, and why. For admins."""

from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import InvalidInputError
from webapp.models.identity import Role
from webapp.security import current_user, requires
from webapp.services.messages import suppressing
from webapp.views.layout import toast

bp = Blueprint("message_suppressions", __name__, url_prefix="/reglages/messages/adresses-bloquees")

for_admins = requires(Role.ADMIN)


@bp.get("")
@for_admins
def index() -> ResponseReturnValue:
    """What is blocked now, the latest first."""
    return _page()


@bp.post("")
@for_admins
def block() -> ResponseReturnValue:
    """Send nothing more to an address or a telephone."""
    try:
        is_new = suppressing.block(request.form.get("adresse", ""), by=current_user(), at=clock.now())
    except InvalidInputError as error:
        return _page(error), error.status
    toast("success" if is_new else "info", "Adresse bloquée." if is_new else "Cette adresse est déjà bloquée.")
    return redirect(url_for("message_suppressions.index"), 303)


@bp.post("/<uuid:suppression_id>/deblocage")
@for_admins
def lift(suppression_id: UUID) -> ResponseReturnValue:
    """Send there again."""
    address = suppressing.lift(suppression_id, by=current_user(), at=clock.now())
    toast("success", f"{address} reçoit à nouveau nos messages.")
    return redirect(url_for("message_suppressions.index"), 303)


def _page(problem: InvalidInputError | None = None) -> str:
    return render_template(
        "message_settings/suppressions.html",
        suppressions=suppressing.list_suppressions(),
        shown=suppressing.SHOWN,
        written=request.form if problem else {},
        problem=problem,
    )
