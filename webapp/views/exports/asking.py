"""The page behind « Exporter »: how many rows there will be, which columns, which kind of file; then the file."""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO

from flask import Blueprint, Flask, Response, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from webapp import clock
from webapp.errors import ForbiddenError, InvalidInputError
from webapp.extensions import limiter
from webapp.models.exports import ExportFormat
from webapp.models.identity import Role
from webapp.security import current_user
from webapp.services.exports import commands
from webapp.services.exports.lists import LISTS
from webapp.services.exports.reading import Wanted
from webapp.services.list_columns import SealedColumn
from webapp.views import shown_lists
from webapp.views.exports.pages import PAGES, ExportedPage
from webapp.views.layout import toast
from webapp.views.lists import read, with_query
from webapp.views.rate_limits import paced

bp = Blueprint("exports", __name__)

PACE = "20 per minute"
PIECE = 64 * 1024
PLACES = frozenset({"apres", "avant", "page", "total", "compte", shown_lists.PANEL, shown_lists.MOVE})
"""What an address says of a page of a list, which an export does without."""
NOT_FILTERS = PLACES | {"tri", "onglet", *shown_lists.LOOK}
BY_NAME = {page.name: page for page in PAGES}


def _at_every_list(view: Callable[..., ResponseReturnValue], method: str) -> None:
    """Put a view at …/exporter of every list: ``name`` tells it which."""
    for page in PAGES:
        bp.add_url_rule(f"{page.path}/exporter", view_func=view, methods=[method], defaults={"name": page.name})


@paced
def ask(name: str, **path: Any) -> ResponseReturnValue:
    """How many rows the list has, and what may be chosen."""
    page = _find_page(name)
    return _form(page, _wanted(page, path), written={})


@limiter.limit(PACE, key_func=lambda: f"user:{g.user.id}")
def make(name: str, **path: Any) -> ResponseReturnValue:
    """The file; or, where there are many rows, where it will be."""
    page = _find_page(name)
    try:
        wanted = _wanted(page, path, in_clear=bool(request.form.get("iban")), reason=request.form.get("motif", ""))
    except InvalidInputError as error:
        return _form(page, _wanted(page, path), written=request.form, problem=error), error.status
    by, at = current_user(), clock.now()
    total = commands.count(wanted, at=at)
    if total > commands.MOST_AT_ONCE:
        commands.start(wanted, total, by=by, at=at)
        toast("info", "Votre fichier se prépare\u202f: il sera sur cette page.")
        return redirect(url_for("own_exports.index"), 303)
    file = tempfile.TemporaryFile()  # noqa: SIM115  the response closes it
    commands.write_at_once(wanted, file, by=by, at=at)
    return send(commands.file_name(wanted, at=at), wanted.file_format.mimetype, file.tell(), _pieces(file))


_at_every_list(ask, "GET")
_at_every_list(make, "POST")


def _find_page(name: str) -> ExportedPage:
    page = BY_NAME[name]
    if not current_user().has_role(*page.roles):
        raise ForbiddenError("Votre rôle ne donne pas accès à cette page.")
    return page


def _wanted(page: ExportedPage, path: dict[str, Any], *, in_clear: bool = False, reason: str = "") -> Wanted:
    shown = shown_lists.open_list(page.saved, request.args) if page.saved else None
    return commands.want(
        LISTS[page.key],
        page.view_of(**path) if shown is None else page.view_of(shown.arguments),
        keys=request.form.getlist("colonne") or (shown.state.columns if shown else ()),
        file_format=read(ExportFormat, request.form.get("format")) or ExportFormat.XLSX,
        filters=_filters(shown.arguments if shown else request.args),
        in_clear=in_clear,
        reason=reason,
        by=current_user(),
        at=clock.now(),
    )


def _filters(arguments: MultiDict[str, str]) -> list[str]:
    """The names of what narrows the list."""
    names = (name for name, value in arguments.items() if value and name not in NOT_FILTERS)
    return sorted({"recherche" if name == "q" else name for name in names if name.isidentifier() and len(name) < 30})


def _form(page: ExportedPage, wanted: Wanted, **values: Any) -> str:
    at = clock.now()
    offered = wanted.listed.columns(at.astimezone(clock.PARIS).date())
    chosen = {column.key for column in wanted.columns}
    return render_template(
        "exports/form.html",
        listed=wanted.listed,
        total=commands.count(wanted, at=at),
        most_at_once=commands.MOST_AT_ONCE,
        columns=[*wanted.columns, *(column for column in offered if column.key not in chosen)],
        chosen=chosen,
        formats=list(ExportFormat),
        may_reveal=current_user().has_role(Role.ADMIN) and any(isinstance(each, SealedColumn) for each in offered),
        has_ibans=any(isinstance(each, SealedColumn) for each in offered),
        back=_back(page),
        **{"problem": None, **values},
    )


def _back(page: ExportedPage) -> str:
    path = request.path.removesuffix("/exporter")
    if page.tab:  # the list stands in a tab
        path = path.rpartition("/")[0]
    query = request.query_string.decode()
    return f"{path}?{query}" if query else path


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    with file:
        file.seek(0)
        while piece := file.read(PIECE):
            yield piece


def send(name: str, mimetype: str, size: int, pieces: Iterable[bytes]) -> Response:
    """A file to be saved, piece by piece; told its size, a browser sees where it was broken off."""
    response = Response(pieces, mimetype=mimetype)
    response.content_length = size
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def export_address(name: str) -> str:
    """Where the list that the present address shows is exported; ``name`` is its page's."""
    page = BY_NAME[name]
    query = [(key, value) for key, value in request.args.items(multi=True) if key not in PLACES]
    path = {key: value for key, value in (request.view_args or {}).items() if f":{key}>" in page.path}
    return with_query(url_for("exports.ask", name=name, **path), query)


def init_app(app: Flask) -> None:
    """Let templates link to exports."""
    app.add_template_global(export_address)
