"""Where providers of e-mail and SMS tell us what became of messages: no session, no CSRF, a secret in the address."""

from contextlib import suppress

from flask import Blueprint, Response, request
from limits import parse
from redis import RedisError

from webapp import clock
from webapp.errors import NotFoundError
from webapp.extensions import csrf, limiter
from webapp.gateways.messaging import WebhookBodyError
from webapp.security import public
from webapp.services.messages import hearing

bp = Blueprint("message_webhooks", __name__, url_prefix="/webhooks/messages")
csrf.exempt(bp)

BODY_LIMIT = 256 * 1024
REFUSALS = parse("30 per minute")
"""Calls at addresses that nobody has: the next ones are told to slow down. A sender's own is always heard."""


@bp.post("/<token>")
@public
def hear(token: str) -> Response:
    """200 once what was told is kept, also where it is of no message of ours."""
    request.max_content_length = BODY_LIMIT
    try:
        hearing.hear(token, request.get_data(cache=False), at=clock.now())
    except NotFoundError:
        return _plain("Adresse inconnue.", 429 if _is_refused_too_often() else 404)
    except WebhookBodyError:
        return _plain("Contenu illisible.", 400)
    return Response(status=200)


def _plain(sentence: str, status: int) -> Response:
    return Response(sentence, status=status, mimetype="text/plain")


def _is_refused_too_often() -> bool:
    """False while Redis is away."""
    with suppress(RedisError):
        return not limiter.limiter.hit(REFUSALS, "message-webhooks", request.remote_addr or "")
    return False
