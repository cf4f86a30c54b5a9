"""Who may ask, and what a browser may do with our pages: the gate before every view, the headers after it."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar
from urllib.parse import SplitResult, urlsplit

from flask import Flask, Response, current_app, g, redirect, request, url_for
from werkzeug.exceptions import SecurityError
from werkzeug.wrappers import Response as BaseResponse

from webapp import kept_forms, sessions, tenancy
from webapp.config import Settings
from webapp.errors import ForbiddenError
from webapp.extensions import htmx
from webapp.gateways.identity import SessionEndedError
from webapp.models.identity import Role, User

P = ParamSpec("P")
R = TypeVar("R")


class NoRoleError(ForbiddenError):
    """The account is known, and may do nothing in the CRM yet."""


_PUBLIC = "_is_public"
_ROLELESS = "_needs_no_role"
LONGEST_NEXT = 2000


def init_app(app: Flask) -> None:
    """Put the gate and the headers on every request."""
    app.before_request(_let_in)
    app.after_request(_set_headers)
    app.teardown_request(lambda _error: tenancy.enter_organisation(None))
    app.context_processor(lambda: {"current_user": g.get("user")})
    app.register_error_handler(SessionEndedError, lambda _error: to_sign_in())


def public(view: Callable[P, R]) -> Callable[P, R]:
    """Mark a view that answers without sign-in (health, sign-in itself, webhooks)."""
    setattr(view, _PUBLIC, True)
    return view


def roleless(view: Callable[P, R]) -> Callable[P, R]:
    """Mark a view for anybody signed in, even without a role in the CRM (sign-out)."""
    setattr(view, _ROLELESS, True)
    return view


def requires(*roles: Role) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let only users with one of ``roles`` into a view; others get the 403 page."""

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            if not current_user().has_role(*roles):
                raise ForbiddenError("Votre rôle ne donne pas accès à cette page.")
            return view(*args, **kwargs)

        return guarded

    return decorate


def current_user() -> User:
    """The signed-in user. Only called behind the gate."""
    user: User = g.user
    return user


def fresh_access_token() -> str:
    """The signed-in user's access token, fit to be passed on; see ``sessions.fresh_access_token``."""
    return sessions.fresh_access_token()


def safe_next(target: str | None) -> str:
    """``target`` if it is a path on this site, else the home page."""
    if not target or len(target) > LONGEST_NEXT or not target.startswith("/") or target.startswith("//"):
        return "/"
    # Browsers drop control characters and read a backslash as a slash: « /\t/evil.example » leaves the site.
    if "\\" in target or any(ord(character) < 32 for character in target):
        return "/"
    return target


def _let_in() -> BaseResponse | None:
    """Find the user of the session and work for their organisation; send anybody else to sign in.

    Runs before the CSRF check, so that a session that has ended leads to the sign-in and not to an error.
    """
    if isinstance(request.routing_exception, SecurityError):
        return Response("Cette adresse n’est pas celle du CRM.", status=400, mimetype="text/plain")
    view = current_app.view_functions.get(request.endpoint or "")
    if request.endpoint == "static" or getattr(view, _PUBLIC, False):
        return None
    sessions.require_reachable()
    user = sessions.signed_in_user()
    if user is None:
        return to_sign_in() if view else None  # nothing at this address: the 404 needs no sign-in
    g.user = user
    if not user.roles and not getattr(view, _ROLELESS, False):
        refusal = ForbiddenError if htmx else NoRoleError  # the page is for a page, a swap gets the toast
        raise refusal("Votre compte n’a pas encore de rôle dans le CRM. Demandez-le à un administrateur.")
    return None


def to_sign_in() -> BaseResponse:
    """To the sign-in page and back; an HTMX swap becomes a whole page, at the page the person is on.

    htmx 4 obeys HX-Redirect whatever the status. A form that was sent waits there to be given back.
    """
    if htmx:
        back = _with_kept_form(_path(_split(htmx.current_url)))
        return Response(status=401, headers={"HX-Redirect": url_for("identity.start", next=safe_next(back))})
    back = request.full_path.rstrip("?") if request.method == "GET" else _with_kept_form(_page_of_form())
    return redirect(url_for("identity.start", next=safe_next(back)), code=303)


def _with_kept_form(page: str) -> str:
    word = kept_forms.keep() if page else None
    return f"{page}{'&' if '?' in page else '?'}{kept_forms.PARAMETER}={word}" if word else page


def _page_of_form() -> str:
    """The page of ours that a form was sent from, if known."""
    there = _split(request.referrer)
    return _path(there) if there.netloc == request.host else ""


def _split(address: str | None) -> SplitResult:
    """An address as a browser sent it; nothing where it is none."""
    try:
        return urlsplit(address or "")
    except ValueError:
        return urlsplit("")


def _path(address: SplitResult) -> str:
    return address.path + (f"?{address.query}" if address.query else "")


def headers_of_everything(settings: Settings) -> dict[str, str]:
    """The headers of every answer, pages and static files alike."""
    headers = {
        "Content-Security-Policy": content_security_policy(settings),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    }
    if settings.is_production:
        headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
    return headers


def _set_headers(response: Response) -> Response:
    settings: Settings = current_app.extensions["settings"]
    headers = response.headers
    for name, value in headers_of_everything(settings).items():
        headers.setdefault(name, value)
    if request.endpoint != "static":
        headers.setdefault("Cache-Control", "no-store")
        headers.setdefault("X-Request-Id", g.get("request_id", ""))
    return response


def content_security_policy(settings: Settings) -> str:
    """No inline script or style. Forms may lead to the identity provider: Chromium applies form-action to redirects."""
    issuer = urlsplit(settings.oidc_issuer)
    return "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data:",
            "font-src 'self'",
            "connect-src 'self'",
            "manifest-src 'self'",
            f"form-action 'self' {issuer.scheme}://{issuer.netloc}",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ]
    )
