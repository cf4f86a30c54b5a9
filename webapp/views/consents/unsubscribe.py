"""The link in messages by which a client wants no more of them. Nobody is signed in; the token is the right.

A GET changes nothing, since mail filters follow links. The POST is the page's button, or a mail program's own
(RFC 8058: no cookie, no CSRF token, no redirect). The rate is the token's: a mail provider sends the clicks of all its
users from few addresses, and none of them may be lost.
"""

from flask import Blueprint, make_response, render_template, request
from flask.typing import ResponseReturnValue
from flask_limiter.util import get_remote_address
from limits import parse
from redis import RedisError
from werkzeug.exceptions import TooManyRequests

from webapp import clock
from webapp.errors import NotFoundError
from webapp.extensions import csrf, limiter
from webapp.security import public
from webapp.services.consents import unsubscribing
from webapp.services.consents.unsubscribing import Link

bp = Blueprint("unsubscribe", __name__, url_prefix="/desabonnement")
csrf.exempt(bp)

PACE_OF_LINK = parse("20 per minute")
PACE_OF_ADDRESS = parse("600 per minute")
LONGEST_KEY = 100


@bp.before_request
def _keep_pace() -> None:
    """A withdrawal comes before the rate: while Redis is away, nobody counts."""
    token = str((request.view_args or {}).get("token", ""))[:LONGEST_KEY]
    try:
        is_in_time = limiter.limiter.hit(PACE_OF_LINK, "unsubscribe", token) and limiter.limiter.hit(
            PACE_OF_ADDRESS, "unsubscribe", get_remote_address()
        )
    except RedisError:
        return
    if not is_in_time:
        raise TooManyRequests(retry_after=60)


@bp.get("/<token>")
@public
def show(token: str) -> ResponseReturnValue:
    """What the link is about, and the button."""
    try:
        return _page(unsubscribing.find_link(token))
    except NotFoundError as error:
        return _page(None, error)


@bp.post("/<token>")
@public
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
