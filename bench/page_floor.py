"""The application with one more address, /plancher: any of its pages at its floor.

The same gunicorn, the same session read, the page's own SQL (not the look-up of the user) recorded at the first visit
and then sent through bare psycopg, and the same template with the values that it had then. What lies between the two
is what our own code costs.
"""

import threading
from typing import Any, NamedTuple

import psycopg
from flask import current_app, g, request, session, template_rendered
from jinja2 import Template
from sqlalchemy import event

from bench.databases import dsn
from webapp.config import load_settings
from webapp.extensions import db
from webapp.factory import create_app
from webapp.security import public
from webapp.sessions import signed_in_user
from webapp.views import rate_limits


class Recording(NamedTuple):
    """Who asked, what the page sent to PostgreSQL, and what it gave its template."""

    user: Any
    statements: list[tuple[str, Any]]
    template: Template
    values: dict[str, Any]


rate_limits.RATE = "100000 per minute"  # one user asks for every page; what counting costs is measured with it
app = create_app(load_settings())
recordings: dict[tuple[str, str], Recording] = {}
"""By user and page: whoever asks sees their own figures."""
local = threading.local()


@app.get("/plancher")
@public
def floor() -> str:
    """The page whose address is the parameter ``page``, as its own address would show it."""
    if "user_id" not in session:
        raise RuntimeError("the bench is not signed in")
    page = request.args["page"]
    key = session["user_id"], page
    recording = recordings.get(key) or recordings.setdefault(key, _record(page))
    g.user = recording.user  # some values ask who looks while the template is rendered
    for statement in recording.statements:
        _connection().execute(*statement).fetchall()
    return recording.template.render(recording.values)


def _record(page: str) -> Recording:
    """Visit the page, once, and keep what it did."""
    statements: list[tuple[str, Any]] = []
    rendered: list[tuple[Template, dict[str, Any]]] = []

    def keep_statement(_connection: object, _cursor: object, statement: str, parameters: Any, *_rest: object) -> None:
        statements.append((statement, parameters))

    def keep_template(_app: object, template: Template, context: dict[str, Any], **_rest: object) -> None:
        rendered.append((template, context))

    with app.test_request_context(page, headers={"Cookie": request.headers["Cookie"]}):
        g.user = user = signed_in_user()
        event.listen(db.engine, "before_cursor_execute", keep_statement)
        try:
            with template_rendered.connected_to(keep_template, app):
                app.dispatch_request()
        finally:
            event.remove(db.engine, "before_cursor_execute", keep_statement)
        db.session.expunge_all()
    template, values = rendered[-1]
    return Recording(user, statements, template, values)


def _connection() -> psycopg.Connection[Any]:
    if not hasattr(local, "connection"):
        local.connection = psycopg.connect(dsn(current_app.extensions["settings"].database_url), autocommit=True)
    connection: psycopg.Connection[Any] = local.connection
    return connection
