"""Where shops tell us what happened: no session, no CSRF, a signature instead."""

from uuid import UUID

from flask import Blueprint, Response, request
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from webapp import clock
from webapp.extensions import csrf, db
from webapp.security import public
from webapp.services.woocommerce import receiving

bp = Blueprint("woocommerce_webhooks", __name__, url_prefix="/webhooks")
csrf.exempt(bp)


@bp.post("/woocommerce")
@bp.post("/woocommerce/<uuid:shop_id>")
@public
def create_delivery(shop_id: UUID | None = None) -> Response:
    """200 once a delivery is kept; what it says is handled afterwards. 503 while the database is away."""
    request.max_content_length = receiving.BODY_LIMIT
    body = request.get_data(cache=False)  # 413 above the limit
    try:
        answer = receiving.receive(dict(request.headers), body, shop_id=shop_id, at=clock.now())
    except (OperationalError, InterfaceError, PoolTimeoutError):
        db.session.rollback()
        return Response("Base de données indisponible.", status=503, mimetype="text/plain")
    return Response(answer.sentence, status=answer.status, mimetype="text/plain")
