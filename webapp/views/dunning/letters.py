"""Letters of dunning that wait to be printed: one PDF, then their registered numbers and that they were posted."""

from uuid import UUID

from flask import Blueprint, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock, french
from webapp.errors import InvalidInputError
from webapp.models.identity import Role
from webapp.security import current_user, requires
from webapp.services.dunning import letters
from webapp.views.layout import toast
from webapp.views.lists import read

bp = Blueprint("dunning_letters", __name__, url_prefix="/relances/lettres")

for_managers = requires(Role.MANAGER, Role.ADMIN)


@bp.get("")
@for_managers
def index() -> ResponseReturnValue:
    """The letters that wait, the longest waiting first."""
    return _page()


@bp.post("/imprimer")
@for_managers
def print_them() -> ResponseReturnValue:
    """The chosen letters as one PDF."""
    try:
        content = letters.print_letters(_chosen(), by=current_user(), at=clock.now())
    except InvalidInputError as error:
        return _page(error), error.status
    response = make_response(content)
    response.mimetype = "application/pdf"
    response.headers.set("Content-Disposition", "attachment", filename=f"Lettres du {clock.today():%d-%m-%Y}.pdf")
    return response


@bp.post("/postees")
@for_managers
def mark_posted() -> ResponseReturnValue:
    """Note that the chosen letters were posted, with their registered numbers."""
    chosen = _chosen()
    registered = {message_id: request.form.get(f"registered_{message_id}", "") for message_id in chosen}
    try:
        posted = letters.mark_posted(chosen, registered=registered, by=current_user(), at=clock.now())
    except InvalidInputError as error:
        return _page(error), error.status
    toast("success", f"{french.counted(posted, 'lettre postée', 'lettres postées')}.")
    return redirect(url_for("dunning_letters.index"), 303)


def _chosen() -> list[UUID]:
    return [found for text in request.form.getlist("lettre") if (found := read(UUID, text)) is not None]


def _page(problem: InvalidInputError | None = None) -> str:
    return render_template(
        "dunning/letters.html", waiting=letters.list_waiting(), problem=problem, written=request.form, chosen=_chosen()
    )
