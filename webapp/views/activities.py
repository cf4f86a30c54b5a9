"""Writing down notes, calls and tasks on a client's page, and ticking tasks off."""

from uuid import UUID

from flask import Blueprint, redirect, request, url_for
from werkzeug.wrappers import Response

from webapp import clock
from webapp.errors import InvalidInputError
from webapp.security import current_user
from webapp.services.clients import activities
from webapp.services.clients.activities import Genre
from webapp.services.clients.editing import find_client
from webapp.views import client_tabs
from webapp.views.activity_form import ActivityForm
from webapp.views.client_tabs import Tab
from webapp.views.layout import is_fragment_request, toast
from webapp.views.lists import read

bp = Blueprint("activities", __name__, url_prefix="/clients/<uuid:client_id>")

SAID = {Genre.NOTE: "Note enregistrée.", Genre.CALL: "Appel enregistré.", Genre.TASK: "Tâche ajoutée."}

Page = str | Response | tuple[str, int]


@bp.post("/activites")
def add(client_id: UUID) -> Page:
    """Write a note, a call or a task down; where that is refused, the form as it was filled in, with the reason."""
    form = ActivityForm()
    find_client(client_id)
    if not form.validate_on_submit():
        return client_tabs.page(client_id, Tab.ACTIVITIES, form=form), 422
    genre = Genre(form.genre.data)
    try:
        activities.record(
            client_id, genre, form.body.data or "", due_on=form.due_on.data, by=current_user(), at=clock.now()
        )
    except InvalidInputError as error:
        form.show_refusal(error)
        return client_tabs.page(client_id, Tab.ACTIVITIES, form=form), error.status
    toast("success", SAID[genre])
    return _tab(client_id, Tab.ACTIVITIES)


@bp.post("/taches/<uuid:task_id>")
def tick(client_id: UUID, task_id: UUID) -> Page:
    """Tick a task off, or with ``faite=0`` open it again; shows the tab that it was done on."""
    done = request.form.get("faite", "1") != "0"
    activities.set_done(client_id, task_id, done, by=current_user(), at=clock.now())
    toast("success", "Tâche faite." if done else "Tâche rouverte.")
    return _tab(client_id, read(Tab, request.args.get("onglet")) or Tab.ACTIVITIES)


def _tab(client_id: UUID, tab: Tab) -> Page:
    if is_fragment_request():
        return client_tabs.page(client_id, tab)
    return redirect(url_for("client.show", client_id=client_id, onglet=tab, vue=request.args.get("vue")), code=303)
