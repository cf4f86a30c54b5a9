"""What managers and admins do with a batch: lock it, decide about lines, scan what is prepared."""

from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock, french
from webapp.errors import DomainError, NotFoundError
from webapp.security import current_user
from webapp.services.fulfilment import deciding, listing, lock_runs
from webapp.services.fulfilment.deciding import Done, LineAction
from webapp.services.fulfilment.locking import count_lines
from webapp.views.fulfilment.listing import for_managers
from webapp.views.fulfilment.page import WORDS, Tab, batch_page, follow, preparation_values
from webapp.views.layout import accepted, is_fragment_request, toast
from webapp.views.lists import read

bp = Blueprint("batch_actions", __name__, url_prefix="/lots")

ACTIONS = {word: action for action, word in WORDS.items()}
DONE = {
    LineAction.HOLD: "retenue",
    LineAction.RELEASE: "libérée",
    LineAction.PREPARE: "préparée",
    LineAction.UNPREPARE: "remise à préparer",
    LineAction.SET_ASIDE: "mise de côté",
    LineAction.TAKE_BACK: "reprise dans ce lot",
    LineAction.CARRY_OVER: "reportée au prochain lot",
    LineAction.SHIP_ANYWAY: "expédiée quand même",
    LineAction.WITHDRAW: "retirée du lot",
}


@bp.post("/<uuid:batch_id>/verrouiller")
@for_managers
def lock(batch_id: UUID) -> ResponseReturnValue:
    """Have a worker lock the batch; refused with 409 where it is locked, or empty."""
    try:
        batch = lock_runs.request(batch_id, by=current_user(), at=clock.now())
    except NotFoundError:
        raise
    except DomainError as error:
        if is_fragment_request():
            raise
        return batch_page(batch_id, Tab.LINES, error), error.status
    return accepted(url_for("batch.show", batch_id=batch_id), lambda: follow(listing.show_batch(batch.id)))


@bp.post("/<uuid:batch_id>/lignes/<word>")
@for_managers
def act(batch_id: UUID, word: str) -> ResponseReturnValue:
    """Do something with the chosen lines, or with the one whose own button was pressed."""
    action, tab = ACTIONS.get(word), read(Tab, request.form.get("onglet")) or Tab.LINES
    if action is None:
        raise NotFoundError
    alone = request.form.getlist("seule")
    chosen = [found for text in alone or request.form.getlist("ligne") if (found := read(UUID, text)) is not None]
    try:
        done = deciding.act(
            batch_id, chosen, action, reason=request.form.get("motif", ""), by=current_user(), at=clock.now()
        )
    except NotFoundError:
        raise
    except DomainError as error:
        return batch_page(batch_id, tab, error), error.status
    toast("warning" if done.refused else "success", _sentence(action, done))
    kept: dict[str, Any] = {
        name: value for name in ("q", "statut", "signalement", "apres") if (value := request.form.get(name))
    }
    return redirect(url_for("batch.show", batch_id=batch_id, onglet=tab.value, **kept), 303)


def _sentence(action: LineAction, done: Done) -> str:
    first, _, rest = DONE[action].partition(" ")
    words = french.counted(done.done, f"ligne {first} {rest}".strip(), f"lignes {first}s {rest}".strip())
    left = french.counted(done.refused, "autre ne le permet pas", "autres ne le permettent pas")
    return f"{words}\u202f; {left}." if done.refused else f"{words}."


@bp.post("/<uuid:batch_id>/scan")
@for_managers
def scan(batch_id: UUID) -> ResponseReturnValue:
    """Mark what a scanned reference stands for as prepared; the field is empty again and keeps the focus."""
    problem: DomainError | None = None
    said = ""
    try:
        said = deciding.scan(batch_id, request.form.get("reference", ""), by=current_user(), at=clock.now())
    except NotFoundError:
        raise
    except DomainError as error:
        problem = error
    if not is_fragment_request():
        status = problem.status if problem else 200
        return batch_page(batch_id, Tab.PREPARATION, problem, said), status
    batch = listing.show_batch(batch_id)
    return render_template(
        "fulfilment/_scan.html",
        batch=batch,
        counts=count_lines(batch.id),
        problem=problem,
        scanned=said,
        may_act=True,
        **preparation_values(batch),
    )
