"""Refusals and faults, as the user sees them: a page, or under HTMX a toast that leaves the page as it was."""

import math
import time

import structlog
from flask import Flask, Response, g, make_response, redirect, render_template, request, url_for
from flask_limiter import RateLimitExceeded
from flask_wtf.csrf import CSRFError
from redis import RedisError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import HTTPException, InternalServerError
from werkzeug.wrappers import Response as BaseResponse

from webapp.errors import DomainError, MergedError
from webapp.extensions import db, limiter
from webapp.views.layout import is_fragment_request, toast
from webapp.views.lists import with_query

log = structlog.get_logger()

SENTENCES = {
    400: "La demande n’a pas pu être comprise.",
    403: "Vous n’avez pas accès à cette page.",
    404: "Cette page n’existe pas ou plus.",
    405: "Cette action n’est pas possible ici.",
    429: "Trop de demandes en peu de temps. Attendez une minute, puis recommencez.",
    503: "Le service est momentanément indisponible. Réessayez dans un instant.",
}
TITLES = {403: "Accès refusé", 404: "Page introuvable", 429: "Un instant…", 503: "Service indisponible"}
STALE_PAGE = "Cette page est restée ouverte trop longtemps. Rechargez-la, puis recommencez."


def init_app(app: Flask) -> None:
    """Answer every refusal and fault of the application."""
    app.register_error_handler(DomainError, _refuse)
    app.register_error_handler(MergedError, _follow)
    app.register_error_handler(CSRFError, lambda _error: _answer(400, STALE_PAGE))
    app.register_error_handler(RateLimitExceeded, _slow_down)
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(InternalServerError, _apologise)
    for gone in (RedisError, OperationalError, InterfaceError, PoolTimeoutError):
        app.register_error_handler(gone, _ask_for_patience)
    app.teardown_appcontext(_let_go)


def _refuse(error: DomainError) -> Response:
    return _answer(error.status, error.message)


def _follow(error: MergedError) -> BaseResponse:
    """Old addresses of a merged client lead to the one that was kept; what is sent to them is refused."""
    if request.method != "GET" or request.endpoint is None or "client_id" not in (request.view_args or {}):
        return _refuse(error)
    address = url_for(request.endpoint, **{**(request.view_args or {}), "client_id": error.kept_id})
    return redirect(with_query(address, request.args.items(multi=True)))


def _slow_down(_error: RateLimitExceeded) -> Response:
    response = _answer(429, SENTENCES[429])
    if limiter.current_limit:
        seconds = limiter.current_limit.reset_at - time.time()
        response.headers["Retry-After"] = str(max(1, math.ceil(seconds)))
    return response


def _answer_http(error: HTTPException) -> BaseResponse:
    status = error.code or 500
    if status < 400:
        return error.get_response()  # a redirect that was raised
    response = _answer(status, _too_large() if status == 413 else SENTENCES.get(status, SENTENCES[400]))
    for name, value in error.get_headers():
        if name in ("Allow", "Retry-After"):
            response.headers[name] = value
    return response


def _too_large() -> str:
    """A refusal of what is too large names the limit."""
    megabytes = (request.max_content_length or 0) // 1_000_000
    return f"Ce que vous envoyez est trop volumineux\u202f: {megabytes}\u202fMo au plus."


def _ask_for_patience(_error: Exception) -> Response:
    """PostgreSQL or Redis is away, or was while the request used it: nothing is wrong with what was asked."""
    log.exception("service_unavailable")
    _let_go()
    response = _answer(503, SENTENCES[503])
    response.headers["Retry-After"] = "30"
    return response


def _let_go(_error: BaseException | None = None) -> None:
    """Close the session; one whose connection was lost on the way is forgotten, with what it had open."""
    if not db.session.registry.has():
        return
    try:
        db.session.close()
    except DBAPIError:
        db.session.registry.clear()


def _apologise(_error: InternalServerError) -> Response:
    """A bug: nothing of the request stays. Flask has logged it, under the request's id that the user is given."""
    _let_go()
    return _answer(
        500,
        "Une erreur est survenue de notre côté. Rien n’a été enregistré à moitié. "
        f"Si elle se répète, donnez cette référence\u202f: {g.get('request_id', '')[:12]}",
    )


def _answer(status: int, message: str) -> Response:
    if is_fragment_request():
        toast("error", message)
        # The toast rides along (webapp/views/layout.py); the target and the address stay as they are.
        response = make_response("", status, {"HX-Reswap": "none", "HX-Push-Url": "false"})
        response.mimetype = "text/html"
        return response
    # The shell needs the user and the database; where either may be missing, the page stands alone. So it does for
    # somebody without a role, to whom every page of the shell is closed.
    user = g.get("user")
    layout = "layouts/base.html" if status < 500 and user and user.roles else "layouts/bare.html"
    title = TITLES.get(status, "Erreur inattendue" if status >= 500 else "Demande refusée")
    page = render_template("errors/page.html", layout=layout, status=status, title=title, message=message)
    return make_response(page, status)
