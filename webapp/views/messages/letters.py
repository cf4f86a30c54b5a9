"""Letters that wait for the post: printed in one file, then marked as posted. For managers."""

from uuid import UUID

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock, french
from webapp.errors import InvalidInputError
from webapp.models.identity import Role
from webapp.models.messages import MessageKind
from webapp.security import current_user, requires
from webapp.services.bank_files import notices
from webapp.services.messages import letters, listing, printing
from webapp.services.messages.kinds import KINDS, OF_CASES
from webapp.views.layout import toast
from webapp.views.lists import read

bp = Blueprint("message_letters", __name__, url_prefix="/messages/lettres")

for_managers = requires(Role.MANAGER, Role.ADMIN)
MOST = listing.LETTERS_SHOWN


@bp.get("")
@for_managers
def index() -> ResponseReturnValue:
    """The letters to be posted, of one kind or of all."""
    return _page(read(MessageKind, request.args.get("genre")))


def _page(kind: MessageKind | None, problem: InvalidInputError | None = None) -> str:
    waiting = listing.count_letters()
    counts = {each: number for each, number in waiting.items() if each not in OF_CASES}
    return render_template(
        "messages/letters.html",
        letters=listing.list_letters(kind=kind),
        kind=kind,
        kinds=KINDS,
        counts=counts,
        of_cases=sum(waiting.values()) - sum(counts.values()),
        total=counts.get(kind, 0) if kind else sum(counts.values()),
        problem=problem,
        written=request.form,
    )


@bp.post("/pdf")
@for_managers
def print_all() -> ResponseReturnValue:
    """The chosen letters in one PDF, in the order of the list."""
    chosen = _chosen()
    if not chosen:
        return _nothing_chosen()
    notices.make_true(chosen, by=current_user(), at=clock.now())
    return Response(
        printing.print_letters(chosen),
        mimetype="application/pdf",
        headers={"Content-Disposition": 'inline; filename="lettres.pdf"'},
    )


@bp.post("/envoi")
@for_managers
def mark_posted() -> ResponseReturnValue:
    """The chosen letters were printed and posted."""
    chosen, kind = _chosen(), read(MessageKind, request.form.get("genre"))
    if not chosen:
        return _nothing_chosen()
    registered = {each: request.form.get(f"registered_{each}", "") for each in chosen}
    try:
        posted = letters.mark_posted(chosen, registered=registered, by=current_user(), at=clock.now())
    except InvalidInputError as error:
        return _page(kind, error), error.status
    toast("success", f"{french.counted(posted, 'lettre postée', 'lettres postées')}.")
    return redirect(url_for("message_letters.index", genre=kind and kind.value), 303)


def _nothing_chosen() -> ResponseReturnValue:
    toast("info", "Cochez au moins une lettre.")
    kind = read(MessageKind, request.form.get("genre"))
    return redirect(url_for("message_letters.index", genre=kind and kind.value), 303)


def _chosen() -> list[UUID]:
    chosen = (read(UUID, text) for text in request.form.getlist("lettre")[:MOST])
    return [each for each in chosen if each is not None]
