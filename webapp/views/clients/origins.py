"""« D’où vient cette valeur ? », for each value of a client: a panel in its page, or a page of its own."""

from functools import partial
from uuid import UUID

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import InvalidInputError
from webapp.security import current_user
from webapp.services.clients import origins
from webapp.views.formats import field_label, field_value
from webapp.views.layout import toast
from webapp.views.lists import read
from webapp.views.origins import History, show_history

bp = Blueprint("client_origins", __name__, url_prefix="/clients")


@bp.get("/<uuid:client_id>/origine/<field>")
def show(client_id: UUID, field: str) -> str:
    """Where the value of ``field`` comes from, and what stood before."""
    origin = origins.find_origin(client_id, field)
    client = origin.client
    return show_history(
        History(
            origin,
            label=field_label(field),
            word=partial(field_value, field=field),
            address=url_for(".put_back", client_id=client.id, field=field),
            version=client.version,
            back=url_for("client.show", client_id=client.id),
            subject=client.full_name,
        )
    )


@bp.post("/<uuid:client_id>/origine/<field>")
def put_back(client_id: UUID, field: str) -> ResponseReturnValue:
    """Put back what stood before the event ``evenement``, on the client as it was seen (``version``)."""
    event_id = read(UUID, request.form.get("evenement"))
    if event_id is None:
        raise InvalidInputError("Choisissez la valeur à remettre.")
    version = read(int, request.form.get("version")) or 0
    origins.put_back(client_id, field, event_id, version=version, by=current_user(), at=clock.now())
    toast("success", "Valeur remise.")
    return redirect(url_for("client.show", client_id=client_id), 303)
