"""What every page stands in: addresses of static files that change with their content, toasts, and long work accepted.

A view tells the user something with ``toast("success", "Client créé.")`` and need not care how it gets there:
a full page shows it in its toast region, an HTMX answer carries it beside whatever else it swaps, and after a
redirect the next page shows it.
"""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from flask import (
    Flask,
    Response,
    current_app,
    flash,
    g,
    get_flashed_messages,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue

from webapp.extensions import htmx

Kind = Literal["success", "warning", "error", "info"]


class Toast(NamedTuple):
    """One message to the user; ``kind`` is success, warning, error or info."""

    kind: str
    message: str


def init_app(app: Flask) -> None:
    """Make ``static_url`` and ``take_toasts`` known to templates, and let HTMX answers carry their toasts."""
    app.add_template_global(static_url)
    app.add_template_global(take_toasts)
    app.after_request(_deliver_toasts)


def static_url(name: str) -> str:
    """The address of ``static/<name>`` with a fingerprint of its content, so that browsers may keep it for ever."""
    addresses: dict[str, str] = g.setdefault("static_addresses", {})  # a page asks for its icons' file dozens of times
    if name not in addresses:
        addresses[name] = _address_of(name)
    return addresses[name]


def _address_of(name: str) -> str:
    path = Path(current_app.static_folder or "") / name
    try:
        version = _fingerprint(path, path.stat().st_mtime_ns)
    except FileNotFoundError:
        version = "absent"
    return url_for("static", filename=name, v=version)


@cache
def _fingerprint(path: Path, _changed: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def toast(kind: Kind, message: str) -> None:
    """Tell the user ``message`` with the answer to this request, or on the page that it redirects to."""
    g.setdefault("toasts", []).append(Toast(kind, message))


def take_toasts() -> list[Toast]:
    """The toasts that wait to be shown, those of the page before first; each is taken once."""
    before = [Toast(*flashed) for flashed in get_flashed_messages(with_categories=True)]
    now: list[Toast] = g.pop("toasts", [])
    return before + now


def is_fragment_request() -> bool:
    """Whether HTMX asks for a part of a page; going back in history, it asks for the whole one."""
    return bool(htmx) and not htmx.history_restore_request


def list_part(name: str, part: str, *, address: str) -> Response:
    """A list alone. Where the form of its filters or columns asked, ``address`` is the browser's from then on: the
    list's, without the filters that filter nothing.
    """
    response = make_response(part)
    if request.headers.get("HX-Source") in (f"form#{name}-filters", f"form#{name}-columns"):
        response.headers["HX-Push-Url"] = address
    return response


def _deliver_toasts(response: Response) -> Response:
    if not g.get("toasts"):
        return response
    if _leads_elsewhere(response) or not is_fragment_request():
        # The session is written only here: on a fragment, a racing request could lose its own change to it.
        for waiting in g.pop("toasts"):
            flash(waiting.message, waiting.kind)
    elif response.mimetype == "text/html" and not response.is_streamed:
        response.set_data(response.get_data(as_text=True) + render_template("layouts/_toasts.html"))
    return response


def _leads_elsewhere(response: Response) -> bool:
    return 300 <= response.status_code < 400 or any(
        header in response.headers for header in ("HX-Redirect", "HX-Location", "HX-Refresh")
    )


def accepted(address: str, progress: Callable[[], Response]) -> ResponseReturnValue:
    """The answer to a click that starts long work, whose page is ``address``: under HTMX its progress in place."""
    if not is_fragment_request():
        return redirect(address, 303)
    response = progress()
    response.status_code = 202
    response.headers["Location"] = address
    return response
