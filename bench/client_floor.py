"""The application with one more address, /plancher: the clients page at its floor.

The same gunicorn, the same session read, the page's own SQL (the list with its number, the choices of the filters,
the synchronisations' panel; not the look-up of the user) recorded once and then sent through bare psycopg, and the
same template with the same values, but for the rows, which are those that psycopg brought.
"""

import threading
from decimal import Decimal
from typing import Any, NamedTuple

import psycopg
from flask import current_app, g, render_template, request, session
from psycopg.rows import dict_row
from sqlalchemy import event

from bench.databases import dsn
from webapp.config import load_settings
from webapp.extensions import db
from webapp.factory import create_app
from webapp.models.clients import ClientStatus, Source, full_name
from webapp.security import public
from webapp.services.clients import listing
from webapp.sessions import signed_in_user
from webapp.views import rate_limits
from webapp.views.clients import listing as clients
from webapp.views.shown_lists import open_page, page_values


class Recording(NamedTuple):
    """What a view of the page sent to PostgreSQL, and what it gave its template."""

    statements: list[tuple[str, Any]]
    list_statement: int
    user: Any
    values: dict[str, Any]


rate_limits.RATE = "100000 per minute"  # one user asks for every page; what counting costs is measured with it
app = create_app(load_settings())
recordings: dict[bytes, Recording] = {}
local = threading.local()


@app.get("/plancher")
@public
def floor() -> str:
    """The page as ``/clients`` would show it."""
    if "user_id" not in session:
        raise RuntimeError("the bench is not signed in")
    recording = recordings.get(request.query_string) or _record()
    g.user = recording.user
    found = [_connection().execute(*statement).fetchall() for statement in recording.statements]
    columns = [cell.key for cell in recording.values["cells"]]
    rows = [_row(values, columns) for values in found[recording.list_statement][: listing.PAGE_SIZE]]
    return render_template("clients/list.html", **{**recording.values, "rows": rows})


def _record() -> Recording:
    """Send the page's statements the application's way, once, and keep what they were."""
    user = signed_in_user()
    statements: list[tuple[str, Any]] = []

    def keep(_connection: object, _cursor: object, statement: str, parameters: Any, *_rest: object) -> None:
        statements.append((statement, parameters))

    exact = request.args.get("total") == "exact"
    g.user = user
    event.listen(db.engine, "before_cursor_execute", keep)
    shown = open_page(clients.PAGE)
    view, problem = clients.read_view(shown.arguments)
    found = listing.list_clients(view, columns=shown.columns, exact=exact)
    list_statement = len(statements) - 1
    values = {
        **clients._list_values(view, shown, found, exact=exact),
        **clients._page_values(view),
        **page_values(shown),
    }
    values["problem"] = problem
    event.remove(db.engine, "before_cursor_execute", keep)
    render_template("clients/list.html", **values)  # loads what the template reads of the user and the runs
    db.session.expunge_all()
    return recordings.setdefault(request.query_string, Recording(statements, list_statement, user, values))


def _connection() -> psycopg.Connection[dict[str, Any]]:
    if not hasattr(local, "connection"):
        url = dsn(current_app.extensions["settings"].database_url)
        local.connection = psycopg.connect(url, autocommit=True, row_factory=dict_row)
    connection: psycopg.Connection[dict[str, Any]] = local.connection
    return connection


def _row(values: dict[str, Any], columns: list[str]) -> listing.ClientRow:
    cells = {key: _cell(key, values[listing.CELL + key]) for key in columns}
    return listing.ClientRow(
        id=values["id"],
        name=full_name(values["last_name"], values["first_name"]),
        source=values["source"] and Source(values["source"]),
        cells=cells,
    )


def _cell(key: str, value: Any) -> Any:
    if key == "statut":
        return ClientStatus(value)
    return {currency: Decimal(owed) for currency, owed in (value or {}).items()} if key == "solde" else value
