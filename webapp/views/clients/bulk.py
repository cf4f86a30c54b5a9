"""Bulk actions on clients: those chosen in the list, or all of its view. What is done is planned first."""

from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import InvalidInputError
from webapp.models.clients import ClientStatus
from webapp.security import current_user
from webapp.services import bulk
from webapp.services.bulk import BulkAction, BulkChoice, Selection
from webapp.services.clients.fields import list_commercials
from webapp.views.clients.listing import listed_in, view_of
from webapp.views.lists import read, read_day

bp = Blueprint("bulk", __name__, url_prefix="/clients/actions")

NOBODY = "personne"
MOST_CHOSEN = 500
"""Clients that are named one by one; a view has no such limit."""


@bp.get("")
def new() -> ResponseReturnValue:
    """The form: which clients (``client``, else the view ``vue``), and what to do with them."""
    return _form_page()


@bp.post("")
def create() -> ResponseReturnValue:
    """Plan the action; the plan is looked at before it is applied."""
    try:
        operation_id = bulk.plan(_selection(), _read_choice(), by=current_user(), at=clock.now())
    except InvalidInputError as error:
        return _form_page(error), error.status
    return redirect(url_for("operations.show", operation_id=operation_id), 303)


def _selection() -> Selection:
    chosen = [] if request.values.get("portee") == "vue" else _chosen()
    query = request.values.get("vue", "")
    return Selection(view_of(query)[0], chosen, listed_in(query))


def _chosen() -> list[UUID]:
    read_ids = (read(UUID, each) for each in request.values.getlist("client")[:MOST_CHOSEN])
    return [each for each in read_ids if each is not None]


def _read_choice() -> BulkChoice:
    form = request.form
    action = read(BulkAction, form.get("action"))
    if action is None:
        raise InvalidInputError("Choisissez ce qu’il faut faire.", field="action")
    commercial = form.get("commercial", "")
    if action is BulkAction.REASSIGN and commercial != NOBODY and read(UUID, commercial) is None:
        raise InvalidInputError("Choisissez le commercial.", field="commercial_id")
    return BulkChoice(
        action=action,
        commercial_id=read(UUID, commercial),
        with_tasks=form.get("taches") == "1",
        status=read(ClientStatus, form.get("statut")),
        title=form.get("titre", ""),
        due_on=read_day(form.get("echeance")),
    )


def _form_page(problem: InvalidInputError | None = None) -> str:
    (view, back), chosen = view_of(request.values.get("vue", "")), _chosen()
    user = current_user()
    chosen_count, chosen_allowed = Selection(view, chosen).count_for(user) if chosen else (0, 0)
    view_count, view_allowed = Selection(view).count_for(user)
    values: dict[str, Any] = {
        "chosen": chosen,
        "chosen_count": chosen_count,
        "chosen_allowed": chosen_allowed,
        "view_count": view_count,
        "view_allowed": view_allowed,
        "is_narrowed": view.is_narrowed,
        "scope": request.values.get("portee", ""),
        "vue": request.values.get("vue", ""),
        "back": back,
    }
    return render_template(
        "clients/bulk.html",
        problem=problem,
        form=request.form,
        actions=[("", "Choisir…"), *((each.value, each.label) for each in bulk.actions_of(user))],
        commercials=[
            ("", "Choisir…"),
            (NOBODY, "Personne"),
            *((str(each.id), each.full_name) for each in list_commercials()),
        ],
        statuses=[("", "Choisir…"), *((each.value, each.label) for each in ClientStatus)],
        **values,
    )
