"""Where payment providers tell us what happened: no session, no CSRF, a signature instead."""

from contextlib import suppress
from uuid import UUID

from flask import Blueprint, Response, request
from limits import parse
from redis import RedisError

from webapp import clock
from webapp.extensions import csrf, limiter
from webapp.models.providers import Provider
from webapp.security import public
from webapp.services.provider_events import webhooks

bp = Blueprint("webhooks", __name__, url_prefix="/webhooks")
csrf.exempt(bp)

BODY_LIMIT = 256 * 1024
REFUSALS = parse("30 per minute")
"""So many calls that nobody signed, and the common address rests for whoever sent them; an account's own never does."""


@bp.post("/stripe")
@bp.post("/stripe/<uuid:account_id>")
@public
def create_stripe_event(account_id: UUID | None = None) -> Response:
    """Stripe's events, at the common address or at an account's own."""
    return _receive(Provider.STRIPE, account_id)


@bp.post("/bac-a-sable")
@bp.post("/bac-a-sable/<uuid:account_id>")
@public
def create_sandbox_event(account_id: UUID | None = None) -> Response:
    """The pretend provider's events."""
    return _receive(Provider.SANDBOX, account_id)


def _receive(provider: Provider, account_id: UUID | None) -> Response:
    """200 once the event is kept; what it says is handled afterwards."""
    request.max_content_length = BODY_LIMIT
    if account_id is None and _was_refused_too_often():
        return Response("Trop d’appels sans signature valable.", status=429, mimetype="text/plain")
    try:
        webhooks.receive(
            provider, dict(request.headers), request.get_data(cache=False), at=clock.now(), account_id=account_id
        )
    except webhooks.UnsignedWebhookError as error:
        _count_refusal()
        return Response(error.message, status=401, mimetype="text/plain")
    return Response(status=200)


def _was_refused_too_often() -> bool:
    """False while Redis is away: a provider's word comes before the rate."""
    try:
        return not limiter.limiter.test(REFUSALS, *_sender())
    except RedisError:
        return False


def _count_refusal() -> None:
    with suppress(RedisError):
        limiter.limiter.hit(REFUSALS, *_sender())


def _sender() -> tuple[str, str]:
    return "webhooks", request.remote_addr or ""
