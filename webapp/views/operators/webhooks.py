"""Where operators tell us of claims: no session, no CSRF, a signature instead. What is wrong is told as RFC 9457 says.

The contract is ``webhooks_openapi.py``; what an operator needs to know stands in docs/depanssur-webhooks.md.
"""

from collections import Counter
from uuid import UUID

from flask import Blueprint, Response, jsonify, request
from flask_limiter.util import get_remote_address
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import RequestEntityTooLarge

from webapp import clock
from webapp.errors import DomainError
from webapp.extensions import csrf, db, limiter
from webapp.security import public
from webapp.services.operators import contract, receiving
from webapp.views.operators.problems import problem
from webapp.views.operators.webhooks_openapi import document

bp = Blueprint("operator_webhooks", __name__, url_prefix="/webhooks/depanssur")
csrf.exempt(bp)

MOST = 12_000
"""Events that one process takes from one address in a minute: more than twice the greatest burst that is expected."""


@bp.post("/<uuid:operator_id>")
@public
def create_event(operator_id: UUID) -> Response:
    """202 with our receipt once an event is kept; it is handled afterwards. 503 while the database is away."""
    if _PACE.is_too_fast(get_remote_address()):
        return _slow_down()
    if request.mimetype != "application/json":
        return problem(415, "The body is application/json.", field="content-type")
    request.max_content_length = contract.BODY_LIMIT
    try:
        body = request.get_data(cache=False)
        receipt = receiving.receive(operator_id, dict(request.headers), body, at=clock.now())
    except RequestEntityTooLarge:
        return problem(413, f"At most {contract.BODY_LIMIT} bytes.", field="body")
    except DomainError as error:
        return problem(error.status, error.message, field=error.field)
    except (OperationalError, InterfaceError, PoolTimeoutError):
        db.session.rollback()
        answer = problem(503, "Not available for the moment: send it again.")
        answer.headers["Retry-After"] = "30"
        return answer
    kept = jsonify(receipt=str(receipt.id), repeated=receipt.is_repeated)
    kept.status_code = 202
    return kept


@bp.get("/openapi.json")
@public
@limiter.limit("120 per minute", key_func=get_remote_address)
def openapi() -> Response:
    """The contract, for machines."""
    return jsonify(document(request.url_root.rstrip("/")))


class _Pace:
    """Counts what each address sends in a minute, in this process: a receiver that asked Redis would wait for it."""

    def __init__(self) -> None:
        self._minute, self._counts = 0, Counter[str]()

    def is_too_fast(self, address: str) -> bool:
        minute = int(clock.now().timestamp() // 60)
        if minute != self._minute:
            self._minute, self._counts = minute, Counter()
        self._counts[address] += 1
        return self._counts[address] > MOST


_PACE = _Pace()


def _slow_down() -> Response:
    answer = problem(429, f"At most {MOST} in a minute.")
    answer.headers["Retry-After"] = "60"
    return answer
