"""Tasks: one's own, and for managers those of everybody and of nobody."""

from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.models.identity import Role
from webapp.security import current_user
from webapp.services.clients import activities, tasks
from webapp.services.clients.tasks import Whose
from webapp.views.layout import toast
from webapp.views.lists import read

bp = Blueprint("tasks", __name__, url_prefix="/taches")


@bp.get("")
def index() -> str:
    """What is still to be done, the soonest due first."""
    viewer, choices, chosen = current_user(), _choices(), read_whose()
    after = request.args.get("apres", type=UUID)
    page = tasks.list_open(chosen, viewer=viewer, after=after)
    return render_template(
        "clients/tasks.html",
        tasks=page.rows,
        whose=chosen,
        choices=choices,
        counts=tasks.count_open(viewer),
        today=clock.today(),
        next_page=url_for("tasks.index", qui=chosen, apres=page.next_after) if page.next_after else None,
    )


def _choices() -> list[Whose]:
    return list(Whose) if current_user().has_role(Role.MANAGER, Role.ADMIN) else [Whose.MINE]


def read_whose() -> Whose:
    """Whose tasks the address asks for; one's own where the user may not see those."""
    whose = read(Whose, request.args.get("qui"))
    return whose if whose in _choices() else Whose.MINE


@bp.post("/<uuid:client_id>/<uuid:task_id>")
def tick(client_id: UUID, task_id: UUID) -> ResponseReturnValue:
    """Tick a task off, and come back to the list that it was on."""
    activities.set_done(client_id, task_id, True, by=current_user(), at=clock.now())
    toast("success", "Tâche faite.")
    return redirect(url_for("tasks.index", qui=read(Whose, request.args.get("qui"))), 303)
