"""Health checks for whoever supervises the process."""

from flask import Blueprint

from webapp.security import public

bp = Blueprint("health", __name__)


@bp.get("/sante/vivant")
@public
def live() -> tuple[dict[str, str], int]:
    """The process answers."""
    return {"status": "ok"}, 200
