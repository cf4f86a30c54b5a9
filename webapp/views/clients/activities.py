"""Writing down notes, calls and tasks on a client's page, and ticking tasks off."""

from uuid import UUID

from flask import Blueprint, make_response, redirect, request, url_for
from werkzeug.wrappers import Response

from webapp import clock
from webapp.errors import InvalidInputError
from webapp.security import current_user
from webapp.services.clients import activities
from webapp.services.clients.activities import Genre
from webapp.services.clients.editing import find_client
from webapp.views.clients import tabs
from webapp.views.clients.activity_form import ActivityForm
from webapp.views.clients.tabs import ClientTab
from webapp.views.layout import is_fragment_request, toast
from webapp.views.lists import read

bp = Blueprint("activities", __name__, url_prefix="/clients/<uuid:client_id>")

SAID = {Genre.NOTE: "Note enregistrée.", Genre.CALL: "Appel enregistré.", Genre.TASK: "Tâche ajoutée."}


@bp.post("/activites")
def add(client_id: UUID) -> Response:
    """Write a note, a call or a task down; where that is refused, the form as it was filled in, with the reason."""
    form = ActivityForm()
    find_client(client_id)
    if not form.validate_on_submit():
        return _again(client_id, form, 422)
    genre = Genre(form.genre.data)
    try:
        activities.record(
            client_id,
            genre,
            form.body.data or "",
            due_on=form.due_on.data,
            demand=read(UUID, form.demande.data),
            by=current_user(),
            at=clock.now(),
        )
    except InvalidInputError as error:
        form.show_refusal(error)
        return _again(client_id, form, error.status)
    toast("success", SAID[genre])
    return _tab(client_id, ClientTab.ACTIVITIES)


@bp.post("/taches/<uuid:task_id>")
def tick(client_id: UUID, task_id: UUID) -> Response:
    """Tick a task off, or with ``faite=0`` open it again; shows the tab that it was done on."""
    done = request.form.get("faite", "1") != "0"
    activities.set_done(client_id, task_id, done, by=current_user(), at=clock.now())
    toast("success", "Tâche faite." if done else "Tâche rouverte.")
    return _tab(client_id, read(ClientTab, request.args.get("onglet")) or ClientTab.ACTIVITIES)


@bp.get("/activites")
def show(client_id: UUID) -> Response:
    """Where a refused form leaves its address without HTMX: the tab that it stands in."""
    find_client(client_id)
    return redirect(_address(client_id, ClientTab.ACTIVITIES))


def _again(client_id: UUID, form: ActivityForm, status: int) -> Response:
    return _with_address(tabs.page(client_id, ClientTab.ACTIVITIES, form=form), client_id, ClientTab.ACTIVITIES, status)


def _tab(client_id: UUID, tab: ClientTab) -> Response:
    if is_fragment_request():
        return _with_address(tabs.page(client_id, tab), client_id, tab)
    return redirect(_address(client_id, tab), code=303)


def _with_address(page: str, client_id: UUID, tab: ClientTab, status: int = 200) -> Response:
    """What was done shows the whole timeline, also where some kind of it was shown before: the address follows."""
    response = make_response(page, status)
    response.headers["HX-Replace-Url"] = _address(client_id, tab)
    return response


def _address(client_id: UUID, tab: ClientTab) -> str:
    return url_for("client.show", client_id=client_id, onglet=tab, vue=request.args.get("vue"))
