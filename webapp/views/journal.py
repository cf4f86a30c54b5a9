"""The journal of the organisation. For admins."""

from typing import Any
from uuid import UUID

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import french
from webapp.models.identity import Role
from webapp.models.journal import JournalKind
from webapp.security import requires
from webapp.services import journal
from webapp.services.journal import JournalView
from webapp.views.layout import is_fragment_request, list_part
from webapp.views.lists import read
from webapp.views.rate_limits import paced

bp = Blueprint("journal", __name__, url_prefix="/journal")


@bp.get("")
@requires(Role.ADMIN)
@paced
def index() -> ResponseReturnValue:
    """The entries, the latest first, as the address says. What cannot be read in it is ignored."""
    view = read_view()
    page = journal.list_entries(view)
    values: dict[str, Any] = {
        "view": view,
        "entries": page.rows,
        "fact": _fact,
        "first_page": _address(view, None) if view.cursor else None,
        "next_page": _address(view, page.next_cursor) if page.next_cursor else None,
    }
    if not is_fragment_request():
        kinds = [("", "Tous les genres"), *((kind.value, kind.label) for kind in JournalKind)]
        people = [("", "Tout le monde"), *((str(user_id), name) for user_id, name in journal.list_people())]
        return render_template("journal/list.html", **values, kinds=kinds, people=people)
    return list_part("journal", render_template("journal/_list.html", **values), address=_address(view, None))


def read_view() -> JournalView:
    """The entries that the address asks for."""
    return JournalView(
        kind=read(JournalKind, request.args.get("genre")),
        user_id=read(UUID, request.args.get("personne")),
        cursor=request.args.get("apres"),
    )


def _fact(value: journal.Fact) -> str:
    if isinstance(value, bool):
        return "oui" if value else "non"
    return french.whole(value) if isinstance(value, int) else str(value)


def _address(view: JournalView, cursor: str | None) -> str:
    query: dict[str, Any] = {"genre": view.kind, "personne": view.user_id, "apres": cursor}
    return url_for("journal.index", **{name: value for name, value in query.items() if value})
