"""Sign-in and sign-out at the identity provider."""

from flask import Blueprint

from webapp.security import public

bp = Blueprint("sign_in", __name__)


@bp.get("/connexion")
@public
def start() -> str:
    """Replaced by the identity slice."""
    return "connexion"
