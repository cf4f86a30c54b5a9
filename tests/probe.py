"""Views that exist in tests only, to look at what stands before and after every view."""

from flask import Blueprint, Response, jsonify, request

from webapp.models.identity import Role
from webapp.security import current_user, fresh_access_token, requires

bp = Blueprint("probe", __name__, url_prefix="/sonde")


@bp.get("")
def look() -> Response:
    """Who the gate let in."""
    return jsonify(user=str(current_user().id), roles=current_user().roles)


@bp.post("")
def write() -> Response:
    """A write, which reads what was sent."""
    return jsonify(sent=len(request.form))


@bp.get("/admin")
@requires(Role.ADMIN)
def admin() -> str:
    """For one role only."""
    return "ok"


@bp.get("/jeton")
def token() -> str:
    """The token that would be passed on."""
    return fresh_access_token()


@bp.get("/panne")
def fail() -> str:
    """A bug whose message quotes personal data."""
    raise ValueError("duplicate key: Élodie DUPONT, elodie@example.org, FR1420041010050500013M02606")
