"""« Mes exports »: large files, while they are made and for a week; everybody's own alone."""

from uuid import UUID

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from webapp import clock, french
from webapp.models.exports import KEPT
from webapp.models.runs import RunStatus
from webapp.security import current_user
from webapp.services.exports import keeping
from webapp.services.exports.lists import LISTS
from webapp.views.exports.asking import send
from webapp.views.layout import is_fragment_request, toast
from webapp.views.lists import read

bp = Blueprint("own_exports", __name__, url_prefix="/mes-exports")


@bp.get("")
def index() -> str:
    """The files, the latest first. While one is made the list asks for itself again, and says when it is there."""
    exports = keeping.list_exports(current_user())
    titles = {key: listed.title for key, listed in LISTS.items()}
    if is_fragment_request():
        awaited = {read(UUID, word) for word in request.args.getlist("attendu")}
        for export in exports:
            if export.id in awaited and export.is_finished:
                _tell_end(titles.get(export.list_key, "Export"), export.status, export.total or 0)
    template = "exports/_list.html" if is_fragment_request() else "exports/list.html"
    return render_template(
        template,
        exports=exports,
        titles=titles,
        running=[export.id for export in exports if not export.is_finished],
        dropped_at=keeping.last_dropped_at(at=clock.now()),
        days=KEPT.days,
    )


def _tell_end(title: str, status: RunStatus, rows: int) -> None:
    if status is RunStatus.SUCCESS:
        toast("success", f"Votre export «\u00a0{title}\u00a0» est prêt\u202f: {french.counted(rows, 'ligne')}.")
    else:
        toast("error", f"Votre export «\u00a0{title}\u00a0» a échoué.")


@bp.get("/<uuid:export_id>")
def download(export_id: UUID) -> ResponseReturnValue:
    """The file."""
    file = keeping.open_file(export_id, owner=current_user())
    return send(file.name, file.mimetype, file.size, file.chunks)
