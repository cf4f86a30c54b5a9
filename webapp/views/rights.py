"""People's rights, for admins: erasing a client, handing out what is known of one, and prospects of old."""

from collections.abc import Sequence
from uuid import UUID

from flask import Blueprint, Flask, Response, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import InvalidInputError
from webapp.extensions import limiter
from webapp.models.identity import Role
from webapp.models.operations import OperationState
from webapp.models.personal_data import ERASED
from webapp.security import current_user, requires
from webapp.services.rights import commands, disclosing, guard, retention
from webapp.services.rights.commands import StaleError
from webapp.views.layout import toast
from webapp.views.lists import read

bp = Blueprint("rights", __name__)

DISCLOSURES = "10 per minute; 100 per day"


def init_app(app: Flask) -> None:
    """Refuse, at every address of an erased client, what would give it something new."""
    app.before_request(_refuse_for_erased)


def _refuse_for_erased() -> None:
    client_id = (request.view_args or {}).get("client_id")
    if request.method not in ("GET", "HEAD", "OPTIONS") and isinstance(client_id, UUID):
        guard.refuse_erased(client_id)


@bp.get("/clients/<uuid:client_id>/effacer")
@requires(Role.ADMIN)
def show(client_id: UUID) -> str:
    """What an erasure would do, and what stands against it."""
    return _page(client_id)


@bp.post("/clients/<uuid:client_id>/effacer")
@requires(Role.ADMIN)
def erase(client_id: UUID) -> ResponseReturnValue:
    """Erase the client; where that is refused, the page again with the reason."""
    typed, version = request.form.get("nom", ""), read(int, request.form.get("version")) or 0
    try:
        operation = commands.erase(client_id, typed=typed, version=version, by=current_user(), at=clock.now())
    except (InvalidInputError, StaleError) as error:
        return _page(client_id, problem=error, typed=typed), error.status
    if operation.state is not OperationState.DONE:
        toast("warning", operation.error or "L’effacement se poursuit.")
        return redirect(url_for("operations.show", operation_id=operation.id), 303)
    toast("success", f"{ERASED}\u202f: ses données ont été effacées.")
    return redirect(url_for("client.show", client_id=client_id), 303)


@bp.post("/clients/<uuid:client_id>/donnees")
@requires(Role.ADMIN)
@limiter.limit(DISCLOSURES, key_func=lambda: str(session.get("user_id")))
def disclose(client_id: UUID) -> ResponseReturnValue:
    """Everything that is known of the client, as an archive; the journal and the timeline tell who had it made."""
    archive = disclosing.disclose(client_id, by=current_user(), at=clock.now())
    response = Response(archive.chunks, mimetype="application/zip")
    response.headers["Content-Disposition"] = f'attachment; filename="{archive.name}"'
    response.headers["Cache-Control"] = "private, no-store"
    return response


def _page(client_id: UUID, *, problem: InvalidInputError | StaleError | None = None, typed: str = "") -> str:
    shown = commands.preview(client_id, by=current_user())
    return render_template("rights/erase.html", shown=shown, client=shown.client, problem=problem, typed=typed)


# ---- Prospects of old


@bp.get("/donnees-a-effacer")
@requires(Role.ADMIN)
def proposed() -> str:
    """The prospects without activity for as long as the organisation says (``apres``)."""
    return _list_page()


@bp.post("/donnees-a-effacer")
@requires(Role.ADMIN)
def erase_proposed() -> ResponseReturnValue:
    """Have the chosen ones erased, once their number was typed."""
    chosen, typed = request.form.getlist("client", type=UUID), request.form.get("nombre", "")
    try:
        operation_id = retention.erase(chosen, typed=typed, by=current_user(), at=clock.now())
    except InvalidInputError as error:
        return _list_page(problem=error, chosen=chosen, typed=typed), error.status
    return redirect(url_for("operations.show", operation_id=operation_id), 303)


@bp.post("/donnees-a-effacer/duree")
@requires(Role.ADMIN)
def keep_for() -> ResponseReturnValue:
    """Say for how long prospects without activity are kept."""
    try:
        retention.keep_for(read(int, request.form.get("mois")), by=current_user())
    except InvalidInputError as error:
        return _list_page(problem=error, months=request.form.get("mois", "")), error.status
    toast("success", "Durée enregistrée.")
    return redirect(url_for("rights.proposed"), 303)


def _list_page(
    *,
    problem: InvalidInputError | None = None,
    chosen: Sequence[UUID] = (),
    typed: str = "",
    months: str | None = None,
) -> str:
    cursor, at = request.args.get("apres"), clock.now()
    page = retention.list_proposed(cursor, at=at)
    return render_template(
        "rights/proposed.html",
        rows=page.rows,
        count=retention.count_proposed(at=at),
        since=retention.inactive_since(at),
        months=retention.months() if months is None else months,
        months_range=retention.MONTHS,
        problem=problem,
        chosen=chosen,
        typed=typed,
        here=url_for("rights.erase_proposed", apres=cursor),
        first_page=url_for("rights.proposed") if cursor else None,
        next_page=url_for("rights.proposed", apres=page.next_cursor) if page.next_cursor else None,
    )
