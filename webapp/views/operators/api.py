"""What operators ask by their key, as JSON. No session, no page; what is wrong is told as RFC 9457 says.

The contract is ``openapi.py``; what an operator needs to know stands in docs/depanssur-api.md.
"""

from datetime import date

import structlog
from flask import Blueprint, Response, jsonify, request
from flask_limiter import RateLimitExceeded
from flask_limiter.util import get_remote_address

from webapp import clock, tenancy
from webapp.errors import DomainError, InvalidInputError
from webapp.extensions import csrf, limiter
from webapp.models.covers import Trade
from webapp.models.operators import CoverOperator
from webapp.security import public
from webapp.services.operators import answering, keys
from webapp.views.lists import read, read_day
from webapp.views.operators.openapi import document
from webapp.views.operators.problems import problem

log = structlog.get_logger()
bp = Blueprint("operator_api", __name__, url_prefix="/api/depanssur/v1")
csrf.exempt(bp)

RATE = "120 per minute"
"""What a phone desk asks at its busiest, and far less than it takes to guess a key."""
LONGEST_REFERENCE = 100


@bp.get("/covers")
@public
@limiter.limit(RATE, key_func=get_remote_address)
def covers() -> Response:
    """Whether a claim of a trade would be covered on a day (today, unless it says another)."""
    _enter()
    trade = read(Trade, request.args.get("trade"))
    if trade is None:
        raise InvalidInputError(f"One of {', '.join(Trade)}.", field="trade")
    answer = answering.answer_cover(_reference("reference"), trade=trade, on=_day(), at=clock.now())
    log.info("operator_asked", reference=answer["reference"], status=answer["outcome"])
    return jsonify(answer)


@bp.get("/claims/<reference>")
@public
@limiter.limit(RATE, key_func=get_remote_address)
def claim(reference: str) -> Response:
    """How a claim file stands."""
    operator = _enter()
    return jsonify(answering.answer_claim(reference[:LONGEST_REFERENCE], operator_id=operator.id))


@bp.get("/openapi.json")
@public
@limiter.limit(RATE, key_func=get_remote_address)
def openapi() -> Response:
    """The contract, for machines."""
    return jsonify(document(request.url_root.rstrip("/")))


@bp.errorhandler(DomainError)
def _refuse(error: DomainError) -> Response:
    return problem(error.status, error.message, field=error.field)


@bp.errorhandler(RateLimitExceeded)
def _slow_down(_error: RateLimitExceeded) -> Response:
    answer = problem(429, f"At most {RATE}.")
    answer.headers["Retry-After"] = "60"
    return answer


def _enter() -> CoverOperator:
    """Work for the organisation whose key the request carries. Raises UnknownKeyError."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    operator = keys.find_operator(key.strip() if scheme.lower() == "bearer" else "", at=clock.now())
    tenancy.enter_organisation(operator.organisation_id)
    keys.note_asked(operator.id, at=clock.now())
    return operator


def _reference(name: str) -> str:
    reference = request.args.get(name, "").strip()
    if not reference or len(reference) > LONGEST_REFERENCE:
        raise InvalidInputError("The number of a cover, as V-12.", field=name)
    return reference


def _day() -> date:
    written = request.args.get("on", "").strip()
    day = read_day(written) if written else clock.today()
    if day is None:
        raise InvalidInputError("A date, as 2026-11-20.", field="on")
    return day
