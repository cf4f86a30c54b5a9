"""The link in messages by which a client wants no more of them. Nobody is signed in; the token is the right.

A GET changes nothing, since mail filters follow links. The POST is the page's button, or a mail program's own
(RFC 8058: no cookie, no CSRF token, no redirect). The rate is the token's: a mail provider sends the clicks of all its
users from few addresses, and none of them may be lost.
"""

from flask import Blueprint, make_response, render_template, request
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import NotFoundError
from webapp.extensions import csrf, limiter
from webapp.security import public
from webapp.services.consents import unsubscribing
from webapp.services.consents.unsubscribing import Link

bp = Blueprint("unsubscribe", __name__, url_prefix="/desabonnement")
csrf.exempt(bp)

PACE_OF_LINK = "20 per minute"
PACE_OF_ADDRESS = "600 per minute"


def _token() -> str:
    return str((request.view_args or {}).get("token", ""))


@bp.get("/<token>")
@public
@limiter.limit(PACE_OF_ADDRESS)
@limiter.limit(PACE_OF_LINK, key_func=_token)
def show(token: str) -> ResponseReturnValue:
    """What the link is about, and the button."""
    try:
        return _page(unsubscribing.find_link(token))
    except NotFoundError as error:
        return _page(None, error)


@bp.post("/<token>")
@public
@limiter.limit(PACE_OF_ADDRESS)
@limiter.limit(PACE_OF_LINK, key_func=_token)
def confirm(token: str) -> ResponseReturnValue:
    """The client wants no more of it, from now on."""
    try:
        return _page(unsubscribing.unsubscribe(token, at=clock.now()))
    except NotFoundError as error:
        return _page(None, error)


def _page(link: Link | None, error: NotFoundError | None = None) -> ResponseReturnValue:
    content = render_template("consents/unsubscribe.html", link=link, error=error)
    response = make_response(content, error.status if error else 200)
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Robots-Tag"] = "noindex"
    return response
