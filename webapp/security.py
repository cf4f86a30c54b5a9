"""Who is asking, and what may a browser do with our pages: the gate before every view, the headers after it."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import structlog
from flask import Flask, Response, current_app, g, redirect, request, session, url_for
from sqlalchemy import select
from werkzeug.wrappers import Response as BaseResponse

from webapp import tenancy
from webapp.config import Settings
from webapp.errors import ForbiddenError
from webapp.extensions import db, htmx
from webapp.models.identity import Role, User
from webapp.models.organisations import Organisation

P = ParamSpec("P")
R = TypeVar("R")

_PUBLIC = "_is_public"


def init_app(app: Flask) -> None:
    """Put the gate and the headers on every request."""
    app.before_request(_name_request)
    app.before_request(_let_in)
    app.after_request(_set_headers)
    app.teardown_request(lambda _error: tenancy.enter_organisation(None))
    app.context_processor(lambda: {"current_user": g.get("user"), "organisation_name": g.get("organisation_name")})


def public(view: Callable[P, R]) -> Callable[P, R]:
    """Mark a view that answers without sign-in (health, sign-in itself, webhooks)."""
    setattr(view, _PUBLIC, True)
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


def safe_next(target: str | None) -> str:
    """``target`` if it is a path on this site, else the home page."""
    if not target or not target.startswith("/") or target.startswith(("//", "/\\")) or "\\" in target:
        return "/"
    parts = urlsplit(target)
    return "/" if parts.scheme or parts.netloc or any(ord(character) < 32 for character in target) else target


def _name_request() -> None:
    g.request_id = uuid4().hex
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)


def _let_in() -> BaseResponse | None:
    """Find the user of the session and work for their organisation; send anybody else to sign in."""
    view = None
    if request.endpoint:
        view = current_app.view_functions.get(request.endpoint)
    if request.endpoint == "static" or getattr(view, _PUBLIC, False):
        return None
    user = _user_of_session()
    if user is None:
        return _to_sign_in()
    g.user = user
    if not user.roles:
        raise ForbiddenError("Votre compte n’a pas encore de rôle dans le CRM. Demandez-le à un administrateur.")
    return None


def _user_of_session() -> User | None:
    try:
        user_id, organisation_id = UUID(session["user_id"]), UUID(session["organisation_id"])
    except (KeyError, ValueError, TypeError):
        return None
    tenancy.enter_organisation(organisation_id)
    structlog.contextvars.bind_contextvars(user_id=str(user_id), organisation_id=str(organisation_id))
    found = db.session.execute(
        select(User, Organisation.name)
        .join(Organisation, Organisation.id == User.organisation_id)
        .where(User.id == user_id)
    ).first()
    if found is None:
        return None
    user, g.organisation_name = found
    return user


def _to_sign_in() -> BaseResponse:
    """To the sign-in page and back; an HTMX swap becomes a whole page, at the page the person is on."""
    if htmx:
        here = urlsplit(htmx.current_url or "")
        back = here.path + (f"?{here.query}" if here.query else "")
        return Response(status=401, headers={"HX-Redirect": url_for("sign_in.start", next=safe_next(back))})
    back = request.full_path.rstrip("?") if request.method == "GET" else "/"
    return redirect(url_for("sign_in.start", next=safe_next(back)))


def _set_headers(response: Response) -> Response:

    settings: Settings = current_app.extensions["settings"]
    headers = response.headers
    headers.setdefault("Content-Security-Policy", content_security_policy(settings))
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("X-Frame-Options", "DENY")
    headers.setdefault("Referrer-Policy", "same-origin")
    headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
    if settings.is_production:
        headers.setdefault("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
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
