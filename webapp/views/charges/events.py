"""The outbox as admins see it: what happened, and which subscribers have received it."""

from uuid import UUID

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp.models.identity import Role
from webapp.security import requires
from webapp.services import outbox
from webapp.views.lists import read

bp = Blueprint("charge_events", __name__, url_prefix="/prelevements/evenements")

EVENTS_SHOWN = 50


@bp.get("")
@requires(Role.ADMIN)
def index() -> ResponseReturnValue:
    """The outbox: what happened, and whether its subscribers have received it."""
    rows = outbox.list_latest(before=read(UUID, request.args.get("avant")), limit=EVENTS_SHOWN + 1)
    page, has_more = rows[:EVENTS_SHOWN], len(rows) > EVENTS_SHOWN
    return render_template(
        "charges/events.html",
        events=page,
        undelivered=outbox.count_undelivered(),
        next_page=url_for("charge_events.index", avant=page[-1].id) if has_more else None,
    )
